"""Rows summed to local days or other spans, a point each, with how much of it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from analytics.counters import F64, I64
from analytics.table import Table
from plant.calendar import PlantCalendar
from plant.series import Span


def days_of(calendar: PlantCalendar, span: Span) -> list[tuple[date, Span]]:
    """Calendar days that lie wholly in a span, with their spans."""
    day, found = calendar.local(span.start_ns).date(), []
    while (whole := calendar.day(day)).end_ns <= span.end_ns:
        if whole.start_ns >= span.start_ns:
            found.append((day, whole))
        day += timedelta(days=1)
    return found


def bounds_of(spans: Sequence[Span], start_ns: I64) -> tuple[I64, I64]:
    """(first row, row past the last) of each span [m] among rows that start at ``start_ns``."""
    edges = np.array([(s.start_ns, s.end_ns) for s in spans], np.int64).reshape(-1, 2)
    return np.searchsorted(start_ns, edges[:, 0]), np.searchsorted(start_ns, edges[:, 1])


def sums_of(values: F64, spans: Sequence[Span], rows: Table) -> tuple[F64, F64]:
    """(sum, share of the slots that are known) of each span [m]; missing slots are taken as the mean of the known ones of
    their span, and a span without any is NaN."""
    first, end = bounds_of(spans, rows.start_ns)
    known = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    slots = np.array([(s.end_ns - s.start_ns) / rows.step_ns for s in spans])
    found = count[end] - count[first]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(found > 0, (total[end] - total[first]) * slots / found, np.nan), found / slots
