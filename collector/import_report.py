"""What an import found in a table, for people to read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from plant.series import Span

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A line, or one cell of it, that was not taken: its number in the file (from 1), its text (cut), why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """One column as it is stored. ``total`` is the sum of the values taken (in ``unit``; of an instant's value it means
    nothing and is None), ``negative`` how many were below zero and ``negative_total`` their sum or None likewise."""

    name: str
    meter: str
    quantity: str
    unit: str
    values: int
    missing: int
    total: float | None
    negative: int
    lowest: float | None
    negative_total: float | None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Everything found. Counts are complete; ``gaps`` and ``problems`` hold the first of them (``*_count`` all).

    ``taken`` are the rows with a readable time that are no second row of an instant; ``repeated`` second rows say the
    same or fill empty cells, ``conflicting`` ones do not (the first value is kept). ``overlapping`` rows start before the
    interval before them ends.
    """

    rows: int
    taken: int
    span: Span | None
    repeated: int
    conflicting: int
    out_of_order: int
    overlapping: int
    gaps: tuple[Span, ...]
    gap_count: int
    gap_s: float
    problems: tuple[LineProblem, ...]
    problem_count: int
    columns: tuple[ColumnReport, ...]
    hints: tuple[str, ...]


def report_lines(report: ImportReport, zone: tzinfo | None) -> list[str]:
    """The report in English, a line each; times in ``zone`` (UTC where None)."""
    return list(_lines(report, zone or UTC))


def _lines(report: ImportReport, zone: tzinfo) -> Iterator[str]:
    yield f"{report.rows} rows read, {report.taken} taken"
    if report.span:
        yield f"from {_time(report.span.start_ns, zone)} to {_time(report.span.end_ns, zone)}"
    for column in report.columns:
        yield _column(column)
    yield f"second rows of an instant: {report.repeated} the same, {report.conflicting} different (the first is kept)"
    yield f"out of order: {report.out_of_order}; overlapping the interval before: {report.overlapping}"
    yield f"gaps: {report.gap_count}, together {report.gap_s / 3600:.2f} h"
    for gap in report.gaps[:SHOWN_MAX]:
        yield f"  {_time(gap.start_ns, zone)} to {_time(gap.end_ns, zone)}"
    yield f"lines or cells that could not be read: {report.problem_count}"
    for problem in report.problems[:SHOWN_MAX]:
        yield f"  line {problem.line}: {problem.reason}: {problem.text!r}"
    for hint in report.hints:
        yield f"note: {hint}"


def _column(column: ColumnReport) -> str:
    words = [f"{column.name} -> {column.meter} {column.quantity}: {column.values} values, {column.missing} missing"]
    if column.total is not None:
        words.append(f"sum {column.total:.3f} {column.unit}")
    if column.negative:
        negative = f"{column.negative} below zero, lowest {column.lowest:g} {column.unit}"
        words.append(negative if column.negative_total is None else f"{negative}, sum {column.negative_total:.3f}")
    return "; ".join(words)


def _time(t_ns: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(t_ns / 1e9, zone).isoformat(sep=" ", timespec="minutes")
