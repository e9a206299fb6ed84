"""The embedded store with quality, deduplication and cursor, beside bare DuckDB appends of the same rows in the same run.

    python benchmarks/bench_embedded.py                    # 300 series at 1 Hz for a day; about ten minutes
    python benchmarks/bench_embedded.py --hours 1          # a small run, to see that it works

Ingest writes blocks as the forwarder does, each call one durable transaction with its cursor. The standard queries are asked
of the table as it was written, and again when the day lies in its file. Figures hold only on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from plant.frame import FrameBlock
from plant.ports import SpoolCursor
from plant.series import QUARTER, QUARTER_NS, DerivedBlock, Span
from plant.site import StoreSettings
from storage.duck import CHECKPOINT, MEMORY_LIMIT, THREADS
from storage.embedded import EmbeddedStore

S = 1_000_000_000
DAY_NS = 86_400 * S
START = 20_000 * DAY_NS
QUANTITIES = ("active_power", "energy_import", "frequency")
METERS = 100
FRAMES_PER_WRITE = 10_000
LAST_SERIES = 5_000
KEEP = StoreSettings(raw_days=36_500, minute_days=36_500, quarter_days=36_500)


def seconds_of_all_meters(first_s: int, seconds: int, rng: np.random.Generator) -> FrameBlock:
    """Frames in order of time: every meter at 1 Hz, one value in a thousand missing with its quality."""
    n = seconds * METERS
    at_s = np.repeat(np.arange(first_s, first_s + seconds, dtype=np.int64), METERS)
    power = np.round(1000 + 50 * rng.standard_normal(n), 1)
    value = np.column_stack(
        [power, np.round(1e6 + at_s * power.mean() / 3600, 1), np.round(50 + 0.02 * rng.standard_normal(n), 3)]
    )
    quality = np.zeros(value.shape, np.int16)
    missing = rng.random(value.shape) < 1e-3
    value[missing], quality[missing] = np.nan, 64
    names = tuple(f"meter-{i:03}" for i in range(METERS))
    index = np.tile(np.arange(METERS, dtype=np.int32), seconds)
    return FrameBlock("p", "bench", QUANTITIES, names, index, START + at_s * S, value, quality)


def blocks_of(block: FrameBlock) -> list[FrameBlock]:
    """The same as blocks of a thousand Frames, as the spool holds them."""
    return [block.take(slice(at, at + 1_000)) for at in range(0, len(block), 1_000)]


async def ingest(store: EmbeddedStore, hours: float) -> tuple[float, list[float]]:
    """Values a second, and the ms of each write."""
    rng, seconds, took = np.random.default_rng(1), FRAMES_PER_WRITE // METERS, []
    total = round(hours * 3600)
    for number, first_s in enumerate(range(0, total, seconds)):
        blocks = blocks_of(seconds_of_all_meters(first_s, min(seconds, total - first_s), rng))
        began = time.perf_counter()
        await store.write(blocks, SpoolCursor(1, number + 1))
        took.append((time.perf_counter() - began) * 1e3)
    return total * METERS * len(QUANTITIES) / (sum(took) / 1e3), took


def bare(folder: Path, hours: float) -> float:
    """Values a second that DuckDB appends in transactions of the same size, rows ready made: no quality told apart, no
    comparison, no cursor."""
    config = {"memory_limit": MEMORY_LIMIT, "threads": THREADS, "checkpoint_threshold": CHECKPOINT}
    rng, seconds, spent = np.random.default_rng(1), FRAMES_PER_WRITE // METERS, 0.0
    total = round(hours * 3600)
    with duckdb.connect(str(folder / "bare.duckdb"), config=config) as db:
        db.execute("CREATE TABLE reading (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT)")
        for first_s in range(0, total, seconds):
            block = seconds_of_all_meters(first_s, min(seconds, total - first_s), rng)
            k = len(QUANTITIES)
            rows = {
                "series": (block.meter_index[:, None] * k + np.arange(k)).astype(np.int32).ravel(),
                "t_ms": np.repeat(block.t_ns // 1_000_000, k),
                "value": block.value.ravel(),
                "quality": block.quality.ravel(),
            }
            began = time.perf_counter()
            db.register("incoming", rows)
            db.execute("INSERT INTO reading SELECT * FROM incoming")
            spent += time.perf_counter() - began
    return total * METERS * len(QUANTITIES) / spent


async def median_ms(ask: Callable[[], Awaitable[object]], times: int = 5) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took)


async def queries(store: EmbeddedStore, hours: float) -> dict[str, float]:
    """Milliseconds of the standard queries on readings."""
    span = Span(START, START + round(hours * 3600) * S)
    relation = store._relation(  # noqa: SLF001 - the store has no such query, what a user asks in SQL
        "reading", span.start_ns // 1_000_000, span.end_ns // 1_000_000
    )
    minute = f"SELECT series, t_ms // 60000 AS minute, avg(value) FROM {relation} WHERE quality = 0 GROUP BY ALL"
    every = [(f"meter-{i:03}", name) for i in range(METERS) for name in QUANTITIES]

    database = store._database  # noqa: SLF001

    async def minutes() -> object:
        return await database.run(lambda: database.arrays(minute))

    return {
        "one-minute mean of 300 series": await median_ms(minutes),
        "one series, one hour": await median_ms(lambda: store.read(*every[0], Span(span.end_ns - 3600 * S, span.end_ns))),
        "last reading of 300 series within a day": await median_ms(lambda: store.last_before(every, span.end_ns, 86_400)),
    }


async def last_of_many(folder: Path) -> float:
    """Milliseconds for the last value of 5 000 series of a month of 15-min readings."""
    store = EmbeddedStore(folder / "many.duckdb", "p", KEEP)
    await store.setup()
    meters = tuple(f"m{i:04}" for i in range(LAST_SERIES))
    for slot in range(0, 2_976, 2):
        n = 2 * LAST_SERIES
        t_ns = START + np.repeat(np.arange(slot, slot + 2, dtype=np.int64), LAST_SERIES) * QUARTER_NS
        index = np.tile(np.arange(LAST_SERIES, dtype=np.int32), 2)
        value, zero = np.full((n, 1), float(slot)), np.zeros((n, 1), np.int16)
        await store.write([FrameBlock("p", "bench", ("active_power",), meters, index, t_ns, value, zero)])
    pairs = [(meter, "active_power") for meter in meters]
    took = await median_ms(lambda: store.last_before(pairs, START + 2_976 * QUARTER_NS, 31 * 86_400))
    await store.close()
    return took


async def year_of_intervals(folder: Path) -> float:
    """Milliseconds to read a year of 15-min rows of ten nodes with four fields."""
    store = EmbeddedStore(folder / "year.duckdb", "p", KEEP)
    await store.setup()
    nodes, fields = tuple(f"point:{i}" for i in range(100)), ("energy_import", "energy_export", "completeness", "measured_share")
    slots = 366 * 96
    for node in range(len(nodes)):
        start_ns = START + np.arange(slots, dtype=np.int64) * QUARTER_NS
        value = np.random.default_rng(node).random((slots, len(fields)))
        index, version = np.full(slots, node, np.int32), np.ones(slots, np.int64)
        await store.write_derived(
            DerivedBlock("p", QUARTER, fields, nodes, index, start_ns, value, version, np.ones(slots, bool))
        )
    span = Span(START, START + slots * QUARTER_NS)
    took = await median_ms(lambda: store.read_derived(QUARTER, nodes[:10], fields, span))
    await store.close()
    return took


def mib(path: Path) -> float:
    files = [path] if path.is_file() else list(path.glob("*"))
    return sum(file.stat().st_size for file in files) / 2**20


async def main(hours: float) -> None:
    folder = Path(tempfile.mkdtemp(prefix="potwatt-bench-"))
    try:
        path = folder / "series.duckdb"
        store = EmbeddedStore(path, "p", KEEP)
        await store.setup()
        rate, took = await ingest(store, hours)
        plain = await asyncio.to_thread(bare, folder, hours)
        print(
            f"ingest: {rate:,.0f} values/s, write of {FRAMES_PER_WRITE} Frames median {statistics.median(took):.1f} ms, ", end=""
        )
        print(f"max {max(took):.1f} ms; bare DuckDB {plain:,.0f} values/s: {rate / plain:.2f} of it")
        again = blocks_of(seconds_of_all_meters(0, FRAMES_PER_WRITE // METERS, np.random.default_rng(1)))
        began = time.perf_counter()
        written = await store.write(again)
        print(f"the first block again: {written.repeated} repeated, {(time.perf_counter() - began) * 1e3:.1f} ms")
        for name, ms in (await queries(store, hours)).items():
            print(f"table: {name}: {ms:.1f} ms")
        size = mib(path) + mib(path.with_name(path.name + ".wal"))
        began = time.perf_counter()
        await store.compact(START + 3 * DAY_NS)
        parts = mib(path.with_suffix(".parts"))
        print(f"compaction: {time.perf_counter() - began:.1f} s; {size:.1f} MiB of table became {parts:.1f} MiB of files")
        began = time.perf_counter()
        late = replace(again[0].take(slice(0, 100)), t_ns=again[0].t_ns[:100] + 500_000_000)
        await store.write([late])
        print(f"100 late Frames into the closed day: {(time.perf_counter() - began) * 1e3:.1f} ms")
        for name, ms in (await queries(store, hours)).items():
            print(f"file: {name}: {ms:.1f} ms")
        await store.close()
        print(f"last value of {LAST_SERIES} series of a month of 15-min readings: {await last_of_many(folder):.1f} ms")
        print(f"a year of 15-min rows, 10 of 100 nodes, 4 fields: {await year_of_intervals(folder):.1f} ms")
        print(f"peak memory of the run: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="of readings")
    asyncio.run(main(parser.parse_args().hours))
