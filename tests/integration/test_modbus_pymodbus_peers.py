"""The line against pymodbus's own servers, over TCP, serial frames over TCP, and a serial line."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from collector.modbus_line import ModbusLine
from collector.polled import Station
from devices.dialogue import MeterAddress, Refused
from devices.plan import ReadRequest
from plant.site import Endpoint

THIRD = Station(MeterAddress("m", "unit 3"), 3)
BITS = [bool(i % 3) for i in range(2_000)]


def device() -> SimDevice:
    """Unit 3 with all four tables."""
    coils = [SimData(0, values=BITS, datatype=DataType.BITS)]
    inputs = [SimData(0, values=[not bit for bit in BITS], datatype=DataType.BITS)]
    holding = [SimData(100, values=list(range(1_000, 1_125)), datatype=DataType.REGISTERS)]
    registers = [SimData(100, values=[65_535, 0, 32_768], datatype=DataType.REGISTERS)]
    return SimDevice(3, (coils, inputs, holding, registers))


@contextmanager
def joined_terminals() -> Iterator[tuple[str, str]]:
    """Two serial ports with a cable in between."""
    masters, slaves = zip(*(os.openpty() for _ in range(2)), strict=True)
    loop = asyncio.get_running_loop()
    for here, there in (masters, masters[::-1]):
        loop.add_reader(here, lambda here=here, there=there: os.write(there, os.read(here, 4096)))
    for slave in slaves:
        tty.setraw(slave)
    try:
        yield os.ttyname(slaves[0]), os.ttyname(slaves[1])
    finally:
        for master in masters:
            loop.remove_reader(master)
        for file in (*masters, *slaves):
            os.close(file)


@asynccontextmanager
async def served(protocol: str) -> AsyncIterator[ModbusLine]:
    """A line to a server of pymodbus that has unit 3 alone."""
    if protocol == "modbus_rtu":
        with joined_terminals() as (theirs, ours):
            serial_server = ModbusSerialServer(device(), framer=FramerType.RTU, port=theirs, baudrate=115_200)
            await serial_server.serve_forever(background=True)
            line = ModbusLine(Endpoint("g", protocol, "", 0, serial_port=ours, baud_rate=115_200, parity="none"))
            try:
                yield line
            finally:
                line.close()
                await serial_server.shutdown()
        return
    framer = FramerType.SOCKET if protocol == "modbus_tcp" else FramerType.RTU
    server = ModbusTcpServer(device(), framer=framer, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    line = ModbusLine(Endpoint("g", protocol, "127.0.0.1", server.transport.sockets[0].getsockname()[1]))
    try:
        yield line
    finally:
        line.close()
        await server.shutdown()


@pytest.mark.parametrize("protocol", ["modbus_tcp", "modbus_rtu_over_tcp", "modbus_rtu"])
async def test_all_tables_up_to_the_largest_request(protocol: str) -> None:
    async with served(protocol) as line:
        await line.connect()

        async def read(table: str, address: int, count: int) -> object:
            answer = await line.ask(ReadRequest(table, address, count), THIRD)  # type: ignore[arg-type]
            return answer if isinstance(answer, Refused) else list(answer)

        assert await read("holding", 100, 125) == list(range(1_000, 1_125))
        assert await read("input", 100, 3) == [65_535, 0, 32_768]
        assert await read("coil", 0, 2_000) == [int(bit) for bit in BITS]
        assert await read("coil", 1, 13) == [int(bit) for bit in BITS[1:14]]
        assert await read("discrete", 5, 9) == [int(not bit) for bit in BITS[5:14]]
        assert await read("holding", 224, 2) == Refused(2)
        assert not any(line.counters.values()), line.counters
