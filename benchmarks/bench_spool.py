"""Spool: appends of blocks of 1 000 Frames with group commit, each durable when it returns, beside what the disk itself takes
when the same bytes are written and synced in pieces of the same size.

Run: python benchmarks/bench_spool.py [--blocks 3000] [--folder .]. The folder decides which disk is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import tempfile
import time
from pathlib import Path

from spool_blocks import FRAMES, VALUES, blocks

from collector.spool import Spool
from plant.site import SpoolSettings
from potwatt import logs
from potwatt.board import Board
from potwatt.clock import SystemClock

AT_ONCE = 100  # appends under way, each of one block, as from many sources
MIB = 2**20


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--blocks", type=int, default=3_000)
    arguments.add_argument("--folder", type=Path, default=Path())
    chosen = arguments.parse_args()
    logs.set_up(logging.ERROR)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        for commit_ms in (1.0, 50.0):
            piece_bytes, rate = asyncio.run(appending(folder / f"spool-{commit_ms:g}", chosen.blocks, commit_ms))
            disk = writing(folder / "plain", piece_bytes, max(8, chosen.blocks * FRAMES * 80 // piece_bytes))
            print(
                f"{'':34} the disk takes {disk / MIB:.0f} MiB/s in pieces of {piece_bytes / MIB:.2f} MiB: {rate / disk:.0%} of it"
            )


async def appending(folder: Path, count: int, commit_ms: float) -> tuple[int, float]:
    """Mean bytes of a sync and bytes a second."""
    settings = SpoolSettings(max_mib=8_192, segment_mib=64, commit_ms=commit_ms)
    spool = Spool(folder, settings, SystemClock(), Board())
    made = list(blocks(min(count, 200), 1_795_000_000_000))
    await spool.open()
    syncs = _counting_syncs()
    begun_s, cpu_s = time.monotonic(), time.process_time()
    left = iter(range(count))

    async def source() -> None:
        for number in left:
            await spool.append([made[number % len(made)]])

    await asyncio.gather(*(source() for _ in range(AT_ONCE)))
    elapsed_s, used_s = time.monotonic() - begun_s, time.process_time() - cpu_s
    size, synced = spool.size_bytes, max(1, syncs())
    await spool.close()
    frames = count * FRAMES
    print(
        f"{f'spool, commit_ms = {commit_ms:g}':34} {frames / elapsed_s / 1e6:6.2f} M Frames/s of {VALUES} values, "
        f"{size / elapsed_s / MIB:.0f} MiB/s, {used_s / frames * 1e6:.2f} us CPU a Frame, {synced} syncs"
    )
    return size // synced, size / elapsed_s


def _counting_syncs():  # noqa: ANN202
    """How often the process syncs from now on."""
    real, count = os.fsync, 0

    def counted(fd: int) -> None:
        nonlocal count
        count += 1
        real(fd)

    os.fsync = os.fdatasync = counted
    return lambda: count


def writing(path: Path, piece_bytes: int, pieces: int) -> float:
    """Bytes a second of write and fsync, one piece after the other."""
    piece = os.urandom(piece_bytes)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    begun_s = time.monotonic()
    for _ in range(pieces):
        os.write(fd, piece)
        os.fsync(fd)
    elapsed_s = time.monotonic() - begun_s
    os.close(fd)
    path.unlink()
    return piece_bytes * pieces / elapsed_s


if __name__ == "__main__":
    main()
