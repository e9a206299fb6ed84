"""What trial plants prove: errors, hits and widths by figure, and the gates that they are held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from rich.table import Table

from potwatt.selftest.truth_run import Case

ERROR_MAX = 0.001  # of a figure with exact meters
HIT_RATE_MIN = 0.95
SHARP = 1.5  # times the root-sum-square of the classes, of what is whole
CLOSED = 3.0  # the same of what registers closed the gaps of
OPEN = 25.0  # half the band over the truth, for all of it missing: a meter may show many times its usual energy
WIDE_MAX = 0.03  # of days with faults: a register that began again leaves its interval open
NULLABLE = ("network_loss", "network_loss_share")  # one gap of one meter leaves open what is lost between them
NULLS_MAX = 0.25  # of the days of a figure with faults; of a month none
SIGMAS = 2.33  # one in a hundred honest runs may miss a gate by chance
METERS = 30  # as many figures of a plant err on their own; of trials, variance of the rate by plant
SMALL_KWH = 1_000.0  # a counter that hardly ever moves has no relative error
SMALL_SHARES, SMALL_PERCENT = ("pv_feed_in",), 0.5  # nor has a share of next to nothing
NO_SHARE = ("residual", "network_loss", "network_loss_share")  # what it is open by does not show in its measured share


class Meters(Enum):
    """What is wrong with the meters of a run."""

    EXACT = "exact"
    CLASS = "class"
    FAULTY = "faulty"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure over all plants. ``allowance`` is what the sample may miss the hit rate by; ``sharpness`` is the widest whole
    band over the root-sum-square of the classes, None where that says nothing."""

    name: str
    period: str
    cases: int
    nulls: int
    error_max: float
    hit_rate: float
    allowance: float
    width_mean: float
    width_max: float
    sharpness: float | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pooled:
    """All figures of a period over all plants: rate of bands that hold, and of claims to be whole that do not."""

    period: str
    cases: int
    hit_rate: float
    silent_rate: float
    allowance: float
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Rows of a run, all figures of a period together, those that were wrong without a word, and what failed."""

    rows: tuple[Row, ...]
    pooled: tuple[Pooled, ...]
    silent: tuple[Case, ...]

    @property
    def failures(self) -> list[str]:
        """A line for each gate that does not hold."""
        of_rows = [f"{row.name} ({row.period}): {fault}" for row in self.rows for fault in row.faults]
        return of_rows + [f"all figures ({row.period}): {fault}" for row in self.pooled for fault in row.faults]


def verdict(cases: Iterable[Case], meters: Meters) -> Verdict:
    """Hold cases against the gates: exact meters by error, others by hit rate and width, all by what they leave unsaid."""
    groups: defaultdict[tuple[str, str], list[Case]] = defaultdict(list)
    periods: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.indicator.startswith("energy_") and abs(case.truth) < SMALL_KWH and abs(case.value or 0.0) < SMALL_KWH:
            continue
        groups[case.period, case.name].append(case)
        periods[case.period].append(case)
    rows = [_row(name, period, found, meters) for (period, name), found in sorted(groups.items())]
    pooled = [_pooled(period, found, meters) for period, found in sorted(periods.items())]
    silent = [c for found in periods.values() for c in found if _silent(c)] if meters is not Meters.EXACT else []
    return Verdict(tuple(rows), tuple(pooled), tuple(silent))


def _silent(case: Case) -> bool:
    return case.said and case.whole and not case.hit


def _row(name: str, period: str, cases: Sequence[Case], meters: Meters) -> Row:
    said = [c for c in cases if c.said]
    errors = [_error(c) for c in said]
    widths = [c.half_width or 0.0 for c in said]
    rate = float(np.mean([c.hit for c in said])) if said else 0.0
    # days of one plant share their meters, so it is plants and nodes that are counted
    allowance = _allowance(len({(c.seed, c.node) for c in said}))
    sharp = [s for c in said if c.whole and (s := _sharpness(c)) is not None]
    faults = [*_unsaid(cases, period, meters), *_wide(said, period, meters)]
    beyond = max((_error(c) - c.allowed for c in said), default=0.0)
    if meters is Meters.EXACT and beyond > ERROR_MAX:
        faults.append(f"with exact meters off by {beyond:.3%} beyond what is allowed for; at most {ERROR_MAX:.1%} may be")
    if said and rate + allowance < HIT_RATE_MIN:
        faults.append(f"the band holds the truth in {rate:.1%} of {len(said)} cases; at least {HIT_RATE_MIN:.0%} must be")
    return Row(
        name,
        period,
        len(cases),
        len(cases) - len(said),
        max(errors, default=0.0),
        rate,
        allowance,
        float(np.mean(widths)) if widths else 0.0,
        max(widths, default=0.0),
        max(sharp) if sharp else None,
        tuple(faults),
    )


def _unsaid(cases: Sequence[Case], period: str, meters: Meters) -> list[str]:
    """A null is never wrong, so that too many of them are."""
    nulls = sum(not c.said for c in cases)
    allowed = NULLS_MAX if meters is Meters.FAULTY and period == "day" else 0.0
    if meters is Meters.FAULTY and cases[0].indicator in NULLABLE:
        allowed = 1.0
    if nulls <= allowed * len(cases):
        return []
    return [f"{nulls} of {len(cases)} have no value or no band; at most {allowed:.0%} may have none"]


def _wide(said: Sequence[Case], period: str, meters: Meters) -> list[str]:
    """Whole bands by the classes, those of closed gaps less strictly, those of open ones by what is missing."""
    days = meters is Meters.FAULTY and period == "day"  # of those all figures together are asked
    asked = [c for c in said if meters is Meters.CLASS or c.indicator not in NO_SHARE]
    whole = [s for c in asked if c.whole and (s := _sharpness(c)) is not None]
    faults = []
    if whole and max(whole) > SHARP and not days and meters is not Meters.EXACT:
        faults.append(f"a whole band is {max(whole):.2f} x the root-sum-square of the classes; at most {SHARP:g} x may be")
    wide = [c for c in said if _too_wide(c)]
    if wide and not days:
        c = wide[0]
        faults.append(f"a band of {c.half_width:.1%} either side at a measured share of {c.measured_share:.2%} (seed {c.seed})")
    return faults


def _sharpness(case: Case) -> float | None:
    return case.half_width / case.class_share if case.class_share and case.half_width is not None else None


def _too_wide(case: Case) -> bool:
    if not case.class_share or case.half_width is None or (case.flags and case.indicator in NO_SHARE):
        return False
    return case.half_width > CLOSED * case.class_share + OPEN * (1.0 - case.measured_share)


def _pooled(period: str, cases: Sequence[Case], meters: Meters) -> Pooled:
    said = [c for c in cases if c.said]
    whole = [c for c in said if c.whole]
    rate = float(np.mean([c.hit for c in said])) if said else 0.0
    silent = float(np.mean([not c.hit for c in whole])) if whole else 0.0
    allowance = _allowance(len({c.seed for c in cases}) * min(METERS, len({(c.node, c.indicator) for c in cases})))
    faults = []
    if rate + allowance < HIT_RATE_MIN:
        faults.append(f"bands hold the truth in {rate:.1%} of {len(said)} cases; at least {HIT_RATE_MIN:.0%} must be")
    if silent - allowance > 1.0 - HIT_RATE_MIN:
        faults.append(f"{silent:.1%} of {len(whole)} are wrong without a word; at most {1 - HIT_RATE_MIN:.0%} may be")
    wide = float(np.mean([_too_wide(c) for c in said])) if said else 0.0
    if meters is Meters.FAULTY and wide > WIDE_MAX:
        faults.append(f"{wide:.1%} of {len(said)} bands are wider than what is missing explains; at most {WIDE_MAX:.0%} may be")
    return Pooled(period, len(cases), rate, silent, allowance, tuple(faults))


def _error(case: Case) -> float:
    """Relative error; of a share of next to nothing that of the least share that counts."""
    if case.value is None:
        return 0.0
    least = SMALL_PERCENT if case.indicator in SMALL_SHARES else 1e-9
    return abs(case.value - case.truth) / max(abs(case.truth), least)


def _allowance(independent: int) -> float:
    """What chance may take from a rate of so many that err on their own."""
    return SIGMAS * float(np.sqrt(HIT_RATE_MIN * (1 - HIT_RATE_MIN) / max(independent, 1)))


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


def pooled_table(found: Verdict) -> Table:
    """What holds for all figures of a period together."""
    shown = Table()
    for heading in ("all figures", "cases", "band holds", "without a word", "allowed for chance", ""):
        shown.add_column(heading, justify="left" if heading in ("all figures", "") else "right")
    for row in found.pooled:
        shown.add_row(
            row.period, str(row.cases), f"{row.hit_rate:.1%}", f"{row.silent_rate:.1%} outside", f"{row.allowance:.1%}",
            "FAILED" if row.faults else "",
        )  # fmt: skip
    return shown
