"""Every figure of a smelter's month ends in meters, documents, rules or settings, and its formula gives it again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from explained_month import explained_month

from analytics.explain import Grounds, explain
from analytics.explain_tree import Cause, CauseKind, dangling
from plant import nodes
from plant.indicators import Figure

# worked out from the figures below them; the others sum over intervals, choose by document, or take sums apart
ARITHMETIC = {
    "load_energy",
    "specific_energy_dc",
    "specific_energy_e1",
    "rectifier_efficiency",
    "green_share_physical",
    "pv_self_consumption",
    "network_loss_share",
    "pot_voltage_budget",
    "worth_of_10_mv",
    "worth_of_efficiency_point",
    "direct_emissions",
    "direct_emissions_intensity",
    "electricity_emissions_location",
    "electricity_intensity_location",
}

# a quarter of an hour without a reading may have held any demand: nothing bounds these from above
OPEN_ABOVE = ("maximum_demand", "demand_of_contract", "demand_charge")


def figures() -> Iterator[tuple[str, Grounds, str, Figure]]:
    for name, grounds in explained_month().grounds.items():
        own = grounds.found.figures if name in ("month", "day") else grounds.studied
        for node, by in own.items():
            for figure in by.values():
                yield name, grounds, node, figure


def trees() -> Iterator[tuple[str, str, Figure, Cause]]:
    for name, grounds, node, figure in figures():
        yield name, node, figure, explain(grounds, node, figure.indicator)


@pytest.fixture(scope="module")
def told() -> list[tuple[str, str, Figure, Cause]]:
    return list(trees())


def test_there_are_figures_of_every_chapter_and_study(told: list[tuple[str, str, Figure, Cause]]) -> None:
    assert {name for name, *_ in told} >= {"month", "day", "certificates", "statements", "tariff", "outlook"}
    assert len({f.indicator for _, _, f, _ in told}) >= 80


def test_no_figure_dangles(told: list[tuple[str, str, Figure, Cause]]) -> None:
    assert {(name, node, f.indicator): d for name, node, f, tree in told if (d := dangling(tree))} == {}


def test_a_formula_that_is_arithmetic_gives_the_figure_again(told: list[tuple[str, str, Figure, Cause]]) -> None:
    checked = {(name, node, f.indicator): c.facts["checked"] for name, node, f, c in told if c.facts["checked"]}
    assert {key: c for key, c in checked.items() if not c["agrees"]} == {}
    assert {indicator for _, _, indicator in checked} >= ARITHMETIC


def test_an_energy_is_told_down_to_meter_gap_and_incident() -> None:
    tree = explained_month().whole["e1"].tree
    kinds = {cause.kind for cause in tree.walk()}
    assert kinds >= {CauseKind.MOUNTING, CauseKind.GAP, CauseKind.INCIDENT, CauseKind.LEDGER, CauseKind.ENTRY, CauseKind.RULE}
    wraps = [c for c in tree.walk() if c.kind is CauseKind.INCIDENT and c.name == "wrap"]
    assert wraps, "no wrap was told"
    assert all(c.facts["after_kwh"] < c.facts["before_kwh"] for c in wraps)
    faulty = {f"{meter}" for meter in explained_month().trial.drawn.by_meter}
    assert {c.facts["meter"] for c in tree.walk() if c.kind is CauseKind.INCIDENT} <= faulty | set(
        explained_month().trial.drawn.wrapped
    )


def test_a_thing_is_told_once_and_then_named_again(told: list[tuple[str, str, Figure, Cause]]) -> None:
    for _, _, _, tree in told:
        once = [(c.name, c.facts.get("node")) for c in tree.walk() if c.kind is CauseKind.FIGURE and not c.repeated]
        assert len(once) == len(set(once))
        points = [c.name for c in tree.walk() if c.kind is CauseKind.POINT and not c.repeated]
        assert len(points) == len(set(points))


def test_documents_are_told_with_author_and_document() -> None:
    grounds = explained_month().grounds["month"]
    tree = explain(grounds, nodes.PLANT, "metal_produced")
    (taps,) = (c for c in tree.causes if c.name == "metal_tapped")
    assert taps.facts["entries"] > len(taps.causes) > 0
    assert all(c.facts["who"] and c.facts["document"] for c in taps.causes)


def test_every_figure_says_how_far_to_trust_it() -> None:
    shown = [(name, node, f) for name, _, node, f in figures()]
    live = explained_month().live.windows
    assert set(live) >= {"last_24h", "day", "month"}
    shown += [(w, node, f) for w, found in live.items() for node, by in found.figures.items() for f in by.values()]
    wrong: list[tuple[object, ...]] = []
    for where, node, f in shown:
        if not (0.0 <= f.completeness <= 1.0 and 0.0 <= f.measured_share <= 1.0):
            wrong.append((where, node, f.indicator, "share", f.completeness, f.measured_share))
        if f.value is None and not f.reason:
            wrong.append((where, node, f.indicator, "no value and no reason"))
        if f.value is not None and not _banded(f):
            wrong.append((where, node, f.indicator, "band", f.low, f.value, f.high))
    assert wrong == []


def _banded(f: Figure) -> bool:
    slack = 1e-9 * max(1.0, abs(f.value or 0.0))
    if f.high is None and f.indicator in OPEN_ABOVE and f.completeness < 1.0:
        return f.low is not None and f.low - slack <= (f.value or 0.0)
    return f.low is not None and f.high is not None and f.low - slack <= (f.value or 0.0) <= f.high + slack


def test_figures_of_metal_name_the_edition_of_the_law() -> None:
    grounds = explained_month().grounds["month"]
    of_metal = ("metal_produced", "specific_energy_e1", "direct_emissions_intensity")
    for name in of_metal:
        assert any(e.startswith("faraday-yield@") for e in grounds.found.figures[nodes.PLANT][name].editions), name
    assert not any(e.startswith("faraday") for e in grounds.found.figures[nodes.PLANT]["load_energy"].editions)
