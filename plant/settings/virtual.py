"""Virtual metering points: what no meter shows, by a formula over points that have one."""

from __future__ import annotations

from plant.settings.table import Id, SettingsTable


class VirtualPoint(SettingsTable):
    """[[virtual]]: a metering point whose energy follows from others."""

    id: Id
