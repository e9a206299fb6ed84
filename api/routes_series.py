"""Readings and derived intervals of a span, thinned for charts where asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Query
from fastapi.responses import Response

from analytics.derive import BANDED_FIELDS, PLAIN_FIELDS
from analytics.gauges import gauge_nodes
from api.answers import json_answer
from api.context import Context, Ctx, Plant
from api.decimate import decimate
from api.problem import Problem, unknown
from api.times import parse_span, rfc3339
from plant import nodes
from plant.indicators import INDICATORS
from plant.quality import usable
from plant.quantities import QUANTITIES
from plant.series import MINUTE, MINUTE_NS, QUARTER, QUARTER_NS, RAW, Span
from plant.site import Site

router = APIRouter(prefix="/api/v1/plants/{plant}", tags=["series"])
_DAY_S = 86_400.0
SPAN_MAX_S = {RAW: 32 * _DAY_S, MINUTE: 93 * _DAY_S, QUARTER: 3_700 * _DAY_S}
STEP_NS = {MINUTE: MINUTE_NS, QUARTER: QUARTER_NS}
POINTS_MAX = 20_000
CELLS_MAX = 2_000_000
_SINKS = ("load",)  # ends of a flow that are no branch
Resolution = Literal["raw", "1m", "15m"]


@router.get("/series")
async def series(
    site: Plant,
    context: Ctx,
    meter: str | None = None,
    quantity: str | None = None,
    node: str | None = None,
    field: str | None = None,
    start: str = "-1h",
    end: str = "now",
    resolution: Resolution | None = None,
    max_points: Annotated[int, Query(ge=1, le=POINTS_MAX)] = 1_000,
) -> Response:
    """One series: readings of a meter (``meter`` + ``quantity``, as the meter says them, mounting not applied) or a derived
    figure (``node`` + ``field``, 15m unless 1m is asked). More than ``max_points`` values come as mean, min and max of equal
    cuts; invalid readings are left out of them and counted."""
    now_ns = context.clock.now_ns()
    if resolution is not None and (resolution == RAW) is (node is not None):
        allowed = "1m or 15m" if node is not None else "raw, or none"
        raise Problem(422, "wrong-resolution", "Resolution does not fit", f"resolution: found {resolution!r}; allowed: {allowed}")
    if meter is not None and quantity is not None and node is None and field is None:
        span = parse_span(start, end, now_ns, SPAN_MAX_S[RAW])
        return json_answer(await _readings(context, site, meter, quantity, span, max_points))
    if node is not None and field is not None and meter is None and quantity is None:
        cut = MINUTE if resolution == MINUTE else QUARTER
        span = parse_span(start, end, now_ns, SPAN_MAX_S[cut])
        return json_answer(await _derived(context, site, node, field, cut, span, max_points))
    raise Problem(422, "what-series", "Which series", "give `meter` and `quantity`, or `node` and `field`, not a mixture")


@router.get("/intervals")
async def intervals(
    site: Plant,
    context: Ctx,
    node: Annotated[list[str], Query(max_length=200)],
    field: Annotated[list[str], Query(max_length=64)],
    start: str = "-24h",
    end: str = "now",
    resolution: Literal["1m", "15m"] = "15m",
) -> Response:
    """Derived figures of every settled interval that starts in [start, end), by node, as columns; null where unknown."""
    for name in node:
        _known_node(site, name)
    for name in field:
        _known_field(name)
    span = parse_span(start, end, context.clock.now_ns(), SPAN_MAX_S[resolution])
    cells = int(span.seconds * 1e9 / STEP_NS[resolution]) * len(node) * len(field)
    if cells > CELLS_MAX:
        raise Problem(
            422,
            "too-much",
            "Too much at once",
            f"{cells} values asked; at most {CELLS_MAX}: shorten the span or name fewer fields",
        )
    block = await context.store.read_derived(resolution, node, field, span)
    body: dict[str, Any] = {}
    for name in node:
        columns = {f: block.column(name, f) for f in field}
        t_ns = next((t for t, _ in columns.values() if len(t)), np.empty(0, np.int64))
        body[name] = {"t_ms": t_ns // 1_000_000} | {f: value for f, (_, value) in columns.items()}
    return json_answer({"plant": site.id, "resolution": resolution, **_span_json(span), "nodes": body})


async def _readings(context: Context, site: Site, meter: str, quantity: str, span: Span, max_points: int) -> dict[str, Any]:
    if meter not in site.meters:
        raise unknown("meter", meter, site.meters)
    if quantity not in QUANTITIES:
        raise unknown("quantity", quantity, QUANTITIES, status=422)
    found = await context.store.read(meter, quantity, span)
    head = {"plant": site.id, "meter": meter, "quantity": quantity, "unit": QUANTITIES[quantity].unit, **_span_json(span)}
    if len(found) <= max_points:
        return head | {"resolution": RAW, "t_ms": found.t_ns // 1_000_000, "value": found.value, "quality": found.quality}
    valid = usable(found.value, found.quality)
    invalid = int(np.count_nonzero(np.isfinite(found.value) & ~valid))
    return head | _thinned(found.t_ns[valid], found.value[valid], span, max_points) | {"invalid_left_out": invalid}


async def _derived(
    context: Context, site: Site, node: str, field: str, resolution: str, span: Span, max_points: int
) -> dict[str, Any]:
    _known_node(site, node)
    _known_field(field)
    block = await context.store.read_derived(resolution, [node], [field], span)
    t_ns, value = block.column(node, field)
    base = field.removesuffix("_low").removesuffix("_high")
    unit = INDICATORS[base].unit if base in INDICATORS else QUANTITIES[base].unit if base in QUANTITIES else ""
    head = {"plant": site.id, "node": node, "field": field, "unit": unit, **_span_json(span)}
    if len(t_ns) <= max_points:
        return head | {"resolution": resolution, "t_ms": t_ns // 1_000_000, "value": value}
    return head | _thinned(t_ns, value, span, max_points)


def _thinned(t_ns: npt.NDArray[np.int64], value: npt.NDArray[np.float64], span: Span, max_points: int) -> dict[str, Any]:
    cut = decimate(t_ns, value, span, max_points)
    return {
        "resolution": "thinned",
        "t_ms": cut.start_ns // 1_000_000,
        "mean": cut.mean,
        "min": cut.low,
        "max": cut.high,
        "count": cut.count,
    }


def _span_json(span: Span) -> dict[str, str]:
    return {"start": rfc3339(span.start_ns), "end": rfc3339(span.end_ns)}


def _known_node(site: Site, node: str) -> None:
    known = nodes_of(site)
    if node not in known and not _is_flow(site, node):
        raise unknown("node", node, [*known, "flow:<source>><sink>"])


def _known_field(field: str) -> None:
    if field not in PLAIN_FIELDS and field.removesuffix("_low").removesuffix("_high") not in BANDED_FIELDS:
        raise unknown("field", field, [*PLAIN_FIELDS, *(f"{name}[_low|_high]" for name in BANDED_FIELDS)], status=422)


def _is_flow(site: Site, node: str) -> bool:
    """``flow:source>sink``: both are branches or what stands at the end of a flow, a source may carry its origin behind a /."""
    kind, _, ends = node.partition(":")
    source, arrow, sink = ends.partition(">")
    return kind == "flow" and bool(arrow) and source.partition("/")[0] in site.branches and sink in (*_SINKS, *site.branches)


def nodes_of(site: Site) -> Sequence[str]:
    """Every node of a plant that can have derived figures."""
    return [
        nodes.PLANT,
        *(nodes.line(p) for p in site.potlines),
        *(nodes.bus(b) for b in site.buses),
        *(nodes.branch(b) for b in site.branches),
        *(nodes.point(p) for p in site.points),
        *gauge_nodes(site),
    ]
