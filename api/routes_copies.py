"""Backups and exports of the embedded files, which only the running program can read. They stay on its machine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from api.answers import json_answer
from api.context import Context, Copies, Ctx, Editor, ExportedFile, ExportedRows, Plant
from api.problem import Problem
from api.times import END, parse_span, to_ns

router = APIRouter(prefix="/api/v1/plants/{plant}", tags=["copies"])
EVER_S = to_ns(END) / 1e9
LOOK_S = 1.0  # how often it is looked whether the caller still waits
Answer = TypeVar("Answer")


class ExportPost(BaseModel):
    """What to export: readings, interval amounts or figures of [start, end)."""

    model_config = ConfigDict(extra="forbid")
    what: ExportedRows
    start: str
    end: str
    format: ExportedFile


@router.post("/backups", status_code=201)
async def back_up(site: Plant, context: Ctx, caller: Editor, request: Request) -> Response:
    """Copy everything of the plant into a new folder within its data folder: path, bytes, what is not in it."""
    path, byte_count, left_out = await _while_wanted(request, _copies(context).back_up())
    await context.ledger.audit(site.id, caller.name, "backup", {"path": str(path), "bytes": byte_count})
    return json_answer({"path": str(path), "bytes": byte_count, "left_out": list(left_out)}, 201)


@router.post("/exports", status_code=201)
async def export(site: Plant, context: Ctx, caller: Editor, post: ExportPost, request: Request) -> Response:
    """Write a span into a new file within the data folder: path and rows."""
    span = parse_span(post.start, post.end, context.clock.now_ns(), EVER_S)
    path, rows = await _while_wanted(request, _copies(context).export(post.what, span, post.format))
    await context.ledger.audit(site.id, caller.name, "export", {"path": str(path), "rows": rows})
    return json_answer({"path": str(path), "rows": rows}, 201)


async def _while_wanted(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer of work that may take long, which ends when the caller has gone or the server stops."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_S))[0]:
            if await request.is_disconnected():
                raise Problem(499, "caller-gone", "Caller gone", "nobody waits for this any more; it was broken off")
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _copies(context: Context) -> Copies:
    if context.copies is None:
        raise Problem(404, "no-copies", "Nothing to copy here", "this process holds no files; ask the one that does")
    return context.copies
