"""Readings in long form, one row a value, and the comparison of new rows with stored ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.frame import NS_PER_MS
from plant.series import Series

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LongRows:
    """``series`` int32[n], ``t_ms`` int64[n], ``value`` float64[n] (NaN where missing), ``quality`` int16[n]."""

    series: npt.NDArray[np.int32]
    t_ms: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.t_ms)

    def take(self, rows: Mask | npt.NDArray[np.intp] | slice) -> LongRows:
        """The rows picked by mask, indices or slice."""
        return LongRows(self.series[rows], self.t_ms[rows], self.value[rows], self.quality[rows])

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """The columns by name."""
        return {"series": self.series, "t_ms": self.t_ms, "value": self.value, "quality": self.quality}


def join(parts: Sequence[LongRows]) -> LongRows:
    """All rows of all parts, in order."""
    if not parts:
        return LongRows(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int16))
    return LongRows(
        np.concatenate([p.series for p in parts]),
        np.concatenate([p.t_ms for p in parts]),
        np.concatenate([p.value for p in parts]),
        np.concatenate([p.quality for p in parts]),
    )


def classify(stored: LongRows, new: LongRows) -> tuple[Mask, Mask]:
    """(fresh, conflicting) over the rows of ``new``; a row that is neither repeats what is there.

    The identity is (series, instant) and its first value counts: that of ``stored``, else the first in ``new``.
    """
    both = join([stored, new])
    order = np.lexsort((both.t_ms, both.series))  # stable: within one identity the first to come stays first
    series, t_ms = both.series[order], both.t_ms[order]
    leads = np.ones(len(order), bool)
    leads[1:] = (series[1:] != series[:-1]) | (t_ms[1:] != t_ms[:-1])
    leader = order[np.flatnonzero(leads)[np.cumsum(leads) - 1]] if len(order) else order
    old, it = both.take(leader), both.take(order)
    same_value = (old.value == it.value) | (np.isnan(old.value) & np.isnan(it.value))
    fresh = np.empty(len(both), bool)
    conflicting = np.empty(len(both), bool)
    fresh[order] = leads
    conflicting[order] = ~(same_value & (old.quality == it.quality))
    return fresh[len(stored) :], conflicting[len(stored) :]


def nearest_of(rows: LongRows, pick: str) -> LongRows:
    """Of each series the row with the smallest (min) or greatest (max) instant."""
    rows = rows.take(np.lexsort((rows.t_ms if pick == "min" else -rows.t_ms, rows.series)))
    return rows.take(np.unique(rows.series, return_index=True)[1])


def series_of(rows: LongRows) -> list[tuple[int, Series]]:
    """The rows of each series, in order of time."""
    order = np.lexsort((rows.t_ms, rows.series))
    rows = rows.take(order)
    numbers, starts = np.unique(rows.series, return_index=True)
    bounds = [*starts.tolist(), len(rows)]
    return [
        (int(number), Series(rows.t_ms[a:b] * NS_PER_MS, rows.value[a:b], rows.quality[a:b]))
        for number, a, b in zip(numbers, bounds[:-1], bounds[1:], strict=True)
    ]
