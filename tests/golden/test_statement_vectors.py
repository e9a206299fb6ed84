"""The grid company's statement beside our sum, through the shipped study."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from green_rows import START_NS, contract_entry, material_of, period_of, site_of

from analytics.period_rows import Period
from analytics.statement_study import STUDY
from analytics.study import Studied
from analytics.table import Columns
from plant import nodes
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS

TIE = 'id = "tie", kind = "grid_tie"'
CONTRACT = '[[green.contract]]\nid = "wind-farm"\nsource = "wind"\n'
USE_STATEMENT = '[green]\nreport_energy = { tie = "statement" }\n'


def statement(number: int, kwh: int, first: int, slots: int, subject: str = "tie", **data: Any) -> LedgerEntry:
    start_ns, end_ns = START_NS + first * QUARTER_NS, START_NS + (first + slots) * QUARTER_NS
    return LedgerEntry(
        "p",
        "statement",
        f"s{number}",
        "grid",
        subject,
        start_ns,
        end_ns,
        kwh,
        "kWh",
        "li",
        f"bill {number}",
        data=data,
        id=number,
    )


def _asked(kwh: list[float], entries: list[LedgerEntry], more: str = "", class_percent: float = 0.2) -> Studied:
    """Import of a tie by slot, kWh, with the band of its class."""
    period: Period = period_of(site_of([TIE], more), {"tie": ([0.0] * len(kwh), [0.0] * len(kwh))}, entries, "month")
    energy, none = np.array(kwh), np.zeros(len(kwh))
    columns: Columns = {"completeness": none + 1, "measured_share": np.isfinite(energy).astype(float)}
    for name, value in (("energy_import", energy), ("energy_export", none)):
        columns |= {
            name: value,
            f"{name}_low": value * (1 - class_percent / 100),
            f"{name}_high": value * (1 + class_percent / 100),
        }
    period.rows.columns[nodes.branch("tie")] = columns
    return STUDY.compute(material_of(period, START_NS))


def test_days_against_the_month() -> None:
    # 402 150 against 410 000: 7 850 of 410 000 = 1.915 %, within 5 %, and far beyond a meter of class 0.2
    found = _asked([402_150 / 4] * 4, [statement(1, 410_000, 0, 4)])
    figure = found.figures[nodes.branch("tie")]["statement_difference"]
    assert figure.value == pytest.approx(1.915, abs=5e-4)
    assert figure.status == {"statement-difference-max": "met"}
    row = found.body["statements"][0]
    assert (row["difference_kwh"], row["verdict"]) == (-7_850, "beyond class")
    assert row["difference_percent"] == pytest.approx(-1.915, abs=5e-4)


def test_more_than_the_limit_is_exceeded_and_within_class_is_said() -> None:
    assert _asked([100.0] * 4, [statement(1, 430, 0, 4)]).figures["branch:tie"]["statement_difference"].status == {
        "statement-difference-max": "exceeded"
    }
    assert _asked([1000.0] * 4, [statement(1, 4_005, 0, 4)]).body["statements"][0]["verdict"] == "within class"


def test_a_report_uses_what_the_site_wants_and_names_it() -> None:
    entries = [statement(1, 205, 0, 2), statement(2, 207, 2, 2), statement(3, 1, 0, 4, direction="export")]
    ours = _asked([100.0] * 4, entries).figures
    assert (ours["plant"]["import_reported"].value, ours["plant"]["import_reported"].reason) == (400, "energy by our meters: tie")
    theirs = _asked([100.0] * 4, entries, USE_STATEMENT).figures
    for node in ("plant", "branch:tie"):
        assert theirs[node]["import_reported"].value == 412
        assert theirs[node]["import_reported"].reason == "energy by the grid company's statement: bill 1, bill 2"
    assert theirs["plant"]["export_reported"].value == 1


def test_statements_that_leave_a_slot_out_give_no_energy() -> None:
    found = _asked([100.0] * 4, [statement(1, 205, 0, 2)], USE_STATEMENT).figures["plant"]["import_reported"]
    assert (found.value, found.reason) == (None, "no statement covers all of tie")


def test_final_stands_before_provisional_whichever_came_first() -> None:
    entries = [statement(1, 402, 0, 4), statement(2, 500, 0, 4, status="provisional"), statement(3, 7, 2, 9)]
    found = _asked([100.0] * 4, entries)
    assert [row["stated_kwh"] for row in found.body["statements"]] == [402]
    assert found.body["left_out"] == [
        "entry 3: reaches beyond the settled part of the period",
        "entry 2: another statement of tie stands over its span",
    ]


def test_a_contract_is_held_against_what_was_settled_interval_by_interval() -> None:
    settled = [contract_entry("wind-farm", i, 1, 3.0) for i in range(4)]
    found = _asked([100.0] * 4, [*settled, statement(9, 12_100, 0, 4, "wind-farm")], CONTRACT)
    (row,) = found.body["statements"]
    assert (row["ours_kwh"], row["difference_kwh"]) == (12_000, -100)
    missing = _asked([100.0] * 4, [*settled[:3], statement(9, 12_100, 0, 4, "wind-farm")], CONTRACT)
    assert missing.body["statements"][0]["ours_kwh"] is None


def test_a_tie_that_was_not_measured_has_no_difference() -> None:
    found = _asked([np.nan] * 4, [statement(1, 410, 0, 4)])
    assert found.figures["branch:tie"]["statement_difference"].value is None
    assert found.body["statements"][0]["verdict"] == "unknown"


def test_a_statement_of_nothing_against_measured_energy_is_beyond_any_limit() -> None:
    found = _asked([1_250.0] * 4, [statement(1, 0, 0, 4), statement(2, 0, 0, 4, direction="export")])
    figure = found.figures[nodes.branch("tie")]["statement_difference"]
    assert (figure.value, figure.reason) == (None, "the statement says 0 kWh, our meters 5000 kWh")
    assert figure.status == {"statement-difference-max": "exceeded"}
    by_direction = {row["direction"]: row for row in found.body["statements"]}
    assert (by_direction["import"]["difference_kwh"], by_direction["import"]["difference_percent"]) == (5_000.0, None)
    assert (by_direction["export"]["difference_percent"], by_direction["export"]["verdict"]) == (0.0, "within class")


@pytest.mark.parametrize("kwh", [1_000_001, 123_457, 7_000_001, 31_415_927])
def test_a_contract_that_is_stated_as_it_was_settled_is_within_class(kwh: int) -> None:
    # spread over a month of 2976 slots such energies add up to a little more or less
    entries = [contract_entry("wind-farm", 0, 2_976, kwh / 1000), statement(1, kwh, 0, 2_976, "wind-farm")]
    (row,) = _asked([0.0] * 2_976, entries, CONTRACT).body["statements"]
    assert (row["difference_kwh"], row["verdict"]) == (0.0, "within class")
    (other,) = _asked([0.0] * 2_976, [entries[0], statement(1, kwh + 1, 0, 2_976, "wind-farm")], CONTRACT).body["statements"]
    assert (other["difference_kwh"], other["verdict"]) == (-1.0, "beyond class")
