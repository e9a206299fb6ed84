"""Shifts, days, months and years of a plant as spans in UTC. Bounds follow the plant's zone, 23- and 25-hour days too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from plant.series import Span

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PlantCalendar:
    """``shift_starts`` ascending; the production day starts at ``production_day_start`` and names the date it starts on.

    ``closing_day`` 1..28: the closing month starts on that calendar day of the month before it ends; 1 = calendar month.
    """

    zone: ZoneInfo
    production_day_start: time = time(0)
    shift_starts: tuple[time, ...] = (time(0), time(8), time(16))
    closing_day: int = 1

    def instant_ns(self, day: date, at: time = time(0)) -> int:
        """UTC ns of a wall-clock instant; in a repeated hour the first, in a skipped hour the instant after the gap."""
        return round(datetime.combine(day, at, self.zone).timestamp()) * NS

    def local(self, t_ns: int) -> datetime:
        """Wall clock of an instant in the plant's zone, cut to the microsecond: 1 ns before midnight is still the old day."""
        second, ns = divmod(t_ns, NS)
        return datetime.fromtimestamp(second, self.zone).replace(microsecond=ns // 1_000)

    def day(self, day: date) -> Span:
        """Calendar day."""
        return Span(self.instant_ns(day), self.instant_ns(day + timedelta(days=1)))

    def production_day(self, day: date) -> Span:
        """Production day that starts on ``day``."""
        start = self.production_day_start
        return Span(self.instant_ns(day, start), self.instant_ns(day + timedelta(days=1), start))

    def production_date(self, t_ns: int) -> date:
        """The date of the production day that holds an instant."""
        wall = self.local(t_ns)
        return wall.date() - timedelta(days=int(wall.time() < self.production_day_start))

    def shift(self, day: date, number: int) -> Span:
        """Shift ``number`` (0-based) that starts on calendar day ``day``."""
        start = self.instant_ns(day, self.shift_starts[number])
        if number + 1 < len(self.shift_starts):
            return Span(start, self.instant_ns(day, self.shift_starts[number + 1]))
        return Span(start, self.instant_ns(day + timedelta(days=1), self.shift_starts[0]))

    def shift_at(self, t_ns: int) -> tuple[date, int]:
        """(day, number) of the shift that holds an instant."""
        wall = self.local(t_ns)
        number = max((i for i, s in enumerate(self.shift_starts) if s <= wall.time()), default=-1)
        if number >= 0:
            return wall.date(), number
        return wall.date() - timedelta(days=1), len(self.shift_starts) - 1

    def month(self, year: int, month: int) -> Span:
        """Calendar month."""
        return Span(self.instant_ns(date(year, month, 1)), self.instant_ns(_next_month(year, month)))

    def closing_month(self, year: int, month: int) -> Span:
        """The plant's closing month that ends in the calendar month given (the calendar month itself for closing day 1)."""
        if self.closing_day == 1:
            return self.month(year, month)
        previous = date(year, month, 1) - timedelta(days=1)
        start = date(previous.year, previous.month, self.closing_day)
        return Span(self.instant_ns(start), self.instant_ns(date(year, month, self.closing_day)))

    def year(self, year: int) -> Span:
        """Calendar year."""
        return Span(self.instant_ns(date(year, 1, 1)), self.instant_ns(date(year + 1, 1, 1)))


def _next_month(year: int, month: int) -> date:
    return date(year + month // 12, month % 12 + 1, 1)
