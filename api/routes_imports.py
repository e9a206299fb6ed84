"""History of a meter, taken in by the process that holds the files: what `potwatt import` sends while a program runs."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from api.answers import json_answer
from api.context import Context, Ctx, Editor, Importer, Plant, Viewer
from api.problem import Problem, unknown
from api.times import END, parse_span, to_ns
from plant.frame import ERA_UNTIL_NS, FRAMES_MAX, NS_PER_MS, FrameBlock
from plant.quantities import QUANTITIES
from plant.site import IMPORTED, Site

router = APIRouter(prefix="/api/v1/plants/{plant}/imports", tags=["imports"])
EVER_S = to_ns(END) / 1e9
QUANTITIES_MAX = 64

Value = Annotated[float, Field(allow_inf_nan=False)]
Quality = Annotated[int, Field(ge=0, le=2**15 - 1)]


class ImportPost(BaseModel):
    """Readings of one meter in ascending time, columns by quantity in its canonical unit; null is missing. A reading stands
    for the ``interval_s`` from its instant on."""

    model_config = ConfigDict(extra="forbid")
    file: Annotated[str, Field(min_length=1, max_length=200)]
    meter: str
    interval_s: Annotated[int, Field(ge=1, le=86_400)]
    t_ms: Annotated[list[Annotated[int, Field(ge=0, lt=ERA_UNTIL_NS // NS_PER_MS)]], Field(min_length=1, max_length=FRAMES_MAX)]
    value: Annotated[dict[str, list[Value | None]], Field(min_length=1, max_length=QUANTITIES_MAX)]
    quality: dict[str, list[Quality]]

    def block(self, site: Site) -> FrameBlock:
        """The readings as a block. Raises Problem 422."""
        if self.meter not in site.meters:
            raise unknown("meter", self.meter, site.meters, status=422)
        for name in self.value:
            if name not in QUANTITIES:
                raise unknown("quantity", name, QUANTITIES, status=422)
        t_ns = np.array(self.t_ms, np.int64) * NS_PER_MS
        lengths = {*map(len, self.value.values()), *map(len, self.quality.values())}
        if self.quality.keys() != self.value.keys() or lengths != {len(t_ns)}:
            raise _uneven("each quantity has to have a value and a quality for every instant of t_ms")
        if np.any(np.diff(t_ns) <= 0):
            raise _uneven("t_ms has to ascend, each instant once")
        value = np.array([self.value[name] for name in self.value], np.float64).T
        quality = np.array([self.quality[name] for name in self.value], np.int16).T
        return FrameBlock(
            site.id, IMPORTED, tuple(self.value), (self.meter,), np.zeros(len(t_ns), np.int32), t_ns, value, quality
        )


@router.post("", status_code=201)
async def take(site: Plant, context: Ctx, caller: Editor, post: ImportPost) -> Response:
    """Store what is not there yet: counts of values stored, repeated (there already), conflicting (others are stored; these
    were not written). Sending the same again changes nothing."""
    written = await _importer(context).take(post.block(site), post.interval_s)
    counts = {"stored": written.stored, "repeated": written.repeated, "conflicting": written.conflicting}
    if written.stored:
        detail = {"file": post.file, "meter": post.meter, "from_ms": post.t_ms[0], **counts}
        await context.ledger.audit(site.id, caller.name, "import", detail)
    return json_answer(counts, 201)


@router.get("/open")
async def still_open(site: Plant, context: Ctx, _: Viewer, start: str, end: str) -> Response:
    """Of how many nodes figures of [start, end) are still to be computed anew."""
    span = parse_span(start, end, context.clock.now_ns(), EVER_S)
    return json_answer({"plant": site.id, "open_nodes": await _importer(context).open_nodes(span)})


def _uneven(detail: str) -> Problem:
    return Problem(422, "uneven-columns", "The columns do not fit together", detail)


def _importer(context: Context) -> Importer:
    if context.importer is None:
        raise Problem(404, "no-imports", "Nothing is imported here", "this process holds no files; ask the one that does")
    return context.importer
