"""How meters' classes add up over a period: squares over meters, linear over time, and never more than the worst case."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.estimate import Sum
from analytics.uncertainty import COVERAGE, Spread, Supplies, Supply, half_width, ratio_of, sharpened

TIE_1, TIE_2, SUN = ("tie-1", "energy_import"), ("tie-2", "energy_import"), ("sun", "energy_export")


def _supplies(*kwh: tuple[tuple[str, str], float]) -> Supplies:
    found = [Supply(f"meter of {feed[0]}", feed, np.full(4, amount / 4), 0.002, 0.0) for feed, amount in kwh]
    return Supplies(tuple(found), {}, {}, {s.feed: s.kwh for s in found})


def test_one_meter_has_its_class_and_many_add_as_squares() -> None:
    assert half_width([2.0]) == 2.0
    assert half_width([3.0, -4.0]) == pytest.approx(COVERAGE * 5.0)
    assert half_width([1.0] * 100) == pytest.approx(COVERAGE * 10.0)
    assert half_width([]) == 0.0


def test_a_band_of_uniform_errors_holds_in_95_of_100() -> None:
    # 20 000 draws: the standard error of the rate is 0.15 %
    random = np.random.default_rng(1)
    for meters in (1, 2, 3, 8):
        classes = random.uniform(0.2, 1.0, meters)
        errors = np.abs((random.uniform(-1.0, 1.0, (20_000, meters)) * classes).sum(axis=1))
        assert np.mean(errors <= half_width(classes)) > 0.95, meters


def test_the_meters_part_of_a_band_becomes_sharp_and_the_gaps_part_stays() -> None:
    # two meters of class 0.2 with 1 000 kWh each: rows hold 4 kWh of class, and 10 kWh of a gap below, 30 above
    found = sharpened(
        Sum(2_000.0, 1_986.0, 2_034.0, 1.0), _supplies((TIE_1, 1_000.0), (TIE_2, 1_000.0)), {TIE_1: 1.0, TIE_2: 1.0}
    )
    half = COVERAGE * 2.0 * np.sqrt(2.0)
    assert found.sum.low == pytest.approx(2_000.0 - 10.0 - half)
    assert found.sum.high == pytest.approx(2_000.0 + 30.0 + half)
    assert found.loose == pytest.approx((10.0, 30.0))


def test_a_meter_on_both_sides_of_a_ratio_cancels() -> None:
    part = Spread(Sum(100.0, 99.0, 101.0, 1.0), {"m": 1.0})
    whole = Spread(Sum(400.0, 396.0, 404.0, 1.0), {"m": 4.0})
    alike = ratio_of(part, whole, Sum(0.25, 0.245, 0.255, 1.0))
    assert (alike.low, alike.high) == pytest.approx((0.25, 0.25))
    other = ratio_of(part, Spread(whole.sum, {"n": 4.0}), Sum(0.25, 0.245, 0.255, 1.0))
    assert other.high == pytest.approx(0.25 * (1 + COVERAGE * 0.01 * np.sqrt(2.0)))


def test_what_is_not_known_stays_unknown() -> None:
    nothing = Sum(None, 0.0, 50.0, 0.0)
    assert sharpened(nothing, _supplies((SUN, 10.0)), {SUN: 1.0}).sum == nothing
