"""Reading the spool: durable blocks in order, rotten spans stepped over and told, segments given up and stepped over."""

from __future__ import annotations

import asyncio
from pathlib import Path

from collector import segments as files
from collector.disk import Disk
from collector.spool_format import Rot
from collector.spool_losses import ANY_SINK, Cause, Losses, LostSpan
from collector.spool_shelf import Shelf
from plant.errors import SpoolError
from plant.frame import FrameBlock
from plant.ports import Clock, HealthBoard, SpoolCursor

READ_TRIES_MAX = 30  # of a segment that is gone or unreadable, about a second apart


class Reader:
    """Any number of sinks may read at once, each with its own cursor."""

    def __init__(self, shelf: Shelf, losses: Losses, *, directory: Path, disk: Disk, clock: Clock, health: HealthBoard) -> None:
        self._shelf, self._losses, self._directory, self._disk = shelf, losses, directory, disk
        self._clock, self._health = clock, health
        self._failed_reads: dict[int, int] = {}
        self._unreadable: set[int] = set()
        self._seen_rot: set[tuple[int, int]] = set()
        self._untold_rot: set[tuple[int, int]] = set()  # the disk did not take even the record of it

    async def read(self, cursor: SpoolCursor, frames_max: int) -> tuple[list[FrameBlock], SpoolCursor]:
        """Blocks from ``cursor`` on, at least one unless none is left, and the cursor behind them. Raises SpoolError."""
        while (cursor := self._shelf.resolve(cursor)) < self._shelf.durable:
            size = self._shelf.sizes[cursor.segment]
            if cursor.offset >= size:
                cursor = SpoolCursor(min(n for n in self._shelf.sizes if n > cursor.segment), 0)
                continue
            chunk = await self._chunk(cursor, size, frames_max)
            if chunk is None:
                continue
            for rot in chunk.rotten:
                await self.report_rot(cursor.segment, rot)
            cursor = SpoolCursor(cursor.segment, chunk.end)
            if chunk.blocks:
                return chunk.blocks, cursor
        return [], cursor

    async def _chunk(self, cursor: SpoolCursor, size: int, frames_max: int) -> files.Chunk | None:
        """What follows a cursor in its segment, None where that was removed meanwhile; one that stays unreadable is given
        up, or every later one would wait for it."""
        number, offset = cursor.segment, cursor.offset
        try:
            return await asyncio.to_thread(files.read_chunk, self._disk, self._directory, number, offset, size, frames_max)
        except files.SegmentLost as error:
            if number not in self._shelf.sizes:
                return None
            self._failed_reads[number] = self._failed_reads.get(number, 0) + 1
            if number not in self._unreadable:
                if self._failed_reads[number] < READ_TRIES_MAX:
                    raise
                self._unreadable.add(number)
                await asyncio.to_thread(files.set_aside, self._disk, self._directory, number)
            return files.Chunk([], [Rot(offset, size, f"given up after {READ_TRIES_MAX} tries: {error}")], size)

    async def report_rot(self, segment: int, rot: Rot) -> None:
        """Tell once, in health and durably, that a span of a segment cannot be read. Raises SpoolError."""
        place = (segment, rot.start)
        if place not in self._seen_rot:
            self._seen_rot.add(place)
            self._health.count("spool_rotten_bytes", {}, rot.end - rot.start)
            self._health.count("spool_rotten_frames", {}, rot.frames or 0)
            self._untold_rot.add(place)
            self._show(segment, rot)
        span = LostSpan(
            Cause.ROT,
            ANY_SINK,
            rot.frames,
            rot.first_t_ns,
            rot.last_t_ns,
            rot.end - rot.start,
            self._clock.now_ns(),
            segment,
            rot.start,
        )
        try:
            await self._losses.tell([span])
        except OSError as error:
            raise SpoolError(f"spool {self._directory}: {error}; reading waits until the loss can be written down") from error
        if place in self._untold_rot:
            self._untold_rot.discard(place)
            self._show(segment, rot)

    def _show(self, segment: int, rot: Rot) -> None:
        lost = "an unknown number of" if rot.frames is None else str(rot.frames)
        reach = "" if rot.first_t_ns is None else f" from {rot.first_t_ns} to {rot.last_t_ns} (UTC ns)"
        self._health.set(
            "spool:rot",
            "degraded",
            f"segment {segment} bytes {rot.start} to {rot.end}: {rot.reason}; {lost} Frames{reach} are lost, check the disk",
            untold=float(len(self._untold_rot)),
        )
