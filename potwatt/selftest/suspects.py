"""Seeded plants with one faulty meter, and with none: how often the right meter is named first, and a healthy one at all."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import comb

import numpy as np
from rich.console import Console
from rich.table import Table

from analytics.suspects_equations import equations_of
from analytics.suspects_search import Findings, search
from simulators.meter_faults import KINDS, MeteredWeek, metered

RIGHT_LEAST = 0.80  # of faults, the right meter first
FALSE_MOST = 0.01  # of healthy plants
RECTIFIER = (0.965, 0.990)


@dataclass(frozen=True, slots=True)
class Tally:
    """Of ``plants`` with faults of one kind: the right meter first, another one first, nobody."""

    kind: str
    plants: int
    right: int
    wrong: int

    @property
    def nobody(self) -> int:
        """Faults that went unseen."""
        return self.plants - self.right - self.wrong


def judged(week: MeteredWeek) -> Findings:
    """What is found in the readings of a plant, all of them taken as measured."""
    valid = {p: np.ones(len(kwh), bool) for p, kwh in week.kwh.items()}
    classes = {p.id: p.mountings[-1].class_percent / 100.0 for p in week.site.points.values()}
    return search(equations_of(week.site, week.kwh, valid, RECTIFIER), week.kwh, classes)


def tallied(kind: str, seeds: range, days: int = 7) -> Tally:
    """Faults of a kind, a plant a seed."""
    right = wrong = 0
    for seed in seeds:
        week = metered(seed, kind, days=days)
        found = judged(week).accused
        assert week.fault is not None
        right += bool(found) and found[0].fault.point == week.fault.point
        wrong += bool(found) and found[0].fault.point != week.fault.point
    return Tally(kind, len(seeds), right, wrong)


def accused_healthy(seeds: range, days: int = 7) -> int:
    """Plants in order in which somebody is named."""
    return sum(bool(judged(metered(seed, days=days)).accused) for seed in seeds)


def at_most(found: int, of: int, confidence: float = 0.95) -> float:
    """Upper bound of a share of which ``found`` of ``of`` were seen (Clopper-Pearson, one-sided)."""
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2.0
        seen = sum(comb(of, k) * share**k * (1.0 - share) ** (of - k) for k in range(found + 1))
        low, high = (share, high) if seen > 1.0 - confidence else (low, share)
    return high


def run(healthy: int, faulty: int, seed: int, console: Console) -> bool:
    """Print what the plants of some seeds show; whether both gates hold."""
    tallies = [tallied(kind, range(seed, seed + faulty)) for kind in KINDS]
    accused = accused_healthy(range(seed, seed + healthy))
    table = Table("fault", "plants", "right meter first", "another first", "nobody")
    for t in tallies:
        table.add_row(t.kind, str(t.plants), str(t.right), str(t.wrong), str(t.nobody))
    right, of = sum(t.right for t in tallies), sum(t.plants for t in tallies)
    table.add_row(
        "all", str(of), f"{right} = {right / of:.0%}", str(sum(t.wrong for t in tallies)), str(sum(t.nobody for t in tallies))
    )
    console.print(table)
    console.print(f"healthy plants: {accused} of {healthy} accused, at most {at_most(accused, healthy):.2%} (95 %)")
    return right >= RIGHT_LEAST * of and accused <= FALSE_MOST * healthy


if __name__ == "__main__":
    sys.exit(0 if run(300, 20, int(sys.argv[1]) if len(sys.argv) > 1 else 1, Console(highlight=False)) else 1)
