"""Readings received of those due: what may stand in for the poll interval, and what may not."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.bulk import plain_intervals
from analytics.intervals import MeteredPoint, point_intervals
from analytics.samples import completeness
from plant.series import QUARTER_NS, Series
from plant.site import Branch, MeteringPoint, Mounting

NS = 1_000_000_000
BOUNDS = np.arange(9, dtype=np.int64) * QUARTER_NS


@pytest.mark.parametrize("offset_s", [0, 1])
@pytest.mark.parametrize(("poll_s", "every_s", "share"), [(60, 120, 0.5), (60, 300, 0.2), (30, 60, 0.5), (120, 300, 0.4)])
def test_polls_lost_in_good_order_are_lost(poll_s: int, every_s: int, share: float, offset_s: int) -> None:
    t_ns = (np.arange(0, 7200, every_s, dtype=np.int64) + offset_s) * NS
    assert completeness(t_ns, BOUNDS, float(poll_s)).mean() == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize(("poll_s", "every_s"), [(60, 900), (60, 1800), (1, 60), (10, 300), (60, 60), (900, 900)])
def test_records_of_a_file_are_complete_by_their_own_spacing(poll_s: int, every_s: int) -> None:
    t_ns = np.arange(0, 7200, every_s, dtype=np.int64) * NS
    np.testing.assert_allclose(completeness(t_ns, BOUNDS, float(poll_s)), 1.0)


def test_a_quarter_of_which_one_reading_came_beside_polls_is_no_record() -> None:
    t_ns = np.arange(0, 7200, 60, dtype=np.int64) * NS
    kept = t_ns[(t_ns < 2 * QUARTER_NS) | (t_ns >= 3 * QUARTER_NS) | (t_ns == 2 * QUARTER_NS)]
    np.testing.assert_allclose(completeness(kept, BOUNDS, 60.0), [1, 1, 1 / 15, 1, 1, 1, 1, 1])


def test_amounts_of_minutes_are_complete_however_often_their_meter_is_read() -> None:
    t_ns = np.arange(0, 7200, 300, dtype=np.int64) * NS
    point = MeteringPoint("p", "b", "main", "ac", 2000.0, (Mounting("m", 0),))
    metered = MeteredPoint(point, Branch("b", "feeder", "x", "", ""), {"m": 60.0}, 900.0)
    readings = {("m", "interval_energy_import"): Series(t_ns, np.full(24, 50.0), np.zeros(24, np.int16))}
    (alone,) = point_intervals(metered, readings, [BOUNDS], lambda _meter, _quantity: None)
    (together,) = plain_intervals({"p": metered}, readings, [BOUNDS])["p"]
    np.testing.assert_array_equal(alone.completeness, 1.0)
    np.testing.assert_array_equal(together.completeness, 1.0)
