"""Reading a DL/T 645-2007 meter, without input or output: map, dialogue, and binary-coded decimals to numbers.

A *data identifier* (DI) names one value or a block of values of one format; a point is the value ``at`` a place of its
block, so one request serves all points of a block. Numbers are BCD, low byte first; the top bit of a signed one is its
sign; bytes FFH mean that there is no value (phase B of a three-wire meter, say).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from devices.dlt645_frame import DataReply, DataRequest, Denied
from plant.errors import DeviceError, DeviceNonsense, DeviceRefused, DeviceSilent
from plant.quality import ABSENT

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.int16]
Row = tuple[bytes | None, ...]  # data by request of the map, None where the meter refuses it
Answer = DataReply | Denied

FRAMES_MAX = 16  # of one answer; a meter that never says "last one" is not waited for


@dataclass(frozen=True, slots=True)
class Dlt645Point:
    """One quantity: the value ``at`` a place of the block ``di``, ``digits`` BCD digits long (even).

    ``scale`` turns the whole number of these digits into the canonical unit; ``wraps_at`` is in that unit.
    """

    name: str
    di: str
    at: int
    digits: int
    scale: Fraction
    signed: bool
    wraps_at: float | None = None

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return self.digits // 2


@dataclass(frozen=True, slots=True, eq=False)
class Dlt645Map:
    """Points of a meter; ``requests`` are their data identifiers, each once, in the order of the points."""

    points: tuple[Dlt645Point, ...]

    @property
    def requests(self) -> tuple[str, ...]:
        """Data identifiers to ask for."""
        return tuple(dict.fromkeys(p.di for p in self.points))


@dataclass(frozen=True, slots=True, eq=False)
class Acquaintance:
    """What is known of a meter: data identifiers it refuses or leaves ``unanswered``, and ``absent`` bool[k], the quantities
    missing for that."""

    refused: frozenset[str]
    absent: npt.NDArray[np.bool_]
    unanswered: frozenset[str] = frozenset()

    @property
    def is_unsure(self) -> bool:
        """Whether frames that were lost may be all that is amiss."""
        return bool(self.unanswered)

    @property
    def serial(self) -> str:
        """None is asked for: the address, which it answers to, is the meter's own number."""
        return ""


def introduce(map_: Dlt645Map, meter: str, address: str) -> Generator[DataRequest, Answer, Acquaintance]:
    """Ask for everything once, to know what the meter refuses or, as some do instead, leaves unanswered twice.

    Raises DeviceRefused where the meter has nothing of it or is in trouble of its own, DeviceSilent where it answers
    neither of the first two.
    """
    refused: dict[str, DeviceError] = {}
    unanswered: dict[str, DeviceError] = {}
    answers = False
    waiting = list(map_.requests)
    while waiting:
        di = waiting.pop(0)
        data = yield from _try(di, meter, address)
        if isinstance(data, DeviceSilent):
            if not answers and (unanswered or not waiting):
                raise data
            if di not in unanswered:  # lost, or its way of refusing: asked once more, of a meter that answers otherwise
                waiting.insert(0 if answers else 1, di)
            unanswered[di] = data
            continue
        answers = True
        unanswered.pop(di, None)
        if isinstance(data, Denied):
            refused[di] = _refusal(di, data, meter, address)
            if not data.is_about_data:
                raise refused[di]
    missing = refused.keys() | unanswered.keys()
    if len(missing) == len(map_.requests):
        raise (refused | unanswered)[map_.requests[0]]
    absent = np.array([p.di in missing for p in map_.points], bool)
    return Acquaintance(frozenset(refused), absent, frozenset(unanswered))


def poll(map_: Dlt645Map, known: Acquaintance, meter: str, address: str) -> Generator[DataRequest, Answer, Row]:
    """Read what the meter does not refuse. One that has answered is asked again where it is silent: on a long line frames are
    lost, and eleven good ones are not to go with the twelfth. Raises DeviceSilent, DeviceRefused, DeviceNonsense (an answer
    without end)."""
    row: list[bytes | None] = []
    for di in map_.requests:
        if di in known.refused or di in known.unanswered:
            row.append(None)
            continue
        try:
            data = yield from _read(di, meter, address)
        except DeviceSilent:
            if not any(row):
                raise
            data = yield from _read(di, meter, address)
        if isinstance(data, Denied):
            raise _refusal(di, data, meter, address)
        row.append(data)
    return tuple(row)


def decode(map_: Dlt645Map, rows: Sequence[Row]) -> tuple[Floats, Flags]:
    """Values float64[n, k] in canonical units and qualities int16[n, k] of n readings; a missing value is NaN with ABSENT."""
    place = {di: i for i, di in enumerate(map_.requests)}
    value = np.full((len(rows), len(map_.points)), np.nan)
    for k, point in enumerate(map_.points):
        first, last = point.at * point.size, (point.at + 1) * point.size
        times, over = float(point.scale.numerator), float(point.scale.denominator)
        for n, row in enumerate(rows):
            data = row[place[point.di]]
            number = None if data is None or len(data) < last else bcd(data[first:last], signed=point.signed)
            if number is not None:
                value[n, k] = number * times / over
    return value, np.where(np.isnan(value), np.int16(int(ABSENT)), np.int16(0))


def bcd(data: bytes, *, signed: bool) -> int | None:
    """The number of some BCD bytes, low byte first; None where a digit is none, as in FFH for "no value"."""
    digits = bytearray(data[::-1])
    negative = signed and bool(digits[0] & 0x80)
    if negative:
        digits[0] &= 0x7F
    text = digits.hex()
    if not text.isdecimal():
        return None
    return -int(text) if negative else int(text)


def format_of(text: str) -> tuple[int, int]:
    """Digits and decimals of a format as the standard writes it: XXXXXX.XX is (8, 2).

    Raises ValueError unless it is X's, an even number of them, with at most one point.
    """
    whole, _, decimals = text.partition(".")
    digits = len(whole) + len(decimals)
    if set(whole + decimals) != {"X"} or digits % 2 or digits > 16:
        raise ValueError(f"{text!r} is no format; an even number of X with at most one point is, such as XXXXXX.XX")
    return digits, len(decimals)


def _try(di: str, meter: str, address: str) -> Generator[DataRequest, Answer, bytes | Denied | DeviceSilent]:
    """What comes of an identifier, silence too."""
    try:
        return (yield from _read(di, meter, address))
    except DeviceSilent as silence:
        return silence


def _read(di: str, meter: str, address: str) -> Generator[DataRequest, Answer, bytes | Denied]:
    """The whole data of an identifier, over as many frames as the meter needs."""
    data = b""
    for sequence in range(FRAMES_MAX):
        answer = yield DataRequest(di, sequence)
        if isinstance(answer, Denied):
            return answer
        data += answer.data
        if not answer.more:
            return data
    raise DeviceNonsense(
        meter,
        address,
        expected=f"the last frame of {di} within {FRAMES_MAX}",
        got="ever more frames",
        next_step="check that the profile fits the meter",
    )


def _refusal(di: str, denied: Denied, meter: str, address: str) -> DeviceError:
    return DeviceRefused(
        meter,
        address,
        expected=f"data {di}",
        got=denied.name,
        next_step="check that the profile fits the meter and that the meter is in order",
    )
