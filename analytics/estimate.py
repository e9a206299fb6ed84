"""Sums over a period that may miss intervals: what is missing is estimated within a band, never left out and never 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analytics.balance import Banded
from analytics.counters import F64, I64, Mask
from analytics.flags import IntervalFlag
from plant.series import QUARTER_NS

Profile = Literal["load", "solar"]
SLOTS_A_DAY = 96
NEAR_SLOTS = 8  # times of day seen at most two hours apart tell what lies between them


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum over a period with its band; None where nothing is known. ``measured_share`` 0..1 of the energy follows
    from readings, ``estimated_slots`` were filled."""

    value: float | None
    low: float | None
    high: float | None
    measured_share: float
    estimated_slots: int = 0


def summed(amount: Banded, measured_share: F64, start_ns: I64, profile: Profile = "load", estimate: Banded | None = None) -> Sum:
    """Sum of 15-min amounts [m] that start at ``start_ns``; ``measured_share`` [m] of each follows from readings.

    Missing intervals are taken from ``estimate`` where it knows them, else filled by ``profile``.
    """
    known = np.isfinite(amount.best)
    if not known.any():
        most = float(np.sum(amount.high)) if len(known) else np.nan
        bounded = np.isfinite(most)
        return Sum(None, float(np.nansum(amount.low)) if bounded else None, most if bounded else None, 0.0, len(known))
    whole = filled(amount, start_ns, profile)
    if estimate is not None:
        whole = _chosen(~known & np.isfinite(estimate.best), estimate, whole)
    # by what may have flowed: a slot that shows little and may hold much must not weigh little
    weight = np.where(known, np.fmax(np.abs(amount.best), np.abs(amount.high)), np.abs(whole.best))
    share = np.where(known & ~np.isnan(measured_share), measured_share, 0.0)
    proven = float((weight * share).sum() / weight.sum()) if weight.sum() > 0 else float(share.mean())
    low, high = float(np.sum(whole.low)), float(np.sum(whole.high))
    return Sum(
        float(np.sum(whole.best)),
        low if np.isfinite(low) else None,
        high if np.isfinite(high) else None,
        proven,
        int((~known).sum()),
    )


def filled(amount: Banded, start_ns: I64, profile: Profile) -> Banded:
    """Amounts [m] with the missing ones estimated; as they are where none is known.

    A missing interval lies within its own band; the extremes of the known ones bound it only where nothing else does. A
    missing load is taken on the line between its neighbours, a missing solar interval as the mean of its time of day.
    """
    known = np.isfinite(amount.best)
    if known.all() or not known.any():
        return amount
    value = amount.best[known]
    if profile == "solar":
        best, most = _by_time_of_day(amount.best, known, start_ns)
        least = np.zeros(len(known))
    else:
        best = np.interp(start_ns.astype(float), start_ns[known].astype(float), value)
        least, most = np.full(len(known), value.min()), np.full(len(known), value.max())
    low = np.fmin(np.where(np.isfinite(amount.low), amount.low, least), best)
    high = np.fmax(np.where(np.isfinite(amount.high), amount.high, most), best)
    return _chosen(~known, Banded(best, low, high), amount)


def _chosen(rows: Mask, one: Banded, other: Banded) -> Banded:
    """``one`` in the given rows, ``other`` in the rest."""
    return Banded(np.where(rows, one.best, other.best), np.where(rows, one.low, other.low), np.where(rows, one.high, other.high))


def _by_time_of_day(best: F64, known: Mask, start_ns: I64) -> tuple[F64, F64]:
    """(mean, most) of the time of day of each interval [m].

    A time of day never seen is taken on the line between seen ones near it; far from any it is night, when a feed is silent,
    and taken as 0. The most of such a time is the most ever seen.
    """
    slot = (start_ns // QUARTER_NS) % SLOTS_A_DAY
    total = np.bincount(slot[known], best[known], SLOTS_A_DAY)
    count = np.bincount(slot[known], minlength=SLOTS_A_DAY)
    most = np.zeros(SLOTS_A_DAY)
    np.maximum.at(most, slot[known], best[known])
    seen = np.flatnonzero(count)
    around = np.concatenate([seen - SLOTS_A_DAY, seen, seen + SLOTS_A_DAY])
    mean = np.interp(np.arange(SLOTS_A_DAY), around, np.tile(total[seen] / count[seen], 3))
    after = np.searchsorted(around, np.arange(SLOTS_A_DAY))
    apart = around[after] - around[after - 1]
    mean = np.where((count == 0) & (apart > NEAR_SLOTS), 0.0, mean)
    return mean[slot], np.where(count == 0, best[known].max(), most)[slot]


def close_gaps(amount: Banded, measured_share: F64, flags: F64, class_percent: float) -> tuple[Banded, F64]:
    """Take back the uncertainty of intervals inside a gap that the period holds whole: there the counter proves the total.

    ``flags`` [m] are those of the point's rows. A run of spread intervals that touches either end of the period keeps
    its band, since how much of it falls inside is not known.
    """
    spread = (np.nan_to_num(flags).astype(np.int64) & int(IntervalFlag.SPREAD)) > 0
    if not spread.any():
        return amount, measured_share
    edges = np.flatnonzero(np.diff(np.concatenate([[0], spread.astype(np.int8), [0]])))
    inside = np.zeros(len(spread), bool)
    for first, end in edges.reshape(-1, 2):
        if first > 0 and end < len(spread):
            inside[first:end] = True
    tolerance = class_percent / 100 * np.abs(amount.best)
    closed = Banded(
        amount.best,
        np.where(inside, amount.best - tolerance, amount.low),
        np.where(inside, amount.best + tolerance, amount.high),
    )
    return closed, np.where(inside, 1.0, measured_share)
