"""When the anode effects of a line were listened to, and what was heard: no effect in a time that was heard is none.

A record of effects tells effects alone. That it was heard shows in the line's feed where that comes by the same endpoint; else in
the record itself, from its first day to its last, but for holes longer than ``QUIET_DAYS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, Mask
from analytics.estimate import SLOTS_A_DAY, Sum
from analytics.gauges import POT_VOLTAGE
from analytics.period_metal import subjects_of
from analytics.period_rows import Period
from analytics.process_documents import by_kind, days_of, of_subjects
from analytics.process_voltage import effect_minutes_per_pot_day
from plant import nodes
from plant.ports import LedgerEntry
from plant.series import Span

KIND = "anode_effect"
QUIET_DAYS = 7  # what a line that records effects may be without one
DAY_NS = 86_400_000_000_000
WHOLE = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """Of one line: ``heard`` [m] slots in which its effects were listened to, ``running`` [m] pots of it, and the number and
    seconds of the effects that began in slots heard."""

    heard: Mask
    running: F64
    number: int
    duration_s: float

    @property
    def pot_days(self) -> float:
        """Pot-days that were heard."""
        return float(np.nansum(np.where(self.heard, self.running, 0.0))) / SLOTS_A_DAY

    @property
    def pot_days_of_all(self) -> float:
        """Pot-days, heard or not; slots whose pots are not known count as the mean of the others."""
        known = np.isfinite(self.running)
        return float(np.mean(self.running[known])) * len(known) / SLOTS_A_DAY if known.any() else 0.0

    @property
    def share(self) -> float:
        """Share 0..1 of the slots of which effects and pots are known."""
        return float((self.heard & np.isfinite(self.running)).mean()) if len(self.heard) else 0.0

    @property
    def minutes(self) -> float | None:
        """Minutes of a pot in a day, over the time that was heard; None where no pot ran in it."""
        return effect_minutes_per_pot_day(self.duration_s, self.pot_days) if self.pot_days else None


def effects_of(period: Period, line: str, running: F64) -> Effects:
    """Effects of a line over a period; ``running`` [m] are its pots."""
    own = of_subjects(by_kind([*period.entries, *period.beside]).get(KIND, []), subjects_of([line]))
    start_ns = period.rows.start_ns
    began = np.array(sorted(e.start_ns for e in own), np.int64)
    heard = _fed(period, line)
    if heard is None:
        heard = _logged(period, own)
    inside = began[(began >= period.span.start_ns) & (began < period.span.end_ns)]
    at = np.searchsorted(start_ns, inside, "right") - 1
    heard[at[at >= 0]] = True
    counted = [e for e in own if period.span.start_ns <= e.start_ns < period.span.end_ns]
    return Effects(heard, running, len(counted), float(sum(e.amount for e in counted)))


def rates(lines: Sequence[Effects]) -> tuple[Sum, Sum]:
    """(minutes, number) a pot-day of some lines. Nothing bounds from above what began while nobody listened."""
    heard, whole = sum(e.pot_days for e in lines), sum(e.pot_days_of_all for e in lines)
    share = min((e.share for e in lines), default=0.0)
    if not heard or not whole:
        return Sum(None, None, None, share), Sum(None, None, None, share)
    seconds, number = sum(e.duration_s for e in lines), float(sum(e.number for e in lines))

    def banded(amount: float) -> Sum:
        value = amount / heard
        return Sum(value, value, value, share) if share >= WHOLE else Sum(value, amount / max(whole, heard), None, share)

    return banded(seconds / 60.0), banded(number)


def _fed(period: Period, line: str) -> Mask | None:
    """Slots in which the line's feed was heard, where it comes the way its effects do; None where it says nothing of them."""
    settings, meters = period.site.potlines[line], period.site.meters
    feed, effects = meters.get(settings.feed_meter), meters.get(settings.effect_meter)
    if feed is None or effects is None or feed.endpoint != effects.endpoint:
        return None
    heard = np.isfinite(period.rows.column(nodes.meter(settings.feed_meter), POT_VOLTAGE))
    return heard if heard.any() else None


def _logged(period: Period, entries: Sequence[LedgerEntry]) -> Mask:
    """Slots within the days of the record, and between two of them where they are near each other."""
    heard = np.zeros(len(period.rows.start_ns), bool)
    days = days_of(period.site, [e.start_ns for e in entries]) + [
        Span(e.start_ns, e.end_ns) for e in entries if e.end_ns - e.start_ns > DAY_NS
    ]
    until_ns: int | None = None
    for day in sorted(days, key=lambda d: d.start_ns):
        near = until_ns is not None and day.start_ns - until_ns <= QUIET_DAYS * DAY_NS
        start_ns = until_ns if near and until_ns is not None else day.start_ns
        first, end = np.searchsorted(period.rows.start_ns, [start_ns, max(day.end_ns, start_ns)])
        heard[first:end] = True
        until_ns = day.end_ns if until_ns is None else max(until_ns, day.end_ns)
    return heard
