"""Alerts that stand, their history, and the event stream."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from api.answers import json_answer
from api.context import Ctx, Plant
from api.times import parse_span

router = APIRouter(prefix="/api/v1/plants/{plant}", tags=["alerts"])
ALERT_SPAN_MAX_S = 400 * 86_400.0


@router.get("/alerts")
async def alerts(site: Plant, context: Ctx, start: str = "-7d", end: str = "now") -> Response:
    """Active alerts and the history of a span, newest first."""
    span = parse_span(start, end, context.clock.now_ns(), ALERT_SPAN_MAX_S)
    active = context.alerts.active() if context.alerts else []
    return json_answer({"plant": site.id, "active": active, "history": await context.ledger.alert_events(site.id, span)})


@router.get("/events", response_class=StreamingResponse)
async def events(request: Request, _: Plant) -> StreamingResponse:
    """Server-sent events: ``live`` (each second), ``alert``, ``progress``, ``fault``; a comment keeps a quiet line alive."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(request.app.state.hub.listen(), media_type="text/event-stream", headers=headers)
