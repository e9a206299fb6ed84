"""Texts of InfluxQL: the portable subset that InfluxDB 1.x, 2.x, 3.x and openGemini share, names and times escaped."""

from __future__ import annotations

from collections.abc import Sequence

from plant.frame import NS_PER_MS
from plant.series import Span

EVER = Span(0, 7_258_118_400_000_000_000)  # 1970 to 2200: every statement has bounded time


def identifier(name: str) -> str:
    """A field, tag or database name."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def literal(text: str) -> str:
    """A tag value."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def where(plant: str, span: Span, tag: str = "", names: Sequence[str] = ()) -> str:
    """Condition on the plant, on whole ms of [start, end) and on a tag being one of ``names``."""
    first_ms, end_ms = -(-span.start_ns // NS_PER_MS), -(-span.end_ns // NS_PER_MS)
    condition = f'"plant" = {literal(plant)} AND time >= {first_ms}ms AND time < {end_ms}ms'
    if names:
        condition += " AND (" + " OR ".join(f"{identifier(tag)} = {literal(name)}" for name in names) + ")"
    return condition


def select(what: Sequence[str], measurement: str, condition: str, group_by: str = "") -> str:
    """One SELECT of the columns ``what``, which are texts of InfluxQL already."""
    grouping = f" GROUP BY {identifier(group_by)}" if group_by else ""
    return f"SELECT {', '.join(what)} FROM {identifier(measurement)} WHERE {condition}{grouping}"  # noqa: S608 - names are escaped above
