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
NIGHT_SHARE = 0.1  # of the most ever seen: what a feed shows at most when its sun comes and goes
SHORTEST_DAY_SLOTS = 40  # ten hours: the sun of a day is no more bent than that
OPEN = int(IntervalFlag.RESET | IntervalFlag.GAP | IntervalFlag.FROZEN)  # what no counter proves, beside a spread difference
STEEPEST = float(np.cos(np.radians(75.0)))  # beyond, the sides of a day say nothing of its noon


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum over a period with its band; None where nothing is known. ``measured_share`` 0..1 of the energy follows
    from readings, ``estimated_slots`` were filled."""

    value: float | None
    low: float | None
    high: float | None
    measured_share: float
    estimated_slots: int = 0


def summed(
    amount: Banded,
    measured_share: F64,
    start_ns: I64,
    profile: Profile = "load",
    estimate: Banded | None = None,
    dark: Mask | None = None,
) -> Sum:
    """Sum of 15-min amounts [m] that start at ``start_ns``; ``measured_share`` [m] of each follows from readings.

    Missing intervals are taken from ``estimate`` where it knows them, else filled by ``profile``. The share is that of what may
    have flowed: a slot that shows little and may hold much must not weigh little, be it seen or missing.
    """
    known = np.isfinite(amount.best)
    if not known.any():
        most = float(np.sum(amount.high)) if len(known) else np.nan
        bounded = np.isfinite(most)
        return Sum(None, float(np.nansum(amount.low)) if bounded else None, most if bounded else None, 0.0, len(known))
    whole, weight = amount, np.fmax(np.abs(amount.best), np.abs(amount.high))
    if not known.all():
        guess = _guessed(amount.best, known, start_ns, profile, dark)
        whole = _within_bounds(amount, guess)
        weight = np.where(known, weight, np.fmax(np.abs(whole.best), guess.weight))
    if estimate is not None:
        told = ~known & np.isfinite(estimate.best)
        whole, weight = _chosen(told, estimate, whole), np.where(told, np.abs(estimate.best), weight)
    share = np.where(known, np.nan_to_num(measured_share), 0.0)
    proven = float((weight * share).sum() / weight.sum()) if weight.sum() > 0 else float(share.mean())
    low, high = float(np.sum(whole.low)), float(np.sum(whole.high))
    return Sum(
        float(np.sum(whole.best)),
        low if np.isfinite(low) else None,
        high if np.isfinite(high) else None,
        proven,
        int((~known).sum()),
    )


def filled(amount: Banded, start_ns: I64, profile: Profile, dark: Mask | None = None) -> Banded:
    """Amounts [m] with the missing ones estimated; as they are where none is known.

    A missing interval lies within its own band; the extremes of the known ones bound it only where nothing else does. A
    missing load is taken on the line between its neighbours, a missing solar interval as the mean of its time of day;
    ``dark`` [m] says when the sun is below the horizon, where the place of the plant is known.
    """
    known = np.isfinite(amount.best)
    if known.all() or not known.any():
        return amount
    return _within_bounds(amount, _guessed(amount.best, known, start_ns, profile, dark))


@dataclass(frozen=True, slots=True, eq=False)
class _Guess:
    """What intervals [m] may hold by the known ones: likely, least and most; what each counts for among the measured ones;
    where it is night, so that no rating says how much there may be."""

    best: F64
    least: F64
    most: F64
    weight: F64
    night: Mask


def _guessed(best: F64, known: Mask, start_ns: I64, profile: Profile, dark: Mask | None) -> _Guess:
    if profile == "solar":
        return _by_time_of_day(best, known, start_ns, dark)
    value, m = best[known], len(known)
    line = np.interp(start_ns.astype(float), start_ns[known].astype(float), value)
    least, most, mean = (np.full(m, x) for x in (value.min(), value.max(), np.abs(value).mean()))
    return _Guess(line, least, most, mean, np.zeros(m, bool))


def _within_bounds(amount: Banded, guess: _Guess) -> Banded:
    """Amounts [m] with the missing ones as guessed, within the bands that their rows have."""
    missing = ~np.isfinite(amount.best)
    low = np.fmin(np.where(np.isfinite(amount.low), amount.low, guess.least), guess.best)
    high = np.where(np.isfinite(amount.high) & ~guess.night, amount.high, guess.most)
    return _chosen(missing, Banded(guess.best, low, np.fmax(high, guess.best)), amount)


def _chosen(rows: Mask, one: Banded, other: Banded) -> Banded:
    """``one`` in the given rows, ``other`` in the rest."""
    return Banded(np.where(rows, one.best, other.best), np.where(rows, one.low, other.low), np.where(rows, one.high, other.high))


def _by_time_of_day(best: F64, known: Mask, start_ns: I64, dark: Mask | None) -> _Guess:
    """By the mean and the most of the time of day of each interval [m].

    A time of day never seen is taken on the line between seen ones, unless it is night, when a feed is silent: where the sun
    is below the horizon, or, for a plant of unknown place, between times of day that show next to nothing beside the most ever
    seen. By day it may hold more than was ever seen, by as much as a day bends between the seen times.
    """
    slot = (start_ns // QUARTER_NS) % SLOTS_A_DAY
    total = np.bincount(slot[known], best[known], SLOTS_A_DAY)
    count = np.bincount(slot[known], minlength=SLOTS_A_DAY)
    most = np.zeros(SLOTS_A_DAY)
    np.maximum.at(most, slot[known], best[known])
    seen = np.flatnonzero(count)
    around = np.concatenate([seen - SLOTS_A_DAY, seen, seen + SLOTS_A_DAY])
    means = np.tile(total[seen] / count[seen], 3)
    mean = np.interp(np.arange(SLOTS_A_DAY), around, means)
    after = np.searchsorted(around, np.arange(SLOTS_A_DAY))
    side = np.maximum(means[after], means[after - 1])
    ever, unseen = best[known].max(), count == 0
    half = (around[after] - around[after - 1]) / 2
    bent = np.maximum(np.cos(np.minimum(half / SHORTEST_DAY_SLOTS, 0.5) * np.pi), STEEPEST)
    night = (unseen & (side < NIGHT_SHARE * ever))[slot] if dark is None else unseen[slot] & dark
    mean, most = np.where(night, 0.0, mean[slot]), np.where(unseen, ever / bent, most)[slot]
    most = np.where(night, side[slot] if dark is None else 0.0, most)
    weight = np.where(unseen[slot] & ~night, most, mean)
    return _Guess(mean, np.zeros(len(slot)), most, weight, night)


def close_gaps(amount: Banded, measured_share: F64, flags: F64, class_share: F64) -> tuple[Banded, F64]:
    """Take back the uncertainty of intervals inside a gap that the period holds whole: there the counter proves the total.

    ``flags`` [m] are those of the point's rows, ``class_share`` [m] (0..1) the class of its meter. Intervals in which something
    else was open as well keep their band.
    """
    inside = whole_gaps(flags) >= 0
    if not inside.any():
        return amount, measured_share
    tolerance = class_share * np.abs(amount.best)
    closed = Banded(
        amount.best,
        np.where(inside, amount.best - tolerance, amount.low),
        np.where(inside, amount.best + tolerance, amount.high),
    )
    return closed, np.where(inside, 1.0, measured_share)


def whole_gaps(flags: F64 | I64, mine: Mask | None = None) -> I64:
    """Which gap each interval [m] is of, counted from 0, where the period holds the gap whole and the spread difference is all
    that is open in the interval; else -1.

    A run of spread intervals that touches either end of the period stays open, since how much of it falls inside is not known;
    so does one that is not all ``mine`` [m].
    """
    raised = np.nan_to_num(flags).astype(np.int64)
    spread = (raised & int(IntervalFlag.SPREAD)) > 0
    found = np.full(len(raised), -1, np.int64)
    if not spread.any():
        return found
    edges = np.flatnonzero(np.diff(np.concatenate([[0], spread.astype(np.int8), [0]]))).reshape(-1, 2)
    for i, (first, end) in enumerate(edges):
        if first > 0 and end < len(spread) and (mine is None or mine[first:end].all()):
            found[first:end] = i
    return np.where((raised & OPEN) > 0, -1, found)
