"""The ``[dlt645]`` part of a profile file: its faults, its map, and the reading that its golden frames make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from devices.dlt645 import Dlt645Map, Dlt645Point, Row, format_of
from devices.dlt645_frame import DI_BYTES, Function, one_frame
from devices.profile_file import Dlt645PointText, Dlt645Text
from plant.quantities import QUANTITIES, Kind, factor_to_canonical

_READ_ANSWERED = 0x80 | Function.READ


def check_dlt645(text: Dlt645Text, say: Callable[[str, object, str], None]) -> None:
    """Tell every fault of the points through ``say`` (key, what was found, what is allowed)."""
    formats: dict[str, tuple[str, bool]] = {}
    taken: dict[tuple[str, int], str] = {}
    for point in text.points:
        key = f"dlt645.points[{point.name}]"
        try:
            format_of(point.format)
        except ValueError as error:
            say(f"{key}.format", point.format, str(error))
        if point.at and "FF" not in (point.di[4:6], point.di[6:8]):
            say(f"{key}.at", point.at, f"0: {point.di} names one value; blocks have FF as their third or fourth byte")
        alike = formats.setdefault(point.di, (point.format, point.signed))
        if alike != (point.format, point.signed):
            say(f"{key}.format", point.format, f"one format and sign in a block; {point.di} has {alike[0]} elsewhere")
        owner = taken.setdefault((point.di, point.at), point.name)
        if owner != point.name:
            say(f"{key}.at", point.at, f"a place of its own; {owner} is there")
        if point.wraps_at is not None and QUANTITIES[point.name].kind is not Kind.COUNTER:
            say(f"{key}.wraps_at", point.wraps_at, "only a counter wraps")
        if point.offset:
            say(f"{key}.offset", point.offset, "none: the standard's values begin at zero")


def map_of(text: Dlt645Text) -> Dlt645Map:
    """The map of a faultless ``[dlt645]``."""
    return Dlt645Map(tuple(_point(p) for p in text.points))


def golden_row(map_: Dlt645Map, frames: Sequence[str]) -> Row:
    """The reading that reply frames (hex) make; requests without a frame count as refused.

    Raises ValueError for anything but replies to reads of data that the map asks for.
    """
    data: dict[str, bytes] = {}
    for text in frames:
        frame = one_frame(bytes.fromhex(text))
        di = frame.data[:DI_BYTES][::-1].hex().upper()
        if frame.control != _READ_ANSWERED or di not in map_.requests:
            raise ValueError(f"{text}: control {frame.control:02X}H, data {di}; a reply 91H to a request of this map is allowed")
        data[di] = frame.data[DI_BYTES:]
    return tuple(data.get(di) for di in map_.requests)


def _point(p: Dlt645PointText) -> Dlt645Point:
    digits, decimals = format_of(p.format)
    unit = Fraction(str(p.scale)) * Fraction(str(factor_to_canonical(p.name, p.unit)))
    scale = unit / 10**decimals
    wraps_at = float(10**digits * scale) if p.wraps_at == "format" else None
    if isinstance(p.wraps_at, float):
        wraps_at = float(Fraction(str(p.wraps_at)) * Fraction(str(factor_to_canonical(p.name, p.unit))))
    return Dlt645Point(p.name, p.di, p.at, digits, scale, p.signed, wraps_at)
