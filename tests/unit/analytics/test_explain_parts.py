"""Formulas worked out, editions within a span, what dangles, and inputs of the table that lead nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from outlook_plant import demo_site

from analytics.editions import editions_within, with_editions
from analytics.explain import setting
from analytics.explain_formula import worked_out
from analytics.explain_roots import roots_of
from analytics.explain_tree import Cause, CauseKind, dangling
from plant import nodes
from plant.errors import InputError
from plant.indicators import INDICATORS, Figure
from plant.ports import LEDGER_KINDS
from plant.rulebook import Rulebook, parse_rules, shipped_rule_texts
from plant.series import Span

RULES = parse_rules(shipped_rule_texts())
STATED_ELSEWHERE = {"grid-cfe-fraction", "non-hydro-incentive"}  # rules of a plant's own file or of none yet


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("energy / metal", 4.0),
        ("100 * (energy - metal) / energy", 75.0),
        ("energy x grid-factor / 1000", 0.004),
        ("ceil(max(metal - 1.5, 0) / 0.2)", 3.0),
        ("abs(metal - energy)", 6.0),
        ("energy_of_all / metal", 50.0),
    ],
)
def test_arithmetic_is_worked_out(formula: str, value: float) -> None:
    values = {"energy": 8.0, "metal": 2.0, "grid-factor": 0.5, "energy_of_all": 100.0}
    assert worked_out(formula, values) == pytest.approx(value)


@pytest.mark.parametrize(
    "formula",
    [
        "sum of the intervals",
        "energy / other",
        "energy / 0",
        "__import__('os')",
        "energy ** metal",
        "max |f - 50 Hz|",
        "",
        "'a' * 3",
    ],
)
def test_words_and_anything_else_are_not(formula: str) -> None:
    assert worked_out(formula, {"energy": 8.0, "metal": 2.0}) is None


def test_every_input_leads_somewhere() -> None:
    site, ids = demo_site(), {rule.id for rule in RULES.rules} | STATED_ELSEWHERE
    for row in INDICATORS.values():
        for name in row.inputs:
            if name.startswith("site."):
                setting(site, name.removeprefix("site."))
            else:
                assert name in INDICATORS or name in LEDGER_KINDS or name in ids, f"{row.name}: {name}"
        assert row.formula, row.name


def test_a_setting_that_is_not_there_is_said() -> None:
    site = demo_site()
    assert setting(site, "potlines.line-1.current_efficiency_ref") == 0.935
    for path in ("tariff.nothing", "potlines.line-9.pots", "_ranked"):
        with pytest.raises(InputError, match="there is no"):
            setting(site, path)


def test_what_ends_nowhere_dangles() -> None:
    meter = Cause(CauseKind.MOUNTING, "m")
    good = Cause(CauseKind.FIGURE, "a", {}, (Cause(CauseKind.BRANCH, "b", {}, (Cause(CauseKind.POINT, "p", {}, (meter,)),)),))
    assert dangling(good) == []
    bad = Cause(CauseKind.FIGURE, "a", {}, (Cause(CauseKind.BRANCH, "b"), Cause(CauseKind.FIGURE, "c", repeated=True)))
    assert dangling(bad) == ["b"]


def test_energies_stand_on_the_branches_of_the_graph() -> None:
    site = demo_site()
    assert [b.id for b, _ in roots_of(site, "grid_import", nodes.PLANT).branches] == ["tie-1", "tie-2"]
    assert [(b.id, side) for b, side in roots_of(site, "dc_energy", nodes.line("line-2")).branches] == [
        ("rect-2-1", "dc"),
        ("rect-2-2", "dc"),
    ]
    assert {b.id for b, _ in roots_of(site, "renewable_generation", nodes.PLANT).branches} == {"pv-1", "pv-2", "pv-3"}
    assert [b.id for b, _ in roots_of(site, "captive_generation", nodes.PLANT).branches] == ["unit-1"]


def changed(rule_id: str, on: date) -> Rulebook:
    """The rulebook with one more edition of a rule."""
    old = next(r for r in RULES.rules if r.id == rule_id)
    new = old.model_copy(update={"valid_from": on, "published": on, "value": old.value * Decimal("1.01")})
    return Rulebook((*RULES.rules, new), "changed")


def test_a_change_inside_the_span_is_told_by_both_editions() -> None:
    site, book = demo_site(), changed("faraday-yield", date(2026, 11, 16))
    both = ["faraday-yield@2000-01-01", "faraday-yield@2026-11-16"]
    within = [r.edition for r in editions_within(site, book, "faraday-yield", date(2026, 11, 1), date(2026, 11, 30))]
    assert within == both
    assert [r.edition for r in editions_within(site, book, "faraday-yield", date(2026, 11, 16), date(2026, 11, 16))] == both[1:]
    assert [r.edition for r in editions_within(site, book, "faraday-yield", date(2026, 11, 1), date(2026, 11, 15))] == both[:1]
    month = Span(1_793_462_400_000_000_000, 1_796_054_400_000_000_000)
    plain = {n: Figure(n, 1.0, 1.0, 1.0, 1.0, 1.0) for n in ("metal_produced", "specific_energy_dc", "dc_energy")}
    plain["specific_energy_dc"] = replace(plain["specific_energy_dc"], editions=("benchmark@2022-01-01",))
    found = with_editions(site, book, month, {nodes.PLANT: plain})[nodes.PLANT]
    assert found["metal_produced"].editions == tuple(both)
    assert found["specific_energy_dc"].editions == ("benchmark@2022-01-01", *both)
    assert found["dc_energy"].editions == ()


def test_a_choice_of_methods_names_its_own_factors_alone() -> None:
    site = demo_site()
    ipcc = next(r.edition for r in RULES.rules if r.id == "pfc-ipcc-ar5-slope-cwpb")
    month = Span(1_793_462_400_000_000_000, 1_796_054_400_000_000_000)
    pfc = {"pfc_emissions": Figure("pfc_emissions", 1.0, 1.0, 1.0, 1.0, 1.0, "", {}, (ipcc,))}
    assert with_editions(site, RULES, month, {nodes.PLANT: pfc})[nodes.PLANT]["pfc_emissions"].editions == (ipcc,)
