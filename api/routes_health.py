"""Health for machines: alive, ready, and OpenMetrics."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.responses import Response

from api.answers import json_answer
from api.context import Context, Ctx, Viewer
from api.live import health_json
from plant.errors import StoreError
from plant.ports import HealthBoard

router = APIRouter(tags=["health"])
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
STATES = ("ok", "degraded", "down", "unknown")
_NEEDED = ("store", "ledger")
_WHERE_COLLECTING = ("spool", "role:forward")  # a process that only serves has none
_ROLE = "role:"
_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


@router.get("/healthz")
async def healthz(context: Ctx) -> Response:
    """The process answers."""
    return json_answer({"state": "ok", "version": context.version})


@router.get("/readyz")
async def readyz(context: Ctx) -> Response:
    """200 when store, ledger and spool take data and no role has stopped working, else 503 with the parts that do not or
    that have not said so."""
    await _ask_ledger(context)
    parts = {h.part: h for h in context.health.all()}
    lacking = [part for part in _NEEDED if part not in parts]
    failing = [h for h in parts.values() if _keeps_data(h.part) and h.state in ("down", "unknown")]
    failing += [h for h in parts.values() if h.part.startswith(_ROLE) and h.state == "down" and h not in failing]
    ready = not lacking and not failing
    body = {"state": "ok" if ready else "down", "parts": [health_json(h) for h in failing], "not_heard_of": lacking}
    return json_answer(body, 200 if ready else 503)


async def _ask_ledger(context: Context) -> None:
    try:
        await context.ledger.get_state(context.site.id, "ready")
    except StoreError as error:
        context.health.set("ledger", "down", str(error))
    else:
        context.health.set("ledger", "ok", "answers")


def _keeps_data(part: str) -> bool:
    return part in (*_NEEDED, *_WHERE_COLLECTING)


@router.get("/metrics")
async def metrics(context: Ctx, _: Viewer) -> Response:
    """State and numbers of every part and all counters, as OpenMetrics text."""
    return Response(open_metrics(context.health, context.version), media_type=OPENMETRICS)


def open_metrics(board: HealthBoard, version: str) -> str:
    """The board as OpenMetrics text: a state set, one gauge a number, counters."""
    parts = board.all()
    lines = ["# TYPE potwatt info", f"potwatt_info{_labels([('version', version)])} 1"]
    if parts:
        lines.append("# TYPE potwatt_part_state stateset")
    for part in parts:
        for state in STATES:
            labels = _labels([("part", part.part), ("potwatt_part_state", state)])
            lines.append(f"potwatt_part_state{labels} {int(part.state == state)}")
    gauges: dict[str, list[str]] = {}
    for part in parts:
        for name, value in part.numbers.items():
            metric = f"potwatt_part_{_metric(name)}"
            gauges.setdefault(metric, []).append(f"{metric}{_labels([('part', part.part)])} {_number(value)}")
    counters: dict[str, list[str]] = {}
    for (counter, key), value in sorted(board.counters().items()):
        metric = f"potwatt_{_metric(counter).removeprefix('potwatt_')}".removesuffix("_total")
        counters.setdefault(metric, []).append(f"{metric}_total{_labels(key)} {_number(value)}")
    for kind, families in (("gauge", gauges), ("counter", counters)):
        for metric, rows in families.items():
            lines += [f"# TYPE {metric} {kind}", *rows]
    return "\n".join([*lines, "# EOF", ""])


def _metric(name: str) -> str:
    return _NOT_A_NAME.sub("_", name)


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    escaped = (f'{_metric(k)}="{_escape(v)}"' for k, v in labels)
    text = ",".join(escaped)
    return f"{{{text}}}" if text else ""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(text := repr(float(value)), text)
