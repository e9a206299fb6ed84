"""Outlooks of past months against how they ended: the bands hold what they say, and are narrower than last month's spread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from analytics.outlook_backtest import Case, backtest, scores
from analytics.outlook_paths import steady, sun_days
from potwatt.selftest.outlook_days import simulated_days, steel_works_days

ORIGINS = (1, 6, 11, 16, 21, 26)
HISTORY = 42
SEEDS = (21, 22, 23)


@pytest.fixture(scope="module")
def cases() -> Sequence[Case]:
    found: list[Case] = []
    for seed in SEEDS:
        days, dates = simulated_days(seed, 430)
        found += backtest(days, dates, ORIGINS, HISTORY, seed)
    return found


def test_bands_of_simulated_smelters_hold(cases: Sequence[Case]) -> None:
    """Every figure holds 70 to 90 % of the truths. Six looks at one month share most of it, so a share of 200 cases is known
    about as well as one of 36 months, within 7 %: so far below may lie what is left of 100 % self-consumption, whose months
    are all alike but for few."""
    found = scores(cases)
    assert len(found) >= 18 and min(s.cases for s in found) >= 180
    for score in found:
        error = 7 if score.key[1] in ("pv_feed_in", "pv_self_consumption") else 0
        assert 70 - error <= score.held_percent <= 90 + error, score


def test_bands_are_narrower_than_last_months_spread_and_nearer(cases: Sequence[Case]) -> None:
    fed = [c for c in cases if c.key[1] == "pv_feed_in"]  # nearly nothing in most months: in points, not of the truth
    assert np.mean([c.high - c.low for c in fed]) < np.mean([c.naive_high - c.naive_low for c in fed])
    assert np.mean([abs(c.value - c.truth) for c in fed]) < np.mean([abs(c.naive_value - c.truth) for c in fed])
    for score in scores(cases):
        if score.key[1] in ("pv_feed_in", "pv_self_consumption"):
            continue
        assert score.width_percent < score.naive_width_percent, score
        assert score.error_percent < score.naive_error_percent, score


def test_a_recorded_steel_works() -> None:
    """48 and more cases of ten months of one works: a works with weekends, holidays and months that differ by a quarter."""
    folder = os.environ.get("POTWATT_RECORDINGS")
    if not folder:
        pytest.skip("no recordings of real plants here: POTWATT_RECORDINGS names their folder")
    days, dates = steel_works_days(Path(folder) / "steel_works_2018_15min.csv")
    (score,) = scores(backtest(days, dates, ORIGINS, HISTORY, 1))
    assert score.cases >= 48
    assert 70 <= score.held_percent <= 90
    assert score.width_percent < score.naive_width_percent / 2
    assert score.error_percent < score.naive_error_percent


def test_weekends_are_found_and_kept() -> None:
    weekdays = np.arange(56) % 7
    noise = np.random.default_rng(1).normal(0, 1, 56)
    works = steady((100 - 40 * (weekdays >= 5) + noise)[:, None], weekdays)
    assert works.weekly
    paths = works.paths(np.arange(7), np.random.default_rng(2))
    assert np.median(paths[:, 5:, 0]) == pytest.approx(60, abs=2)
    assert not steady((100 + noise)[:, None], weekdays).weekly


def test_a_step_stays_where_it_is() -> None:
    """Pots taken off: the days after the step say what comes, not the mean of all."""
    level = np.where(np.arange(60) < 30, 100.0, 90.0) + np.random.default_rng(3).normal(0, 0.2, 60)
    paths = steady(level[:, None], np.arange(60) % 7).paths(np.arange(5), np.random.default_rng(4))
    assert np.median(paths[:, :, 0]) == pytest.approx(90, abs=1.5)


def test_clear_days_come_in_rows() -> None:
    rng = np.random.default_rng(5)
    clearness = np.repeat(rng.uniform(0.2, 1.0, 20), 4)[:70]
    clearness[-4:] = 0.99
    like = sun_days(clearness, 30, rng)
    assert np.median(clearness[like[:, 0]]) > np.median(clearness[like[:, 29]])
