"""The line itself: the four tables, pauses, late answers, pieces, a line that is not there."""

from __future__ import annotations

import asyncio
import struct

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from collector.modbus_line import ModbusLine
from collector.polled import Station
from devices.dialogue import MeterAddress, Refused
from devices.plan import ReadRequest
from plant.errors import DeviceSilent, TransportError
from plant.site import Endpoint

METER = Station(MeterAddress("m", "10.0.0.1:502 unit 1"), 1)
THIRD = Station(MeterAddress("t", "10.0.0.1:502 unit 3"), 3)


def line_to(port: int, **settings: float) -> ModbusLine:
    return ModbusLine(Endpoint("gateway", "modbus_tcp", "127.0.0.1", port, **settings))


def answer(request: bytes, *words: int) -> bytes:
    """A read answer to a request with its transaction id and unit."""
    body = struct.pack(f">BBB{len(words)}H", request[6], request[7], 2 * len(words), *words)
    return request[:4] + struct.pack(">H", len(body)) + body


async def test_each_table_has_its_own_function_code() -> None:
    bits = [SimData(0, values=[True, False, True, True], datatype=DataType.BITS)]
    inverted = [SimData(0, values=[False, True, False, False], datatype=DataType.BITS)]
    holding = [SimData(5, values=[11, 12], datatype=DataType.REGISTERS)]
    inputs = [SimData(5, values=[21, 22], datatype=DataType.REGISTERS)]
    server = ModbusTcpServer(SimDevice(3, (bits, inverted, holding, inputs)), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    line = line_to(server.transport.sockets[0].getsockname()[1])
    try:
        await line.connect()
        assert list(await line.ask(ReadRequest("holding", 5, 2), THIRD)) == [11, 12]
        assert list(await line.ask(ReadRequest("input", 5, 2), THIRD)) == [21, 22]
        assert list(await line.ask(ReadRequest("coil", 0, 3), THIRD)) == [1, 0, 1]
        assert list(await line.ask(ReadRequest("discrete", 0, 3), THIRD)) == [0, 1, 0]
        assert await line.ask(ReadRequest("holding", 100, 2), THIRD) == Refused(2)
    finally:
        line.close()
        await server.shutdown()


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
        line = line_to(server.sockets[0].getsockname()[1], timeout_s=0.2)
        await line.connect()
        with pytest.raises(DeviceSilent, match=r"no answer within 0\.2 s"):
            await line.ask(ReadRequest("holding", 0, 1), METER)
        assert list(await line.ask(ReadRequest("holding", 1, 1), METER)) == [2222]
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
        line = line_to(server.sockets[0].getsockname()[1])
        await line.connect()
        assert list(await line.ask(ReadRequest("input", 0, 2), METER)) == [7, 8]
        line.close()


async def test_reading_without_a_connection_is_a_fault_of_the_line() -> None:
    with pytest.raises(TransportError, match="connecting anew"):
        await line_to(9).ask(ReadRequest("input", 0, 1), METER)
