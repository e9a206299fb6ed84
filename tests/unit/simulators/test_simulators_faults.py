"""Faults change what is reported and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from plant.series import Span
from simulators import faults
from simulators.faults import Reported

NAMES = ("active_power", "energy_import")
S = 10**9


@pytest.fixture
def reported() -> Reported:
    t_ns = np.arange(100, dtype=np.int64) * S
    return faults.sound(NAMES, t_ns, np.column_stack([1000.0 + np.arange(100.0), 5.0e6 + np.arange(100.0) * 0.3]))


def test_gap(reported: Reported) -> None:
    out = faults.Gap(Span(10 * S, 20 * S)).apply(reported)
    assert set(out.t_ns // S) == set(range(100)) - set(range(10, 20))


def test_frozen_holds_the_last_value(reported: Reported) -> None:
    out = faults.Frozen(Span(10 * S, 20 * S)).apply(reported)
    assert np.all(out.value[10:20] == reported.value[9])
    np.testing.assert_array_equal(out.value[20:], reported.value[20:])
    assert reported.value[15, 0] == 1015.0  # the sound readings stay as they were


def test_reset_starts_counters_from_zero_and_leaves_gauges(reported: Reported) -> None:
    out = faults.Reset(30 * S).apply(reported)
    assert out.value[30, 1] == 0.0
    assert out.value[99, 1] == pytest.approx(69 * 0.3)
    np.testing.assert_array_equal(out.value[:, 0], reported.value[:, 0])


def test_exchange_begins_at_the_first_reading(reported: Reported) -> None:
    out = faults.Exchange(30 * S, first_reading_kwh=12.5, gain=1.01).apply(reported)
    assert out.value[30, 1] == 12.5
    assert out.value[99, 1] == pytest.approx(12.5 + 69 * 0.3 * 1.01)
    assert out.value[50, 0] == pytest.approx(1050.0 * 1.01)


def test_spikes_hit_the_share_asked_for_and_repeat(reported: Reported) -> None:
    fault = faults.Spike(Span(0, 80 * S), "active_power", factor=10.0, share=0.5, seed=3)
    out = fault.apply(reported)
    hit = out.value[:, 0] > 5_000.0
    assert 20 < hit.sum() < 60 and not hit[80:].any()
    np.testing.assert_array_equal(out.value, fault.apply(reported).value)


def test_coarse_register(reported: Reported) -> None:
    out = faults.CoarseRegister(step=8.0).apply(reported)
    assert np.all(out.value[:, 1] % 8.0 == 0.0) and np.all(out.value[:, 1] <= reported.value[:, 1])


def test_clock_drift_moves_stamps_not_arrival(reported: Reported) -> None:
    out = faults.ClockDrift(10 * S, ppm=50_000.0).apply(reported)
    assert out.t_ns[9] == 9 * S and out.t_ns[90] == 94 * S
    np.testing.assert_array_equal(out.arrival_ns, reported.arrival_ns)


def test_duplicates_stand_behind_their_first(reported: Reported) -> None:
    out = faults.Duplicate(Span(10 * S, 12 * S)).apply(reported)
    assert (out.t_ns // S).tolist() == [*range(10), 10, 10, 11, 11, *range(12, 100)]


def test_late_readings_arrive_after_the_span_with_their_own_stamps(reported: Reported) -> None:
    out = faults.Late(Span(10 * S, 20 * S), delay_s=4.5).apply(reported)
    assert np.all(np.diff(out.arrival_ns) >= 0)
    assert sorted(out.t_ns.tolist()) == reported.t_ns.tolist()
    assert (out.t_ns // S).tolist()[10:27] == [20, 21, 22, 23, 24, *range(10, 20), 25, 26]


def test_faults_put_over_one_another(reported: Reported) -> None:
    out = faults.with_faults(reported, [faults.Gap(Span(0, 50 * S)), faults.Duplicate(Span(90 * S, 100 * S))])
    assert len(out.t_ns) == 60
    np.testing.assert_array_equal(faults.with_faults(reported, []).value, reported.value)
