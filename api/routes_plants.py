"""Plants and their figures: what there is, now, and for a span."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from analytics.limits import limit_rows
from api.answers import json_answer, json_bytes
from api.context import Context, Ctx, Plant, Viewer
from api.live import period_json, points_json
from api.problem import Problem
from api.schemas import site_json
from api.times import last_day, parse_span, whole_slots

router = APIRouter(prefix="/api/v1", tags=["plants"])
KPI_SPAN_MAX_S = 3_700 * 86_400.0
Running = Literal["now", "last_15min", "last_24h", "shift", "production_day", "day", "month"]


@router.get("/plants")
async def plants(context: Ctx, _: Viewer) -> Response:
    """The plants of this installation."""
    site = context.site
    row = {"id": site.id, "title": {"en": site.title_en, "zh": site.title_zh}, "href": f"/api/v1/plants/{site.id}"}
    return json_answer({"plants": [row], "version": context.version})


@router.get("/plants/{plant}")
async def plant_structure(site: Plant, context: Ctx) -> Response:
    """The plant's graph, potlines, metering points and meters, and the limits in force today by indicator."""
    today = site.calendar.local(context.clock.now_ns()).date()
    limits = limit_rows(context.rulebook, site, today)
    return json_answer(site_json(site) | {"date": today.isoformat(), "limits": limits})


@router.get("/plants/{plant}/live")
async def live(request: Request, _: Plant) -> Response:
    """Power, figures of the running periods, meters and alerts, at most one second old."""
    return json_bytes(await request.app.state.hub.document())


@router.get("/plants/{plant}/kpis")
async def kpis(
    site: Plant,
    context: Ctx,
    span: Annotated[Running | None, Query(description="a running period; or give start and end")] = None,
    start: Annotated[str | None, Query(description="-24h unless told")] = None,
    end: Annotated[str | None, Query(description="now unless told")] = None,
) -> Response:
    """Figures by node with band, completeness, measured share and status, and the limits they were held against."""
    if span is not None and (start is not None or end is not None):
        raise Problem(422, "what-span", "Which span", "give `span`, or `start` and `end`, not both")
    return json_answer(await _kpis(context, site.id, span, "-24h" if start is None else start, "now" if end is None else end))


async def _kpis(context: Context, plant: str, span: Running | None, start: str, end: str) -> dict[str, Any]:
    now_ns = context.clock.now_ns()
    if span is not None:
        windows = (await context.analytics.live()).windows
        if span not in windows:
            raise Problem(
                404,
                "no-data-yet",
                "No data yet",
                f"{span} has no data yet; running periods with data: {', '.join(windows) or 'none'}",
            )
        period = windows[span]
    else:
        period = await context.analytics.figures(whole_slots(parse_span(start, end, now_ns, KPI_SPAN_MAX_S)))
    day = last_day(context.site.calendar, period.span)
    return {
        "plant": plant,
        "name": span,
        **period_json(period),
        "points": points_json(period),
        "limits": limit_rows(context.rulebook, context.site, day),
    }
