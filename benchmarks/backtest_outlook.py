"""Outlooks of past months held against how they ended: simulated smelters by seed, and a recorded steel works.

Run: python benchmarks/backtest_outlook.py [--seeds 3] [--days 730] [--history 42]. The recording is read from the folder
named by POTWATT_RECORDINGS. Printed for each figure: share of the truths in the 80 % band, mean width of the band and mean
error of the value in % of the truth, beside those of last month's value and the spread of its days.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from analytics.outlook_backtest import Case, backtest, scores
from potwatt.selftest.outlook_days import simulated_days, steel_works_days

ORIGINS = (1, 6, 11, 16, 21, 26)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--days", type=int, default=730)
    arguments.add_argument("--history", type=int, default=42)
    chosen = arguments.parse_args()
    cases: list[Case] = []
    for seed in range(1, chosen.seeds + 1):
        days, dates = simulated_days(seed, chosen.days)
        cases += backtest(days, dates, ORIGINS, chosen.history, seed)
    show(f"{chosen.seeds} simulated smelters, {chosen.days} days each", cases)
    folder = os.environ.get("POTWATT_RECORDINGS")
    if folder:
        days, dates = steel_works_days(Path(folder) / "steel_works_2018_15min.csv")
        show("recorded steel works", backtest(days, dates, ORIGINS, chosen.history, 1))


def show(title: str, cases: Sequence[Case]) -> None:
    print(f"\n{title}: {len({(c.origin) for c in cases})} origins")
    titles = f"{'held %':>8}{'width %':>9}{'error %':>9}"
    print(f"{'figure':48}{'cases':>6}{titles} | last month:{titles}")
    for s in scores(cases):
        name = f"{s.key[0]} {s.key[1]}"
        ours = f"{s.cases:6}{s.held_percent:8.1f}{s.width_percent:9.3f}{s.error_percent:9.3f}"
        print(f"{name:48}{ours} | {'':11}{s.naive_held_percent:8.1f}{s.naive_width_percent:9.3f}{s.naive_error_percent:9.3f}")


if __name__ == "__main__":
    main()
