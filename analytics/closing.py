"""Months and years closed by themselves, and closed reports that get a new version when what they rest on has changed.

What was restated is noted as it happens, by report. A version follows when nothing more has come for a while, and only where
figures differ. Days are closed by people alone; once closed, they are kept up like the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from analytics.report import plan
from analytics.reports import Reports
from analytics.row_settings import Changed
from analytics.state import State
from plant import nodes
from plant.errors import InputError
from plant.ports import LEDGER_KINDS, ClosedReport, DirtyNode, Ledger, LedgerEntry
from plant.ports import Clock as PlantClock
from plant.series import QUARTER_NS, Span
from plant.site import Site

TOUCHED = "analytics.reports"
WHO = "potwatt"
S_NS = 1_000_000_000
LOOK_NS = 60 * S_NS
QUIET_NS = 3600 * S_NS  # nothing more has come for this long
PATIENCE_NS = 24 * QUIET_NS  # what never is quiet gets its version all the same
APART_NS = 6 * QUIET_NS  # between two versions of one report
NAMED_MAX = 200  # ids that a report names of one kind of cause
YEARS_OF_CERTIFICATES = 2
_AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A report that is closed, or, with version 0, one that is over and due to be."""

    head: ClosedReport
    span: Span

    @property
    def name(self) -> str:
        return f"{self.head.kind}/{self.head.period}"


class Closing:
    """Notes what touched which report of one plant, and closes. Its only state is in the ledger."""

    def __init__(self, site: Site, state: State, reports: Reports, *, ledger: Ledger, clock: PlantClock) -> None:
        self._site, self._state, self._reports, self._ledger, self._clock = site, state, reports, ledger, clock
        self._began_ns = 0
        self._touched: dict[str, dict[str, Any]] = {}
        self._metal: list[int] = []
        self._looked_ns: int | None = None

    async def load(self) -> None:
        """Take up the work: what ended before potwatt first worked is imported history, and closed by people."""
        state = await self._ledger.get_state(self._site.id, TOUCHED) or {}
        self._touched, self._metal = dict(state.get("touched", {})), list(state.get("metal", []))
        self._began_ns = int(state.get("began_ns", self._clock.now_ns()))
        if not state:
            await self._keep()

    async def touch(self, dirty: Sequence[DirtyNode]) -> None:
        """Note which reports rest on slots that were computed anew, or on documents stated, and what caused it."""
        kept = await self._kept()
        if not kept:
            return
        found = False
        for one in dirty:
            span = Span(one.first_slot_ns, one.last_slot_ns + QUARTER_NS)
            if one.node == nodes.DOCUMENTS:
                found |= await self._touch_documents(kept, span)
                continue
            entries = await self._entries(one.node, span)
            verdicts = await self._ledger.annotations(self._site.id, span) if one.node == nodes.PLANT else []
            for report in _overlapping(kept, span):
                since_ns = report.head.created_ns
                new = {e.id for e in entries if (e.recorded_ns or 0) >= since_ns}
                judged = {a.id for a in verdicts if (a.recorded_ns or 0) >= since_ns}
                late = _late(one.node) if not new else {}
                self._note(report, late | {"entries": new, "verdicts": judged})
                found = True
            if one.node.startswith(nodes.line("")):
                self._metal = sorted({*self._metal, *(e.id for e in entries if e.id is not None)})[-NAMED_MAX:]
        if found:
            await self._keep()

    async def touch_spans(self, spans: Iterable[Span]) -> None:
        """Note the reports whose rows were brought to another current efficiency."""
        kept = await self._kept()
        for report in {r.name: r for span in spans for r in _overlapping(kept, span)}.values():
            self._note(report, {"entries": set(self._metal), "other": {"current efficiency"}})
        if self._state.restate_from_ns is None:
            self._metal = []
        await self._keep()

    async def touch_settings(self, changed: Sequence[Changed]) -> None:
        """Note the reports that settings or rules which differ hold for."""
        kept = await self._kept() if changed else []
        for one in changed:
            for report in _overlapping(kept, one.span):
                self._note(report, {"settings": {one.part}})
        if kept:
            await self._keep()

    async def run(self) -> bool:
        """Close or renew one report that is due. True where there is a new version."""
        t_ns = self._clock.now_ns()
        looked = self._looked_ns
        if self._site.accounting.closing != _AUTOMATIC or (looked is not None and 0 <= t_ns - looked < LOOK_NS):
            return False
        self._looked_ns = t_ns
        if not await self._settled():
            return False
        for report in await self._kept():
            touched = self._touched.get(report.name)
            if touched is not None and report.head.created_ns > touched["last_ns"]:  # closed by somebody meanwhile
                await self._forget(report)
            elif touched is not None and not _quiet(touched, t_ns):
                continue
            elif report.head.version == 0:
                if await self._close(report):
                    return True
            elif touched is not None and not 0 <= t_ns - report.head.created_ns < APART_NS and await self._renew(report, touched):
                return True
        return False

    async def _settled(self) -> bool:
        """Whether nothing is left to compute anew of what is settled."""
        oldest = await self._ledger.dirty(self._site.id, 1)
        fitted = not self._site.potlines or (self._state.refit_from_ns is None and self._state.restate_from_ns is None)
        done_ns = self._state.done_ns
        return done_ns is not None and fitted and not (oldest and oldest[0].slot_ns < done_ns)

    async def _close(self, report: _Kept) -> bool:
        days, head = self._site.accounting.close_after_days, report.head
        try:
            await self._reports.close_period(head.kind, head.period, f"{days} days after its end", WHO)
        except (InputError, ValueError):  # not settled, its days to wait are not over, or closed by somebody this very moment
            return False
        self._looked_ns = None
        await self._forget(report)
        return True

    async def _renew(self, report: _Kept, touched: dict[str, Any]) -> bool:
        try:
            made = await self._reports.renew(report.head.kind, report.head.period, said(touched), causes(touched))
        except ValueError:  # somebody made the same version this very moment
            return False
        self._looked_ns = None
        await self._forget(report)
        return made is not None

    async def _kept(self) -> list[_Kept]:
        """Closed reports, and months and years that are over and were lived through, oldest first."""
        heads = {(h.kind, h.period): h for h in await self._ledger.closed_reports(self._site.id)}
        calendar, t_ns = self._site.calendar, self._clock.now_ns()
        since, until = calendar.local(self._began_ns).date(), calendar.local(t_ns).date()
        for kind, period in _periods(since, until):
            span = plan(calendar, kind, period).span
            if self._began_ns < span.end_ns <= t_ns:
                heads.setdefault((kind, period), ClosedReport(kind, period, 0, 0))
        found = [_Kept(h, plan(calendar, h.kind, h.period).span) for h in heads.values()]
        # a month before the year that it is in, which may look at the month's version
        return sorted(found, key=lambda r: (r.span.end_ns, -r.span.start_ns))

    async def _entries(self, node: str, span: Span) -> list[LedgerEntry]:
        """What was stated of a point or line within a span."""
        kinds = {nodes.point(""): ("meter_reading", "meter_exchange"), nodes.line(""): ("metal_tapped", "metal_in_pots")}
        for prefix, of_node in kinds.items():
            if node.startswith(prefix):
                found = await self._ledger.entries(self._site.id, of_node, span, with_superseded=True)
                return [e for e in found if e.subject in (node, node.removeprefix(prefix))]
        return []

    async def _touch_documents(self, kept: Sequence[_Kept], span: Span) -> bool:
        """Note the reports that documents within a span may enter, those aside that were closed after they came."""
        every = await self._ledger.entries(self._site.id, tuple(LEDGER_KINDS), span, with_superseded=True)
        corrected = {e.supersedes for e in every} - {None}
        kinds, whole = sorted({e.kind for e in every if e.supersedes is not None}), Span(0, 2**62)
        old = await self._ledger.entries(self._site.id, kinds, whole, with_superseded=True) if kinds else []
        before = {e.id: e for e in old if e.id in corrected}
        found = False
        for entry in every:
            about = [entry, *([before[entry.supersedes]] if entry.supersedes in before else [])]
            for report in kept:
                if report.head.created_ns <= (entry.recorded_ns or 0) and any(self._enters(e, report) for e in about):
                    self._note(report, {"entries": {entry.id}})
                    found = True
        return found

    def _enters(self, entry: LedgerEntry, report: _Kept) -> bool:
        """Whether a document may be in a report: its own span; in a month's also what came before in the year; in a year's
        certificates of the years around it."""
        calendar, span = self._site.calendar, report.span
        end_ns = max(entry.end_ns, entry.start_ns + 1)
        year = calendar.local(entry.start_ns).year
        if entry.kind == "certificate" and report.head.kind == "year":
            return abs(int(report.head.period) - year) <= YEARS_OF_CERTIFICATES
        in_year = report.head.kind == "month" and report.head.period.startswith(str(year)) and entry.start_ns < span.end_ns
        return in_year or (entry.start_ns < span.end_ns and span.start_ns < end_ns)

    def _note(self, report: _Kept, why: dict[str, Any]) -> None:
        t_ns = self._clock.now_ns()
        noted = self._touched.setdefault(report.name, {"first_ns": t_ns})
        noted["last_ns"] = t_ns
        for name, more in why.items():
            if more:
                noted[name] = sorted({*noted.get(name, ()), *more} - {None})[-NAMED_MAX:]

    async def _forget(self, report: _Kept) -> None:
        if self._touched.pop(report.name, None) is not None:
            await self._keep()

    async def _keep(self) -> None:
        state = {"began_ns": self._began_ns, "touched": self._touched, "metal": self._metal}
        await self._ledger.put_state(self._site.id, TOUCHED, state)


def causes(touched: dict[str, Any]) -> dict[str, list[Any]]:
    """What touched a report, for its body: ids of ledger entries and of verdicts, points with late readings, settings."""
    return {name: list(found) for name, found in touched.items() if name not in ("first_ns", "last_ns")}


def said(touched: dict[str, Any]) -> str:
    """The same in a line."""
    words = {
        "points": "late readings of",
        "entries": "ledger entries",
        "verdicts": "verdicts",
        "settings": "settings of",
        "other": "restated",
    }
    parts = [f"{word} {', '.join(map(str, touched[name]))}" for name, word in words.items() if touched.get(name)]
    return "; ".join(parts) or "slots computed anew"


def _late(node: str) -> dict[str, set[str]]:
    return {"points": {node.removeprefix(nodes.point(""))}} if node.startswith(nodes.point("")) else {}


def _quiet(touched: dict[str, Any], t_ns: int) -> bool:
    """Whether nothing more came for a while, or it never ends. A clock set back waits for nothing."""
    return not (0 <= t_ns - touched["last_ns"] < QUIET_NS and 0 <= t_ns - touched["first_ns"] < PATIENCE_NS)


def _overlapping(kept: Sequence[_Kept], span: Span) -> list[_Kept]:
    return [r for r in kept if r.span.start_ns < span.end_ns and span.start_ns < r.span.end_ns]


def _periods(since: date, until: date) -> list[tuple[str, str]]:
    """Closing months and years between two days, and a month to spare, since a closing month may be named for the next."""
    months = range(since.year * 12 + since.month - 1, until.year * 12 + until.month + 1)
    years = [("year", f"{year:04}") for year in range(since.year, until.year + 1)]
    return [*(("month", f"{m // 12:04}-{m % 12 + 1:02}") for m in months), *years]
