"""Finding out what answers at an address: one request at a time, at most two a second, reading only, over at the first trouble.

Trouble is silence, an answer that is none, a device that is busy or failing, a lost line. That registers or a function are
not there (exceptions 1, 2, 3) is an answer. What was read before the trouble is kept and told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from collector.polled import Station
from devices.dialogue import Answer, MeterAddress, Refused
from devices.maps import Table
from devices.plan import ReadRequest
from devices.plausible import Registers
from devices.sunspec import STARTS, Chain, walk_models
from plant.errors import DeviceNonsense, DeviceSilent, PotwattError, TransportError

REQUESTS_PER_S_MAX = 2.0
BLOCK_WORDS = 50  # of an unknown map: small, since one register that is not there refuses the whole block
SPLIT_WORDS_MIN = 2
MODEL_WORDS = 100
AGAIN_AFTER_S = 5.0
_NO_FUNCTION, _NOT_THERE = 1, (2, 3)

Image = Mapping[tuple[Table, int], int]


class Line(Protocol):
    """What a probe needs of ``collector.modbus_line.ModbusLine``."""

    async def ask(self, request: ReadRequest, station: Station) -> Answer: ...


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """Which units are asked for what: SunSpec's list of models, then the range, where there is one."""

    units: tuple[int, ...]
    walk: Literal["walk", "skip"] = "walk"
    table: Table = "holding"
    addresses: range = range(0)
    requests_max: int = 400

    @property
    def blocks(self) -> tuple[ReadRequest, ...]:
        """The range in blocks."""
        firsts = range(self.addresses.start, self.addresses.stop, BLOCK_WORDS)
        return tuple(ReadRequest(self.table, a, min(BLOCK_WORDS, self.addresses.stop - a)) for a in firsts)

    @property
    def requests(self) -> tuple[int, int]:
        """Fewest and most requests: where every unit answers everything, and where as much as may be is refused."""
        fewest = len(self.units) * ((len(STARTS) if self.walk == "walk" else 0) + 2 * len(self.blocks))
        if self.walk == "walk":
            return fewest, self.requests_max
        halved = 3 * len(self.addresses)  # down to single registers, and those that are there once more
        return fewest, min(self.requests_max, len(self.units) * halved)


@dataclass(slots=True)
class UnitFindings:
    """What one unit told: SunSpec's models, and words by table and address in each of up to two readings."""

    unit: int
    chain: Chain = field(default_factory=lambda: Chain((), "not asked"))
    readings: list[dict[tuple[Table, int], int]] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    refused: list[ReadRequest] = field(default_factory=list)
    no_function: bool = False

    @property
    def image(self) -> Image:
        """The first reading."""
        return self.readings[0] if self.readings else {}

    def registers(self, table: Table, addresses: range) -> Registers | None:
        """The words of the range that came in every reading, None where there are none."""
        common = [a for a in addresses if all((table, a) in reading for reading in self.readings)]
        if not common or not self.readings:
            return None
        words = np.array([[reading[table, a] for a in common] for reading in self.readings], np.uint16)
        return Registers(np.array(common, np.int64), words, np.array(self.at_s))


@dataclass(slots=True)
class ProbeResult:
    """What was found, unit by unit; ``trouble`` says what ended the probe early, "" where nothing did."""

    units: list[UnitFindings] = field(default_factory=list)
    requests: int = 0
    trouble: str = ""


class _Enough(PotwattError):
    """The probe ends here; the message says why."""


class Prober:
    """Carries out one plan over one line. ``told`` hears what is about to be done."""

    def __init__(
        self,
        line: Line,
        plan: ProbePlan,
        where: str,
        *,
        requests_per_s_max: float = REQUESTS_PER_S_MAX,
        again_after_s: float = AGAIN_AFTER_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._line, self._plan, self._where, self._told = line, plan, where, told
        self._spacing_s, self._again_after_s, self._sleep = 1.0 / requests_per_s_max, again_after_s, sleep
        self._asked_s: float | None = None
        self.result = ProbeResult()

    async def run(self) -> ProbeResult:
        """Ask unit after unit. Never raises for what a device or line does: it ends the probe and is told in the result."""
        try:
            for unit in self._plan.units:
                findings = UnitFindings(unit)
                self.result.units.append(findings)
                if self._plan.walk == "walk":
                    self._told(f"unit {unit}: looking for SunSpec")
                    await self._walk(findings)
                if self._plan.addresses:
                    await self._read_range(findings)
        except (DeviceSilent, DeviceNonsense, TransportError, _Enough) as error:
            self.result.trouble = str(error)
        return self.result

    async def _walk(self, findings: UnitFindings) -> None:
        walk = walk_models()
        request = next(walk)
        while True:
            answer = await self._ask(request, findings)
            if findings.no_function:
                findings.chain = Chain((), "the unit does not know that function")
                return
            try:
                request = walk.send(answer)
            except StopIteration as end:
                findings.chain = end.value
                break
        if findings.chain.models:
            await self._read_models(findings)

    async def _read_models(self, findings: UnitFindings) -> None:
        """Headers and bodies of all models, so that profiles can be held against them without asking again."""
        for model in findings.chain.models:
            self._told(f"unit {findings.unit}: SunSpec model {model.model}")
            end = model.base_address + 2 + model.length
            for address in range(model.base_address, end, MODEL_WORDS):
                await self._ask(ReadRequest("holding", address, min(MODEL_WORDS, end - address)), findings)

    async def _read_range(self, findings: UnitFindings) -> None:
        """Every block, halved where it is refused, then what came once more after a while."""
        plan = self._plan
        first, last = plan.addresses.start, plan.addresses.stop - 1
        self._told(f"unit {findings.unit}: reading {plan.table} {first}-{last}")
        findings.no_function = False
        started_s = asyncio.get_running_loop().time()
        readable: list[ReadRequest] = []
        waiting = list(plan.blocks)[::-1]
        while waiting and not findings.no_function:
            block = waiting.pop()
            if await self._ask(block, findings) is not None:
                readable.append(block)
            elif block.count > SPLIT_WORDS_MIN and not findings.no_function:
                waiting += _halves(block)[::-1]
            else:
                findings.refused.append(block)
        if not readable:
            return
        self._told(f"unit {findings.unit}: once more, to see what moves")
        await self._sleep(max(0.0, self._again_after_s - (asyncio.get_running_loop().time() - started_s)))
        again = UnitFindings(findings.unit)
        for block in readable:
            await self._ask(block, again)
        if again.readings:
            findings.readings.append(again.readings[0])
            findings.at_s = [started_s, again.at_s[0]]

    async def _ask(self, request: ReadRequest, findings: UnitFindings) -> list[int] | None:
        """The words, kept in the first reading; None where they are not there. Raises what ends the probe."""
        loop = asyncio.get_running_loop()
        if self.result.requests >= self._plan.requests_max:
            raise _Enough(f"{self.result.requests} requests were sent, as many as allowed; ask for a smaller range")
        if self._asked_s is not None:
            await self._sleep(max(0.0, self._asked_s + self._spacing_s - loop.time()))
        self._asked_s = loop.time()
        self.result.requests += 1
        address = MeterAddress("probe", f"{self._where} unit {findings.unit}")
        answer = await self._line.ask(request, Station(address, findings.unit))
        if isinstance(answer, Refused):
            _refused(answer, request, address, findings)
            return None
        if not findings.readings:
            findings.readings.append({})
            findings.at_s.append(loop.time())
        words = list(answer)
        findings.readings[0] |= {(request.table, request.address + i): word for i, word in enumerate(words)}
        return words


def _refused(answer: Refused, request: ReadRequest, address: MeterAddress, findings: UnitFindings) -> None:
    """Take note of an exception that says something is not there. Raises _Enough for every other one."""
    if answer.code == _NO_FUNCTION:
        findings.no_function = True
    elif answer.code not in _NOT_THERE:
        asked = f"{request.count} words from {request.table} {request.address}"
        raise _Enough(f"{address.where} answered {answer.name} to a request for {asked}; try later, or another unit")


def _halves(block: ReadRequest) -> list[ReadRequest]:
    """Two halves that start at even distances, so that 32-bit values stay whole."""
    half = (block.count // 2 + 1) // 2 * 2
    return [
        ReadRequest(block.table, block.address, half),
        ReadRequest(block.table, block.address + half, block.count - half),
    ]
