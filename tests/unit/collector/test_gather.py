"""The gatherer: readings of many meters to few blocks, none lost, none twice, polling held where there is no room."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from collector.gather import READINGS_MAX, Gatherer
from collector.polled import Flags, Floats, Known, PolledMeter, Reading
from devices.catalog import shipped_profiles
from devices.dialogue import MeterAddress
from devices.maps import Profile
from plant.errors import SpoolError, SpoolFull
from plant.frame import FRAMES_MAX, FrameBlock
from plant.ports import Health
from plant.quality import ABSENT
from plant.site import Meter

DC, AC = (shipped_profiles()[name] for name in ("sim_rectifier_dc_meter", "sim_ac_meter"))
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Whole:
    """A meter of which ``refused`` quantities, counted from the first, are refused."""

    columns: int
    refused: int = 0

    @property
    def absent(self) -> Any:
        return np.arange(self.columns) < self.refused

    @property
    def is_unsure(self) -> bool:
        return False

    @property
    def serial(self) -> str:
        return ""


class Plain:
    """A dialect whose raw readings are rows of values."""

    def __init__(self) -> None:
        self.decodings = 0

    def introduce(self, profile: Profile, address: MeterAddress) -> Generator[Any, Any, Known]:
        raise NotImplementedError

    def poll(self, profile: Profile, address: MeterAddress, known: Known) -> Generator[Any, Any, Any]:
        raise NotImplementedError

    def decode(self, profile: Profile, raw: Sequence[Any]) -> tuple[Floats, Flags]:
        self.decodings += 1
        value = np.array(raw, float)
        return value, np.zeros(value.shape, np.int16)

    def refusals(self, profile: Profile, known: Known) -> str:
        return "refuses some" if known.absent.any() else ""


@dataclass
class Clock:
    """Time that passes by sleeping."""

    t_ns: int = 1_795_000_000 * SECOND_NS

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        self.t_ns += round(seconds * 1e9)
        await asyncio.sleep(0)


@dataclass
class Board:
    """Counts what it is told."""

    told: list[tuple[str, str, str]] = field(default_factory=list)
    counted: dict[str, float] = field(default_factory=dict)
    given_up: float = 0.0

    def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
        self.told.append((part, state, detail))

    def all(self) -> list[Health]:
        return []

    def count(self, name: str, labels: dict[str, str], by: float = 1.0) -> None:
        if name == "polls_given_up":
            self.given_up += by
            return
        self.counted[labels["meter"]] = self.counted.get(labels["meter"], 0) + by

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {}


class Bench:
    """A gatherer with a sink that can be full or broken."""

    def __init__(self) -> None:
        self.clock, self.board, self.dialect = Clock(), Board(), Plain()
        self.trouble: list[Exception] = []
        self.offered: list[list[FrameBlock]] = []
        self.taken: list[FrameBlock] = []
        self.gatherer = Gatherer("works", sink=self._sink, clock=self.clock, health=self.board)

    async def _sink(self, blocks: list[FrameBlock]) -> None:
        self.offered.append(blocks)
        if self.trouble:
            raise self.trouble.pop(0)
        self.taken += blocks

    def meter(self, name: str, profile: Profile = DC) -> PolledMeter:
        return PolledMeter(Meter(name, profile.id, "e"), profile, "here", self.dialect)

    def reading(self, device: PolledMeter, value: float = 1.0, after_s: int = 0, refused: int = 0) -> Reading:
        columns = len(device.profile.quantities)
        known = Whole(columns, refused)
        device.introduced(known, self.clock.t_ns)
        return Reading(device, known, self.clock.t_ns + after_s * SECOND_NS, [value] * columns, 0.01)

    async def stop_while_full(self) -> None:
        """Run until the first offer, then stop."""
        task = asyncio.create_task(self.gatherer.run())
        async with asyncio.timeout(20):
            while not self.offered:  # noqa: ASYNC110 (on what the task has caused)
                await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def hand_over(self, frames: int) -> None:
        """Run until so many Frames have been taken."""
        task = asyncio.create_task(self.gatherer.run())
        async with asyncio.timeout(20):
            while sum(map(len, self.taken)) < frames and not task.done():  # noqa: ASYNC110 (on what the task has caused)
                await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_many_meters_make_one_block_a_profile() -> None:
    bench = Bench()
    meters = [bench.meter(f"dc{i}") for i in range(300)] + [bench.meter(f"ac{i}", AC) for i in range(200)]
    for device in meters:
        await bench.gatherer.put(bench.reading(device))
    await bench.hand_over(500)
    assert [(block.profile, len(block)) for block in bench.taken] == [(DC.id, 300), (AC.id, 200)]
    assert bench.dialect.decodings == 2
    assert bench.taken[0].meters == tuple(f"dc{i}" for i in range(300))
    assert set(bench.board.counted.values()) == {1.0}
    assert len(bench.board.counted) == 500


async def test_readings_of_one_meter_keep_their_order_and_a_block_its_bound() -> None:
    bench = Bench()
    device = bench.meter("m")
    for second in range(FRAMES_MAX + 10):
        await bench.gatherer.put(bench.reading(device, after_s=second))
    await bench.hand_over(FRAMES_MAX + 10)
    assert [len(block) for block in bench.taken] == [FRAMES_MAX, 10]
    stamps = np.concatenate([block.t_ns for block in bench.taken])
    assert (np.diff(stamps) == SECOND_NS).all()
    assert bench.board.counted == {"m": FRAMES_MAX + 10}


async def test_what_a_meter_refuses_is_absent_and_told() -> None:
    bench = Bench()
    await bench.gatherer.put(bench.reading(bench.meter("m"), refused=2))
    await bench.hand_over(1)
    assert np.isnan(bench.taken[0].value[0]).tolist() == [True, True, False, False, False]
    assert bench.taken[0].quality[0].tolist() == [int(ABSENT)] * 2 + [0] * 3
    assert bench.board.told == [("meter:m", "degraded", "refuses some")]


async def test_a_state_that_stays_is_told_once_a_second() -> None:
    bench = Bench()
    device = bench.meter("m")
    for tenth in range(30):
        await bench.gatherer.put(bench.reading(device))
        await bench.hand_over(tenth + 1)
        bench.clock.t_ns += SECOND_NS // 10
    assert 2 <= len(bench.board.told) <= 5


async def test_a_full_spool_is_offered_the_same_again() -> None:
    bench = Bench()
    bench.trouble = [SpoolFull("no room"), SpoolFull("no room")]
    await bench.gatherer.put(bench.reading(bench.meter("m"), value=2.0))
    await bench.hand_over(1)
    assert len(bench.offered) == 3
    assert [block.value.tolist() for [block] in bench.offered] == [bench.taken[0].value.tolist()] * 3
    assert [state for part, state, _ in bench.board.told if part == "polling"] == ["degraded", "degraded", "ok"]


async def test_pollers_wait_while_too_much_is_in_hand() -> None:
    bench = Bench()
    device = bench.meter("m")
    for second in range(READINGS_MAX):
        await bench.gatherer.put(bench.reading(device, after_s=second))
    waiting = asyncio.create_task(bench.gatherer.put(bench.reading(device, after_s=READINGS_MAX)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await bench.hand_over(READINGS_MAX + 1)
    assert waiting.done()
    assert bench.board.counted == {"m": READINGS_MAX + 1}


async def test_a_stop_hands_over_all_that_is_in_hand() -> None:
    bench = Bench()
    device = bench.meter("m")
    for second in range(3 * FRAMES_MAX):
        await bench.gatherer.put(bench.reading(device, after_s=second))
    bench.trouble = [SpoolFull("no room")]
    await bench.stop_while_full()
    assert bench.board.counted == {"m": 3 * FRAMES_MAX}


async def test_what_finds_no_room_at_a_stop_is_counted_and_told() -> None:
    bench = Bench()
    for second in range(3):
        await bench.gatherer.put(bench.reading(bench.meter("m"), after_s=second))
    bench.trouble = [SpoolFull("no room")] * 9
    await bench.stop_while_full()
    assert bench.taken == []
    assert bench.board.given_up == 3
    assert ("polling", "degraded", "stopped with 3 readings in hand that the spool did not take in time; they are lost") in (
        bench.board.told
    )


async def test_an_error_of_the_sink_ends_it_and_loses_nothing() -> None:
    bench = Bench()
    bench.trouble = [SpoolError("the disk is gone")]
    await bench.gatherer.put(bench.reading(bench.meter("m")))
    with pytest.raises(SpoolError, match="the disk is gone"):
        await bench.gatherer.run()
    assert bench.board.counted == {}
    await bench.hand_over(1)
    assert bench.board.counted == {"m": 1}


async def test_a_value_that_no_such_meter_can_show_has_it_introduced_anew() -> None:
    bench = Bench()
    device = bench.meter("m")
    await bench.gatherer.put(bench.reading(device, value=1e12))
    await bench.hand_over(1)
    assert device.doubt is not None
    assert device.is_stranger(bench.clock.t_ns)
