"""Periods read from the store and the ledger, ready to be summed up: the side of the analytics that changes nothing."""

from __future__ import annotations

from datetime import date

from analytics.anode_effects import KIND as EFFECT
from analytics.anode_effects import QUIET_DAYS
from analytics.chapters import entry_kinds
from analytics.gather import Gather
from analytics.limits import PeriodKind
from analytics.period_rows import Period
from analytics.state import State
from plant.ports import Ledger, LedgerEntry
from plant.rulebook import Rulebook
from plant.series import Span
from plant.site import Site

EFFECTS_REACH_NS = (QUIET_DAYS + 1) * 86_400_000_000_000
QUOTA_YEARS = 2  # a certificate's documents lie within this many years of the year that it is cancelled for


async def documents(ledger: Ledger, plant: str, span: Span) -> list[LedgerEntry]:
    """Metal and what chapters read of the ledger, of a span."""
    kinds = tuple(dict.fromkeys(("metal_tapped", "metal_in_pots", *entry_kinds())))
    return [e for e in await ledger.entries(plant, kinds, span) if e.start_ns < span.end_ns]


class Reader:
    """Reads rows, metal and certificates of a span."""

    def __init__(self, site: Site, rulebook: Rulebook, gather: Gather, ledger: Ledger, state: State) -> None:
        self._site, self._rulebook, self._gather, self._ledger, self._state = site, rulebook, gather, ledger, state

    async def settled(self, span: Span, kind: PeriodKind) -> Period:
        """The settled part of a span."""
        end_ns = min(span.end_ns, self._state.done_ns or span.start_ns)
        return await self.period(Span(min(span.start_ns, end_ns), end_ns), kind)

    async def period(self, span: Span, kind: PeriodKind) -> Period:
        """A span as it is."""
        rows = await self._gather.rows(span)
        inside = await documents(self._ledger, self._site.id, span)
        if kind == "year":
            inside += await self._certificates(span)
        beside = await self._effects_beside(span) if self._site.potlines else []
        return Period(self._site, self._rulebook, span, kind, rows, "provisional", inside, self._state.efficiency, beside)

    async def _effects_beside(self, span: Span) -> list[LedgerEntry]:
        """Anode effects of the days around a span: they tell of a quiet day that its record was kept."""
        wide = Span(max(span.start_ns - EFFECTS_REACH_NS, 0), span.end_ns + EFFECTS_REACH_NS)
        found = await self._ledger.entries(self._site.id, (EFFECT,), wide)
        return [e for e in found if not (e.start_ns < span.end_ns and e.end_ns >= span.start_ns)]

    async def _certificates(self, span: Span) -> list[LedgerEntry]:
        """Certificates that may be cancelled for the year of a span: generated the year before, or documented years after."""
        calendar = self._site.calendar
        year = calendar.local(span.start_ns).year
        first, end = (min(max(y, 1970), 2261) for y in (year - QUOTA_YEARS, year + QUOTA_YEARS + 1))
        wide = Span(calendar.instant_ns(date(first, 1, 1)), calendar.instant_ns(date(end, 1, 1)))
        return await self._ledger.entries(self._site.id, ("certificate",), wide)
