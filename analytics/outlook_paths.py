"""Simulated days: what steady quantities and the sun may do next, drawn from what they did.

Steady quantities are autoregressive about their mean (and their weekday, where that shows); innovations of one day are drawn
together, so that what belongs together stays together. Days of sun are drawn from the clearness of past days with their
order kept: a clear day is more likely followed by another. How well the past tells the mean is part of every path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from analytics.counters import F64, I64
from analytics.distributions import f_above

PATHS = 500
BLOCK_DAYS = 7
WEEKS_MIN = 4
PHI_MAX = 0.97
_normal = np.vectorize(NormalDist().inv_cdf, otypes=[float])
_below = np.vectorize(lambda z: 0.5 * (1.0 + math.erf(z / math.sqrt(2.0))), otypes=[float])


@dataclass(frozen=True, slots=True, eq=False)
class Steady:
    """Autoregressive days: mean [q], by weekday [7, q], ``phi`` [q], joint innovations [n, q], where it stands [q]."""

    weekday: F64
    phi: F64
    innovations: F64
    last: F64
    weekly: bool

    def paths(self, weekdays: I64, rng: np.random.Generator, count: int = PATHS) -> F64:
        """Simulated days [count, h, q] of the given weekdays [h]."""
        n, q = self.innovations.shape
        drawn = self.innovations[rng.integers(0, n, (count, len(weekdays)))]
        # the past's mean is known as well as its innovations tell: a resampled past gives another
        unsure = self.innovations[rng.integers(0, n, (count, n))].mean(axis=1) / (1.0 - self.phi)
        found, z = np.empty((count, len(weekdays), q)), np.tile(self.last, (count, 1)) - unsure
        for day, weekday in enumerate(weekdays):
            z = self.phi * z + drawn[:, day]
            found[:, day] = self.weekday[weekday] + unsure + z
        return found


def steady(days: F64, weekdays: I64) -> Steady:
    """Fit of past days [n, q], NaN where a day is not known; at least ten must be known in every column."""
    weekly = _weekly(days, weekdays)
    mean = np.nanmean(days, axis=0)
    by_weekday = np.tile(mean, (7, 1))
    if weekly:
        by_weekday = np.array([np.nanmean(days[weekdays == d], axis=0) for d in range(7)])
    z = days - by_weekday[weekdays]
    phi = np.array([_phi(column) for column in z.T])
    innovations = z[1:] - phi * z[:-1]
    whole = innovations[np.isfinite(innovations).all(axis=1)]
    if len(whole) < BLOCK_DAYS:  # gaps leave few neighbours: days count as independent
        phi = np.zeros_like(phi)
        whole = z[np.isfinite(z).all(axis=1)]
    whole = (whole - whole.mean(axis=0)) * math.sqrt(len(whole) / max(len(whole) - 2, 1))
    return Steady(by_weekday, phi, whole, _last(z, phi), weekly)


def _weekly(days: F64, weekdays: I64) -> bool:
    """Whether weekdays differ by more than chance: one-way analysis of variance at 1 in 1 000 in any column."""
    if min(np.bincount(weekdays, minlength=7)) < WEEKS_MIN:
        return False
    for column in days.T:
        groups = [column[(weekdays == d) & np.isfinite(column)] for d in range(7)]
        if min(map(len, groups)) < WEEKS_MIN:
            continue
        n, grand = sum(map(len, groups)), float(np.nanmean(column))
        within = sum(float(((g - g.mean()) ** 2).sum()) for g in groups)
        between = sum(len(g) * (float(g.mean()) - grand) ** 2 for g in groups)
        if within > 0 and f_above(between / 6 / (within / (n - 7)), 6, n - 7) < 0.001:
            return True
    return False


def _phi(z: F64) -> float:
    """First autocorrelation. Short series make it too small, by (1 + 3 phi) / n (Kendall 1954), which is put back: without it
    the bands of what wanders slowly, as energy per tonne, hold too little."""
    pairs = np.isfinite(z[1:]) & np.isfinite(z[:-1])
    n = int(pairs.sum())
    spread = float(np.nanvar(z))
    if n < BLOCK_DAYS or spread <= 0:
        return 0.0
    found = float((z[1:][pairs] * z[:-1][pairs]).mean()) / spread
    return float(np.clip(found + (1.0 + 3.0 * found) / n, 0.0, PHI_MAX))


def _last(z: F64, phi: F64) -> F64:
    """Where each column stands after the last day: its last known day, faded over those not known since."""
    found = np.zeros(z.shape[1])
    for k, column in enumerate(z.T):
        known = np.flatnonzero(np.isfinite(column))
        if len(known):
            found[k] = column[known[-1]] * phi[k] ** (len(column) - 1 - known[-1])
    return found


def sun_days(clearness: F64, horizon: int, rng: np.random.Generator, count: int = PATHS) -> I64:
    """Which past day [count, h] each coming one is like, by the clearness [n] of past days in their order.

    Each path has a past of its own, resampled in weeks: how well these days tell the climate is part of the paths.
    """
    n = len(clearness)
    order = np.argsort(clearness, kind="stable")
    score = np.empty(n)
    score[order] = _normal((np.arange(n) + 0.5) / n)
    phi = _phi(score)
    z = np.full(count, score[-1])
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    starts = rng.integers(0, n, (count, -(-n // BLOCK_DAYS)))
    pool = (starts[:, :, None] + np.arange(BLOCK_DAYS)).reshape(count, -1)[:, :n] % n
    pool = order[np.sort(rank[pool], axis=1)]
    found = np.empty((count, horizon), np.int64)
    for day in range(horizon):
        z = phi * z + math.sqrt(1.0 - phi * phi) * rng.standard_normal(count)
        place = np.minimum((_below(z) * n).astype(np.int64), n - 1)
        found[:, day] = pool[np.arange(count), place]
    return found
