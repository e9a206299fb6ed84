"""Thinning a series for a chart without losing its extremes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.series import Span


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Equal cuts of a span: ``start_ns``, ``count`` int64[m]; ``mean``, ``low``, ``high`` float64[m], NaN where nothing was."""

    start_ns: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]


def decimate(t_ns: npt.NDArray[np.int64], value: npt.NDArray[np.float64], span: Span, buckets_max: int) -> Buckets:
    """Mean, least and greatest finite value of each of at most ``buckets_max`` equal cuts of the span.

    ``t_ns`` ascends within the span; a cut without a finite value is NaN, so a gap stays a gap.
    """
    assert buckets_max >= 1
    width_ns = max(1, -(-(span.end_ns - span.start_ns) // buckets_max))
    start_ns = np.arange(span.start_ns, span.end_ns, width_ns, dtype=np.int64)
    finite = np.isfinite(value)
    t_ns, value = t_ns[finite], value[finite]
    first = np.searchsorted(t_ns, start_ns, side="left")
    count = np.diff(np.append(first, len(t_ns)))
    filled = count > 0
    mean, low, high = (np.full(len(start_ns), np.nan) for _ in range(3))
    if filled.any():
        at = first[filled]
        mean[filled] = np.add.reduceat(value, at) / count[filled]
        low[filled] = np.minimum.reduceat(value, at)
        high[filled] = np.maximum.reduceat(value, at)
    return Buckets(start_ns, np.clip(mean, low, high), low, high, count)
