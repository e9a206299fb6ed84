"""The collector against real pymodbus servers on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from collector.gather import Gatherer
from collector.modbus import ModbusCollector
from devices.catalog import shipped_profiles
from devices.codec import encode
from devices.image import fixed_words, plan_addresses
from devices.maps import Profile
from plant.errors import SpoolError, SpoolFull
from plant.frame import NS_PER_MS, FrameBlock
from plant.ports import Health
from plant.quality import ABSENT
from plant.site import Endpoint, Meter

PROFILES = shipped_profiles()
DC = PROFILES["sim_rectifier_dc_meter"]
DC_VALUES = {"dc_current": 350.25, "dc_voltage": 812.5, "dc_power": 284578.125, "dc_energy": 1234.567, "dc_charge": 89.12}


class WallClock:
    """The real clock."""

    def now_ns(self) -> int:
        return round(datetime.now(UTC).timestamp() * 1_000) * NS_PER_MS

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Board:
    """A health board that remembers every state each part was in."""

    now: dict[str, Health] = field(default_factory=dict)
    history: dict[str, list[str]] = field(default_factory=dict)
    counted: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
        self.now[part] = Health(part, state, datetime.now(UTC), detail, numbers)
        self.history.setdefault(part, []).append(state)

    def all(self) -> list[Health]:
        return list(self.now.values())

    def count(self, name: str, labels: dict[str, str], by: float = 1.0) -> None:
        key = (name, tuple(sorted(labels.items())))
        self.counted[key] = self.counted.get(key, 0.0) + by

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return dict(self.counted)

    def detail(self, part: str) -> str:
        return self.now[part].detail if part in self.now else ""

    def state(self, part: str) -> str:
        return self.now[part].state if part in self.now else "unknown"


@dataclass
class Taken:
    """A sink that keeps what it takes."""

    blocks: list[FrameBlock] = field(default_factory=list)

    async def __call__(self, blocks: list[FrameBlock]) -> None:
        self.blocks += blocks

    def rows(self, meter: str) -> list[dict[str, float]]:
        return [
            dict(zip(b.quantities, b.value[i].tolist(), strict=True))
            for b in self.blocks
            for i in range(len(b))
            if b.meter_of(i) == meter
        ]


def device(
    unit: int,
    profile: Profile,
    values: dict[str, float],
    *,
    leave_out: range = range(0),
    overwrite: dict[int, int] | None = None,
) -> SimDevice:
    """A simulated unit that serves the values; registers in ``leave_out`` do not exist."""
    row = encode(profile, np.array([[values.get(q, np.nan) for q in profile.quantities]]))[0]
    words = {address: word for (_, address), word in fixed_words(profile).items()}
    words |= {address: int(word) for (_, address), word in zip(plan_addresses(profile), row, strict=True)}
    words |= overwrite or {}
    data = [SimData(a, values=[w], datatype=DataType.REGISTERS) for a, w in sorted(words.items()) if a not in leave_out]
    return SimDevice(unit, data)


TracePdu = Callable[[bool, ModbusPDU], ModbusPDU]


@asynccontextmanager
async def serving(
    devices: list[SimDevice], *, port: int = 0, trace_pdu: TracePdu | None = None, mute_unit: int | None = None
) -> AsyncIterator[int]:
    """A real pymodbus server; the answers of ``mute_unit`` never leave it."""

    def mute(sending: bool, packet: bytes) -> bytes:
        return b"" if sending and packet[6] == mute_unit else packet

    server = ModbusTcpServer(devices, address=("127.0.0.1", port), trace_pdu=trace_pdu, trace_packet=mute)
    await server.serve_forever(background=True)
    try:
        assert server.transport is not None, "the server could not listen"
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def endpoint(port: int, **more: float) -> Endpoint:
    return replace(Endpoint("gateway", "modbus_tcp", "127.0.0.1", port, timeout_s=0.2), **more)


def meter(name: str, unit: int, profile: str = DC.id) -> Meter:
    return Meter(name, profile, "gateway", unit=unit, poll_interval_s=0.1)


async def poll(gateway: Endpoint, meters: list[Meter], sink: Callable[[list[FrameBlock]], Awaitable[None]], board: Board) -> None:
    """Poll one endpoint with a gatherer of its own, until cancelled or until either ends with an error."""
    gatherer = Gatherer("plant", sink=sink, clock=WallClock(), health=board)
    collector = ModbusCollector(gateway, meters, PROFILES, gatherer=gatherer, clock=WallClock(), health=board)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(collector.run())
        tasks.create_task(gatherer.run())


@asynccontextmanager
async def running(
    port: int, meters: list[Meter], sink: Callable[[list[FrameBlock]], Awaitable[None]], board: Board, **more: float
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(poll(endpoint(port, **more), meters, sink, board))
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that has to come; the bound only keeps a broken test from hanging."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (conditions are on what a real server has caused)
            await asyncio.sleep(0.01)


async def test_readings_arrive_as_blocks_in_canonical_units_and_count_once_durable() -> None:
    taken, board = Taken(), Board()
    units = [device(1, DC, DC_VALUES), device(2, DC, DC_VALUES | {"dc_voltage": 800.0})]
    async with serving(units) as port, running(port, [meter("one", 1), meter("two", 2)], taken, board):
        await until(lambda: len(taken.rows("one")) >= 3 and len(taken.rows("two")) >= 3)
    assert taken.rows("one")[0] == pytest.approx(DC_VALUES)
    assert taken.rows("two")[0]["dc_voltage"] == 800.0
    for block in taken.blocks:
        assert (block.plant, block.profile, block.quantities) == ("plant", DC.id, DC.quantities)
        assert not block.quality.any()
        assert not np.any(block.t_ns % NS_PER_MS)
    assert board.counted[("polls_durable", (("meter", "one"),))] == len(taken.rows("one"))
    assert board.state("endpoint:gateway") == board.state("meter:one") == "ok"
    assert board.now["meter:one"].numbers["success_rate"] == 1.0
    assert board.now["meter:one"].numbers["round_trip_ms"] >= 0


async def test_sunspec_inverter_is_found_by_its_list_and_read_with_its_scale_factors() -> None:
    inverter = PROFILES["sunspec_inverter_103"]
    values = {"active_power": 87.65, "frequency": 50.01, "energy_import": 12345.678, "operating_state": 4.0}
    taken = Taken()
    async with serving([device(7, inverter, values)]) as port, running(port, [meter("pv", 7, inverter.id)], taken, Board()):
        await until(lambda: taken.rows("pv"))
    row = taken.rows("pv")[0]
    assert {name: row[name] for name in values} == pytest.approx(values)
    column = inverter.quantities.index("dc_voltage")
    assert np.isnan(row["dc_voltage"])
    assert taken.blocks[0].quality[0, column] == int(ABSENT)


async def test_a_dead_unit_backs_off_alone() -> None:
    taken, board = Taken(), Board()
    meters = [meter("alive", 1), meter("dead", 9)]
    units = [device(1, DC, DC_VALUES), device(9, DC, DC_VALUES)]
    async with serving(units, mute_unit=9) as port, running(port, meters, taken, board):
        await until(lambda: board.state("meter:dead") == "down")
        before = len(taken.rows("alive"))
        await until(lambda: len(taken.rows("alive")) >= before + 5)
    assert "expected 2 words from input 0, got no answer within 0.2 s" in board.detail("meter:dead")
    assert "unit 9" in board.detail("meter:dead")
    assert "down" not in board.history["meter:alive"]
    assert "down" not in board.history["endpoint:gateway"]
    assert board.counted[("polls_failed", (("meter", "dead"), ("reason", "DeviceSilent")))] >= 1


async def test_a_unit_that_falls_silent_is_degraded_first_and_down_after_its_time() -> None:
    taken, board = Taken(), Board()
    gone = asyncio.Event()

    async def vanish(*_: object) -> ExcCodes | None:
        return ExcCodes.GATEWAY_NO_RESPONSE if gone.is_set() else None

    unit = replace(device(1, DC, DC_VALUES), action=vanish)
    short = replace(meter("one", 1), silent_after_s=0.5)
    async with serving([unit]) as port, running(port, [short], taken, board):
        await until(lambda: board.state("meter:one") == "ok")
        gone.set()
        await until(lambda: board.state("meter:one") == "down")
        gone.clear()
        await until(lambda: board.state("meter:one") == "ok")
    states = board.history["meter:one"]
    assert states.index("ok") < states.index("degraded") < states.index("down")
    assert 0 < board.now["meter:one"].numbers["success_rate"] < 1


async def test_a_wrong_identity_is_an_error_and_never_data() -> None:
    taken, board = Taken(), Board()
    stranger = device(2, DC, DC_VALUES, overwrite={1: 4711})
    meters = [meter("right", 1), meter("stranger", 2)]
    async with serving([device(1, DC, DC_VALUES), stranger]) as port, running(port, meters, taken, board):
        await until(lambda: board.state("meter:stranger") == "down" and len(taken.rows("right")) >= 3)
    assert taken.rows("stranger") == []
    assert "expected identity [20567, 3] at input 0, got [20567, 4711]" in board.detail("meter:stranger")
    assert board.counted[("polls_failed", (("meter", "stranger"), ("reason", "DeviceNonsense")))] >= 1


async def test_a_short_answer_is_thrown_away_while_others_go_on() -> None:
    taken, board = Taken(), Board()

    def shorten(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if sending and pdu.dev_id == 2 and len(pdu.registers) > 4:
            pdu.registers = pdu.registers[:-1]
        return pdu

    meters = [meter("right", 1), meter("short", 2)]
    units = [device(1, DC, DC_VALUES), device(2, DC, DC_VALUES)]
    async with serving(units, trace_pdu=shorten) as port, running(port, meters, taken, board):
        await until(lambda: board.state("meter:short") == "down" and len(taken.rows("right")) >= 3)
    assert taken.rows("short") == []
    assert "expected 16 words from input 200, got 15" in board.detail("meter:short")


async def test_a_refused_register_is_a_hole_and_the_rest_is_read() -> None:
    taken, board = Taken(), Board()
    holed = device(1, DC, DC_VALUES, leave_out=range(204, 206))
    async with serving([holed]) as port, running(port, [meter("one", 1)], taken, board):
        await until(lambda: len(taken.rows("one")) >= 3)
    row = taken.rows("one")[-1]
    assert np.isnan(row.pop("dc_power"))
    assert row == pytest.approx({name: value for name, value in DC_VALUES.items() if name != "dc_power"})
    assert taken.blocks[-1].quality[0, DC.quantities.index("dc_power")] == int(ABSENT)
    assert board.state("meter:one") == "degraded"
    assert "refuses input 204-205, so dc_power is missing" in board.detail("meter:one")


async def test_a_device_that_refuses_everything_says_so_with_the_code_in_words() -> None:
    board = Board()

    async def busy(*_: object) -> ExcCodes:
        return ExcCodes.DEVICE_BUSY

    refusing = replace(device(1, DC, DC_VALUES), action=busy)
    async with serving([refusing]) as port, running(port, [meter("one", 1)], Taken(), board):
        await until(lambda: board.state("meter:one") == "down")
    assert "got exception 6 (server device busy)" in board.detail("meter:one")


async def test_a_gateway_that_answers_for_a_silent_unit_is_believed() -> None:
    board = Board()

    async def gateway(*_: object) -> ExcCodes:
        return ExcCodes.GATEWAY_NO_RESPONSE

    answering = replace(device(1, DC, DC_VALUES), action=gateway)
    async with serving([answering]) as port, running(port, [meter("one", 1)], Taken(), board):
        await until(lambda: board.state("meter:one") == "down")
    assert board.counted[("polls_failed", (("meter", "one"), ("reason", "DeviceSilent")))] >= 1


async def test_a_server_that_hangs_up_in_mid_request_is_a_fault_of_the_line(free_port: int) -> None:
    taken, board = Taken(), Board()
    requests = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readexactly(12)
        requests += 1
        writer.close()

    rude = await asyncio.start_server(hang_up, "127.0.0.1", free_port)
    # With this time-out the test ends in time only if the hang-up itself is noticed.
    async with running(free_port, [meter("one", 1)], taken, board, timeout_s=300.0):
        await until(lambda: requests >= 2)
        assert board.state("endpoint:gateway") == board.state("meter:one") == "down"
        assert "was closed from there" in board.detail("endpoint:gateway")
        rude.close()
        await rude.wait_closed()
        async with serving([device(1, DC, DC_VALUES)], port=free_port):
            await until(lambda: taken.rows("one"))
            await until(lambda: board.state("endpoint:gateway") == "ok")


async def test_a_port_that_opens_later_is_found(free_port: int) -> None:
    taken, board = Taken(), Board()
    async with running(free_port, [meter("one", 1)], taken, board):
        await until(lambda: board.state("endpoint:gateway") == "down")
        assert f"no connection to 127.0.0.1:{free_port}" in board.detail("endpoint:gateway")
        await until(lambda: board.state("meter:one") == "down")
        assert board.detail("meter:one") == "its endpoint gateway does not answer"
        async with serving([device(1, DC, DC_VALUES)], port=free_port):
            await until(lambda: taken.rows("one"))
            await until(lambda: board.state("meter:one") == "ok")


async def test_a_line_on_which_nobody_answers_is_opened_anew(free_port: int) -> None:
    connections = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        writer.close()

    board = Board()
    server = await asyncio.start_server(mute, "127.0.0.1", free_port)
    meters = [meter(f"m{i}", i) for i in range(1, 10)]
    async with server, running(free_port, meters, Taken(), board, timeout_s=0.02):
        await until(lambda: connections >= 2)
    assert "gateway is connected, but nothing on it answers any more" in board.detail("endpoint:gateway")


async def test_a_full_spool_makes_polling_wait_and_nothing_read_is_lost() -> None:
    board = Board()
    offered: list[list[FrameBlock]] = []
    taken = Taken()

    async def sink(blocks: list[FrameBlock]) -> None:
        offered.append(blocks)
        if len(offered) < 3:
            raise SpoolFull("the spool is full")
        await taken(blocks)

    async with serving([device(1, DC, DC_VALUES)]) as port, running(port, [meter("one", 1)], sink, board):
        await until(lambda: board.state("polling") == "degraded")
        assert "polling waits: the spool is full" in board.detail("polling")
        assert ("polls_durable", (("meter", "one"),)) not in board.counted
        await until(lambda: len(taken.rows("one")) >= 3)
    assert offered[2][0].t_ns[: len(offered[0][0])].tolist() == offered[0][0].t_ns.tolist()
    assert board.state("polling") == board.state("endpoint:gateway") == "ok"


async def test_cancelling_hands_over_what_was_read() -> None:
    taken, board = Taken(), Board()
    calls = 0

    async def slow(blocks: list[FrameBlock]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Event().wait()
        await taken(blocks)

    async with serving([device(1, DC, DC_VALUES)]) as port, running(port, [meter("one", 1)], slow, board) as task:
        await until(lambda: calls == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(taken.rows("one")) == board.counted[("polls_durable", (("meter", "one"),))] >= 1


async def test_an_error_of_the_sink_ends_the_collector() -> None:
    async def broken(_: list[FrameBlock]) -> None:
        raise SpoolError("the disk is gone")

    async with serving([device(1, DC, DC_VALUES)]) as port, running(port, [meter("one", 1)], broken, Board()) as task:
        with pytest.raises(ExceptionGroup) as caught:
            await task
    assert caught.group_contains(SpoolError, match="the disk is gone")


async def test_no_meters_nothing_to_do(free_port: int) -> None:
    gatherer = Gatherer("plant", sink=Taken(), clock=WallClock(), health=Board())
    await ModbusCollector(endpoint(free_port), [], PROFILES, gatherer=gatherer, clock=WallClock(), health=Board()).run()
