"""Windows of every kind tile time in any zone, and what is summed by day, by month and by year is the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from analytics_plant import HEAD
from hypothesis import given
from hypothesis import strategies as st

from analytics.period_rows import Period
from analytics.reconcile import months
from analytics.report import body_of, plan
from analytics.table import Table
from plant import nodes
from plant.calendar import PlantCalendar
from plant.config import parse_site
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, Span

# whole hours with and without summer time, halves, quarters, halves with summer time, and one that is moved by half an hour
ZONES = (
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
)
QUARTERS = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
DAYS = st.dates(date(2000, 1, 1), date(2060, 1, 1))
RULES = parse_rules(shipped_rule_texts())


@st.composite
def calendars(draw: st.DrawFn) -> PlantCalendar:
    shifts = draw(st.lists(QUARTERS, min_size=1, max_size=4, unique=True))
    return PlantCalendar(ZoneInfo(draw(st.sampled_from(ZONES))), draw(QUARTERS), tuple(sorted(shifts)), draw(st.integers(1, 28)))


def _tile(spans: Sequence[Span], whole: Span | None = None) -> bool:
    joined = all(a.end_ns == b.start_ns for a, b in pairwise(spans))
    return joined and (whole is None or (spans[0].start_ns, spans[-1].end_ns) == (whole.start_ns, whole.end_ns))


@given(calendars(), DAYS)
def test_windows_join_without_gap_and_overlap_at_bounds_of_slots(calendar: PlantCalendar, day: date) -> None:
    days = [day + timedelta(days=i) for i in range(-1, 3)]
    of_day = [calendar.day(d) for d in days]
    produced = [calendar.production_day(d) for d in days]
    shifts = [calendar.shift(d, i) for d in days for i in range(len(calendar.shift_starts))]
    closing = [calendar.closing_month(day.year + m // 12, m % 12 + 1) for m in range(14)]
    years = [calendar.year(day.year + i) for i in range(3)]
    for spans in (of_day, produced, shifts, closing, years):
        assert _tile(spans)
        assert all(s.end_ns >= s.start_ns and s.start_ns % QUARTER_NS == 0 for s in spans)
    held = [s for s in produced if s.start_ns <= of_day[1].start_ns < s.end_ns]
    assert len(held) == 1


@given(calendars(), DAYS)
def test_rows_of_reports_tile_their_report(calendar: PlantCalendar, day: date) -> None:
    names = {"day": day.isoformat(), "month": f"{day:%Y-%m}", "year": f"{day.year:04}"}
    for kind, period in names.items():
        planned = plan(calendar, kind, period)
        assert _tile([span for _, span in planned.rows], planned.span)
        assert len({label for label, _ in planned.rows}) == len(planned.rows)


@given(calendars(), DAYS, st.integers(0, 40 * 86_400))
def test_months_touched_by_a_span_are_those_that_hold_it(calendar: PlantCalendar, day: date, after_s: int) -> None:
    start_ns = calendar.instant_ns(day)
    found = months(calendar, Span(start_ns, start_ns + after_s * 10**9))
    assert _tile(found)
    assert found[0].start_ns <= start_ns < found[0].end_ns
    assert found[-1].end_ns >= start_ns + after_s * 10**9


PLANT = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "r", kind = "rectifier_group", bus = "b", potline = "l" },
]
potline = [{ id = "l", pots = [{ valid_from = 2020-01-01T00:00:00Z, running = 100 }] }]
"""
SUMMED = (("plant", "load_energy"), ("plant", "grid_import"), ("line:l", "metal_produced"))


def _year(zone: str, year: int, seed: int) -> Period:
    site = parse_site(HEAD.replace("ZONE", zone) + PLANT, "site")
    span = site.calendar.year(year)
    start_ns = span.bounds(QUARTER_NS)[:-1]
    rng, one = np.random.default_rng(seed), np.ones(len(start_ns))
    load, metal = rng.uniform(100, 200, len(one)), rng.uniform(1, 2, len(one))
    trust = {"completeness": one, "measured_share": one}
    columns = {
        nodes.PLANT: trust | {"load_energy": load, "grid_import": load, "metal_produced": metal},
        nodes.line("l"): trust | {"metal_produced": metal, "current_efficiency": 93 * one},
    }
    return Period(site, RULES, span, "year", Table(QUARTER, start_ns, QUARTER_NS, columns), "provisional", [])


def _sums(figures: dict[str, dict[str, dict[str, float]]]) -> list[float]:
    return [figures[node][name]["value"] for node, name in SUMMED]


@pytest.mark.parametrize(
    ("zone", "year"),
    [("Europe/Berlin", 2026), ("Australia/Adelaide", 2028), ("Australia/Lord_Howe", 2027), ("Asia/Kolkata", 2024)],
)
def test_days_months_and_the_year_sum_to_the_same(zone: str, year: int) -> None:
    whole = _year(zone, year, seed=year)
    calendar = whole.site.calendar
    of_year = body_of(plan(calendar, "year", str(year)), whole)
    of_months = []
    for month in range(1, 13):
        planned = plan(calendar, "month", f"{year}-{month:02}")
        of_months.append(body_of(planned, whole.part(planned.span, "month")))
    by_month = np.array([_sums(body["figures"]) for body in of_months])
    days = [row for body in of_months for row in body["rows"]]
    by_day = np.array([_sums(row["figures"]) for row in days])
    assert len(days) == (366 if year % 4 == 0 else 365)
    assert np.allclose([_sums(row["figures"]) for row in of_year["rows"]], by_month, rtol=1e-12)
    for summed in (by_month.sum(axis=0), by_day.sum(axis=0)):
        assert np.allclose(summed, _sums(of_year["figures"]), rtol=1e-12)
    true = [whole.rows.column(node, name).sum() for node, name in SUMMED]
    assert np.allclose(_sums(of_year["figures"]), true, rtol=1e-12)
