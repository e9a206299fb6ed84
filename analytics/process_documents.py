"""What people booked of a span: ingots, cold metal, anodes, fuel. A statement of days gives a span its share of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analytics.period_metal import subjects_of
from analytics.period_rows import Period
from plant import nodes
from plant.entry_data import counts
from plant.ports import LedgerEntry
from plant.series import Span
from plant.site import Site

DAY_NS = 86_400_000_000_000
WHOLE = 0.999  # days that a statement leaves open round a month's edge are no hole


@dataclass(frozen=True, slots=True)
class Booked:
    """An amount in its ledger unit, and the share 0..1 of the span that documents cover. ``entries`` counts them."""

    amount: float
    coverage: float
    entries: int


def by_kind(entries: Sequence[LedgerEntry]) -> dict[str, list[LedgerEntry]]:
    """Entries that count, by kind."""
    found: dict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        if counts(entry):
            found[entry.kind].append(entry)
    return found


def of_subjects(entries: Sequence[LedgerEntry], subjects: Collection[str]) -> list[LedgerEntry]:
    """Those about any of the subjects."""
    return [e for e in entries if e.subject in subjects]


def plant_subjects(site: Site) -> tuple[str, ...]:
    """Every name under which a document may speak of the plant or a part of it."""
    return (nodes.PLANT, *subjects_of(list(site.potlines)))


def booked(site: Site, entries: Sequence[LedgerEntry], span: Span) -> Booked:
    """Sum of entries over a span. What was stated for a time gives the part of it that lies inside; an instant stands for its
    production day, and gives all of its amount to the span that holds it."""
    lasting = [e for e in entries if e.end_ns > e.start_ns and e.start_ns < span.end_ns and e.end_ns > span.start_ns]
    instants = [e for e in entries if e.end_ns == e.start_ns and span.start_ns <= e.start_ns < span.end_ns]
    amount = sum(_share(e, span) * e.amount for e in lasting) + sum(e.amount for e in instants)
    reaches = [Span(e.start_ns, e.end_ns) for e in lasting] + days_of(site, [e.start_ns for e in instants])
    return Booked(float(amount), _covered(reaches, span), len(lasting) + len(instants))


def days_of(site: Site, t_ns: Sequence[int]) -> list[Span]:
    """Production days that hold any of the instants."""
    found: list[Span] = []
    for t in sorted(t_ns):
        if not found or t >= found[-1].end_ns:
            found.append(site.calendar.production_day(site.calendar.production_date(t)))
    return found


def documented_until_ns(site: Site, entries: Sequence[LedgerEntry]) -> int:
    """End of the last time that documents speak of; 0 where there is none."""
    last = [e.start_ns for e in entries if e.end_ns == e.start_ns]
    days = days_of(site, [max(last)] if last else [])
    return max((*(e.end_ns for e in entries), *(day.end_ns for day in days)), default=0)


def documented_part(period: Period, entries: Sequence[LedgerEntry]) -> Period:
    """The period cut where its documents end: what is booked of a day cannot be held against the energy of two."""
    end_ns = documented_until_ns(period.site, entries)
    if end_ns >= period.span.end_ns or end_ns <= period.span.start_ns:
        return period
    return replace(period.part(Span(period.span.start_ns, end_ns), period.kind), status=period.status)


def _share(entry: LedgerEntry, span: Span) -> float:
    overlap = min(entry.end_ns, span.end_ns) - max(entry.start_ns, span.start_ns)
    return max(overlap, 0) / (entry.end_ns - entry.start_ns)


def _covered(reaches: Sequence[Span], span: Span) -> float:
    """Share of a span that lies under at least one of the reaches."""
    length = span.end_ns - span.start_ns
    if not reaches or length <= 0:
        return 0.0
    edges = np.array(sorted((max(r.start_ns, span.start_ns), min(r.end_ns, span.end_ns)) for r in reaches), np.int64)
    furthest = np.maximum.accumulate(edges[:, 1])
    before = np.concatenate([[span.start_ns], furthest[:-1]])
    return float(np.maximum(furthest - np.maximum(edges[:, 0], before), 0).sum() / length)
