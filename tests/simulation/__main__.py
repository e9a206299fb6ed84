"""``python -m tests.simulation --seeds 10000 [--start S]``: as many runs as asked, fresh seeds unless a start is given."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter

from .world import Violation, World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="number of runs")
    parser.add_argument("--start", type=int, default=None, help="first seed; a fresh one by default")
    parser.add_argument("--go-on", action="store_true", help="report every failing seed, not the first alone")
    asked = parser.parse_args()
    start = secrets.randbelow(10**12) if asked.start is None else asked.start
    counts: Counter[str] = Counter()
    failed, began = 0, time.perf_counter()
    for seed in range(start, start + asked.seeds):
        world = World(seed)
        try:
            world.run()
        except Violation as error:
            failed += 1
            print(str(error) if not asked.go_on else str(error).splitlines()[0])
            if not asked.go_on:
                raise SystemExit(1) from error
        counts += world.counts
    took_s = time.perf_counter() - began
    print(f"seeds {start} to {start + asked.seeds - 1}: {failed} failed, {took_s:.1f} s, {asked.seeds / took_s:.0f} runs/s")
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
