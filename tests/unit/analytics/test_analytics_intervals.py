"""Intervals out of several kinds of evidence at once."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.counters import Seen, clean_register
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
    energy, covered_s = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.arange(5, dtype=np.float64) * 60
    assert clean_register(t_ns, register, power=Seen(energy, covered_s, 60.0)).count[-1] == 2
    assert clean_register(t_ns, register, power=Seen(energy * 9000, covered_s, 60.0 * 9000)).count[-1] == 9002


def test_a_register_that_began_at_zero_counts_from_there() -> None:
    t_ns = np.arange(5, dtype=np.int64) * 60 * NS
    assert clean_register(t_ns, np.array([0.0, 10.0, 20.0, 30.0, 40.0])).count[-1] == 40


def _series(t_ns: list[int] | np.ndarray, value: list[float] | np.ndarray) -> Series:
    return Series(np.array(t_ns, np.int64), np.array(value, float), np.zeros(len(t_ns), np.int16))


@pytest.mark.parametrize("rated_kw", [0.0, 2000.0])
def test_a_meter_that_is_mounted_later_takes_nothing_from_the_one_before(rated_kw: float) -> None:
    """The second meter, from slot 4 on, says nothing: four measured slots, four missing ones, whatever is asked together."""
    minutes = np.arange(-1, 60) * 60 * NS + NS
    point = MeteringPoint("p", "b", "main", "ac", rated_kw, (Mounting("a", 0), Mounting("b", HOUR_NS)))
    metered = MeteredPoint(point, Branch("b", "feeder", "x", "", ""), {"a": 60.0, "b": 60.0}, 900.0)
    readings = {("a", "energy_import"): _series(minutes, 100 + np.arange(61) * 10.0)}
    bounds = np.arange(9, dtype=np.int64) * QUARTER_NS
    (found,) = point_intervals(metered, readings, [bounds], lambda _meter, _quantity: None)
    np.testing.assert_allclose(found.energy_import[:3], 150)
    assert np.isfinite(found.energy_import[3])
    assert np.isnan(found.energy_import[4:]).all()
    np.testing.assert_allclose(found.completeness, [1, 1, 1, 1, 0, 0, 0, 0])
    assert found.measured_share[:3].min() > 0.99
    assert found.measured_share[4:].max() == 0
    (alone,) = point_intervals(metered, readings, [bounds[:4]], lambda _meter, _quantity: None)
    np.testing.assert_array_equal(alone.energy_import, found.energy_import[:3])
    np.testing.assert_array_equal(alone.flags, found.flags[:3])


def test_completeness_of_a_slot_with_an_exchange_is_weighed_by_time() -> None:
    minutes = np.arange(0, 16) * 60 * NS
    point = MeteringPoint("p", "b", "main", "ac", 2000.0, (Mounting("a", 0), Mounting("b", 5 * 60 * NS)))
    metered = MeteredPoint(point, Branch("b", "feeder", "x", "", ""), {"a": 60.0, "b": 60.0}, 900.0)
    readings = {("a", "energy_import"): _series(minutes[:6], np.arange(6) * 10.0)}
    (found,) = point_intervals(metered, readings, [np.array([0, QUARTER_NS])], lambda _meter, _quantity: None)
    np.testing.assert_allclose(found.completeness, [1 / 3], atol=0.01)


@pytest.mark.parametrize("with_registers", [False, True])
@pytest.mark.parametrize(("kind", "sign"), [("feeder", 1.0), ("pv", -1.0)])
def test_samples_of_power_make_no_energy_where_the_branch_can_carry_none(kind: str, sign: float, with_registers: bool) -> None:
    minutes = np.arange(61) * 60 * NS
    power = np.full(61, 600.0)
    power[30] = -600
    readings = {("m", "active_power"): _series(minutes, sign * power)}
    ways = ("import", "export") if kind == "feeder" else ("export", "import")
    if with_registers:  # which end before the power does
        readings["m", f"energy_{ways[0]}"] = _series(minutes[:20], np.arange(20) * 10.0)
        readings["m", f"energy_{ways[1]}"] = _series(minutes[:20], np.full(20, 7.0))
    point = MeteringPoint("p", "b", "main", "ac", 2000.0, (Mounting("m", 0),))
    metered = MeteredPoint(point, Branch("b", kind, "x", "", ""), {"m": 60.0}, 900.0)
    bounds = np.arange(5, dtype=np.int64) * QUARTER_NS
    (found,) = point_intervals(metered, readings, [bounds], lambda _meter, _quantity: None)
    ruled_out = {end: getattr(found, f"energy_{ways[1]}{end}") for end in ("", "_low", "_high")}
    np.testing.assert_array_equal(ruled_out[""], 0)
    np.testing.assert_array_equal(ruled_out["_low"], 0)
    np.testing.assert_allclose(ruled_out["_high"], [0, 5, 5, 0])
    assert getattr(found, f"energy_{ways[0]}").sum() == pytest.approx(590, abs=1)
