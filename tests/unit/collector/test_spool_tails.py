"""Ends of segments that do not fit: what may have been acknowledged is told and kept, what never was is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from collector_blocks import SteppedClock, block, numbers

from collector.disk import OS_DISK, OsDisk
from collector.segments import existing_segments, segment_path, set_aside
from collector.spool import Spool
from collector.spool_format import encode_block
from collector.spool_losses import LostSpan, read_losses
from plant.errors import SpoolFull
from plant.site import SpoolSettings
from potwatt.board import Board

SMALL = SpoolSettings(max_mib=8, segment_mib=1, commit_ms=1)
RECORD_BYTES = len(encode_block(block(10)))


async def written(directory: Path, segments: int) -> list[Path]:
    """Segments of three records of ten Frames."""
    for n in range(segments):
        spool = await opened(directory)
        for record in range(3):
            await spool.append([block(10, first=30 * n + 10 * record)])
        await spool.close()
    return [segment_path(directory, number) for number in existing_segments(OS_DISK, directory)]


async def opened(directory: Path) -> Spool:
    spool = Spool(directory, SMALL, SteppedClock(), Board())
    await spool.open()
    return spool


async def fill(spool: Spool) -> None:
    for n in range(1000):
        await spool.append([block(1000, first=1000 * n)])


async def delivered(spool: Spool) -> list[int]:
    at, found = spool.cursor("store"), []
    while True:
        blocks, at = await spool.read(at, 100)
        if not blocks:
            await spool.commit("store", at)
            return found
        found += numbers(blocks)


def told(directory: Path) -> list[tuple[int | None, int | None, int | None, int]]:
    return [place(span) for span in read_losses(OS_DISK, directory).spans]


def place(span: LostSpan) -> tuple[int | None, int | None, int | None, int]:
    return span.segment, span.offset, span.frames, span.bytes


@pytest.mark.parametrize("position", [0, 1])
async def test_turned_bit_in_the_last_header_of_a_segment_is_told(tmp_path: Path, position: int) -> None:
    path = (await written(tmp_path, 2))[position]
    data = bytearray(path.read_bytes())
    data[-RECORD_BYTES + 30] ^= 1
    path.write_bytes(data)
    lost = {30 * position + 20 + n for n in range(10)}
    for _ in range(2):
        spool = await opened(tmp_path)
        assert told(tmp_path) == [(int(path.stem), 2 * RECORD_BYTES, None, RECORD_BYTES)], "once, and before anybody reads"
        await spool.close()
    assert path.read_bytes() == data
    spool = await opened(tmp_path)
    assert await delivered(spool) == [n for n in range(60) if n not in lost]
    assert len(told(tmp_path)) == 1
    await spool.append([block(1, first=60)])
    assert await delivered(spool) == [60]
    assert path.with_suffix(".unreadable").read_bytes() == data, "kept for whoever can rescue it"
    await spool.close()


@pytest.mark.parametrize("position", [0, 1])
async def test_zeroed_segment_is_told(tmp_path: Path, position: int) -> None:
    path = (await written(tmp_path, 2))[position]
    path.write_bytes(bytes(3 * RECORD_BYTES))
    spool = await opened(tmp_path)
    assert await delivered(spool) == list(range(30 - 30 * position, 60 - 30 * position))
    assert told(tmp_path) == [(int(path.stem), 0, None, 3 * RECORD_BYTES)]
    await spool.close()


async def test_closed_segment_that_became_shorter_is_told_with_what_its_header_promised(tmp_path: Path) -> None:
    path, _ = await written(tmp_path, 2)
    path.write_bytes(path.read_bytes()[:-5])
    spool = await opened(tmp_path)
    assert await delivered(spool) == [*range(20), *range(30, 60)]
    assert told(tmp_path) == [(int(path.stem), 2 * RECORD_BYTES, 10, RECORD_BYTES - 5)]
    await spool.close()


async def test_torn_end_of_a_killed_process_is_cut_and_is_no_loss_whatever_empty_segment_follows(tmp_path: Path) -> None:
    (path,) = await written(tmp_path, 1)
    path.write_bytes(path.read_bytes() + encode_block(block(10, first=30))[:-1])
    segment_path(tmp_path, int(path.stem) + 1).touch()
    spool = await opened(tmp_path)
    assert OS_DISK.sizes(tmp_path)[path.name] == 3 * RECORD_BYTES
    assert await delivered(spool) == list(range(30))
    assert told(tmp_path) == []
    await spool.close()


async def test_suspect_segments_give_way_when_the_bound_is_reached(tmp_path: Path) -> None:
    (path,) = await written(tmp_path, 1)
    path.write_bytes(bytes(3 * RECORD_BYTES))
    spool = await opened(tmp_path)
    await spool.append([block(10)])
    await delivered(spool)
    assert spool.size_bytes >= 3 * RECORD_BYTES
    assert path.with_suffix(".unreadable").name in OS_DISK.sizes(tmp_path)
    with pytest.raises(SpoolFull):
        await fill(spool)
    assert path.with_suffix(".unreadable").name not in OS_DISK.sizes(tmp_path)
    await spool.close()


def test_segment_set_aside_stays_aside_after_a_power_cut(tmp_path: Path) -> None:
    synced: list[set[str]] = []

    class Names(OsDisk):
        def sync_directory(self, directory: Path) -> None:
            super().sync_directory(directory)
            synced.append(set(self.sizes(directory)))

    segment_path(tmp_path, 7).write_bytes(b"x")
    set_aside(Names(), tmp_path, 7)
    assert synced == [{"000000000007.unreadable"}]
