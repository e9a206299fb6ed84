from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.live import running_reports
from api.problem import Problem
from api.times import check_period, parse_instant, parse_span, rfc3339
from plant.calendar import PlantCalendar

NOW = 1_780_000_500_000_000_000


@pytest.mark.parametrize(
    ("text", "t_ns"),
    [
        ("now", NOW),
        ("-15m", NOW - 900 * 10**9),
        ("now-24h", NOW - 86_400 * 10**9),
        ("-2w", NOW - 1_209_600 * 10**9),
        ("1970-01-01T08:00:00+08:00", 0),
        ("1970-01-01T00:00:00.001Z", 10**6),
        ("1970-01-01T08:00:01 08:00", 10**9),  # an unescaped + in a query
    ],
)
def test_instants(text: str, t_ns: int) -> None:
    assert parse_instant(text, NOW, "start") == t_ns


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "-5y", "--5m", "5m", "-9999999d", "0001-01-01T00:00:00+23:00x"]
)
def test_what_is_no_instant_says_what_is(text: str) -> None:
    with pytest.raises(Problem, match="RFC 3339") as caught:
        parse_instant(text, NOW, "start")
    assert caught.value.status == 422
    assert "start" in caught.value.detail


@pytest.mark.parametrize(
    "text", ["9999-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:00", "-999999w"]
)
def test_what_int64_nanoseconds_do_not_hold_is_no_time(text: str) -> None:
    with pytest.raises(Problem, match="1970 to 2199") as caught:
        parse_instant(text, NOW, "start")
    assert caught.value.status == 422


@given(st.integers(0, 4_000_000_000_000))
def test_times_written_are_read_back(t_ms: int) -> None:
    assert parse_instant(rfc3339(t_ms * 10**6), NOW, "t") == t_ms * 10**6


def test_spans_are_forward_and_bounded() -> None:
    assert parse_span("-1h", "now", NOW, 3600).seconds == 3600
    for start, end in (("now", "-1h"), ("now", "now"), ("-61m", "now")):
        with pytest.raises(Problem):
            parse_span(start, end, NOW, 3600)


@pytest.mark.parametrize(("kind", "text"), [("day", "2026-02-28"), ("month", "2026-12"), ("year", "2026")])
def test_periods(kind: str, text: str) -> None:
    assert check_period(kind, text) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("day", "2026-02-30"),
        ("day", "2026-2-1"),
        ("day", "1900-01-01"),
        ("month", "2026-13"),
        ("month", "2026-1"),
        ("year", "26"),
        ("year", "9999"),
        ("year", "２０２６"),
        ("month", "２０２６-０１"),
    ],
)
def test_what_is_no_period(kind: str, text: str) -> None:
    with pytest.raises(Problem, match=kind[0:3] if kind != "day" else "yyyy-mm-dd"):
        check_period(kind, text)


@pytest.mark.parametrize(
    ("wall", "closing_day", "day", "month"),
    [
        ("2026-05-26T07:59", 1, "2026-05-25", "2026-05"),  # before the production day starts
        ("2026-05-26T08:00", 1, "2026-05-26", "2026-05"),
        ("2026-05-25T12:00", 26, "2026-05-25", "2026-05"),
        ("2026-05-26T00:00", 26, "2026-05-25", "2026-06"),
        ("2026-12-31T12:00", 26, "2026-12-31", "2027-01"),
        ("2026-01-30T12:00", 28, "2026-01-30", "2026-02"),
    ],
)
def test_the_reports_that_are_running(wall: str, closing_day: int, day: str, month: str) -> None:
    calendar = PlantCalendar(ZoneInfo("Asia/Shanghai"), time(8), closing_day=closing_day)
    at = datetime.fromisoformat(wall)
    now_ns = calendar.instant_ns(at.date(), at.time())
    found = running_reports(calendar, now_ns)
    assert found == {"day": day, "month": month, "year": "2026"}
    year, number = (int(part) for part in found["month"].split("-"))
    assert calendar.closing_month(year, number).start_ns <= now_ns < calendar.closing_month(year, number).end_ns
