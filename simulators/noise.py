"""Seeded noise that is a pure function of time: the same seed and instant give the same number, in any order of asking."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
NS_PER_S = 1_000_000_000


@lru_cache(maxsize=4096)
def stream(seed: int, name: str) -> int:
    """Key of an independent stream of numbers, 63 bits."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def uniform(key: int, index: npt.NDArray[np.int64]) -> Floats:
    """Number in [0, 1) of each index of a stream; same shape. (SplitMix64: Steele, Lea, Flood, OOPSLA 2014.)"""
    z = (index.astype(np.uint64) + np.uint64(key)) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw(seed: int, name: str, low: float, high: float) -> float:
    """One number of [low, high) that belongs to the name."""
    return low + (high - low) * float(uniform(stream(seed, name), np.zeros(1, np.int64))[0])


def smooth(key: int, t_ns: Times, period_s: float) -> Floats:
    """Noise in [-1, 1] without steps or kinks: values at multiples of ``period_s``, joined by a cubic with level ends."""
    period_ns = round(period_s * NS_PER_S)
    cell = t_ns // period_ns
    x = (t_ns - cell * period_ns) / period_ns
    left, right = uniform(key, cell), uniform(key, cell + 1)
    blend: Floats = left + (right - left) * (x * x * (3.0 - 2.0 * x))
    return 2.0 * blend - 1.0
