"""A province recomputed from its plants' readings: wall clock with one worker and with two, memory, the cost of a plant-month.

Run: python benchmarks/bench_province.py [--plants 6] [--feeders 293] [--months 2]. A plant has feeders + 8 meters; 293 make 301.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import orjson
from province_plants import make_plant

from plant.rulebook import parse_rules, shipped_rule_texts
from potwatt.province import answer_of
from potwatt.province_inputs import checked
from potwatt.province_recompute import recomputed

YEAR = 2025
RULES = parse_rules(shipped_rule_texts())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plants", type=int, default=6)
    parser.add_argument("--feeders", type=int, default=293)
    parser.add_argument("--months", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for number in range(asked.plants):
            make_plant(folder / f"plant-{number:02}", number, asked.feeders, YEAR, asked.months, seed=1)
        months = [f"{YEAR}-{m + 1:02}" for m in range(asked.months)]
        taken, told = {}, {}
        for workers in (1, 2):
            start = time.perf_counter()
            found = recomputed(folder, months, workers)
            taken[workers] = time.perf_counter() - start
            by_month = [checked(found[i :: len(months)], month) for i, month in enumerate(months)]
            answers = [answer_of(r, m, RULES, companies_min=1, expected=()) for m, r in zip(months, by_month, strict=True)]
            told[workers] = orjson.dumps(answers)
        assert told[1] == told[2], "one worker and two give different answers"
        readings = sum(f.stat().st_size for f in folder.rglob("*.parquet"))
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    meters, parts = asked.feeders + 8, asked.plants * asked.months
    print(f"{parts} plant-months of {meters} meters, {readings / 2**20:.1f} MiB of Parquet; answers identical")
    print(f"1 worker: {taken[1]:.1f} s, {taken[1] / parts:.2f} s a plant-month")
    print(f"2 workers: {taken[2]:.1f} s, {taken[1] / taken[2]:.2f} times faster")
    print(f"50 plants for a year at this pace: {600 * taken[2] / parts / 60:.0f} min")
    print(f"most memory of a process: {peak / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
