"""Registers to numbers and back, vectorised: ``encode`` is the mirror image of ``decode``.

Rules. Words are those of the plan's requests, one after the other. Every scale is an exact ratio, so that 12345 with
a factor of 0.1 is 1234.5. A sentinel, a NaN, or a scale factor that is a sentinel or outside -10..10 makes a value
missing, never a guess. Nothing is cached between calls: a scale factor counts for the words it came with.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from devices.maps import EXPONENT_MAX, REGISTER_TYPES, ModbusMap, ModbusPoint, Profile, Table
from devices.plan import plan_reads, words_of
from plant.quality import ABSENT, Quality

Words = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.int16]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

_POWERS = 10.0 ** np.arange(EXPONENT_MAX + 1)
_TIMES = np.concatenate([np.ones(EXPONENT_MAX), _POWERS])  # by exponent + 10: exact powers alone, to round once
_OVER = np.concatenate([_POWERS[:0:-1], np.ones(EXPONENT_MAX + 1)])
_OVERFLOW = int(Quality.INVALID | Quality.OVERFLOW)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """m points that are read alike; ``gather`` intp[m, words] holds the places of their words, least significant first."""

    columns: Indices
    gather: Indices
    bytes_swapped: bool
    numpy_kind: str
    times: Floats
    over: Floats
    sf_at: Indices | None
    sentinels: npt.NDArray[np.uint64]  # [m, s]
    bit: npt.NDArray[np.uint16] | None
    modulus: Floats  # of the raw number, infinite where it does not wrap

    @property
    def bits(self) -> int:
        return 16 * int(self.gather.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class _ScaleFactor:
    """A register that scales the points in ``columns``; ``capacity`` is the largest raw number each can carry."""

    at: int
    columns: Indices
    unit: Floats
    capacity: Floats
    nominal: int | None
    bytes_swapped: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    words: int
    columns: int
    groups: tuple[_Group, ...]
    scale_factors: tuple[_ScaleFactor, ...]
    places: dict[tuple[Table, int], int]


def width(profile: Profile) -> int:
    """Number of words that the plan of a profile reads: w of ``decode`` and ``encode``."""
    return _layout(profile).words


def place_of(profile: Profile, table: Table, address: int) -> int:
    """Column of an address of the map in the words of the plan. Raises KeyError where the plan does not read it."""
    return _layout(profile).places[table, address]


def columns_touching(profile: Profile, unread: npt.NDArray[np.bool_]) -> Mask:
    """Which quantities, bool[k], need a word of ``unread``, bool[w]."""
    places = _layout(profile).places
    points = _map(profile).points
    return np.array([any(unread[places[p.table, a]] for a in words_of(p)) for p in points], bool)


def decode(profile: Profile, words: Words) -> tuple[Floats, Flags]:
    """Values float64[n, k] in canonical units and qualities int16[n, k] of n readings uint16[n, w].

    A missing value is NaN with ``ABSENT``; an infinite one NaN with INVALID and OVERFLOW. Raises ValueError for other widths.
    """
    layout = _layout(profile)
    if words.ndim != 2 or words.shape[1] != layout.words or words.dtype != np.uint16:
        raise ValueError(f"{profile.id} is decoded from uint16[n, {layout.words}], not {words.dtype}{list(words.shape)}")
    value = np.empty((len(words), layout.columns))
    quality = np.zeros(value.shape, np.int16)
    for group in layout.groups:
        number, missing = _numbers(group, words)
        infinite = np.isinf(number)
        number[missing | infinite] = np.nan
        flags = np.where(missing, np.int16(int(ABSENT)), np.int16(0))
        flags[infinite & ~missing] = _OVERFLOW
        value[:, group.columns] = number
        quality[:, group.columns] = flags
    return value, quality


def encode(profile: Profile, value: Floats) -> Words:
    """Words uint16[n, w] as the device would serve values float64[n, k] in canonical units; NaN becomes the sentinel.

    Counters wrap at the register's end, other numbers saturate. A moving scale factor is its nominal one, or else the
    finest that still holds all its points. Raises ValueError where a NaN has no sentinel to become.
    """
    layout = _layout(profile)
    if value.ndim != 2 or value.shape[1] != layout.columns:
        raise ValueError(f"{profile.id} is encoded from float64[n, {layout.columns}], not {list(value.shape)}")
    words = np.zeros((len(value), layout.words), np.uint16)
    for factor in layout.scale_factors:
        words[:, factor.at] = _swapped(_exponents(factor, value).view(np.uint16), factor.bytes_swapped)
    for group in layout.groups:
        _store(profile, group, value[:, group.columns], words)
    return words


def _numbers(group: _Group, words: Words) -> tuple[Floats, Mask]:
    """Scaled numbers float64[n, m], a fresh array, and which of them are missing."""
    wire = _swapped(np.ascontiguousarray(words[:, group.gather]), group.bytes_swapped)
    packed = wire.astype("<u2", copy=False).view(f"<u{2 * group.gather.shape[1]}")[..., 0]
    missing = np.zeros(packed.shape, bool)
    for sentinel in group.sentinels.T:
        missing |= packed == sentinel.astype(packed.dtype)
    if group.bit is not None:
        return ((packed >> group.bit) & 1).astype(np.float64), missing
    with np.errstate(invalid="ignore"):  # widening a signalling NaN; it is missing like any other
        number = packed.view(f"<{group.numpy_kind}{packed.itemsize}").astype(np.float64)
    missing |= np.isnan(number)
    number *= group.times
    if group.sf_at is None:
        number /= group.over
        return number, missing
    exponent = _swapped(words[:, group.sf_at], group.bytes_swapped).view(np.int16)
    missing |= np.abs(exponent.astype(np.int32)) > EXPONENT_MAX
    row = np.where(missing, 0, exponent) + EXPONENT_MAX
    number *= _TIMES[row]
    number /= group.over * _OVER[row]
    return number, missing


def _exponents(factor: _ScaleFactor, value: Floats) -> npt.NDArray[np.int16]:
    """The power of ten each reading is served with, int16[n]."""
    if factor.nominal is not None:
        return np.full(len(value), factor.nominal, np.int16)
    full = np.nan_to_num(np.abs(value[:, factor.columns]) * factor.unit / factor.capacity).max(axis=1)
    finest = np.ceil(np.log10(np.maximum(full, 10.0**-EXPONENT_MAX)))
    exponent: npt.NDArray[np.int16] = np.clip(finest, -EXPONENT_MAX, EXPONENT_MAX).astype(np.int16)
    return exponent


def _store(profile: Profile, group: _Group, value: Floats, words: Words) -> None:
    """Write the points of a group into ``words``."""
    absent = np.isnan(value)
    if group.bit is not None:
        for m, place in enumerate(group.gather[:, 0]):
            words[:, place] |= _swapped((value[:, m] > 0.5).astype(np.uint16) << group.bit[m], group.bytes_swapped)
        return
    raw = value * group.over / group.times
    if group.sf_at is not None:
        row = _swapped(words[:, group.sf_at], group.bytes_swapped).view(np.int16).astype(np.intp) + EXPONENT_MAX
        raw = raw * _OVER[row] / _TIMES[row]
    packed = _float_bits(raw, group) if group.numpy_kind == "f" else _integer_bits(np.where(absent, 0.0, raw), group)
    if absent.any() and group.numpy_kind != "f":
        if not group.sentinels.shape[1]:
            names = [profile.quantities[group.columns[m]] for m in np.flatnonzero(absent.any(axis=0))]
            raise ValueError(f"{profile.id}: {', '.join(names)} has no sentinel, so a missing value cannot be encoded")
        packed = np.where(absent, group.sentinels[:, 0].astype(packed.dtype), packed)
    wire = np.ascontiguousarray(packed)[..., None].view("<u2").astype(np.uint16, copy=False)
    words[:, group.gather] = _swapped(wire, group.bytes_swapped)


def _float_bits(raw: Floats, group: _Group) -> npt.NDArray[np.unsignedinteger]:
    size = group.bits // 8
    largest = float(np.finfo(f"<f{size}").max)
    number = np.clip(_wrapped(raw, group), -largest, largest)
    bits: npt.NDArray[np.unsignedinteger] = number.astype(f"<f{size}").view(f"<u{size}")
    return bits


def _integer_bits(raw: Floats, group: _Group) -> npt.NDArray[np.unsignedinteger]:
    """Bit patterns of rounded numbers; one that happens to be a sentinel moves one step, except in a counter."""
    low, high = _range(group.numpy_kind, group.bits)
    rounded = np.clip(_wrapped(np.rint(raw), group), low, high)
    number = rounded.astype(np.int64) if group.numpy_kind == "i" else rounded.astype(np.uint64)
    packed = number.astype(f"<{group.numpy_kind}{group.bits // 8}").view(f"<u{group.bits // 8}")
    for sentinel in group.sentinels.T:
        pattern = sentinel.astype(packed.dtype)
        step = np.where((pattern == 0) | (pattern == 1 << (group.bits - 1)), 1, -1)
        hit = (packed == pattern) & np.isinf(group.modulus)
        packed = np.where(hit, packed + step.astype(packed.dtype), packed)
    return packed


def _wrapped(raw: Floats, group: _Group) -> Floats:
    with np.errstate(invalid="ignore"):  # the remainder by infinity is not used
        return np.where(np.isinf(group.modulus), raw, np.mod(raw, group.modulus))


def _range(numpy_kind: str, bits: int) -> tuple[float, float]:
    """Smallest and largest number of an integer type that a float64 holds without spilling over its end."""
    half = 2.0 ** (bits - 1)
    low, end = (-half, half) if numpy_kind == "i" else (0.0, 2 * half)
    return low, min(end - 1, float(np.nextafter(end, 0)))


def _swapped(words: Words, swap: bool) -> Words:
    return words.byteswap() if swap else words


def _map(profile: Profile) -> ModbusMap:
    if profile.modbus is None:
        raise ValueError(f"{profile.id} is read over MQTT and has no registers")
    return profile.modbus


@lru_cache(maxsize=1024)
def _layout(profile: Profile) -> _Layout:
    """Everything about a profile that does not depend on the readings."""
    map_ = _map(profile)
    places: dict[tuple[Table, int], int] = {}
    for request in plan_reads(map_):
        for address in range(request.address, request.end):
            places[request.table, address] = len(places)
    alike: dict[tuple[object, ...], list[int]] = {}
    for column, point in enumerate(map_.points):
        kind = REGISTER_TYPES[point.type]
        key = (point.type == "bit", kind.words, kind.numpy_kind, point.word_order, point.sf_at is None, len(point.sentinels))
        alike.setdefault(key, []).append(column)
    groups = tuple(_group(map_, columns, places) for columns in alike.values())
    return _Layout(len(places), len(map_.points), groups, _scale_factors(map_, places), places)


def _group(map_: ModbusMap, columns: list[int], places: dict[tuple[Table, int], int]) -> _Group:
    points = [map_.points[c] for c in columns]
    first = points[0]
    gather = [[places[p.table, p.address + i] for i in p.word_order.positions(p.words)] for p in points]
    return _Group(
        np.array(columns, np.intp),
        np.array(gather, np.intp),
        first.word_order.swaps_bytes,
        REGISTER_TYPES[first.type].numpy_kind,
        np.array([float(p.scale.numerator) for p in points]),
        np.array([float(p.scale.denominator) for p in points]),
        np.array([places[p.table, p.sf_at] for p in points if p.sf_at is not None], np.intp) if first.sf_at is not None else None,
        np.array([p.sentinels for p in points], np.uint64).reshape(len(points), len(first.sentinels)),
        np.array([p.bit for p in points], np.uint16) if first.type == "bit" else None,
        np.array([_modulus(p) for p in points]),
    )


def _modulus(point: ModbusPoint) -> float:
    if point.wraps_at is None:
        return float("inf")
    return float(Fraction(point.wraps_at) / point.scale / Fraction(10) ** (point.sf_nominal or 0))


def _scale_factors(map_: ModbusMap, places: dict[tuple[Table, int], int]) -> tuple[_ScaleFactor, ...]:
    sharing: dict[int, list[int]] = {}
    for column, point in enumerate(map_.points):
        if point.sf_at is not None:
            sharing.setdefault(places[point.table, point.sf_at], []).append(column)
    return tuple(_scale_factor(at, [map_.points[c] for c in columns], columns) for at, columns in sharing.items())


def _scale_factor(at: int, points: list[ModbusPoint], columns: list[int]) -> _ScaleFactor:
    types = [REGISTER_TYPES[p.type] for p in points]
    nominal = next((p.sf_nominal for p in points if p.sf_nominal is not None), None)
    return _ScaleFactor(
        at,
        np.array(columns, np.intp),
        np.array([float(1 / p.scale) for p in points]),
        np.array([_range(t.numpy_kind, t.bits)[1] - 1 for t in types]),
        nominal,
        points[0].word_order.swaps_bytes,
    )
