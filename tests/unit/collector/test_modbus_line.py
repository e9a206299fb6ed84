"""The line itself: the four tables, pauses, late answers, and every exception of pymodbus in our own tree."""

from __future__ import annotations

import asyncio
import struct

import pytest
from pymodbus import exceptions
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from collector.modbus import ModbusLine, translated
from devices.dialogue import MeterAddress, Refused
from devices.plan import ReadRequest
from plant.errors import DeviceNonsense, DeviceSilent, PotwattError, TransportError
from plant.site import Endpoint

METER = MeterAddress("m", "10.0.0.1:502 unit 1")
KNOWN: dict[str, type[PotwattError]] = {
    "ConnectionException": TransportError,
    "MessageRegisterException": DeviceNonsense,
    "ModbusIOException": DeviceNonsense,
    "NoSuchIdException": DeviceNonsense,
    "NotImplementedException": DeviceNonsense,
    "ParameterException": DeviceNonsense,
}


class RecordingClock:
    """Remembers how long it was asked to sleep and does not sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now_ns(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def line_to(port: int, clock: RecordingClock, **settings: float) -> ModbusLine:
    return ModbusLine(Endpoint("gateway", "modbus_tcp", "127.0.0.1", port, **settings), clock)


def answer(request: bytes, *words: int) -> bytes:
    """A read answer to a request with its transaction id and unit."""
    body = struct.pack(f">BBB{len(words)}H", request[6], request[7], 2 * len(words), *words)
    return request[:4] + struct.pack(">H", len(body)) + body


async def test_each_table_has_its_own_function_code_and_pauses_are_kept() -> None:
    bits = [SimData(0, values=[True, False, True, True], datatype=DataType.BITS)]
    inverted = [SimData(0, values=[False, True, False, False], datatype=DataType.BITS)]
    holding = [SimData(5, values=[11, 12], datatype=DataType.REGISTERS)]
    inputs = [SimData(5, values=[21, 22], datatype=DataType.REGISTERS)]
    server = ModbusTcpServer(SimDevice(3, (bits, inverted, holding, inputs)), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    clock = RecordingClock()
    line = line_to(server.transport.sockets[0].getsockname()[1], clock, pause_after_connect_s=0.5, pause_between_s=0.025)
    try:
        await line.connect()
        assert list(await line.read(ReadRequest("holding", 5, 2), 3, METER)) == [11, 12]
        assert list(await line.read(ReadRequest("input", 5, 2), 3, METER)) == [21, 22]
        assert list(await line.read(ReadRequest("coil", 0, 3), 3, METER)) == [1, 0, 1]
        assert list(await line.read(ReadRequest("discrete", 0, 3), 3, METER)) == [0, 1, 0]
        assert await line.read(ReadRequest("holding", 100, 2), 3, METER) == Refused(2)
    finally:
        line.close()
        await server.shutdown()
    assert clock.slept == [0.5] + [0.025] * 5


async def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(12)
        second = await reader.readexactly(12)
        writer.write(answer(first, 1111))
        await writer.drain()
        writer.write(answer(second, 2222))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(late, "127.0.0.1", 0) as server:
        line = line_to(server.sockets[0].getsockname()[1], RecordingClock(), timeout_s=0.2)
        await line.connect()
        with pytest.raises(DeviceSilent, match=r"no answer within 0\.2 s"):
            await line.read(ReadRequest("holding", 0, 1), 1, METER)
        assert list(await line.read(ReadRequest("holding", 1, 1), 1, METER)) == [2222]
        line.close()


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in answer(await reader.readexactly(12), 7, 8):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(dribble, "127.0.0.1", 0) as server:
        line = line_to(server.sockets[0].getsockname()[1], RecordingClock())
        await line.connect()
        assert list(await line.read(ReadRequest("input", 0, 2), 1, METER)) == [7, 8]
        line.close()


async def test_reading_without_a_connection_is_a_fault_of_the_line() -> None:
    with pytest.raises(TransportError, match="connecting anew"):
        await line_to(9, RecordingClock()).read(ReadRequest("input", 0, 1), 1, METER)


@pytest.mark.parametrize("name", sorted(exceptions.__all__))
def test_every_exception_is_translated(name: str) -> None:
    error = getattr(exceptions, name)("the cause")
    ours = translated(error, ReadRequest("input", 5, 2), METER)
    assert type(ours) is KNOWN[name]
    assert "the cause" in str(ours) and "10.0.0.1:502" in str(ours)
