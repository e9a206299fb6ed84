"""What the analytics know of their own work, kept in the ledger: how far it is done, and what later slots start from."""

from __future__ import annotations

from typing import Any

from analytics.checkpoints import Checkpoints
from analytics.metal import Fits
from analytics.reconcile import fits_from, fits_state
from analytics.row_settings import Settings
from plant.ports import Ledger
from plant.site import Site

PROGRESS, POOLS, EFFICIENCY, GAPS = "analytics", "analytics.storage", "analytics.efficiency", "analytics.gaps"
SETTINGS = "analytics.settings"


class State:
    """The state of one plant's analytics. One process works and keeps it; any other loads it to see how far that one is.

    ``settled_ns`` is announced before the readings of a slot are read, ``done_ns`` follows when its rows are stored; None
    before the first reading. ``revision`` is raised when rows have changed. ``gaps`` holds by "meter/quantity" the first slot
    that was computed without a reading after it, ``settings`` what rows and figures were computed with.
    """

    def __init__(self, site: Site, ledger: Ledger) -> None:
        self._site, self._ledger = site, ledger
        self.settled_ns: int | None = None
        self.done_ns: int | None = None
        self.version = 0
        self.revision = 0
        self.settings: dict[str, Any] = {}
        self.checkpoints = Checkpoints(None)
        self.efficiency: dict[str, Fits] = {}
        self.refit_from_ns: int | None = None
        self.restate_from_ns: int | None = None
        self.gaps: dict[str, int] = {}

    async def load(self) -> None:
        """Take over what the ledger holds, all of it at once or, where the ledger fails, nothing."""
        plant = self._site.id
        progress, pools, fits, gaps, settings = [
            await self._ledger.get_state(plant, name) or {} for name in (PROGRESS, POOLS, EFFICIENCY, GAPS, SETTINGS)
        ]
        self.settled_ns, self.done_ns = progress.get("settled_until_ns"), progress.get("done_until_ns")
        self.version, self.revision = progress.get("version", 0), progress.get("revision", 0)
        self.checkpoints = Checkpoints(pools)
        # rows of before this state was kept may never have been fitted
        self.refit_from_ns = fits.get("refit_from_ns") if fits else self.done_ns
        self.restate_from_ns = fits.get("restate_from_ns")
        self.efficiency = {n: fits_from(f) for n, f in fits.get("lines", {}).items() if n in self._site.potlines}
        self.gaps, self.settings = dict(gaps), settings

    async def next_version(self, now_ns: int) -> int:
        """Version for rows about to be stored, ms: above every earlier one, also after the clock was set back."""
        self.version = max(self.version + 1, now_ns // 1_000_000)
        await self.keep_progress()
        return self.version

    async def rows_changed(self) -> None:
        """Rows were stored: what was read before is no longer the newest."""
        self.revision += 1
        await self.keep_progress()

    async def keep_progress(self) -> None:
        """Store how far the work is."""
        await self._put(
            PROGRESS,
            {
                "settled_until_ns": self.settled_ns,
                "done_until_ns": self.done_ns,
                "version": self.version,
                "revision": self.revision,
            },
        )

    async def keep_pools(self) -> None:
        """Store the storage pools."""
        await self._put(POOLS, self.checkpoints.state())

    async def keep_fits(self) -> None:
        """Store current efficiency, and from where on it has to be fitted or its rows restated."""
        lines = {line: fits_state(fits) for line, fits in self.efficiency.items()}
        value = {"refit_from_ns": self.refit_from_ns, "restate_from_ns": self.restate_from_ns, "lines": lines}
        await self._put(EFFICIENCY, value)

    async def keep_gaps(self) -> None:
        """Store which quantities are silent since when."""
        await self._put(GAPS, dict(self.gaps))

    async def keep_settings(self, rows: Settings, figures: Settings) -> None:
        """Store what rows and figures are computed with from now on."""
        if self.settings != (settings := {"rows": plain(rows), "figures": plain(figures)}):
            await self._put(SETTINGS, settings)
            self.settings = settings

    async def _put(self, name: str, value: dict[str, Any]) -> None:
        await self._ledger.put_state(self._site.id, name, value)


def plain(settings: Settings) -> dict[str, list[list[Any]]]:
    """Settings as JSON gives them back."""
    return {part: [[t_ns, text] for t_ns, text in timeline] for part, timeline in settings.items()}
