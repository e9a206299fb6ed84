"""From the readings of all polled meters to blocks: one decoding, one screening and one fsync for many meters.

Readings of a short while, of whatever endpoints, make one block a profile. They count only once the sink has returned; what
it refuses for want of room is offered again, and polling waits meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import numpy as np

from collector.polled import Doubt, Reading, doubt_of
from collector.screen import ScreenRules, screen
from plant.errors import SpoolFull
from plant.frame import FRAMES_MAX, FrameBlock
from plant.ports import Clock, HealthBoard
from plant.quality import ABSENT, Quality

Sink = Callable[[list[FrameBlock]], Awaitable[None]]

GATHER_S = 0.05
SPOOL_FULL_WAIT_S = 0.5
LAST_HAND_OVER_S = 2.0
READINGS_MAX = 4 * FRAMES_MAX  # read and not yet durable; pollers wait beyond


class Gatherer:
    """Takes the readings of any number of pollers and hands them to ``sink`` as blocks, until cancelled.

    ``sink`` returns when they are durable. ``health`` gets the counter ``polls_durable``, the state of every meter that
    was read, and ``polling`` when the spool holds everything up.
    """

    def __init__(self, plant: str, *, sink: Sink, clock: Clock, health: HealthBoard) -> None:
        self._plant, self._sink, self._clock, self._health = plant, sink, clock, health
        self._waiting: list[Reading] = []
        self._filled, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._rules: dict[str, ScreenRules] = {}
        self._held_up = False

    async def put(self, reading: Reading) -> None:
        """Take a reading; wait while too many are in hand."""
        while not self._room.is_set():
            await self._room.wait()
        self._waiting.append(reading)
        if len(self._waiting) >= READINGS_MAX:
            self._room.clear()
        if not self._filled.is_set():
            self._filled.set()

    async def run(self) -> None:
        """Until cancelled; then what is in hand is handed over, and what finds no room is counted. An error of the sink ends it
        and loses nothing: run again, it begins with the same readings."""
        try:
            while True:
                await self._filled.wait()
                await self._clock.sleep(GATHER_S)
                await self._deliver()
        except asyncio.CancelledError:
            await self._hand_over_the_last()
            raise

    async def _hand_over_the_last(self) -> None:
        with suppress(TimeoutError, SpoolFull):
            async with asyncio.timeout(LAST_HAND_OVER_S):
                while self._waiting:
                    await self._hand_over()
        for reading in self._waiting:
            self._health.count("polls_given_up", reading.device.labels)
        if self._waiting:
            detail = f"stopped with {len(self._waiting)} readings in hand that the spool did not take in time; they are lost"
            self._health.set("polling", "degraded", detail)

    async def _deliver(self) -> None:
        """Offer what is in hand until it is taken."""
        while self._waiting:
            try:
                await self._hand_over()
            except SpoolFull as error:
                self._held_up = True
                self._health.set("polling", "degraded", f"polling waits: {error}")
                await self._clock.sleep(SPOOL_FULL_WAIT_S)
        if self._held_up:
            self._held_up = False
            self._health.set("polling", "ok", "readings are taken")

    async def _hand_over(self) -> None:
        readings = self._waiting[:FRAMES_MAX]
        if not readings:
            return
        groups = _by_profile(readings)
        blocks = [_block(self._plant, group) for group in groups]
        await self._sink(blocks)
        del self._waiting[: len(readings)]
        self._room.set()
        if not self._waiting:
            self._filled.clear()
        now_ns = self._clock.now_ns()
        for group, block in zip(groups, blocks, strict=True):
            self._account(group, self._doubts(group, block), now_ns)

    def _account(self, group: Sequence[Reading], doubts: dict[int, Doubt], now_ns: int) -> None:
        for row, reading in enumerate(group):
            device = reading.device
            device.good += 1
            device.last_good_ns = reading.t_ns
            self._health.count("polls_durable", device.labels)
            device.judge(doubts.get(row))
        for device, reading in {r.device: r for r in group}.items():
            state, detail = device.state()
            device.tell(self._health, now_ns, state, detail, round_trip_ms=reading.round_trip_s * 1e3)

    def _doubts(self, group: Sequence[Reading], block: FrameBlock) -> dict[int, Doubt]:
        """By row, for the few rows that have any."""
        rules = self._rules.get(block.profile)
        if rules is None:
            rules = self._rules[block.profile] = ScreenRules.of(group[0].device.profile)
        quality = screen(block, rules).quality
        suspect = np.flatnonzero(((quality & int(Quality.INVALID)) != 0).any(axis=1)).tolist()
        found = ((row, doubt_of(block.quantities, group[row].known.absent, quality[row])) for row in suspect)
        return {row: doubt for row, doubt in found if doubt is not None}


def _by_profile(readings: Sequence[Reading]) -> list[list[Reading]]:
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.device.profile.id, []).append(reading)
    return list(groups.values())


def _block(plant: str, readings: Sequence[Reading]) -> FrameBlock:
    """Readings of one profile, in their order."""
    device = readings[0].device
    profile = device.profile
    value, quality = device.dialect.decode(profile, [r.raw for r in readings])
    absent = np.stack([r.known.absent for r in readings])
    value[absent], quality[absent] = np.nan, int(ABSENT)
    place: dict[str, int] = {}
    index = [place.setdefault(r.device.meter.id, len(place)) for r in readings]
    return FrameBlock(
        plant,
        profile.id,
        profile.quantities,
        tuple(place),
        np.array(index, np.int32),
        np.array([r.t_ns for r in readings], np.int64),
        value,
        quality,
    )
