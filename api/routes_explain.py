"""What a figure rests on: its formula, the figures in it, intervals, meters, gaps, verdicts, documents, rules and settings."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from analytics.explanations import Explained
from analytics.report import kind_of
from api.answers import json_answer
from api.context import Ctx, Plant
from api.problem import Problem
from api.render.table import Lang, boundary_of, note
from api.times import check_period, parse_span, rfc3339
from plant import nodes
from plant.indicators import INDICATORS
from plant.series import Span

router = APIRouter(prefix="/api/v1/plants/{plant}/explain", tags=["explain"])
LONGEST_S = 367 * 86_400.0


@router.get("")
async def explain(
    _: Plant,
    context: Ctx,
    indicator: Annotated[str, Query(description="such as specific_energy_e1, or with its unit as figures are named")],
    node: Annotated[str, Query(description="plant, line:line-1, bus:..., branch:...")] = nodes.PLANT,
    period: Annotated[str, Query(description="2026-11-20, 2026-11 or 2026")] = "",
    span: Annotated[str, Query(description="a running window: last_15min, last_24h, shift, day, month")] = "",
    start: str = "",
    end: str = "",
    lang: Lang = "en",
) -> Response:
    """The tree under a figure of a period, of a running window, or of the 15-min intervals in [start, end)."""
    asked = _asked(period, span, start, end, context.clock.now_ns())
    name = indicator_named(indicator)
    found = await context.analytics.explain(node, name, asked)
    return json_answer(explained_json(context.site.id, asked, found, lang))


def _asked(period: str, span: str, start: str, end: str, now_ns: int) -> str | Span:
    given = [bool(period), bool(span), bool(start or end)]
    if sum(given) != 1:
        raise Problem(422, "which-span", "Which span", "give one of `period`, `span`, or `start` and `end`")
    if period:
        return check_period(kind_of(period), period)
    return span or parse_span(start or "-24h", end or "now", now_ns, LONGEST_S)


def indicator_named(text: str) -> str:
    """An indicator by its own name or with the suffix of its unit. Raises Problem 422."""
    named = {f"{name}_{row.suffix}": name for name, row in INDICATORS.items()}
    if text in INDICATORS or text in named:
        return text if text in INDICATORS else named[text]
    near = ", ".join(name for name in INDICATORS if text[:6] in name) or "see the figures of a report"
    raise Problem(422, "unknown-indicator", "No such indicator", f"indicator: found {text!r}; there are: {near}")


def explained_json(plant: str, asked: str | Span, found: Explained, lang: Lang) -> dict[str, Any]:
    """An explanation as the API and the command line give it."""
    return {
        "plant": plant,
        "asked": asked if isinstance(asked, str) else "span",
        "kind": found.kind,
        "start": rfc3339(found.span.start_ns),
        "end": rfc3339(found.span.end_ns),
        "status": found.status,
        "slots_missing": found.slots_missing,
        "interval_hash": found.interval_hash,
        "editions": found.editions,
        "tree": _in_language(found.tree.plain(), lang),
    }


def _in_language(cause: dict[str, Any], lang: Lang) -> dict[str, Any]:
    """The words that people read, in their language: titles, boundaries, reasons."""
    told = dict(cause)
    if isinstance(told.get("title"), dict):
        told["title"] = told["title"][lang]
    if told["kind"] == "figure" and "boundary" in told:
        told["boundary"] = boundary_of(told["name"], lang)
    if told["kind"] == "figure" and told.get("reason"):
        told["reason"] = note(told["reason"], lang)
    return told | {"causes": [_in_language(below, lang) for below in told["causes"]]}
