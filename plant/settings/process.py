"""What the figures per tonne rest on beside meters and scales."""

from __future__ import annotations

from plant.settings.table import SettingsTable


class ProcessSettings(SettingsTable):
    """[process]: boundaries of the figures per tonne."""
