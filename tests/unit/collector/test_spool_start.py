"""Starts beside segments that the disk does not give back."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from collector_blocks import SteppedClock, block, numbers

from collector.disk import OS_DISK, OsDisk
from collector.segments import existing_segments, segment_path
from collector.spool import READ_TRIES_MAX, Spool
from collector.spool_losses import read_losses
from plant.errors import SpoolError
from plant.site import SpoolSettings
from potwatt.board import Board

SMALL = SpoolSettings(max_mib=8, segment_mib=1, commit_ms=1)


class Unreadable(OsDisk):
    """Gives nothing of one file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        if path.name == self.name:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(path, offset, count)


async def opened(directory: Path, disk: OsDisk = OS_DISK, board: Board | None = None) -> Spool:
    spool = Spool(directory, SMALL, SteppedClock(), board or Board(), disk=disk)
    await spool.open()
    return spool


async def written(directory: Path, segments: int) -> list[Path]:
    for n in range(segments):
        spool = await opened(directory)
        await spool.append([block(10, first=10 * n)])
        await spool.close()
    return [segment_path(directory, number) for number in existing_segments(OS_DISK, directory)]


async def delivered(spool: Spool) -> list[int]:
    """Tries as often as a reader does."""
    at, found, tries = spool.cursor("store"), [], 0
    while True:
        try:
            blocks, at = await spool.read(at, 10)
        except SpoolError:
            tries += 1
            assert tries < READ_TRIES_MAX
            continue
        if not blocks:
            return found
        found += numbers(blocks)


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_segment_that_the_disk_does_not_give_back_holds_no_start_up(tmp_path: Path, position: int) -> None:
    path, board = (await written(tmp_path, 3))[position], Board()
    spool = await opened(tmp_path, Unreadable(path.name), board)
    assert any(str(path) in health.detail for health in board.all())
    await spool.append([block(10, first=30)])
    assert await delivered(spool) == [n for n in range(40) if n // 10 != position]
    assert [span.segment for span in read_losses(OS_DISK, tmp_path).spans] == [int(path.stem)]
    assert path.with_suffix(".unreadable").name in OS_DISK.sizes(tmp_path)
    await spool.close()


async def test_cursor_within_a_segment_that_the_disk_does_not_give_back_is_kept(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    await spool.append([block(10)])
    await spool.append([block(10, first=10)])
    _, at = await spool.read(spool.start, 10)
    await spool.commit("store", at)
    await spool.close()
    for disk in (Unreadable(segment_path(tmp_path, at.segment).name), OS_DISK):
        spool = await opened(tmp_path, disk)
        assert spool.cursor("store") == at
        await spool.close()


async def test_cursor_before_a_header_that_does_not_fit_is_kept(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    await spool.append([block(10)])
    await spool.commit("store", spool.durable)
    at = spool.durable
    await spool.close()
    path = segment_path(tmp_path, at.segment)
    path.write_bytes(path.read_bytes() + bytes(100))
    spool = await opened(tmp_path)
    assert spool.cursor("store") == at
    await spool.close()


@pytest.mark.parametrize("position", [0, 2])
async def test_segment_that_could_not_be_read_at_one_start_is_there_at_the_next(tmp_path: Path, position: int) -> None:
    path = (await written(tmp_path, 3))[position]
    await (await opened(tmp_path, Unreadable(path.name))).close()
    spool = await opened(tmp_path)
    assert await delivered(spool) == list(range(30))
    assert not read_losses(OS_DISK, tmp_path).spans
    await spool.close()
