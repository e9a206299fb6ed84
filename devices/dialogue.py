"""Talking to a Modbus meter, without input or output: generators that yield what to read and are sent the answer.

``introduce`` finds out once whether the meter is what the profile says, where its map starts and which registers it
refuses; ``poll`` then reads what is left. Silence, a lost line and answers of a wrong length never get here: whoever
drives the generator raises them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.codec import Words, columns_touching, place_of, width
from devices.maps import ModbusMap, Profile, Table
from devices.plan import ReadRequest, plan_reads, split_request
from devices.sunspec import Chain, walk_models
from plant.errors import DeviceError, DeviceNonsense, DeviceRefused, DeviceSilent

EXCEPTIONS = {  # Modbus Application Protocol V1.1b3, section 7
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
_NOT_THERE = (2, 3)  # the registers, not the device, are refused
_NOT_NOW = (5, 6)  # the device has the request or is at something else: asking later helps


@dataclass(frozen=True, slots=True)
class Refused:
    """An exception answer."""

    code: int

    @property
    def name(self) -> str:
        """The code in words."""
        return f"exception {self.code} ({EXCEPTIONS.get(self.code, 'not in the standard')})"


Answer = Sequence[int] | Refused


@dataclass(frozen=True, slots=True)
class MeterAddress:
    """How messages name a meter: its id and where it is, such as ``127.0.0.1:502 unit 3``."""

    meter: str
    where: str


@dataclass(frozen=True, slots=True, eq=False)
class Introduction:
    """What is known of a meter: requests with absolute addresses, the place of each in the words of the plan, and holes.

    ``absent`` bool[k] marks quantities that the meter refuses to tell, ``holes`` names their registers.
    """

    requests: tuple[tuple[ReadRequest, int], ...]
    absent: npt.NDArray[np.bool_]
    holes: tuple[ReadRequest, ...]


def introduce(profile: Profile, meter: MeterAddress) -> Generator[ReadRequest, Answer, Introduction]:
    """Check identity, locate the map, read everything once and halve refused requests down to the refused registers.

    Raises DeviceNonsense where the meter is not what the profile says, DeviceRefused where it tells nothing at all,
    DeviceSilent where it is busy.
    """
    assert profile.modbus is not None
    base = yield from _base_address(profile.modbus, meter)
    yield from _identify(profile.modbus, base, meter)
    readable: list[ReadRequest] = []
    holes: list[ReadRequest] = []
    waiting = list(plan_reads(profile.modbus))[::-1]
    refusal = Refused(0)
    while waiting:
        request = waiting.pop()
        answer = yield request.shifted(base)
        if not isinstance(answer, Refused):
            readable.append(request)
            continue
        if answer.code not in _NOT_THERE:
            raise _refused(meter, request.shifted(base), answer)
        refusal = answer
        halves = split_request(profile.modbus, request)
        if halves is None:
            holes.append(request.shifted(base))
        else:
            waiting += halves[::-1]
    if not readable:
        raise _refused(meter, holes[0], refusal)
    return _introduction(profile, base, readable, holes)


def poll(meter: MeterAddress, profile: Profile, known: Introduction) -> Generator[ReadRequest, Answer, Words]:
    """One reading: words uint16[w] of the plan, 0 in the holes. Raises DeviceRefused when a request is refused after all,
    DeviceSilent when the device is busy."""
    words = np.zeros(width(profile), np.uint16)
    for request, place in known.requests:
        answer = yield request
        if isinstance(answer, Refused):
            raise _refused(meter, request, answer)
        words[place : place + request.count] = answer
    return words


def _base_address(map_: ModbusMap, meter: MeterAddress) -> Generator[ReadRequest, Answer, int]:
    if map_.sunspec is None:
        return 0
    chain = yield from _chain(map_.points[0].table, meter)
    found = chain.find((map_.sunspec.id,))
    if found is not None and found.length >= map_.sunspec.length:
        return found.base_address
    got = f"that model with {found.length} words" if found is not None else chain.in_words
    next_step = "choose the profile of a model that the device lists, or switch SunSpec on in the device"
    expected = f"SunSpec model {map_.sunspec.id} of {map_.sunspec.length} words"
    raise DeviceNonsense(meter.meter, meter.where, expected=expected, got=got, next_step=next_step)


def _chain(table: Table, meter: MeterAddress) -> Generator[ReadRequest, Answer, Chain]:
    """The models that the device lists."""
    walk = walk_models(table)
    request = next(walk)
    while True:
        answer = yield request
        if isinstance(answer, Refused) and answer.code not in _NOT_THERE:
            raise _refused(meter, request, answer)
        try:
            request = walk.send(None if isinstance(answer, Refused) else answer)
        except StopIteration as end:
            chain: Chain = end.value
            return chain


def _identify(map_: ModbusMap, base: int, meter: MeterAddress) -> Generator[ReadRequest, Answer, None]:
    if map_.identity is None:
        return
    expected = map_.identity.words
    request = ReadRequest(map_.identity.table, base + map_.identity.address, len(expected))
    answer = yield request
    if isinstance(answer, Refused) and answer.code not in _NOT_THERE:
        raise _refused(meter, request, answer)
    if isinstance(answer, Refused) or tuple(answer) != expected:
        got = answer.name if isinstance(answer, Refused) else str(list(answer))
        raise DeviceNonsense(
            meter.meter,
            meter.where,
            expected=f"identity {list(expected)} at {request.table} {request.address}",
            got=got,
            next_step="another device answers there: check unit number and profile; nothing it says is taken",
        )


def _introduction(profile: Profile, base: int, readable: list[ReadRequest], holes: list[ReadRequest]) -> Introduction:
    unread = np.ones(width(profile), bool)
    requests: list[tuple[ReadRequest, int]] = []
    for request in readable:
        place = place_of(profile, request.table, request.address)
        unread[place : place + request.count] = False
        requests.append((request.shifted(base), place))
    return Introduction(tuple(requests), columns_touching(profile, unread), tuple(holes))


def _refused(meter: MeterAddress, request: ReadRequest, answer: Refused) -> DeviceError:
    if answer.code in _NOT_NOW:
        return DeviceSilent(
            meter.meter,
            meter.where,
            expected=f"{request.count} words from {request.table} {request.address}",
            got=answer.name,
            next_step="it is asked again with growing pauses",
        )
    return DeviceRefused(
        meter.meter,
        meter.where,
        expected=f"{request.count} words from {request.table} {request.address}",
        got=answer.name,
        next_step="check the unit number, the profile and the access rights in the device",
    )
