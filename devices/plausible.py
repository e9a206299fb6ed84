"""Which type and word order an unknown register map has: every one is tried, and the one that explains most wins.

The measure is a description length. Each reading of the registers has to be told in bits: a word that means nothing
costs all of its bits in every reading, while a number in the right type and order is small or of a sane magnitude, and
is told the second time by how little it moved. A wrong order makes neither true. For each hypothesis the cheapest way
to cut the registers into numbers and meaningless words is found by dynamic programming; what it saves against words that
all mean nothing is its ``saved_bits``. ``devices.roles`` then says what the numbers may be. Nothing here is a product's map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from devices.maps import WordOrder

Words = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]
Family = Literal["int", "float"]
Form = tuple[Family, int]  # and number of words

_FLAG_BITS = 1.0  # number or meaningless word
_IDLE_BITS = 3.0  # a word of all zeros or all ones: unused, or "not there"
_WORD_BITS = 16.0
_POSITIVE_BITS, _NEGATIVE_BITS = 0.2, 3.0
_FULL_BITS = 6.0
_WIDTH_BITS = {1: 10.0, 2: 5.0, 4: 0.0}  # how common a width is as the main one
_PHASES_BITS, _SUM_BITS, _FREQUENCY_BITS = 10.0, 8.0, 3.0
_PHASES_SPREAD, _PITCH_MAX = 0.4, 3
_SUM_WITHIN, _SUM_FROM = 0.003, 100.0
_FREQUENCY_WITHIN = 0.01
_SANE = (1e-3, 1e10)  # magnitudes that a meter shows as a float, in whatever unit
_OTHER_TYPE_BITS = 7.0  # a number of another type than the map's main one
_FORMS: tuple[Form, ...] = (("int", 1), ("int", 2), ("int", 4), ("float", 2), ("float", 4))
_PRIOR_BITS = {WordOrder.HIGH_FIRST: 3.0, WordOrder.LOW_FIRST: 2.0}  # how common an order is, where nothing else tells


@dataclass(frozen=True, slots=True, eq=False)
class Registers:
    """Readings of one table of one unit: ``address`` int[w] ascending, ``words`` uint16[r, w], ``seconds`` float[r] of each."""

    address: npt.NDArray[np.int64]
    words: Words
    seconds: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """One type and order with the numbers that it makes of the registers.

    ``address`` int[n] of the numbers found, ``value`` float64[r, n] unscaled. A 16-bit number has no word order; its order
    only says whether its bytes are swapped. Signed and unsigned are one family: two's complement tells them by the value.
    """

    family: Family
    words: int
    order: WordOrder
    saved_bits: float
    address: npt.NDArray[np.int64]
    value: Floats

    @property
    def type(self) -> str:
        """The name that a profile has for the type; whole numbers count as signed."""
        return f"{self.family}{16 * self.words}"


def rank(registers: Registers) -> list[Hypothesis]:
    """All types and orders, the most plausible first. Raises ValueError without at least one word and one reading."""
    if registers.words.ndim != 2 or not registers.words.size or registers.words.shape[1] != len(registers.address):
        raise ValueError(f"words uint16[r, w] of {len(registers.address)} addresses expected, not {registers.words.shape}")
    idle = _idle_costs(registers.words)
    found: dict[tuple[Form, tuple[int, ...], bool], Hypothesis] = {}
    for order in WordOrder:
        readings = [_Reading.of(registers, form, order) for form in _FORMS]
        for main in readings:
            hypothesis = _explain(registers, idle, readings, main, order)
            # orders that are the same for this type are one; the one that fits the numbers of other types best counts
            alike = (main.form, order.positions(main.form[1]), order.swaps_bytes)
            known = found.setdefault(alike, hypothesis)
            if known.saved_bits < hypothesis.saved_bits:
                found[alike] = replace(hypothesis, order=known.order)
    return sorted(found.values(), key=lambda h: -h.saved_bits)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """The registers read as one type: values float64[r, n] that start at each word and the bits that each costs."""

    form: Form
    value: Floats
    cost: Floats

    @staticmethod
    def of(registers: Registers, form: Form, order: WordOrder) -> _Reading:
        family, width = form
        value, ordinal = numbers(registers.words, family, width, order)
        cost = _number_costs(value, ordinal, family, 16 * width) + _FLAG_BITS
        if len(value) > 1:
            cost[(ordinal == ordinal[0]).all(axis=0)] = np.inf  # what never moves tells nothing of its type
        # a number needs all of its words: none reaches over a gap between blocks
        whole = registers.address[width - 1 :] - registers.address[: len(cost)] == width - 1
        return _Reading(form, value, np.where(whole, cost, np.inf))


def _idle_costs(words: Words) -> Floats:
    """Bits that a word costs in all readings when it means nothing, float64[w]."""
    blank = (words[0] == 0) | (words[0] == 0xFFFF)
    cost = np.where(blank, _IDLE_BITS, _WORD_BITS)
    for before, after in pairwise(words):
        cost = cost + np.where(before == after, 1.0, 1.0 + _WORD_BITS)
    return cost + _FLAG_BITS


def _explain(registers: Registers, idle: Floats, readings: Sequence[_Reading], main: _Reading, order: WordOrder) -> Hypothesis:
    options = [(r.form[1], r.cost if r is main else r.cost + _OTHER_TYPE_BITS) for r in readings]
    cut, total = _cheapest_cut(idle, options)
    places = [place for place, option in cut if readings[option] is main]
    saved = float(idle.sum() - total) + _PRIOR_BITS.get(order, 0.0) + _WIDTH_BITS[main.form[1]]
    family, width = main.form
    at = np.array(places, np.intp)
    address, value = registers.address[at], main.value[:, at]
    return Hypothesis(family, width, order, saved + _related_bits(address, value, width), address, value)


def _related_bits(address: npt.NDArray[np.int64], value: Floats, width: int) -> float:
    """Bits saved by what the numbers have to do with each other: three phases side by side, their sum, the mains frequency."""
    found = phases(address, value, width)
    sums = sum(1 for triple in found if len(sums_of(value, triple)))
    return _PHASES_BITS * len(found) + _SUM_BITS * sums + (_FREQUENCY_BITS if len(frequencies(value)) else 0.0)


def phases(address: npt.NDArray[np.int64], value: Floats, width: int) -> list[tuple[int, int, int]]:
    """Places of three numbers of one sign and about one size at equal distances, none of them twice; the closest first."""
    where = {int(a): i for i, a in enumerate(address)}
    found: list[tuple[float, tuple[int, int, int]]] = []
    for first, i in where.items():
        for pitch in range(width, width + _PITCH_MAX):
            j, k = where.get(first + pitch), where.get(first + 2 * pitch)
            if j is None or k is None:
                continue
            three = np.abs(value[:, [i, j, k]])
            one_sign = (np.sign(value[:, [i, j, k]]) == np.sign(value[:, [i]])).all() and three.min() > 0
            spread = float((three.max(axis=1) / three.min(axis=1)).max()) - 1.0 if one_sign else np.inf
            if spread <= _PHASES_SPREAD:
                found.append((spread + 0.01 * (pitch - width), (i, j, k)))
    taken: set[int] = set()
    kept: list[tuple[int, int, int]] = []
    for _, triple in sorted(found):
        if not taken & set(triple):
            kept.append(triple)
            taken |= set(triple)
    return kept


def sums_of(value: Floats, triple: tuple[int, int, int], within: float = _SUM_WITHIN) -> npt.NDArray[np.intp]:
    """Places of the numbers that are the sum of three others in every reading, but for rounding or the share ``within``."""
    total = value[:, list(triple)].sum(axis=1, keepdims=True)
    close = np.abs(value - total) <= np.maximum(2.0 if (value == np.rint(value)).all() else 0.0, within * np.abs(total))
    return np.flatnonzero(close.all(axis=0) & (np.abs(value).min(axis=0) > _SUM_FROM))


def frequencies(value: Floats) -> npt.NDArray[np.intp]:
    """Places of the numbers that may be the mains frequency, scaled by a power of ten or not, in every reading."""
    fits = np.zeros(value.shape[1], bool)
    for nominal in (50.0, 60.0):
        for factor in (1.0, 10.0, 100.0, 1000.0):
            fits |= (np.abs(value / (nominal * factor) - 1.0) <= _FREQUENCY_WITHIN).all(axis=0)
    return np.flatnonzero(fits)


def numbers(words: Words, family: Family, width: int, order: WordOrder) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Values float64[r, w - width + 1] that start at each word, and where each stands among all bit patterns of its type
    (the distance of two readings counts in these)."""
    count = words.shape[1] - width + 1
    if count <= 0:
        return np.empty((len(words), 0)), np.empty((len(words), 0))
    wire = words.byteswap() if order.swaps_bytes else words
    bits = np.zeros((len(words), count), np.uint64)
    for power, place in enumerate(order.positions(width)):
        bits |= wire[:, place : place + count].astype(np.uint64) << np.uint64(16 * power)
    packed = np.ascontiguousarray(bits.astype(f"u{2 * width}"))
    signed = packed.view(f"i{2 * width}").astype(np.float64)
    if family == "int":
        return signed, signed
    with np.errstate(invalid="ignore", over="ignore"):
        value = packed.view(f"f{2 * width}").astype(np.float64)
    magnitude = (packed & np.array((1 << (16 * width - 1)) - 1, packed.dtype)).astype(np.float64)
    return value, np.where(np.signbit(value), -magnitude, magnitude)


def _number_costs(value: Floats, ordinal: Floats, family: Family, bits: int) -> Floats:
    """Bits that a number costs in all readings, float64[n]; infinite where it is none.

    A difference is no longer than the number itself, and as likely up as down.
    """
    first = _integer_bits(value[0], bits) if family == "int" else _float_bits(value, bits)
    length = _length(ordinal[0]) if family == "int" else np.full(value.shape[1], float(bits))
    for before, after in pairwise(ordinal):
        first = first + np.log2(length + 2.0) + 1.0 + np.maximum(_length(after - before) - 1.0, 0.0)
    return first


def _integer_bits(number: Floats, bits: int) -> Floats:
    """Each length is as likely, but the last quarter of a wide type hardly used; most numbers are positive."""
    length = _length(number)
    sign = np.where(number < 0, _NEGATIVE_BITS, _POSITIVE_BITS)
    unused = np.where(length > 0.75 * bits, _FULL_BITS if bits > 16 else 0.0, 0.0)
    told: Floats = np.log2(bits + 1.0) + sign + np.maximum(length - 1.0, 0.0) + unused
    return told


def _length(number: Floats) -> Floats:
    length: Floats = np.log2(np.abs(number) + 1.0)
    return length


def _float_bits(value: Floats, bits: int) -> Floats:
    """Sign, one of the exponents of sane magnitudes, and the whole mantissa; a zero is short."""
    exponents = np.log2(np.log2(_SANE[1] / _SANE[0]))
    mantissa = 23 if bits == 32 else 52
    size = np.abs(value)
    sane = ((size >= _SANE[0]) & (size <= _SANE[1]) | (value == 0)).all(axis=0)
    told = np.where(value[0] == 0, 2.0 * _IDLE_BITS, 1.0 + exponents + mantissa)
    return np.where(sane, told, np.inf)


def _cheapest_cut(idle: Floats, options: Sequence[tuple[int, Floats]]) -> tuple[list[tuple[int, int]], float]:
    """Places of the numbers in the cheapest cut into numbers and single words, each with its option, and the bits in all.

    ``options`` are widths and costs; a cost float64[n] of a number that starts at each word.
    """
    words = len(idle)
    best, choice = [0.0] * (words + 1), [-1] * words
    costs = [(number, width, cost.tolist()) for number, (width, cost) in enumerate(options)]
    for at, bits in reversed(list(enumerate(idle.tolist()))):
        best[at] = bits + best[at + 1]
        for number, width, cost in costs:
            if at + width <= words and cost[at] + best[at + width] < best[at]:
                best[at], choice[at] = cost[at] + best[at + width], number
    cut: list[tuple[int, int]] = []
    at = 0
    while at < words:
        if choice[at] >= 0:
            cut.append((at, choice[at]))
        at += options[choice[at]][0] if choice[at] >= 0 else 1
    return cut, best[0]


def margin_bits(ranked: Sequence[Hypothesis]) -> float:
    """How far the first is ahead of the second; below about 5 bits the readings hardly tell them apart."""
    return ranked[0].saved_bits - ranked[1].saved_bits
