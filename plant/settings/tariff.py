"""Electricity prices: the tiered price of the assessed unit, time of use, maximum demand, power factor."""

from __future__ import annotations

from plant.settings.table import SettingsTable


class TariffSettings(SettingsTable):
    """[tariff]: what electricity costs and how the tiered price is assessed."""
