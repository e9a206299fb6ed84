"""One live document a second, built once and shared by every listener of the event stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import orjson
import structlog

from api.answers import dumped
from api.problem import Problem
from plant.errors import PotwattError
from plant.ports import Bus, Clock

TICK_S = 1.0
KEEP_ALIVE_S = 15.0
WHOLE_EVERY = 15
QUICK = ("now", "last_15min")
LISTENERS_MAX = 1_000
_QUEUE_MAX = 16  # messages; a slow listener loses the oldest
_FORWARDED = ("alert", "progress")
_log = structlog.get_logger(__name__)
_Queue = asyncio.Queue[bytes | None]


class LiveHub:
    """Builds the live document while somebody wants it, hands it and the bus's updates to all listeners as SSE messages.

    A listener gets the whole document when it comes and every ``WHOLE_EVERY`` ticks, between them only the ``QUICK``
    periods of it: the slow ones are most of its size and change by the minute.
    """

    def __init__(self, build: Callable[[], Awaitable[dict[str, Any]]], bus: Bus, clock: Clock) -> None:
        self._build, self._bus, self._clock = build, bus, clock
        self._queues: set[_Queue] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._lock = asyncio.Lock()
        self._body = b""
        self._quick = b""
        self._built_ns = 0
        self._closed = False

    def start(self) -> None:
        """Begin to tick; needs a running event loop."""
        self._tasks = [
            asyncio.create_task(self._tick(), name="api-live"),
            asyncio.create_task(self._forward(), name="api-updates"),
        ]

    def close_streams(self) -> None:
        """End every stream; a server that shuts down waits for its open answers."""
        self._closed = True
        for queue in self._queues:
            _put(queue, None)

    async def stop(self) -> None:
        """End streams and tasks."""
        self.close_streams()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def document(self) -> bytes:
        """The live document as JSON, at most one tick old. Raises what the analytics or a store raise."""
        await self._refresh()
        return self._body

    async def _refresh(self) -> None:
        async with self._lock:
            now_ns = self._clock.now_ns()
            if self._body and 0 <= now_ns - self._built_ns < TICK_S * 1e9:  # a clock set back makes nothing fresh
                return
            document = await self._build()
            self._body = dumped(document)
            quick = {name: period for name, period in document["periods"].items() if name in QUICK}
            self._quick = dumped(document | {"periods": quick})
            self._built_ns = now_ns

    def listen(self) -> AsyncIterator[bytes]:
        """Messages for one listener. Raises Problem 503 when there are too many."""
        if self._closed or len(self._queues) >= LISTENERS_MAX:
            raise Problem(
                503, "too-many-listeners", "No more listeners", f"{LISTENERS_MAX} listeners are connected; poll `live` instead"
            )
        return self._messages()

    async def _messages(self) -> AsyncIterator[bytes]:
        queue: _Queue = asyncio.Queue(_QUEUE_MAX)
        self._queues.add(queue)
        try:
            yield b"retry: 2000\n\n"
            try:
                yield message("live", await self.document())
            except PotwattError as error:
                yield message("fault", orjson.dumps({"detail": str(error)}))
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        text = await queue.get()
                except TimeoutError:
                    text = b": keep-alive\n\n"
                if text is None:
                    return
                yield text
        finally:
            self._queues.discard(queue)

    def _send(self, text: bytes) -> None:
        for queue in self._queues:
            _put(queue, text)

    async def _tick(self) -> None:
        for tick in count(1):
            await self._clock.sleep(TICK_S)
            if not self._queues:
                continue
            try:
                await self._refresh()
                self._send(message("live", self._quick if tick % WHOLE_EVERY else self._body))
            except PotwattError as error:
                self._send(message("fault", orjson.dumps({"detail": str(error)})))
            except Exception as error:  # a defect in one figure must not end the stream of all others
                _log.exception("live document failed", error=type(error).__name__)
                self._send(message("fault", orjson.dumps({"detail": f"{type(error).__name__}; the log has the details"})))

    async def _forward(self) -> None:
        async for topic, body in self._bus.listen():
            if topic in _FORWARDED and self._queues:
                self._send(message(topic, orjson.dumps(body)))


def message(event: str, data: bytes) -> bytes:
    """One server-sent event; JSON holds no line break."""
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


def _put(queue: _Queue, text: bytes | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(text)
