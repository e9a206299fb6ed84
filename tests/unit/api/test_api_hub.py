import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from api_sample import FixedClock

from api.hub import LiveHub
from plant.errors import StoreUnavailable
from potwatt.live_bus import LiveBus


class QuickClock(FixedClock):
    """A second passes at each turn of the loop."""

    async def sleep(self, seconds: float) -> None:
        self.t_ns += int(seconds * 1e9)
        await asyncio.sleep(0)


class Builder:
    """Counts the documents built; fails while ``error`` is set."""

    def __init__(self) -> None:
        self.built = 0
        self.error: Exception | None = None

    async def __call__(self) -> dict[str, Any]:
        if self.error:
            raise self.error
        self.built += 1
        return {"n": self.built, "numpy": np.float64(0.5), "periods": {"now": {}, "last_15min": {}, "month": {"n": self.built}}}


def parsed(text: bytes) -> tuple[str, Any]:
    event, data = text.decode().strip().split("\n")
    return event.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))


async def next_event(messages: AsyncIterator[bytes], wanted: str) -> Any:
    async with asyncio.timeout(5):
        async for text in messages:
            if text.startswith(b"event: "):
                event, data = parsed(text)
                if event == wanted:
                    return data
    raise AssertionError(wanted)


@pytest.fixture
async def parts() -> AsyncIterator[tuple[LiveHub, Builder, LiveBus]]:
    builder, bus = Builder(), LiveBus()
    hub = LiveHub(builder, bus, QuickClock())
    hub.start()
    yield hub, builder, bus
    await hub.stop()


async def test_nothing_is_built_while_nobody_listens(parts: tuple[LiveHub, Builder, LiveBus]) -> None:
    _, builder, _ = parts
    for _ in range(20):
        await asyncio.sleep(0)
    assert builder.built == 0


async def test_listeners_share_one_document_a_tick(parts: tuple[LiveHub, Builder, LiveBus]) -> None:
    hub, _, _ = parts
    first, second = hub.listen(), hub.listen()
    seen = [(await next_event(first, "live"), await next_event(second, "live")) for _ in range(12)]
    # the first of each is the document as it stood when the listener came; from then on both get the same messages
    assert [a for a, _ in seen[1:]] == [b for _, b in seen[1:]]
    assert [b["n"] - a["n"] for (a, _), (b, _) in pairwise(seen[1:])] == [1] * 10


async def test_a_clock_set_back_does_not_freeze_the_document() -> None:
    builder, clock = Builder(), FixedClock()
    hub = LiveHub(builder, LiveBus(), clock)
    assert orjson.loads(await hub.document())["n"] == 1
    clock.t_ns -= 3_600 * 10**9
    assert orjson.loads(await hub.document())["n"] == 2


async def test_the_slow_periods_come_first_and_then_now_and_again(parts: tuple[LiveHub, Builder, LiveBus]) -> None:
    hub, _, _ = parts
    messages = hub.listen()
    periods = [set((await next_event(messages, "live"))["periods"]) for _ in range(40)]
    assert periods[0] == {"now", "last_15min", "month"}
    whole = [i for i, names in enumerate(periods) if "month" in names]
    assert 3 <= len(whole) <= 4
    assert all(names >= {"now", "last_15min"} for names in periods)


async def test_a_number_of_numpy_is_a_number(parts: tuple[LiveHub, Builder, LiveBus]) -> None:
    assert orjson.loads(await parts[0].document())["numpy"] == 0.5


async def test_alerts_and_progress_are_passed_on_and_other_topics_not(parts: tuple[LiveHub, Builder, LiveBus]) -> None:
    hub, _, bus = parts
    messages = hub.listen()
    await next_event(messages, "live")
    bus.announce("live", {"not": "ours"})
    bus.announce("progress", {"what": "reading", "percent": 5})
    bus.announce("alert", {"key": "e1/line-1"})
    assert await next_event(messages, "progress") == {"what": "reading", "percent": 5}
    assert await next_event(messages, "alert") == {"key": "e1/line-1"}


@pytest.mark.parametrize("error", [StoreUnavailable("influxdb is away"), ZeroDivisionError("a defect")])
async def test_a_failure_is_told_and_the_stream_goes_on(parts: tuple[LiveHub, Builder, LiveBus], error: Exception) -> None:
    hub, builder, _ = parts
    messages = hub.listen()
    await next_event(messages, "live")
    builder.error = error
    fault = await next_event(messages, "fault")
    assert ("influxdb is away" in fault["detail"]) is isinstance(error, StoreUnavailable)
    builder.error = None
    assert (await next_event(messages, "live"))["n"] >= 2


async def test_a_slow_listener_loses_the_oldest_and_holds_up_nobody(parts: tuple[LiveHub, Builder, LiveBus]) -> None:
    hub, _, _ = parts
    slow, quick = hub.listen(), hub.listen()
    await next_event(slow, "live")
    for _ in range(60):
        await next_event(quick, "live")
    assert (await next_event(slow, "live"))["n"] > 2


async def test_closing_ends_every_stream(parts: tuple[LiveHub, Builder, LiveBus]) -> None:
    hub, _, _ = parts
    messages = hub.listen()
    await next_event(messages, "live")
    hub.close_streams()
    async with asyncio.timeout(5):
        assert [text async for text in messages if b"event: fault" in text] == []
