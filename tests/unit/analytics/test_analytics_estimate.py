"""Sums over periods with holes, and what completeness counts as due."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.balance import Banded
from analytics.estimate import close_gaps, summed, whole_gaps
from analytics.flags import IntervalFlag
from analytics.samples import completeness
from plant.series import QUARTER_NS

NS = 1_000_000_000
DAY = np.arange(96, dtype=np.int64) * QUARTER_NS


def test_a_hole_is_as_wide_as_what_may_have_flowed() -> None:
    best = np.full(96, 100.0)
    best[60:] = np.nan
    missing = np.isnan(best)
    amount = Banded(best, np.where(missing, 10.0, best), np.where(missing, 500.0, best))
    found = summed(amount, (~missing).astype(float), DAY)
    assert (found.value, found.low, found.high) == (9600.0, 60 * 100 + 36 * 10, 60 * 100 + 36 * 500)


def test_extremes_bound_a_hole_that_nothing_else_bounds() -> None:
    best = np.array([100.0, np.nan, 300.0])
    found = summed(Banded(best, best, best), np.ones(3), DAY[:3])
    assert (found.value, found.low, found.high) == (600.0, 500.0, 700.0)


def _sun(days: int) -> np.ndarray:
    hour = np.tile(np.arange(96) / 4, days)
    return np.where((hour > 5) & (hour < 19), 100 * np.sin((hour - 5) / 14 * np.pi), 0.0)


@pytest.mark.parametrize("shift", [0, 40])
def test_a_sun_that_is_silent_at_night_made_nothing_then(shift: int) -> None:
    # the day lies across midnight UTC in half of the world
    sun = np.roll(_sun(5), shift)
    best = np.where(sun > 0, sun, np.nan)
    found = summed(Banded(best, best, best), np.isfinite(best).astype(float), np.arange(480) * QUARTER_NS, "solar")
    assert found.value == pytest.approx(sun.sum())
    assert found.low == pytest.approx(sun.sum())


def test_an_hour_of_the_day_never_seen_lies_between_its_neighbours() -> None:
    sun = _sun(1)
    best = np.where((np.arange(96) >= 46) & (np.arange(96) < 50), np.nan, sun)
    found = summed(Banded(best, best, best), np.ones(96), DAY, "solar")
    assert found.value == pytest.approx(sun.sum(), rel=0.002)


def test_a_noon_never_seen_is_no_night() -> None:
    sun = _sun(2)
    hour = np.tile(np.arange(96) / 4, 2)
    best = np.where((hour >= 10) & (hour < 14), np.nan, sun)
    for bound in (np.nan, 150.0):
        amount = Banded(best, best, np.where(np.isnan(best), bound, best))
        found = summed(amount, np.isfinite(best).astype(float), np.arange(192) * QUARTER_NS, "solar")
        assert found.value == pytest.approx(sun.sum(), rel=0.05)
        assert found.low is not None and found.high is not None and found.low < sun.sum() < found.high
        assert found.measured_share < np.nansum(best) / sun.sum()


def test_only_the_night_seen_is_no_dark_day() -> None:
    hour = np.arange(96) / 4
    best = np.where((hour > 5) & (hour < 20), np.nan, 0.0)
    found = summed(Banded(best, best, np.where(np.isnan(best), 250.0, 0.0)), np.isfinite(best).astype(float), DAY, "solar")
    assert (found.high, found.measured_share) == (59 * 250.0, pytest.approx(37 / 96))


def test_below_the_horizon_nothing_is_missed() -> None:
    hour = np.arange(96) / 4
    best = np.where((hour > 8) & (hour < 12), 100.0, np.nan)
    dark = (hour < 6) | (hour >= 18)
    amount = Banded(best, best, np.where(np.isnan(best), 250.0, best))
    found = summed(amount, np.isfinite(best).astype(float), DAY, "solar", dark=dark)
    missing = np.isnan(best) & ~dark
    assert found.high == pytest.approx(np.nansum(best) + 250.0 * missing.sum())
    assert found.measured_share < 0.5


def test_missing_slots_of_what_seldom_flows_count_as_much_as_the_known_ones() -> None:
    best = np.full(96, np.nan)
    best[:10], best[4] = 0.0, 50.0
    found = summed(Banded(best, best, best), np.isfinite(best).astype(float), DAY)
    assert found.value == 50.0
    assert found.measured_share == pytest.approx(50 / (50 + 86 * 5))


def test_a_slot_that_may_hold_much_does_not_weigh_little() -> None:
    amount = Banded(np.array([100.0, 0.0]), np.array([100.0, 0.0]), np.array([100.0, 300.0]))
    assert summed(amount, np.array([1.0, 0.0]), DAY[:2]).measured_share == pytest.approx(0.25)


def test_polls_that_do_not_arrive_are_missed_even_in_good_order() -> None:
    t_ns = np.arange(0, 3600, 10, dtype=np.int64) * NS
    np.testing.assert_allclose(completeness(t_ns, DAY[:5], 1.0), 0.1)


def test_minute_records_are_complete_beside_polls_of_seconds() -> None:
    minutes = np.arange(0, 1800, 60, dtype=np.int64) * NS
    seconds = np.arange(1800, 3600, dtype=np.int64) * NS + 123
    missed = np.delete(minutes, slice(3, 9))
    bounds = DAY[:5]
    np.testing.assert_allclose(completeness(np.concatenate([minutes, seconds]), bounds, 1.0), 1.0)
    np.testing.assert_allclose(completeness(np.concatenate([missed, seconds]), bounds, 1.0), [0.6, 1, 1, 1])


SPREAD, RESET, FROZEN = (int(flag) for flag in (IntervalFlag.SPREAD, IntervalFlag.RESET, IntervalFlag.FROZEN))


def test_a_counter_proves_the_gap_and_not_the_reset_beside_it() -> None:
    flags = np.array([0, SPREAD, SPREAD, SPREAD | RESET, 0, SPREAD, SPREAD | FROZEN, 0, SPREAD], np.float64)
    amount = Banded(np.full(9, 100.0), np.full(9, 50.0), np.full(9, 400.0))
    classes = np.array([0.002] * 4 + [0.005] * 5)
    closed, share = close_gaps(amount, np.full(9, 0.2), flags, classes)
    assert closed.low.tolist() == [50, 99.8, 99.8, 50, 50, 99.5, 50, 50, 50]
    assert closed.high.tolist() == [400, 100.2, 100.2, 400, 400, 100.5, 400, 400, 400]
    assert share.tolist() == [0.2, 1, 1, 0.2, 0.2, 1, 0.2, 0.2, 0.2]


def test_a_gap_that_another_meter_supplied_a_part_of_stays_open() -> None:
    flags = np.array([0, SPREAD, SPREAD, SPREAD, 0, SPREAD, 0])
    mine = np.array([True, True, False, True, True, True, True])
    assert whole_gaps(flags, mine).tolist() == [-1, -1, -1, -1, -1, 1, -1]
