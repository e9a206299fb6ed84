"""The study of suspects over the rows of a plant: sections, groups, and what the engineer gets to mend."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from analytics.balance import Banded
from analytics.study import Material, Question, Studied, Wants
from analytics.suspects import STUDY
from analytics.suspects_equations import inflow, main_point
from analytics.table import Columns, Table, banded_columns
from plant import nodes
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, Span
from simulators.meter_faults import DAY, MeteredWeek, metered

RULES = parse_rules(shipped_rule_texts())


def _rows(week: MeteredWeek, flags: dict[str, np.ndarray] | None = None) -> Table:
    columns: dict[str, Columns] = {}
    m = len(next(iter(week.kwh.values())))
    one = np.ones(m)
    for point, kwh in week.kwh.items():
        off = week.site.points[point].mountings[-1].class_percent / 100
        both = {"energy_import": np.maximum(kwh, 0.0), "energy_export": np.maximum(-kwh, 0.0)}
        columns[nodes.point(point)] = {"completeness": one, "measured_share": one, "flags": 0 * one, "active_power": 4 * kwh}
        for name, value in both.items():
            columns[nodes.point(point)] |= banded_columns(name, Banded(value, value * (1 - off), value * (1 + off)))
        if flags and point in flags:
            columns[nodes.point(point)]["flags"] = flags[point]
    for bus in week.site.buses:
        best = np.zeros(m)
        half = np.zeros(m)
        for b in week.site.branches.values():
            point = main_point(week.site, b.id)
            if inflow(b, bus) and point is not None:
                best = best + inflow(b, bus) * week.kwh[point.id]
                half = half + np.abs(week.kwh[point.id]) * point.mountings[-1].class_percent / 100
        columns[nodes.bus(bus)] = banded_columns("residual", Banded(best, best - half, best + half)) | {"completeness": one}
    return Table(QUARTER, week.start_ns + np.arange(m, dtype=np.int64) * QUARTER_NS, QUARTER_NS, columns)


def _asked(week: MeteredWeek, rows: Table, last_days: int = 1) -> Studied:
    end_ns = int(rows.start_ns[-1]) + QUARTER_NS
    span = Span(end_ns - last_days * DAY * QUARTER_NS, end_ns)
    question = Question(week.site, RULES, "day", span, end_ns, end_ns)
    wants: Wants = STUDY.wants(question)
    assert wants.span == Span(week.start_ns, end_ns)  # a day alone tells too little
    return STUDY.compute(Material(question, wants.span, rows))


def _with(point: str, gain: float) -> MeteredWeek:
    week = metered(3)
    return replace(week, kwh=week.kwh | {point: week.kwh[point] * gain})


def test_the_suspect_comes_with_what_to_check_and_what_mends_it() -> None:
    week = _with("rect-1-2-ac", 2 / 3)
    studied = _asked(week, _rows(week))
    (suspect,) = studied.body["suspects"]
    assert (suspect["point"], suspect["meter"], suspect["kind"]) == ("rect-1-2-ac", "rect-1-2-ac", "ct_phase")
    assert suspect["factor"] == pytest.approx(2 / 3) and suspect["since_before_window"]
    assert suspect["shows_of_truth_low"] < 2 / 3 < suspect["shows_of_truth_high"]
    assert suspect["annotation"]["verdict"] == "wrong_ratio x1.5"
    assert suspect["annotation"]["from"] == "2026-11-01T00:00+08:00" and suspect["annotation"]["to"] == "2026-11-08T00:00+08:00"
    assert suspect["confidence"] == 0.999
    assert json.loads(json.dumps(studied.body))["ranked"][0]["shows_of_truth"] == suspect["shows_of_truth"]
    # a third of the truth is missing of the day asked about: half of what was shown
    shown = week.kwh["rect-1-2-ac"][-DAY:].sum()
    figure = studied.figures["point:rect-1-2-ac"]["suspect_energy"]
    assert figure.value == suspect["misread_kwh"] == pytest.approx(-shown / 2, rel=0.03)
    assert figure.low is not None and figure.high is not None and figure.low < -shown / 2 < figure.high
    assert studied.figures["plant"]["suspect_meters"].value == 1.0
    section = next(s for s in studied.body["sections"] if s["node"] == "bus:bus-1")
    assert section["beyond_kwh"] > 0
    group = next(g for g in studied.body["groups"] if g["node"] == "branch:rect-1-2")
    assert group["beyond"] and group["dc_of_ac"] == pytest.approx(1.47, abs=0.02)


def test_a_plant_in_order_has_no_suspect_and_nothing_beyond() -> None:
    week = metered(3)
    studied = _asked(week, _rows(week))
    assert studied.body["suspects"] == []
    assert studied.figures["plant"]["suspect_meters"].value == 0.0
    assert [s["beyond_kwh"] for s in studied.body["sections"]] == [0.0, 0.0]
    assert not any(g["beyond"] for g in studied.body["groups"])


def test_slots_that_are_estimated_accuse_nobody() -> None:
    week = metered(3)
    wrong = week.kwh["pv-1-inverter"] * np.where(np.arange(7 * DAY) >= 400, 0.5, 1.0)
    spread = np.where(np.arange(7 * DAY) >= 400, 18.0, 0.0)  # a gap over which a difference is spread
    week = replace(week, kwh=week.kwh | {"pv-1-inverter": wrong})
    assert _asked(week, _rows(week, {"pv-1-inverter": spread})).body["suspects"] == []
    assert _asked(week, _rows(week)).body["suspects"][0]["point"] == "pv-1-inverter"


def test_too_little_measured_is_said() -> None:
    week = metered(3)
    rows = _rows(week, {p: np.full(7 * DAY, 17.0) for p in week.kwh})
    studied = _asked(week, rows)
    assert studied.body["reason"] == "0 intervals were measured, 96 are needed to compare meters"
    assert studied.figures["plant"]["suspect_meters"].value is None


def test_a_section_with_a_branch_without_a_meter_has_no_balance() -> None:
    week = _with("fume-1-meter", 0.5)
    points = {k: p for k, p in week.site.points.items() if p.branch != "desulphurisation"}
    week = replace(week, site=replace(week.site, points=points), kwh={p: week.kwh[p] for p in points})
    studied = _asked(week, _rows(week))
    section = next(s for s in studied.body["sections"] if s["node"] == "bus:bus-1")
    assert section["without_meter"] == ["desulphurisation"] and section["beyond_kwh"] is None
    assert studied.body["suspects"] == []
