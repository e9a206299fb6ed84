"""The running minutes: rows of the time that is not settled yet, and the figures of the last 15 minutes, once a minute."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np

from analytics.checkpoints import DAY_NS
from analytics.derive import Evidence, PlantModel, derive
from analytics.faraday import lawful
from analytics.figures import PeriodFigures
from analytics.gather import Gather, inside
from analytics.period import period_figures
from analytics.period_rows import Period
from analytics.reader import documents
from analytics.restatement import Restatement
from analytics.slow_registers import reaches
from analytics.state import State
from plant.ports import Clock, Ledger, SeriesStore
from plant.rulebook import Rulebook
from plant.series import MINUTE_NS, QUARTER_NS, Span

RECENT_NS = 2 * MINUTE_NS  # the last 15 minutes are those as long as they ended no longer ago


class Minutes:
    """Runs the minutes since the last settled slot of one plant; ``apart`` runs a computation beside the event loop."""

    def __init__(
        self,
        model: PlantModel,
        rulebook: Rulebook,
        gather: Gather,
        state: State,
        restatement: Restatement,
        *,
        store: SeriesStore,
        ledger: Ledger,
        clock: Clock,
        apart: Callable[..., Awaitable[Any]],
    ) -> None:
        self._model, self._rulebook, self._gather, self._state = model, rulebook, gather, state
        self._restatement = restatement
        self._store, self._ledger, self._clock, self._apart = store, ledger, clock, apart
        self._minute_ns = 0
        self._recent: PeriodFigures | None = None

    def recent(self, t_ns: int) -> PeriodFigures | None:
        """Figures of the last 15 minutes, None where there are none or they ended too long before ``t_ns``."""
        found = self._recent
        return found if found is not None and 0 <= t_ns - found.span.end_ns <= RECENT_NS else None

    async def run(self) -> None:
        """Rows of the minutes since the last settled slot, and the last 15 minutes; nothing to do within the same minute."""
        minute = self._clock.now_ns() // MINUTE_NS * MINUTE_NS
        done_ns, checkpoints = self._state.done_ns, self._state.checkpoints
        if done_ns is None or minute == self._minute_ns or minute - done_ns > DAY_NS:
            return
        recent = Span(minute - QUARTER_NS, minute)
        whole = Span(min(done_ns, recent.start_ns), minute)
        readings = await self._gather.readings(whole, reach=False, wide_ns=reaches(self._state.gaps))
        self._minute_ns = minute
        if not any(inside(s, recent) for s in readings.values()):
            self._recent = None
            return
        site, efficiency = self._model.site, self._state.efficiency
        annotations = await self._ledger.annotations(site.id, whole)
        statements = await self._restatement.statements(whole)
        evidence = Evidence(readings, annotations, efficiency, checkpoints.before(recent.start_ns)[1], statements)
        edges = np.array([recent.start_ns, recent.end_ns])
        law = lawful(self._model, self._rulebook, edges[:1])
        rows = (await self._apart(derive, law, evidence, edges, 1)).coarse
        entries = await documents(self._ledger, site.id, recent)
        period = Period(site, self._rulebook, recent, "interval", rows, "live", entries, efficiency)
        self._recent = await self._apart(period_figures, period)
        if minute > done_ns:
            bounds = Span(done_ns, minute).bounds(MINUTE_NS)
            started = replace(evidence, pools=checkpoints.before(done_ns)[1])
            law = lawful(self._model, self._rulebook, bounds[:1])
            fine = (await self._apart(derive, law, started, bounds, len(bounds) - 1)).fine
            version = await self._state.next_version(self._clock.now_ns())
            for block in fine.blocks(site.id, version) if fine else ():
                await self._store.write_derived(block)
