"""Energy baselines and outlooks."""

from __future__ import annotations

from plant.settings.table import Id, SettingsTable


class BaselineSettings(SettingsTable):
    """[[baseline]]: a regression of energy on relevant variables."""

    id: Id
