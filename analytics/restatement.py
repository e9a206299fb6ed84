"""What people stated of registers, read for a computation, and the slots that a statement reaches: those of the gap around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analytics.derive import PlantModel
from analytics.gather import Gather, Pair, reached
from plant import nodes
from plant.ports import Annotation, DirtyNode, Ledger, LedgerEntry
from plant.register_statements import STATED_KINDS, RegisterStatement, statement_of, statements_of
from plant.series import QUARTER_NS, Span
from plant.site import Mounting


class Restatement:
    """Statements of one plant's points, and the slots that are to be computed anew when one comes in or is corrected."""

    def __init__(self, model: PlantModel, gather: Gather, ledger: Ledger) -> None:
        self._site, self._gather, self._ledger = model.site, gather, ledger
        self._widened: set[int] = set()  # entries whose slots are marked; after a restart they are marked once more

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
        superseded = await self._superseded(fresh)
        annotations = await self._ledger.annotations(plant, wide)
        every = await self._ledger.entries(plant, STATED_KINDS, wide, with_superseded=True)
        slots: dict[str, set[int]] = {}
        for entry in (*fresh, *superseded):
            reach = await self._reach(entry, annotations, every)
            found = range(reach.start_ns // QUARTER_NS * QUARTER_NS, min(reach.end_ns + 1, end_ns), QUARTER_NS)
            slots.setdefault(nodes.point(entry.subject), set()).update(found)
        self._widened.update(e.id for e in fresh if e.id is not None)
        marked = {node: sorted(found) for node, found in slots.items() if found}
        if marked:
            await self._ledger.mark_dirty_many(plant, marked)
        return bool(marked)

    async def _superseded(self, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        wanted = {e.supersedes for e in entries if e.supersedes is not None}
        if not wanted:
            return []
        known = await self._ledger.entries(self._site.id, STATED_KINDS, Span(0, 2**62), with_superseded=True)
        return [e for e in known if e.id in wanted]

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
