"""Instants and spans as a request names them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from api.problem import Problem
from plant.calendar import PlantCalendar
from plant.series import QUARTER_NS, Span

NS = 1_000_000_000
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(2200, 1, 1, tzinfo=UTC)  # int64 ns hold no more than some decades after
_RELATIVE = re.compile(r"(?:now)?(?:-([0-9]{1,6})(s|m|h|d|w))?")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ALLOWED = "an RFC 3339 time with offset such as 2026-01-31T08:00:00+08:00, `now`, or a time before now such as -15m, -24h, -7d"
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
_YEARS = range(FIRST.year, END.year)
_YEAR = re.compile(r"[0-9]{4}")


def to_ns(instant: datetime) -> int:
    """UTC ns of an aware instant, exact to the microsecond."""
    return (instant - FIRST) // timedelta(microseconds=1) * 1_000


def rfc3339(t_ns: int) -> str:
    """``2026-01-31T00:00:00.000Z``, precision ms."""
    return (FIRST + timedelta(microseconds=t_ns // 1_000)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_instant(text: str, now_ns: int, name: str) -> int:
    """UTC ns of a time given absolutely or relative to now. Raises Problem 422 naming the parameter."""
    found = _RELATIVE.fullmatch(text)
    if text and found:
        back_s = int(found[1]) * _UNIT_S[found[2]] if found[1] else 0
        return _bounded(now_ns - back_s * NS, text, name)
    try:
        instant = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped + arrives as a space
        if instant.tzinfo is None:
            raise ValueError(text)
        t_ns = to_ns(instant)
    except (ValueError, OverflowError):
        raise Problem(422, "invalid-time", "Not a time", f"{name}: found {text!r}; give {_ALLOWED}") from None
    return _bounded(t_ns, text, name)


def _bounded(t_ns: int, text: str, name: str) -> int:
    if not 0 <= t_ns < to_ns(END):
        raise Problem(
            422,
            "time-out-of-range",
            "Time out of range",
            f"{name}: found {text!r}; give a time from {FIRST.year} to {END.year - 1}",
        )
    return t_ns


def parse_span(start: str, end: str, now_ns: int, longest_s: float) -> Span:
    """[start, end). Raises Problem 422 when it is empty, reversed or longer than allowed."""
    start_ns, end_ns = parse_instant(start, now_ns, "start"), parse_instant(end, now_ns, "end")
    if start_ns >= end_ns:
        raise Problem(
            422, "empty-span", "Empty span", f"start {rfc3339(start_ns)} is not before end {rfc3339(end_ns)}; swap them"
        )
    if (end_ns - start_ns) / NS > longest_s:
        days = longest_s / 86_400
        raise Problem(
            422, "span-too-long", "Span too long", f"at most {days:g} days at this resolution; ask for less or for a coarser one"
        )
    return Span(start_ns, end_ns)


def whole_slots(span: Span) -> Span:
    """The span of the 15-min slots that a span touches: figures are sums of slots, so an answer names these bounds."""
    bounds = span.bounds(QUARTER_NS)
    return Span(int(bounds[0]), int(bounds[-1]))


def parse_day(text: str) -> date:
    """A calendar day ``yyyy-mm-dd``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Problem(422, "invalid-date", "Not a date", f"found {text!r}; give a day as yyyy-mm-dd") from None


def check_period(kind: str, text: str) -> str:
    """The period of a report as it is named: day yyyy-mm-dd, month yyyy-mm, year yyyy. Raises Problem 422."""
    if kind == "day":
        day = parse_day(text)
        if day.year in _YEARS:
            return day.isoformat()
    month = _MONTH.fullmatch(text)
    if kind == "month" and month and 1 <= int(month[2]) <= 12 and int(month[1]) in _YEARS:
        return text
    if kind == "year" and _YEAR.fullmatch(text) and int(text) in _YEARS:
        return text
    shape = {"day": "yyyy-mm-dd", "month": "yyyy-mm", "year": "yyyy"}[kind]
    raise Problem(422, "invalid-date", f"Not a {kind}", f"found {text!r}; give a {kind} as {shape}, 1970 to 2199")


def last_day(calendar: PlantCalendar, span: Span) -> date:
    """The calendar day that holds the end of a span; a span that ends at midnight ends with the day before."""
    return calendar.local(max(span.start_ns, span.end_ns - 1)).date()
