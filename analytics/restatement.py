"""The slots that what people state or set reaches: those of the gap around a statement, those that a changed setting dates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analytics.derive import PlantModel
from analytics.gather import Gather, Pair, reached
from analytics.row_settings import END_NS, Changed
from plant import nodes
from plant.ports import Annotation, DirtyNode, Ledger, LedgerEntry
from plant.register_statements import STATED_KINDS, RegisterStatement, statement_of, statements_of
from plant.series import QUARTER_NS, Span
from plant.site import Mounting

REMEMBERED = (
    100_000  # entries whose slots are known to be marked: more than are ever dirty together, or they would mark each other
)
FAR_NS = 366 * 96 * QUARTER_NS  # how far what an entry supersedes may lie from it, at first,
FARTHEST_NS = 10 * FAR_NS  # and at most
_REGISTERS = ("energy_import", "energy_export", "dc_energy")


class Restatement:
    """Statements of one plant's points, and the slots that are to be computed anew when one comes in or is corrected."""

    def __init__(self, model: PlantModel, gather: Gather, ledger: Ledger) -> None:
        self._site, self._gather, self._ledger = model.site, gather, ledger
        self._widened: dict[int, None] = {}  # entries whose slots are marked, newest last; forgotten ones are marked once more

    async def statements(self, span: Span) -> tuple[RegisterStatement, ...]:
        """Statements that may enter the intervals of a span. Raises StoreError."""
        return statements_of(await self._ledger.entries(self._site.id, STATED_KINDS, reached(span)))

    async def widen(self, span: Span, dirty: Sequence[DirtyNode], end_ns: int) -> bool:
        """Mark the slots up to ``end_ns`` that entries within a span of dirty slots reach, and those that the entries which
        they supersede reached. True where there were any. Raises StoreError."""
        points = {d.node.removeprefix(nodes.point("")) for d in dirty if d.node.startswith(nodes.point(""))}
        if not points:
            return False
        plant = self._site.id
        touching = await self._ledger.entries(plant, STATED_KINDS, span, with_superseded=True)
        fresh = [e for e in touching if e.subject in points and e.id not in self._widened]
        if not fresh:
            return False
        wide = reached(Span(min(e.start_ns for e in fresh), max(e.end_ns for e in fresh) + 1))
        annotations = await self._ledger.annotations(plant, wide)
        every = await self._ledger.entries(plant, STATED_KINDS, wide, with_superseded=True)
        superseded = await self._superseded(fresh, every)
        slots: dict[str, set[int]] = {}
        for entry in (*fresh, *superseded):
            reach = await self._reach(entry, annotations, every)
            found = range(reach.start_ns // QUARTER_NS * QUARTER_NS, min(reach.end_ns + 1, end_ns), QUARTER_NS)
            slots.setdefault(nodes.point(entry.subject), set()).update(found)
        self._widened |= {e.id: None for e in fresh if e.id is not None}
        for known in list(self._widened)[: -max(REMEMBERED, len(fresh))]:
            del self._widened[known]
        marked = {node: sorted(found) for node, found in slots.items() if found}
        if marked:
            await self._ledger.mark_dirty_many(plant, marked)
        return bool(marked)

    async def mark_changed(self, changed: Sequence[Changed], within: Span) -> int | None:
        """Mark the slots that changed settings reach, of those in ``within``; the first of them, None where there are none.
        Raises StoreError."""
        slots: set[int] = set()
        for one in changed:
            span = await self._around(one)
            first = max(span.start_ns // QUARTER_NS * QUARTER_NS, within.start_ns)
            slots.update(range(first, min(span.end_ns, within.end_ns), QUARTER_NS))
        if slots:
            await self._ledger.mark_dirty(self._site.id, nodes.PLANT, sorted(slots))
        return min(slots, default=None)

    async def _around(self, changed: Changed) -> Span:
        """The span of a change. Where a meter follows another, the slots from the last reading before to the first one after
        it, since registers are read off between those."""
        point = self._site.points.get(changed.part.removeprefix("point "))
        if point is None or not changed.part.startswith("point "):
            return changed.span
        before, after = point.mounting_at(changed.span.start_ns - 1), point.mounting_at(changed.span.end_ns)
        starts, ends = [], []
        if before is not None:
            pairs = [(before.meter, name) for name in _REGISTERS]
            starts = await self._gather.nearest("before", pairs, changed.span.start_ns, ())
        if after is not None and changed.span.end_ns < END_NS:
            pairs = [(after.meter, name) for name in _REGISTERS]
            ends = await self._gather.nearest("after", pairs, changed.span.end_ns, ())
        return Span(max(starts, default=changed.span.start_ns), min(ends, default=changed.span.end_ns))

    async def _superseded(self, entries: Sequence[LedgerEntry], near: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        """What entries supersede: most often one ``near`` them, else looked for further away, as after a year was mistyped."""
        wanted = {e.supersedes for e in entries if e.supersedes is not None}
        found = {e.id: e for e in near if e.id in wanted}
        reach_ns = FAR_NS
        while entries and len(found) < len(wanted) and reach_ns <= FARTHEST_NS:
            around = Span(max(min(e.start_ns for e in entries) - reach_ns, 0), max(e.end_ns for e in entries) + reach_ns)
            known = await self._ledger.entries(self._site.id, STATED_KINDS, around, with_superseded=True)
            found |= {e.id: e for e in known if e.id in wanted}
            reach_ns *= 10
        return list(found.values())

    async def _reach(self, entry: LedgerEntry, annotations: Sequence[Annotation], every: Iterable[LedgerEntry]) -> Span:
        """From the last reading of the point's register before an entry to the first one after it, stated ones included."""
        pairs = _registers(self._site.points[entry.subject].mountings, entry) if entry.subject in self._site.points else []
        before = await self._gather.nearest("before", pairs, entry.start_ns, annotations)
        after = await self._gather.nearest("after", pairs, entry.end_ns, annotations)
        others = [e for e in every if e.subject == entry.subject and e.id != entry.id]
        starts = [*before, *(e.end_ns for e in others if e.end_ns < entry.start_ns)]
        ends = [*after, *(e.start_ns for e in others if e.start_ns > entry.end_ns)]
        return Span(max(starts, default=entry.start_ns), min(ends, default=entry.end_ns))


def _registers(mountings: Iterable[Mounting], entry: LedgerEntry) -> list[Pair]:
    """Pairs of the register that an entry is about, of every meter that was mounted on the point."""
    try:
        name = f"energy_{statement_of(entry).register}"
    except ValueError:
        return []
    names = (name, "dc_energy") if name == "energy_import" else (name,)
    return [(mounting.meter, n) for mounting in mountings for n in names]
