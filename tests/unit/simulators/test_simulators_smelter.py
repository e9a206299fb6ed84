"""The truth: it balances, it is the same in any order of asking, and it looks like a smelter."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import simulators
from plant.series import Span
from simulators.parameters import BUS_OF
from simulators.pv import clear_sky, solar_angles
from simulators.smelter import SmelterModel
from simulators.truth import Truth

T0 = 1_793_404_800_000_000_000
HOUR = 3600 * 10**9
DAY = 24 * HOUR
TWO_DAYS = T0 + np.arange(0, 2 * DAY, 37 * 10**9, dtype=np.int64)


def test_every_bus_balances_at_every_instant(model: SmelterModel) -> None:
    state = model.state(TWO_DAYS)
    for bus in (1, 2):
        drawn = sum(state[name] for name, at in BUS_OF.items() if at == bus and not name.startswith("tie"))
        drawn = drawn + state[f"loss-{bus}"] + (state["unmetered"] if bus == 2 else 0.0)
        coupler = state["coupler"] if bus == 1 else -state["coupler"]
        assert np.max(np.abs(state[f"tie-{bus}"] - drawn - coupler)) < 1e-6


def test_energies_balance_over_a_span_too(truth: Truth) -> None:
    span = Span(T0 + 1234 * 10**9, T0 + DAY + 77 * 10**9)
    net = {name: truth.energy_kwh(name, span) for name in (*BUS_OF, "loss-1", "loss-2", "unmetered")}
    ties = net.pop("tie-1") + net.pop("tie-2")
    assert ties == pytest.approx(sum(net.values()), rel=1e-9)


def test_random_access_equals_sequential(model: SmelterModel) -> None:
    whole, whole_energy = model.state(TWO_DAYS), model.integrals(TWO_DAYS)[0]
    fresh = SmelterModel(11, T0)
    shuffled = np.random.default_rng(1).permutation(len(TWO_DAYS))[:200]
    for row in shuffled[:20]:
        single = fresh.state(TWO_DAYS[row : row + 1])
        np.testing.assert_array_equal(single.value[0], whole.value[row])
    np.testing.assert_allclose(fresh.integrals(TWO_DAYS[shuffled])[0].value, whole_energy.value[shuffled], rtol=1e-12, atol=1e-9)


def test_threads_may_ask_at_the_same_time() -> None:
    alone, shared = SmelterModel(11, T0), SmelterModel(11, T0)
    days = [T0 + day * DAY + np.arange(0, DAY, HOUR, dtype=np.int64) for day in range(-30, 30)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda t_ns: shared.integrals(t_ns)[0].value, days))
    for t_ns, value in zip(days, together, strict=True):
        np.testing.assert_allclose(value, alone.integrals(t_ns)[0].value, rtol=1e-12, atol=1e-6)


def test_energy_is_the_integral_of_power(model: SmelterModel) -> None:
    t_ns = T0 + np.arange(0, 6 * HOUR + 1, 10**9, dtype=np.int64)
    positive, negative = model.integrals(t_ns)
    power = model.state(t_ns)
    for name in ("tie-1", "tie-2", "pv-1", "battery", "rect-2-1", "dc-rect-1-1"):
        p = power[name]
        trapezoid = np.sum(p[1:] + p[:-1]) / 2.0 / 3600.0
        net = (positive[name][-1] - positive[name][0]) - (negative[name][-1] - negative[name][0])
        assert net == pytest.approx(trapezoid, rel=1e-7, abs=1e-6)


def test_integrals_never_fall_before_and_after_the_epoch(model: SmelterModel) -> None:
    t_ns = T0 - 2 * DAY + np.arange(0, 4 * DAY, 53 * 10**9, dtype=np.int64)
    for columns in model.integrals(t_ns):
        assert np.min(np.diff(columns.value, axis=0)) >= -1e-9
    at_epoch = model.integrals(np.array([T0]))
    assert np.all(at_epoch[0].value == 0.0) and np.all(at_epoch[1].value == 0.0)


def test_seeds_differ_and_repeat() -> None:
    t_ns = np.array([T0 + 5 * HOUR])
    first, second = SmelterModel(1).state(t_ns), SmelterModel(2).state(t_ns)
    assert first["rect-1-1"][0] != second["rect-1-1"][0]
    np.testing.assert_array_equal(first.value, SmelterModel(1).state(t_ns).value)


def test_the_battery_closes_its_day_and_loses_some(truth: Truth, model: SmelterModel) -> None:
    local_midnight = T0 + 16 * HOUR
    soc = model.state(local_midnight + np.arange(0, 3 * DAY, 60 * 10**9, dtype=np.int64))["soc"]
    assert soc.min() >= 10.0 - 1e-9 and soc.max() <= 90.0 + 1e-6
    assert truth.state_of_charge_percent(local_midnight) == pytest.approx(10.0)
    energy = truth.energy("battery", Span(local_midnight, local_midnight + DAY))
    standby = model.parameters.battery.standby_kw * 24.0
    assert 0.86 < energy.export_kwh / (energy.import_kwh - standby) < 0.94


def test_the_sun_stands_where_almanacs_say() -> None:
    # 2026-06-21: declination 23.43 deg; local solar noon at 106.7 E is 12:53 + 1.8 min by Beijing time
    june = np.array([1_782_000_000_000_000_000 + round(4.914 * HOUR)])
    declination, hour_angle = solar_angles(june)
    assert np.degrees(declination[0]) == pytest.approx(23.43, abs=0.1)
    assert np.degrees(hour_angle[0]) == pytest.approx(0.0, abs=0.5)
    noon = sum(clear_sky(june, 0.0))[0]
    assert 950.0 < noon < 1120.0
    assert sum(clear_sky(june + 12 * HOUR, 22.0))[0] == 0.0


def test_the_lines_stand_around_the_benchmark(truth: Truth) -> None:
    month = Span(T0, T0 + 30 * DAY)
    assert 12_800.0 < truth.specific_energy_e1_kwh_per_t("line-1", month) < 13_000.0
    assert 13_000.0 < truth.specific_energy_e1_kwh_per_t("line-2", month) < 13_350.0
    assert 5.0 < truth.green_share_physical_percent(month) < 30.0


def test_simulators_import_nothing_of_the_analytics() -> None:
    files = sorted(Path(simulators.__file__).parent.glob("*.py"))
    assert len(files) > 10
    for file in files:
        tree = ast.parse(file.read_text("utf-8"))
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not [m for m in modules if m.split(".")[0] in ("analytics", "storage", "collector", "api", "alerts", "potwatt")]
