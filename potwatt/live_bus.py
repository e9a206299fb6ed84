"""The live bus of one process: the newest Frame of each meter, and updates for listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from plant.frame import FrameBlock
from plant.ports import LastFrame

LISTENER_BACKLOG = 64


class LiveBus:
    """Implements ``plant.ports.Bus``. Bounded: a listener that does not keep up loses the oldest updates."""

    def __init__(self) -> None:
        self._latest: dict[str, LastFrame] = {}
        self._listeners: set[asyncio.Queue[tuple[str, dict[str, Any]]]] = set()

    def publish(self, block: FrameBlock) -> None:
        """Take the newest Frame of each meter; an older one (history, a late message) changes nothing."""
        if block.event_ids or not len(block):
            return
        order = np.lexsort((block.t_ns, block.meter_index))
        is_last = np.append(block.meter_index[order][1:] != block.meter_index[order][:-1], True)
        for row in order[is_last]:
            meter, t_ns = block.meter_of(int(row)), int(block.t_ns[row])
            known = self._latest.get(meter)
            if known is None or known.t_ns <= t_ns:
                self._latest[meter] = LastFrame(
                    meter,
                    t_ns,
                    dict(zip(block.quantities, block.value[row].tolist(), strict=True)),
                    dict(zip(block.quantities, block.quality[row].tolist(), strict=True)),
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
