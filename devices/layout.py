"""What the codec knows of a profile before any reading comes: which points are read alike and where their words are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from devices.maps import REGISTER_TYPES, ModbusMap, ModbusPoint, Profile, RegisterType, Table
from devices.plan import plan_reads

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """m points that are read alike; ``gather`` intp[m, words] holds the places of their words, least significant first."""

    columns: Indices
    gather: Indices
    bytes_swapped: bool
    type: RegisterType
    times: Floats
    over: Floats
    plus: Floats | None  # what is added to the raw number times ``times``
    sf_at: Indices | None
    sentinels: npt.NDArray[np.uint64]  # [m, s]
    part: Part | None
    modulus: Floats  # of the raw number, infinite where it does not wrap
    place: Indices | slice  # the columns, as a slice where they are neighbours


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Where in its register each of m values stands: number of its lowest bit and its width in bits, int64[m]."""

    first: npt.NDArray[np.int64]
    width: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ScaleFactor:
    """A register that scales the points in ``columns``; ``capacity`` is the largest raw number each can carry."""

    at: int
    columns: Indices
    unit: Floats
    capacity: Floats
    nominal: int | None
    bytes_swapped: bool


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """All of it: number of words and columns, the groups, and the place of each address in the words."""

    words: int
    columns: int
    groups: tuple[Group, ...]
    scale_factors: tuple[ScaleFactor, ...]
    places: dict[tuple[Table, int], int]


def modbus_map(profile: Profile) -> ModbusMap:
    """The register map of a profile. Raises ValueError for one that is read over MQTT."""
    if profile.modbus is None:
        raise ValueError(f"{profile.id} is read over MQTT and has no registers")
    return profile.modbus


@lru_cache(maxsize=1024)
def layout_of(profile: Profile) -> Layout:
    """Everything about a profile that does not depend on the readings."""
    map_ = modbus_map(profile)
    places: dict[tuple[Table, int], int] = {}
    for request in plan_reads(map_):
        for address in range(request.address, request.end):
            places[request.table, address] = len(places)
    alike: dict[tuple[object, ...], list[int]] = {}
    for column, point in enumerate(map_.points):
        kind = REGISTER_TYPES[point.type]
        key = (
            *(kind.words, kind.numpy_kind, kind.coding, point.bits is None, point.word_order, point.sf_at is None),
            *(len(point.sentinels), point.offset != 0),
        )
        alike.setdefault(key, []).append(column)
    groups = tuple(_group(map_, columns, places) for columns in alike.values())
    return Layout(len(places), len(map_.points), groups, _scale_factors(map_, places), places)


def _group(map_: ModbusMap, columns: list[int], places: dict[tuple[Table, int], int]) -> Group:
    points = [map_.points[c] for c in columns]
    first = points[0]
    gather = [[places[p.table, p.address + i] for i in p.word_order.positions(p.words)] for p in points]
    ratios = [_over_one_denominator(p.scale, p.offset) for p in points]
    part = None
    if first.bits is not None:
        part = Part(np.array([p.bits[0] for p in points if p.bits], np.int64), np.array([p.width for p in points], np.int64))
    return Group(
        np.array(columns, np.intp),
        np.array(gather, np.intp),
        first.word_order.swaps_bytes,
        REGISTER_TYPES[first.type],
        np.array([float(times) for times, _, _ in ratios]),
        np.array([float(over) for _, _, over in ratios]),
        np.array([float(plus) for _, plus, _ in ratios]) if first.offset else None,
        np.array([places[p.table, p.sf_at] for p in points if p.sf_at is not None], np.intp) if first.sf_at is not None else None,
        np.array([p.sentinels for p in points], np.uint64).reshape(len(points), len(first.sentinels)),
        part,
        np.array([_modulus(p) for p in points]),
        _as_slice(columns),
    )


def _over_one_denominator(scale: Fraction, offset: Fraction) -> tuple[int, int, int]:
    """``times``, ``plus`` and ``over``, so that raw * scale + offset = (raw * times + plus) / over without rounding twice."""
    over = math.lcm(scale.denominator, offset.denominator)
    return int(scale * over), int(offset * over), over


def _as_slice(columns: list[int]) -> Indices | slice:
    if columns == list(range(columns[0], columns[-1] + 1)):
        return slice(columns[0], columns[-1] + 1)
    return np.array(columns, np.intp)


def _modulus(point: ModbusPoint) -> float:
    if point.wraps_at is None:
        return float("inf")
    return float(Fraction(point.wraps_at) / point.scale / Fraction(10) ** (point.sf_nominal or 0))


def _scale_factors(map_: ModbusMap, places: dict[tuple[Table, int], int]) -> tuple[ScaleFactor, ...]:
    sharing: dict[int, list[int]] = {}
    for column, point in enumerate(map_.points):
        if point.sf_at is not None:
            sharing.setdefault(places[point.table, point.sf_at], []).append(column)
    return tuple(_scale_factor(at, [map_.points[c] for c in columns], columns) for at, columns in sharing.items())


def _scale_factor(at: int, points: list[ModbusPoint], columns: list[int]) -> ScaleFactor:
    types = [REGISTER_TYPES[p.type] for p in points]
    nominal = next((p.sf_nominal for p in points if p.sf_nominal is not None), None)
    return ScaleFactor(
        at,
        np.array(columns, np.intp),
        np.array([float(1 / abs(p.scale)) for p in points]),
        np.array([float(number_range(t)[1]) - 1 for t in types]),
        nominal,
        points[0].word_order.swaps_bytes,
    )


def number_range(kind: RegisterType, width: npt.NDArray[np.int64] | None = None) -> tuple[Floats, Floats]:
    """Smallest and largest whole number of a type, or of parts of it, that a float64 holds without spilling over its end."""
    bits = np.asarray(kind.bits if width is None else width)
    half = np.ldexp(1.0, bits - 1)
    low, end = (-half, half) if kind.numpy_kind == "i" else (np.zeros(bits.shape), 2 * half)
    if kind.coding == "bcd":
        end = np.asarray(float(kind.modulus))
    return low, np.minimum(end - 1, np.nextafter(end, 0))
