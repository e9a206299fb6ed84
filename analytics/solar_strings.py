"""Strings and inverters of a PV field judged by their peers under the same sun: who gives less, how much, and a guess at why.

The median of the peers at each interval is what a unit should give, and their own scatter (median absolute deviation) says what
is out of the ordinary, so that neither clouds nor one bad unit move the measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from analytics.counters import F64, I64, Mask

PEERS_LEAST = 3
INTERVALS_LEAST = 8  # two hours of light
LIT_SHARE = 0.15  # of the brightest interval: dimmer light tells more of the sensors than of the strings
DEFICIT_LEAST, SPREADS = 0.05, 5.0
DEAD_SHARE = 0.1
PLATEAU, VARYING = 0.01, 0.03
AT_LIMIT = 0.97
DECLINE_DAYS = 5
_MAD = 1.4826  # of a normal distribution's standard deviation


class Cause(StrEnum):
    """A guess, by the shape of the loss."""

    DEAD = "dead"  # gives nothing while others produce
    CLIPPED = "clipped"  # flat at its own limit
    CURTAILED = "curtailed"  # flat below its limit
    SHADED = "shaded"  # at the same hours each day
    SOILED = "soiled"  # ever less since its last cleaning or rain
    LOW = "low"  # less by the same share all day and every day


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Peers: ``value`` float64[u, m] of u units per kW of their modules, over m intervals that have ``hour`` int64[m] of the
    plant's day and ``day`` int64[m]. ``asked`` bool[m] are the intervals of the question, the others its history.
    ``limit`` float64[u] is what a unit can give at most, infinite where none is known."""

    value: F64
    hour: I64
    day: I64
    asked: Mask
    limit: F64


@dataclass(frozen=True, slots=True, eq=False)
class Suspect:
    """Unit number ``unit`` gives less by ``deficit`` (share of what its peers gave, 0..1). ``missing`` float64[m] is the share of
    each interval that it did not give (0 outside of the question and in the dark). ``first`` is the interval since when a dead
    one has been dead, ``hours`` those of a shade."""

    unit: int
    cause: Cause
    deficit: float
    missing: F64
    first: int | None = None
    hours: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """``suspects``, most missing first; ``threshold`` is the deficit from which on a unit is one, ``lit`` bool[m] the intervals
    looked at. ``silent`` are units without enough readings. ``reason`` says why nothing could be judged."""

    suspects: tuple[Suspect, ...]
    threshold: float
    lit: Mask
    silent: tuple[int, ...] = ()
    reason: str = ""


def judge(group: Group) -> Verdict:
    """Which units of a group give less than their peers in the intervals asked about."""
    reference, lit = _reference(group)
    asked = lit & group.asked
    known = np.isfinite(group.value) & asked
    speaking = known.sum(axis=1) >= INTERVALS_LEAST
    heard = (np.isfinite(group.value) & group.asked).sum(axis=1)
    silent = tuple(int(u) for u in np.flatnonzero(~speaking & (heard < INTERVALS_LEAST)))
    if speaking.sum() < PEERS_LEAST:
        dark = len(group.value) >= PEERS_LEAST and asked.sum() < INTERVALS_LEAST
        reason = "too little light" if dark else f"fewer than {PEERS_LEAST} peers have readings"
        return Verdict((), DEFICIT_LEAST, lit, silent, reason)
    given = np.where(known, group.value, 0.0).sum(axis=1)
    due = np.where(known, reference, 0.0).sum(axis=1)
    deficit = np.where(speaking, 1.0 - given / np.where(due > 0, due, 1.0), np.nan)
    centre = float(np.nanmedian(deficit))
    spread = _MAD * float(np.nanmedian(np.abs(deficit - centre)))
    threshold = max(DEFICIT_LEAST, SPREADS * spread)
    share = np.where(lit, group.value / np.where(reference > 0, reference, 1.0), np.nan) / (1.0 - centre)
    suspects = []
    for unit in np.flatnonzero(speaking):
        mine = share[unit]
        first = _dead_since(mine, asked)
        if deficit[unit] - centre > threshold or first is not None:
            missing = np.where(asked & np.isfinite(mine), np.clip(1.0 - mine, 0.0, 1.0), 0.0)
            cause, hours = _cause(group, int(unit), mine, reference, asked, threshold, first)
            suspects.append(Suspect(int(unit), cause, float(deficit[unit] - centre), missing, first, hours))
    suspects.sort(key=lambda s: -float((s.missing * reference).sum()))
    return Verdict(tuple(suspects), threshold, lit, silent)


def _reference(group: Group) -> tuple[F64, Mask]:
    """Median of the peers, 0 where fewer than three are known, and whether it was light."""
    counts = np.isfinite(group.value).sum(axis=0)
    enough = counts >= PEERS_LEAST
    reference = np.zeros(group.value.shape[1])
    if enough.any():
        reference[enough] = np.nanmedian(group.value[:, enough], axis=0)
    brightest = float(reference.max(initial=0.0))
    return reference, enough & (reference > LIT_SHARE * brightest)


def _dead_since(share: F64, asked: Mask) -> int | None:
    """First of the intervals at the end of which a unit gave nothing, None for one that lives."""
    rows = np.flatnonzero(asked & np.isfinite(share))
    alive = np.flatnonzero(share[rows] >= DEAD_SHARE)
    last = int(alive[-1]) + 1 if len(alive) else 0
    return int(rows[last]) if len(rows) - last >= INTERVALS_LEAST // 2 else None


def _cause(
    group: Group, unit: int, share: F64, reference: F64, asked: Mask, threshold: float, dead_since: int | None
) -> tuple[Cause, tuple[int, ...]]:
    known = asked & np.isfinite(share)
    lost = np.where(known, (1.0 - share) * reference, 0.0)
    if dead_since is not None or lost[known & (share < DEAD_SHARE)].sum() > 0.5 * lost.sum():
        return Cause.DEAD, ()
    flat = _plateau(group, unit, share, reference, known, threshold)
    if flat is not None:
        return flat, ()
    hours = _shaded_hours(group.hour, share, reference, known, threshold)
    if hours:
        return Cause.SHADED, hours
    return (Cause.SOILED if _declines(group, share, threshold) else Cause.LOW), ()


def _plateau(group: Group, unit: int, share: F64, reference: F64, known: Mask, threshold: float) -> Cause | None:
    """Whether what is missing is missing above a level, at which the unit stands still while its peers vary."""
    short = known & (share < 1.0 - threshold / 2)
    value = group.value[unit]
    if short.sum() < INTERVALS_LEAST:
        return None
    level = float(np.median(value[short]))
    scatter = float(np.median(np.abs(value[short] - level))) / max(level, 1e-12)
    around = float(np.median(reference[short]))
    varies = float(np.median(np.abs(reference[short] - around))) / max(around, 1e-12)
    if level <= 0.0 or scatter > PLATEAU or varies < VARYING:
        return None
    return Cause.CLIPPED if level >= AT_LIMIT * group.limit[unit] else Cause.CURTAILED


def _shaded_hours(hour: I64, share: F64, reference: F64, known: Mask, threshold: float) -> tuple[int, ...]:
    """Hours of the day that hold the loss, where the others hold hardly any."""
    due = np.bincount(hour[known], reference[known], 24)
    given = np.bincount(hour[known], (share * reference)[known], 24)
    looked = np.flatnonzero(due > 0.02 * due.sum())
    if len(looked) < PEERS_LEAST:
        return ()
    deficit = 1.0 - given[looked] / due[looked]
    worst = float(deficit.max())
    dark = deficit > 0.5 * worst
    if worst < 2.0 * threshold or dark.mean() > 0.6 or np.quantile(deficit, 0.25) > 0.25 * worst:
        return ()
    return tuple(int(h) for h in looked[dark])


def _declines(group: Group, share: F64, threshold: float) -> bool:
    """Whether the days since the last leap upwards go down, by more in all than a healthy unit wanders."""
    days = np.unique(group.day[np.isfinite(share)])
    level = np.array([np.nanmedian(share[group.day == d]) for d in days])
    leaps = np.flatnonzero(np.diff(level) > threshold / 2)
    first = int(leaps[-1]) + 1 if len(leaps) else 0
    days, level = days[first:], level[first:]
    if len(days) < DECLINE_DAYS:
        return False
    slope = median_slope(days.astype(float), level)
    return slope * float(days[-1] - days[0]) < -threshold / 2


def median_slope(x: F64, y: F64) -> float:
    """Slope of a line by the median over all pairs (Theil and Sen), which a few wild points do not move. NaN for one point."""
    i, k = np.triu_indices(len(x), 1)
    return float(np.median((y[k] - y[i]) / (x[k] - x[i]))) if len(i) else float("nan")


def lost_kwh(suspect: Suspect, expected_kwh: F64) -> float:
    """Energy that a suspect did not give, of what it was expected to give in each interval [m]."""
    return float(np.nansum(suspect.missing * expected_kwh))


def stacked(columns: Sequence[F64], capacity_kw: Sequence[float]) -> F64:
    """Columns of units as float64[u, m] per kW of their modules; what a sensor shows below zero is none."""
    value: F64 = np.maximum(np.array(columns), 0.0) / np.array(capacity_kw)[:, None]
    return value
