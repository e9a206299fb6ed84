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
    """Split a text into rows; empty lines are passed over. Raises InputError without a heading or beyond ROWS_MAX rows."""
    source = io.StringIO(text, newline="")
    for _ in range(form.lines_before_header):
        source.readline()
    reader = csv.reader(source, delimiter=form.delimiter, quotechar=form.quote)
    heading = tuple(cell.strip() for cell in next(reader, []))
    if not any(heading):
        line = form.lines_before_header + 1
        raise InputError(f"line {line} should hold the headings and is empty; set file.lines_before_header of the mapping")
    cells: list[list[str]] = []
    lines: list[int] = []
    problems: list[LineProblem] = []
    rows = 0
    for row in _rows(reader):
        rows += 1
        line = reader.line_num + form.lines_before_header
        if rows > ROWS_MAX:
            raise InputError(f"more than {ROWS_MAX} rows; split the file and import the parts one after the other")
        if isinstance(row, csv.Error):
            problems.append(LineProblem(line, "", str(row)))
        elif len(row) != len(heading):
            text_of_row = form.delimiter.join(row)[:TEXT_MAX]
            problems.append(LineProblem(line, text_of_row, f"{len(row)} cells, the heading has {len(heading)}"))
        else:
            cells.append(row)
            lines.append(line)
    return Table(heading, cells, lines, rows, tuple(problems))


def _rows(reader: Iterator[list[str]]) -> Iterator[list[str] | csv.Error]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield error
            continue
        if row:
            yield row


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
