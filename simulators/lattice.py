"""Truth on a lattice of minutes, straight in between: whatever balances at the points balances always, integrals are exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulators.noise import NS_PER_S, Floats, Times

STEP_NS = 60 * NS_PER_S
STEP_H = 1.0 / 60.0
STEPS = 1440
DAY_NS = STEPS * STEP_NS
_LOCAL_NS = 8 * 3600 * NS_PER_S  # a lattice day starts at midnight in Guizhou (UTC+8, no summer time)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Named columns over n instants: ``value`` float64[n, c]."""

    names: Mapping[str, int]
    value: Floats

    def __getitem__(self, name: str) -> Floats:
        column: Floats = self.value[:, self.names[name]]
        return column


@dataclass(frozen=True, slots=True, eq=False)
class DayLattice:
    """One local day: values at its 1441 minute points and, for each, the integrals of the positive and negative parts."""

    value: Floats
    positive: Floats
    negative: Floats


def day_of(t_ns: Times) -> Times:
    """Number of the local day of each instant."""
    return (t_ns + _LOCAL_NS) // DAY_NS


def day_start_ns(day: int) -> int:
    """UTC ns at which a local day starts."""
    return day * DAY_NS - _LOCAL_NS


def minutes_of(day: int) -> Times:
    """The 1441 lattice points of a local day, its end included; UTC ns."""
    return day_start_ns(day) + np.arange(STEPS + 1, dtype=np.int64) * STEP_NS


def positive_mean(first: Floats, last: Floats) -> Floats:
    """Mean over a straight segment of what lies above zero."""
    top = np.maximum(first, last)
    both = (first + last) / 2.0
    span = np.abs(first) + np.abs(last)
    crossing = top * top / (2.0 * np.where(span > 0.0, span, 1.0))
    return np.where((first >= 0.0) & (last >= 0.0), both, np.where(top <= 0.0, 0.0, crossing))


def build(value: Floats) -> DayLattice:
    """A day with its integrals from values float64[1441, c]; integrals are in the column's unit times hours."""
    first, last = value[:-1], value[1:]
    up = positive_mean(first, last)
    down = up - (first + last) / 2.0
    start = np.zeros((1, value.shape[1]))
    positive = np.concatenate((start, np.cumsum(up * STEP_H, axis=0)))
    negative = np.concatenate((start, np.cumsum(down * STEP_H, axis=0)))
    return DayLattice(value, positive, negative)


def interpolate(day: DayLattice, offset_ns: Times) -> Floats:
    """Values float64[n, c] at offsets into the day."""
    point, share = _position(offset_ns)
    first = day.value[point]
    return first + (day.value[point + 1] - first) * share


def integrate(day: DayLattice, offset_ns: Times) -> tuple[Floats, Floats]:
    """Integrals (of the positive, of the negative part) float64[n, c] from the start of the day."""
    point, share = _position(offset_ns)
    first = day.value[point]
    last = first + (day.value[point + 1] - first) * share
    up = positive_mean(first, last)
    step = share * STEP_H
    return day.positive[point] + up * step, day.negative[point] + (up - (first + last) / 2.0) * step


def _position(offset_ns: Times) -> tuple[Times, Floats]:
    point = np.minimum(offset_ns // STEP_NS, STEPS - 1)
    return point, ((offset_ns - point * STEP_NS) / STEP_NS)[:, None]
