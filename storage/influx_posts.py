"""Requests on their way to InfluxDB: two at a time, since points are idempotent and it does not matter which comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, Self

from storage.influx_http import InfluxHttp, LinesRefused
from storage.line_protocol import line_t_ms

LINES_MAX = 5_000  # of one request
LINES_FIRST = 1_000  # of the first: the server begins while the others are still being written
POSTS_MAX = 2  # under way at once: while the server stores one, the next is written and sent
Order = Literal["any", "behind"]


class Posts:
    """Lines for one database, posted as they come.

    Lines added ``behind`` may lie where an earlier line of the same write does: they are not sent before all that came
    earlier is stored, so that the later one stands. As a context it leaves no request alone behind it.
    """

    def __init__(self, http: InfluxHttp, database: str) -> None:
        self._http, self._database = http, database
        self._lines: list[str] = []
        self._order: Order = "any"
        self._wanted = LINES_FIRST
        self._under_way: set[asyncio.Task[None]] = set()
        self._refused: list[tuple[str, str]] = []
        self.count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def add(self, lines: Sequence[str], order: Order = "any") -> None:
        """Take lines, post what makes a whole request. Raises StoreUnavailable, StoreMisconfigured of any request so far."""
        self.count += len(lines)
        self._lines += lines
        if order == "behind" and lines:
            self._order = order
        while len(self._lines) >= self._wanted:
            await self._post(self._wanted)
            self._wanted = LINES_MAX
        await asyncio.sleep(0)  # what is under way goes on between two blocks

    async def finish(self) -> list[tuple[str, str]]:
        """Post the rest and wait for all; (line, reason) of the lines refused for ever, all others being stored."""
        if self._lines:
            await self._post(len(self._lines))
        await self._until_left(0)
        return self._refused

    async def _post(self, count: int) -> None:
        lines, self._lines = self._lines[:count], self._lines[count:]
        await self._until_left(0 if self._order == "behind" else POSTS_MAX - 1)
        self._under_way.add(asyncio.create_task(self._bisect(lines)))
        if not self._lines:
            self._order = "any"

    async def _until_left(self, most: int) -> None:
        """Wait until so few requests are under way; every one that failed ends the write, once the others have ended."""
        while len(self._under_way) > most:
            done, self._under_way = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            if any(task.exception() for task in done) and self._under_way:
                rest, self._under_way = await asyncio.wait(self._under_way)
                done |= rest
            for task in done:
                task.result()

    async def _bisect(self, lines: Sequence[str]) -> None:
        try:
            await self._http.write(self._database, lines)
        except LinesRefused as refusal:
            if refusal.dropped == len(lines) or len(lines) == 1:
                self._refused += [(line, str(refusal)) for line in lines]
            elif refusal.beyond_retention and refusal.dropped:
                # one instant divides what is kept from what is not: no need to look for it with more requests
                self._refused += [(line, str(refusal)) for line in sorted(lines, key=line_t_ms)[: refusal.dropped]]
            else:
                half = len(lines) // 2
                await self._bisect(lines[:half])
                await self._bisect(lines[half:])
