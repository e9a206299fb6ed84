"""Forwarding: from the spool into a real InfluxDB, beside what that InfluxDB takes of the same lines, made beforehand and posted
by a C client, in the same run; and a backlog drained while live data flow.

Run: python benchmarks/bench_forward.py [--blocks 300] [--scale 0.01]. The backlog is SCALE of a day at 5 000 values a second.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from rig import built, influxdb
from spool_blocks import FRAMES, VALUES, blocks

from collector.forward import Forwarder
from collector.quarantine import Quarantine
from collector.spool import Spool
from plant.frame import FrameBlock
from plant.site import SpoolSettings
from potwatt import logs
from potwatt.board import Board
from potwatt.clock import SystemClock
from potwatt.load import load_text
from potwatt.program import build_ledger, build_store
from storage.influx_posts import LINES_MAX
from storage.line_protocol import reading_lines

CONNECTIONS = 2  # of the C client
LIVE_VALUES_PER_S, DAY_S = 5_000, 86_400


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--blocks", type=int, default=300)
    arguments.add_argument("--scale", type=float, default=0.01)
    chosen = arguments.parse_args()
    logs.set_up(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with influxdb(folder / "influxdb") as port:
            values = chosen.blocks * FRAMES * VALUES
            now_ms = round(time.time()) * 1_000 - 3_600_000
            limit = posted(folder / "lines", port, blocks(chosen.blocks, now_ms, plant="limit"))
            ours, cpu_us = asyncio.run(forwarded(folder / "ours", port, blocks(chosen.blocks, now_ms)))
            print(f"forwarding of InfluxDB's own limit: {ours * values / limit:.0%}; {cpu_us / values:.2f} us CPU a value")
            asyncio.run(drained(folder / "backlog", port, chosen.scale))


def posted(folder: Path, port: int, made: Iterable[FrameBlock]) -> float:
    """Values a second, posted by a C client as the forwarder would: bodies of LINES_MAX lines."""
    folder.mkdir()
    urllib.request.urlopen(f"http://127.0.0.1:{port}/query", b"q=CREATE DATABASE limit_raw").close()
    lines: list[str] = []
    count = 0
    for block in made:
        lines += reading_lines(block, "reading", list(block.quantities))
        while len(lines) >= LINES_MAX:
            (folder / f"{count:06d}").write_text("\n".join(lines[:LINES_MAX]) + "\n")
            del lines[:LINES_MAX]
            count += 1
    command = [built("line_post", folder), str(port), "limit_raw", folder, str(count), str(CONNECTIONS)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said[1] == "0", "InfluxDB refused lines"
    elapsed_s, values = float(said[0]), count * LINES_MAX * VALUES
    print(f"InfluxDB alone, ready lines: {values / elapsed_s / 1e6:.2f} M values/s over {CONNECTIONS} connections", flush=True)
    return values / elapsed_s


@asynccontextmanager
async def forwarding(folder: Path, port: int, database: str) -> AsyncIterator[tuple[Spool, Forwarder]]:
    """A spool and the shipped forwarder before a real store; not yet running."""
    folder.mkdir()  # noqa: ASYNC240  (nothing else runs yet)
    text = (
        f'[plant]\nid = "bench"\nname = {{ en = "Bench" }}\n[[bus]]\nid = "b1"\n'
        f'[store]\nkind = "influxdb"\nurl = "http://127.0.0.1:{port}"\ndatabase = "{database}"\n'
    )
    loaded, clock, board = load_text(text, "bench", folder), SystemClock(), Board()
    loaded.data_dir.mkdir()
    store, ledger = build_store(loaded, {}, clock), build_ledger(loaded, clock)
    spool = Spool(loaded.data_dir / "spool", SpoolSettings(max_mib=16_384), clock, board)
    await ledger.setup()
    await store.setup()
    await spool.open()
    quarantine = Quarantine(folder / "quarantine", clock, board)
    try:
        yield spool, Forwarder(spool, store, ledger, site=loaded.site, clock=clock, health=board, quarantine=quarantine)
    finally:
        await spool.close()
        await store.close()
        await ledger.close()


async def forwarded(folder: Path, port: int, made: Iterable[FrameBlock]) -> tuple[float, float]:
    """Runs a second of the whole load, and CPU us of one."""
    async with forwarding(folder, port, "bench") as (spool, forwarder):
        for block in made:
            await spool.append([block])
        begun_s, used_s = time.monotonic(), time.process_time()
        running = asyncio.create_task(forwarder.run())
        await emptied(spool)
        elapsed_s, used_s = time.monotonic() - begun_s, time.process_time() - used_s
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return 1 / elapsed_s, used_s * 1e6


async def emptied(spool: Spool) -> None:
    """Return when everything is forwarded."""
    while (await spool.backlog()).bytes:  # noqa: ASYNC110  (the forwarder tells nobody)
        await asyncio.sleep(0.05)


async def drained(folder: Path, port: int, scale: float) -> None:
    """A backlog of ``scale`` days drained while live readings are appended at the same rate."""
    frames_per_s = LIVE_VALUES_PER_S / VALUES
    step_ms = round(FRAMES / frames_per_s * 1_000)
    count = max(1, round(DAY_S * scale * frames_per_s / FRAMES))
    now_ms = round(time.time()) * 1_000
    async with forwarding(folder, port, "backlog") as (spool, forwarder):
        for block in blocks(count, now_ms - count * step_ms, step_ms):
            await spool.append([block])
        begun_s = time.monotonic()

        async def live() -> None:
            for block in blocks(1_000_000, now_ms, step_ms):
                await spool.append([block])
                await asyncio.sleep(step_ms / 1_000)

        tasks = [asyncio.create_task(live()), asyncio.create_task(forwarder.run())]
        await emptied(spool)
        elapsed_s = time.monotonic() - begun_s
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    whole_min = elapsed_s / scale / 60
    print(
        f"backlog of {scale:g} of a day at {LIVE_VALUES_PER_S} values/s ({count * FRAMES * VALUES / 1e6:.1f} M values) drained "
        f"in {elapsed_s:.1f} s while live data flowed: {whole_min:.1f} min for a whole day at this pace"
    )


if __name__ == "__main__":
    main()
