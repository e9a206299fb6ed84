"""Planted bugs: each of them must fall to one of the first seeds, or the simulation proves less than it says."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collector import forward, spool_small
from collector import quarantine as quarantine_module
from collector import segments as files
from collector.disk import Disk, write_whole
from collector.forward import Forwarder
from collector.forward_step import Advance, Event, Fetched, ForwardSettings, ForwardState, Posted, PutAside, Step, step
from collector.mqtt import MqttSource
from collector.mqtt_link import Delivery
from collector.segments import SegmentWriter
from collector.spool import Spool
from collector.spool_losses import LostSpan
from collector.spool_room import RoomKeeper
from collector.spool_shelf import Shelf
from plant.errors import SpoolFull, StoreError
from plant.frame import FrameBlock
from plant.ports import SpoolCursor

from .process import MIRROR, SimSource
from .sim_disk import SimDisk, SimFile
from .world import Violation, World

SEEDS = 250
Plant = Callable[[pytest.MonkeyPatch], None]


def no_sync(patch: pytest.MonkeyPatch) -> None:
    """The spool says durable when the kernel has it."""

    def append(writer: SegmentWriter, data: bytes) -> None:
        write_whole(writer._file, data)
        writer.size += len(data)

    patch.setattr(SegmentWriter, "append", append)


def no_waiting(patch: pytest.MonkeyPatch) -> None:
    """The source goes on before the commit."""
    append = Spool.append

    async def early(spool: Spool, blocks: Sequence[FrameBlock]) -> None:
        task = asyncio.create_task(append(spool, blocks))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.sleep(0)

    patch.setattr(Spool, "append", early)


def acknowledged_first(patch: pytest.MonkeyPatch) -> None:
    """The broker hears of it before anything is kept."""
    keep, link = MqttSource._keep, SimSource._link

    async def late(source: MqttSource, deliveries: Sequence[Delivery]) -> object:
        source.line.acknowledge(deliveries)  # type: ignore[attr-defined]
        return await keep(source, deliveries)

    def made(source: MqttSource) -> object:
        source.line = link(source)  # type: ignore[attr-defined]
        return source.line  # type: ignore[attr-defined]

    patch.setattr(SimSource, "_link", made)
    patch.setattr(MqttSource, "_keep", late)


def cursor_before_post(patch: pytest.MonkeyPatch) -> None:
    """The spool lets go of a batch that was only read."""

    def early(state: ForwardState, event: Event, now_ns: int, settings: ForwardSettings) -> Step:
        state, actions = step(state, event, now_ns, settings)
        if isinstance(event, Fetched) and event.blocks:
            actions = (Advance(event.behind), *actions)
        return state, actions

    patch.setattr(forward, "step", early)


def cursor_before_quarantine(patch: pytest.MonkeyPatch) -> None:
    """What the store refused is put aside after the spool let go of it."""

    def late(state: ForwardState, event: Event, now_ns: int, settings: ForwardSettings) -> Step:
        state, actions = step(state, event, now_ns, settings)
        aside = [a for a in actions if isinstance(a, PutAside)]
        if not aside:
            return state, actions
        behind = state.behind or state.committed
        return state, (Advance(behind), *actions)

    patch.setattr(forward, "step", late)


def no_directory_sync(patch: pytest.MonkeyPatch) -> None:
    """New segments and renamed cursors are left to the kernel."""
    patch.setattr(SimDisk, "sync_directory", lambda _disk, _directory: None)


def draft_not_synced(patch: pytest.MonkeyPatch) -> None:
    """A cursor's draft takes its name before its bytes are on the disk."""

    def hasty(disk: Disk, path: Path, data: bytes) -> None:
        file = disk.open(path.with_suffix(".draft"), "replace")
        write_whole(file, data)
        disk.rename(path.with_suffix(".draft"), path)
        disk.sync_directory(path.parent)

    patch.setattr(spool_small, "replace_durably", hasty)


def one_write(patch: pytest.MonkeyPatch) -> None:
    """A short write passes for a whole one."""

    def hopeful(file: SimFile, data: bytes) -> None:
        file.write(memoryview(data))

    patch.setattr(files, "write_whole", hopeful)


def same_segment_after_failed_sync(patch: pytest.MonkeyPatch) -> None:
    """A sync that failed is asked for again, and believed the second time."""

    def append(writer: SegmentWriter, data: bytes) -> None:
        write_whole(writer._file, data)
        try:
            writer._file.sync()
        except OSError:
            writer._file.sync()
        writer.size += len(data)

    patch.setattr(SegmentWriter, "append", append)


def quarantine_not_synced(patch: pytest.MonkeyPatch) -> None:
    """Poison is acknowledged when the kernel has it."""

    def hasty(quarantine: quarantine_module.Quarantine, data: bytes) -> None:
        write_whole(quarantine._disk.open(quarantine._current, "append"), data)

    patch.setattr(quarantine_module.Quarantine, "_append", hasty)


def full_is_taken(patch: pytest.MonkeyPatch) -> None:
    """A full spool's refusal is not heard."""

    async def deaf(source: MqttSource, blocks: Sequence[FrameBlock]) -> None:
        try:
            await source._sink(list(blocks))
        except SpoolFull:
            return

    patch.setattr(MqttSource, "_until_taken", deaf)


def failure_is_posted(patch: pytest.MonkeyPatch) -> None:
    """A store that does not answer passes for one that took everything."""
    post = Forwarder._deliver

    async def hopeful(forwarder: Forwarder, part: Sequence[FrameBlock], cursor: SpoolCursor | None) -> Event:
        try:
            return await post(forwarder, part, cursor)
        except StoreError:
            return Posted()

    patch.setattr(Forwarder, "_deliver", hopeful)


def segments_removed_early(patch: pytest.MonkeyPatch) -> None:
    """Room is made by what is durable, not by what was taken."""
    commit = Spool.commit

    async def greedy(spool: Spool, sink: str, cursor: SpoolCursor, *rest: object) -> None:
        await commit(spool, sink, cursor, *rest)
        for number in files.existing_segments(spool._disk, spool._directory):
            if number < spool.durable.segment:
                spool._disk.remove(files.segment_path(spool._directory, number))

    patch.setattr(Spool, "commit", greedy)


def batch_cut(patch: pytest.MonkeyPatch) -> None:
    """The last block of a batch is left out."""

    def short(state: ForwardState, event: Event, now_ns: int, settings: ForwardSettings) -> Step:
        if isinstance(event, Fetched) and len(event.blocks) > 2:
            event = replace(event, blocks=event.blocks[:-1])
        return step(state, event, now_ns, settings)

    patch.setattr(forward, "step", short)


def unknown_cursor_goes_to_the_end(patch: pytest.MonkeyPatch) -> None:
    """A sink without a cursor begins with what comes next."""
    resolve = Shelf.resolve
    patch.setattr(Shelf, "resolve", lambda shelf, cursor: shelf.durable if cursor is None else resolve(shelf, cursor))


def dropped_untold(patch: pytest.MonkeyPatch) -> None:
    """A full spool makes room and says nothing."""

    async def silent(_room: RoomKeeper, spans: Sequence[LostSpan], gone_through: int = -1) -> None:
        return

    patch.setattr(RoomKeeper, "tell", silent)


def required_passed_over(patch: pytest.MonkeyPatch) -> None:
    """Segments wait for the first sink alone."""
    patch.setattr(Shelf, "slowest", property(lambda shelf: shelf.cursor("store")))
    patch.setattr(Shelf, "lacking", lambda shelf, number: iter(()))


def late_unmarked(patch: pytest.MonkeyPatch) -> None:
    """What is stored late leaves the figures as they are."""

    async def silent(_forwarder: Forwarder, _readings: Sequence[FrameBlock]) -> None:
        return

    patch.setattr(Forwarder, "_mark_late", silent)


def marked_before_stored(patch: pytest.MonkeyPatch) -> None:
    """Slots are marked first, and may be computed before the readings are there."""
    store, mark = Forwarder._store_readings, Forwarder._mark_late

    async def early(forwarder: Forwarder, readings: Sequence[FrameBlock]) -> object:
        await mark(forwarder, readings)
        return await store(forwarder, readings)

    late_unmarked(patch)
    patch.setattr(Forwarder, "_store_readings", early)


def no_room_is_no_failure(patch: pytest.MonkeyPatch) -> None:
    """A sync that finds the disk full passes, since the write was taken."""

    def append(writer: SegmentWriter, data: bytes) -> None:
        write_whole(writer._file, data)
        try:
            writer._file.sync()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        writer.size += len(data)

    patch.setattr(SegmentWriter, "append", append)


def mirror_told_too_much(patch: pytest.MonkeyPatch) -> None:
    """A mirror's cursor follows what the spool holds, not what the mirror took."""
    commit = Spool.commit

    async def ahead(spool: Spool, sink: str, cursor: SpoolCursor, *rest: object) -> None:
        await commit(spool, sink, spool.durable if sink == MIRROR else cursor, *rest)  # type: ignore[arg-type]

    patch.setattr(Spool, "commit", ahead)


def first_failing(seeds: range) -> None:
    for seed in seeds:
        World(seed).run()


NOT_DURABLE = "is promised and not durable"
NOT_MARKED = "stored and not marked since"
LOST = "promised and lost|not in their place at the end|not in the mirror"


@pytest.mark.parametrize(
    ("bug", "found"),
    [
        (no_sync, f"{NOT_DURABLE}|{LOST}"),
        (no_waiting, NOT_DURABLE),
        (acknowledged_first, NOT_DURABLE),
        (cursor_before_post, LOST),
        (cursor_before_quarantine, LOST),
        (no_directory_sync, NOT_DURABLE),
        (
            draft_not_synced,
            f"the cursor's file is damaged|does not start on a sound disk|{NOT_DURABLE}",
        ),
        (one_write, f"{NOT_DURABLE}|> appended"),  # a length that nobody wrote
        (same_segment_after_failed_sync, NOT_DURABLE),
        (quarantine_not_synced, f"{NOT_DURABLE}|{LOST}"),
        (full_is_taken, NOT_DURABLE),
        (failure_is_posted, LOST),
        (segments_removed_early, f"not drained|{LOST}"),
        (batch_cut, LOST),
        (unknown_cursor_goes_to_the_end, f"the cursor went back|{LOST}"),
        (dropped_untold, f"{NOT_DURABLE}|{LOST}"),
        (required_passed_over, LOST),
        (late_unmarked, NOT_MARKED),
        (marked_before_stored, NOT_MARKED),
        (no_room_is_no_failure, f"{NOT_DURABLE}|{LOST}"),
        (mirror_told_too_much, f"the cursor went back|{LOST}"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_planted_bug_is_found(bug: Plant, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    with pytest.raises(Violation, match=rf"^seed \d+: .*({found})"):
        first_failing(range(SEEDS))
