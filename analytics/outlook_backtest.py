"""Outlooks of months long over, made from what was known then, held against how the months ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from analytics.counters import F64
from analytics.outlook_model import BY_METAL, PER_TONNE, RATIOS, SUMS, Ahead, Days, Key, outcome, simulate

PROBABILITY = 0.8
PAST_DAYS = 400
LOW, HIGH = (1 - PROBABILITY) / 2, (1 + PROBABILITY) / 2


@dataclass(frozen=True, slots=True)
class Case:
    """One outlook: of a month, made on the morning of ``origin``; beside it last month's daily value and its spread."""

    key: Key
    origin: date
    days_left: int
    truth: float
    value: float
    low: float
    high: float
    naive_value: float
    naive_low: float
    naive_high: float

    @property
    def held(self) -> bool:
        """Whether the band holds the truth."""
        return self.low <= self.truth <= self.high


def backtest(days: Days, dates: Sequence[date], origins: Sequence[int], history: int, seed: int) -> list[Case]:
    """An outlook for every month with a whole month before it, on each day of the month in ``origins`` (1 = its first
    morning), from the last ``history`` days."""
    cases = []
    firsts = [i for i, day in enumerate(dates) if day.day == 1]
    for before, first, end in zip(firsts, firsts[1:], firsts[2:], strict=False):
        for on in origins:
            at = first + on - 1
            if at < history or at >= end:
                continue
            cases += list(_month(days, dates, (before, first, at, end), history, seed))
    return cases


def _month(days: Days, dates: Sequence[date], bounds: tuple[int, int, int, int], history: int, seed: int) -> Iterator[Case]:
    before, first, at, end = bounds
    past = days.part(slice(max(at - PAST_DAYS, 0), at))
    ahead = Ahead(days.weekday[at:end], days.hours[at:end], days.clear[at:end])
    settled = {key: float(column[first:at].sum()) for key, column in days.sums.items()}
    known = outcome(settled, simulate(past, ahead, history, np.random.default_rng((seed, at))))
    whole = {key: float(column[first:end].sum()) for key, column in days.sums.items()}
    truth = outcome(whole, {key: np.zeros(1) for key in (*whole, *((n, f + BY_METAL) for n, f in whole if f in PER_TONNE))})
    for key, paths in known.items():
        if truth.get(key, np.zeros(1))[0] > 0:
            low, value, high = np.quantile(paths, (LOW, 0.5, HIGH))
            naive = _naive(days, key, before, first, end)
            yield Case(key, dates[at], end - at, float(truth[key][0]), float(value), float(low), float(high), *naive)


def _naive(days: Days, key: Key, before: int, first: int, end: int) -> tuple[float, float, float]:
    """Last month's value for this one, and the spread of its days about it."""
    last = days.part(slice(before, first))
    node, name = key
    if name in SUMS:
        daily = last.of(node, name) / last.hours * float(days.hours[first:end].sum())
        value = float(daily.mean())
    else:
        part, whole, factor = RATIOS[name]
        part = part.removesuffix(BY_METAL)
        daily = factor * last.of(node, part) / last.of(node, whole)
        value = factor * float(last.of(node, part).sum() / last.of(node, whole).sum())
    return value, float(np.quantile(daily, LOW)), float(np.quantile(daily, HIGH))


@dataclass(frozen=True, slots=True)
class Score:
    """Of one indicator: cases, share of the truths held, mean width of the bands beside that of last month's spread, and
    mean distance of the value from the truth beside that of last month's value, all but the first in %."""

    key: Key
    cases: int
    held_percent: float
    width_percent: float
    naive_width_percent: float
    naive_held_percent: float
    error_percent: float
    naive_error_percent: float


def scores(cases: Sequence[Case]) -> list[Score]:
    """What the cases say of each node and indicator."""
    found = []
    for key in dict.fromkeys(c.key for c in cases):
        mine = [c for c in cases if c.key == key]
        truth = np.array([c.truth for c in mine])

        def of_truth(amounts: Sequence[float], truth: F64 = truth) -> float:
            return 100.0 * float(np.mean(np.array(amounts) / truth))

        found.append(
            Score(
                key,
                len(mine),
                100.0 * float(np.mean([c.held for c in mine])),
                of_truth([c.high - c.low for c in mine]),
                of_truth([c.naive_high - c.naive_low for c in mine]),
                100.0 * float(np.mean([c.naive_low <= c.truth <= c.naive_high for c in mine])),
                of_truth([abs(c.value - c.truth) for c in mine]),
                of_truth([abs(c.naive_value - c.truth) for c in mine]),
            )
        )
    return found
