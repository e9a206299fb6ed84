"""The durable queue between the wire and the stores: what is in it survives kill -9 and power cuts.

``append`` returns when its blocks are on the disk; several callers share one sync (group commit). Always
``committed <= durable <= appended``. The bound in bytes is hard: beyond it ``append`` raises SpoolFull and the source holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from collector import segments as files
from collector.disk import OS_DISK, Disk
from collector.spool_format import Rot, encode_block, split_block
from plant.errors import SpoolError, SpoolFull
from plant.frame import FrameBlock
from plant.ports import Clock, HealthBoard, SpoolCursor
from plant.site import SpoolSettings

MIB = 2**20
NS_PER_S = 1_000_000_000
RETRY_S = 1.0
READ_TRIES_MAX = 30  # of a segment that is gone or unreadable, about a second apart
SHARE_OF_BOUND = 4  # a segment takes at most this fraction of the bound, so that passed segments free room in time
PART = "spool"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the slowest required sink has not taken yet; ``oldest_t_ns`` is None when nothing waits."""

    bytes: int
    oldest_t_ns: int | None
    age_h: float


@dataclass(slots=True)
class _Waiting:
    data: bytes
    frames: int
    done: asyncio.Future[None]


class Spool:
    """Append-only segments in ``directory``; one process at a time.

    ``sinks`` are the required ones: a segment is removed once each of them has passed it.
    """

    def __init__(
        self,
        directory: Path,
        settings: SpoolSettings,
        clock: Clock,
        health: HealthBoard,
        sinks: tuple[str, ...] = ("store",),
        disk: Disk = OS_DISK,
    ) -> None:
        self._directory, self._clock, self._health, self._disk = directory, clock, health, disk
        self._bytes_max = settings.max_mib * MIB
        self._segment_bytes = min(settings.segment_mib * MIB, self._bytes_max // SHARE_OF_BOUND)
        self._commit_s, self._age_max_h = settings.commit_ms / 1e3, settings.max_hours
        self._sizes: dict[int, int] = {}  # durable bytes of each segment, ascending
        self._cursors: dict[str, SpoolCursor | None] = dict.fromkeys(sinks)
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._grown = asyncio.Condition()
        self._thread = ThreadPoolExecutor(1, "spool-writer")
        self._lock: files.DirectoryLock | None = None
        self._writer: files.SegmentWriter | None = None  # the writer's thread alone, once open
        self._number = 0  # the last number given to a segment
        self._committer: asyncio.Task[None] | None = None
        self._failed_reads = 0
        self._seen_rot: set[tuple[int, int]] = set()
        self._closing = False

    # ---- life ----

    async def open(self) -> None:
        """Lock the directory, cut a torn tail and start a new segment. Raises SpoolError."""
        await asyncio.to_thread(self._recover)
        self._committer = asyncio.create_task(self._commit_loop(), name="spool-commit")
        self._health.set(PART, "ok", "open", bytes=float(self.size_bytes))

    def _recover(self) -> None:
        self._lock = files.DirectoryLock(self._directory, self._disk)
        try:
            sizes = files.existing_segments(self._disk, self._directory)
            if sizes:
                last = max(sizes)
                for number in sizes:
                    position: Literal["last", "earlier"] = "last" if number == last else "earlier"
                    tail = files.cut_torn_tail(self._disk, self._directory, number, position=position)
                    sizes[number] -= tail.cut_bytes
                    self._health.count("spool_torn_bytes", {}, tail.cut_bytes)
                    for rot in tail.rotten:
                        self._report_rot(number, rot)
            for sink in self._cursors:
                self._cursors[sink] = files.load_cursor(self._disk, self._directory, sink)
            # A wiped directory starts above every number it ever gave out: a cursor that a sink kept must not fit by chance.
            self._number = max(sizes, default=self._clock.now_ns() // NS_PER_S) + 1
            self._writer = files.SegmentWriter(self._disk, self._directory, self._number)
            self._sizes = {n: size for n, size in sizes.items() if size} | {self._number: 0}
            files.remove_segments(self._disk, self._directory, [n for n, size in sizes.items() if not size])
        except OSError as error:
            self._lock.release()
            raise SpoolError(f"spool {self._directory}: {error.strerror}; check the disk and its rights") from error
        except SpoolError:
            self._lock.release()
            raise

    async def close(self) -> None:
        """Commit what waits and let the directory go."""
        self._closing = True
        self._wake.set()
        if self._committer is not None:
            await self._committer
        self._thread.shutdown()
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()

    # ---- figures ----

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk."""
        return sum(self._sizes.values())

    @property
    def durable(self) -> SpoolCursor:
        """The byte after the last durable record."""
        last = max(self._sizes)
        return SpoolCursor(last, self._sizes[last])

    @property
    def start(self) -> SpoolCursor:
        """The first byte kept."""
        return SpoolCursor(min(self._sizes), 0)

    def cursor(self, sink: str) -> SpoolCursor:
        """Where a sink goes on; the start for one that never committed."""
        return self.resolve(self._cursors[sink])

    def resolve(self, cursor: SpoolCursor | None) -> SpoolCursor:
        """A cursor that a sink kept by itself, brought onto this directory.

        One that names no byte kept here (segments removed, directory wiped or an older copy restored) becomes the
        next byte kept, or the start: sending again stores nothing twice, leaving out would lose readings.
        """
        if cursor is None or cursor < self.start or cursor > self.durable:
            return self.start
        if cursor.segment not in self._sizes or cursor.offset > self._sizes[cursor.segment]:
            return SpoolCursor(min(n for n in self._sizes if n > cursor.segment), 0)
        return cursor

    async def backlog(self) -> Backlog:
        """Bytes, oldest instant and its age that the slowest sink still has to take."""
        at = min(self.cursor(sink) for sink in self._cursors)
        waiting = sum(size for n, size in self._sizes.items() if n >= at.segment) - at.offset
        if not waiting:
            return Backlog(0, None, 0.0)
        if at.offset >= self._sizes[at.segment]:
            at = SpoolCursor(min(n for n, size in self._sizes.items() if n > at.segment and size), 0)
        try:
            oldest = await asyncio.to_thread(files.first_instant, self._disk, self._directory, at.segment, at.offset)
        except SpoolError:
            oldest = None  # passed and removed meanwhile, or unreadable: whoever reads on says so
        age_h = 0.0 if oldest is None else (self._clock.now_ns() - oldest) / (3600 * NS_PER_S)
        return Backlog(waiting, oldest, age_h)

    # ---- writing ----

    async def append(self, blocks: Sequence[FrameBlock]) -> None:
        """Return when all blocks are durable.

        Raises SpoolFull, having taken nothing, when they would pass the bound; a failing disk makes the caller wait,
        with the reason in health, until a new segment could be written.
        """
        parts = [part for block in blocks if len(block) for part in split_block(block)]
        if not parts:
            return
        data = b"".join([encode_block(part) for part in parts])
        if self._closing:
            raise SpoolError("the spool is closed")
        if self.size_bytes + self._waiting_bytes + len(data) > self._bytes_max:
            self._health.set(PART, "down", self._full_text(), bytes=float(self.size_bytes))
            raise SpoolFull(self._full_text())
        item = _Waiting(data, sum(map(len, parts)), asyncio.get_running_loop().create_future())
        self._waiting.append(item)
        self._waiting_bytes += len(data)
        self._wake.set()
        await item.done

    def _full_text(self) -> str:
        return (
            f"spool {self._directory} holds {self.size_bytes / MIB:.0f} of {self._bytes_max / MIB:.0f} MiB: sources hold; "
            "bring the store back or raise spool.max_mib"
        )

    async def _commit_loop(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time() - self._commit_s
        while True:
            await self._wake.wait()
            if not self._closing:
                # the first record after a pause goes at once; under load everything of commit_ms shares one sync
                await asyncio.sleep(max(0.0, last + self._commit_s - loop.time()))
            last = loop.time()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            if batch:
                await self._commit(batch)
            elif self._closing:
                return
            if self._closing:
                self._wake.set()

    async def _commit(self, batch: list[_Waiting]) -> None:
        data = b"".join([item.data for item in batch])
        try:
            failed: BaseException | None = await self._write_until_durable(data)
        except BaseException as error:
            # a bug or a cancelled committer: nobody may wait for ever, and nothing more is taken
            self._closing = True
            self._settle(batch + self._waiting, error)
            raise
        self._waiting_bytes -= len(data)
        self._settle(batch, failed)
        if failed is None:
            self._health.count("spool_frames_durable", {}, sum(item.frames for item in batch))
            async with self._grown:
                self._grown.notify_all()

    def _settle(self, batch: list[_Waiting], failed: BaseException | None) -> None:
        for item in batch:
            if item.done.done():
                continue  # its caller was cancelled
            if failed is None:
                item.done.set_result(None)
            else:
                item.done.set_exception(
                    SpoolError(f"spool {self._directory}: closed before the disk took the records: {failed!r}")
                )

    async def _write_until_durable(self, data: bytes) -> OSError | None:
        """Try for as long as the spool is open: giving up would lose what the source counts on. The error when closing."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                number, size = await loop.run_in_executor(self._thread, self._write, data)
            except OSError as error:
                self._health.count("spool_write_errors", {})
                self._health.set(PART, "down", f"spool {self._directory}: {error}; nothing is taken until the disk writes")
                if self._closing:
                    return error
                await self._clock.sleep(RETRY_S)
            else:
                self._sizes = self._sizes | {number: size}
                return None

    def _write(self, data: bytes) -> tuple[int, int]:
        """Runs in the writer's thread. Number and durable size of the active segment; raises OSError."""
        full = self._writer is not None and self._writer.size and self._writer.size + len(data) > self._segment_bytes
        if self._writer is not None and full:
            self._writer.close()
            self._writer = None
        if self._writer is None:
            self._number += 1
            self._writer = files.SegmentWriter(self._disk, self._directory, self._number)
        try:
            self._writer.append(data)
        except OSError:
            self._writer.abandon()
            self._writer = None
            raise
        return self._writer.number, self._writer.size

    # ---- reading ----

    async def read(self, cursor: SpoolCursor, max_frames: int) -> tuple[list[FrameBlock], SpoolCursor]:
        """Durable blocks from ``cursor`` on, at least one unless none is left, and the cursor behind them.

        Stops after the record that reaches ``max_frames``. Rotten spans are stepped over and reported once.
        """
        cursor = self.resolve(cursor)
        while cursor < self.durable:
            size = self._sizes[cursor.segment]
            if cursor.offset >= size:
                cursor = SpoolCursor(min(n for n in self._sizes if n > cursor.segment), 0)
                continue
            chunk = await self._chunk(cursor, size, max_frames)
            for rot in chunk.rotten:
                self._report_rot(cursor.segment, rot)
            cursor = SpoolCursor(cursor.segment, chunk.end)
            if chunk.blocks:
                return chunk.blocks, cursor
        return [], cursor

    async def _chunk(self, cursor: SpoolCursor, size: int, max_frames: int) -> files.Chunk:
        """What follows a cursor in its segment; one that stays unreadable is given up, or every later one would wait for it."""
        try:
            chunk = await asyncio.to_thread(
                files.read_chunk, self._disk, self._directory, cursor.segment, cursor.offset, size, max_frames
            )
        except files.SegmentLost as error:
            self._failed_reads += 1
            if self._failed_reads < READ_TRIES_MAX:
                raise
            await asyncio.to_thread(files.set_aside, self._disk, self._directory, cursor.segment)
            chunk = files.Chunk([], [Rot(cursor.offset, size, f"given up after {READ_TRIES_MAX} tries: {error}")], size)
        self._failed_reads = 0
        return chunk

    async def wait_beyond(self, cursor: SpoolCursor) -> None:
        """Return when there is something durable behind ``cursor``."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.durable > cursor)

    def _report_rot(self, segment: int, rot: Rot) -> None:
        if (segment, rot.start) in self._seen_rot:
            return
        self._seen_rot.add((segment, rot.start))
        lost = "an unknown number of" if rot.frames is None else str(rot.frames)
        span = "" if rot.first_t_ns is None else f" from {rot.first_t_ns} to {rot.last_t_ns} (UTC ns)"
        self._health.count("spool_rotten_bytes", {}, rot.end - rot.start)
        self._health.count("spool_rotten_frames", {}, rot.frames or 0)
        self._health.set(
            "spool:rot",
            "degraded",
            f"segment {segment} bytes {rot.start} to {rot.end}: {rot.reason}; {lost} Frames{span} are lost, check the disk",
        )

    async def commit(self, sink: str, cursor: SpoolCursor, kept_by: Literal["spool", "sink"] = "spool") -> None:
        """Move a sink's cursor and remove the segments that every sink has passed.

        ``kept_by="sink"``: the sink committed it durably by itself, nothing is written. Raises SpoolError.
        """
        assert cursor <= self.durable, "committed <= durable"
        try:
            if kept_by == "spool":
                await asyncio.to_thread(files.save_cursor, self._disk, self._directory, sink, cursor)
            self._cursors[sink] = cursor
            slowest = min(self.cursor(name) for name in self._cursors)
            passed = [n for n in self._sizes if n < slowest.segment]
            if passed:
                self._sizes = {n: size for n, size in self._sizes.items() if n not in passed}
                await asyncio.to_thread(files.remove_segments, self._disk, self._directory, passed)
        except OSError as error:
            raise SpoolError(f"spool {self._directory}: cursor of {sink}: {error.strerror}; check the disk") from error

    async def report(self) -> Backlog:
        """Put the spool's state into health: ok, degraded past half the bound or ``max_hours``; the backlog told."""
        backlog = await self.backlog()
        share = self.size_bytes / self._bytes_max
        state = "degraded" if share > 0.5 or backlog.age_h > self._age_max_h else "ok"
        detail = (
            "empty"
            if not backlog.bytes
            else f"{backlog.bytes / MIB:.1f} MiB wait, the oldest reading is {backlog.age_h:.2f} h old"
        )
        self._health.set(
            PART,
            state,
            detail,
            bytes=float(self.size_bytes),
            backlog_bytes=float(backlog.bytes),
            backlog_h=backlog.age_h,
            share=share,
        )
        return backlog
