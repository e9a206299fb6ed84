"""Alerts on running periods and on certificates: what raises them, what ends them, and what is no reason for either."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from api_sample import demo_site

from alerts import texts
from alerts.engine import Condition, Notice
from alerts.rules import COMPLETENESS, E1_BASELINE, EFFECTS, EFFICIENCY, ENDING, GAP, Watch, watches
from alerts.running import certificate_watches, running_watches
from analytics.study import Studied
from plant.indicators import Figure
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.site import Site

SITE = demo_site()
RULEBOOK = parse_rules(shipped_rule_texts())
LINE = "line:line-1"


def _at(month: int) -> int:
    return round(datetime(2026, month, 20, 9, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * 10**9


def _figure(indicator: str, value: float | None, width: float = 0.0, completeness: float = 1.0) -> Figure:
    low, high = (None, None) if value is None else (value - width, value + width)
    return Figure(indicator, value, low, high, completeness, completeness)


def _one(found: list[Watch], rule: str, subject: str) -> Watch:
    (watch,) = [w for w in found if (w.rule, w.subject) == (rule, subject)]
    for language in ("en", "zh"):
        assert texts.title(watch, Notice("raised", 0, 0), language)
        assert texts.body(watch, Notice("raised", 0, 0), SITE.calendar, language)
    return watch


@pytest.mark.parametrize(
    ("completeness", "condition"),
    [(0.90, Condition.BREACHED), (0.952, Condition.BETWEEN), (0.99, Condition.CLEAR)],
)
def test_completeness_is_held_against_the_least_wanted(completeness: float, condition: Condition) -> None:
    figures = {"plant": {"load_energy": _figure("load_energy", 1.0, completeness=completeness)}}
    watch = _one(list(running_watches(SITE, figures, {})), COMPLETENESS, "plant")
    assert watch.condition is condition
    assert (watch.limit, watch.unit) == (95.0, "%")
    assert watch.sample.value == pytest.approx(100 * completeness)


@pytest.mark.parametrize(
    ("value", "width", "condition"),
    [(91.0, 0.5, Condition.BREACHED), (91.8, 0.5, Condition.BETWEEN), (93.0, 0.5, Condition.CLEAR), (None, 0, Condition.BETWEEN)],
)
def test_current_efficiency_is_low_when_its_whole_band_is(value: float | None, width: float, condition: Condition) -> None:
    month = {LINE: {"current_efficiency": _figure("current_efficiency", value, width)}}
    assert _one(list(running_watches(SITE, {}, month)), EFFICIENCY, LINE).condition is condition


def test_anode_effects_are_watched_against_a_limit_of_the_plant_alone() -> None:
    day = {LINE: {"anode_effect_minutes": _figure("anode_effect_minutes", 0.4)}}
    unlimited: Site = replace(SITE, alerts=replace(SITE.alerts, anode_effect_minutes_max=None))
    assert [w for w in running_watches(unlimited, day, {}) if w.rule == EFFECTS] == []
    limited: Site = replace(SITE, alerts=replace(SITE.alerts, anode_effect_minutes_max=0.3))
    watch = _one(list(running_watches(limited, day, {})), EFFECTS, LINE)
    assert watch.condition is Condition.BREACHED
    assert "0.40 min/pot-day" in texts.body(watch, Notice("raised", 0, 0), SITE.calendar, "en")


def _answer(expiring: list[dict[str, Any]], gap: Figure, target: dict[str, Any] | None) -> Studied:
    return Studied({"plant": {"certificate_gap": gap}}, {"expiring": expiring, "target": target})


def test_certificates_that_end_soon_are_counted_and_an_answer_not_yet_there_decides_nothing() -> None:
    gap = _figure("certificate_gap", None)
    soon = _answer([{"mwh": 120}, {"mwh": 30}], gap, None)
    watch = _one(list(certificate_watches(SITE, soon, _at(6))), ENDING, "plant")
    assert (watch.condition, watch.sample.value) == (Condition.BREACHED, 150.0)
    assert _one(list(certificate_watches(SITE, _answer([], gap, None), _at(6))), ENDING, "plant").condition is Condition.CLEAR
    assert {w.condition for w in certificate_watches(SITE, None, _at(11))} == {Condition.BETWEEN}


def test_a_gap_is_told_in_the_last_quarter_as_far_as_it_is_proven() -> None:
    target = {"percent": "25.2"}
    open_gap = Figure("certificate_gap", None, 400.0, 900.0, 0.4, 0.3)
    assert [w.rule for w in certificate_watches(SITE, _answer([], open_gap, target), _at(9))] == [ENDING]
    watch = _one(list(certificate_watches(SITE, _answer([], open_gap, target), _at(10))), GAP, "plant")
    assert (watch.condition, watch.sample.value) == (Condition.BREACHED, 400.0)
    surplus = Figure("certificate_gap", -20.0, -25.0, -15.0, 1.0, 1.0)
    assert _one(list(certificate_watches(SITE, _answer([], surplus, target), _at(12))), GAP, "plant").condition is Condition.CLEAR
    assert [w.rule for w in certificate_watches(SITE, _answer([], open_gap, None), _at(10))] == [ENDING]


@pytest.mark.parametrize(("e1", "condition"), [(13_400.0, Condition.BREACHED), (13_200.0, Condition.CLEAR)])
def test_the_baseline_is_a_second_level_above_the_benchmark(e1: float, condition: Condition) -> None:
    figures = {LINE: {"specific_energy_e1": _figure("specific_energy_e1", e1, 20.0)}}
    found, _ = watches(SITE, RULEBOOK, figures, {}, _at(11))
    watch = _one(found, E1_BASELINE, LINE)
    assert (watch.condition, watch.limit) == (condition, 13_350.0)
