"""Days, shifts and months in a plant's zone, on the days that are 23 and 25 hours long too."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.calendar import PlantCalendar
from plant.series import Span

SHANGHAI = PlantCalendar(ZoneInfo("Asia/Shanghai"))
BERLIN = PlantCalendar(ZoneInfo("Europe/Berlin"), time(6), (time(6), time(14), time(22)), closing_day=26)
DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))
HOUR_S = 3600


def ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000_000


def test_a_day_in_china_is_a_day_of_utc_shifted_by_eight_hours() -> None:
    assert SHANGHAI.day(date(2026, 7, 1)) == Span(ns("2026-06-30T16:00:00+00:00"), ns("2026-07-01T16:00:00+00:00"))


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 10, 26), 24)])
def test_days_of_23_and_25_hours(day: date, hours: int) -> None:
    assert BERLIN.day(day).seconds == hours * HOUR_S


def test_the_production_day_that_holds_the_change_of_clocks_has_the_odd_hour() -> None:
    # clocks change at 2 or 3 h on the 29th, which belongs to the production day that began on the 28th at 6 h
    assert BERLIN.production_day(date(2026, 3, 28)).seconds == 23 * HOUR_S
    assert BERLIN.production_day(date(2026, 3, 29)).seconds == 24 * HOUR_S
    assert BERLIN.production_day(date(2026, 10, 24)).seconds == 25 * HOUR_S


def test_the_night_shift_takes_the_odd_hour() -> None:
    assert [BERLIN.shift(date(2026, 3, 28), i).seconds / HOUR_S for i in range(3)] == [8, 8, 7]
    assert [BERLIN.shift(date(2026, 10, 24), i).seconds / HOUR_S for i in range(3)] == [8, 8, 9]


def test_before_its_start_an_instant_belongs_to_the_production_day_and_shift_before() -> None:
    early = ns("2026-05-02T05:59:59+02:00")
    assert BERLIN.production_date(early) == date(2026, 5, 1)
    assert BERLIN.shift_at(early) == (date(2026, 5, 1), 2)
    assert BERLIN.production_date(early + 1_000_000_000) == date(2026, 5, 2)
    assert BERLIN.shift_at(early + 1_000_000_000) == (date(2026, 5, 2), 0)


def test_a_skipped_wall_clock_time_is_the_instant_after_and_a_repeated_one_the_first() -> None:
    assert BERLIN.instant_ns(date(2026, 3, 29), time(2, 30)) == ns("2026-03-29T01:30:00+00:00")
    assert BERLIN.instant_ns(date(2026, 10, 25), time(2, 30)) == ns("2026-10-25T00:30:00+00:00")


@pytest.mark.parametrize(("year", "month", "days"), [(2026, 2, 28), (2024, 2, 29), (2026, 12, 31)])
def test_months(year: int, month: int, days: int) -> None:
    assert SHANGHAI.month(year, month).seconds == days * 24 * HOUR_S


def test_a_closing_month_ends_in_the_month_that_names_it() -> None:
    assert BERLIN.closing_month(2026, 1) == Span(ns("2025-12-26T00:00:00+01:00"), ns("2026-01-26T00:00:00+01:00"))
    assert BERLIN.closing_month(2026, 3).end_ns == BERLIN.closing_month(2026, 4).start_ns
    assert SHANGHAI.closing_month(2026, 5) == SHANGHAI.month(2026, 5)


def test_a_year_is_its_months() -> None:
    months = [BERLIN.month(2026, m) for m in range(1, 13)]
    assert Span(months[0].start_ns, months[-1].end_ns) == BERLIN.year(2026)
    assert [m.start_ns for m in months[1:]] == [m.end_ns for m in months[:-1]]


@given(DAYS, st.sampled_from([SHANGHAI, BERLIN]))
def test_days_and_shifts_join_without_gap_and_hold_their_instants(day: date, calendar: PlantCalendar) -> None:
    following = day + timedelta(days=1)
    assert calendar.day(day).end_ns == calendar.day(following).start_ns
    assert calendar.production_day(day).end_ns == calendar.production_day(following).start_ns
    shifts = [calendar.shift(day, i) for i in range(3)]
    assert [s.end_ns for s in shifts] == [shifts[1].start_ns, shifts[2].start_ns, calendar.shift(following, 0).start_ns]
    for number, span in enumerate(shifts):
        for t_ns in (span.start_ns, (span.start_ns + span.end_ns) // 2, span.end_ns - 1_000_000):
            assert calendar.shift_at(t_ns) == (day, number)
    produced = calendar.production_day(day)
    assert calendar.production_date(produced.start_ns) == calendar.production_date(produced.end_ns - 1_000_000) == day


def test_local_time_is_the_wall_clock_of_the_plant() -> None:
    assert SHANGHAI.local(ns("2026-07-01T00:00:00+00:00")).isoformat() == "2026-07-01T08:00:00+08:00"
    assert SHANGHAI.local(0).astimezone(UTC) == datetime(1970, 1, 1, tzinfo=UTC)


@given(DAYS, st.sampled_from([SHANGHAI, BERLIN]), st.integers(1, 10**9))
def test_the_last_nanoseconds_of_a_day_belong_to_it(day: date, calendar: PlantCalendar, before_ns: int) -> None:
    assert calendar.local(calendar.day(day).end_ns - before_ns).date() == day
    assert calendar.local(calendar.day(day).start_ns + before_ns - 1).date() == day


def test_the_second_of_a_repeated_hour_stays_the_second() -> None:
    later_ns = ns("2026-10-25T01:30:00+00:00") + 250_000_000
    assert BERLIN.local(later_ns).isoformat() == "2026-10-25T02:30:00.250000+01:00"
