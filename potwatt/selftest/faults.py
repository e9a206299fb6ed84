"""The faults of a run, at instants of a seeded dice: kills of the program, cuts of broker and store."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from potwatt.selftest.link import Link, LinkMode
from potwatt.selftest.stand import Stand
from potwatt.selftest.watch import answers

YOUNG_S, GROWN_S = (0.3, 3.0), (0.5, 8.0)  # lives that end while it starts; lives counted from when it is up
YOUNG_SHARE = 0.3
UP_S, LOOK_S = 30.0, 0.1
WHOLE_S, BROKEN_S = (2.0, 8.0), (0.3, 4.0)
PACE_S = 60.0  # a shorter run is disturbed as often, so that it has every kind too
HELD_SHARE = 0.25  # of the kills with an embedded store, beside the first one
KILL, HELD = "kill", "store file held"
BROKEN_MODES = {LinkMode.CUT: "cut", LinkMode.SWALLOWING: "silent"}


@dataclass(slots=True)
class Faults:
    """``outages`` counts by kind what was done."""

    at: Stand
    seed: int
    outages: Counter[str] = field(default_factory=Counter)

    @property
    def lacking(self) -> list[str]:
        """Kinds of fault that did not happen: what a run without them says proves nothing."""
        links = ["broker"] if self.at.store_link is None else ["broker", "store"]
        kinds = [f"{link} {how}" for link in links for how in BROKEN_MODES.values()]
        kinds += [HELD] if self.at.store_link is None else []
        return [*([] if self.at.writer.kills else [KILL]), *(kind for kind in kinds if not self.outages[kind])]

    @property
    def _pace(self) -> float:
        return min(1.0, self.at.settings.seconds / PACE_S)

    async def run(self) -> None:
        """Until cancelled; raises what the program under test did wrong. Call ``mend`` afterwards."""
        dices = [random.Random(f"{self.seed} {part}") for part in ("writer", "broker", "store")]  # noqa: S311
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill(dices[0]))
            group.create_task(self._cut("broker", self.at.broker_link, dices[1]))
            if self.at.store_link is not None:
                group.create_task(self._cut("store", self.at.store_link, dices[2]))

    async def mend(self) -> None:
        """Everything whole, the program running."""
        for link in (self.at.broker_link, self.at.store_link):
            if link is not None:
                await link.set_mode(LinkMode.WHOLE)
        if not self.at.writer.is_running:
            self.at.writer.start()

    async def _kill(self, dice: random.Random) -> None:
        while True:
            await self._live(dice)
            held = dice.random() < HELD_SHARE or not self.outages[HELD]
            await self.at.writer.kill()
            if held and self.at.store_link is None and self.at.series_file.exists():
                self.outages[HELD] += 1
                await self.at.writer.refused_while_held(self.at.series_file)
            self.at.writer.start()

    async def _live(self, dice: random.Random) -> None:
        if dice.random() < YOUNG_SHARE:
            await asyncio.sleep(self._pace * dice.uniform(*YOUNG_S))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(UP_S):
                while not await asyncio.to_thread(answers, self.at.api):  # noqa: ASYNC110  (another process)
                    await asyncio.sleep(LOOK_S)
        await asyncio.sleep(self._pace * dice.uniform(*GROWN_S))

    async def _cut(self, what: str, link: Link, dice: random.Random) -> None:
        modes: list[LinkMode] = []
        while True:
            await asyncio.sleep(self._pace * dice.uniform(*WHOLE_S))
            mode = (modes := modes or dice.sample([*BROKEN_MODES], len(BROKEN_MODES))).pop()
            await link.set_mode(mode)
            self.outages[f"{what} {BROKEN_MODES[mode]}"] += 1
            await asyncio.sleep(dice.uniform(*BROKEN_S))
            await link.set_mode(LinkMode.WHOLE)
