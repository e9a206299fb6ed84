"""The live bus of one process: the newest Frame of each meter, and updates for listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from plant.frame import FrameBlock
from plant.ports import Clock, LastFrame
from potwatt.clock import SystemClock

LISTENER_BACKLOG = 64
PENDING_MAX = 20_000  # Frames that wait to be looked at

# instant, our clock when it first showed, quantities, values, qualities
_Row = tuple[int, int, tuple[str, ...], list[float], list[int]]


class LiveBus:
    """Implements ``plant.ports.Bus``. Bounded: a listener that does not keep up loses the oldest updates."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._pending: list[tuple[FrameBlock, int]] = []
        self._pending_frames = 0
        self._meters: list[str] = []
        self._number: dict[str, int] = {}
        self._newest: dict[str, _Row] = {}
        self._latest: dict[str, LastFrame] = {}
        self._changed: set[str] = set()
        self._listeners: set[asyncio.Queue[tuple[str, dict[str, Any]]]] = set()

    def publish(self, block: FrameBlock) -> None:
        """Take the newest Frame of each meter; an older one (history, a late message) changes nothing."""
        if block.event_ids or not len(block):
            return
        self._pending.append((block, self._clock.now_ns()))
        self._pending_frames += len(block)
        if self._pending_frames >= PENDING_MAX:
            self._absorb()

    def _absorb(self) -> None:
        """Look at the Frames that came since the last time. Blocks of one layout are looked at as one, since a meter speaks
        in many of them; not where a stamp lies ahead of our clock, as what counts then hangs on the order of arrival."""
        pending, self._pending, self._pending_frames = self._pending, [], 0
        if any(int(block.t_ns.max()) > now_ns for block, now_ns in pending):
            for block, now_ns in pending:
                self._take([block], [now_ns])
            return
        for _, alike in groupby(pending, lambda one: (one[0].plant, one[0].profile, one[0].quantities)):
            blocks, times_ns = zip(*alike, strict=True)
            self._take(list(blocks), times_ns)

    def _take(self, blocks: list[FrameBlock], now_ns_of: Sequence[int]) -> None:
        """Blocks of one layout, each with our clock at its coming."""
        number = np.concatenate([self._numbers(block)[block.meter_index] for block in blocks])
        of_block = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
        t_ns, value, quality = (np.concatenate([getattr(b, name) for b in blocks]) for name in ("t_ns", "value", "quality"))
        rows = _newest_of_each(number, t_ns)
        quantities, columns = blocks[0].quantities, (number, of_block, t_ns, value, quality)
        self._note(quantities, now_ns_of, zip(*(column[rows].tolist() for column in columns), strict=True))

    def _numbers(self, block: FrameBlock) -> npt.NDArray[np.intp]:
        """Our number of each meter of a block."""
        try:
            return np.array(list(map(self._number.__getitem__, block.meters)), np.intp)
        except KeyError:
            for meter in block.meters:
                if meter not in self._number:
                    self._number[meter] = len(self._meters)
                    self._meters.append(meter)
            return self._numbers(block)

    def _note(self, quantities: tuple[str, ...], now_ns_of: Sequence[int], newest: Iterable[tuple[Any, ...]]) -> None:
        for number, at, t_ns, value, quality in newest:
            meter, now_ns = self._meters[number], now_ns_of[at]
            known = self._newest.get(meter)
            # a stamp ahead of our clock says nothing of order: once the device's clock is right, its Frames count again
            newer = known is None or known[0] <= t_ns or known[0] > now_ns
            row = (t_ns, _received_ns(known, t_ns, now_ns), quantities, value, quality)
            if known is not None and known[2] != quantities:
                self._newest[meter] = _over(known, row) if newer else _over(row, known)
            elif newer:
                self._newest[meter] = row
            else:
                continue
            self._changed.add(meter)

    def latest(self) -> dict[str, LastFrame]:
        """Newest Frame by meter. They are made when asked for: far more Frames come than anybody looks at."""
        self._absorb()
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


def _newest_of_each(number: npt.NDArray[np.intp], t_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Row of the newest Frame of each meter; of one that came more than once, its first coming."""
    # ascending in time, of equals the first one last: then each row takes the place of those before it
    order = len(t_ns) - 1 - np.argsort(t_ns[::-1], kind="stable")
    newest = np.full(int(number.max()) + 1, -1, np.intp)
    newest[number[order]] = order
    return newest[newest >= 0]


def _received_ns(known: _Row | None, t_ns: int, now_ns: int) -> int:
    if known is None:
        # the first one after a start may have lain in a broker or a store: it is as old as it says
        return min(t_ns, now_ns)
    return known[1] if known[0] == t_ns else now_ns  # the same reading shown again is no sign of life
