"""Invariants of intervals, attribution and storage origin."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.attribution import attribute
from analytics.counters import F64, I64
from analytics.intervals import MeteredPoint, PointIntervals, point_intervals
from analytics.storage_origin import Pool
from plant.series import Series
from plant.site import Branch, MeteringPoint, Mounting

NS = 1_000_000_000
TIERS = ("load", "charge", "export")
energies = st.lists(st.floats(0, 1e6), min_size=3, max_size=3)


def _series(t_ns: I64, value: F64) -> Series:
    return Series(t_ns, value, np.zeros(len(t_ns), np.int16))


def _intervals(
    t_ns: I64, register: F64, power: F64 | None, bounds: I64, ratio: float = 1.0, direction: int = 1
) -> PointIntervals:
    point = MeteringPoint("p", "b", "main", "ac", 0.0, (Mounting("m", 0, direction, ratio, class_percent=0.0),))
    metered = MeteredPoint(point, Branch("b", "grid_tie", "x", "", ""), {"m": 1.0}, 900.0)
    readings = {("m", "energy_import"): _series(t_ns, register), ("m", "energy_export"): _series(t_ns, np.zeros(len(t_ns)))}
    if power is not None:
        readings["m", "active_power"] = _series(t_ns, power)
    return point_intervals(metered, readings, [bounds], lambda _m, _q: None)[0]


@st.composite
def registers(draw: st.DrawFn) -> tuple[I64, F64, F64]:
    """Irregular readings of a growing register, with powers that need not agree with it."""
    n = draw(st.integers(3, 60))
    gaps = draw(st.lists(st.integers(1, 3_000), min_size=n - 1, max_size=n - 1))
    gains = draw(st.lists(st.floats(0, 1e4), min_size=n - 1, max_size=n - 1))
    powers = draw(st.lists(st.floats(0, 1e5), min_size=n, max_size=n))
    t_ns = np.concatenate([[0], np.cumsum(gaps)]).astype(np.int64) * NS
    return t_ns, 1e6 + np.concatenate([[0.0], np.cumsum(gains)]), np.array(powers)


@settings(max_examples=60, deadline=None)
@given(registers(), st.booleans(), st.integers(7, 900))
def test_intervals_add_up_to_the_register(drawn: tuple[I64, F64, F64], with_power: bool, step_s: int) -> None:
    t_ns, register, power = drawn
    inner = np.arange(t_ns[0], t_ns[-1], step_s * NS, dtype=np.int64)
    bounds = np.concatenate([inner, t_ns[-1:]])
    # a power that never reaches what the register gains would contradict it
    power = power + (np.diff(register) / np.diff(t_ns)).max() * 3600 * NS
    found = _intervals(t_ns, register, power if with_power else None, bounds)
    assert abs(found.energy_import.sum() - (register[-1] - register[0])) <= 1e-9 * register[-1]
    assert (found.energy_import >= -1e-6).all()
    assert (found.energy_import_low <= found.energy_import + 1e-6).all()
    assert (found.energy_import <= np.nan_to_num(found.energy_import_high, nan=np.inf) + 1e-6).all()


@settings(max_examples=40, deadline=None)
@given(registers(), st.floats(0.1, 5_000))
def test_scaling_a_meter_scales_its_energy(drawn: tuple[I64, F64, F64], ratio: float) -> None:
    t_ns, register, power = drawn
    bounds = np.linspace(t_ns[0], t_ns[-1], 9).astype(np.int64)
    plain, scaled = (_intervals(t_ns, register, power, bounds, r).energy_import for r in (1.0, ratio))
    np.testing.assert_allclose(scaled, plain * ratio, rtol=1e-6, atol=1e-3 * ratio)


@settings(max_examples=40, deadline=None)
@given(registers())
def test_a_reversed_mounting_swaps_the_directions(drawn: tuple[I64, F64, F64]) -> None:
    t_ns, register, power = drawn
    bounds = np.linspace(t_ns[0], t_ns[-1], 9).astype(np.int64)
    forward, reverse = (_intervals(t_ns, register, power, bounds, direction=d) for d in (1, -1))
    np.testing.assert_array_equal(forward.energy_import, reverse.energy_export)
    np.testing.assert_allclose(forward.active_power, -reverse.active_power)


@given(energies, energies, st.sampled_from(["proportional", "renewable_first"]))
def test_each_kwh_has_one_owner(given_kwh: list[float], split: list[float], rule: str) -> None:
    sources = np.array(given_kwh)[:, None]
    weight = np.array(split) + 1e-3
    sinks = (sources.sum() * weight / weight.sum())[:, None]
    flows = attribute(sources, np.array([True, False, False]), sinks, TIERS, rule)  # type: ignore[arg-type]
    np.testing.assert_allclose(flows.sum(axis=(1, 2)), sources[:, 0], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(flows.sum(axis=(0, 2)), sinks[:, 0], rtol=1e-6, atol=1e-5)
    matched = flows[0, 0, 0]
    assert 0 <= matched <= sinks[0, 0] * (1 + 1e-9) + 1e-6


@given(energies, energies, st.floats(0.1, 0.9), st.sampled_from(["proportional", "renewable_first"]))
def test_splitting_or_reordering_meters_changes_nothing(g: list[float], split: list[float], part: float, rule: str) -> None:
    sources, weight = np.array(g), np.array(split) + 1e-3
    sinks = (sources.sum() * weight / weight.sum())[:, None]
    whole = attribute(sources[:, None], np.array([True, False, False]), sinks, TIERS, rule)  # type: ignore[arg-type]
    parts = np.array([sources[2], sources[1], sources[0] * part, sources[0] * (1 - part)])[:, None]
    flows = attribute(parts, np.array([False, False, True, True]), sinks, TIERS, rule)  # type: ignore[arg-type]
    np.testing.assert_allclose(flows[2:].sum(axis=0), whole[0], rtol=1e-6, atol=1e-5)


@given(st.lists(st.tuples(energies, st.floats(0, 1e6)), max_size=30), st.floats(0.5, 1.0), st.floats(0, 1e6))
def test_a_battery_never_creates_green_energy(steps: list[tuple[list[float], float]], efficiency: float, capacity: float) -> None:
    pool, charged, discharged = Pool.initial(capacity), 0.0, 0.0
    for (green, grid, captive), discharge in steps:
        mix = pool.discharge_mix(discharge)
        assert abs(mix.sum() - 1) < 1e-9
        discharged += float(mix[0]) * discharge
        pool = pool.after(np.array([green, grid, captive, 0.0]), discharge, efficiency, capacity)
        charged += green * efficiency
        assert discharged + pool.content_kwh[0] <= charged * (1 + 1e-9) + 1e-6


@given(st.lists(st.floats(0, 30), min_size=8, max_size=8))
def test_coarser_matching_never_lowers_the_matched_share(sun: list[float]) -> None:
    def matched(group: int) -> float:
        made, load = np.array(sun).reshape(-1, group).sum(axis=1), np.full(8 // group, 10.0 * group)
        grid, export = np.maximum(load - made, 0), np.maximum(made - load, 0)
        flows = attribute(
            np.array([made, grid]), np.array([True, False]), np.array([load, export]), ("load", "export"), "proportional"
        )
        return float(flows[0, 0].sum())

    assert matched(1) <= matched(2) + 1e-9
    assert matched(2) <= matched(8) + 1e-9
