"""What must not change, or must change alike, when a plant is told in another way: readings to figures, the shipped path."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.attribution import attribute
from analytics.counters import F64
from analytics.figures import PeriodFigures
from plant.indicators import INDICATORS
from plant.series import Span
from potwatt.selftest.truth_store import ArrayStore
from tests.analytics_plant import NS, meter_toml, small_plant

START = 1_780_272_000 * NS  # 08:00 in Shanghai
MINUTES = 6 * 60
DAY_NS = 86_400 * NS
QUANTITIES = ("active_power", "energy_import", "energy_export")


@dataclass(frozen=True, slots=True)
class Feed:
    """A branch with one meter, and its power in kW by minute, plant's sign."""

    id: str
    kind: str
    power_kw: F64
    extra: str = ""


def _minutes() -> F64:
    return np.arange(MINUTES + 30, dtype=np.float64)


def _plant() -> list[Feed]:
    t = _minutes()
    sun = -np.clip(900.0 * np.sin(t / 200.0) + 40.0 * np.sin(t / 7.0), 0.0, None)
    mill = 700.0 + 50.0 * np.sin(t / 30.0)
    store = np.where(t < 150, 120.0, np.where(t < 270, -90.0, 0.0))
    need = sun + mill + store
    return [
        Feed("tie-1", "grid_tie", 0.6 * need),
        Feed("tie-2", "grid_tie", 0.4 * need),
        Feed("sun", "pv", sun, ", capacity_kw = 1000"),
        Feed("store", "storage", store, ", capacity_kw = 200, capacity_kwh = 600, efficiency = 0.9"),
        Feed("mill", "feeder", mill),
    ]


def figures(feeds: Sequence[Feed], shift_ns: int = 0, more: str = "") -> PeriodFigures:
    """Figures of six hours of a plant of these feeds."""
    return asyncio.run(_figures(feeds, shift_ns, more))


async def _figures(feeds: Sequence[Feed], shift_ns: int, more: str) -> PeriodFigures:
    branches = "".join(f'[[branch]]\nid = "{f.id}"\nkind = "{f.kind}"\nbus = "b"{_lines(f.extra)}\n' for f in feeds)
    meters = "".join(meter_toml(f.id, i + 1, f'branch = "{f.id}", rated_power_kw = 10000') for i, f in enumerate(feeds))
    span = Span(START + shift_ns, START + shift_ns + MINUTES * 60 * NS)
    store = ArrayStore("p", Span(span.start_ns - DAY_NS, span.end_ns + DAY_NS))
    known = dict.fromkeys([f.id for f in feeds], QUANTITIES)
    t_ns = span.start_ns + (_minutes() * 60).astype(np.int64) * NS
    with tempfile.TemporaryDirectory() as folder:
        async with small_plant(Path(folder), branches + meters + more, int(t_ns[-1]), known, store=store) as plant:
            for feed in feeds:
                up, down = np.maximum(feed.power_kw, 0.0), np.maximum(-feed.power_kw, 0.0)
                imported, exported = (np.concatenate([[0.0], np.cumsum(p[:-1] / 60.0)]) for p in (up, down))
                await plant.feed(feed.id, t_ns, active_power=feed.power_kw, energy_import=imported, energy_export=exported)
            plant.clock.t_ns = int(t_ns[-1]) + 3600 * NS
            await plant.work()
            return await plant.analytics.figures(span)


def _lines(extra: str) -> str:
    return extra.replace(", ", "\n")


def _values(found: PeriodFigures, node: str = "plant") -> Mapping[str, tuple[float | None, float | None, float | None]]:
    return {name: (f.value, f.low, f.high) for name, f in found.figures[node].items()}


def _same(one: PeriodFigures, other: PeriodFigures, besides: Sequence[str] = ()) -> None:
    first, second = _values(one), _values(other)
    assert first.keys() == second.keys()
    assert first["load_energy"][0]
    for name in first.keys() - besides:
        assert first[name] == pytest.approx(second[name], rel=1e-9, abs=1e-6), name


@pytest.fixture(scope="module")
def told() -> PeriodFigures:
    return figures(_plant())


@pytest.mark.parametrize("k", [0.25, 3.0])
def test_scaling_every_meter_scales_energies_and_leaves_ratios(told: PeriodFigures, k: float) -> None:
    feeds = [replace(f, power_kw=f.power_kw * k, extra=f.extra.replace("600", str(600 * k))) for f in _plant()]
    scaled = figures(feeds)
    for name, (value, _, _) in _values(told).items():
        factor = {"kWh": k, "kW": k, "t": k, "%": 1.0}.get(INDICATORS[name].unit)
        if factor is None:  # a count of incidents, or a price
            continue
        wanted = None if value is None else value * factor
        assert scaled.figures["plant"][name].value == pytest.approx(wanted, rel=1e-9, abs=1e-6), name


def test_a_load_on_two_meters_is_the_load_on_one(told: PeriodFigures) -> None:
    *others, mill = _plant()
    parts = [replace(mill, id=f"mill-{i}", power_kw=mill.power_kw * share) for i, share in enumerate((0.3, 0.7))]
    split = figures([*others, *parts])
    _same(told, split, besides=("network_loss", "network_loss_share"))  # its band rests on the meters of the loads
    assert split.residual_kwh["b"] == pytest.approx(told.residual_kwh["b"], abs=1e-6)
    whole, halves = told.figures["bus:b"]["residual"], split.figures["bus:b"]["residual"]
    assert whole.high is not None and halves.high is not None
    assert halves.high < whole.high, "two meters that err independently leave less open than one"


def test_the_order_in_the_site_file_says_nothing(told: PeriodFigures) -> None:
    _same(told, figures(_plant()[::-1]))


def test_a_meter_that_shows_nothing_changes_no_figure(told: PeriodFigures) -> None:
    _same(told, figures([*_plant(), Feed("spare", "feeder", np.zeros(MINUTES + 30))]))


def test_a_check_meter_that_never_speaks_changes_no_figure(told: PeriodFigures) -> None:
    silent = meter_toml("mute", 90, 'branch = "tie-1", rank = "check", rated_power_kw = 10000')
    _same(told, figures(_plant(), more=silent))


def test_whole_days_later_is_the_same_where_clocks_do_not_change(told: PeriodFigures) -> None:
    _same(told, figures(_plant(), shift_ns=5 * DAY_NS))


@pytest.mark.parametrize("rule", ["proportional", "renewable_first"])
def test_transit_between_ties_is_no_load_and_no_sun(rule: str) -> None:
    """By the proportional rule what passes through takes its part of the mix along; by the other it gets what is left."""
    chosen = f'[accounting]\nattribution = "{rule}"\n'
    first, second, *others = _plant()
    through = [replace(first, power_kw=first.power_kw + 2_000.0), replace(second, power_kw=second.power_kw - 2_000.0)]
    before, after = (figures(feeds, more=chosen).figures["plant"] for feeds in (_plant(), [*through, *others]))
    assert after["load_energy"].value == pytest.approx(before["load_energy"].value, rel=1e-9)
    now, then = after["green_to_load"].value, before["green_to_load"].value
    assert now is not None and then is not None
    if rule == "renewable_first":
        assert after["green_share_physical"].value == pytest.approx(before["green_share_physical"].value, rel=1e-9)
    else:
        assert now < then


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(0.0, 1e4)] * 4), min_size=4, max_size=24), st.sampled_from([2, 4, 12]))
def test_coarser_matching_never_lowers_the_matched_energy(rows: list[tuple[float, ...]], group: int) -> None:
    """Renewable first, without a battery: over longer intervals sun of one hour may stand for load of another."""
    n = len(rows) // group * group
    sun, grid, load, export = np.array(rows[:n]).reshape(n, 4).T
    fine, coarse = (_matched(*(x.reshape(-1, g).sum(axis=1) for x in (sun, grid, load, export))) for g in (1, group))
    assert coarse >= fine - 1e-6 * (1.0 + fine)
    assert 0.0 <= coarse <= load.sum() + 1e-6


def _matched(sun: F64, grid: F64, load: F64, export: F64) -> float:
    flows = attribute(
        np.array([sun, grid]), np.array([True, False]), np.array([load, export]), ("load", "export"), "renewable_first"
    )
    return float(np.minimum(flows[0, 0], load).sum())
