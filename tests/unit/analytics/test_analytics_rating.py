"""The rated power of a metering point is held against readings when they are read, with the ratio in force."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.intervals import MeteredPoint, point_intervals
from plant.series import QUARTER_NS, Series
from plant.site import Branch, MeteringPoint, Mounting

T0 = 1_790_000_100_000_000_000 // QUARTER_NS * QUARTER_NS
SECOND_NS = 1_000_000_000


def energy_kwh(power_kw: list[float], *, ratio: float, rated_power_kw: float) -> float:
    """Import of a quarter of an hour in which the meter showed these powers, a minute apart."""
    mounting = Mounting("m", 0, ct_ratio=ratio)
    point = MeteringPoint("tie", "tie", "main", "ac", rated_power_kw, (mounting,))
    metered = MeteredPoint(point, Branch("tie", "tie", "bus", "", ""), {"m": 60.0}, 120.0)
    t_ns = T0 + np.arange(len(power_kw), dtype=np.int64) * 60 * SECOND_NS
    readings = {("m", "active_power"): Series(t_ns, np.array(power_kw), np.zeros(len(power_kw), np.int16))}
    (found,) = point_intervals(metered, readings, [np.array([T0, T0 + QUARTER_NS])], lambda _meter, _quantity: None)
    return float(found.energy_import[0])


def test_a_power_that_cannot_flow_is_left_out_and_bridged() -> None:
    shown = [100.0] * 16
    shown[7] = 1e7
    assert energy_kwh(shown, ratio=1.0, rated_power_kw=120.0) == pytest.approx(25.0)


def test_after_the_ratio_is_mended_the_same_readings_count() -> None:
    shown = [100.0] * 16
    assert np.isnan(energy_kwh(shown, ratio=20.0, rated_power_kw=120.0))
    assert energy_kwh(shown, ratio=1.0, rated_power_kw=120.0) == pytest.approx(25.0)


def test_a_rating_that_is_not_given_limits_nothing() -> None:
    assert energy_kwh([1e7] * 16, ratio=1.0, rated_power_kw=0.0) == pytest.approx(2.5e6)
