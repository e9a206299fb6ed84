"""Policies that drop, on a disk that is full before the spool's bound is reached."""

from __future__ import annotations

import asyncio
from pathlib import Path

from collector_blocks import SteppedClock, block
from small_disk import fill_but, small_disk

from collector.disk import OS_DISK
from collector.spool import Spool
from collector.spool_losses import Cause, read_losses
from plant.site import SpoolSettings
from potwatt.board import Board

ROWS = 1000


async def opened(directory: Path, when_full: str) -> Spool:
    settings = SpoolSettings(max_mib=64, segment_mib=1, commit_ms=1, when_full=when_full)  # type: ignore[arg-type]
    spool = Spool(directory, settings, SteppedClock(), Board(), best_effort=("mirror",))
    await spool.open()
    return spool


async def fill(spool: Spool, first: int, count: int) -> None:
    async with asyncio.timeout(60):
        for n in range(first, first + count):
            await spool.append([block(ROWS, first=n * ROWS)])


def lost(directory: Path, cause: Cause, sink: str) -> int:
    spans = read_losses(OS_DISK, directory).spans
    return sum(span.frames or 0 for span in spans if (span.cause, span.sink) == (cause, sink))


async def test_drop_oldest_goes_on_taking_readings(tmp_path: Path) -> None:
    with small_disk(tmp_path, 8) as disk:
        spool = await opened(disk / "spool", "drop_oldest")
        await fill(spool, 0, 100)
        fill_but(disk, 0)
        await fill(spool, 100, 200)
        assert lost(disk / "spool", Cause.DROP_OLDEST, "store") > 100 * ROWS, "several segments went, one after the other"
        await spool.close()


async def test_drop_newest_takes_readings_while_only_an_absent_mirror_lacks_the_old(tmp_path: Path) -> None:
    with small_disk(tmp_path, 8) as disk:
        spool = await opened(disk / "spool", "drop_newest")
        await fill(spool, 0, 100)
        await spool.commit("store", spool.durable)
        fill_but(disk, 64)
        await fill(spool, 100, 20)
        assert lost(disk / "spool", Cause.DROP_NEWEST, "") == 0
        assert lost(disk / "spool", Cause.FELL_BEHIND, "mirror") > 0
        await spool.close()


async def test_drop_newest_leaves_out_new_readings_where_the_store_lacks_the_old(tmp_path: Path) -> None:
    with small_disk(tmp_path, 8) as disk:
        spool = await opened(disk / "spool", "drop_newest")
        await fill(spool, 0, 60)
        fill_but(disk, 64)
        await fill(spool, 60, 20)
        assert lost(disk / "spool", Cause.DROP_NEWEST, "") > 10 * ROWS
        assert lost(disk / "spool", Cause.DROP_OLDEST, "store") == 0
        await spool.close()
