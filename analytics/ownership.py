"""Which point of a branch supplies each interval: the main one if it measured, else the check meter, marked substituted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from analytics.counters import I64, Mask
from analytics.flags import IntervalFlag
from analytics.intervals import PointIntervals


def owners(candidates: Sequence[PointIntervals]) -> I64:
    """Index of the owning candidate per interval, int64[m]; candidates by rank, best first.

    The best that measured the interval without estimate; where none did, the best that has a value; else the first.
    """
    owner = np.zeros(len(candidates[0].flags), np.int64)
    for accept in (_has_value, _measured):
        for i in range(len(candidates) - 1, -1, -1):
            owner[accept(candidates[i])] = i
    return owner


def _has_value(p: PointIntervals) -> Mask:
    finite: Mask = np.isfinite(p.energy_import) & np.isfinite(p.energy_export)
    return finite


def _measured(p: PointIntervals) -> Mask:
    mask: Mask = _has_value(p) & ((p.flags & int(IntervalFlag.ESTIMATED)) == 0)
    return mask


def owned(candidates: Sequence[PointIntervals], owner: I64) -> PointIntervals:
    """The branch's intervals: each from its owner, ``owner`` int64[m]."""
    if len(candidates) == 1:
        return candidates[0]
    picked = {f.name: np.choose(owner, [getattr(c, f.name) for c in candidates]) for f in fields(PointIntervals)}
    picked["flags"] = np.where(owner > 0, picked["flags"] | int(IntervalFlag.SUBSTITUTED), picked["flags"])
    return PointIntervals(**picked)
