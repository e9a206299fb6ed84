"""Simulated Modbus devices behind TCP ports on loopback: registers are computed from the truth when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

import numpy as np
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.image import fixed_words, plan_addresses
from devices.maps import BIT_TABLES, Table
from plant.errors import TransportError
from plant.ports import Clock
from plant.site import Endpoint, Meter
from simulators.noise import NS_PER_S
from simulators.ports import LOOPBACK
from simulators.readings import Readings

_TABLE_OF_FUNCTION: dict[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
_TABLES: tuple[Table, ...] = ("coil", "discrete", "holding", "input")  # in pymodbus's order
_UNIT_BYTE = 6  # of the MBAP header
_NONSENSE = 0x5A5A
_BITS = 16

# takes requests for units that nobody has, which pymodbus would else log as faults of its own; they get no answer
_NOBODY = SimDevice(id=0, simdata=[SimData(0, datatype=DataType.REGISTERS)])


class UnitMode(Enum):
    """How a unit behaves."""

    SOUND = "sound"
    SILENT = "silent"  # never answers
    REFUSING = "refusing"  # every request ends in exception 11, as from a gateway whose serial line is cut
    NONSENSE = "nonsense"  # answers with words that mean nothing, its identity included
    FROZEN = "frozen"  # goes on serving what it measured last


class _Unit:
    """One device: its words by table and address, and the mode it is in."""

    def __init__(self, meter: Meter, readings: Readings, clock: Clock) -> None:
        self.mode = UnitMode.SOUND
        self._meter, self._readings, self._clock = meter, readings, clock
        profile = readings.profile(meter.id)
        self._plan = plan_addresses(profile)
        self._fixed = fixed_words(profile, maker="potwatt simulator", serial=meter.id)
        self._tables = {table for table, _ in (*self._plan, *self._fixed)}
        self._refreshed: dict[Table, int] = {}

    def device(self) -> SimDevice:
        """The unit as pymodbus serves it; addresses that no point needs are refused as on a real device."""
        words = dict.fromkeys(self._plan, 0) | self._fixed
        coils, discrete, holding, inputs = (_blocks(self._served(words, table), table) for table in _TABLES)
        return SimDevice(id=self._meter.unit, simdata=(coils, discrete, holding, inputs), action=self._answer)

    def _served(self, words: Mapping[tuple[Table, int], int], table: Table) -> dict[int, int]:
        """Words of a table by address. A table of registers that the device lacks has the addresses of the other one, so that
        its function is refused as such."""
        lacking = table not in self._tables and table not in BIT_TABLES
        return {address: word for (t, address), word in words.items() if t == table or (lacking and t not in BIT_TABLES)}

    async def _answer(
        self, function: int, start: int, address: int, count: int, registers: list[int], written: Sequence[int] | None
    ) -> ExcCodes | None:
        """Called by pymodbus on each access: bring ``registers``, which begin at ``start``, up to now."""
        del address, count
        table = _TABLE_OF_FUNCTION.get(function)
        if written is not None or table not in self._tables:
            return ExcCodes.ILLEGAL_FUNCTION
        if self.mode is UnitMode.REFUSING:
            return ExcCodes.GATEWAY_NO_RESPONSE
        if self.mode is UnitMode.NONSENSE:
            registers[:] = [_NONSENSE] * len(registers)
            self._refreshed.pop(table, None)
        else:
            self._refresh(table, start, registers)
        return None

    def _refresh(self, table: Table, start: int, registers: list[int]) -> None:
        second = self._clock.now_ns() // NS_PER_S
        known = self._refreshed.get(table)
        if second == known or (self.mode is UnitMode.FROZEN and known is not None):
            return
        self._refreshed[table] = second
        snapshot = self._readings.snapshot(np.array([second * NS_PER_S], np.int64))
        row = self._readings.words(self._meter.id, snapshot)[0].tolist()
        words = self._fixed | dict(zip(self._plan, row, strict=True))
        of_table = {address: word for (t, address), word in words.items() if t == table}
        if table in BIT_TABLES:
            registers[:] = _packed(of_table, len(registers))
            return
        for address, word in of_table.items():
            registers[address - start] = word


class SimulatedGateway:
    """All Modbus meters behind one endpoint of the site, each a unit of its own."""

    def __init__(self, endpoint: Endpoint, meters: Sequence[Meter], readings: Readings, clock: Clock) -> None:
        self._endpoint = endpoint
        self._units: dict[int, _Unit] = {meter.unit: _Unit(meter, readings, clock) for meter in meters}
        self._names: Mapping[str, int] = {meter.id: meter.unit for meter in meters}
        self._server: ModbusTcpServer | None = None

    @property
    def meters(self) -> tuple[str, ...]:
        """The meters it serves."""
        return tuple(self._names)

    def set_mode(self, meter_id: str, mode: UnitMode) -> None:
        """Switch a meter to another behaviour from its next answer on."""
        self._units[self._names[meter_id]].mode = mode

    async def start(self) -> None:
        """Listen on the endpoint's port. Raises TransportError when the port is taken."""
        devices = [_NOBODY, *(unit.device() for unit in self._units.values())]
        server = ModbusTcpServer(devices, address=(LOOPBACK, self._endpoint.port), trace_packet=self._pass_packet)
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            where = f"{LOOPBACK}:{self._endpoint.port}"
            raise TransportError(f"simulated {self._endpoint.id}: {where} is taken; stop what listens there") from error
        self._server = server

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    def _pass_packet(self, sending: bool, packet: bytes) -> bytes:
        if not sending or len(packet) <= _UNIT_BYTE:
            return packet
        unit = self._units.get(packet[_UNIT_BYTE])
        return b"" if unit is None or unit.mode is UnitMode.SILENT else packet


def _blocks(words: Mapping[int, int], table: Table) -> list[SimData]:
    """Runs of neighbouring addresses as blocks of pymodbus, which wants one at least in each table."""
    if table in BIT_TABLES:
        return [SimData(0, values=[False] * (_BITS * (max(words, default=0) // _BITS + 1)), datatype=DataType.BITS)]
    blocks: list[SimData] = []
    addresses = sorted(words)
    first = 0
    for i in range(1, len(addresses) + 1):
        if i == len(addresses) or addresses[i] != addresses[i - 1] + 1:
            run = addresses[first:i]
            blocks.append(SimData(run[0], values=[words[a] for a in run], datatype=DataType.REGISTERS))
            first = i
    return blocks or [SimData(0, datatype=DataType.INVALID)]


def _packed(bits: Mapping[int, int], count: int) -> list[int]:
    """Bits by address as pymodbus keeps them: sixteen a word from address 0 on, the lowest first."""
    words = [0] * count
    for address, bit in bits.items():
        words[address // _BITS] |= bit << address % _BITS
    return words
