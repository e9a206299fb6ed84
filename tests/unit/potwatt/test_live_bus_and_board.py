"""The live bus keeps the newest Frame whatever the order of arrival; the board counts and stays bounded."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plant.frame import FrameBlock
from potwatt import board as board_module
from potwatt.board import Board
from potwatt.live_bus import LISTENER_BACKLOG, LiveBus

MS = 1_000_000


def block(times_ms: list[int], meters: list[int], event_ids: tuple[str, ...] = ()) -> FrameBlock:
    n = len(times_ms)
    value = np.array(times_ms, float).reshape(n, 1)
    return FrameBlock(
        "p", "meter", ("active_power",), ("m0", "m1", "m2"), np.array(meters, np.int32), np.array(times_ms, np.int64) * MS,
        value, np.zeros((n, 1), np.int16), event_ids,
    )  # fmt: skip


def test_a_frame_that_speaks_of_other_quantities_leaves_the_rest_as_they_were() -> None:
    bus = LiveBus()
    power, late_power = block([5], [0]), block([7], [0])
    for one in (
        power,
        replace(block([6], [0]), quantities=("voltage_l1_n",)),
        replace(block([4], [0]), quantities=("frequency",)),
    ):
        bus.publish(one)
    latest = bus.latest()["m0"]
    assert (latest.t_ns // MS, latest.value) == (6, {"frequency": 4.0, "active_power": 5.0, "voltage_l1_n": 6.0})
    bus.publish(late_power)
    assert bus.latest()["m0"].value["active_power"] == 7.0


@given(st.lists(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 2)), max_size=8), max_size=6))
def test_latest_is_the_newest_in_any_order(batches: list[list[tuple[int, int]]]) -> None:
    bus = LiveBus()
    newest: dict[str, int] = {}
    for batch in batches:
        bus.publish(block([t for t, _ in batch], [m for _, m in batch]))
        for t, m in batch:
            newest[f"m{m}"] = max(newest.get(f"m{m}", -1), t)
    latest = bus.latest()
    assert {name: frame.t_ns // MS for name, frame in latest.items()} == newest
    assert all(frame.value["active_power"] == newest[name] for name, frame in latest.items())


class SetClock:
    """A clock that a test sets."""

    def __init__(self, t_ms: int) -> None:
        self.t_ms = t_ms

    def now_ns(self) -> int:
        return self.t_ms * MS

    async def sleep(self, seconds: float) -> None:
        self.t_ms += round(1_000 * seconds)


def at(bus: LiveBus, clock: SetClock, now_ms: int, stamp_ms: int) -> tuple[int, int]:
    """(stamp, receipt) in ms of the newest Frame after one stamped ``stamp_ms`` has come at ``now_ms``."""
    clock.t_ms = now_ms
    bus.publish(block([stamp_ms], [0]))
    frame = bus.latest()["m0"]
    return frame.t_ns // MS, frame.received_ns // MS


def test_a_frame_counts_from_its_receipt_whatever_its_own_clock_says() -> None:
    clock = SetClock(0)
    bus = LiveBus(clock)
    assert at(bus, clock, 10_000, 3_610_000) == (3_610_000, 10_000)  # an hour ahead
    assert bus.latest()["m0"].is_fresh(40_000 * MS, 30.0)
    assert not bus.latest()["m0"].is_fresh(40_001 * MS, 30.0)
    assert not bus.latest()["m0"].is_fresh(9_999 * MS, 30.0), "what comes in the future proves nothing"
    assert at(bus, clock, 20_000, 20_000) == (20_000, 20_000)  # set right: its Frames are the newest again
    assert at(bus, clock, 21_000, 15_000) == (20_000, 20_000)  # late
    assert at(bus, clock, 22_000, 20_000) == (20_000, 20_000)  # the same reading again is no sign of life


def test_behind_its_time_a_meter_is_alive_from_its_second_frame_on() -> None:
    clock = SetClock(0)
    bus = LiveBus(clock)
    assert at(bus, clock, 3_600_000, 1_000) == (1_000, 1_000)  # it may have lain in a broker for an hour
    assert at(bus, clock, 3_601_000, 2_000) == (2_000, 3_601_000)


def test_events_are_no_live_values() -> None:
    bus = LiveBus()
    bus.publish(block([1], [0], ("tap-1",)))
    assert bus.latest() == {}


async def test_a_slow_listener_loses_the_oldest_and_a_gone_one_is_forgotten() -> None:
    bus = LiveBus()
    listener = bus.listen()
    first = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    for i in range(LISTENER_BACKLOG + 5):
        bus.announce("live", {"i": i})
    # all announcements came before the listener ran: the first five of them are lost
    assert (await first)[1]["i"] == 5
    assert (await anext(listener))[1]["i"] == 6
    await listener.aclose()
    bus.announce("live", {"i": -1})
    assert not bus._listeners


def test_a_state_keeps_since_when_it_holds_and_counters_are_bounded() -> None:
    board = Board()
    board.set("store", "down", "no answer")
    (before,) = board.all()
    board.set("store", "down", "still no answer", waiting=3.0)
    (after,) = board.all()
    assert after.since == before.since
    assert (after.detail, after.numbers) == ("still no answer", {"waiting": 3.0})
    board.set("store", "ok", "writes")
    assert board.all()[0].since >= before.since
    for i in range(board_module.COUNTERS_MAX + 10):
        board.count("polls", {"meter": str(i)})
    board.count("polls", {"meter": "0"}, 2.0)
    counters = board.counters()
    assert len(counters) == board_module.COUNTERS_MAX
    assert counters["polls", (("meter", "0"),)] == 3.0
