"""Closing periods and comparing spool and store: what the command line asks of the process that holds the files."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from api.answers import json_answer
from api.context import Ctx, Editor, Plant, Viewer
from api.problem import Problem
from api.routes_reports import Kind
from api.times import check_period, parse_span

router = APIRouter(prefix="/api/v1/plants/{plant}", tags=["upkeep"])
SPAN_MAX_S = 32 * 86_400.0


class ClosingPost(BaseModel):
    """Why a period is closed; ``early`` waives the days that late documents are given."""

    model_config = ConfigDict(extra="forbid")
    cause: Annotated[str, Field(min_length=1, max_length=1_000)]
    who: Annotated[str, Field(max_length=200)] = ""
    early: bool = False


class VerificationPost(BaseModel):
    """[start, end) to look at."""

    model_config = ConfigDict(extra="forbid")
    start: str
    end: str = "now"


@router.post("/reports/{kind}/{period}/versions", status_code=201)
async def close(_: Plant, context: Ctx, caller: Editor, kind: Kind, period: str, post: ClosingPost) -> Response:
    """Freeze the report of a period that is over: its version and the hash of its intervals. With keys the key's holder is
    who closed it, and ``who`` a remark beside that name."""
    proven = context.auth is not None and post.who not in ("", caller.name)
    who = f"{post.who} ({caller.name})" if proven else post.who or caller.name
    waiting: Literal["kept", "waived"] = "waived" if post.early else "kept"
    closed = await context.analytics.close_period(kind, check_period(kind, period), post.cause, who, waiting)
    return json_answer({"kind": kind, "period": period, "version": closed.version, "interval_hash": closed.interval_hash}, 201)


@router.post("/verifications")
async def verify(site: Plant, context: Ctx, _: Viewer, post: VerificationPost) -> Response:
    """Compare what the spool still keeps with what is stored, by meter, and name what of it cannot be read."""
    if context.verifier is None:
        raise Problem(404, "no-spool", "Nothing to compare here", "this process collects nothing; ask the one that does")
    span = parse_span(post.start, post.end, context.clock.now_ns(), SPAN_MAX_S)
    return json_answer({"plant": site.id, **await context.verifier.verify(span)})
