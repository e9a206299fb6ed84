"""What a period says of its documents and rules, and of a part of it that holds no slot."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from analytics_plant import HEAD, NS, entry, meter_toml
from hypothesis import given
from hypothesis import strategies as st

from analytics.limits import PeriodKind, standing
from analytics.period import period_figures
from analytics.period_rows import Period
from analytics.table import Table
from plant import nodes
from plant.config import parse_site
from plant.ports import LedgerEntry
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, Span

DAY_NS = 86_400 * NS
SOME_DAY = date(2026, 11, 1)
KINDS: tuple[PeriodKind, ...] = ("interval", "day", "month", "year")
START = 1_793_462_400 * NS  # 2026-11-01 00:00 in Shanghai
RULES = parse_rules(shipped_rule_texts())
LINE = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "r", kind = "rectifier_group", bus = "b", potline = "l" },
]
potline = [{ id = "l", pots = [{ valid_from = 2020-01-01T00:00:00Z, running = 100 }] }]
"""


def _period(entries: list[LedgerEntry], settled_days: int = 10) -> Period:
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + LINE, "site")
    span = Span(START, START + 10 * DAY_NS)
    start_ns = span.bounds(QUARTER_NS)[:-1]
    complete = np.where(start_ns < START + settled_days * DAY_NS, 1.0, np.nan)
    columns = {
        nodes.PLANT: {"completeness": complete, "load_energy": 100 * complete},
        "flow:tie>load": {"flow_energy": 100 * complete},
    }
    rows = Table(QUARTER, start_ns, QUARTER_NS, columns)
    return Period(site, RULES, span, "day", rows, "provisional", entries)


def _taps(days: int) -> list[LedgerEntry]:
    return [entry("metal_tapped", "l", START + i * DAY_NS + 9 * 3600 * NS, 10_000) for i in range(days)]


@pytest.mark.parametrize(("tapped", "settled", "share"), [(10, 10, 1.0), (4, 10, 0.4), (4, 4, 1.0), (4, 5, 0.8)])
def test_taps_are_complete_by_the_days_that_have_one(tapped: int, settled: int, share: float) -> None:
    period = _period(_taps(tapped), settled)
    scale = period.site.potlines["l"].scale_class_percent
    found = period_figures(period).figures[nodes.line("l")]["metal_tapped"]
    assert found.value == (tapped * 10 if share >= 0.5 else None)
    missing = settled - min(tapped, settled)
    assert found.high == pytest.approx(tapped * 10 * (1 + scale / 100) + missing * 10)
    assert found.low == pytest.approx(tapped * 10 * (1 - scale / 100))
    assert (found.completeness, found.measured_share) == pytest.approx((share, share))
    assert (found.reason == "") == (share == 1)


def test_metal_names_the_rule_it_rests_on() -> None:
    found = period_figures(_period([]))
    rule = RULES.in_force("faraday-yield", _period([]).day)
    assert rule is not None
    assert rule.edition in found.editions


def test_a_part_without_a_slot_has_figures_without_values() -> None:
    part = _period([]).part(Span(START + 2 * 60 * NS, START + 10 * 60 * NS), "day")
    assert len(part.rows.start_ns) == 0
    found = period_figures(part)
    assert all(f.value is None for by in found.figures.values() for f in by.values())
    assert [(f.source, f.energy_kwh, f.power_kw) for f in found.flows] == [("tie", None, None)]


SUNNY = """
branch = [{ id = "pv", kind = "pv", bus = "b", capacity_kw = 100 }, { id = "tie", kind = "grid_tie", bus = "b" }]
"""
METERS = meter_toml("m-pv", 1, 'branch = "pv"') + meter_toml("m-tie", 2, 'branch = "tie"')


def _sunny(made: np.ndarray, bought: np.ndarray) -> Period:
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + SUNNY + METERS, "site")
    span = Span(START, START + len(made) * QUARTER_NS)
    load, zero = made + bought, np.where(np.isfinite(bought), 0.0, np.nan)
    sums = {
        "renewable_generation": made,
        "grid_import": bought,
        "load_energy": load,
        "green_to_load": np.minimum(made, load),
        **dict.fromkeys(("captive_generation", "storage_charge", "storage_discharge", "grid_export", "renewable_export"), zero),
    }
    share = {"measured_share": np.isfinite(load).astype(float)}
    rows = Table(QUARTER, span.bounds(QUARTER_NS)[:-1], QUARTER_NS, {nodes.PLANT: sums | share})
    return Period(site, RULES, span, "day", rows, "provisional")


@pytest.mark.parametrize("known", [96, 60, 2])
def test_a_residual_is_as_measured_as_the_meters_behind_it(known: int) -> None:
    seen = np.where(np.arange(96) < known, 1.0, np.nan)
    period = _sunny(10.0 * seen, np.zeros(96))
    for point in period.site.points:
        zero = {f"energy_{d}{e}": np.zeros(96) for d in ("import", "export") for e in ("", "_low", "_high")}
        moved = {f"energy_export{e}": 10.0 * seen for e in ("", "_low", "_high")}
        whole = {"measured_share": np.nan_to_num(seen), "flags": np.zeros(96)}
        period.rows.columns[nodes.point(point)] = zero | moved | whole
    period.rows.columns[nodes.bus("b")] = {"residual": 0.0 * seen}
    figures = period_figures(period)
    found = figures.figures[nodes.bus("b")]["residual"]
    assert found.measured_share == pytest.approx(known / 96)
    assert found.value == figures.residual_kwh["b"] == (0.0 if known > 48 else None)


def test_flows_say_how_much_of_them_was_measured() -> None:
    period = _period([], settled_days=8)
    period.rows.columns[nodes.PLANT]["measured_share"] = np.nan_to_num(period.rows.columns[nodes.PLANT]["completeness"])
    (flow,) = period_figures(period).flows
    assert (flow.completeness, flow.measured_share) == pytest.approx((0.8, 0.8))


@pytest.mark.parametrize(
    ("of", "held"),
    [("", {"year"}), ('green_share_target_period = "month"', {"month"}), ('green_share_target_period = "any"', set(KINDS))],
)
def test_a_target_is_one_of_the_periods_that_it_names(of: str, held: set[str]) -> None:
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + f"[accounting]\ngreen_share_target_percent = 10\n{of}\n", "site")
    found = {k for k in KINDS if standing(RULES, site, "green_share_physical", 9.0, 8.0, 9.5, SOME_DAY, k).status.get("target")}
    assert found == held


SLOT = st.one_of(st.just(math.nan), st.floats(0, 1000))


@given(st.lists(st.tuples(SLOT, SLOT), min_size=96, max_size=192))
def test_what_is_estimated_balances_and_no_more_than_the_load_is_green(slots: list[tuple[float, float]]) -> None:
    made, bought = np.array(slots).T
    period = _sunny(made, bought)
    load, sun, grid, green = (
        period_figures(period).figures[nodes.PLANT].get(name)
        for name in ("load_energy", "renewable_generation", "grid_import", "green_to_load")
    )
    if load is None or sun is None or grid is None or green is None:
        assert np.isnan(made + bought).all()
        return
    known = period.sum(nodes.PLANT, "load_energy")
    if known.value is None:
        return
    parts = [period.sum(nodes.PLANT, name).value for name in ("renewable_generation", "grid_import")]
    assert known.value == pytest.approx(sum(part or 0.0 for part in parts))
    assert green.high is not None
    assert known.high is not None
    assert green.high <= known.high
    assert green.value is None or load.value is None or 0 <= green.value <= load.value


def test_two_days_of_a_month_do_not_prove_the_load_of_the_month() -> None:
    day = np.maximum(np.sin(np.arange(96) / 96 * 2 * np.pi), 0) * 25
    made = np.concatenate([day, np.full(28 * 96, np.nan)])
    found = _sunny(made, np.where(np.isfinite(made), 0.0, np.nan)).sum(nodes.PLANT, "load_energy")
    assert found.value == pytest.approx(29 * day.sum())
    assert found.measured_share == pytest.approx(1 / 29)


def test_green_energy_is_no_more_than_a_load_that_meters_in_disagreement_make_small() -> None:
    period = _sunny(np.full(96, 10.0), np.concatenate([np.full(48, 0.0), np.full(48, -12.0)]))
    columns = period.rows.columns[nodes.PLANT]
    columns["green_to_load"] = np.clip(columns["load_energy"], 0.0, 10.0)
    found = period_figures(period).figures[nodes.PLANT]
    assert found["load_energy"].value == pytest.approx(48 * 8)
    assert found["green_to_load"].value == found["load_energy"].value


def test_a_band_holds_nothing_that_cannot_be() -> None:
    period = _sunny(np.full(96, 10.0), np.zeros(96))
    columns = period.rows.columns[nodes.PLANT]
    for name, half in (("load_energy", 15.0), ("green_to_load", 2.0), ("renewable_generation", 2.0), ("renewable_export", 1.0)):
        columns |= {f"{name}_low": columns[name] - half, f"{name}_high": columns[name] + half}
    found = period_figures(period).figures[nodes.PLANT]
    assert (found["load_energy"].low, found["load_energy"].value) == (0.0, 960.0)
    for name in ("green_share_physical", "pv_self_consumption"):
        low, value, high = found[name].low, found[name].value, found[name].high
        assert low is not None
        assert 0 <= low <= value == 100
        assert high in (None, 100)


@pytest.mark.parametrize(("complete", "reason"), [(0.7, "no interval was measured whole"), (0.0, "nothing was measured")])
def test_what_was_measured_in_part_is_not_called_unmeasured(complete: float, reason: str) -> None:
    period = _sunny(np.full(96, np.nan), np.zeros(96))
    columns = period.rows.columns[nodes.PLANT]
    columns |= {"completeness": np.full(96, complete), "load_energy_low": np.zeros(96), "load_energy_high": np.full(96, 50.0)}
    found = period_figures(period).figures[nodes.PLANT]["load_energy"]
    assert (found.value, found.high, found.reason) == (None, 96 * 50, reason)


def test_a_year_without_certificates_says_so() -> None:
    period = replace(_sunny(np.full(96, 10.0), np.zeros(96)), kind="year")
    without = period_figures(period).figures[nodes.PLANT]["certificate_ratio"]
    assert (without.value, without.reason) == (0.0, "no certificate cancelled for 2026 is in the ledger")
    data = {"type": "bought", "status": "cancelled", "quota_year": 2026}
    held = LedgerEntry("p", "certificate", "g", "gec", "plant", START, START, 1, "MWh", "Li", data=data)
    counted = period_figures(replace(period, entries=[held])).figures[nodes.PLANT]["certificate_ratio"]
    assert counted.reason == ""
    assert counted.value == pytest.approx(100 / 0.96)
