"""One suite over both MQTT clients against a real broker: durable before acknowledged, nothing lost, nothing stalls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import aiomqtt
import pytest
from mosquitto_server import MosquittoServer
from real_servers import free_port, program

from collector.mqtt import MqttSource, Sink
from collector.quarantine import Quarantine
from devices.maps import Profile
from devices.payload_map import PayloadMap, PayloadPoint, PayloadTime
from plant.errors import SpoolFull
from plant.frame import FrameBlock
from plant.ports import Health
from plant.site import Endpoint, Meter
from potwatt.board import Board
from potwatt.clock import SystemClock

T0_MS = 1_795_000_000_000
WAIT_S = 15.0
FEEDER = Profile(
    id="feeder",
    title="Feeder meter of the tests",
    kind="meter",
    source="this file",
    caveats=(),
    verified=False,
    golden_origin="",
    modbus=None,
    mqtt=PayloadMap(
        (PayloadPoint("active_power", "/p_w", Fraction(1, 1000)), PayloadPoint("energy_import", "/e/imp", Fraction(1))),
        PayloadTime("/ts", "unix_ms"),
    ),
    limits={},
    checks=(),
)
assert FEEDER.mqtt is not None
TIMELESS = replace(FEEDER, id="timeless", mqtt=replace(FEEDER.mqtt, time=None))
assert TIMELESS.mqtt is not None
NUMBERED = replace(TIMELESS, id="numbered", mqtt=replace(TIMELESS.mqtt, sequence="/e/imp"))
METERS = (
    Meter("f-1", "feeder", "broker", topic="plant/f-1", silent_after_s=60),
    Meter("f-2", "feeder", "broker", topic="plant/f-2", silent_after_s=60),
    Meter("t-1", "timeless", "broker", topic="plant/t-1", silent_after_s=60),
    Meter("n-1", "numbered", "broker", topic="plant/n-1", silent_after_s=60),
)


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.blocks: list[FrameBlock] = []

    async def __call__(self, blocks: list[FrameBlock]) -> None:
        self.blocks += blocks

    def numbers(self, meter: str = "f-1") -> list[int]:
        """``energy_import`` of the readings of a meter, in order of arrival."""
        return [int(b.value[row, 1]) for b in self.blocks for row in range(len(b)) if b.meter_of(row) == meter]


class Bench:
    """Broker, board and quarantine of one test; sources of the version under test."""

    def __init__(self, version: int, server: MosquittoServer, directory: Path) -> None:
        self.server, self.board, self.clock, self.directory = server, Board(), SystemClock(), directory
        self.quarantine = Quarantine(directory / "quarantine", self.clock, self.board)
        self.endpoint = Endpoint(
            "broker",
            "mqtt",
            "127.0.0.1",
            server.port,
            timeout_s=5.0,
            client_id="collector",
            mqtt_version=version,
            topics=("plant/#",),
        )
        self.secrets: dict[str, str] = {}

    @asynccontextmanager
    async def source(self, sink: Sink, client_id: str = "collector") -> AsyncIterator[None]:
        """A running source; leaving cancels it, unacknowledged messages stay with the broker."""
        source = MqttSource(
            replace(self.endpoint, client_id=client_id),
            METERS,
            {"feeder": FEEDER, "timeless": TIMELESS, "numbered": NUMBERED},
            plant="smelter",
            sink=sink,
            quarantine=self.quarantine,
            clock=self.clock,
            health=self.board,
            secrets=self.secrets,
            state_dir=self.directory / "state" / client_id,
            folder=self.directory,
        )
        task = asyncio.create_task(source.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def connected(self) -> None:
        """Wait until the board says so."""
        await until(lambda: self.broker().detail.startswith("connected"))

    def broker(self) -> Health:
        """State of the broker."""
        return next((h for h in self.board.all() if h.part == "broker:broker"), Health("", "unknown", None, ""))  # type: ignore[arg-type]

    def counted(self, name: str) -> float:
        """Sum of a counter."""
        return sum(value for (key, _), value in self.board.counters().items() if key == name)

    async def publish(self, numbers: range, topic: str = "plant/f-1", retain: bool = False) -> None:
        """Numbered readings, QoS 1; returns when the broker has acknowledged them."""
        await self.publish_raw([reading(n) for n in numbers], topic, retain)

    async def publish_raw(self, payloads: list[bytes], topic: str = "plant/f-1", retain: bool = False) -> None:
        """The same with ready payloads."""
        async with aiomqtt.Client("127.0.0.1", self.server.port) as client:
            for payload in payloads:
                await client.publish(topic, payload, qos=1, retain=retain)


def reading(n: int) -> bytes:
    return json.dumps({"ts": T0_MS + n, "p_w": 1500, "e": {"imp": n}}).encode()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is the board's or the sink's
            await asyncio.sleep(0.02)


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


@pytest.fixture(params=[5, 4], ids=["mqtt5-fast", "mqtt311-aiomqtt"])
def bench(request: pytest.FixtureRequest, mosquitto: MosquittoServer, tmp_path: Path) -> Bench:
    return Bench(request.param, mosquitto, tmp_path)


async def test_readings_arrive_in_order_and_in_canonical_units(bench: Bench) -> None:
    kept = Kept()
    async with bench.source(kept):
        await bench.connected()
        await bench.publish(range(300))
        await bench.publish(range(5), "plant/f-2")
        await until(lambda: len(kept.numbers()) == 300 and len(kept.numbers("f-2")) == 5)
    assert kept.numbers() == list(range(300))
    first = kept.blocks[0]
    assert (first.plant, first.profile, first.meter_of(0)) == ("smelter", "feeder", "f-1")
    assert first.t_ns[0] == T0_MS * 1_000_000
    assert first.value[0, 0] == 1.5


async def test_what_was_acknowledged_does_not_come_again(bench: Bench) -> None:
    kept = Kept()
    async with bench.source(kept):
        await bench.connected()
        await bench.publish(range(50))
        await until(lambda: len(kept.numbers()) == 50)
        await asyncio.sleep(0.1)  # the acknowledgements leave
    again = Kept()
    async with bench.source(again):
        await bench.connected()
        await bench.publish(range(50, 51))
        await until(lambda: again.numbers() != [])
    assert again.numbers() == [50]


async def test_what_was_not_durable_comes_again(bench: Bench) -> None:
    offered: list[FrameBlock] = []

    async def never_durable(blocks: list[FrameBlock]) -> None:
        offered.extend(blocks)
        await asyncio.Event().wait()

    async with bench.source(never_durable):
        await bench.connected()
        await bench.publish(range(40))
        await until(lambda: offered != [])
    kept = Kept()
    async with bench.source(kept):
        await until(lambda: len(kept.numbers()) >= 40)
    assert kept.numbers() == list(range(40))


async def test_the_broker_keeps_what_is_published_while_nobody_listens(bench: Bench) -> None:
    async with bench.source(Kept()):
        await bench.connected()
    await bench.publish(range(30))
    kept = Kept()
    async with bench.source(kept):
        await until(lambda: len(kept.numbers()) == 30)
    assert kept.numbers() == list(range(30))


async def test_poison_goes_to_quarantine_and_does_not_come_again(bench: Bench) -> None:
    poison = [b"\x00\xff", b'{"ts": "yesterday"}', b"[]"]
    kept = Kept()
    async with bench.source(kept):
        await bench.connected()
        await bench.publish_raw([poison[0], reading(1), poison[1], poison[2], reading(2)])
        await until(lambda: kept.numbers() == [1, 2])
    entries = await bench.quarantine.entries()
    assert [e["payload"] for e in entries] == poison
    assert "f-1 (feeder): /ts: found 'yesterday'" in str(entries[1]["reason"])
    async with bench.source(kept):
        await bench.connected()
        await bench.publish(range(3, 4))
        # the acknowledgement of what came last before the end may have been lost with it
        await until(lambda: list(dict.fromkeys(kept.numbers())) == [1, 2, 3])
    assert bench.counted("quarantined") == 3


async def test_a_full_spool_makes_messages_wait(bench: Bench) -> None:
    kept, refusals = Kept(), iter([True, True])

    async def sometimes_full(blocks: list[FrameBlock]) -> None:
        if next(refusals, False):
            raise SpoolFull("the spool holds 8 of 8 MiB")
        await kept(blocks)

    async with bench.source(sometimes_full):
        await bench.connected()
        await bench.publish(range(20))
        await until(lambda: "messages wait at the broker: the spool holds" in bench.broker().detail)
        await until(lambda: len(kept.numbers()) == 20)
        await until(lambda: bench.broker().state == "ok")
    assert kept.numbers() == list(range(20))


async def test_retained_message_without_time_is_left_alone(bench: Bench) -> None:
    await bench.publish(range(7, 8), "plant/t-1", retain=True)
    kept = Kept()
    async with bench.source(kept):
        await bench.connected()
        await bench.publish(range(1), "plant/t-1")
        await until(lambda: kept.numbers("t-1") != [])
    assert kept.numbers("t-1") == [0]
    # MQTT 5 has a way to ask for none, 3.1.1 does not
    assert bench.counted("mqtt_stale_retained") == (1 if bench.endpoint.mqtt_version == 4 else 0)


async def test_messages_without_time_that_wait_for_a_full_spool_keep_their_own_instants(bench: Bench) -> None:
    kept, refusals = Kept(), iter([True, True])

    async def sometimes_full(blocks: list[FrameBlock]) -> None:
        if next(refusals, False):
            raise SpoolFull("the spool holds 8 of 8 MiB")
        await kept(blocks)

    async with bench.source(sometimes_full):
        await bench.connected()
        await bench.publish(range(20), "plant/t-1")
        published_ns = bench.clock.now_ns()
        await until(lambda: len(kept.numbers("t-1")) == 20)
    t_ns = [t for b in kept.blocks for t in b.t_ns.tolist()]
    assert t_ns == sorted(set(t_ns)), "each an instant of its own"
    assert t_ns[-1] < published_ns + 500_000_000, "the receipt, not the end of the waiting"


async def test_messages_without_time_from_while_we_were_away_are_not_now(bench: Bench) -> None:
    async with bench.source(Kept()):
        await bench.connected()
    await bench.publish(range(10), "plant/t-1")
    await bench.publish(range(10), "plant/f-1")
    kept = Kept()
    async with bench.source(kept):
        await until(lambda: len(kept.numbers()) == 10 and bench.counted("mqtt_stale_retained") == 10)
        await asyncio.sleep(0.3)
        await bench.publish(range(10, 11), "plant/t-1")
        await until(lambda: kept.numbers("t-1") != [])
    assert kept.numbers("t-1") == [10]


async def test_a_message_larger_than_any_record_goes_to_quarantine_and_the_next_comes(bench: Bench) -> None:
    kept = Kept()
    async with bench.source(kept):
        await bench.connected()
        await bench.publish_raw([b" " * 300_000 + reading(1), reading(2)])
        await until(lambda: kept.numbers() == [2])
    (entry,) = await bench.quarantine.entries()
    assert "at most 262144 are read" in str(entry["reason"])


async def test_topic_of_no_meter_is_named_and_acknowledged(bench: Bench) -> None:
    kept = Kept()
    async with bench.source(kept):
        await bench.connected()
        await bench.publish(range(1), "plant/stranger")
        await bench.publish(range(1))
        await until(lambda: "plant/stranger" in bench.broker().detail)
    assert kept.numbers() == [0]
    assert bench.counted("mqtt_unknown_topics") == 1


async def test_broker_restart_loses_nothing(bench: Bench) -> None:
    kept = Kept()
    async with bench.source(kept):
        await bench.connected()
        await bench.publish(range(10))
        await until(lambda: len(kept.numbers()) == 10)
        bench.server.stop()
        await until(lambda: bench.broker().state == "down")
        bench.server.start()
        await bench.publish(range(10, 20))
        await until(lambda: len(set(kept.numbers())) == 20)
        assert bench.broker().detail == "connected"


async def test_forgotten_session_is_an_alarm(bench: Bench) -> None:
    async with bench.source(Kept()):
        await bench.connected()
        bench.server.stop()
        bench.server.forget()
        bench.server.start()
        await until(lambda: "had forgotten our session" in bench.broker().detail)
        assert bench.broker().state == "degraded"
    assert bench.counted("mqtt_sessions_lost") == 1


async def test_a_session_forgotten_while_we_were_away_is_an_alarm_that_outlives_a_restart(bench: Bench) -> None:
    async with bench.source(Kept()):
        await bench.connected()
    bench.server.stop()
    bench.server.forget()
    bench.server.start()
    for _ in range(2):
        async with bench.source(Kept()):
            await until(lambda: "had forgotten our session" in bench.broker().detail)
            assert bench.broker().numbers["session_lost_s"] > 0
        bench.board.set("broker:broker", "unknown", "")
    assert bench.counted("mqtt_sessions_lost") == 1


async def test_collectors_of_a_group_share_the_stream(bench: Bench) -> None:
    bench.endpoint = replace(bench.endpoint, shared_group="potwatt")
    one, other = Kept(), Kept()
    async with bench.source(one, "one"), bench.source(other, "other"):
        await until(lambda: bench.counted("mqtt_connections") == 2)
        await bench.publish(range(200))
        await until(lambda: len(one.numbers()) + len(other.numbers()) == 200)
        assert "shares the stream of group potwatt" in bench.broker().detail
    assert sorted(one.numbers() + other.numbers()) == list(range(200))
    assert one.numbers()
    assert other.numbers()


async def test_a_filter_that_the_site_file_dropped_is_withdrawn(bench: Bench) -> None:
    async with bench.source(Kept()):
        await bench.connected()
    bench.endpoint = replace(bench.endpoint, topics=("plant/+",))
    kept = Kept()
    async with bench.source(kept):
        await until(lambda: bench.counted("mqtt_connections") == 2)
        await bench.publish(range(1), "plant/wider/still")
        await bench.publish(range(5))
        await until(lambda: len(kept.numbers()) >= 5)
    assert kept.numbers() == list(range(5)), "each once: two filters that overlap bring two copies"
    assert bench.counted("mqtt_unknown_topics") == 0


async def test_quality_of_service_0_is_taken_and_told_to_be_lossy(bench: Bench) -> None:
    bench.endpoint = replace(bench.endpoint, qos=0)
    kept = Kept()
    async with bench.source(kept):
        await until(lambda: "qos = 0" in bench.broker().detail)
        await bench.publish(range(20))
        await until(lambda: len(kept.numbers()) == 20)
    await bench.publish(range(20, 30))
    async with bench.source(kept):
        await until(lambda: bench.counted("mqtt_connections") == 2)
        await bench.publish(range(30, 31))
        await until(lambda: 30 in kept.numbers())
    assert kept.numbers() == [*range(20), 30], "nobody keeps what is sent while we are away"


async def test_a_numbered_message_without_time_keeps_its_instant_when_it_comes_again(bench: Bench) -> None:
    offered: list[FrameBlock] = []

    async def never_acknowledged(blocks: list[FrameBlock]) -> None:
        offered.extend(blocks)
        await asyncio.Event().wait()

    async with bench.source(never_acknowledged):
        await bench.connected()
        await bench.publish(range(20), "plant/n-1")
        await until(lambda: offered != [])
    seen = {int(b.value[row, 1]): int(b.t_ns[row]) for b in offered for row in range(len(b))}
    kept = Kept()
    async with bench.source(kept):
        await until(lambda: len(kept.numbers("n-1")) >= len(seen))
    again = {int(b.value[row, 1]): int(b.t_ns[row]) for b in kept.blocks for row in range(len(b))}
    assert {n: again[n] for n in seen} == seen


async def test_numbers_that_never_came_are_counted_and_told(bench: Bench) -> None:
    kept = Kept()
    async with bench.source(kept):
        await bench.connected()
        await bench.publish_raw([reading(n) for n in (5, 6, 9, 10, 7, 8, 9, 10, 11, 0, 1)], "plant/n-1")
        await until(lambda: len(set(kept.numbers("n-1"))) == 9)
        await until(lambda: any("2 messages never came" in h.detail for h in bench.board.all() if h.part == "meter:n-1"))
    assert bench.counted("mqtt_sequence_missing") == 2
    assert bench.counted("mqtt_sequence_steps_back") == 2
    assert bench.counted("mqtt_repeated") == 2


async def test_absent_broker_is_told_and_found_when_it_comes(bench: Bench) -> None:
    bench.server.stop()
    kept = Kept()
    async with bench.source(kept):
        await until(lambda: bench.broker().state == "down" and "check that it runs" in bench.broker().detail)
        assert f"127.0.0.1:{bench.server.port}" in bench.broker().detail
        bench.server.start()
        await bench.connected()


async def test_wrong_password_is_told_without_telling_it(bench: Bench, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    await run(program("mosquitto_passwd"), "-b", "-c", str(passwords), "potwatt", "right")
    server = MosquittoServer(tmp_path / "guarded", "allow_anonymous false", f"password_file {passwords}")
    server.start()
    try:
        bench.endpoint = replace(bench.endpoint, port=server.port, username="potwatt", password_env="BROKER_PASSWORD")
        async with bench.source(Kept()):
            await until(lambda: "BROKER_PASSWORD is not set" in bench.broker().detail)
        bench.secrets = {"BROKER_PASSWORD": "wrong-secret"}
        async with bench.source(Kept()):
            await until(lambda: "refuses user potwatt" in bench.broker().detail)
            assert "check username and the password in BROKER_PASSWORD" in bench.broker().detail
            assert "wrong-secret" not in bench.broker().detail
        bench.secrets = {"BROKER_PASSWORD": "right"}
        async with bench.source(Kept()):
            await bench.connected()
    finally:
        server.stop()


async def test_tls_checks_the_certificate(bench: Bench, tmp_path: Path) -> None:
    for name in ("broker", "other"):
        files = ("-keyout", f"{tmp_path}/{name}.key", "-out", f"{tmp_path}/{name}.pem")
        subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
        await run(program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files)
    server = MosquittoServer(tmp_path / "tls", f"certfile {tmp_path}/broker.pem", f"keyfile {tmp_path}/broker.key")
    server.start()
    try:
        bench.endpoint = replace(bench.endpoint, port=server.port, tls=True, ca_file=str(tmp_path / "other.pem"))
        async with bench.source(Kept()):
            await until(lambda: "certificate refused" in bench.broker().detail)
        bench.endpoint = replace(bench.endpoint, ca_file=str(tmp_path / "missing.pem"))
        async with bench.source(Kept()):
            await until(lambda: "missing.pem" in bench.broker().detail)
        bench.endpoint = replace(bench.endpoint, ca_file=str(tmp_path / "broker.pem"))
        async with bench.source(Kept()):
            await bench.connected()
    finally:
        server.stop()


async def test_a_broker_that_wants_a_certificate_gets_ours(bench: Bench) -> None:
    folder = bench.directory
    new = ("-newkey", "rsa:2048", "-nodes")
    ca = ("-x509", *new, "-days", "2", "-subj", "/CN=plant CA", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")
    await run(program("openssl"), "req", *ca)
    for name in ("broker", "collector"):
        asked = ("-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
        await run(program("openssl"), "req", *new, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", *asked)
        by = ("-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-copy_extensions", "copyall")
        signed = ("-in", f"{folder}/{name}.csr", "-out", f"{folder}/{name}.pem", "-days", "2")
        await run(program("openssl"), "x509", "-req", *signed, *by)
    files = [f"cafile {folder}/ca.pem", f"certfile {folder}/broker.pem", f"keyfile {folder}/broker.key"]
    server = MosquittoServer(folder / "strict", *files, "require_certificate true")
    server.start()
    try:
        bench.endpoint = replace(bench.endpoint, port=server.port, tls=True, ca_file="ca.pem")
        async with bench.source(Kept()):
            await until(lambda: bench.broker().state == "down")
        bench.endpoint = replace(bench.endpoint, cert_file="collector.pem", key_file="collector.key")
        async with bench.source(Kept()):
            await bench.connected()
    finally:
        server.stop()


async def test_port_of_something_else_is_told(bench: Bench) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    port = free_port()
    server = await asyncio.start_server(talk, "127.0.0.1", port)
    bench.endpoint = replace(bench.endpoint, port=port)
    async with server, bench.source(Kept()):
        await until(lambda: bench.broker().state == "down")
        assert f"127.0.0.1:{port}" in bench.broker().detail
