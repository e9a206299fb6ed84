"""The right meter is named of seeded faults, and nobody of plants in order. `python -m potwatt.selftest.suspects` runs more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analytics.meter_quality import Ailment, diagnosed
from analytics.suspects_search import Fault, shifted
from potwatt.selftest.suspects import FALSE_MOST, RIGHT_LEAST, accused_healthy, at_most, judged, tallied
from simulators.meter_faults import KINDS, MeteredWeek, metered, trial_site

EACH = 6


def test_the_right_meter_is_first() -> None:
    tallies = [tallied(kind, range(500, 500 + EACH)) for kind in KINDS]
    assert sum(t.right for t in tallies) >= RIGHT_LEAST * EACH * len(KINDS), tallies
    assert sum(t.wrong for t in tallies) <= 0.1 * EACH * len(KINDS), tallies


def test_nobody_is_accused_of_plants_in_order() -> None:
    assert accused_healthy(range(40)) <= FALSE_MOST * 40


def _with(point: str, gain: float, since: int = 0) -> MeteredWeek:
    week = metered(3)
    slots = np.arange(len(week.kwh[point]))
    return replace(week, kwh=week.kwh | {point: week.kwh[point] * np.where(slots >= since, gain, 1.0)})


@pytest.mark.parametrize(
    ("gain", "ailment", "verdict"),
    [
        (2 / 3, Ailment.CT_PHASE, "wrong_ratio x1.5"),
        (1 / 3, Ailment.CT_PHASE, "wrong_ratio x3"),
        (0.5, Ailment.WRONG_RATIO, "wrong_ratio x2"),
        (4 / 3, Ailment.WRONG_RATIO, "wrong_ratio x0.75"),
        (-1.0, Ailment.REVERSED, "reversed x-1"),
    ],
)
def test_a_rectifier_meter_is_told_from_its_peers(gain: float, ailment: Ailment, verdict: str) -> None:
    (first, *_) = judged(_with("rect-1-2-ac", gain)).accused
    assert first.fault.point == "rect-1-2-ac"
    assert first.fault.gain == pytest.approx(gain, rel=0.03)
    told = diagnosed(first.fault)
    assert (told.ailment, told.verdict) == (ailment, verdict)


def test_when_it_began_is_told_to_the_slot() -> None:
    (first, *_) = judged(_with("pv-1-inverter", 0.8, since=336)).accused
    assert first.fault.point == "pv-1-inverter"
    assert abs(first.fault.since - 336) <= 2
    assert first.fault.excess[:330].sum() == 0.0


def test_an_error_within_the_class_is_none() -> None:
    assert judged(_with("rect-1-2-ac", 1.002)).accused == ()


def test_a_clean_factor_has_to_be_near() -> None:
    nothing = np.zeros(4)
    fault = Fault("p", "gain", 99.0, 0.9, 0.001, 0, 0.0, nothing, {})
    assert diagnosed(fault).ailment is Ailment.GAIN
    assert diagnosed(replace(fault, gain=1.26)).factor == 1.25
    assert diagnosed(replace(fault, gain=1.26, error=0.2)).ailment is Ailment.GAIN


def test_amounts_of_a_late_clock_are_moved_back() -> None:
    kwh = np.array([0.0, 4.0, 8.0, 0.0])
    assert shifted(kwh, 900.0).tolist() == [4.0, 8.0, 0.0, 0.0]
    assert shifted(kwh, 450.0).tolist() == [2.0, 6.0, 4.0, 0.0]
    assert shifted(kwh, -900.0).tolist() == [0.0, 0.0, 4.0, 8.0]


def test_every_meter_of_the_site_is_simulated() -> None:
    assert set(metered(1).kwh) == set(trial_site().points)


def test_the_bound_of_no_case_in_three_hundred() -> None:
    assert at_most(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))  # the rule of three
