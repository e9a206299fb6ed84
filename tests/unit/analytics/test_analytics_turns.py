"""Registers that turned over several times unread, and leaps that power contradicts."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.counters import F64, I64
from analytics.flags import IntervalFlag
from analytics.intervals import MeteredPoint, PointIntervals, point_intervals
from plant.series import QUARTER_NS, Series
from plant.site import Branch, MeteringPoint, Mounting

NS = 1_000_000_000
MINUTE_NS = 60 * NS


def intervals(
    columns: dict[str, F64], t_ns: I64, slots: int, *, rated_kw: float, wraps_at: float | None, side: str = "ac"
) -> PointIntervals:
    point = MeteringPoint("p", "b", "main", side, rated_kw, (Mounting("m", 0),))
    metered = MeteredPoint(point, Branch("b", "rectifier" if side == "dc" else "feeder", "x", "", ""), {"m": 60.0}, 900.0)
    good = np.zeros(len(t_ns), np.int16)
    readings = {("m", name): Series(t_ns, value, good) for name, value in columns.items()}
    bounds = np.arange(slots + 1, dtype=np.int64) * QUARTER_NS
    return point_intervals(metered, readings, [bounds], lambda _meter, _quantity: wraps_at)[0]


@pytest.mark.parametrize("rated_kw", [0.0, 2000.0])
@pytest.mark.parametrize("start", [0.0, 300.0, 900.0])
def test_turns_in_a_gap_are_told_by_the_pace_beside_it(start: float, rated_kw: float) -> None:
    """1 500 kW throughout, a register of 1 000 kWh, not read for 1.5 h: two turns, or three."""
    t_ns = np.r_[np.arange(16), np.arange(105, 121)] * MINUTE_NS
    true = start + t_ns / NS / 3600 * 1500
    found = intervals({"energy_import": np.mod(true, 1000)}, t_ns, 8, rated_kw=rated_kw, wraps_at=1000.0)
    assert found.energy_import.sum() == pytest.approx(3000)
    assert (found.flags[1:7] & int(IntervalFlag.WRAP)).all()
    assert found.measured_share[1:7].max() < 1


@pytest.mark.parametrize("hours", [20, 62])
def test_ampere_hours_over_an_outage(hours: int) -> None:
    """170 kA throughout and a register of 10 000 kAh that was close to no end of it."""
    minutes = np.r_[np.arange(16), np.arange(15 + hours * 60, 31 + hours * 60)]
    true = 7500 + minutes / 60 * 170.0
    found = intervals(
        {"dc_charge": np.mod(true, 10_000)}, minutes * MINUTE_NS, hours * 4 + 2, rated_kw=0.0, wraps_at=1e4, side="dc"
    )
    assert found.dc_charge.sum() == pytest.approx(170 * (hours + 0.5))


def test_turns_are_told_by_power_that_covers_the_gap() -> None:
    """The pace beside the gap is 0: the power within it says that the register turned twice."""
    t_ns = np.arange(181) * MINUTE_NS
    power = np.where((t_ns > 20 * MINUTE_NS) & (t_ns < 160 * MINUTE_NS), 1000.0, 0.0)
    true = 100 + np.concatenate([[0], np.cumsum((power[1:] + power[:-1]) / 2 / 60)])
    read = (t_ns <= 16 * MINUTE_NS) | (t_ns >= 165 * MINUTE_NS)
    register = np.where(read, np.mod(true, 1000), np.nan)
    found = intervals({"energy_import": register, "active_power": power}, t_ns, 12, rated_kw=2000.0, wraps_at=1000.0)
    assert found.energy_import.sum() == pytest.approx(true[-1] - 100)


def test_where_nothing_tells_the_turns_the_gap_stays_open() -> None:
    """The load stood before the gap and ran after it: 250 kWh or 1 250 kWh or 2 250 kWh."""
    minutes = np.r_[np.arange(16), np.arange(105, 121)]
    register = np.r_[np.full(16, 100.0), 350 + np.arange(16) * 25.0]
    found = intervals({"energy_import": register}, minutes * MINUTE_NS, 8, rated_kw=2000.0, wraps_at=1000.0)
    assert np.isnan(found.energy_import[2:6]).all()
    np.testing.assert_allclose(found.energy_import_high[2:6], 502.5)
    assert (found.flags[2:6] & int(IntervalFlag.GAP)).all()
    assert found.measured_share[2:6].max() == 0


def test_a_gap_too_short_for_a_turn_counts_as_it_was_read() -> None:
    minutes = np.r_[np.arange(16), np.arange(105, 121)]
    register = np.r_[np.full(16, 100.0), 350 + np.arange(16) * 25.0]
    found = intervals({"energy_import": register}, minutes * MINUTE_NS, 8, rated_kw=2000.0, wraps_at=1e6)
    assert found.energy_import.sum() == pytest.approx(625)


@pytest.mark.parametrize("leap", [500.0, 5000.0])
@pytest.mark.parametrize("rated_kw", [0.0, 2000.0])
def test_a_leap_that_power_contradicts_is_none(rated_kw: float, leap: float) -> None:
    t_ns = np.arange(61) * MINUTE_NS
    register = 10_000 + np.arange(61) * 10.0 + leap * (np.arange(61) > 30)
    columns = {"energy_import": register, "active_power": np.full(61, 600.0)}
    found = intervals(columns, t_ns, 4, rated_kw=rated_kw, wraps_at=None)
    np.testing.assert_allclose(found.energy_import, 150)
    assert [bool(f & int(IntervalFlag.RESET)) for f in found.flags] == [False, False, True, False]


@pytest.mark.parametrize("power_kw", [0.0, 600.0])
def test_coarse_steps_and_a_dead_channel_of_power_contradict_no_register(power_kw: float) -> None:
    t_ns = np.arange(61) * MINUTE_NS
    register = 10_000 + np.floor(np.arange(61) / 10) * 100.0
    found = intervals({"energy_import": register, "active_power": np.full(61, power_kw)}, t_ns, 4, rated_kw=0.0, wraps_at=None)
    assert found.energy_import.sum() == pytest.approx(600)
