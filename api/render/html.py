"""A report as a page to read and print; style comes from the page's own file."""

from __future__ import annotations

import math
from html import escape

from api.render.table import NUMERIC, Cell, Lang, Table


def to_html(table: Table, lang: Lang) -> bytes:
    """A whole document without script and without any outside address."""
    head = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in table.head)
    columns = "".join(f'<th scope="col"{_class(i)}>{escape(name)}</th>' for i, name in enumerate(table.columns))
    rows = "".join(
        f"{_section(table, number)}<tr>{''.join(_cell(i, cell) for i, cell in enumerate(row))}</tr>"
        for number, row in enumerate(table.rows)
    )
    return (
        f'<!doctype html><html lang="{"zh-CN" if lang == "zh" else "en"}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(table.title)}</title><link rel="stylesheet" href="/web/report.css"></head><body><main>'
        f'<h1>{escape(table.title)}</h1><dl>{head}</dl><div class="scroll"><table><thead><tr>{columns}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></main></body></html>"
    ).encode()


def _section(table: Table, row: int) -> str:
    if row not in table.sections:
        return ""
    title = escape(table.sections[row])
    return f'</tbody><tbody><tr class="section"><th colspan="{len(table.columns)}" scope="rowgroup">{title}</th></tr>'


def _cell(column: int, cell: Cell) -> str:
    return f"<td{_class(column)}>{escape(_shown(cell))}</td>"


def _class(column: int) -> str:
    return ' class="number"' if column in NUMERIC else ""


def _shown(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "–"
    if isinstance(cell, str):
        return cell
    return f"{cell:,.1f}" if abs(cell) >= 1_000 else f"{cell:,.2f}"
