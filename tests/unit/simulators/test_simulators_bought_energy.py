"""Settled wind and bills of the simulated plant: of whole spans, the same each time, close to the truth."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from plant.calendar import PlantCalendar
from plant.config import parse_site
from plant.entry_data import entry_data, plausible_entry
from plant.series import Span
from simulators.bought_energy import CONTRACT, contract_energy, statements
from simulators.demo_site import Ports, demo_site_toml
from simulators.truth import Truth

NS = 1_000_000_000
SITE = parse_site(demo_site_toml(Ports(*range(5001, 5008)), api_port=8000), "demo")


def _calendar() -> PlantCalendar:
    return SITE.calendar


def _span(first: tuple[int, int, int], last: tuple[int, int, int]) -> Span:
    start, end = (round(datetime(*day, 3, 7, tzinfo=UTC).timestamp()) * NS for day in (first, last))
    return Span(start, end)


BILLED = _span((2026, 10, 31), (2026, 11, 2))


def test_wind_is_told_a_day_ahead_and_final_when_the_month_is_over() -> None:
    found = contract_energy(7, "demo", _calendar(), _span((2026, 10, 29), (2026, 11, 3)))
    assert [_calendar().local(e.start_ns).date().isoformat() for e in (found[0], found[-1])] == ["2026-10-29", "2026-11-04"]
    assert len(found) == 24 * 7
    assert {e.data["status"] for e in found if _calendar().local(e.start_ns).month == 10} == {"final"}
    assert {e.data["status"] for e in found if _calendar().local(e.start_ns).month == 11} == {"provisional"}
    assert found == contract_energy(7, "demo", _calendar(), _span((2026, 10, 29), (2026, 11, 3)))
    assert len({e.key for e in found}) == len(found)


def test_bills_are_of_what_is_over_and_near_the_truth(truth: Truth) -> None:
    found = statements(truth, 7, "demo", _calendar(), BILLED)
    assert [(e.subject, e.data["direction"]) for e in found] == [
        (tie, direction) for tie in ("tie-1", "tie-2") for direction in ("import", "export")
    ]
    for e in found:
        energy = truth.energy(e.subject, Span(e.start_ns, e.end_ns))
        true_kwh = energy.import_kwh if e.data["direction"] == "import" else energy.export_kwh
        assert e.amount == pytest.approx(true_kwh, rel=0.0013, abs=1)


def test_the_ledger_of_the_demo_takes_them(truth: Truth) -> None:
    for e in (*contract_energy(7, "demo", _calendar(), BILLED), *statements(truth, 7, "demo", _calendar(), BILLED)):
        assert entry_data(e.kind, e.data).items() >= e.data.items()
        assert plausible_entry(SITE, e) == e
    assert [c.id for c in SITE.green.contract] == [CONTRACT]
