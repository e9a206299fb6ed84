"""History that reaches a running program: its own end of `potwatt import`, and the command's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt

from api.times import rfc3339
from collector.import_store import refuse_expired, write_blocks
from collector.importer import ImportPlan
from plant.errors import TransportError
from plant.frame import FRAMES_MAX, NS_PER_MS, FrameBlock
from plant.ports import Clock, Ledger, SeriesStore, Written
from plant.series import QUARTER_NS, Span
from plant.site import Site
from potwatt.clock import SystemClock
from potwatt.load import Loaded
from potwatt.running import ask, fetch

BODY_BYTES = 56 * 1024  # under what the API takes at a time
ROW_BYTES, CELL_BYTES = 16, 36  # at most, as JSON
FILE_NAME_MAX = 200
LOOK_S, PATIENCE_S = 1.0, 900.0


class HistoryImporter:
    """See ``api.context.Importer``. One block at a time: what is new is found by looking first."""

    def __init__(self, site: Site, store: SeriesStore, ledger: Ledger, clock: Clock) -> None:
        self._site, self._store, self._ledger, self._clock = site, store, ledger, clock
        self._one = asyncio.Lock()

    async def take(self, block: FrameBlock, interval_s: int) -> Written:
        """Counts of values."""
        async with self._one:
            now_ns = self._clock.now_ns()
            return await write_blocks([block], interval_s, self._site, store=self._store, ledger=self._ledger, now_ns=now_ns)

    async def open_nodes(self, span: Span) -> int:
        """Nodes with dirty slots in the span."""
        return len(await self._ledger.dirty_nodes(self._site.id, span))


async def send_plan(loaded: Loaded, plan: ImportPlan, file: Path, tell: Callable[[int, int], None]) -> Written:
    """Have the running program store a plan, piece by piece; ``tell`` is called with Frames sent and Frames in all. Raises
    InputError, having sent nothing, where the store would not keep the values; TransportError."""
    refuse_expired(plan.blocks, loaded.site, SystemClock().now_ns())
    counts, sent, frames = Written(0, 0, 0), 0, sum(map(len, plan.blocks))
    for body in bodies(plan.blocks, plan.interval_s, file.name):
        try:
            answer = await asyncio.to_thread(ask, loaded, _path(loaded), body)
        except TransportError as error:
            raise TransportError(
                f"{error}; {sent} of {frames} rows were taken and stay: the same command goes on where this one ended"
            ) from error
        counts = Written(
            counts.stored + answer["stored"], counts.repeated + answer["repeated"], counts.conflicting + answer["conflicting"]
        )
        sent += len(body["t_ms"])
        tell(sent, frames)
    return counts


async def computed(loaded: Loaded, span: Span) -> bool:
    """Wait until the running program has computed what an import touched; False where it still works after a while."""
    reach = urlencode({"start": rfc3339(span.start_ns - QUARTER_NS), "end": rfc3339(span.end_ns + QUARTER_NS)})
    for _ in range(round(PATIENCE_S / LOOK_S)):
        if not (await asyncio.to_thread(fetch, loaded, f"{_path(loaded)}/open?{reach}"))["open_nodes"]:
            return True
        await asyncio.sleep(LOOK_S)
    return False


def bodies(blocks: Sequence[FrameBlock], interval_s: int, file: str) -> Iterator[dict[str, Any]]:
    """Blocks as the documents that the API takes, each within its bound."""
    for block in blocks:
        rows = min(FRAMES_MAX, BODY_BYTES // (ROW_BYTES + CELL_BYTES * len(block.quantities)))
        for at in range(0, len(block), rows):
            yield _body(block.take(slice(at, at + rows)), interval_s, file[:FILE_NAME_MAX])


def _path(loaded: Loaded) -> str:
    return f"/api/v1/plants/{loaded.site.id}/imports"


def _body(block: FrameBlock, interval_s: int, file: str) -> dict[str, Any]:
    columns = list(enumerate(block.quantities))
    return {
        "file": file,
        "meter": block.meters[0],
        "interval_s": interval_s,
        "t_ms": (block.t_ns // NS_PER_MS).tolist(),
        "value": {name: _known(block.value[:, column]) for column, name in columns},
        "quality": {name: block.quality[:, column].tolist() for column, name in columns},
    }


def _known(column: npt.NDArray[np.float64]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in column.tolist()]
