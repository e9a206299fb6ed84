"""A damaged record of losses: it removes nothing, keeps no spool from starting, and is said."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from collector_blocks import SteppedClock, block, numbers

from collector.disk import OS_DISK
from collector.spool import Spool
from collector.spool_losses import FILE, Cause, LossesDamaged, LossRecord, read_losses
from collector.spool_small import sealed
from plant.site import SpoolSettings
from potwatt.board import Board


@asynccontextmanager
async def opened(directory: Path, board: Board | None = None) -> AsyncIterator[Spool]:
    spool = Spool(directory, SpoolSettings(max_mib=8, segment_mib=1, commit_ms=1), SteppedClock(), board or Board())
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()


async def filled(directory: Path) -> list[int]:
    async with opened(directory) as spool:
        for first in (0, 3):
            await spool.append([block(3, first=first)])
    return list(range(6))


async def kept(spool: Spool) -> list[int]:
    at, found = spool.cursor("store"), list[int]()
    while True:
        blocks, at = await spool.read(at, 100)
        if not blocks:
            return found
        found += numbers(blocks)


def names(directory: Path, suffix: str) -> list[Path]:
    return [directory / name for name in sorted(OS_DISK.sizes(directory)) if name.endswith(suffix)]


HIGH = b'{"spans":[],"gone_through":99999999999,"version":1,"folded":{}}'
MISFIT = HIGH[:-1] + b',"crc":%d}' % zlib.crc32(HIGH.replace(b"9", b"8"))
DAMAGED = {
    "empty": b"",
    "torn": HIGH[:20],
    "a digit": MISFIT,
    "a field": sealed(HIGH).replace(b'"crc"', b'"crb"'),
    "no text": b"\xff",
}


@pytest.mark.parametrize("found", DAMAGED.values(), ids=DAMAGED)
async def test_damaged_record_is_set_aside_and_said_and_every_reading_stays(tmp_path: Path, found: bytes) -> None:
    expected = await filled(tmp_path)
    (tmp_path / FILE).write_bytes(found)
    with pytest.raises(LossesDamaged, match="losses"):
        read_losses(OS_DISK, tmp_path)
    board = Board()
    async with opened(tmp_path, board) as spool:
        assert await kept(spool) == expected
    assert (tmp_path / (FILE + ".damaged")).read_bytes() == found
    assert [health.state for health in board.all() if health.part == "spool:lost"] == ["degraded"]
    assert board.counters()["spool_damaged_losses", ()] == 1
    [span] = read_losses(OS_DISK, tmp_path).spans
    assert (span.cause, span.frames) == (Cause.RECORD, None)
    async with opened(tmp_path) as spool:
        assert await kept(spool) == expected


async def test_record_without_a_checksum_removes_nothing(tmp_path: Path) -> None:
    expected = await filled(tmp_path)
    (tmp_path / FILE).write_bytes(HIGH)
    async with opened(tmp_path) as spool:
        assert await kept(spool) == expected


async def test_record_that_gives_up_every_segment_removes_none(tmp_path: Path) -> None:
    await filled(tmp_path)
    [segment] = names(tmp_path, ".seg")
    before = segment.read_bytes()
    (tmp_path / FILE).write_bytes(sealed(HIGH))
    async with opened(tmp_path) as spool:
        assert await kept(spool) == []
    assert segment.with_suffix(".unreadable").read_bytes() == before


async def test_segments_given_up_below_one_that_is_kept_go(tmp_path: Path) -> None:
    await filled(tmp_path)
    async with opened(tmp_path) as spool:
        await spool.append([block(3, first=6)])
    first, second = names(tmp_path, ".seg")
    record = json.dumps({"spans": [], "gone_through": int(first.stem), "version": 1}, separators=(",", ":"))
    (tmp_path / FILE).write_bytes(sealed(record.encode()))
    assert read_losses(OS_DISK, tmp_path) == LossRecord((), int(first.stem))
    async with opened(tmp_path) as spool:
        assert await kept(spool) == [6, 7, 8]
    assert names(tmp_path, ".seg")[0] == second
    assert not names(tmp_path, ".unreadable")
