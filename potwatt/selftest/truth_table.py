"""What trial plants prove: errors, hits and widths by figure, and the gates that they are held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from potwatt.selftest.truth_run import Case

ERROR_MAX = 0.001  # of a figure with exact meters
HIT_RATE_MIN = 0.95
SHARP = 1.5  # times the root-sum-square of the classes, for a complete month
SIGMAS = 2.33  # one in a hundred honest runs may miss a gate by chance
SMALL_KWH = 1_000.0  # a counter that hardly ever moves has no relative error


@dataclass(frozen=True, slots=True)
class Row:
    """One figure over all plants. ``allowance`` is what the sample may miss the hit rate by; ``sharpness`` is the widest
    complete month over the root-sum-square of the classes, None where that says nothing."""

    name: str
    period: str
    cases: int
    error_max: float
    hit_rate: float
    allowance: float
    width_mean: float
    width_max: float
    sharpness: float | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Rows of a run, the figures that were wrong without a word, and what failed."""

    rows: tuple[Row, ...]
    silent: tuple[Case, ...]

    @property
    def failures(self) -> list[str]:
        """A line for each gate that does not hold."""
        return [f"{row.name} ({row.period}): {fault}" for row in self.rows for fault in row.faults]


def verdict(cases: Iterable[Case], *, exact: bool) -> Verdict:
    """Hold cases against the gates: ``exact`` meters by error, others by hit rate and, where they are whole, by width."""
    groups: defaultdict[tuple[str, str], list[Case]] = defaultdict(list)
    silent = []
    for case in cases:
        if case.indicator.startswith("energy_") and abs(case.truth) < SMALL_KWH and abs(case.value or 0.0) < SMALL_KWH:
            continue
        groups[case.period, case.name].append(case)
        if not case.hit and case.whole and case.measured_share == 1.0 and not case.flags and not exact:
            silent.append(case)
    rows = [_row(name, period, found, exact) for (period, name), found in sorted(groups.items())]
    return Verdict(tuple(rows), tuple(silent))


def _row(name: str, period: str, cases: Sequence[Case], exact: bool) -> Row:
    errors = [abs(c.error) for c in cases if c.error is not None]
    widths = [c.half_width for c in cases if c.half_width is not None]
    rate, allowance = _hit_rate(cases)
    sharp = [c.half_width / c.class_share for c in cases if c.class_share and c.half_width is not None and c.whole]
    faults = []
    beyond = [abs(c.error) - c.allowed for c in cases if c.error is not None]
    if exact and beyond and max(beyond) > ERROR_MAX:
        faults.append(f"with exact meters off by {max(errors):.3%}; at most {ERROR_MAX:.1%} may be")
    if rate + allowance < HIT_RATE_MIN:
        faults.append(f"the band holds the truth in {rate:.1%} of {len(cases)} cases; at least {HIT_RATE_MIN:.0%} must be")
    if not exact and sharp and max(sharp) > SHARP:
        faults.append(
            f"a whole month's band is {max(sharp):.2f} x the root-sum-square of the classes; at most {SHARP:g} x may be"
        )
    return Row(
        name,
        period,
        len(cases),
        max(errors, default=0.0),
        rate,
        allowance,
        float(np.mean(widths)) if widths else 0.0,
        max(widths, default=0.0),
        max(sharp) if sharp else None,
        tuple(faults),
    )


def _hit_rate(cases: Sequence[Case]) -> tuple[float, float]:
    """(rate, what chance may take from it): days of one plant share their meters, so it is plants that are counted."""
    by_plant: defaultdict[tuple[int, str], list[bool]] = defaultdict(list)
    for case in cases:
        by_plant[case.seed, case.node].append(case.hit)
    rates = np.array([np.mean(hits) for hits in by_plant.values()])
    spread = float(np.sqrt(HIT_RATE_MIN * (1 - HIT_RATE_MIN) / len(rates)))
    return float(np.mean([c.hit for c in cases])), SIGMAS * spread


def table(found: Verdict, title: str) -> Table:
    """The rows for a terminal."""
    shown = Table(title=title, title_justify="left")
    for heading in (
        "figure",
        "period",
        "cases",
        "largest error",
        "band holds",
        "mean half width",
        "largest",
        "of classes' RSS",
        "",
    ):
        shown.add_column(heading, justify="left" if heading in ("figure", "period", "") else "right")
    for row in found.rows:
        sharp = "" if row.sharpness is None else f"{row.sharpness:.2f}"
        shown.add_row(
            row.name, row.period, str(row.cases), f"{row.error_max:.3%}", f"{row.hit_rate:.1%}", f"{row.width_mean:.3%}",
            f"{row.width_max:.3%}", sharp, "FAILED" if row.faults else "",
        )  # fmt: skip
    return shown
