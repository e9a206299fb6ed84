"""The sink that every source calls: screen, make durable, show live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from collector.screen import ScreenRules, screen
from collector.spool import Spool
from devices.maps import Profile
from plant.frame import FrameBlock
from plant.ports import Bus, HealthBoard
from plant.quality import Quality

LAYOUTS_MAX = 1_024  # devices that report by exception leave out any of their quantities: there is no end of combinations


class Intake:
    """``await intake(blocks)`` returns when the blocks are durable; only then are they live and may be acknowledged.

    A block whose profile is not among ``profiles`` (imported history) is screened without limits.
    """

    def __init__(self, spool: Spool, profiles: Mapping[str, Profile], bus: Bus, health: HealthBoard) -> None:
        self._spool, self._bus, self._health = spool, bus, health
        self._profiles = profiles
        self._rules = lru_cache(LAYOUTS_MAX)(self._rules_of)

    async def __call__(self, blocks: Sequence[FrameBlock]) -> None:
        """Raises SpoolFull, having taken nothing, when the spool holds; the source waits and offers them again."""
        screened = [self._screen(block) for block in blocks if len(block)]
        await self._spool.append(screened)
        for block in screened:
            self._bus.publish(block)

    def _rules_of(self, name: str, quantities: tuple[str, ...]) -> ScreenRules:
        profile = self._profiles.get(name)
        if profile is None:
            return ScreenRules.of_quantities(quantities)
        return ScreenRules.of(profile).of_columns(profile.quantities, quantities)

    def _screen(self, block: FrameBlock) -> FrameBlock:
        screened = screen(block, self._rules(block.profile, block.quantities))
        refused = int(((screened.quality & ~block.quality) & int(Quality.INVALID | Quality.QUESTIONABLE)).astype(bool).sum())
        if refused:
            self._health.count("screened_values", {"profile": block.profile}, refused)
        return screened
