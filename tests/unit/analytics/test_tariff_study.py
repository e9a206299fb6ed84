"""The tiered price of a year: projection, accrual by month, closed months, units, what is left to the next step."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from analytics.metal import Fit, Fits
from analytics.report import plan
from analytics.study import Material, Question, Studied
from analytics.table import Table
from analytics.tariff_projection import Rest
from analytics.tariff_study import STUDY, compute, wants
from plant import nodes
from plant.config import parse_site
from plant.ports import ReportVersion
from plant.rulebook import Rulebook, parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, Span
from plant.site import Site

SITE = """
plant = { id = "p", name = { en = "P" }, zone = "Asia/Shanghai", province = "guizhou" }
bus = [{ id = "b" }]
branch = [{ id = "tie", kind = "grid_tie", bus = "b" }, { id = "sun", kind = "pv", bus = "b", capacity_kw = 1000 }]
[[potline]]
id = "one"
name = { en = "One" }
current_efficiency_ref = 0.93
pots = [{ valid_from = 2020-01-01T00:00:00+08:00, running = 100 }]
[[potline]]
id = "two"
name = { en = "Two" }
current_efficiency_ref = 0.93
pots = [{ valid_from = 2020-01-01T00:00:00+08:00, running = 100 }]
"""
INCENTIVE = """
[[rule]]
id = "non-hydro-incentive"
kind = "factor"
indicator = "tariff_adder"
boundary = "weight"
period = "year"
scope = "guizhou"
value = "14"
unit = "%"
valid_from = 2025-01-01
published = 2025-07-01
document = "of this test"
sure = "B"
placeholder = true
"""
METAL_T = 2.0  # of a line in a quarter of an hour


def site(more: str = "") -> Site:
    return parse_site(SITE + more, "site.toml")


def material(
    period: str,
    per_tonne: dict[str, float],
    more: str = "",
    until: date | None = None,
    rules: Rulebook | None = None,
    reports: dict[tuple[str, str], list[ReportVersion]] | None = None,
) -> Material:
    """Rows of lines that make ``METAL_T`` each quarter of an hour at the energy per tonne given, with a band of 0.1 %."""
    there = site(more)
    kind = "month" if len(period) == 7 else "year"
    planned = plan(there.calendar, kind, period)
    settled = planned.span.end_ns if until is None else there.calendar.instant_ns(until)
    question = Question(there, rules or parse_rules(shipped_rule_texts()), planned.kind, planned.span, settled, settled)
    asked = wants(question)
    span = Span(asked.span.start_ns, min(asked.span.end_ns, settled))
    start_ns = span.bounds(QUARTER_NS)[:-1]
    one = np.ones(len(start_ns))
    columns = {}
    for node, specific, metal in (
        *((nodes.line(name), value, METAL_T) for name, value in per_tonne.items()),
        (nodes.PLANT, float(np.mean(list(per_tonne.values()))), METAL_T * len(per_tonne)),
    ):
        energy = specific * metal * one
        both = {"comprehensive_energy": energy + 10 * metal, "comprehensive_energy_tariff": energy, "load_energy": energy * 1.1}
        columns[node] = {f"{n}{e}": v * f for n, v in both.items() for e, f in (("", 1), ("_low", 0.999), ("_high", 1.001))}
        columns[node] |= {f"green_to_load{e}": 0.2 * energy * 1.1 for e in ("", "_low", "_high")}
        columns[node] |= {"metal_produced": metal * one, "current_efficiency": 93 * one}
        columns[node] |= {"completeness": one, "measured_share": one}
    columns["flow:tie>load"] = {"flow_energy": 0.8 * columns[nodes.PLANT]["load_energy"]}
    # weighed over the whole year: no more than 0.1 % of the metal is uncertain
    fits = Fits((0,), (Fit(0.93, 0.00093, "weighed"),))
    efficiency = dict.fromkeys(there.potlines, fits)
    return Material(question, span, Table(QUARTER, start_ns, QUARTER_NS, columns), (), (), {}, efficiency, reports or {})


def figure(found: Studied, name: str, node: str = nodes.PLANT) -> tuple[float | None, float | None, float | None]:
    f = found.figures[node][name]
    return f.value, f.low, f.high


def test_a_year_that_is_over_is_its_own_projection() -> None:
    found = compute(material("2025", {"one": 13340.0, "two": 13350.0}))
    # 13 345 kWh/t: 45 / 20 starts the third step; the band of energy and metal (0.1 % each, lines independent) is 1 to 4 steps
    value, low, high = figure(found, "specific_energy_projected")
    assert value == pytest.approx(13345)
    half = 13345 * np.hypot(0.001, 0.001 / np.sqrt(2))
    assert low == pytest.approx(13345 - half, rel=1e-5)
    assert high == pytest.approx(13345 + half, rel=1e-5)
    assert figure(found, "tariff_steps") == (3, 2, 4)
    metal_t = 365 * 96 * 2 * METAL_T
    body = found.body["units"][nodes.PLANT]
    assert body["metal_to_date_kg"] == round(metal_t * 1000)
    assert body["energy_to_date_kwh"] == round(metal_t * 13345)
    # the working definition lets desulphurisation (10 kWh/t) pay too
    assert Decimal(body["surcharge_to_date_yuan"]) == Decimal("0.03") * round(metal_t * 13355)
    assert figure(found, "tariff_surcharge_year")[0] == pytest.approx(0.03 * metal_t * 13355)
    assert figure(found, "tariff_next_step_down")[0] == pytest.approx(5)
    assert "tariff_next_step_down_daily" not in found.figures[nodes.PLANT]


def test_the_limit_of_the_year_is_held_against_the_indicator_it_names() -> None:
    figures = compute(material("2026", {"one": 13100.0, "two": 13100.0})).figures[nodes.PLANT]
    assert figures["specific_energy_to_date"].status["tariff-threshold"] == "met"
    before = compute(material("2022", {"one": 13700.0, "two": 13700.0}))
    # with desulphurisation 13 710 against 13 650: three steps
    assert figure(before, "tariff_steps")[0] == 3
    assert before.figures[nodes.PLANT]["specific_energy_to_date"].status["tariff-threshold"] == "exceeded"


def test_below_the_threshold_nothing_is_due_and_no_step_is_below() -> None:
    found = compute(material("2026", {"one": 13000.0, "two": 13000.0}))
    assert figure(found, "tariff_surcharge_year") == (0, 0, 0)
    assert "tariff_next_step_down" not in found.figures[nodes.PLANT]


def test_a_year_under_way_goes_on_as_its_last_28_days() -> None:
    asked = material("2026", {"one": 13310.0, "two": 13310.0}, until=date(2026, 7, 1))
    columns = asked.rows.columns[nodes.PLANT]
    dear = asked.rows.start_ns >= asked.question.site.calendar.instant_ns(date(2026, 6, 3))
    for edge in ("", "_low", "_high"):
        columns[f"comprehensive_energy_tariff{edge}"][dear] *= 13410 / 13310
    found = compute(asked)
    days = 365
    past, rest = 181, days - 181
    expected = (13310 * (past - 28) + 13410 * (28 + rest)) / days
    assert figure(found, "specific_energy_projected")[0] == pytest.approx(expected, rel=1e-6)
    assert found.body["units"][nodes.PLANT]["projected_after"] == "the last 28 days"
    far, saved = (figure(found, name)[0] for name in ("tariff_next_step_down", "tariff_next_step_down_daily"))
    assert far is not None
    assert saved == pytest.approx(far * days * 96 * 2 * METAL_T / rest, rel=1e-6)


def test_another_projection_takes_its_place() -> None:
    asked = material("2026", {"one": 13310.0, "two": 13310.0}, until=date(2026, 7, 1))
    metal_t = 181 * 96 * 2 * METAL_T
    found = compute(asked, lambda *_: Rest(metal_t, 13250.0, 13240.0, 13260.0, basis="outlook"))
    assert figure(found, "specific_energy_projected")[0] == pytest.approx(13280)
    assert figure(found, "tariff_steps")[0] == 0


def test_a_month_bears_the_rate_of_the_year_less_what_was_accrued() -> None:
    found = compute(material("2026-03", {"one": 13310.0, "two": 13310.0}))
    body, base_kwh = found.body["units"][nodes.PLANT], 96 * 2 * METAL_T * 13320
    assert Decimal(body["surcharge_to_date_yuan"]) == pytest.approx(Decimal("0.01") * round(90 * base_kwh))
    assert figure(found, "tariff_surcharge_accrued")[0] == pytest.approx(0.01 * 31 * base_kwh)


def closed(period: str, to_date: str) -> ReportVersion:
    body: dict[str, Any] = {
        "studies": {"tariff": {"year": int(period[:4]), "units": {nodes.PLANT: {"surcharge_to_date_yuan": to_date}}}}
    }
    return ReportVersion("p", "month", period, 1, body, "", "", 0)


def test_a_closed_month_keeps_what_it_accrued_and_the_next_one_takes_up_the_difference() -> None:
    reports = {("month", "2026-02"): [closed("2026-02", "0.00"), closed("2026-02", "123.45")]}
    found = compute(material("2026-03", {"one": 13310.0, "two": 13310.0}, reports=reports))
    accrued = figure(found, "tariff_surcharge_accrued")[0]
    assert accrued == pytest.approx(0.01 * 90 * 96 * 2 * METAL_T * 13320 - 123.45)
    assert found.body["units"][nodes.PLANT]["accrued_before_yuan"] == "123.45"


def test_a_year_lists_what_each_month_accrued() -> None:
    reports = {("month", "2026-01"): [closed("2026-01", "100.00")], ("month", "2026-02"): []}
    per_tonne = {"one": 13310.0, "two": 13310.0}
    found = compute(material("2026", per_tonne, until=date(2026, 3, 16), reports=reports))
    rows = found.body["units"][nodes.PLANT]["months"]
    base_kwh = 96 * 2 * METAL_T * 13320
    assert [row["month"] for row in rows] == ["2026-01", "2026-02", "2026-03"]
    # January stays as it was closed, February takes up the difference, March is under way
    assert [float(row["accrued_yuan"]) for row in rows] == [
        100.0,
        pytest.approx(0.01 * 59 * base_kwh - 100, abs=0.01),
        pytest.approx(0.01 * 15 * base_kwh, abs=0.02),
    ]


LATE_CLOSING = SITE.replace('province = "guizhou"', 'province = "guizhou", closing_day = 25')


def test_january_closes_the_days_of_december_after_its_closing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SITE", LATE_CLOSING)
    per_tonne = {"one": 13310.0, "two": 13310.0}
    base_kwh = 96 * 2 * METAL_T * 13320
    found = compute(material("2026-01", per_tonne))
    # seven days of 2025 at its rate, and January 1 to 24: both have one step
    assert figure(found, "tariff_surcharge_accrued")[0] == pytest.approx(0.01 * (7 + 24) * base_kwh, abs=0.02)
    assert f"{0.01 * 7 * base_kwh:.2f} yuan of it are of 2025" in found.figures[nodes.PLANT]["tariff_surcharge_accrued"].reason
    assert (found.body["year"], found.body["closing_year"]["year"]) == (2026, 2025)
    assert figure(found, "tariff_surcharge_to_date")[0] == pytest.approx(0.01 * 24 * base_kwh, abs=0.01)
    before = found.body["closing_year"]["units"][nodes.PLANT]
    assert float(before["surcharge_to_date_yuan"]) == pytest.approx(0.01 * 365 * base_kwh, abs=0.01)
    reports = {("month", "2025-12"): [closed("2025-12", "1000.00")]}
    assert wants(material("2026-01", per_tonne).question).reports == tuple(reports)
    found = compute(material("2026-01", per_tonne, reports=reports))
    assert figure(found, "tariff_surcharge_accrued")[0] == pytest.approx(0.01 * (365 + 24) * base_kwh - 1000, abs=0.02)


def test_the_months_of_a_year_add_up_to_it_whatever_day_they_close_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SITE", LATE_CLOSING)
    body = compute(material("2025", {"one": 13340.0, "two": 13350.0})).body["units"][nodes.PLANT]
    assert [row["month"] for row in body["months"]][-2:] == ["2025-12", "2026-01"]
    assert sum(Decimal(row["accrued_yuan"]) for row in body["months"]) == Decimal(body["surcharge_to_date_yuan"])
    january = closed("2026-01", "5.00")
    january.body["studies"]["tariff"]["closing_year"] = closed("2025-12", "7.00").body["studies"]["tariff"]
    reports = {("month", "2026-01"): [january]}
    body = compute(material("2025", {"one": 13340.0, "two": 13350.0}, reports=reports)).body["units"][nodes.PLANT]
    assert body["months"][-1]["to_date_yuan"] == "7.00"


def with_supply(asked: Material, **kwh: float) -> Material:
    """Quantities of the plant beside what its lines used, the same in each quarter of an hour."""
    one = np.ones(len(asked.rows.start_ns))
    for name, amount in kwh.items():
        asked.rows.columns[nodes.PLANT] |= {f"{name}{e}": amount * one for e in ("", "_low", "_high")}
    return asked


def test_alone_the_grids_part_pays_and_is_not_guessed() -> None:
    per_tonne, more = {"one": 13340.0, "two": 13350.0}, '[[tariff.assessment]]\nself_generation = "grid_alone"\n'
    whole = compute(with_supply(material("2025", per_tonne, more), grid_import=3.0, renewable_generation=1.0))
    kwh = 365 * 96 * 2 * METAL_T * 13355
    assert whole.body["units"][nodes.PLANT]["energy_that_pays_kwh"] == pytest.approx(0.75 * kwh, abs=1)
    for supply in ({}, {"renewable_generation": 1.0}, {"grid_import": 3.0}):
        found = compute(with_supply(material("2025", per_tonne, more), **supply))
        due = found.figures[nodes.PLANT]["tariff_surcharge_year"]
        assert (due.value, due.low, due.high) == (None, None, None)
        assert due.reason == "the grid's part of the supply is not known"
        assert figure(found, "tariff_steps")[0] == 3
        body = found.body["units"][nodes.PLANT]
        assert (body["surcharge_to_date_yuan"], body["accrued_yuan"]) == (None, None)


def test_what_is_silent_goes_on_as_the_last_days_known_and_says_so() -> None:
    asked = material("2026", {"one": 13340.0, "two": 13350.0}, until=date(2026, 7, 1))
    for columns in asked.rows.columns.values():
        for name in columns:
            columns[name] = np.where(np.arange(len(columns[name])) < len(columns[name]) - 30 * 96, columns[name], np.nan)
    found = compute(asked)
    due = found.figures[nodes.PLANT]["tariff_surcharge_year"]
    assert due.value == pytest.approx(0.03 * 365 * 96 * 2 * METAL_T * 13355, rel=1e-6)
    assert "the rest of the year as the last 28 days known, until 2026-05-31" in due.reason
    nothing = compute(asked, lambda *_: None).figures[nodes.PLANT]["tariff_steps"]
    assert nothing.value is None
    assert "what the rest of the year brings is not known" in nothing.reason


def test_the_outlook_projects_once_the_year_is_long_enough() -> None:
    rng = np.random.default_rng(5)
    found = {}
    for until in (date(2026, 2, 1), date(2026, 7, 1)):
        asked = material("2026", {"one": 13310.0, "two": 13310.0}, until=until)
        days = len(asked.rows.start_ns) // 96
        for line in ("line:one", "line:two"):
            asked.rows.columns[line]["comprehensive_energy_tariff"] *= np.repeat(1 + 0.002 * rng.standard_normal(days), 96)
        found[until] = asked, STUDY.compute(asked)
    early, late = found.values()
    # 31 days for the 334 that are left are too few: an outlook needs a quarter as many
    assert early[1].body["units"][nodes.PLANT]["projected_after"] == "the last 28 days"
    assert late[1].body["units"][nodes.PLANT]["projected_after"] == "the outlook of 181 days"
    value, low, high = figure(late[1], "specific_energy_projected")
    assert value == pytest.approx(13310, rel=5e-4)
    assert low is not None
    assert high is not None
    assert low < 13310 < high


def test_lines_that_stand_still_add_nothing_to_the_rest() -> None:
    asked = material("2026", {"one": 13340.0, "two": 13350.0}, until=date(2026, 7, 1))
    for columns in asked.rows.columns.values():
        for name in ("metal_produced", "comprehensive_energy", "comprehensive_energy_tariff"):
            for column in (columns[n] for n in columns if n.startswith(name)):
                column[-30 * 96 :] = 0.0
    found = compute(asked)
    year, to_date = (figure(found, f"tariff_surcharge_{name}")[0] for name in ("year", "to_date"))
    assert year == to_date
    assert found.body["units"][nodes.PLANT]["projected_after"] == "the last 28 days"


def test_each_line_is_a_unit_where_the_assessment_says_so() -> None:
    more = '[[tariff.assessment]]\nvalid_from = 2025-01-01\nunit = "line"\nenergy_base = "without_desulphurisation"\n'
    found = compute(material("2026", {"one": 13250.0, "two": 13345.0}, more))
    assert figure(found, "tariff_steps", "line:one")[0] == 0
    assert figure(found, "tariff_steps", "line:two")[0] == 3
    body = found.body["units"]["line:two"]
    assert body["energy_that_pays_kwh"] == body["energy_to_date_kwh"]


def test_a_line_that_ran_too_short_is_not_assessed() -> None:
    more = '[[tariff.assessment]]\nvalid_from = 2025-01-01\nunit = "line"\nrunning_hours_min = 8761\n'
    found = compute(material("2026", {"one": 13250.0, "two": 13345.0}, more))
    steps = found.figures["line:two"]["tariff_steps"]
    assert steps.value is None
    assert steps.reason == "ran 8760 h of the 8761 h from which it is assessed"


def test_rounding_before_the_steps_is_a_setting() -> None:
    found = {
        decimals: compute(material("2026", {"one": 13300.4, "two": 13300.4}, f"[[tariff.assessment]]\n{decimals}"))
        for decimals in ("", "decimals = 0", "decimals = 1")
    }
    assert [figure(one, "tariff_steps")[0] for one in found.values()] == [1, 0, 1]


def test_a_stated_share_lowers_the_addition_once_the_weight_is_known() -> None:
    share = "[[tariff.non_hydro_share]]\nyear = 2026\npercent = 18.4\n"
    per_tonne = {"one": 13385.0, "two": 13385.0}
    unknown = compute(material("2026", per_tonne, share))
    assert figure(unknown, "tariff_adder") == (0.05, float(Decimal("0.04") * Decimal("0.97")), 0.06)
    assert "non-hydro-incentive" in unknown.figures[nodes.PLANT]["tariff_adder"].reason
    rules = parse_rules(shipped_rule_texts() | {"own.toml": INCENTIVE})
    known = compute(material("2026", per_tonne, share, rules=rules))
    assert figure(known, "tariff_adder")[0] == 0.0485
    assert "non-hydro-incentive@2025-01-01/guizhou/2025-07-01" in known.figures[nodes.PLANT]["tariff_adder"].editions


def test_without_a_statement_the_share_is_that_of_the_site_to_date() -> None:
    rules = parse_rules(shipped_rule_texts() | {"own.toml": INCENTIVE})
    found = compute(material("2026", {"one": 13385.0, "two": 13385.0}, rules=rules))
    assert found.body["discount_points"] == "5"  # 20 % of the load


def test_hydropower_gives_no_discount() -> None:
    asked = material("2026", {"one": 13385.0, "two": 13385.0})
    hydro = parse_site(SITE.replace('kind = "pv"', 'kind = "generator", source = "hydro"'), "site.toml")
    found = compute(replace(asked, question=replace(asked.question, site=hydro)))
    assert found.body["discount_points_most"] == "0"


def test_unpaid_after_90_days_the_year_costs_half_as_much_again() -> None:
    per_tonne = {"one": 13340.0, "two": 13350.0}
    notice = "[[tariff.notice]]\nyear = 2025\nnotified = 2026-03-01\n"
    asked = material("2025", per_tonne, notice)
    looked = asked.question.site.calendar.instant_ns(date(2026, 5, 30))
    late = compute(replace(asked, question=replace(asked.question, now_ns=looked)))
    in_time = compute(replace(asked, question=replace(asked.question, now_ns=looked - 1)))
    once, again = (figure(one, "tariff_surcharge_year")[0] for one in (in_time, late))
    assert once is not None
    assert again == pytest.approx(1.5 * once)
    due = late.figures[nodes.PLANT]["tariff_surcharge_year"]
    assert {e.partition("@")[0] for e in due.editions} >= {"tariff-late-after", "tariff-late-factor", "tariff-adder"}
    assert due.reason.endswith("; overdue: notified 2026-03-01, not paid within 90 days, times 1.5")
    assert "overdue" not in in_time.figures[nodes.PLANT]["tariff_surcharge_year"].reason
    paid = material("2025", per_tonne, notice + "paid = 2026-05-01\n")
    paid = replace(paid, question=replace(paid.question, now_ns=looked))
    assert figure(compute(paid), "tariff_surcharge_year")[0] == pytest.approx(once)


def test_too_little_measured_has_a_band_and_no_value() -> None:
    asked = material("2026", {"one": 13310.0, "two": 13310.0})
    for node in (nodes.PLANT, "line:one", "line:two"):
        asked.rows.columns[node]["measured_share"][:] = 0.3
    found = compute(asked)
    value, low, high = figure(found, "tariff_steps")
    assert value is None
    assert low is not None
    assert high is not None
    assert low <= 1 <= high
    body = found.body["units"][nodes.PLANT]
    assert body["steps"] == {"value": None, "low": low, "high": high}
    assert {body[n] for n in ("adder_yuan_per_kwh", "surcharge_to_date_yuan", "accrued_yuan")} == {None}
    assert {row["accrued_yuan"] for row in body["months"]} == {None}


def test_a_month_that_was_closed_without_yuan_counts_as_an_open_one() -> None:
    null = closed("2026-02", "0")
    null.body["studies"]["tariff"]["units"][nodes.PLANT]["surcharge_to_date_yuan"] = None
    found = compute(material("2026-03", {"one": 13310.0, "two": 13310.0}, reports={("month", "2026-02"): [null]}))
    assert figure(found, "tariff_surcharge_accrued")[0] == pytest.approx(0.01 * 31 * 96 * 2 * METAL_T * 13320)


def test_a_share_just_below_a_whole_point_is_not_rounded_up_to_it() -> None:
    rules = parse_rules(shipped_rule_texts() | {"own.toml": INCENTIVE})
    asked = material("2026", {"one": 13385.0, "two": 13385.0}, rules=rules)
    plant = asked.rows.columns[nodes.PLANT]
    for edge in ("", "_low", "_high"):
        plant[f"green_to_load{edge}"] = 0.189999997 * plant["load_energy"]
    assert compute(asked).body["discount_points"] == "3"


def test_without_rows_or_rules_there_is_a_reason_and_no_figure() -> None:
    empty = material("2026", {"one": 13310.0, "two": 13310.0}, until=date(2026, 1, 1))
    assert compute(empty).figures[nodes.PLANT]["tariff_steps"].value is None
    before = compute(material("2021", {"one": 13310.0, "two": 13310.0}))
    assert before.body["reason"] == "no rules of the tiered price are in force for 2021"
    assert before.figures == {}


def test_the_exact_ratio_decides_a_step_that_floats_would_miss() -> None:
    found = compute(material("2026", {"one": 13300.0, "two": 13300.0}))
    body = found.body["units"][nodes.PLANT]
    assert Fraction(body["energy_to_date_kwh"] * 1000, body["metal_to_date_kg"]) == 13300
    assert body["steps"]["value"] == 0
