"""A report as an XLSX sheet with numbers as numbers."""

from __future__ import annotations

import io

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from api.render.table import NUMERIC, Cell, Table

_WIDTH_TEXT, _WIDTH_NUMBER = 32, 16


def to_xlsx(table: Table) -> bytes:
    """One sheet; texts are stored as texts, so none can act as a formula."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("potwatt")
    for position in range(len(table.columns)):
        sheet.column_dimensions[get_column_letter(position + 1)].width = _WIDTH_NUMBER if position in NUMERIC else _WIDTH_TEXT

    def cell(value: Cell, *, bold: bool = False) -> WriteOnlyCell:
        # a sheet cannot hold control characters, and a text from a ledger may
        made = WriteOnlyCell(
            sheet, ILLEGAL_CHARACTERS_RE.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value
        )
        if isinstance(value, str):
            made.data_type = "s"
        elif value is not None:
            made.number_format = "#,##0.00"
        if bold:
            made.font = Font(bold=True)
        return made

    sheet.append([cell(table.title, bold=True)])
    for name, value in table.head:
        sheet.append([cell(name), cell(value)])
    sheet.append([])
    sheet.append([cell(name, bold=True) for name in table.columns])
    for number, row in enumerate(table.rows):
        if number in table.sections:
            sheet.append([cell(table.sections[number], bold=True)])
        sheet.append([cell(value) for value in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
