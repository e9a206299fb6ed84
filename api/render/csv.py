"""A report as CSV (RFC 4180) with a byte order mark, which office programs need to read Chinese."""

from __future__ import annotations

import csv
import io
import math

from api.render.table import Cell, Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(table: Table) -> bytes:
    """Title and head as lines of their own, an empty line, then the columns with numbers unrounded."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_text(table.title)])
    writer.writerows([_text(name), _text(value)] for name, value in table.head)
    writer.writerow([])
    writer.writerow(table.columns)
    writer.writerows([_cell(cell) for cell in row] for row in table.rows)
    return out.getvalue().encode("utf-8-sig")


def _cell(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return ""
    return _text(cell) if isinstance(cell, str) else repr(cell)


def _text(text: str) -> str:
    """Texts come from site files and people: none may act as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
