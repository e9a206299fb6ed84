"""Verdicts on stored readings: what was found out later, applied whenever they are read. Readings themselves never change."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.answers import json_answer
from api.context import Ctx, Editor, Plant
from api.problem import Problem, unknown
from api.routes_ledger import LEDGER_SPAN_MAX_S
from api.schemas import Text
from api.times import parse_span, rfc3339, to_ns
from plant.errors import InputError
from plant.ports import Annotation
from plant.quantities import QUANTITIES
from plant.site import Site
from plant.verdicts import checked

router = APIRouter(prefix="/api/v1/plants/{plant}/annotations", tags=["annotations"])


class AnnotationPost(BaseModel):
    """A verdict on the readings of a meter in [start, end); an empty ``quantity`` means all of them."""

    model_config = ConfigDict(extra="forbid")

    meter: Text
    quantity: Annotated[str, Field(max_length=100)] = ""
    start: AwareDatetime
    end: AwareDatetime
    verdict: Text
    who: Text
    cause: Text


@router.get("")
async def read_annotations(site: Plant, context: Ctx, start: str = "-31d", end: str = "now") -> Response:
    """Verdicts that touch the span, oldest first."""
    span = parse_span(start, end, context.clock.now_ns(), LEDGER_SPAN_MAX_S)
    found = await context.ledger.annotations(site.id, span)
    return json_answer({"plant": site.id, "annotations": [_json(a) for a in found]})


@router.post("", status_code=201)
async def annotate(site: Plant, context: Ctx, caller: Editor, post: AnnotationPost) -> Response:
    """Add a verdict: what it touches is computed anew. A later verdict ``good`` lifts earlier ones over its span."""
    found = verdict_of(site, post)
    [id_] = await context.ledger.annotate([found])
    await context.ledger.audit(site.id, caller.name, "annotate", {"id": id_, **_json(found)})
    return json_answer({"result": "recorded", "id": id_}, 201)


def verdict_of(site: Site, post: AnnotationPost) -> Annotation:
    """The verdict as the ledger keeps it. Raises Problem 422 for a meter or quantity that is not there, or an empty span."""
    if post.meter not in site.meters:
        raise unknown("meter", post.meter, list(site.meters), status=422)
    if post.quantity and post.quantity not in QUANTITIES:
        raise unknown("quantity", post.quantity, list(QUANTITIES), status=422)
    start_ns, end_ns = to_ns(post.start), to_ns(post.end)
    if end_ns <= start_ns:
        raise Problem(422, "empty-span", "Empty span", f"end {rfc3339(end_ns)} is not after start {rfc3339(start_ns)}")
    try:
        verdict = checked(post.verdict)
    except InputError as error:
        raise Problem(422, "unknown-verdict", "Unknown verdict", str(error)) from None
    return Annotation(site.id, post.meter, post.quantity, start_ns, end_ns, verdict, post.who, post.cause)


def _json(a: Annotation) -> dict[str, Any]:
    return {
        "id": a.id,
        "meter": a.meter,
        "quantity": a.quantity,
        "start": rfc3339(a.start_ns),
        "end": rfc3339(a.end_ns),
        "verdict": a.verdict,
        "who": a.author,
        "cause": a.cause,
        "recorded": None if a.recorded_ns is None else rfc3339(a.recorded_ns),
    }
