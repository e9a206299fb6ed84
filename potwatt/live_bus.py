"""The live bus of one process: the newest Frame of each meter, and updates for listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import numpy.typing as npt

from plant.frame import FrameBlock
from plant.ports import Clock, LastFrame
from potwatt.clock import SystemClock

LISTENER_BACKLOG = 64

# instant, our clock when it first showed, quantities, values, qualities
_Row = tuple[int, int, tuple[str, ...], list[float], list[int]]


class LiveBus:
    """Implements ``plant.ports.Bus``. Bounded: a listener that does not keep up loses the oldest updates."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._newest: dict[str, _Row] = {}
        self._latest: dict[str, LastFrame] = {}
        self._changed: set[str] = set()
        self._listeners: set[asyncio.Queue[tuple[str, dict[str, Any]]]] = set()

    def publish(self, block: FrameBlock) -> None:
        """Take the newest Frame of each meter; an older one (history, a late message) changes nothing."""
        if block.event_ids or not len(block):
            return
        now_ns = self._clock.now_ns()
        rows = _last_of_each(block)
        columns = (
            block.meter_index[rows].tolist(),
            block.t_ns[rows].tolist(),
            block.value[rows].tolist(),
            block.quality[rows].tolist(),
        )
        for position, t_ns, value, quality in zip(*columns, strict=True):
            meter = block.meters[position]
            known = self._newest.get(meter)
            # a stamp ahead of our clock says nothing of order: once the device's clock is right, its Frames count again
            newer = known is None or known[0] <= t_ns or known[0] > now_ns
            row = (t_ns, _received_ns(known, t_ns, now_ns), block.quantities, value, quality)
            if known is not None and known[2] != block.quantities:
                self._newest[meter] = _over(known, row) if newer else _over(row, known)
            elif newer:
                self._newest[meter] = row
            else:
                continue
            self._changed.add(meter)

    def latest(self) -> dict[str, LastFrame]:
        """Newest Frame by meter. They are made when asked for: far more Frames come than anybody looks at."""
        for meter in self._changed:
            t_ns, received_ns, names, value, quality = self._newest[meter]
            self._latest[meter] = LastFrame(
                meter, t_ns, dict(zip(names, value, strict=True)), dict(zip(names, quality, strict=True)), received_ns
            )
        self._changed.clear()
        return self._latest

    def announce(self, topic: str, body: dict[str, Any]) -> None:
        """Hand an update to all listeners."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait((topic, body))

    async def listen(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Updates from now on."""
        queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(LISTENER_BACKLOG)
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)


def _over(older: _Row, newer: _Row) -> _Row:
    """A Frame that speaks of other quantities than the one before (a device that reports by exception) leaves those as they
    were: instant and receipt are the newer one's."""
    value = dict(zip(older[2], older[3], strict=True)) | dict(zip(newer[2], newer[3], strict=True))
    quality = dict(zip(older[2], older[4], strict=True)) | dict(zip(newer[2], newer[4], strict=True))
    return newer[0], newer[1], tuple(value), list(value.values()), list(quality.values())


def _last_of_each(block: FrameBlock) -> npt.NDArray[np.intp]:
    """Rows of the newest Frame of each meter of the block."""
    order = np.lexsort((block.t_ns, block.meter_index))
    is_last = np.append(block.meter_index[order][1:] != block.meter_index[order][:-1], True)
    rows: npt.NDArray[np.intp] = order[is_last]
    return rows


def _received_ns(known: _Row | None, t_ns: int, now_ns: int) -> int:
    if known is None:
        # the first one after a start may have lain in a broker or a store: it is as old as it says
        return min(t_ns, now_ns)
    return known[1] if known[0] == t_ns else now_ns  # the same reading shown again is no sign of life
