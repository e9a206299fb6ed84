"""Making room: what goes first when the spool is full, and what is told of it before it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from collector import segments as files
from collector.disk import Disk
from collector.spool_commit import GroupCommit, Room
from collector.spool_losses import ANY_SINK, Cause, Losses, LostSpan
from collector.spool_scan import extent, header_at
from collector.spool_shelf import Shelf
from collector.spool_small import SmallFiles
from collector.spool_thin import Thinned, Thinner, slot_s
from plant.errors import SpoolFull
from plant.frame import FrameBlock
from plant.ports import Clock, SpoolCursor
from plant.site import SpoolSettings

MIB = 2**20
NS_PER_H = 3600 * 1_000_000_000
Suspects = Literal["set aside", "removed"]  # the former while there is room: they give way first
SPARE_SHARE = 0.5  # of the bound: up to there, segments wait for best-effort sinks too


class RoomKeeper:
    """Keeps a shelf within ``bytes_max`` and the hours of its settings, by their policy; ``elapsed_ns`` is the running time."""

    def __init__(
        self,
        shelf: Shelf,
        losses: Losses,
        small: SmallFiles,
        settings: SpoolSettings,
        bytes_max: int,
        *,
        directory: Path,
        disk: Disk,
        clock: Clock,
        elapsed_ns: Callable[[], int],
    ) -> None:
        self._shelf, self._losses, self._directory, self._disk, self._clock = shelf, losses, directory, disk, clock
        self._small, self.bytes_max = small, bytes_max
        self._when_full, self._held_max_h = settings.when_full, settings.max_hours
        self._elapsed_ns = elapsed_ns
        self._thinner = Thinner()
        self._lock = asyncio.Lock()
        self._oldest: tuple[SpoolCursor, int] | None = None  # the slowest sink's next record and when it was taken in

    async def make(self, needed: int, writing: GroupCommit) -> None:
        """Return when ``needed`` bytes fit beside those that wait to be written. Raises SpoolFull."""
        if not self._fits(needed + writing.waiting_bytes):
            await self._free(needed + writing.waiting_bytes)
        held_h = await self.held_h()
        if held_h > self._held_max_h and self._when_full == "drop_oldest":
            held_h = await self._drop_aged()
        elif held_h > self._held_max_h:
            raise SpoolFull(
                f"spool {self._directory} has held readings for {held_h:.1f} h, spool.max_hours is {self._held_max_h:g}: "
                "sources hold; bring the store back or raise spool.max_hours"
            )
        if not self._fits(needed + writing.waiting_bytes):
            raise SpoolFull(
                f"spool {self._directory} holds {self._shelf.size_bytes / MIB:.0f} of {self.bytes_max / MIB:.0f} MiB: "
                "sources hold; bring the store back or raise spool.max_mib"
            )

    def _fits(self, more: int) -> bool:
        return self._shelf.size_bytes + more <= self.bytes_max

    async def _free(self, more: int) -> None:
        async with self._lock:
            await self._remove_aside()
            await self._trim(self.bytes_max - more)
            while self._when_full == "drop_oldest" and more <= self.bytes_max and not self._fits(more):
                oldest = self._shelf.oldest_droppable()
                if oldest is None:
                    return
                await self._give_up(oldest)

    async def _remove_aside(self) -> None:
        if self._shelf.aside_bytes:
            await asyncio.to_thread(files.remove_unreadable, self._disk, self._directory)
            self._shelf.aside_bytes = 0

    async def _drop_aged(self) -> float:
        """Drop what was held for too long; for how long the oldest has been held then."""
        async with self._lock:
            while (held_h := await self.held_h()) > self._held_max_h:
                oldest = self._shelf.oldest_droppable()
                if oldest is None:
                    break  # the active segment alone: it is closed by the next record, being old
                await self._give_up(oldest)
        return held_h

    async def on_disk(self) -> Room:
        """The disk has no room, whatever the bound says."""
        with suppress(SpoolFull):
            async with self._lock:
                before = self._shelf.size_bytes
                await self._remove_aside()
                await self._trim(0)
                oldest = self._shelf.oldest_droppable()
                if self._shelf.size_bytes == before and self._when_full == "drop_oldest" and oldest is not None:
                    await self._give_up(oldest)
                if self._shelf.size_bytes < before:
                    # before the writer takes the room: else the next loss could not be told, and so nothing be dropped
                    await asyncio.to_thread(self._small.keep_reserve)
                    return Room.MADE
        return Room.REFUSE if self._when_full == "drop_newest" else Room.WAIT

    async def trim(self) -> None:
        """Remove the segments that every required sink has passed; best-effort ones are waited for while there is room."""
        async with self._lock:
            await self._trim(round(self.bytes_max * SPARE_SHARE), suspects="set aside")

    async def _trim(self, kept_bytes_max: int, suspects: Suspects = "removed") -> None:
        shelf = self._shelf
        while (oldest := min(shelf.sizes)) < shelf.slowest.segment:
            if any(shelf.lacking(oldest)) and shelf.size_bytes <= kept_bytes_max:
                return
            await self._give_up(oldest, suspects)

    async def _give_up(self, number: int, suspects: Suspects = "removed") -> None:
        """Tell what sinks lack of a segment, then remove it. Raises SpoolFull where that could not be told."""
        spans = [await asyncio.to_thread(self._missed, number, sink, at) for sink, at in list(self._shelf.lacking(number))]
        if spans:
            await self.tell(spans, gone_through=number)
        if number in self._shelf.suspect and suspects == "set aside":
            self._shelf.aside_bytes += self._shelf.sizes[number]
            self._shelf.take(number)
            await asyncio.to_thread(files.set_aside, self._disk, self._directory, number)
            return
        self._shelf.take(number)
        # left where the disk refuses: the next start removes it, and the bound counts what is on the shelf
        with suppress(OSError):
            await asyncio.to_thread(files.remove_segments, self._disk, self._directory, [number])

    def _missed(self, number: int, sink: str, start: int) -> LostSpan:
        size = self._shelf.sizes[number]
        found = extent(self._disk, self._directory, number, start, size)
        cause = Cause.DROP_OLDEST if sink in self._shelf.required else Cause.FELL_BEHIND
        now_ns = self._clock.now_ns()
        return LostSpan(cause, sink, found.frames, found.first_t_ns, found.last_t_ns, size - start, now_ns)

    async def tell(self, spans: Sequence[LostSpan], gone_through: int = -1) -> None:
        """Return when the losses are durable. Raises SpoolFull where the disk does not take even that."""
        try:
            await self._losses.tell(spans, gone_through)
        except OSError as error:
            raise SpoolFull(f"spool {self._directory}: {error}; nothing is dropped that cannot be written down") from error

    async def leave_out(self, parts: Sequence[FrameBlock], data_bytes: int) -> None:
        """Tell that these are not taken in. Raises SpoolFull."""
        first, last = min(int(p.t_ns.min()) for p in parts), max(int(p.t_ns.max()) for p in parts)
        now_ns = self._clock.now_ns()
        await self.tell([LostSpan(Cause.DROP_NEWEST, ANY_SINK, sum(map(len, parts)), first, last, data_bytes, now_ns)])

    async def thin(self, blocks: Sequence[FrameBlock]) -> Thinned:
        """What policy ``thin`` takes of these at the present filling."""
        fill = max(self._shelf.size_bytes / self.bytes_max, await self.held_h() / self._held_max_h)
        return self._thinner.thin(blocks, slot_s(fill))

    async def thinned(self, taken: Thinned) -> None:
        """Tell what was left out, now that the rest is durable. Raises SpoolFull."""
        now_ns = self._clock.now_ns()
        self._thinner.accept(taken)
        await self.tell([LostSpan(Cause.THIN, ANY_SINK, x.frames, x.first_t_ns, x.last_t_ns, 0, now_ns) for x in taken.left])

    async def held_h(self) -> float:
        """For how many hours of running time the oldest record has waited for a required sink."""
        at = self._shelf.next_record(self._shelf.slowest)
        if at is None:
            return 0.0
        roughly_ns = self._shelf.begun_ns.get(at.segment, 0)
        if self._hours_since(roughly_ns) < self._held_max_h * SPARE_SHARE:
            return self._hours_since(roughly_ns)  # an upper bound is enough this far from the limit
        if self._oldest is None or self._oldest[0] != at:
            self._oldest = (at, await asyncio.to_thread(self._taken_ns, at, roughly_ns))
        return self._hours_since(self._oldest[1])

    def _taken_ns(self, at: SpoolCursor, otherwise_ns: int) -> int:
        try:
            header = header_at(self._disk, self._directory, at.segment, at.offset)
        except OSError:
            return otherwise_ns
        return otherwise_ns if header is None else header.taken_ns

    def _hours_since(self, taken_ns: int) -> float:
        return max(0, self._elapsed_ns() - taken_ns) / NS_PER_H
