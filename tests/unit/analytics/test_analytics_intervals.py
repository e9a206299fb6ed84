"""Intervals out of several kinds of evidence at once."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.counters import clean_register
from analytics.intervals import MeteredPoint, point_intervals
from plant.series import QUARTER_NS, Series
from plant.site import Branch, MeteringPoint, Mounting

NS = 1_000_000_000
HOUR_NS = 3600 * NS


def imported(columns: dict[str, tuple[list[int], list[float]]], bounds: list[int], poll_s: float = 60.0) -> list[float]:
    """Import of a load between bounds; each column is (t_ns, value)."""
    point = MeteringPoint("p", "b", "main", "ac", 2000.0, (Mounting("m", 0),))
    metered = MeteredPoint(point, Branch("b", "feeder", "x", "", ""), {"m": poll_s}, 900.0)
    readings = {
        ("m", name): Series(np.array(t, np.int64), np.array(v, float), np.zeros(len(t), np.int16))
        for name, (t, v) in columns.items()
    }
    (found,) = point_intervals(metered, readings, [np.array(bounds, np.int64)], lambda _meter, _quantity: None)
    return [float(x) for x in found.energy_import]


def test_imported_amounts_end_where_the_register_begins() -> None:
    minutes = [HOUR_NS + i * 60 * NS for i in range(61)]
    columns = {
        "interval_energy_import": ([i * QUARTER_NS for i in range(4)], [100.0, 200.0, 300.0, 400.0]),
        "energy_import": (minutes, [5000.0 + i * 10 for i in range(61)]),
    }
    found = imported(columns, [i * QUARTER_NS for i in range(9)])
    assert found == pytest.approx([100, 200, 300, 400, 150, 150, 150, 150])


def test_an_amount_rules_over_the_register_only_in_its_interval() -> None:
    minutes = [i * 60 * NS for i in range(61)]
    columns = {
        "interval_energy_import": ([QUARTER_NS], [77.0]),
        "energy_import": (minutes, [5000.0 + i * 10 for i in range(61)]),
    }
    assert imported(columns, [i * QUARTER_NS for i in range(5)], 900.0) == pytest.approx([150, 77, 150, 150])


@pytest.mark.parametrize("slot", range(4))
def test_a_slot_of_an_hourly_amount_is_the_same_alone(slot: int) -> None:
    hourly = {"interval_energy_import": ([0, HOUR_NS], [400.0, 800.0])}
    assert imported(hourly, [slot * QUARTER_NS, (slot + 1) * QUARTER_NS]) == pytest.approx([100.0])


def test_a_missing_amount_is_not_made_up_from_the_one_before() -> None:
    hourly = {"interval_energy_import": ([0, HOUR_NS, 3 * HOUR_NS], [400.0, 800.0, 400.0])}
    found = imported(hourly, [i * HOUR_NS for i in range(5)])
    assert found[:2] == pytest.approx([400, 800])
    assert np.isnan(found[2])


def test_a_leap_that_power_explains_counts_although_the_rating_does_not() -> None:
    t_ns = np.arange(4, dtype=np.int64) * 60 * NS
    register = np.array([100.0, 200.0, 300.0, 400.0])
    rated = np.array([0.0, 10.0, 20.0, 30.0])
    assert clean_register(t_ns, register, most=rated).count[-1] == 0
    assert clean_register(t_ns, register, most=rated * 10).count[-1] == 300


def test_half_a_lifetime_at_once_needs_a_power_that_explains_it() -> None:
    t_ns = np.arange(5, dtype=np.int64) * 60 * NS
    register = np.array([0.0, 0.0, 9000.0, 9001.0, 9002.0])
    power = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert clean_register(t_ns, register, power=power).count[-1] == 2
    assert clean_register(t_ns, register, power=power * 9000).count[-1] == 9002


def test_a_register_that_began_at_zero_counts_from_there() -> None:
    t_ns = np.arange(5, dtype=np.int64) * 60 * NS
    assert clean_register(t_ns, np.array([0.0, 10.0, 20.0, 30.0, 40.0])).count[-1] == 40
