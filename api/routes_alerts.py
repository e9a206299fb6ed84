"""Alerts that stand, their history, and the event stream."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from api.answers import json_answer
from api.context import Ctx, Editor, Plant
from api.problem import Problem, unknown
from api.times import parse_span

router = APIRouter(prefix="/api/v1/plants/{plant}", tags=["alerts"])
ALERT_SPAN_MAX_S = 400 * 86_400.0


@router.get("/alerts")
async def alerts(site: Plant, context: Ctx, start: str = "-7d", end: str = "now") -> Response:
    """Active alerts and the history of a span, newest first."""
    span = parse_span(start, end, context.clock.now_ns(), ALERT_SPAN_MAX_S)
    active = context.alerts.active() if context.alerts else []
    return json_answer({"plant": site.id, "active": active, "history": await context.ledger.alert_events(site.id, span)})


@router.post("/alerts/{key:path}/acknowledge")
async def acknowledge(site: Plant, context: Ctx, caller: Editor, key: str) -> Response:
    """Take note of a raised alert, under the caller's name: no more reminders until it ends."""
    if context.alerts is None:
        raise Problem(
            404, "no-alerts-here", "No alerts here", "this process runs without the role alert; ask the one that runs with it"
        )
    if not await context.alerts.acknowledge(key, caller.name):
        raised = [str(a["key"]) for a in context.alerts.active() if a.get("state") == "raised"]
        raise unknown("raised alert", key, raised)
    await context.ledger.audit(site.id, caller.name, "alert.acknowledge", {"key": key})
    return json_answer({"result": "acknowledged", "key": key, "by": caller.name})


@router.get("/events", response_class=StreamingResponse)
async def events(request: Request, _: Plant) -> StreamingResponse:
    """Server-sent events: ``live`` (each second), ``alert``, ``progress``, ``fault``; a comment keeps a quiet line alive."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(request.app.state.hub.listen(), media_type="text/event-stream", headers=headers)
