"""What is expected of PV fields."""

from __future__ import annotations

from plant.settings.table import Id, SettingsTable


class SolarField(SettingsTable):
    """[[solar]]: a PV field, its weather meter and its strings."""

    id: Id
