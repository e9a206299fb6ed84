"""Current efficiency kept up with weighed metal: when it is fitted, and the rows that it changes restated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from analytics.checkpoints import DAY_NS
from analytics.derive import POINT_FIELDS, PlantModel
from analytics.gather import PROCESS_FIELDS, Gather
from analytics.lines import stated_fits
from analytics.metal import DISAGREES
from analytics.reconcile import METAL_FIELDS, changed_spans, efficiencies, months, refit_span, restated
from analytics.state import State
from plant import nodes
from plant.ports import Clock, DirtyNode, HealthBoard, Ledger, SeriesStore
from plant.series import QUARTER_NS, Span

REFIT_DAYS = 31  # each midnight the months that this reaches back into are fitted anew
RESTATED_DAYS = 31  # rows are restated this much at a time


class Refit:
    """Fits when a day is over or metal was stated late; ``apart`` runs a computation beside the event loop. Killed or failing
    anywhere, it repeats work and loses none."""

    def __init__(
        self,
        model: PlantModel,
        gather: Gather,
        state: State,
        *,
        store: SeriesStore,
        ledger: Ledger,
        clock: Clock,
        health: HealthBoard,
        apart: Callable[..., Awaitable[Any]],
    ) -> None:
        self._model, self._site, self._gather, self._state = model, model.site, gather, state
        self._store, self._ledger, self._clock, self._health = store, ledger, clock, health
        self._apart, self._fitted_day = apart, 0
        self._pending: list[Span] = []

    async def run(self) -> list[Span]:
        """Fit where that is due, and restate up to a month of what it changes, so that live slots wait no longer than that.
        What was restated, empty where nothing was."""
        if not self._pending and not await self._fit():
            return []
        span = self._pending[0]
        await self._restate(span)
        self._pending.pop(0)
        self._state.restate_from_ns = self._pending[0].start_ns if self._pending else None
        await self._state.keep_fits()
        return [span]

    async def _fit(self) -> bool:
        """Fit where a day is over or metal was stated late. True where rows have to be restated."""
        state, calendar = self._state, self._site.calendar
        if state.done_ns is None or not self._site.potlines:
            return False
        today = calendar.instant_ns(calendar.local(state.done_ns).date())
        if today == self._fitted_day and state.refit_from_ns is None:
            return False
        asked = [t for t in (state.refit_from_ns, state.restate_from_ns) if t is not None]
        reach = min(*asked, state.done_ns, today - REFIT_DAYS * DAY_NS)
        since = months(calendar, Span(reach, reach))[0].start_ns
        span = refit_span(calendar, since, state.done_ns)
        lines = [nodes.line(n) for n in self._site.potlines]
        rows = await self._gather.columns(span, [(lines, METAL_FIELDS)])
        entries = await self._ledger.entries(self._site.id, ("metal_tapped", "metal_in_pots"), span)
        stated = {line: stated_fits(self._site, line) for line in self._site.potlines}
        found = await self._apart(efficiencies, self._model, rows, entries, state.efficiency, since)
        changed = changed_spans(found, state.efficiency, stated, state.done_ns)
        if state.restate_from_ns is not None:  # what was broken off is done again, whatever the next fit says
            changed = [Span(min([state.restate_from_ns, *(s.start_ns for s in changed)]), state.done_ns)]
        known_ns = rows.first_known_ns(lines, "metal_produced") if changed else 0
        self._pending = [part for one in changed for part in _parts(one, known_ns)]
        # slots computed from here on take the new fits: only what is pending has others
        state.efficiency, state.refit_from_ns = found, None
        state.restate_from_ns = self._pending[0].start_ns if self._pending else None
        await state.keep_fits()
        self._fitted_day = today
        self._report_doubts()
        return bool(self._pending)

    async def _restate(self, span: Span) -> None:
        """Bring the rows of a span to the efficiency known now."""
        groups = [
            ([nodes.PLANT, *(nodes.line(n) for n in self._site.potlines)], PROCESS_FIELDS),
            ([nodes.branch(b) for b in self._site.branches], (*POINT_FIELDS, "flags")),
        ]
        rows = await self._gather.columns(span, groups)
        found = await self._apart(restated, self._model, rows, self._state.efficiency)
        version = await self._state.next_version(self._clock.now_ns())
        for block in found.blocks(self._site.id, version):
            await self._store.write_derived(block)

    def _report_doubts(self) -> None:
        for line, fits in self._state.efficiency.items():
            if fits.fits[-1].origin == DISAGREES:
                detail = "weighed metal is further from the stated efficiency than its uncertainty explains; look for lost taps"
                self._health.set(f"metal:{line}", "degraded", detail)
            else:
                self._health.set(f"metal:{line}", "ok", f"current efficiency is {fits.fits[-1].origin}")

    async def note(self, dirty: Sequence[DirtyNode]) -> None:
        """Remember from where on metal was stated late, before the slots are cleared; today's taps wait for midnight."""
        before_ns = self._clock.now_ns() - DAY_NS
        late = [d.first_slot_ns for d in dirty if d.node.startswith(nodes.line("")) and d.first_slot_ns < before_ns]
        if late:
            await self.note_from(min(late))

    async def note_from(self, t_ns: int) -> None:
        """Remember that the months from that of an instant on have to be fitted anew."""
        if self._state.refit_from_ns is None or t_ns < self._state.refit_from_ns:
            self._state.refit_from_ns = t_ns
            await self._state.keep_fits()


def _parts(span: Span, known_ns: int) -> list[Span]:
    """A span as far as rows are known, in parts to be restated at once."""
    start = min(max(span.start_ns // QUARTER_NS * QUARTER_NS, known_ns), span.end_ns)
    step = RESTATED_DAYS * DAY_NS
    return [Span(t, min(t + step, span.end_ns)) for t in range(start, span.end_ns, step)]
