"""Both MQTT clients where a line is hard: more waits than is held, a hold lasts, filters change, packets nobody should send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import ModuleType

import mqtt5
import pytest
from mosquitto_server import MosquittoServer
from real_servers import free_port

from collector import mqtt5_fast, mqtt311_compat
from collector.mqtt5_fast import FastLink
from collector.mqtt311_compat import CompatibleLink
from collector.mqtt_link import BrokerSettings, Link, Session
from plant.errors import TransportError
from potwatt.clock import SystemClock

MODULES = {5: mqtt5_fast, 4: mqtt311_compat}
WAIT_S = 15.0


@pytest.fixture(params=[5, 4], ids=["mqtt5-fast", "mqtt311-aiomqtt"])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def module(version: int) -> ModuleType:
    return MODULES[version]


@pytest.fixture
def make(version: int, mosquitto: MosquittoServer) -> Callable[..., Link]:
    def link(**changes: object) -> Link:
        settings = BrokerSettings("127.0.0.1", mosquitto.port, "reader", ("plant/#",), 2.0)
        made = FastLink if version == 5 else CompatibleLink
        return made(replace(settings, **changes), SystemClock())  # type: ignore[arg-type]

    return link


async def publish(port: int, topic: str, payloads: list[bytes]) -> None:
    """QoS 1, all in one write; returns when the broker has acknowledged the last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(mqtt5.ConnectPacket("publisher").write())
    packets = [mqtt5.PublishPacket(topic, p, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=n) for n, p in enumerate(payloads, 1)]
    writer.write(b"".join(p.write() for p in packets))
    rest, acknowledged = b"", 0
    async with asyncio.timeout(WAIT_S):
        while acknowledged < len(payloads):
            rest += await reader.read(2**16)
            while rest:
                try:
                    packet, used = mqtt5.read(memoryview(rest))
                except IndexError:
                    break
                rest = rest[used:]
                acknowledged += isinstance(packet, mqtt5.PubAckPacket)
    writer.close()


async def received(link: Link, count: int) -> list[bytes]:
    """Payloads, each acknowledged."""
    found: list[bytes] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            deliveries = await link.receive()
            found += [d.payload for d in deliveries]
            link.acknowledge(deliveries)
    return found


async def test_more_waits_at_the_broker_than_is_held(
    make: Callable[..., Link], mosquitto: MosquittoServer, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make()
    await first.open()
    await first.close()
    payloads = [b"%d" % n + b" " * 4_000 for n in range(3_000)]
    await publish(mosquitto.port, "plant/a", payloads)
    monkeypatch.setattr(module, "HELD_MAX", 200)
    again = make()
    assert await again.open() is Session.RESUMED
    assert await received(again, len(payloads)) == payloads
    await again.close()


async def test_a_hold_longer_than_the_keep_alive_does_not_cost_the_line(
    make: Callable[..., Link], mosquitto: MosquittoServer, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_MAX", 5)
    monkeypatch.setattr(module, "KEEP_ALIVE_S", 1)
    link = make()
    await link.open()
    await publish(mosquitto.port, "plant/a", [b"%d" % n for n in range(5)])
    await asyncio.sleep(4.5)
    await publish(mosquitto.port, "plant/a", [b"%d" % n for n in range(5, 20)])
    assert await received(link, 20) == [b"%d" % n for n in range(20)], "each once, on one line"
    await link.close()


async def test_what_is_withdrawn_does_not_come_any_more(make: Callable[..., Link], mosquitto: MosquittoServer) -> None:
    wide = make(topics=("plant/#",))
    await wide.open()
    await wide.close()
    narrow = make(topics=("plant/a",), withdrawn=("plant/#",))
    assert await narrow.open() is Session.RESUMED
    await publish(mosquitto.port, "plant/b", [b"not wanted"])
    await publish(mosquitto.port, "plant/a", [b"wanted"])
    assert await received(narrow, 1) == [b"wanted"]
    await narrow.close()


async def scripted(version: int, *answers: bytes) -> tuple[asyncio.Server, int, bytearray]:
    """A broker that says what it is told to after CONNECT; what it hears afterwards."""
    heard, port = bytearray(), free_port()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(2**16)
        writer.write(bytes((0x20, 3, 1, 0, 0) if version == 5 else (0x20, 2, 1, 0)) + b"".join(answers))
        with suppress(asyncio.CancelledError):  # the test is over first
            while data := await reader.read(2**16):
                heard.extend(data)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port), port, heard


@pytest.mark.parametrize(("code", "said"), [(0x87, "not authorized"), (0x9E, "shared subscriptions not supported")])
async def test_the_reason_for_no_subscription_is_named(code: int, said: str) -> None:
    server, port, _ = await scripted(5, bytes((0x90, 4, 0, 1, 0, code)))
    settings = BrokerSettings("127.0.0.1", port, "reader", ("plant/#",), 2.0, shared_group="g")
    async with server:
        link = FastLink(settings, SystemClock())
        with pytest.raises(TransportError, match=rf"no subscription to \$share/g/plant/# \({said}\)") as caught:
            await link.open()
        assert ("access list" in str(caught.value)) == (code == 0x87)
        await link.close()


async def test_a_refusal_behind_a_full_hold_ends_the_line_once_it_is_read(
    version: int, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_MAX", 3)
    properties, count = (b"\x00", 60_000) if version == 5 else (b"", 500)  # more than MQTT 5 takes from the socket at once
    body = b"\x00\x01a\x00\x07" + properties
    message = bytes((0x32, len(body))) + body
    suback = bytes((0x90, 4, 0, 1, 0, 0x80)) if version == 5 else bytes((0x90, 3, 0, 1, 0x80))
    server, port, _ = await scripted(version, message * count, suback)
    async with server:
        made = FastLink if version == 5 else CompatibleLink
        link = made(BrokerSettings("127.0.0.1", port, "reader", ("plant/#",), 2.0), SystemClock())
        assert await link.open() is Session.RESUMED
        with pytest.raises(TransportError, match=r"no subscription to plant/# \(unspecified error\)"):
            await received(link, 1_000_000)
        await link.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the codec tells Python what it died of
async def test_a_topic_that_is_no_utf_8_is_told_and_acknowledged() -> None:
    wrong = b"\x00\x02a\xff\x00\x07\x00payload"
    right = b"\x00\x01a\x00\x08\x00next"
    packets = [bytes((head, len(body))) + body for head, body in ((0x32, wrong), (0x3A, wrong), (0x32, right))]
    server, port, heard = await scripted(5, bytes((0x90, 4, 0, 1, 0, 1)), *packets)
    async with server:
        link = FastLink(BrokerSettings("127.0.0.1", port, "reader", ("#",), 2.0), SystemClock())
        await link.open()
        deliveries = await link.receive()
        assert [(d.topic, d.payload, d.packet_id, d.sent_again) for d in deliveries] == [
            ("a\\xff", b"payload", 7, False),
            ("a\\xff", b"payload", 7, True),
            ("a", b"next", 8, False),
        ]
        link.acknowledge(deliveries)
        async with asyncio.timeout(WAIT_S):
            while not heard.endswith(b"\x40\x02\x00\x07\x40\x02\x00\x07\x40\x02\x00\x08"):  # noqa: ASYNC110 - a socket's other end
                await asyncio.sleep(0.02)
        await link.close()
