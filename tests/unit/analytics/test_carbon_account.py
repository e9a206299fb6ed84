"""The carbon account where a band bends, a document speaks twice, or a factor changes inside the period."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from analytics_plant import entry
from process_rows import DAY, METAL_T, RULES, period_of, rows_of, site_of

from analytics.carbon_chapter import carbon_figures
from analytics.carbon_ets import STUDY
from analytics.green_mix import grid_cfe
from analytics.period_metal import process_metal
from analytics.period_rows import Period
from analytics.study import Material, Question
from plant import nodes
from plant.indicators import Figure
from plant.ports import LedgerEntry
from plant.rulebook import Rulebook
from plant.series import QUARTER_NS, Span


def _ets(entries: list[LedgerEntry], balance: float, more: str = "") -> Any:
    text = f'{more}[carbon]\nets_balance = [{{ year = 2026, t_per_t = {balance}, document = "platform" }}]\n'
    site = site_of(text)
    question = Question(site, RULES, "year", site.calendar.year(2026), DAY.end_ns, DAY.end_ns)
    return STUDY.compute(Material(question, DAY, rows_of(), entries))


def _verified(tonnes: float, subject: str = "plant") -> LedgerEntry:
    return replace(entry("verified_emissions", subject, DAY.start_ns, round(tonnes * 1000), DAY.end_ns), unit="kg")


def _surplus(studied: Any) -> Figure:
    figure: Figure = studied.figures[nodes.PLANT]["ets_surplus"]
    return figure


def test_the_surplus_is_most_where_alpha_meets_its_cap() -> None:
    # booked anodes: intensity and metal err apart. 20 % below the balance value the surplus bends, inside the intensity's band
    booked = [entry("anode_net", "plant", DAY.start_ns, round(400 * METAL_T), DAY.end_ns)]
    own = _ets(booked, 1.60).body["own_intensity_t_per_t"]
    found = _surplus(_ets(booked, own / 0.8))
    metal = process_metal(period_of(), nodes.PLANT, ["a"])
    assert found.value == pytest.approx(0.03 * own * METAL_T, rel=1e-5)
    assert metal.high is not None
    assert found.high == pytest.approx(0.03 * own * metal.high, rel=1e-6)


def test_emissions_that_follow_from_the_metal_do_not_err_apart_from_it() -> None:
    # without documents both anodes and effects are by default: the intensity is sure, so the band is that of the metal alone
    found = _surplus(_ets([], 1.75))
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.value > 0
    assert (found.high - found.low) / found.value < 0.1


def test_verified_emissions_of_plant_and_lines_are_one_statement() -> None:
    whole = _surplus(_ets([_verified(1.58 * METAL_T)], 1.60)).value
    twice = [_verified(1.58 * METAL_T), _verified(1.58 * METAL_T, "a")]
    assert _surplus(_ets(twice, 1.60)).value == whole
    assert _surplus(_ets(twice[1:], 1.60)).value == whole


def test_a_surplus_of_little_measured_is_null_with_its_band() -> None:
    question_site = site_of('[carbon]\nets_balance = [{ year = 2026, t_per_t = 1.60, document = "platform" }]\n')
    question = Question(question_site, RULES, "year", question_site.calendar.year(2026), DAY.end_ns, DAY.end_ns)
    rows = rows_of()
    for node in (nodes.PLANT, nodes.line("a")):
        rows.columns[node]["measured_share"] = rows.columns[node]["measured_share"] * 0.2
    studied = STUDY.compute(Material(question, DAY, rows, [_verified(1.58 * METAL_T)]))
    found = _surplus(studied)
    assert found.value is None
    assert found.low is not None
    assert "measured share 20.0% is below 50%" in found.reason
    assert "value_yuan" not in studied.body


@pytest.mark.parametrize(("settled_kwh", "expected_t"), [(12_000.0, 3.84048), (80_000.0, (18.3 - 16.0) * 0.6096)])
def test_contracts_make_green_no_more_than_the_load_took(settled_kwh: float, expected_t: float) -> None:
    # of 18.3 MWh bought 16.0 reach the load: the rest passes through at the residual factor, whatever is settled
    kwh = {"contracted_energy": settled_kwh, "grid_to_load": 16_000.0}
    found = {name: Figure(name, x, x, x, 1.0, 1.0) for name, x in kwh.items()}
    figure = carbon_figures(period_of(), {nodes.PLANT: found}).figures[nodes.PLANT]["electricity_emissions_volumetric"]
    assert figure.value == pytest.approx(expected_t)


def _changed(rule_id: str, factor: float) -> Rulebook:
    """The shipped rules with a new edition of one from the second day on."""
    newest = max((r for r in RULES.rules if r.id == rule_id), key=lambda r: (r.scope == "guizhou", r.valid_from))
    later = newest.model_copy(update={"valid_from": date(2026, 6, 2), "value": newest.value * round(factor)})
    return Rulebook((*RULES.rules, later), "changed")


def _days(book: Rulebook) -> tuple[Period, list[Period]]:
    """Two days, and each of them."""
    rows = rows_of(Span(DAY.start_ns, 2 * DAY.end_ns - DAY.start_ns))
    both = Period(site_of(), book, Span(DAY.start_ns, int(rows.start_ns[-1]) + QUARTER_NS), "interval", rows, "provisional")
    return both, [both.part(span, "day") for span in (DAY, Span(DAY.end_ns, both.span.end_ns))]


@pytest.mark.parametrize(
    ("rule_id", "indicator"),
    [
        ("grid-factor", "electricity_emissions_location"),
        ("anode-net-consumption", "anode_emissions"),
        ("pfc-china-2024-default-cf4", "pfc_emissions"),
    ],
)
def test_energy_and_metal_take_the_factor_of_their_own_time(rule_id: str, indicator: str) -> None:
    both, days = _days(_changed(rule_id, 3))
    found = [carbon_figures(period, {}).figures[nodes.PLANT][indicator] for period in (both, *days)]
    whole, first, second = (figure.value for figure in found)
    assert first is not None
    assert second is not None
    assert second > 1.5 * first
    assert whole == pytest.approx(first + second)
    assert sum(edition.startswith(f"{rule_id}@") for edition in found[0].editions) == 2


def test_the_grids_own_carbon_free_part_is_of_its_time() -> None:
    rule = next(r for r in RULES.rules if r.id == "anode-ash").model_copy(update={"id": "grid-cfe-fraction", "value": 40})
    later = rule.model_copy(update={"valid_from": date(2026, 6, 2), "value": 50})
    both, _ = _days(Rulebook((rule, later), "two"))
    share, editions = grid_cfe(both)
    assert (share[0], share[95], share[96]) == (0.40, 0.40, 0.50)
    assert len(editions) == 2
