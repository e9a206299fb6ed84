"""What meters show: within their class, in their own arrow, counters that only grow and wrap, history as the wire gives it."""

from __future__ import annotations

import numpy as np
import pytest

from devices.codec import decode, encode
from plant.frame import FRAMES_MAX
from plant.series import Span
from plant.site import Site
from simulators.readings import Readings
from simulators.truth import Truth

T0 = 1_793_404_800_000_000_000
HOUR = 3600 * 10**9
DAY = 24 * HOUR
MINUTES = T0 + np.arange(0, 2 * DAY + 1, 60 * 10**9, dtype=np.int64)


def column(readings: Readings, meter: str, quantity: str) -> np.ndarray:
    values = readings.reading_columns(meter, MINUTES)
    return values[:, readings.profile(meter).quantities.index(quantity)]


def unwrapped(register: np.ndarray, wraps_at: float) -> np.ndarray:
    step = np.diff(register)
    return np.concatenate(([0.0], np.cumsum(np.where(step < 0.0, step + wraps_at, step))))


def test_counters_only_grow_but_for_a_wrap(readings: Readings, site: Site) -> None:
    wraps = 0
    for meter in site.meters:
        profile = readings.profile(meter)
        for i, point in enumerate(profile.points):
            if point.wraps_at is None:
                continue
            register = readings.reading_columns(meter, MINUTES)[:, i]
            falls = np.diff(register) < 0.0
            wraps += int(falls.sum())
            assert np.all((register >= 0.0) & (register < point.wraps_at))
            assert np.all(np.diff(register)[falls] < -0.9 * point.wraps_at)
    assert wraps < 10


def test_the_inverters_register_wraps_within_a_fortnight(readings: Readings) -> None:
    profile = readings.profile("pv-1-inverter")
    wraps_at = profile.wraps_at("energy_import")
    assert wraps_at is not None
    hours = T0 + np.arange(0, 14 * 24 + 1, dtype=np.int64) * HOUR
    shown, _ = decode(profile, readings.words("pv-1-inverter", readings.snapshot(hours)))
    register = shown[:, profile.quantities.index("energy_import")]
    assert np.sum(np.diff(register) < 0.0) >= 1
    true_kwh = readings.model.integrals(hours)[1]["pv-1"]
    assert unwrapped(register, wraps_at)[-1] == pytest.approx(true_kwh[-1] - true_kwh[0], rel=0.005)


@pytest.mark.parametrize(("meter", "branch"), [("tie-1-main", "tie-1"), ("unit-1-meter", "unit-1"), ("pv-2-inverter", "pv-2")])
def test_the_mounting_turns_a_reading_into_the_plants_sign(
    readings: Readings, site: Site, truth: Truth, meter: str, branch: str
) -> None:
    mounting = site.points[meter].mountings[0]
    names = readings.profile(meter).quantities
    forward = "energy_import" if mounting.direction > 0 else "energy_export"
    power = column(readings, meter, "active_power") * mounting.ratio * mounting.direction
    true_kw = readings.model.state(MINUTES)[branch]
    assert np.max(np.abs(power - true_kw)) <= 1.5 * mounting.class_percent / 100.0 * np.max(np.abs(true_kw)) + 1.0
    if forward in names:
        register = unwrapped(column(readings, meter, forward), readings.profile(meter).wraps_at(forward) or np.inf)
        shown = register[-1] * mounting.ratio
        true_kwh = truth.energy(branch, Span(int(MINUTES[0]), int(MINUTES[-1]))).import_kwh
        assert shown == pytest.approx(true_kwh, rel=mounting.class_percent / 100.0, abs=mounting.register_step_kwh + 1.0)


def test_generation_makes_a_sunspec_power_positive(readings: Readings) -> None:
    assert column(readings, "pv-1-inverter", "active_power").max() > 10_000.0
    assert column(readings, "pv-1-inverter", "active_power").min() == 0.0
    assert column(readings, "rect-1-1-ac", "active_power").min() > 60_000.0


def test_settlement_registers_move_in_whole_steps(readings: Readings, site: Site) -> None:
    mounting = site.points["tie-2-main"].mountings[0]
    primary = column(readings, "tie-2-main", "energy_import") * mounting.ratio
    steps = primary / mounting.register_step_kwh
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    assert 0.0 < np.diff(primary).max() <= 4 * mounting.register_step_kwh
    assert np.any(np.diff(primary) == 0.0)


def test_main_and_check_meters_err_differently(readings: Readings) -> None:
    main = column(readings, "tie-1-main", "active_power") * 880_000.0
    check = column(readings, "tie-1-check", "active_power")
    ratio = np.median(main / check)
    assert 0.0 < abs(ratio - 1.0) < 0.005


def test_every_quantity_of_every_profile_is_simulated(readings: Readings, site: Site) -> None:
    for meter in site.meters.values():
        if not readings.profiles[meter.profile].event:
            assert np.all(np.isfinite(readings.reading_columns(meter.id, MINUTES[700:702]))), meter.id


def test_the_codec_gives_back_what_was_encoded(readings: Readings, site: Site) -> None:
    snapshot = readings.snapshot(MINUTES[::97])
    for meter in site.meters:
        profile = readings.profile(meter)
        if profile.modbus is None:
            continue
        value, quality = decode(profile, readings.words(meter, snapshot))
        assert not quality.any(), meter
        # what the wire can hold goes through it unchanged
        np.testing.assert_array_equal(decode(profile, encode(profile, value))[0], value)


def test_history_is_what_the_meters_showed(readings: Readings, site: Site) -> None:
    start, end = T0 + 20 * HOUR, T0 + 30 * HOUR
    days = list(readings.history_blocks(start, end))
    assert len(days) == 2  # cut at midnight UTC
    blocks = [block for day in days for block in day]
    assert all(len(block) <= FRAMES_MAX for block in blocks)
    assert {meter for block in blocks for meter in block.meters} == set(site.meters)
    for meter in site.meters:
        own = [block for block in blocks if block.meters == (meter,)]
        t_ns = np.concatenate([block.t_ns for block in own])
        assert np.all(np.diff(t_ns) > 0) and t_ns[0] >= start and t_ns[-1] < end
        if not readings.profile(meter).event:
            np.testing.assert_array_equal(t_ns, np.arange(start, end, 60 * 10**9))
    block = next(b for b in blocks if b.meters == ("tie-1-check",))
    shown = readings.reading_columns("tie-1-check", block.t_ns)
    np.testing.assert_allclose(block.value, shown, rtol=1e-6)


def test_history_taps_carry_the_ids_of_the_live_ones(readings: Readings) -> None:
    blocks = [b for day in readings.history_blocks(T0, T0 + DAY) for b in day if b.meters == ("scale-1",)]
    taps = readings.taps("scale-1", Span(T0, T0 + DAY))
    assert sum((block.event_ids for block in blocks), ()) == taps.event_ids
    weighed = np.concatenate([b.value[:, b.quantities.index("metal_tapped")] for b in blocks])
    np.testing.assert_array_equal(weighed, taps.weighed_kg)


def test_history_in_two_runs_is_the_same_as_in_one(readings: Readings) -> None:
    def flat(*spans: tuple[int, int]) -> list[tuple[str, int, float]]:
        blocks = [b for span in spans for day in readings.history_blocks(*span) for b in day]
        return sorted((b.meters[0], int(t), float(v)) for b in blocks for t, v in zip(b.t_ns, b.value[:, 0], strict=True))

    middle = T0 + 2 * HOUR + 17 * 10**9
    assert flat((T0, middle), (middle, T0 + 3 * HOUR)) == flat((T0, T0 + 3 * HOUR))
