"""The DL/T 645 collector against simulated meters, the same over TCP and over a pair of pseudo-terminals."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from real_servers import free_port

from collector.dlt645 import Dlt645Collector
from collector.dlt645_line import Dlt645Line
from collector.gather import Gatherer
from collector.polled import Station
from devices.catalog import shipped_profiles
from devices.dialogue import MeterAddress
from devices.dlt645_frame import DataReply, DataRequest, Denied
from devices.profile import parse_profile
from plant.errors import DeviceSilent, TransportError
from plant.frame import NS_PER_MS, FrameBlock
from plant.ports import Health
from plant.quality import ABSENT
from plant.site import Endpoint, Meter
from simulators.dlt645_server import Bus, BusFault, BusMeter, BusOnSerial, BusOnTcp, fixed, number

FIRST, SECOND = "000000000001", "201000000012"
DATA = {
    "00010000": number(1234.56, 8, 2),
    "0203FF00": number(-12.3456, 6, 4, signed=True) + number(-4.1152, 6, 4, signed=True),
    "02800002": number(49.98, 4, 2),
}
SMALL = parse_profile(
    """
[profile]
id = "small"
title = "small"
kind = "meter"
source = "this test"
[dlt645]
points = [
  { name = "energy_import", di = "00010000", format = "XXXXXX.XX", unit = "kWh", wraps_at = "format" },
  { name = "active_power", di = "0203FF00", at = 0, format = "XX.XXXX", unit = "kW", signed = true },
  { name = "active_power_l1", di = "0203FF00", at = 1, format = "XX.XXXX", unit = "kW", signed = true },
  { name = "frequency", di = "02800002", format = "XX.XX", unit = "Hz" },
]
[[golden]]
origin = "by hand"
frames = [
  "68 01 00 00 00 00 00 68 91 08 33 33 34 33 89 67 45 33 9F 16",
  "68 01 00 00 00 00 00 68 91 0A 33 32 36 35 89 67 C5 85 44 B7 71 16",
  "68 01 00 00 00 00 00 68 91 06 35 33 B3 35 CB 7C FF 16",
]
expect = { energy_import = 1234.56, active_power = -12.3456, active_power_l1 = -4.1152, frequency = 49.98 }
""",
    "small.toml",
)
PROFILES = {SMALL.id: SMALL} | shipped_profiles()
EXPECTED = {"energy_import": 1234.56, "active_power": -12.3456, "active_power_l1": -4.1152, "frequency": 49.98}

Wire = Callable[[Bus], AbstractAsyncContextManager[Endpoint]]


class WallClock:
    def now_ns(self) -> int:
        return round(datetime.now(UTC).timestamp() * 1_000) * NS_PER_MS

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Board:
    now: dict[str, Health] = field(default_factory=dict)
    counted: dict[tuple[str, str], float] = field(default_factory=dict)

    def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
        self.now[part] = Health(part, state, datetime.now(UTC), detail, numbers)

    def count(self, name: str, labels: dict[str, str] | None = None, by: float = 1.0) -> None:
        key = name, (labels or {}).get("meter", "")
        self.counted[key] = self.counted.get(key, 0.0) + by


@dataclass
class Taken:
    blocks: list[FrameBlock] = field(default_factory=list)

    async def __call__(self, blocks: list[FrameBlock]) -> None:
        self.blocks += blocks

    def rows(self, meter: str) -> list[dict[str, float]]:
        return [
            dict(zip(b.quantities, b.value[row].tolist(), strict=True))
            for b in self.blocks
            for row in range(len(b))
            if b.meter_of(row) == meter
        ]


@asynccontextmanager
async def on_tcp(bus: Bus) -> AsyncIterator[Endpoint]:
    port = free_port()
    server = BusOnTcp(bus, port)
    await server.start()
    try:
        yield Endpoint("line", "dlt645_over_tcp", "127.0.0.1", port, timeout_s=0.25)
    finally:
        await server.stop()


@asynccontextmanager
async def on_serial(bus: Bus) -> AsyncIterator[Endpoint]:
    master, slave = os.openpty()
    tty.setraw(slave)
    server = BusOnSerial(bus, master)
    await server.start()
    try:
        yield Endpoint("line", "dlt645", "", 0, timeout_s=0.25, serial_port=os.ttyname(slave), baud_rate=115_200)
    finally:
        await server.stop()
        os.close(slave)
        os.close(master)


WIRES = pytest.mark.parametrize("wire", [on_tcp, on_serial])


@asynccontextmanager
async def polling(endpoint: Endpoint, meters: Sequence[Meter], taken: Taken, board: Board) -> AsyncIterator[None]:
    gatherer = Gatherer("plant", sink=taken, clock=WallClock(), health=board)
    collector = Dlt645Collector(endpoint, meters, PROFILES, gatherer=gatherer, clock=WallClock(), health=board)
    tasks = [asyncio.create_task(collector.run()), asyncio.create_task(gatherer.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that has to come; the bound only keeps a broken test from hanging."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (conditions are on what a real line has caused)
            await asyncio.sleep(0.01)


def meter(name: str, address: str, profile: str = "small") -> Meter:
    return Meter(name, profile, "line", address=address, poll_interval_s=0.1)


@WIRES
async def test_meters_that_share_a_line_are_read_with_reads_alone(wire: Wire) -> None:
    bus = Bus([BusMeter(FIRST, fixed(DATA)), BusMeter(SECOND, fixed(DATA | {"02800002": number(50.02, 4, 2)}))])
    taken, board = Taken(), Board()
    async with wire(bus) as endpoint, polling(endpoint, [meter("one", FIRST), meter("two", SECOND)], taken, board):
        await until(lambda: len(taken.rows("one")) >= 2 and len(taken.rows("two")) >= 2)
    assert taken.rows("one")[0] == EXPECTED
    assert taken.rows("two")[0] == EXPECTED | {"frequency": 50.02}
    assert set(bus.heard) == {0x11}
    assert board.now["meter:one"].state == board.now["endpoint:line"].state == "ok"
    assert not any(block.quality.any() for block in taken.blocks)


@WIRES
@pytest.mark.parametrize("fault", [BusFault.ECHO, BusFault.NOISE, BusFault.BAD_CHECKSUM, BusFault.FOREIGN, BusFault.OTHER_DATA])
async def test_what_is_not_the_answer_is_never_taken_for_it(wire: Wire, fault: BusFault) -> None:
    bus = Bus([BusMeter(FIRST, fixed(DATA), fault=fault)])
    taken, board = Taken(), Board()
    async with wire(bus) as endpoint, polling(endpoint, [meter("one", FIRST)], taken, board):
        await until(lambda: len(taken.rows("one")) >= 3)
    assert all(row == EXPECTED for row in taken.rows("one"))
    assert ("polls_failed", "one") not in board.counted


@WIRES
async def test_a_long_answer_comes_in_parts(wire: Wire) -> None:
    bus = Bus([BusMeter(FIRST, fixed(DATA), frame_bytes=2)])
    taken = Taken()
    async with wire(bus) as endpoint, polling(endpoint, [meter("one", FIRST)], taken, Board()):
        await until(lambda: taken.rows("one"))
    assert taken.rows("one")[0] == EXPECTED
    assert set(bus.heard) == {0x11, 0x12}


@WIRES
@pytest.mark.parametrize("fault", [BusFault.NONE, BusFault.SILENT_ON_UNKNOWN])
async def test_data_that_the_meter_lacks_is_missing_and_named(wire: Wire, fault: BusFault) -> None:
    data = {di: value for di, value in DATA.items() if di != "02800002"}
    bus = Bus([BusMeter(FIRST, fixed(data), fault=fault)])
    taken, board = Taken(), Board()
    async with wire(bus) as endpoint, polling(endpoint, [meter("one", FIRST)], taken, board):
        await until(lambda: len(taken.rows("one")) >= 2)
    row = taken.rows("one")[0]
    assert np.isnan(row.pop("frequency"))
    assert row == {name: value for name, value in EXPECTED.items() if name != "frequency"}
    assert taken.blocks[0].quality[0].tolist() == [0, 0, 0, int(ABSENT)]
    assert board.now["meter:one"].state == "degraded"
    how = "refuses data" if fault is BusFault.NONE else "leaves unanswered data"
    assert f"{how} 02800002, so frequency is missing" in board.now["meter:one"].detail


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (BusFault.SILENT, "no answer within"),
        (BusFault.HALF, "only bytes that are no frame within"),
        (BusFault.BROKEN, "only bytes that are no frame within"),
        (BusFault.IN_TROUBLE, "another error"),
        (BusFault.ENDLESS, "ever more frames"),
    ],
)
async def test_a_meter_that_fails_costs_no_other(fault: BusFault, reason: str) -> None:
    bus = Bus([BusMeter(FIRST, fixed(DATA)), BusMeter(SECOND, fixed(DATA), fault=fault)])
    taken, board = Taken(), Board()
    async with on_tcp(bus) as endpoint:
        quick = replace(endpoint, timeout_s=0.05)
        async with polling(quick, [meter("good", FIRST), meter("bad", SECOND)], taken, board):
            await until(lambda: len(taken.rows("good")) >= 5 and board.counted.get(("polls_failed", "bad"), 0) >= 2)
            assert reason in board.now["meter:bad"].detail
    assert not taken.rows("bad")
    assert all(row == EXPECTED for row in taken.rows("good"))


async def test_a_lost_line_is_told_and_opened_anew() -> None:
    bus = Bus([BusMeter(FIRST, fixed(DATA))])
    taken, board = Taken(), Board()
    port = free_port()
    endpoint = Endpoint("line", "dlt645_over_tcp", "127.0.0.1", port, timeout_s=0.2)
    async with polling(endpoint, [meter("one", FIRST)], taken, board):
        await until(lambda: "endpoint:line" in board.now and board.now["endpoint:line"].state == "down")
        assert "no connection" in board.now["endpoint:line"].detail
        server = BusOnTcp(bus, port)
        await server.start()
        try:
            await until(lambda: taken.rows("one"))
        finally:
            await server.stop()


@WIRES
async def test_the_line_counts_what_it_drops(wire: Wire) -> None:
    station = Station(MeterAddress("one", "line"), address=FIRST)
    for fault, counter in (
        (BusFault.FOREIGN, "stale_answers"),
        (BusFault.BAD_CHECKSUM, "checksum_errors"),
        (BusFault.NOISE, "garbage_bytes"),
    ):
        async with wire(Bus([BusMeter(FIRST, fixed(DATA), fault=fault)])) as endpoint:
            line = Dlt645Line(endpoint)
            await line.connect()
            assert await line.ask(DataRequest("00010000"), station) == DataReply(DATA["00010000"])
            assert line.counters[counter] > 0
            line.close()
    async with wire(Bus([BusMeter(FIRST, fixed(DATA), fault=BusFault.ECHO)])) as endpoint:
        line = Dlt645Line(endpoint)
        await line.connect()
        assert await line.ask(DataRequest("00020000"), station) == Denied(0x02)
        assert not any(line.counters.values())
        line.close()


async def test_a_line_that_is_closed_is_a_fault_of_the_line() -> None:
    async with on_tcp(Bus([])) as endpoint:
        line = Dlt645Line(replace(endpoint, timeout_s=0.02))
        await line.connect()
        station = Station(MeterAddress("one", "line"), address=FIRST)
        with pytest.raises(DeviceSilent, match="check power, wiring, baud rate, parity and address"):
            await line.ask(DataRequest("00010000"), station)
        line.close()
        with pytest.raises(TransportError, match="was closed"):
            await line.ask(DataRequest("00010000"), station)


async def test_the_standards_meter_is_read_whole() -> None:
    """Every point of the shipped profile, encoded by the simulator from its own idea of the formats."""
    profile = PROFILES["dlt645_2007_three_phase"]
    data = {
        **{f"000{i}0000": number(100.0 * i + 0.25, 8, 2) for i in (1, 2)},
        **{f"000{i}0000": number(-100.0 * i - 0.25, 8, 2, signed=True) for i in (3, 4)},
        "0201FF00": b"".join(number(v, 4, 1) for v in (231.4, float("nan"), 230.6)),
        "0202FF00": b"".join(number(v, 6, 3, signed=True) for v in (5.001, 0.0, -5.013)),
        "0203FF00": b"".join(number(v, 6, 4, signed=True) for v in (-2.0, -1.5, 0.0, -0.5)),
        "02040000": number(0.75, 6, 4), "02050000": number(2.136, 6, 4),
        "02060000": number(-0.936, 4, 3, signed=True), "02800002": number(50.01, 4, 2),
    }  # fmt: skip
    taken = Taken()
    bus = Bus([BusMeter(SECOND, fixed(data))])
    async with on_tcp(bus) as endpoint, polling(endpoint, [meter("one", SECOND, profile.id)], taken, Board()):
        await until(lambda: taken.rows("one"))
    row = taken.rows("one")[0]
    assert np.isnan(row.pop("voltage_l2_n"))
    assert row == {
        "energy_import": 100.25, "energy_export": 200.25, "reactive_energy_import": -300.25, "reactive_energy_export": -400.25,
        "voltage_l1_n": 231.4, "voltage_l3_n": 230.6, "current_l1": 5.001, "current_l2": 0.0, "current_l3": -5.013,
        "active_power": -2.0, "active_power_l1": -1.5, "active_power_l2": 0.0, "active_power_l3": -0.5,
        "reactive_power": 0.75, "apparent_power": 2.136, "power_factor": -0.936, "frequency": 50.01,
    }  # fmt: skip
