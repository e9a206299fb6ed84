"""The live bus keeps the newest Frame whatever the order of arrival; the board counts and stays bounded."""

from __future__ import annotations

import asyncio

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
