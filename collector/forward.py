"""The thin shell around ``collector.forward_step``: from the spool to the series store and the ledger, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NoReturn

import numpy as np

from collector.forward_step import (
    Action,
    Advance,
    AwaitGrowth,
    Begun,
    Event,
    Failed,
    Fetch,
    Fetched,
    ForwardSettings,
    ForwardState,
    Grown,
    Pause,
    Post,
    Posted,
    PutAside,
    Refused,
    Report,
    Waited,
    step,
)
from collector.late import Owners, event_entries, late_slots
from collector.quarantine import PAYLOAD_BYTES_MAX, Quarantine, Rejected
from collector.spool import Spool
from collector.spool_format import encode_block
from plant.errors import InputError, SpoolError, StoreError, StoreMisconfigured, StoreRejected
from plant.frame import FrameBlock
from plant.ports import Clock, HealthBoard, Ledger, LedgerEntry, SeriesStore, SpoolCursor
from plant.site import MAIN_SINK, Site

ANALYTICS_STATE = "analytics"
REPORT_S = 2.0
RETRY_S = 1.0
EXPIRED = "beyond retention policy"  # in the words of the server
Chunk = tuple[list[FrameBlock], SpoolCursor]
SPAN_BYTES = PAYLOAD_BYTES_MAX  # of an expired span in one entry, which holds its lines whole


class Forwarder:
    """Moves durable blocks into the store: at least once, stored exactly once because stores and ledger know repeats.

    Order within a batch: events go to the ledger, readings to the store, then their late slots are marked dirty and last
    the cursor is kept, so that being killed anywhere repeats work and never leaves any out. Slots marked before their
    readings are stored could be computed, and cleared, without them.

    A mirror has a ``sink`` of its own and no ledger: events and dirty slots are the main one's.
    """

    def __init__(
        self,
        spool: Spool,
        store: SeriesStore,
        ledger: Ledger | None,
        *,
        site: Site,
        clock: Clock,
        health: HealthBoard,
        quarantine: Quarantine,
        settings: ForwardSettings | None = None,
        sink: str = MAIN_SINK,
    ) -> None:
        self._sink = sink
        self._spool, self._store, self._ledger = spool, store, ledger
        self._clock, self._health, self._quarantine = clock, health, quarantine
        self._site, self._owners = site, Owners.of(site)
        self._settings = settings or ForwardSettings()
        self._ahead: tuple[SpoolCursor, asyncio.Task[Chunk | None]] | None = None  # what is read while the batch before is posted

    async def run(self) -> NoReturn:
        """Forward until cancelled. The store may be down, also at the start."""
        try:
            async with asyncio.TaskGroup() as both:
                if self._sink == MAIN_SINK:
                    both.create_task(self._report())
                both.create_task(self._forward())
        except* Exception as failed:
            raise failed.exceptions[0] from None  # what failed first ended the other
        finally:
            self._forget_ahead()
        raise AssertionError("both run for ever")

    async def _forward(self) -> NoReturn:
        state = ForwardState(await self._start())
        event: Event = Begun()
        while True:
            state, actions = step(state, event, self._clock.now_ns(), self._settings)
            for action in actions:
                event = await self._do(action) or event

    async def _start(self) -> SpoolCursor:
        """Where to go on: the store's own cursor where it keeps one, else the spool's file."""
        failures = 0
        while True:
            try:
                kept = await self._store.cursor()
            except StoreError as error:
                failures += 1
                self._health.set(self._sink, "down", str(error))
                await self._clock.sleep(min(60.0, 2.0**failures))
                continue
            if kept is None:
                return self._spool.cursor(self._sink)
            cursor = self._spool.resolve(kept)
            await self._let_go(cursor, "sink")  # else the spool would hold what the store has until more comes
            return cursor

    async def _report(self) -> NoReturn:
        while True:
            await self._spool.report()
            await self._clock.sleep(REPORT_S)

    async def _do(self, action: Action) -> Event | None:
        match action:
            case Fetch(cursor, frames_max):
                return await self._fetch(cursor, frames_max)
            case AwaitGrowth(cursor, gather_s):
                await self._spool.wait_beyond(cursor)
                await self._clock.sleep(gather_s)
                return Grown()
            case Post(part, cursor):
                return await self._post(part, cursor)
            case Pause(seconds):
                await self._clock.sleep(seconds)
                return Waited()
            case Advance(cursor):
                await self._advance(cursor)
            case PutAside(reason, block, lines):
                await self._quarantine.put(_aside(reason, block, lines))
            case Report(state, detail):
                self._health.set(self._sink, state, detail)
        return None

    async def _fetch(self, cursor: SpoolCursor, frames_max: int) -> Event:
        durable = self._spool.durable
        try:
            blocks, behind = await self._read(cursor, frames_max)
        except SpoolError as error:
            self._health.set("spool", "down", str(error))
            await self._clock.sleep(RETRY_S)
            return Grown()
        if behind < durable and blocks:
            self._ahead = behind, asyncio.create_task(self._read_ahead(behind, frames_max))
            return Fetched(tuple(blocks), behind, "more")
        return Fetched(tuple(blocks), behind, "more" if behind < durable else "nothing")

    async def _read(self, cursor: SpoolCursor, frames_max: int) -> Chunk:
        """What follows a cursor: mostly it is read already. Raises SpoolError."""
        ahead, self._ahead = self._ahead, None
        chunk = await ahead[1] if ahead is not None and ahead[0] == cursor else None
        return chunk or await self._spool.read(cursor, frames_max)

    async def _read_ahead(self, cursor: SpoolCursor, frames_max: int) -> Chunk | None:
        try:
            return await self._spool.read(cursor, frames_max)
        except SpoolError:
            return None  # it is told when its turn comes

    def _forget_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead[1].cancel()
            self._ahead = None

    async def _post(self, part: Sequence[FrameBlock], cursor: SpoolCursor | None) -> Event:
        try:
            return await self._deliver(part, cursor)
        except (StoreRejected, InputError) as error:
            return Refused(str(error), ())
        except StoreMisconfigured as error:
            return Failed("misconfigured", str(error))
        except StoreError as error:
            # one that names no values says nothing about them: they wait until the store is mended
            return Failed("unavailable", str(error))

    async def _deliver(self, part: Sequence[FrameBlock], cursor: SpoolCursor | None) -> Event:
        """Posted, or Refused with the lines that the store will never take, all else being stored. Raises StoreError."""
        readings = [block for block in part if not block.event_ids]
        ledger = self._ledger
        events = [block for block in part if block.event_ids] if ledger is not None else []
        rejected = [reject for block in events if ledger is not None for reject in await self._enter(ledger, block)]
        refused = await self._store_readings(readings) if readings else None
        await self._quarantine.put(rejected)
        if refused is None and cursor is not None:
            await self._store.write([], cursor)
        return refused or Posted()

    async def _enter(self, ledger: Ledger, block: FrameBlock) -> list[Rejected]:
        """Enter a block of events; those that the ledger cannot take. One of them does not keep out the others."""
        entries, rejected = event_entries(block, self._owners)
        try:
            added = await ledger.add(entries)
        except (InputError, StoreRejected) as error:
            if len(block) > 1:
                rows = [block.take(slice(row, row + 1)) for row in range(len(block))]
                return [reject for row in rows for reject in await self._enter(ledger, row)]
            self._health.count("forwarded_events", {"outcome": "refused"})
            return [*rejected, Rejected(block.meter_of(0), str(error), encode_block(block))]
        # a device that counts anew gives an old id to a new event: it would pass for a repeat and be lost
        others = await ledger.contradicted(entries) if len(added) < len(entries) else []
        self._health.count("forwarded_events", {"outcome": "added"}, len(added))
        self._health.count("forwarded_events", {"outcome": "repeated"}, len(entries) - len(added) - len(others))
        self._health.count("forwarded_events", {"outcome": "contradicting"}, len(others))
        self._health.count("forwarded_events", {"outcome": "refused"}, len(rejected))
        return [*rejected, *(_contradicting(block, entry) for entry in others)]

    async def _store_readings(self, readings: Sequence[FrameBlock]) -> Refused | None:
        """Store readings and mark what they are late for; the lines that were refused, if any. Raises StoreError."""
        refused: Refused | None = None
        try:
            written = await self._store.write(readings)
        except StoreRejected as error:
            if not error.lines:
                raise
            refused = Refused(str(error), error.lines)
            self._health.count("forwarded_lines_refused", {}, len(error.lines))
        else:
            self._health.count("forwarded_values", {"outcome": "stored"}, written.stored)
            self._health.count("forwarded_values", {"outcome": "repeated"}, written.repeated)
            self._health.count("forwarded_values", {"outcome": "conflicting"}, written.conflicting)
        await self._mark_late(readings)
        return refused

    async def _mark_late(self, readings: Sequence[FrameBlock]) -> None:
        """Mark by the watermark and the clock as they are now, behind the write: both may have moved while it lasted."""
        if self._ledger is None:
            return
        state = await self._ledger.get_state(self._site.id, ANALYTICS_STATE)
        settled_ns = None if state is None else state.get("settled_until_ns")
        slots_ns = late_slots(readings, self._owners, settled_ns, self._clock.now_ns())
        if slots_ns:
            await self._ledger.mark_dirty_many(self._site.id, slots_ns)

    async def _advance(self, cursor: SpoolCursor) -> None:
        """Let the spool go on; a store that committed the cursor with the rows needs no second copy of it."""
        try:
            kept = await self._store.cursor()
        except StoreError:
            kept = None
        await self._let_go(cursor, "sink" if kept == cursor else "spool")

    async def _let_go(self, cursor: SpoolCursor, kept_by: Literal["spool", "sink"]) -> None:
        try:
            await self._spool.commit(self._sink, cursor, kept_by)
        except SpoolError as error:
            # the next batch's cursor stands for this one too; being killed before it only repeats work
            self._health.set("spool", "down", str(error))


def _contradicting(block: FrameBlock, entry: LedgerEntry) -> Rejected:
    """The Frames behind an entry whose id the ledger knows for another event."""
    rows = [row for row, key in enumerate(block.event_ids) if (key, block.t_ns[row]) == (entry.key, entry.start_ns)]
    reason = (
        f"event {entry.key} of {entry.source} with {entry.amount} {entry.unit}: the ledger has that id with another amount "
        "or instant; if it is another event, enter it by hand, and let the device go on counting where it was"
    )
    return Rejected(entry.source, reason, encode_block(block.take(np.array(rows))))


def _aside(reason: str, block: FrameBlock | None, lines: tuple[str, ...]) -> list[Rejected]:
    if block is None and EXPIRED in reason:
        longest = max(map(len, lines)) * 4  # bytes of a character
        count = max(1, SPAN_BYTES // longest)
        return [_span_of(reason, lines[first : first + count]) for first in range(0, len(lines), count)]
    if block is None:
        return [Rejected(MAIN_SINK, reason, line.encode()) for line in lines]
    return [Rejected(", ".join(block.meters[:5]), reason, encode_block(block))]


def _span_of(reason: str, lines: Sequence[str]) -> Rejected:
    """Readings older than the store keeps: one entry for many of them, with what they span."""
    t_ms = sorted(int(line.rpartition(" ")[2]) for line in lines)
    first, last = (datetime.fromtimestamp(t / 1e3, UTC).isoformat(timespec="seconds") for t in (t_ms[0], t_ms[-1]))
    return Rejected(MAIN_SINK, f"{len(lines)} points from {first} to {last}: {reason}", "\n".join(lines).encode())
