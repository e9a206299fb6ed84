"""The probe against real servers: what it finds, what ends it, and that it never asks faster or more than it said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from random_maps import to_words

from collector.modbus_line import ModbusLine
from collector.polled import Station
from collector.probe import ProbePlan, Prober, ProbeResult
from collector.probe_match import fits
from devices.catalog import shipped_profiles
from devices.codec import encode
from devices.dialogue import Answer
from devices.image import fixed_words, plan_addresses
from devices.maps import Profile
from devices.plan import ReadRequest
from plant.site import Endpoint

PROFILES = shipped_profiles()
FAST = 2_000.0


def profile_device(unit: int, profile: Profile, values: dict[str, float]) -> SimDevice:
    row = encode(profile, np.array([[values.get(q, 1.0) for q in profile.quantities]]))[0]
    words = {address: word for (_, address), word in fixed_words(profile).items()}
    words |= {address: int(word) for (_, address), word in zip(plan_addresses(profile), row, strict=True)}
    return SimDevice(unit, [SimData(a, values=[w], datatype=DataType.REGISTERS) for a, w in sorted(words.items())])


def block_device(unit: int, first: int, words: list[int], code: ExcCodes | None = None) -> SimDevice:
    async def refuse(*_: object) -> ExcCodes | None:
        return code

    action = {} if code is None else {"action": refuse}
    return SimDevice(unit, [SimData(first, values=words, datatype=DataType.REGISTERS)], **action)


@asynccontextmanager
async def probing(
    devices: list[SimDevice], plan: ProbePlan, seen: list[ReadRequest] | None = None, mute: int | None = None
) -> AsyncIterator[Prober]:
    def trace(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        return pdu

    def packet(sending: bool, data: bytes) -> bytes:
        return b"" if sending and mute is not None and len(data) > 6 and data[6] == mute else data

    server = ModbusTcpServer(devices, address=("127.0.0.1", 0), trace_pdu=trace, trace_packet=packet)
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    line = ModbusLine(Endpoint("probe", "modbus_tcp", "127.0.0.1", port, 0.3))
    await line.connect()
    recorded = Recorded(line, seen if seen is not None else [])
    try:
        yield Prober(recorded, plan, line.where, requests_per_s_max=FAST, again_after_s=0.05)
    finally:
        line.close()
        await server.shutdown()


class Recorded:
    """A line that remembers what it was asked."""

    def __init__(self, line: ModbusLine, seen: list[ReadRequest]) -> None:
        self._line, self._seen = line, seen

    async def ask(self, request: ReadRequest, station: Station) -> Answer:
        self._seen.append(request)
        return await self._line.ask(request, station)


async def outcome(devices: list[SimDevice], plan: ProbePlan, **options: object) -> ProbeResult:
    async with probing(devices, plan, **options) as prober:  # type: ignore[arg-type]
        return await prober.run()


async def test_sunspec_is_walked_and_the_profile_named() -> None:
    profile = PROFILES["sunspec_meter_203"]
    values = {q: 231.0 for q in profile.quantities if q.startswith("voltage")} | {"frequency": 50.0}
    result = await outcome([profile_device(4, profile, values)], ProbePlan((4,)))
    assert not result.trouble
    assert [m.model for m in result.units[0].chain.models] == [1, 203]
    found = fits(PROFILES.values(), result.units[0].image)
    assert found[0].profile.id in ("sunspec_meter", "sunspec_meter_203"), "the standard's profile before a maker's"
    named = {fit.profile.id: fit for fit in found}["sunspec_meter_203"]
    assert (named.definite, named.identified, named.values["frequency"]) == (True, True, 50.0)


async def test_a_shipped_map_is_recognised_by_its_identity() -> None:
    profile = PROFILES["sim_ac_meter"]
    values = dict.fromkeys(profile.quantities, 100.0) | {"power_factor": 0.9, "frequency": 50.0}
    plan = ProbePlan((1,), "skip", "input", range(40))
    result = await outcome([profile_device(1, profile, values)], plan)
    assert fits(PROFILES.values(), result.units[0].image)[0].profile.id == "sim_ac_meter"


async def test_an_unknown_range_is_halved_to_what_is_there_and_read_twice() -> None:
    words = [w for v in (230.0, 231.0, 229.5, 50.0) for w in to_words("float32", "ABCD", v)]
    seen: list[ReadRequest] = []
    result = await outcome([block_device(1, 20, words)], ProbePlan((1,), "skip", "holding", range(60)), seen=seen)
    registers = result.units[0].registers("holding", range(60))
    assert registers is not None
    assert registers.address.tolist() == list(range(20, 28))
    assert registers.words.tolist() == [words, words]
    assert all(r.address >= 0 and r.end <= 60 for r in seen)
    assert len(seen) == result.requests


async def test_only_what_was_named_is_asked_without_sunspec() -> None:
    seen: list[ReadRequest] = []
    await outcome([block_device(1, 0, [1] * 10)], ProbePlan((1,), "skip", "holding", range(3, 6)), seen=seen)
    assert {(r.table, r.address, r.count) for r in seen} == {("holding", 3, 3)}


@pytest.mark.parametrize(
    ("code", "word"),
    [(ExcCodes.DEVICE_BUSY, "busy"), (ExcCodes.DEVICE_FAILURE, "failure"), (ExcCodes.GATEWAY_PATH_UNAVIABLE, "path")],
)
async def test_a_busy_or_failing_device_ends_the_probe_at_once(code: ExcCodes, word: str) -> None:
    devices = [block_device(1, 0, [1] * 10, code), block_device(2, 0, [1] * 10)]
    result = await outcome(devices, ProbePlan((1, 2), "skip", "holding", range(10)))
    assert word in result.trouble
    assert result.requests == 1
    assert [u.unit for u in result.units] == [1]


async def test_silence_ends_the_probe_and_what_was_found_before_stays() -> None:
    devices = [block_device(1, 0, [1, 2, 3]), block_device(2, 0, [4, 5, 6]), block_device(3, 0, [7, 8, 9])]
    result = await outcome(devices, ProbePlan((1, 2, 3), "skip", "holding", range(3)), mute=2)
    assert "unit 2" in result.trouble
    assert "no answer" in result.trouble
    assert [u.unit for u in result.units] == [1, 2]
    assert result.units[0].image == {("holding", 0): 1, ("holding", 1): 2, ("holding", 2): 3}


async def test_a_table_that_the_unit_does_not_have_is_an_answer() -> None:
    devices = [block_device(1, 0, [1] * 4, ExcCodes.ILLEGAL_FUNCTION), block_device(2, 0, [5] * 4)]
    result = await outcome(devices, ProbePlan((1, 2), "walk", "holding", range(4)))
    assert not result.trouble
    assert result.units[0].registers("holding", range(4)) is None
    assert result.units[1].registers("holding", range(4)) is not None


async def test_the_number_of_requests_is_bounded() -> None:
    result = await outcome([block_device(1, 5000, [1])], ProbePlan((1,), "skip", "holding", range(1000), requests_max=25))
    assert result.requests == 25
    assert "as many as allowed" in result.trouble


class Refuses:
    """A line whose device refuses everything, for the pace alone."""

    def __init__(self, at_s: list[float], now: Callable[[], float]) -> None:
        self._at_s, self._now = at_s, now

    async def ask(self, request: ReadRequest, station: Station) -> Answer:
        self._at_s.append(self._now())
        return [0] * request.count


async def test_no_two_requests_are_closer_than_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s, raising=False)
    asked_s: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    plan = ProbePlan((1, 2), "walk", "holding", range(200))
    prober = Prober(Refuses(asked_s, lambda: now_s), plan, "nowhere", sleep=sleep)
    result = await prober.run()
    assert result.requests == len(asked_s) >= 20
    assert np.diff(asked_s).min() >= 0.5 - 1e-9


def test_no_more_requests_are_announced_than_can_be_sent() -> None:
    assert ProbePlan((1,), "skip", "holding", range(10)).requests == (2, 30)
    assert ProbePlan((1,), "skip", "holding", range(1_000)).requests == (40, 400)
    assert ProbePlan((1,), "walk").requests == (3, 400)
    assert ProbePlan(tuple(range(1, 248)), "walk").requests[1] == 400
