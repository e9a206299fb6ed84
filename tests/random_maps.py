"""Register maps of meters that nobody made: random quantities, types, orders, scales and addresses among decoy registers.

Written for judging ``devices.plausible`` and independent of it: values come from the physics of a three-phase load, words
from ``struct``, and nothing of the package is used. Two readings, 5 to 20 s apart.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

import numpy as np

TYPES = ("int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
ORDERS = {16: ("AB", "BA"), 32: ("ABCD", "CDAB", "BADC", "DCBA")}
ORDERS[64] = ("ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "EFGHABCD", "CDABGHEF")
_CODES = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q"}
_CODES |= {"float32": ">f", "float64": ">d"}


@dataclass(frozen=True)
class RandomMap:
    """``words[r][a]`` of registers ``first`` onwards; ``type`` and ``order`` are those of the main quantities."""

    type: str
    order: str
    layout: str
    first: int
    words: np.ndarray
    seconds: tuple[float, float]
    address: dict[str, int]
    value: dict[str, tuple[float, float]]


def bits_of(type_: str) -> int:
    """Width of a type."""
    return int(type_.lstrip("uintfloa"))


def to_words(type_: str, order: str, number: float) -> list[int]:
    """Words on the wire of a raw number; the order is spelled as on the wire, A the most significant byte."""
    plain = struct.pack(_CODES[type_], number if type_.startswith("float") else int(number))
    wire = bytes(plain["ABCDEFGH".index(letter)] for letter in order)
    return list(struct.unpack(f">{len(wire) // 2}H", wire))


def random_map(rng: random.Random) -> RandomMap:
    """One map with its two readings."""
    type_ = rng.choice(TYPES)
    order = rng.choice(ORDERS[bits_of(type_)])
    seconds = (0.0, rng.uniform(5, 20))
    groups = _groups(rng, seconds[1], generating=rng.random() < 0.25 and not type_.startswith("u"))
    cells: list[tuple[str, int, list[list[int]]]] = []
    for group in groups:
        cells += _encode(rng, type_, order, group)
    layout = rng.choice(("packed", "spaced", "shuffled", "scattered"))
    place, size = _layout(rng, layout, cells, [len(group) for group in groups])
    words = _decoys(rng, size)
    for name, width, readings in cells:
        for r in (0, 1):
            words[r, place[name] : place[name] + width] = readings[r]
    first = rng.randrange(0, 4000)
    values = {name: pair for group in groups for name, pair in group.items()}
    return RandomMap(type_, order, layout, first, words, seconds, {n: a + first for n, a in place.items()}, values)


def _groups(rng: random.Random, gap_s: float, *, generating: bool) -> list[dict[str, tuple[float, float]]]:
    """Groups of quantities with two readings each: V, A, W, var, VA, 1, Hz, Wh."""
    nominal = rng.choice((57.735, 120.0, 230.0, 277.0, 400.0, 3464.0, 5774.0, 20207.0))
    current, cos, hertz = 10 ** rng.uniform(0.3, 3.3), rng.uniform(0.75, 0.995), rng.choice((50.0, 50.0, 50.0, 60.0))
    sign = -1.0 if generating else 1.0
    u0 = [nominal * rng.uniform(0.985, 1.015) for _ in range(3)]
    i0 = [current * rng.uniform(0.85, 1.15) for _ in range(3)]
    counters = [10 ** rng.uniform(5, 11), 10 ** rng.uniform(2, 9)]
    readings: list[dict[str, list[float]]] = []
    for at_s in (0.0, gap_s):
        u = [x * rng.uniform(0.997, 1.003) for x in u0]
        i = [x * rng.uniform(0.97, 1.03) for x in i0]
        s = [a * b for a, b in zip(u, i, strict=True)]
        c = [min(0.999, cos * rng.uniform(0.99, 1.01)) for _ in range(3)]
        p = [sign * a * b for a, b in zip(s, c, strict=True)]
        q = [a * (1 - b * b) ** 0.5 for a, b in zip(s, c, strict=True)]
        ptot, qtot = sum(p), sum(q)
        stot = (ptot**2 + qtot**2) ** 0.5
        moved = abs(ptot) * at_s / 3600
        lines = [(u[k] ** 2 + u[(k + 1) % 3] ** 2 + u[k] * u[(k + 1) % 3]) ** 0.5 for k in range(3)]
        readings.append(
            {"u": u, "ull": lines, "i": i, "p": p, "ptot": [ptot], "qtot": [qtot], "stot": [stot], "pf": [ptot / stot]}
            | {"f": [hertz + rng.uniform(-0.04, 0.04)], "e": [counters[0] + moved, counters[1]]}
        )
    likely = {"u": 0.9, "ull": 0.5, "i": 0.9, "p": 0.6, "ptot": 0.95, "qtot": 0.6, "stot": 0.5, "pf": 0.6, "f": 0.85, "e": 0.9}
    kept = [name for name, chance in likely.items() if rng.random() < chance]
    if not {"u", "ull"} & set(kept):
        kept.append("u")
    return [{f"{n}{k}": (readings[0][n][k], readings[1][n][k]) for k in range(len(readings[0][n]))} for n in kept]


def _encode(
    rng: random.Random, type_: str, order: str, group: dict[str, tuple[float, float]]
) -> list[tuple[str, int, list[list[int]]]]:
    """Words of a group; one scale for the group, such that three digits are left and nothing overflows.

    A counter in a map of 16-bit registers takes two of them.
    """
    name = next(iter(group))
    if name.startswith("e") and bits_of(type_) == 16:
        type_, order = "uint32", {"AB": "ABCD", "BA": "BADC"}[order]
    if type_.startswith("float"):
        scale = rng.choice((1.0, 1.0, 1e-3)) if name[0] in "psqe" and name != "pf0" else 1.0
        return [(n, bits_of(type_) // 16, [to_words(type_, order, v * scale) for v in pair]) for n, pair in group.items()]
    largest = max(abs(v) for pair in group.values() for v in pair)
    room = 2 ** (bits_of(type_) - (0 if type_.startswith("u") else 1)) - 1
    steps = [10.0**-k for k in range(-6, 5)]
    fitting = [s for s in steps if largest / s <= room * 0.95 and (largest / s >= 900 or s == steps[-1])]
    usual = [s for s in fitting if s <= 1.0] or fitting
    step = rng.choice(sorted(usual, reverse=True)[:3])
    return [(n, bits_of(type_) // 16, [to_words(type_, order, round(v / step)) for v in pair]) for n, pair in group.items()]


def _layout(
    rng: random.Random, layout: str, cells: list[tuple[str, int, list[list[int]]]], sizes: list[int]
) -> tuple[dict[str, int], int]:
    """Place by name and the number of registers: groups close up, with gaps, in any order, or each value anywhere."""
    widths = {name: width for name, width, _ in cells}
    names = list(widths)
    groups = [names[sum(sizes[:g]) : sum(sizes[: g + 1])] for g in range(len(sizes))]
    if layout != "packed":
        rng.shuffle(groups)
    if layout == "scattered":
        groups = [[name] for name in rng.sample(names, len(names))]
    place: dict[str, int] = {}
    at = rng.randrange(0, 7)
    for group in groups:
        pitch = rng.choice((0, 0, 1, 2)) if layout in ("spaced", "shuffled") else 0
        for name in group:
            place[name] = at
            at += widths[name] + pitch
        at += 0 if layout == "packed" else rng.randrange(0, 7)
    return place, at + rng.randrange(0, 7)


def _decoys(rng: random.Random, size: int) -> np.ndarray:
    """Registers of other things: unused, settings, texts, anything, a seconds counter, a random number each time."""
    words = np.zeros((2, size), np.uint16)
    for at in range(size):
        kind = rng.choices(("unused", "setting", "text", "any", "clock", "noise"), (50, 20, 8, 12, 5, 5))[0]
        if kind == "setting":
            words[:, at] = rng.randrange(0, 300)
        elif kind == "text":
            words[:, at] = rng.randrange(0x20, 0x7F) << 8 | rng.randrange(0x20, 0x7F)
        elif kind == "any":
            words[:, at] = rng.randrange(0, 65_536)
        elif kind == "clock":
            start = rng.randrange(0, 65_000)
            words[:, at] = start, start + 10
        elif kind == "noise":
            words[:, at] = rng.randrange(0, 65_536), rng.randrange(0, 65_536)
    return words
