"""The queue of slots that are to be computed anew: oldest first, a day at a time, those slots alone and what hangs on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from analytics.checkpoints import DAY_NS
from analytics.closing import Closing
from analytics.expired import Expired
from analytics.gather import Gather
from analytics.refit import Refit
from analytics.restatement import Restatement
from analytics.state import State
from plant import nodes
from plant.frame import ERA_FROM_NS
from plant.ports import Clock, DirtyNode, Ledger
from plant.series import QUARTER_NS, Span
from plant.site import Site

QUIET_S, PATIENCE_S = 0.2, 5.0
RUNS_MAX = 8  # slots of a day that lie apart in more runs than that are computed as one: each costs its reads
WITHOUT_ROWS = (nodes.line(""), nodes.DOCUMENTS)  # weighed metal enters rows by the fit, documents not at all
# computes the rows of a span, and stores those from an instant on
Compute = Callable[[Span, int], Awaitable[object]]


class Recompute:
    """Takes dirty slots of one plant off the list."""

    def __init__(
        self,
        site: Site,
        state: State,
        restatement: Restatement,
        expired: Expired,
        refit: Refit,
        closing: Closing,
        gather: Gather,
        compute: Compute,
        *,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._site, self._state, self._restatement, self._expired = site, state, restatement, expired
        self._refit, self._closing, self._gather, self._compute = refit, closing, gather, compute
        self._ledger, self._clock = ledger, clock
        self._seen, self._seen_ns = (0, 0), 0
        self._waiting_since_ns: int | None = None

    async def run(self, days: int) -> bool:
        """Recompute from the oldest dirty slot on, for up to ``days``; a burst of late readings is let through first. True
        where there was anything to do."""
        oldest = await self._ledger.dirty(self._site.id, 1)
        done_ns = self._state.done_ns
        if not oldest or done_ns is None or oldest[0].slot_ns >= done_ns:
            return False
        first = oldest[0].slot_ns
        if first < ERA_FROM_NS:  # an entry with the stamp of a clock that was never set: there is nothing to compute
            never = Span(first, ERA_FROM_NS)
            await self.clear(never, await self._ledger.dirty_nodes(self._site.id, never))
            return True
        # up to midnight, where the storage pools that later slots started from are known
        span = Span(first, min((first // DAY_NS + days) * DAY_NS, done_ns))
        dirty = await self._ledger.dirty_nodes(self._site.id, span)
        if await self._restatement.widen(span, dirty, done_ns):
            return True
        if self.quiet_s(span, dirty) < QUIET_S and self._patient():
            await self._clock.sleep(QUIET_S)
            return True
        self._waiting_since_ns = None
        for part, kept_from_ns in await self._parts(span):
            for computable in await self._expired.computable(part, dirty):
                await self._compute(computable, max(kept_from_ns, computable.start_ns))
        await self._state.rows_changed()
        await self.clear(span, dirty)
        return True

    async def _parts(self, span: Span) -> list[tuple[Span, int]]:
        """Spans to compute, and from when on each is stored."""
        slots = await self._ledger.dirty_slots(self._site.id, span, WITHOUT_ROWS)
        if not slots:
            return []
        if not self._site.branches_of("storage"):
            return [(part, part.start_ns) for part in runs(slots)]
        # every slot starts from the pools of the slot before: from where they are known, to where later ones started from them
        checkpoints = self._state.checkpoints
        known_ns, _ = checkpoints.before(slots[0])
        until_ns = checkpoints.after(slots[-1] + QUARTER_NS)
        end_ns = span.end_ns if until_ns is None else max(min(until_ns, span.end_ns), slots[-1] + QUARTER_NS)
        return [(Span(slots[0] if known_ns is None else known_ns, end_ns), slots[0])]

    def _patient(self) -> bool:
        """Whether a burst may be waited for still: late readings that never end must not keep out all other work."""
        t_ns = self._clock.now_ns()
        since = self._waiting_since_ns
        self._waiting_since_ns = t_ns if since is None else since
        return since is None or 0 <= t_ns - since < PATIENCE_S * 1e9

    def quiet_s(self, span: Span, dirty: Sequence[DirtyNode]) -> float:
        """For how long a span has not been marked anew, as far as was looked."""
        seen = (span.start_ns, max((d.generation for d in dirty), default=0))
        if seen != self._seen:
            self._seen, self._seen_ns = seen, self._clock.now_ns()
        return (self._clock.now_ns() - self._seen_ns) / 1e9

    async def arriving(self, span: Span, dirty: Sequence[DirtyNode]) -> bool:
        """Whether history of a span long past still comes in: computed now, it and all that follows would be computed again.
        It comes in order of time: a reading beyond the next day says that this one is stored, and what touches its end."""
        if not dirty or span.end_ns > self._clock.now_ns() - DAY_NS:
            return False
        if await self._gather.next_reading_ns(span.end_ns + DAY_NS, DAY_NS / 1e9) is not None:
            return False
        return self.quiet_s(span, dirty) < PATIENCE_S

    async def clear(self, span: Span, dirty: Sequence[DirtyNode]) -> None:
        """Take slots off the list that were computed since they were seen there; one marked again meanwhile stays."""
        if dirty:
            await self._refit.note(dirty)
            await self._closing.touch(dirty)
            await self._ledger.clear_dirty_span(self._site.id, span, max(d.generation for d in dirty))


def runs(slots_ns: Sequence[int]) -> list[Span]:
    """Ascending slots as spans without a slot between them; one over all where they lie apart too often."""
    found: list[Span] = []
    for slot in slots_ns:
        if found and found[-1].end_ns == slot:
            found[-1] = Span(found[-1].start_ns, slot + QUARTER_NS)
        else:
            found.append(Span(slot, slot + QUARTER_NS))
    return found if len(found) <= RUNS_MAX else [Span(found[0].start_ns, found[-1].end_ns)]
