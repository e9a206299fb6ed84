"""Group commit: several callers' records share one write and one sync, in one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from collector.disk import Disk
from collector.segments import SegmentWriter
from collector.spool_small import NO_SPACE
from plant.errors import SpoolError, SpoolFull
from plant.ports import Clock, HealthBoard

RETRY_S = 1.0
PART = "spool"


class Room(Enum):
    """What can be done about a disk without room."""

    MADE = "made"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class CommitSettings:
    """Pace of the syncs, and when a segment is full: by bytes, or by age in ns of the spool's running time."""

    interval_s: float
    segment_bytes: int
    segment_age_ns: int


@dataclass(slots=True)
class _Waiting:
    data: bytes
    frames: int
    done: asyncio.Future[None]


class GroupCommit:
    """``grown(number, size)`` is called when a segment's durable size has grown, ``make_room`` when the disk has none,
    ``elapsed_ns`` tells the spool's running time."""

    def __init__(
        self,
        directory: Path,
        disk: Disk,
        clock: Clock,
        health: HealthBoard,
        settings: CommitSettings,
        *,
        grown: Callable[[int, int], None],
        make_room: Callable[[], Awaitable[Room]],
        elapsed_ns: Callable[[], int],
    ) -> None:
        self._directory, self._disk, self._clock, self._health = directory, disk, clock, health
        self._settings, self._grown, self._make_room, self._elapsed_ns = settings, grown, make_room, elapsed_ns
        self._waiting: list[_Waiting] = []
        self.waiting_bytes = 0
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "spool-writer")
        self._writer: SegmentWriter | None = None  # the writer's thread alone, once open
        self._writer_begun_ns = 0
        self._number = 0  # the last number given to a segment
        self._committer: asyncio.Task[None] | None = None
        self.closing = False
        self.trouble = ""  # why nothing is taken; empty once a write succeeded

    def begin(self, number: int) -> None:
        """Open the first segment. Blocking. Raises OSError."""
        self._number = number
        self._writer = SegmentWriter(self._disk, self._directory, number)

    def start(self) -> None:
        """Take records from now on."""
        self._writer_begun_ns = self._elapsed_ns()
        self._committer = asyncio.create_task(self._commit_loop(), name="spool-commit")

    async def close(self) -> None:
        """Commit what waits, then close the segment."""
        self.closing = True
        self._wake.set()
        if self._committer is not None:
            await self._committer
        self._thread.shutdown()
        if self._writer is not None:
            self._writer.close()

    async def write(self, data: bytes, frames: int) -> None:
        """Return when the records are durable; a failing disk makes the caller wait. Raises SpoolError when closed
        before, SpoolFull where a full disk is to be told to the source."""
        if self.closing:
            raise SpoolError("the spool is closed")
        item = _Waiting(data, frames, asyncio.get_running_loop().create_future())
        self._waiting.append(item)
        self.waiting_bytes += len(data)
        self._wake.set()
        await item.done

    async def _commit_loop(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time() - self._settings.interval_s
        while True:
            await self._wake.wait()
            if not self.closing:
                # the first record after a pause goes at once; under load everything of the interval shares one sync
                await asyncio.sleep(max(0.0, last + self._settings.interval_s - loop.time()))
            last = loop.time()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            if batch:
                await self._commit(batch)
            elif self.closing:
                return
            if self.closing:
                self._wake.set()

    async def _commit(self, batch: list[_Waiting]) -> None:
        data = b"".join([item.data for item in batch])
        try:
            failed: BaseException | None = await self._write_until_durable(data)
        except BaseException as error:
            # a bug or a cancelled committer: nobody may wait for ever, and nothing more is taken
            self.closing = True
            self._tell(f"{error!r}; nothing is taken until the program is started again")
            self._settle(batch + self._waiting, self._unfinished(error))
            raise
        self.waiting_bytes -= len(data)
        if failed is None:
            self._health.count("spool_frames_durable", {}, sum(item.frames for item in batch))
        self._settle(batch, failed)

    def _settle(self, batch: list[_Waiting], failed: BaseException | None) -> None:
        for item in batch:
            if item.done.done():
                continue  # its caller was cancelled
            if failed is None:
                item.done.set_result(None)
            else:
                item.done.set_exception(failed)

    def _unfinished(self, error: BaseException) -> SpoolError:
        return SpoolError(f"spool {self._directory}: closed before the disk took the records: {error!r}")

    async def _write_until_durable(self, data: bytes) -> SpoolError | None:
        """Try for as long as the spool is open: giving up would lose what the source counts on. The error when closing,
        or SpoolFull where the source is to know that the disk has no room."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                number, size = await loop.run_in_executor(self._thread, self._write, data)
            except Exception as error:  # one nobody expected is no reason to take nothing ever again
                self._health.count("spool_write_errors", {})
                self._tell(f"{error if isinstance(error, OSError) else repr(error)}; nothing is taken until the disk writes")
                if self.closing:
                    return self._unfinished(error)
                full = isinstance(error, OSError) and error.errno in NO_SPACE
                room = await self._make_room() if full else Room.WAIT
                if room is Room.REFUSE:
                    return SpoolFull(f"spool {self._directory}: {error}; free some room on the disk")
                if room is Room.WAIT:
                    await self._clock.sleep(RETRY_S)
            else:
                self.trouble = ""
                self._grown(number, size)
                return None

    def _tell(self, trouble: str) -> None:
        self.trouble = f"spool {self._directory}: {trouble}"
        self._health.set(PART, "down", self.trouble)

    def _write(self, data: bytes) -> tuple[int, int]:
        """Runs in the writer's thread. Number and durable size of the active segment; after any error that segment is
        written no further."""
        if self._writer is not None and self._writer.size and self._is_full(self._writer.size + len(data)):
            full, self._writer = self._writer, None
            full.close()
        if self._writer is None:
            self._number += 1
            self._writer = SegmentWriter(self._disk, self._directory, self._number)
            self._writer_begun_ns = self._elapsed_ns()
        try:
            self._writer.append(data)
        except BaseException:
            writer, self._writer = self._writer, None
            writer.abandon()
            raise
        return self._writer.number, self._writer.size

    def _is_full(self, size: int) -> bool:
        aged = self._elapsed_ns() - self._writer_begun_ns > self._settings.segment_age_ns
        return size > self._settings.segment_bytes or aged
