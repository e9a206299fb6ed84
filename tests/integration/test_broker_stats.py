"""A broker whose queue overflows: what it dropped is counted, alarmed, found out after a restart, and forgotten in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from mosquitto_server import MosquittoServer
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from collector.broker_stats import DROPPED, STANDS_S, BrokerStats, Count
from plant.ports import Health
from plant.site import Endpoint
from potwatt.board import Board
from potwatt.clock import SystemClock

QUEUE = 10
S = 1_000_000_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoServer]:
    server = MosquittoServer(tmp_path / "broker", f"max_queued_messages {QUEUE}", "sys_interval 1")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def quiet_broker(tmp_path: Path) -> Iterator[MosquittoServer]:
    server = MosquittoServer(tmp_path / "quiet", "sys_interval 0")
    server.start()
    yield server
    server.stop()


def client(broker: MosquittoServer, name: str) -> Client:
    made = Client(CallbackAPIVersion.VERSION2, name, clean_session=False, protocol=MQTTProtocolVersion.MQTTv311)
    made.connect("127.0.0.1", broker.port)
    made.loop_start()
    return made


def overflow(broker: MosquittoServer, count: int) -> None:
    """A session that is away, and more messages for it than its queue takes."""
    away = client(broker, "away")
    away.subscribe("plant/#", 1)
    leave(away)
    send(broker, count)


def send(broker: MosquittoServer, count: int) -> None:
    sender = client(broker, "sender")
    for number in range(count):
        sender.publish("plant/meter", str(number), 1).wait_for_publish(10)
    leave(sender)


def until_told(broker: MosquittoServer, count: int) -> None:
    """Return when the broker has told its count, which it keeps for whoever subscribes next."""
    told = threading.Event()
    asking = client(broker, "asking")
    asking.on_message = lambda _client, _data, message: told.set() if int(message.payload) >= count else None
    asking.subscribe(DROPPED, 0)
    assert told.wait(20)
    leave(asking)


def leave(one: Client) -> None:
    one.disconnect()
    one.loop_stop()


@asynccontextmanager
async def listening(broker: MosquittoServer, folder: Path) -> AsyncIterator[Callable[[], Health | None]]:
    board = Board()
    endpoint = Endpoint("main", "mqtt", "127.0.0.1", broker.port, timeout_s=5.0)
    stats = BrokerStats(endpoint, "p", clock=SystemClock(), health=board, secrets={}, state_dir=folder)
    task = asyncio.create_task(stats.run())
    try:
        yield lambda: next((h for h in board.all() if h.part == "broker-queues:main"), None)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(health: Callable[[], Health | None], true: Callable[[Health], bool]) -> Health:
    async with asyncio.timeout(30):
        while (found := health()) is None or not true(found):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


async def test_messages_that_the_broker_drops_are_told_and_found_out_after_a_restart(
    broker: MosquittoServer, tmp_path: Path
) -> None:
    state = tmp_path / "sessions"
    async with listening(broker, state) as health:
        await until(health, lambda h: h.state == "ok")
        await asyncio.to_thread(overflow, broker, QUEUE + 25)
        told = await until(health, lambda h: h.numbers.get("dropped_lately", 0) >= 25)
        assert told.state == "degraded"
        assert "max_queued_messages" in told.detail
        assert told.numbers["stored_messages"] >= QUEUE
    await asyncio.to_thread(send, broker, 12)  # nobody listens, and the queue is still full
    async with listening(broker, state) as health:
        again = await until(health, lambda h: h.numbers.get("dropped_lately", 0) >= 37)
        assert again.state == "degraded"


async def test_what_was_dropped_before_the_first_look_is_no_loss_of_ours(broker: MosquittoServer, tmp_path: Path) -> None:
    await asyncio.to_thread(overflow, broker, QUEUE + 25)
    await asyncio.to_thread(until_told, broker, 25)
    async with listening(broker, tmp_path / "sessions") as health:
        found = await until(health, lambda h: h.numbers.get("dropped_total", 0) >= 25)
        assert (found.state, found.numbers["dropped_lately"]) == ("ok", 0.0)


async def test_a_broker_that_tells_nothing_is_unknown(
    quiet_broker: MosquittoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.broker_stats.SILENT_S", 0.2)
    async with listening(quiet_broker, tmp_path / "sessions") as health:
        found = await until(health, lambda h: "tells nothing" in h.detail)
        assert found.state == "unknown"
        assert "dropped_lately" not in found.numbers


async def test_a_broker_that_is_away_is_tried_again(
    broker: MosquittoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.broker_stats.RETRY_S", 0.1)
    broker.stop()
    async with listening(broker, tmp_path / "sessions") as health:
        await until(health, lambda h: "no connection" in h.detail)
        broker.start()
        await until(health, lambda h: h.state == "ok")


def test_a_count_grows_is_started_anew_and_stands_for_an_hour() -> None:
    hour_ns = round(STANDS_S) * S
    first = Count(5)
    assert first.standing(hour_ns) == 0
    grown = first.after(8, hour_ns)
    assert grown == Count(8, 3, hour_ns)
    assert grown.after(10, hour_ns + S) == Count(10, 5, hour_ns + S), "two losses soon after each other are one alarm"
    assert grown.after(8, hour_ns + S) == grown
    anew = grown.after(2, 3 * hour_ns)
    assert anew == Count(2, 2, 3 * hour_ns), "a broker that was started anew counts from nothing"
    assert anew.standing(4 * hour_ns - 1) == 2
    assert anew.standing(4 * hour_ns) == 0
    assert anew.standing(hour_ns) == 2, "a clock that was set back hides no loss"
