"""Verification of a spool: what cannot be read or was told lost is named, and each instant counts once."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from collector_blocks import T0_NS, SteppedClock, block

from collector.disk import OS_DISK
from collector.segments import segment_path
from collector.spool import Spool
from collector.spool_losses import Cause, Losses, LostSpan
from collector.spool_small import SmallFiles
from plant.frame import FrameBlock
from plant.series import Span
from plant.site import SpoolSettings
from potwatt.board import Board
from potwatt.verify import Verification, verify
from potwatt.verify_cli import show
from storage.memory import MemoryStore

ALL = Span(T0_NS - 10**12, T0_NS + 10**15)


async def spooled(directory: Path, *blocks: FrameBlock, stored: bool = True) -> MemoryStore:
    """A spool of these blocks, all of them handed over."""
    spool = Spool(directory, SpoolSettings(max_mib=64, segment_mib=4, commit_ms=1), SteppedClock(), Board())
    await spool.open()
    store = MemoryStore("smelter")
    await store.setup()
    for one in blocks:
        await spool.append([one])
        if stored:
            await store.write([one])
    await spool.commit("store", spool.durable)
    await spool.close()
    return store


def filled(directory: Path) -> Path:
    """The one segment with records."""
    (path,) = (p for p in directory.glob("*.seg") if p.stat().st_size)
    return path


def shown(found: Verification, capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    return show(asdict(found)), capsys.readouterr().out


async def test_a_sound_spool_whose_readings_are_stored_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = await verify(tmp_path, await spooled(tmp_path, block(100), block(100, first=100)), ALL)
    well, said = shown(found, capsys)
    assert well
    assert not found.unread
    assert not found.lost
    assert "All 400 values" in said
    assert "qualities were not" in said


@pytest.mark.parametrize("stored", [True, False])
async def test_rotten_places_are_counted_and_named(tmp_path: Path, stored: bool, capsys: pytest.CaptureFixture[str]) -> None:
    store = await spooled(tmp_path, block(100), block(100, first=100), stored=stored)
    path = filled(tmp_path)
    data = bytearray(path.read_bytes())
    for at in range(200, len(data), 150):
        data[at] ^= 0xFF
    path.write_bytes(data)
    found = await verify(tmp_path, store, ALL)
    well, said = shown(found, capsys)
    assert not well
    assert found.unread
    assert f"segment {int(path.stem)} bytes {found.unread[0].start} to {found.unread[0].end}" in said
    assert "cannot be read" in said


async def test_a_segment_that_the_disk_does_not_give_back_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await spooled(tmp_path, block(100))
    number = int(filled(tmp_path).stem)
    read = type(OS_DISK).read

    def broken(disk: object, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        if path == segment_path(tmp_path, number):
            raise OSError(5, "Input/output error")
        return read(OS_DISK, path, offset, count)

    monkeypatch.setattr(type(OS_DISK), "read", broken)
    (place,) = (await verify(tmp_path, store, ALL)).unread
    assert (place.segment, place.frames) == (number, None)
    assert "Input/output error" in place.reason


async def test_spans_told_lost_are_named_where_they_may_be_of_the_span(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = await spooled(tmp_path, block(3))
    losses = Losses(
        SmallFiles(tmp_path, OS_DISK, 2**23),
        Spool(tmp_path, SpoolSettings(), SteppedClock(), Board()).lost,
        SteppedClock(),
        Board(),
    )
    within = LostSpan(Cause.DROP_OLDEST, "store", 7, T0_NS, T0_NS + 1, 100, T0_NS)
    before = replace(within, cause=Cause.DROP_NEWEST, first_t_ns=0, last_t_ns=1)
    of_a_mirror = replace(within, cause=Cause.FELL_BEHIND, sink="mirror-a")
    for span in (within, before, of_a_mirror):
        await losses.tell([span])
    found = await verify(tmp_path, store, ALL)
    well, said = shown(found, capsys)
    assert not well
    assert len(found.lost) == 1
    assert "drop_oldest: at most 7 Frames" in said


async def test_what_is_half_written_at_the_end_of_a_running_spool_is_no_damage(tmp_path: Path) -> None:
    store = await spooled(tmp_path, block(100))
    path = filled(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data + data[: len(data) // 2])
    found = await verify(tmp_path, store, ALL)
    assert not found.unread
    assert found.meters["m-1"].spooled == 200


async def test_an_instant_that_comes_twice_counts_once_with_the_value_that_came_first(tmp_path: Path) -> None:
    first = block(10)
    others = [block(1000, first=1000 * (n + 1), meters=("m-2",)) for n in range(25)]  # more than are read at once
    found = await verify(tmp_path, await spooled(tmp_path, first, *others, replace(first, value=first.value + 1)), ALL)
    count = found.meters["m-1"]
    assert (count.spooled, count.stored, count.conflicting, count.extra) == (20, 20, 0, 0)
    assert count.holds


class LastStore(MemoryStore):
    """Keeps the last value of an instant, as InfluxDB does."""


@pytest.mark.parametrize("more_between", [0, 25])
async def test_a_store_that_keeps_the_last_value_of_an_instant_is_well_with_any_that_was_spooled(
    tmp_path: Path, more_between: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potwatt.verify.KEEPS_LAST", (LastStore,))
    first, last = block(10), replace(block(10), value=block(10).value + 1)
    others = [block(1000, first=1000 * (n + 1), meters=("m-2",)) for n in range(more_between)]
    await spooled(tmp_path, first, *others, last)
    for kept, value_is_one, keeping in (
        (last, True, LastStore),
        (last, False, MemoryStore),
        (block(10, first=5), False, LastStore),
    ):
        store = keeping("smelter")
        await store.setup()
        await store.write([*others, replace(kept, t_ns=first.t_ns)])
        count = (await verify(tmp_path, store, ALL)).meters["m-1"]
        assert count.holds == value_is_one
        assert (count.spooled, count.stored + count.conflicting, count.extra) == (20, 20, 0)
