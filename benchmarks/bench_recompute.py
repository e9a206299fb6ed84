"""What recomputing history costs on one core: readings of many meters to rows, with and without the store.

Run: python benchmarks/bench_recompute.py [--meters 1000] [--days 366] [--minute-days 31]

Two runs: registers every 15 min for a year (as imported history), registers and power every minute for a month. "computed" is
readings in memory to rows in memory; "whole path" reads them from the memory store and writes the rows back to it. Beside it
stands what NumPy needs to interpolate the same registers at the same bounds, as a measure of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analytics.derive import Evidence, PlantModel, derive
from analytics.gather import Gather
from plant.config import parse_site
from plant.frame import FrameBlock
from plant.series import QUARTER_NS, Span
from storage.memory import MemoryStore

START_NS = 1_767_225_600 * 1_000_000_000
DAY_NS = 86_400 * 1_000_000_000
PART_DAYS = 31  # a month at a time, as the service does with history
HEAD = """
plant = { id = "p", name = { en = "P" }, zone = "Asia/Shanghai" }
bus = [{ id = "b" }]
endpoint = [{ id = "g", protocol = "import", host = "-", port = 1 }]
"""
BRANCH = '[[branch]]\nid = "m-{n}"\nkind = "{kind}"\nbus = "b"\n'
METER = """
[[meter]]
id = "m-{n}"
profile = "imported"
endpoint = "g"
unit = 1
poll_interval_s = {poll_s}
measures = {{ branch = "m-{n}", rated_power_kw = 2000 }}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """``meters`` read every ``poll_s`` for ``days``."""

    name: str
    meters: int
    days: int
    poll_s: int
    quantities: tuple[str, ...]


def site_text(case: Case) -> str:
    """A busbar with one tie and feeders, a meter each."""
    branches = "".join(BRANCH.format(n=n, kind="feeder" if n else "grid_tie") for n in range(case.meters))
    return HEAD + branches + "".join(METER.format(n=n, poll_s=case.poll_s) for n in range(case.meters))


def readings(case: Case) -> Iterator[FrameBlock]:
    """A block a meter: loads that wander, the tie carrying them all."""
    t_ns = START_NS + np.arange(0, case.days * 86_400 + 1, case.poll_s, dtype=np.int64) * 1_000_000_000
    random = np.random.default_rng(5)
    for n in range(case.meters):
        kw = 1000 + 500 * np.sin(np.arange(len(t_ns)) * case.poll_s / 7_000 + n) + random.normal(0, 20, len(t_ns))
        columns = {
            "energy_import": 1e6 * n + np.cumsum(kw) * case.poll_s / 3600,
            "energy_export": np.zeros(len(t_ns)),
            "active_power": kw,
        }
        value = np.column_stack([columns[q] for q in case.quantities])
        index, quality = np.zeros(len(t_ns), np.int32), np.zeros(value.shape, np.int16)
        yield FrameBlock("p", "imported", case.quantities, (f"m-{n}",), index, t_ns, value, quality)


async def measure(case: Case) -> None:
    """Print what a case costs."""
    site = parse_site(site_text(case), "bench.toml")
    model = PlantModel.of(site, 0.335573, lambda _meter, _quantity: None)
    store = MemoryStore("p")
    for block in readings(case):
        for first in range(0, len(block.t_ns), 1000):
            await store.write([block.take(slice(first, first + 1000))])
    gather = Gather(model, dict.fromkeys(site.meters, case.quantities), store)
    computed = whole = floor = 0.0
    rows = 0
    minutes = case.poll_s < 900
    for span in parts(case.days, 1 if minutes else PART_DAYS):
        began = time.perf_counter()
        found = await gather.readings(span)
        read = time.perf_counter()
        bounds = span.bounds(QUARTER_NS // 15 if minutes else QUARTER_NS)
        derived = derive(model, Evidence(found), bounds, 15 if minutes else 1)
        done = time.perf_counter()
        for table in (derived.fine, derived.coarse):
            for made in table.blocks("p", 1) if table is not None else ():
                await store.write_derived(made)
                rows += len(made)
        whole += time.perf_counter() - began
        computed += done - read
        began = time.perf_counter()
        for series in (s for s in found.values() if len(s)):
            np.diff(np.interp(bounds.astype(float), series.t_ns.astype(float), series.value))
        floor += time.perf_counter() - began
    intervals = case.meters * case.days * 96
    print(
        f"{case.name}: {case.meters} meters, {case.days} days, {intervals} point intervals of 15 min, {rows} rows: "
        f"computed in {computed:.2f} s ({intervals / computed / 1e6:.2f} M/s, {computed / floor:.1f} x plain interpolation), "
        f"whole path with the memory store {whole:.2f} s"
    )


def parts(days: int, step: int) -> Sequence[Span]:
    """Spans of ``step`` days."""
    edges = [*range(0, days, step), days]
    return [Span(START_NS + a * DAY_NS, START_NS + b * DAY_NS) for a, b in pairwise(edges)]


def main() -> None:
    """Run both cases."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--meters", type=int, default=1000)
    options.add_argument("--days", type=int, default=366)
    options.add_argument("--minute-days", type=int, default=31)
    chosen = options.parse_args()
    registers = ("energy_import", "energy_export")
    asyncio.run(measure(Case("a register every 15 min", chosen.meters, chosen.days, 900, registers)))
    if chosen.minute_days:
        case = Case("register and power every minute", chosen.meters, chosen.minute_days, 60, (*registers, "active_power"))
        asyncio.run(measure(case))


if __name__ == "__main__":
    main()
