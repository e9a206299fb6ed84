"""How meters' classes add up over a period: squares over meters, linear over time, and never more than the worst case."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.estimate import Sum
from analytics.uncertainty import COVERAGE, Spread, Supplies, Supply, half_width, ratio_of, sharpened, with_resolution
from plant.series import QUARTER_NS
from plant.site import MeteringPoint, Mounting

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


def test_a_meter_errs_alike_under_all_its_mountings_and_its_steps_do_not() -> None:
    first, second = np.array([1_000.0, 1_000.0, 0.0, 0.0]), np.array([0.0, 0.0, 1_000.0, 1_000.0])
    held = Supplies((Supply("m", TIE_1, first, 0.005, 3.0), Supply("m", TIE_1, second, 0.005, 4.0)), {}, {}, {})
    assert held.terms({TIE_1: 1.0}) == pytest.approx({"m energy_import": 20.0, "m energy_import step": 5.0})


def test_a_meter_that_a_formula_takes_off_again_cancels() -> None:
    rest, kwh = ("rest", "energy_import"), np.full(4, 1_000.0)
    held = Supplies((Supply("m", TIE_1, kwh, 0.005, 0.0), Supply("m", rest, kwh, 0.005, 0.0)), {}, {}, {})
    assert held.terms({TIE_1: 1.0, rest: -1.0}) == {"m energy_import": 0.0}
    # the rows held it at its worst on both sides
    found = sharpened(Sum(0.0, -40.0, 40.0, 1.0), held, {TIE_1: 1.0, rest: -1.0}).sum
    assert (found.low, found.high) == (0.0, 0.0)


def test_of_a_whole_gap_only_what_the_derivative_differs_by_stays_open() -> None:
    # three slots of a gap, each within 30 kWh below and 60 above
    less, more = np.array([0.0, 30.0, 30.0, 30.0]), np.array([0.0, 60.0, 60.0, 60.0])
    gap = np.array([-1, 0, 0, 0])
    held = Supplies((), {SUN: less}, {SUN: more}, {}, {SUN: gap})
    wide = Sum(300.0, 210.0, 480.0, 1.0)
    even = sharpened(wide, held, {SUN: np.ones(4)}, [{SUN: np.ones(4)}]).sum
    assert (even.low, even.high) == (300.0, 300.0)
    # derivatives 1, 0.7, 0.4: their mean is 0.7, and 0.3 of a slot's energy may stand where it counts for more or less
    slanted = sharpened(wide, held, {SUN: np.array([1.0, 1.0, 0.7, 0.4])}, [{SUN: np.ones(4)}]).sum
    assert (slanted.low, slanted.high) == (pytest.approx(300 - 0.3 * (30 + 60)), pytest.approx(300 + 0.3 * (60 + 30)))
    bent = sharpened(wide, held, {SUN: np.ones(4)}, [{SUN: np.ones(4)}], {SUN: np.full(4, 0.1)}).sum
    assert (bent.low, bent.high) == (pytest.approx(300 - 9.0), pytest.approx(300 + 18.0))


POINT = MeteringPoint(
    "p", "b", "main", "ac", 0.0, (Mounting("a", 0, register_step_kwh=3.0), Mounting("b", 5 * QUARTER_NS, register_step_kwh=4.0))
)


def test_steps_of_a_point_are_those_of_the_mountings_in_force_and_go_no_lower_than_nothing() -> None:
    starts = np.arange(10, dtype=np.int64) * QUARTER_NS
    both, later = (with_resolution(Sum(100.0, 99.0, 101.0, 1.0), POINT, s) for s in (starts, starts[5:]))
    assert (both.low, both.high) == (94.0, 106.0)
    assert (later.low, later.high) == (95.0, 105.0)
    assert with_resolution(Sum(2.0, 0.0, 4.0, 1.0), POINT, starts) == Sum(2.0, 0.0, 9.0, 1.0)


def test_what_is_not_known_stays_unknown() -> None:
    nothing = Sum(None, 0.0, 50.0, 0.0)
    assert sharpened(nothing, _supplies((SUN, 10.0)), {SUN: 1.0}).sum == nothing
