"""Method and factors of the carbon account."""

from __future__ import annotations

from plant.settings.table import SettingsTable


class CarbonSettings(SettingsTable):
    """[carbon]: which method set and factors the carbon account uses."""
