"""The live bus of one process: the newest Frame of each meter, and updates for listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from plant.frame import FrameBlock
from plant.ports import Clock, LastFrame
from potwatt.clock import SystemClock

LISTENER_BACKLOG = 64


class LiveBus:
    """Implements ``plant.ports.Bus``. Bounded: a listener that does not keep up loses the oldest updates."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._latest: dict[str, LastFrame] = {}
        self._listeners: set[asyncio.Queue[tuple[str, dict[str, Any]]]] = set()

    def publish(self, block: FrameBlock) -> None:
        """Take the newest Frame of each meter; an older one (history, a late message) changes nothing."""
        if block.event_ids or not len(block):
            return
        now_ns = self._clock.now_ns()
        order = np.lexsort((block.t_ns, block.meter_index))
        is_last = np.append(block.meter_index[order][1:] != block.meter_index[order][:-1], True)
        for row in order[is_last]:
            meter, t_ns = block.meter_of(int(row)), int(block.t_ns[row])
            known = self._latest.get(meter)
            # a stamp ahead of our clock says nothing of order: once the device's clock is right, its Frames count again
            if known is None or known.t_ns <= t_ns or known.t_ns > now_ns:
                self._latest[meter] = LastFrame(
                    meter,
                    t_ns,
                    dict(zip(block.quantities, block.value[row].tolist(), strict=True)),
                    dict(zip(block.quantities, block.quality[row].tolist(), strict=True)),
                    _received_ns(known, t_ns, now_ns),
                )

    def latest(self) -> dict[str, LastFrame]:
        """Newest Frame by meter."""
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


def _received_ns(known: LastFrame | None, t_ns: int, now_ns: int) -> int:
    if known is None:
        # the first one after a start may have lain in a broker or a store: it is as old as it says
        return min(t_ns, now_ns)
    return known.received_ns if known.t_ns == t_ns else now_ns  # the same reading shown again is no sign of life
