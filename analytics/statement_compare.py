"""The grid company's statements beside our own sums: which of them stand, and how far apart the two are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.balance import Banded
from analytics.counters import I64
from analytics.estimate import Sum, summed
from analytics.table import Table
from plant.contract_energy import quarters_fault, read_statement
from plant.ports import LedgerEntry
from plant.series import Span

WITHIN, BEYOND, OPEN = "within class", "beyond class", "unknown"


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement that stands: of a tie or contract, one direction, one span."""

    subject: str
    direction: str  # import | export
    span: Span
    energy_kwh: int
    status: str  # provisional | final
    document: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A statement with our sum over its span: ``difference_percent`` is ours less the statement, of the statement, and
    None of a statement of nothing. ``verdict`` says whether the statement lies in the band that our meters leave."""

    stated: Stated
    ours: Sum
    difference_kwh: float | None
    difference_percent: float | None
    verdict: str


def standing_statements(entries: Sequence[LedgerEntry], span: Span) -> tuple[list[Stated], list[str]]:
    """Statements whose span lies in ``span``, and why others are left out. Where two overlap, final goes before provisional
    and later before earlier."""
    readable, left_out = [], []
    for entry in (e for e in entries if e.kind == "statement"):
        try:
            data, wrong = read_statement(entry.data), quarters_fault(entry.start_ns, entry.end_ns)
        except ValueError as error:
            left_out.append(f"entry {entry.id}: {error}")
            continue
        if wrong or entry.start_ns < span.start_ns or entry.end_ns > span.end_ns:
            left_out.append(f"entry {entry.id}: {wrong or 'reaches beyond the settled part of the period'}")
            continue
        own = Span(entry.start_ns, entry.end_ns)
        readable.append((entry, Stated(entry.subject, data.direction, own, entry.amount, data.status, entry.document)))
    found: list[Stated] = []
    for entry, one in sorted(readable, key=lambda pair: (pair[1].status != "final", -(pair[0].id or 0))):
        if any(_same(one, other) and _overlap(one.span, other.span) for other in found):
            left_out.append(f"entry {entry.id}: another statement of {one.subject} stands over its span")
        else:
            found.append(one)
    return sorted(found, key=lambda s: (s.subject, s.direction, s.span.start_ns)), left_out


def compared(stated: Stated, ours: Sum, measured_share_min: float) -> Compared:
    """A statement beside our sum; without a difference where too little was measured."""
    enough = ours.value is not None and ours.measured_share >= measured_share_min
    difference = ours.value - stated.energy_kwh if enough and ours.value is not None else None
    percent = None if difference is None else _percent(difference, stated.energy_kwh)
    verdict = OPEN
    if enough and ours.low is not None and ours.high is not None:  # a statement is of whole kWh
        verdict = WITHIN if round(ours.low) <= stated.energy_kwh <= round(ours.high) else BEYOND
    return Compared(stated, ours, difference, percent, verdict)


def _percent(difference_kwh: float, stated_kwh: int) -> float | None:
    """Of the statement; of one of nothing none, unless nothing was ours too."""
    if stated_kwh > 0:
        return 100.0 * difference_kwh / stated_kwh
    return None if round(difference_kwh) else 0.0


def our_sum(rows: Table, node: str, direction: str, span: Span) -> Sum:
    """Energy of a branch in one direction over a span of whole slots, from its rows."""
    first, end = np.searchsorted(rows.start_ns, [span.start_ns, span.end_ns])
    part = rows.take(slice(int(first), int(end)))
    share = part.column(node, "measured_share")
    found = part.banded(node, f"energy_{direction}")
    return summed(_bounded(found), share, part.start_ns)


def covers(stated: Sequence[Stated], span: Span) -> bool:
    """Whether statements of one subject and direction leave no slot of a span out."""
    return sum(s.span.end_ns - s.span.start_ns for s in stated) == span.end_ns - span.start_ns


def slots_of(start_ns: I64, span: Span) -> slice:
    """The slots of a span."""
    first, end = np.searchsorted(start_ns, [span.start_ns, span.end_ns])
    return slice(int(first), int(end))


def _bounded(amount: Banded) -> Banded:
    known = np.isfinite(amount.low).any() or np.isfinite(amount.high).any()
    return amount if known else Banded(amount.best, amount.best, amount.best)


def _same(one: Stated, other: Stated) -> bool:
    return (one.subject, one.direction) == (other.subject, other.direction)


def _overlap(one: Span, other: Span) -> bool:
    return one.start_ns < other.end_ns and other.start_ns < one.end_ns
