"""The live bus of one process: the newest Frame of each meter, and updates for listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from plant.frame import FrameBlock
from plant.ports import Clock, LastFrame
from potwatt.clock import SystemClock

LISTENER_BACKLOG = 64
PENDING_MAX = 20_000  # Frames that wait to be looked at

_Times = tuple[int, int]  # instant, our clock when it first showed
# times of the newest Frame, quantities, values, qualities; times of the quantities that this Frame did not speak of
_Row = tuple[_Times, tuple[str, ...], list[float], list[int], dict[str, _Times]]


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
            newer = known is None or _is_newer(known[0], t_ns, now_ns)
            if known is not None and (known[1] != quantities or known[4]):
                self._newest[meter] = _over(known, t_ns, zip(quantities, value, quality, strict=True), now_ns)
            elif newer:
                times = t_ns, _received_ns(None if known is None else known[0], t_ns, now_ns)
                self._newest[meter] = (times, quantities, value, quality, {})
            else:
                continue
            self._changed.add(meter)

    def latest(self) -> dict[str, LastFrame]:
        """Newest Frame by meter. They are made when asked for: far more Frames come than anybody looks at."""
        self._absorb()
        for meter in self._changed:
            (t_ns, received_ns), names, value, quality, older = self._newest[meter]
            self._latest[meter] = LastFrame(
                meter, t_ns, dict(zip(names, value, strict=True)), dict(zip(names, quality, strict=True)), received_ns, older
            )
        self._changed.clear()
        return self._latest

    def withdraw(self, meters: Collection[str]) -> None:
        """What these meters said last holds no more; when they were last heard stays known."""
        self._absorb()
        for meter in meters:
            if meter in self._newest:
                self._newest[meter] = (self._newest[meter][0], (), [], [], {})
                self._changed.add(meter)

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


def _is_newer(known: _Times, t_ns: int, now_ns: int) -> bool:
    # a stamp ahead of our clock says nothing of order: once the device's clock is right, its Frames count again
    return known[0] <= t_ns or known[0] > now_ns


def _over(known: _Row, t_ns: int, said: Iterable[tuple[str, float, int]], now_ns: int) -> _Row:
    """A Frame beside those before it that spoke of other quantities (a device that reports by exception): of each quantity
    the newest, with its own times."""
    times, names, values, qualities, older = known
    found = {name: (older.get(name, times), v, q) for name, v, q in zip(names, values, qualities, strict=True)}
    for name, value, quality in said:
        before = found[name][0] if name in found else None
        if before is None or _is_newer(before, t_ns, now_ns):
            found[name] = (t_ns, _received_ns(before, t_ns, now_ns)), value, quality
    if _is_newer(times, t_ns, now_ns):
        times = t_ns, _received_ns(times, t_ns, now_ns)
    older = {name: own for name, (own, _, _) in found.items() if own != times}
    return times, tuple(found), [value for _, value, _ in found.values()], [quality for _, _, quality in found.values()], older


def _newest_of_each(number: npt.NDArray[np.intp], t_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Row of the newest Frame of each meter; of one that came more than once, its first coming."""
    # ascending in time, of equals the first one last: then each row takes the place of those before it
    order = len(t_ns) - 1 - np.argsort(t_ns[::-1], kind="stable")
    newest = np.full(int(number.max()) + 1, -1, np.intp)
    newest[number[order]] = order
    return newest[newest >= 0]


def _received_ns(known: _Times | None, t_ns: int, now_ns: int) -> int:
    if known is None:
        # the first one after a start may have lain in a broker or a store: it is as old as it says
        return min(t_ns, now_ns)
    return known[1] if known[0] == t_ns else now_ns  # the same reading shown again is no sign of life
