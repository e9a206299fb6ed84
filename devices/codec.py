"""Registers to numbers and back, vectorised: ``encode`` is the mirror image of ``decode``.

Rules. Words are those of the plan's requests, one after the other. Every scale is an exact ratio, so that 12345 with
a factor of 0.1 is 1234.5. A sentinel, a NaN, or a scale factor that is a sentinel or outside -10..10 makes a value
missing, never a guess. Nothing is cached between calls: a scale factor counts for the words it came with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from devices.layout import Floats, Group, Part, ScaleFactor, layout_of, modbus_map, number_range
from devices.maps import EXPONENT_MAX, Profile, Table
from devices.plan import words_of
from plant.quality import ABSENT, Quality

Words = npt.NDArray[np.uint16]
Flags = npt.NDArray[np.int16]
Mask = npt.NDArray[np.bool_]

_POWERS = 10.0 ** np.arange(EXPONENT_MAX + 1)
_TIMES = np.concatenate([np.ones(EXPONENT_MAX), _POWERS])  # by exponent + 10: exact powers alone, to round once
_OVER = np.concatenate([_POWERS[:0:-1], np.ones(EXPONENT_MAX + 1)])
_OVERFLOW = int(Quality.INVALID | Quality.OVERFLOW)


def width(profile: Profile) -> int:
    """Number of words that the plan of a profile reads: w of ``decode`` and ``encode``."""
    return layout_of(profile).words


def place_of(profile: Profile, table: Table, address: int) -> int:
    """Column of an address of the map in the words of the plan. Raises KeyError where the plan does not read it."""
    return layout_of(profile).places[table, address]


def columns_touching(profile: Profile, unread: npt.NDArray[np.bool_]) -> Mask:
    """Which quantities, bool[k], need a word of ``unread``, bool[w]."""
    places = layout_of(profile).places
    points = modbus_map(profile).points
    return np.array([any(unread[places[p.table, a]] for a in words_of(p)) for p in points], bool)


def decode(profile: Profile, words: Words) -> tuple[Floats, Flags]:
    """Values float64[n, k] in canonical units and qualities int16[n, k] of n readings uint16[n, w].

    A missing value is NaN with ``ABSENT``; an infinite one NaN with INVALID and OVERFLOW. Raises ValueError for other widths.
    """
    layout = layout_of(profile)
    if words.ndim != 2 or words.shape[1] != layout.words or words.dtype != np.uint16:
        raise ValueError(f"{profile.id} is decoded from uint16[n, {layout.words}], not {words.dtype}{list(words.shape)}")
    value = np.empty((len(words), layout.columns))
    quality = np.zeros(value.shape, np.int16)
    for group in layout.groups:
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is told, a signalling NaN is missing
            number, missing = _numbers(group, words)
        if missing is not None:
            flags = np.where(missing, np.int16(int(ABSENT)), np.int16(0))
            if group.type.numpy_kind == "f":
                flags[np.isinf(number) & ~missing] = _OVERFLOW
            number[flags != 0] = np.nan
            quality[:, group.place] = flags
        value[:, group.place] = number
    return value, quality


def encode(profile: Profile, value: Floats) -> Words:
    """Words uint16[n, w] as the device would serve values float64[n, k] in canonical units; NaN becomes the sentinel.

    Counters wrap at the register's end, other numbers saturate. A moving scale factor is its nominal one, or else the
    finest that still holds all its points. Raises ValueError where a NaN has no sentinel to become.
    """
    layout = layout_of(profile)
    if value.ndim != 2 or value.shape[1] != layout.columns:
        raise ValueError(f"{profile.id} is encoded from float64[n, {layout.columns}], not {list(value.shape)}")
    words = np.zeros((len(value), layout.words), np.uint16)
    for factor in layout.scale_factors:
        words[:, factor.at] = _swapped(_exponents(factor, value).view(np.uint16), factor.bytes_swapped)
    with np.errstate(over="ignore", invalid="ignore"):  # a number beyond its register saturates
        for group in layout.groups:
            _store(profile, group, value[:, group.columns], words)
    return words


def _numbers(group: Group, words: Words) -> tuple[Floats, Mask | None]:
    """Scaled numbers float64[n, m], a fresh array, and which of them are missing, None where none can be."""
    wire = _swapped(words[:, group.gather], group.bytes_swapped)
    packed = np.ascontiguousarray(wire).astype("<u2", copy=False).view(f"<u{2 * group.type.words}")[..., 0]
    if group.part is not None:
        packed = (packed >> group.part.first.astype(packed.dtype)) & _mask(group.part, packed.dtype)
    missing: Mask | None = None
    for sentinel in group.sentinels.T:
        hit = packed == sentinel.astype(packed.dtype)
        missing = hit if missing is None else missing | hit
    number, unreadable = _unpacked(group, packed)
    if unreadable is not None:
        missing = unreadable if missing is None else missing | unreadable
    number *= group.times
    if group.sf_at is not None:
        exponent = _swapped(words[:, group.sf_at], group.bytes_swapped).view(np.int16)
        beyond = np.abs(exponent.astype(np.int32)) > EXPONENT_MAX
        missing = beyond if missing is None else missing | beyond
        row = np.where(missing, 0, exponent) + EXPONENT_MAX
        number *= _TIMES[row]
        if group.plus is not None:
            number += group.plus * _OVER[row]
        number /= group.over * _OVER[row]
        return number, missing
    if group.plus is not None:
        number += group.plus
    number /= group.over
    return number, missing


def _unpacked(group: Group, packed: npt.NDArray[Any]) -> tuple[Floats, Mask | None]:
    """What bit patterns [n, m] stand for, and which of them stand for nothing (a NaN, a digit above nine)."""
    if group.type.coding == "bcd":
        return _from_bcd(packed)
    if group.part is not None:
        if group.type.numpy_kind == "u":
            return packed.astype(np.float64), None
        above = (group.type.bits - group.part.width).astype(packed.dtype)  # the sign moves to the top and back
        signed = (packed << above).view(f"<i{packed.itemsize}") >> above.astype(f"<i{packed.itemsize}")
        return signed.astype(np.float64), None
    if group.type.numpy_kind != "f":
        return packed.view(f"<{group.type.numpy_kind}{packed.itemsize}").astype(np.float64), None
    number = packed.view(f"<f{packed.itemsize}").astype(np.float64)
    return number, np.isnan(number)


def _from_bcd(packed: npt.NDArray[Any]) -> tuple[Floats, Mask]:
    number, wrong = np.zeros(packed.shape, np.uint64), np.zeros(packed.shape, bool)
    for digit in range(2 * packed.itemsize):
        value = (packed >> packed.dtype.type(4 * digit)) & packed.dtype.type(15)
        wrong |= value > 9
        number += value.astype(np.uint64) * np.uint64(10**digit)
    return number.astype(np.float64), wrong


def _mask(part: Part, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return ((np.uint64(1) << part.width.astype(np.uint64)) - np.uint64(1)).astype(dtype)


def _exponents(factor: ScaleFactor, value: Floats) -> npt.NDArray[np.int16]:
    """The power of ten each reading is served with, int16[n]."""
    if factor.nominal is not None:
        return np.full(len(value), factor.nominal, np.int16)
    full = np.nan_to_num(np.abs(value[:, factor.columns]) * factor.unit / factor.capacity).max(axis=1)
    finest = np.ceil(np.log10(np.maximum(full, 10.0**-EXPONENT_MAX)))
    exponent: npt.NDArray[np.int16] = np.clip(finest, -EXPONENT_MAX, EXPONENT_MAX).astype(np.int16)
    return exponent


def _store(profile: Profile, group: Group, value: Floats, words: Words) -> None:
    """Write the points of a group into ``words``."""
    absent = np.isnan(value)
    raw = value * group.over
    if group.sf_at is not None:
        row = _swapped(words[:, group.sf_at], group.bytes_swapped).view(np.int16).astype(np.intp) + EXPONENT_MAX
        raw = raw * _OVER[row] if group.plus is None else raw * _OVER[row] - group.plus * _OVER[row]
        raw = raw / (group.times * _TIMES[row])
    else:
        raw = (raw if group.plus is None else raw - group.plus) / group.times
    packed = _float_bits(raw, group) if group.type.numpy_kind == "f" else _integer_bits(np.where(absent, 0.0, raw), group)
    if absent.any() and group.type.numpy_kind != "f":
        packed = _with_sentinels(profile, group, absent, packed)
    if group.part is None:
        wire = np.ascontiguousarray(packed)[..., None].view("<u2").astype(np.uint16, copy=False)
        words[:, group.gather] = _swapped(wire, group.bytes_swapped)
        return
    packed = (packed & _mask(group.part, packed.dtype)) << group.part.first.astype(packed.dtype)
    wire = _swapped(np.ascontiguousarray(packed)[..., None].view("<u2").astype(np.uint16, copy=False), group.bytes_swapped)
    for m, places in enumerate(group.gather):  # neighbours share their register
        words[:, places] |= wire[:, m]


def _with_sentinels(profile: Profile, group: Group, absent: Mask, packed: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if group.sentinels.shape[1]:
        return np.where(absent, group.sentinels[:, 0].astype(packed.dtype), packed)
    names = [profile.quantities[group.columns[m]] for m in np.flatnonzero(absent.any(axis=0))]
    if all(modbus_map(profile).points[group.columns[m]].type == "bit" for m in np.flatnonzero(absent.any(axis=0))):
        return packed  # a bit has nothing but 0 to say
    raise ValueError(f"{profile.id}: {', '.join(names)} has no sentinel, so a missing value cannot be encoded")


def _float_bits(raw: Floats, group: Group) -> npt.NDArray[Any]:
    size = group.type.bits // 8
    largest = float(np.finfo(f"<f{size}").max)
    number = np.clip(_wrapped(raw, group), -largest, largest)
    bits: npt.NDArray[Any] = number.astype(f"<f{size}").view(f"<u{size}")
    return bits


def _integer_bits(raw: Floats, group: Group) -> npt.NDArray[Any]:
    """Bit patterns of rounded numbers; one that happens to be a sentinel moves one step, except in a counter."""
    kind, size = group.type.numpy_kind, group.type.bits // 8
    low, high = number_range(group.type, None if group.part is None else group.part.width)
    rounded = np.clip(_wrapped(np.rint(raw), group), low, high)
    if group.type.coding == "bcd":
        packed = _to_bcd(rounded, size)
    else:
        number = rounded.astype(np.int64) if kind == "i" else rounded.astype(np.uint64)
        packed = number.astype(f"<{kind}{size}").view(f"<u{size}")
    bits = group.type.bits if group.part is None else group.part.width
    for sentinel in group.sentinels.T:
        pattern = sentinel.astype(packed.dtype)
        step = np.where((pattern == 0) | (sentinel == np.uint64(1) << np.asarray(bits - 1, np.uint64)), 1, -1)
        hit = (packed == pattern) & np.isinf(group.modulus)
        packed = np.where(hit, packed + step.astype(packed.dtype), packed)
    return packed


def _to_bcd(number: Floats, size: int) -> npt.NDArray[Any]:
    left, packed = number.astype(np.uint64), np.zeros(number.shape, np.uint64)
    for digit in range(2 * size):
        packed |= (left % np.uint64(10)) << np.uint64(4 * digit)
        left //= np.uint64(10)
    return packed.astype(f"<u{size}")


def _wrapped(raw: Floats, group: Group) -> Floats:
    return np.where(np.isinf(group.modulus), raw, np.mod(raw, group.modulus))


def _swapped(words: Words, swap: bool) -> Words:
    return words.byteswap() if swap else words
