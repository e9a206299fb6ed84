"""Green electricity by contract and certificate."""

from __future__ import annotations

from plant.settings.table import SettingsTable


class GreenSettings(SettingsTable):
    """[green]: how green energy is attributed, matched and settled."""
