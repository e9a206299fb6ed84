"""What recomputing history costs: readings of many meters to rows, on one core and with the embedded store around it.

Run: python benchmarks/bench_recompute.py [--meters 1000] [--days 366] [--minute-days 31] [--awkward 0.02]

Two runs: registers every 15 min for a year (as imported history), registers and power every minute for a month. "computed" is
readings in memory to rows in memory, in one thread; "whole path" reads them from the embedded store and writes the rows back.
A share of the meters is awkward: they miss readings in every part that is computed at once, so that none of them is plain. Beside
it stands what NumPy needs to interpolate the same registers at the same bounds, as a measure of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from analytics.derive import Evidence, PlantModel, derive
from analytics.gather import Gather
from plant.config import parse_site
from plant.frame import FrameBlock
from plant.series import QUARTER_NS, Span
from plant.site import StoreSettings
from storage.embedded import EmbeddedStore

START_NS = 1_767_225_600 * 1_000_000_000
HOUR_NS = 3_600 * 1_000_000_000
DAY_NS = 24 * HOUR_NS
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
    awkward: float

    @property
    def minutes(self) -> bool:
        """Whether the readings are worth rows of minutes."""
        return self.poll_s < 900

    @property
    def part_days(self) -> int:
        """How much is computed at once, as the service does."""
        return 1 if self.minutes else PART_DAYS


def site_text(case: Case) -> str:
    """A busbar with one tie and feeders, a meter each."""
    branches = "".join(BRANCH.format(n=n, kind="feeder" if n else "grid_tie") for n in range(case.meters))
    return HEAD + branches + "".join(METER.format(n=n, poll_s=case.poll_s) for n in range(case.meters))


def readings(case: Case) -> Iterator[FrameBlock]:
    """A block a meter: loads that wander, the tie carrying them all."""
    every_ns = START_NS + np.arange(0, case.days * 86_400 + 1, case.poll_s, dtype=np.int64) * 1_000_000_000
    holes = (every_ns - START_NS) // DAY_NS % case.part_days == 0  # the first hours of each part
    holes &= (every_ns - START_NS) % DAY_NS // HOUR_NS == 3
    random = np.random.default_rng(5)
    for n in range(case.meters):
        t_ns = every_ns
        kw = 1000 + 500 * np.sin(np.arange(len(t_ns)) * case.poll_s / 7_000 + n) + random.normal(0, 20, len(t_ns))
        columns = {
            "energy_import": 1e6 * n + np.cumsum(kw) * case.poll_s / 3600,
            "energy_export": np.zeros(len(t_ns)),
            "active_power": kw,
        }
        value = np.column_stack([columns[q] for q in case.quantities])
        if n < case.awkward * case.meters:
            t_ns, value = t_ns[~holes], value[~holes]
        index, quality = np.zeros(len(t_ns), np.int32), np.zeros(value.shape, np.int16)
        yield FrameBlock("p", "imported", case.quantities, (f"m-{n}",), index, t_ns, value, quality)


async def measure(case: Case, folder: Path) -> None:
    """Print what a case costs."""
    site = parse_site(site_text(case), "bench.toml")
    model = PlantModel.of(site, 0.335573, lambda _meter, _quantity: None)
    keep = StoreSettings(raw_days=36_500, minute_days=36_500, quarter_days=36_500)
    store = EmbeddedStore(folder / "bench.duckdb", "p", keep)
    await store.setup()
    for block in readings(case):
        await store.write([block.take(slice(first, first + 1000)) for first in range(0, len(block.t_ns), 1000)])
    gather = Gather(model, dict.fromkeys(site.meters, case.quantities), store)
    took = dict.fromkeys(("read", "computed", "written", "floor"), 0.0)
    rows = 0
    for span in parts(case.days, case.part_days):
        clock = [time.perf_counter()]
        found = await gather.readings(span)
        clock.append(time.perf_counter())
        bounds = span.bounds(QUARTER_NS // 15 if case.minutes else QUARTER_NS)
        derived = derive(model, Evidence(found), bounds, 15 if case.minutes else 1)
        clock.append(time.perf_counter())
        for table in (derived.fine, derived.coarse):
            for made in table.blocks("p", 1) if table is not None else ():
                await store.write_derived(made)
                rows += len(made)
        clock.append(time.perf_counter())
        for series in (s for s in found.values() if len(s)):
            np.diff(np.interp(bounds.astype(float), series.t_ns.astype(float), series.value))
        clock.append(time.perf_counter())
        for name, (began, ended) in zip(took, pairwise(clock), strict=True):
            took[name] += ended - began
    await store.close()
    intervals = case.meters * case.days * 96
    alone, whole = took["computed"], took["read"] + took["computed"] + took["written"]
    print(
        f"{case.name}: {case.meters} meters, {case.awkward:.0%} of them awkward, {case.days} days, {intervals} point "
        f"intervals of 15 min, {rows} rows:\n"
        f"  computed in {alone:.2f} s ({intervals / alone / 1e6:.2f} M/s, {alone / took['floor']:.1f} x plain interpolation)\n"
        f"  whole path with the embedded store {whole:.2f} s: {took['read']:.2f} s read, {took['written']:.2f} s written"
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
    options.add_argument("--awkward", type=float, default=0.02)
    chosen = options.parse_args()
    registers = ("energy_import", "energy_export")
    cases = [Case("a register every 15 min", chosen.meters, chosen.days, 900, registers, chosen.awkward)]
    if chosen.minute_days:
        signals = (*registers, "active_power")
        cases.append(Case("register and power every minute", chosen.meters, chosen.minute_days, 60, signals, chosen.awkward))
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(case, Path(folder)))


if __name__ == "__main__":
    main()
