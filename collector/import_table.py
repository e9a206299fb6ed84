"""Rows and numbers of a delimited text. Pure; a bad line or cell is reported and the rest goes on."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.import_mapping import FileFormat
from collector.import_report import LineProblem
from plant.errors import InputError

ROWS_MAX = 5_000_000
TEXT_MAX = 120
HEADING_LINES_MAX = 20


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The rows that have as many cells as the heading; ``lines`` holds their numbers in the file, from 1.

    ``rows`` counts all rows, ``problems`` tells of those that were not taken.
    """

    heading: tuple[str, ...]
    cells: list[list[str]]
    lines: list[int]
    rows: int
    problems: tuple[LineProblem, ...]

    def position(self, wanted: str | int) -> int:
        """Index of a column by heading or number from 1. Raises InputError naming the headings there are."""
        headings = ", ".join(self.heading)
        if isinstance(wanted, int):
            if wanted <= len(self.heading):
                return wanted - 1
            raise InputError(f"the mapping asks for column {wanted}, the file has {len(self.heading)}: {headings}")
        count = self.heading.count(wanted)
        if count == 1:
            return self.heading.index(wanted)
        found = f"the file has {count or 'no'} column{'s' * (count != 1)} headed {wanted!r}"
        raise InputError(f"{found}; its headings are {headings}; the mapping may also give a column's number from 1")

    def problem(self, row: int, reason: str) -> LineProblem:
        """What is wrong with a row that was read."""
        return LineProblem(self.lines[row], ",".join(self.cells[row])[:TEXT_MAX], reason)


def read_table(text: str, form: FileFormat) -> Table:
    """Split a text into rows, one a line; empty lines are passed over. Only the headings may hold line ends within quotes:
    a stray quote below them costs its own line and no other. Raises InputError without a heading or beyond ROWS_MAX rows.
    """
    source = io.StringIO(text, newline="")
    for _ in range(form.lines_before_header):
        source.readline()
    heading, heading_end = _heading(source, form)
    cells: list[list[str]] = []
    lines: list[int] = []
    problems: list[LineProblem] = []
    rows = 0
    for line, of_line in enumerate(source, heading_end + 1):
        plain = of_line.rstrip("\r\n")
        if not plain:
            continue
        rows += 1
        if rows > ROWS_MAX:
            raise InputError(f"more than {ROWS_MAX} rows; split the file and import the parts one after the other")
        row = _cells(plain, form)
        if isinstance(row, csv.Error):
            problems.append(LineProblem(line, plain[:TEXT_MAX], str(row)))
        elif len(row) != len(heading):
            problems.append(LineProblem(line, plain[:TEXT_MAX], f"{len(row)} cells, the heading has {len(heading)}"))
        else:
            cells.append(row)
            lines.append(line)
    return Table(heading, cells, lines, rows, tuple(problems))


def _heading(source: Iterator[str], form: FileFormat) -> tuple[tuple[str, ...], int]:
    """The headings, and the number of their last line in the file."""
    reader = csv.reader(source, delimiter=form.delimiter, quotechar=form.quote)
    first = form.lines_before_header + 1
    try:
        heading = tuple(cell.strip() for cell in next(reader, []))
    except csv.Error as error:
        raise InputError(f"line {first} should hold the headings: {error}; mend it, or file.quote of the mapping") from error
    if reader.line_num > HEADING_LINES_MAX:
        raise InputError(f"line {first} should hold the headings: a quote ({form.quote}) is opened there and not closed; mend it")
    if not any(heading):
        raise InputError(f"line {first} should hold the headings and is empty; set file.lines_before_header of the mapping")
    return heading, form.lines_before_header + reader.line_num


def _cells(line: str, form: FileFormat) -> list[str] | csv.Error:
    if form.quote not in line:
        return line.split(form.delimiter)
    try:
        # strict, so that a quote that is not closed is an error and not the beginning of a long cell
        return next(csv.reader([line], delimiter=form.delimiter, quotechar=form.quote, strict=True))
    except csv.Error as error:
        return error


def numbers(table: Table, column: str | int, form: FileFormat) -> tuple[npt.NDArray[np.float64], list[LineProblem]]:
    """float64[rows] as the file says them; NaN where a cell is empty, says "missing", or cannot be read (then reported)."""
    position = table.position(column)
    missing = frozenset(("", *form.missing))
    values = np.full(len(table.cells), math.nan)
    problems: list[LineProblem] = []
    for row, cells in enumerate(table.cells):
        text = cells[position].strip()
        if text in missing:
            continue
        plain = text.replace(form.thousands, "") if form.thousands else text
        number = _number(plain if form.decimal == "." else plain.replace(form.decimal, "."))
        if number is None:
            problems.append(table.problem(row, f"{column}: {text[:40]!r} is not a number"))
        else:
            values[row] = number
    return values, problems


def _number(text: str) -> float | None:
    # float() alone would also take "1_000", "infinity" and "nan"
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
