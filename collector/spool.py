"""The durable queue between the wire and the stores: what is in it survives kill -9 and power cuts.

``append`` returns when its blocks are on the disk; several callers share one sync (group commit). Always
``committed <= durable <= appended``. The bound in bytes is hard and covers every file of the directory. Full means what
``when_full`` says: hold (``append`` raises SpoolFull), or lose counted and named spans.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from collector import segments as files
from collector.disk import OS_DISK, Disk
from collector.spool_commit import PART, CommitSettings, GroupCommit, Room
from collector.spool_format import Rot, encode_block, split_block
from collector.spool_losses import ANY_SINK, FILE, Cause, Losses, LossesDamaged, LossRecord, LostSpan, read_losses
from collector.spool_read import READ_TRIES_MAX, Reader
from collector.spool_room import NS_PER_H, RoomKeeper
from collector.spool_scan import begun_ns, extent, header_at, may_begin
from collector.spool_shelf import Shelf
from collector.spool_small import NO_SPACE, SmallFiles, set_aside
from plant.errors import SpoolError, SpoolFull
from plant.frame import FrameBlock
from plant.ports import Clock, HealthBoard, SpoolCursor
from plant.site import SpoolSettings

__all__ = ["READ_TRIES_MAX", "Backlog", "Spool"]
MIB = 2**20
NS_PER_S = 1_000_000_000
SHARE_OF_BOUND = 4  # a segment takes at most this fraction of a bound, so that passed segments free room in time


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a sink has not taken yet: bytes, the oldest instant and its age by the clock (None when nothing waits), and for
    how many hours of the spool's running time the oldest record has been held."""

    bytes: int
    oldest_t_ns: int | None
    age_h: float
    held_h: float = 0.0


class Spool:
    """Append-only segments in ``directory``; one process at a time.

    A segment is removed once each of the required ``sinks`` has passed it. Those of ``best_effort`` are waited for only
    while there is plenty of room; one that falls behind skips forward, and what it missed is told.
    """

    def __init__(
        self,
        directory: Path,
        settings: SpoolSettings,
        clock: Clock,
        health: HealthBoard,
        sinks: tuple[str, ...] = ("store",),
        disk: Disk = OS_DISK,
        best_effort: tuple[str, ...] = (),
    ) -> None:
        self._directory, self._clock, self._health, self._disk = directory, clock, health, disk
        self._settings = settings
        self._shelf = Shelf(sinks, best_effort)
        bound_bytes = int(settings.max_mib * MIB)
        self._small = SmallFiles(directory, disk, bound_bytes)
        self._bytes_max = bound_bytes - self._small.bytes_max
        self._losses = Losses(self._small, LossRecord(), clock, health)
        self._room = RoomKeeper(
            self._shelf,
            self._losses,
            self._small,
            settings,
            self._bytes_max,
            directory=directory,
            disk=disk,
            clock=clock,
            elapsed_ns=self.elapsed_ns,
        )
        self._reader = Reader(self._shelf, self._losses, directory=directory, disk=disk, clock=clock, health=health)
        pace = CommitSettings(
            settings.commit_ms / 1e3,
            min(int(settings.segment_mib * MIB), self._bytes_max // SHARE_OF_BOUND),
            round(settings.max_hours * NS_PER_H / SHARE_OF_BOUND),
        )
        self._writing = GroupCommit(
            directory, disk, clock, health, pace, grown=self._on_grown, make_room=self._on_full_disk, elapsed_ns=self.elapsed_ns
        )
        self._growth = asyncio.Event()
        self._unsaved: set[str] = set()  # sinks that keep their cursor by themselves
        self._saving = asyncio.Lock()
        self._lock: files.DirectoryLock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened_s, self._elapsed_before_ns = 0.0, 0

    # ---- life ----

    async def open(self, kept_by_sink: SpoolCursor | None = None) -> None:
        """Lock the directory, cut a torn tail and start a new segment, numbered above the cursor that a sink keeps by
        itself: it may know more than a directory restored from an older copy. Raises SpoolError."""
        rotten = await asyncio.to_thread(self._recover, kept_by_sink)
        self._loop = asyncio.get_running_loop()
        self._opened_s = self._loop.time()
        self._writing.start()
        for number, rot in rotten:
            with suppress(SpoolError):  # a full disk is no reason not to start; health has it
                await self._reader.report_rot(number, rot)
        self._losses.report()
        self._health.set(PART, "ok", "open", bytes=float(self.size_bytes))

    def _recover(self, kept_by_sink: SpoolCursor | None) -> list[tuple[int, Rot]]:
        self._lock = files.DirectoryLock(self._directory, self._disk)
        try:
            self._losses.record = self._read_losses()
            gone_through = self._losses.record.gone_through
            found = files.existing_segments(self._disk, self._directory)
            self._let_go([n for n in found if n <= gone_through], max(found, default=-1))
            sizes = {n: size for n, size in found.items() if n > gone_through}
            rotten = self._cut(sizes)
            for sink in self._shelf.cursors:
                self._shelf.cursors[sink] = self._load_cursor(sink, sizes, [SpoolCursor(n, rot.start) for n, rot in rotten])
            self._small.clean()
            self._look_back(sizes)
            # Above every number it ever gave out, also where the directory was wiped: no cursor may fit by chance.
            known = [cursor.segment for cursor in (*self._shelf.cursors.values(), kept_by_sink) if cursor is not None]
            number = max([*sizes, *known, gone_through]) + 1 or self._clock.now_ns() // NS_PER_S
            self._writing.begin(number)
            self._shelf.put(number, 0, self._elapsed_before_ns)
            files.remove_segments(self._disk, self._directory, [n for n, size in sizes.items() if not size])
            self._small.keep_reserve()
        except OSError as error:
            self._lock.release()
            if error.errno in NO_SPACE:
                raise SpoolFull(f"spool {self._directory}: {error.strerror}; free some room on the disk") from error
            raise SpoolError(f"spool {self._directory}: {error.strerror}; check the disk and its rights") from error
        except SpoolError:
            self._lock.release()
            raise
        return rotten

    def _read_losses(self) -> LossRecord:
        try:
            return read_losses(self._disk, self._directory)
        except LossesDamaged:
            self._health.count("spool_damaged_losses", {})
            set_aside(self._disk, self._directory / FILE)
            record = LossRecord((LostSpan(Cause.RECORD, ANY_SINK, None, None, None, 0, self._clock.now_ns()),))
            self._losses.keep(record)
            return record

    def _let_go(self, numbers: list[int], highest: int) -> None:
        """Of what is given up by the record: a higher segment bears witness that the spool went on behind it; without one
        nothing is removed on the record's word alone."""
        if numbers and numbers[-1] == highest:
            for number in numbers:
                files.set_aside(self._disk, self._directory, number)
            self._disk.sync_directory(self._directory)
        else:
            files.remove_segments(self._disk, self._directory, numbers)

    def _load_cursor(self, sink: str, sizes: dict[int, int], rotten: Collection[SpoolCursor]) -> SpoolCursor | None:
        try:
            found = files.load_cursor(self._disk, self._directory, sink)
            if found is not None and found not in rotten and not may_begin(self._disk, self._directory, found, sizes):
                raise files.CursorDamaged(f"{files.cursor_path(self._directory, sink)}: no record begins at {found}")
        except files.CursorDamaged as error:
            # to send again stores nothing twice, while not to start loses what the sources cannot keep
            self._health.count("spool_damaged_cursors", {"sink": sink})
            self._health.set(f"spool:{sink}:cursor", "degraded", f"{error}; set aside")
            set_aside(self._disk, files.cursor_path(self._directory, sink))
            return None
        return found

    def _cut(self, sizes: dict[int, int]) -> list[tuple[int, Rot]]:
        rotten: list[tuple[int, Rot]] = []
        for number in sizes:
            later = [n for n in sizes if n > number and sizes[n]]
            try:
                tail = files.cut_torn_tail(self._disk, self._directory, number, later)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                path = files.segment_path(self._directory, number)
                self._health.set("spool:start", "degraded", f"{path}: {error.strerror}; it was not looked at, check the disk")
                continue  # readers try it for a while, since a disk may only stumble, then set it aside and tell the loss
            sizes[number] -= tail.cut_bytes
            self._health.count("spool_torn_bytes", {}, tail.cut_bytes + sum(rot.end - rot.start for rot in tail.rotten))
            rotten += [(number, rot) for rot in tail.rotten]
            if any(rot.frames is None for rot in tail.rotten):
                self._shelf.suspect.add(number)
        return rotten

    def _look_back(self, sizes: dict[int, int]) -> None:
        """Go on with the running time where the last record left it: no clock of the day says how long a record was held."""
        for number, size in sizes.items():
            if size:
                before_ns = max(self._shelf.begun_ns.values(), default=0)
                self._shelf.put(number, size, begun_ns(self._disk, self._directory, number, before_ns))
        begun = self._shelf.begun_ns
        last_ns = extent(self._disk, self._directory, max(begun), 0, sizes[max(begun)]).taken_ns if begun else 0
        self._elapsed_before_ns = max([last_ns, *begun.values()])
        names = self._disk.sizes(self._directory)
        self._shelf.aside_bytes = sum(size for name, size in names.items() if name.endswith(files.UNREADABLE))

    async def close(self) -> None:
        """Commit what waits, keep the cursors and let the directory go."""
        await self._writing.close()
        with suppress(OSError):  # what is not kept is sent again, which stores nothing twice
            await self._save_cursors()
        if self._lock is not None:
            self._lock.release()

    # ---- figures ----

    def elapsed_ns(self) -> int:
        """How long the spool has run since it was made, pauses left out: untouched by a clock that jumps."""
        passed_s = 0.0 if self._loop is None else self._loop.time() - self._opened_s
        return self._elapsed_before_ns + round(passed_s * NS_PER_S)

    @property
    def is_open(self) -> bool:
        """Whether there is a segment to write to."""
        return bool(self._shelf.sizes)

    @property
    def size_bytes(self) -> int:
        """Bytes of readings on the disk."""
        return self._shelf.size_bytes

    @property
    def durable(self) -> SpoolCursor:
        """The byte after the last durable record."""
        return self._shelf.durable

    @property
    def start(self) -> SpoolCursor:
        """The first byte kept."""
        return self._shelf.start

    @property
    def lost(self) -> LossRecord:
        """What was lost so far."""
        return self._losses.record

    def cursor(self, sink: str) -> SpoolCursor:
        """Where a sink goes on; the start for one that never committed."""
        return self._shelf.cursor(sink)

    def resolve(self, cursor: SpoolCursor | None) -> SpoolCursor:
        """A cursor that a sink kept by itself, brought onto this directory.

        One that names no byte kept here (segments removed, directory wiped or an older copy restored) becomes the
        next byte kept, or the start: sending again stores nothing twice, leaving out would lose readings.
        """
        return self._shelf.resolve(cursor)

    async def backlog(self, sink: str | None = None) -> Backlog:
        """What a sink, by default the slowest required one, still has to take."""
        at = self._shelf.next_record(self._shelf.slowest if sink is None else self.cursor(sink))
        if at is None:
            return Backlog(0, None, 0.0)
        waiting = self._shelf.waiting_bytes(at)
        begun_ns = self._shelf.begun_ns.get(at.segment, 0)
        try:
            header = await asyncio.to_thread(header_at, self._disk, self._directory, at.segment, at.offset)
        except OSError:
            header = None  # passed and removed meanwhile, or unreadable: whoever reads on says so
        held_h = max(0, self.elapsed_ns() - (begun_ns if header is None else header.taken_ns)) / NS_PER_H
        if header is None:
            return Backlog(waiting, None, 0.0, held_h)
        return Backlog(waiting, header.first_t_ns, max(0, self._clock.now_ns() - header.first_t_ns) / NS_PER_H, held_h)

    # ---- writing ----

    async def append(self, blocks: Sequence[FrameBlock]) -> None:
        """Return when all blocks are durable, or when what the policy leaves out is durably told as lost.

        Raises SpoolFull, having taken nothing, when they would pass a bound and sources are to hold; a failing disk makes
        the caller wait, with the reason in health, until a new segment could be written.
        """
        if self._writing.closing:
            raise SpoolError("the spool is closed")
        given = [block for block in blocks if len(block)]
        try:
            if self._settings.when_full == "thin":
                thinned = await self._room.thin(given)
                await self._take(thinned.kept)
                await self._room.thinned(thinned)
            else:
                await self._take(given)
        except SpoolFull as error:
            self._health.set(PART, "down", str(error), bytes=float(self.size_bytes))
            raise

    async def _take(self, given: Sequence[FrameBlock]) -> None:
        parts = [part for block in given for part in split_block(block)]
        if not parts:
            return
        taken_ns = self.elapsed_ns()
        data = b"".join([encode_block(part, taken_ns) for part in parts])
        try:
            await self._room.make(len(data), self._writing)
            await self._writing.write(data, sum(map(len, parts)))
        except SpoolFull:
            if self._settings.when_full != "drop_newest":
                raise
            await self._room.leave_out(parts, len(data))

    def _on_grown(self, number: int, size: int) -> None:
        self._shelf.put(number, size, self.elapsed_ns())
        self._growth.set()
        self._growth = asyncio.Event()

    async def _on_full_disk(self) -> Room:
        return await self._room.on_disk()

    # ---- reading ----

    async def read(self, cursor: SpoolCursor, max_frames: int) -> tuple[list[FrameBlock], SpoolCursor]:
        """Durable blocks from ``cursor`` on, at least one unless none is left, and the cursor behind them.

        Stops after the record that reaches ``max_frames``. Rotten spans are stepped over and told once. Raises SpoolError.
        """
        return await self._reader.read(cursor, max_frames)

    async def wait_beyond(self, cursor: SpoolCursor) -> None:
        """Return when there is something durable behind ``cursor``."""
        while self.durable <= cursor:
            await self._growth.wait()

    async def commit(self, sink: str, cursor: SpoolCursor, kept_by: Literal["spool", "sink"] = "spool") -> None:
        """Move a sink's cursor and remove the segments that every required sink has passed.

        ``kept_by="sink"``: the sink committed it durably by itself; it is written here too only now and then. Raises
        SpoolError.
        """
        assert cursor <= self.durable, "committed <= durable"
        self._shelf.cursors[sink] = cursor
        self._unsaved.add(sink)
        failed: OSError | None = None
        try:
            if kept_by == "spool" or self._shelf.passed:
                await self._save_cursors()
        except OSError as error:
            failed = error  # what every required sink has passed may go nevertheless: that may be the room it takes
        if self._shelf.passed:
            await self._room.trim()
        if failed is not None:
            raise SpoolError(f"spool {self._directory}: cursor of {sink}: {failed.strerror}; check the disk") from failed

    async def _save_cursors(self) -> None:
        async with self._saving:  # several sinks commit at once: of one sink's cursors the newest is to come last
            for sink in sorted(self._unsaved):
                cursor = self._shelf.cursors[sink]
                if cursor is not None:
                    await asyncio.to_thread(files.save_cursor, self._small, sink, cursor)
                if self._shelf.cursors[sink] == cursor:
                    self._unsaved.discard(sink)

    async def report(self) -> Backlog:
        """Put the spool's state into health: ok, degraded past half of a bound; the backlog told, also that of each sink."""
        backlog = await self.backlog()
        share = self.size_bytes / self._bytes_max
        held_share = backlog.held_h / self._settings.max_hours
        detail = (
            "empty"
            if not backlog.bytes
            else f"{backlog.bytes / MIB:.1f} MiB wait, the oldest reading is {backlog.age_h:.2f} h old"
        )
        trouble = self._writing.trouble
        self._health.set(
            PART,
            "down" if trouble else "degraded" if max(share, held_share) > 0.5 else "ok",
            trouble or detail,
            bytes=float(self.size_bytes),
            bytes_max=float(self._bytes_max),
            backlog_bytes=float(backlog.bytes),
            backlog_h=backlog.age_h,
            held_h=backlog.held_h,
            share=max(share, held_share),
        )
        for sink in self._shelf.cursors:
            await self._report_sink(sink)
        self._losses.report()
        await asyncio.to_thread(self._small.keep_reserve)
        return backlog

    async def _report_sink(self, sink: str) -> None:
        cursor, lag = self.cursor(sink), await self.backlog(sink)
        need = "required" if sink in self._shelf.required else "best effort"
        numbers = {"backlog_bytes": float(lag.bytes), "backlog_h": lag.age_h, "held_h": lag.held_h}
        if lag.oldest_t_ns is not None:
            numbers["oldest_t_ms"] = lag.oldest_t_ns / 1e6
        at = {"segment": float(cursor.segment), "offset": float(cursor.offset)}
        self._health.set(f"spool:{sink}", "ok", f"{need}, {lag.bytes / MIB:.1f} MiB behind", **numbers, **at)
