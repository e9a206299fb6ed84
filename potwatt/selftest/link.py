"""A TCP link that can be cut: connections end and new ones are refused until it is mended; or bytes vanish without a word."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import Enum

_CHUNK = 1 << 16


class LinkMode(Enum):
    """What the link does with bytes."""

    WHOLE = "whole"
    CUT = "cut"  # connections are reset, new ones find nobody
    SWALLOWING = "swallowing"  # connections stay, every byte is lost, as behind a dead switch


class Link:
    """From a loopback port to ``host:port``."""

    def __init__(self, listen_port: int, host: str, port: int) -> None:
        self._listen_port, self._host, self._port = listen_port, host, port
        self._mode = LinkMode.WHOLE
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._lossy: set[asyncio.StreamWriter] = set()  # a stream that lost bytes is never whole again
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._listen_port)

    async def set_mode(self, mode: LinkMode) -> None:
        """Cut, swallow or mend. A stream that has lost bytes ends when the link is whole again."""
        self._mode = mode
        if mode is LinkMode.CUT and self._server is not None:
            self._server.close()
            self._server = None
            self._reset(self._open)
        if mode is not LinkMode.CUT and self._server is None:
            await self.start()
        if mode is LinkMode.SWALLOWING:
            self._lossy |= self._open
        if mode is LinkMode.WHOLE:
            self._reset(self._lossy)
            self._lossy.clear()

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        self._reset(self._open)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _reset(self, writers: set[asyncio.StreamWriter]) -> None:
        for writer in writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        mine = {writer}
        self._open.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            mine.add(far_writer)
            self._open.add(far_writer)
            if self._mode is LinkMode.SWALLOWING:
                self._lossy |= mine
            ways = [asyncio.create_task(self._carry(a, b)) for a, b in ((reader, far_writer), (far_reader, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # cancelled by ``stop``: the server's callback would complain of a task that ends so
        finally:
            self._open -= mine
            self._lossy -= mine
            self._reset(mine)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._mode is LinkMode.SWALLOWING:
                    continue
                writer.write(data)
                await writer.drain()
