"""The loop of the analytics: settles slots, recomputes dirty ones, keeps the running minutes, answers for any span.

Its only state is in the ledger: ``settled_until_ns`` is announced before the readings of a slot are read, so that whoever
stores a late reading marks it dirty; ``done_until_ns`` follows when the rows are stored. Killed anywhere, it repeats work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np

from analytics.checkpoints import DAY_NS
from analytics.closing import Closing
from analytics.derive import Derived, Evidence, PlantModel, derive, faraday_yield
from analytics.expired import Expired
from analytics.explain import Grounds
from analytics.explanations import Explained, Explanations, asked_span
from analytics.faraday import lawful
from analytics.figures import Live, PeriodFigures
from analytics.gather import Gather, Pair, finer_than_slots, inside, reached
from analytics.limits import PeriodKind
from analytics.live import now, window_spans
from analytics.minutes import Minutes
from analytics.period import period_figures
from analytics.reader import Reader
from analytics.recompute import QUIET_S, Recompute
from analytics.refit import Refit
from analytics.report import ReportPlan, body_of, plan
from analytics.reports import Reports
from analytics.restatement import Restatement
from analytics.row_settings import Changed, changes, figure_settings, row_settings
from analytics.silence import stale_slots, telling
from analytics.slow_registers import moved_late, reaches
from analytics.state import State
from analytics.studies import Studies, study_named
from analytics.study import Studied, Study
from plant import nodes
from plant.errors import StoreError
from plant.frame import ERA_FROM_NS
from plant.ports import Annotation, Bus, Clock, HealthBoard, Ledger, ReportVersion, SeriesStore
from plant.rulebook import Rulebook
from plant.series import MINUTE_NS, QUARTER_NS, Series, Span
from plant.site import Site

COARSE_DAYS = 31  # rows without readings finer than 15 min are computed a month at a time
FORWARD_S = 3.0  # a durable reading reaches the store within this, or marks its slot dirty when it does
IDLE_S, WINDOW_S, RETRY_S = 1.0, 5.0, 5.0
LOOK_S = 1.0  # how often a process that only reads looks how far the one that works is
Readings = Mapping[Pair, Series]
Wraps = Callable[[str, str], float | None] | Mapping[tuple[str, str], float | None]


class Analytics:
    """Figures of one plant. ``step`` does one unit of work; ``figures``, ``live`` and ``report`` only read, in this process or
    in one that never works."""

    def __init__(
        self,
        *,
        site: Site,
        rulebook: Rulebook,
        profiles_wraps: Wraps,
        quantities_of: Mapping[str, Sequence[str]],
        store: SeriesStore,
        ledger: Ledger,
        clock: Clock,
        bus: Bus,
        health: HealthBoard,
    ) -> None:
        self._site, self._rulebook = site, rulebook
        self._store, self._ledger, self._clock, self._bus, self._health = store, ledger, clock, bus, health
        wraps = profiles_wraps if callable(profiles_wraps) else _lookup(profiles_wraps)
        self._model = PlantModel.of(site, faraday_yield(site, rulebook, clock.now_ns()), wraps)
        self._gather = Gather(self._model, quantities_of, store)
        self._state = State(site, ledger)
        self._refit = Refit(
            self._model,
            self._gather,
            self._state,
            store=store,
            ledger=ledger,
            clock=clock,
            health=health,
            apart=asyncio.to_thread,
        )
        self._expired = Expired(site, self._gather, ledger, clock, health)
        self._restatement = Restatement(self._model, self._gather, ledger)
        parts = self._model, rulebook, self._gather, self._state, self._restatement
        self._minutes = Minutes(*parts, store=store, ledger=ledger, clock=clock, apart=asyncio.to_thread)
        self._reader = Reader(site, rulebook, self._gather, ledger, self._state)
        self._studies = Studies(
            site, rulebook, self._gather, self._state, store=store, ledger=ledger, clock=clock, apart=asyncio.to_thread
        )
        self._explanations = Explanations(
            self._model,
            self._reader,
            self._studies,
            self._restatement,
            quantities_of=quantities_of,
            store=store,
            ledger=ledger,
            apart=asyncio.to_thread,
        )
        self._reports = Reports(site, self._state, self._expired, self._look, self._body, ledger=ledger, clock=clock)
        self._closing = Closing(site, self._state, self._reports, ledger=ledger, clock=clock)
        self._queue = Recompute(
            site,
            self._state,
            self._restatement,
            self._expired,
            self._refit,
            self._closing,
            self._gather,
            self._compute,
            ledger=ledger,
            clock=clock,
        )
        self._loading = asyncio.Lock()
        self._working = False
        self._looked_ns: int | None = None
        self._coarse = False
        self._verdicts: Sequence[Annotation] = ()
        self._windows: dict[str, tuple[int, int, PeriodFigures]] = {}
        self._unasked_until_ns = 0

    async def run(self) -> None:
        """Work until cancelled; a store or ledger that does not answer is asked again, any other error is raised."""
        while True:
            try:
                more = await self.step()
            except StoreError as error:
                if not error.transient:
                    raise
                self._health.set("analytics", "degraded", f"{error}; trying again in {RETRY_S:g} s")
                await self._clock.sleep(RETRY_S)
                continue
            done_s = (self._state.done_ns or 0) / 1e9
            self._health.set("analytics", "ok", "settling" if more else "up to date", settled_until_s=done_s)
            if not more:
                await self._clock.sleep(IDLE_S)

    async def step(self) -> bool:
        """One unit of work: the running minutes, then new slots, dirty ones, reconciling, closing. True while there is more."""
        await self._begin()
        await self._minutes.run()
        if await self._settle() or await self._queue.run(self._days):
            return True
        if restated := await self._refit.run():
            await self._closing.touch_spans(restated)
            await self._state.rows_changed()
            return True
        return await self._closing.run()

    async def figures(self, span: Span, kind: PeriodKind = "interval") -> PeriodFigures:
        """Figures of the 15-min slots that a span touches, up to the last settled one."""
        await self._look()
        return await asyncio.to_thread(period_figures, await self._reader.settled(span, kind))

    async def live(self) -> Live:
        """The plant now, and its running windows. The instant needs the bus alone: with the store or the ledger down, the
        windows are those computed last, each with its own span."""
        t_ns = self._clock.now_ns()
        if not 0 < self._unasked_until_ns - t_ns <= RETRY_S * 1e9:
            try:
                await self._look()
                self._verdicts = await self._ledger.annotations(self._site.id, Span(t_ns - DAY_NS, t_ns + 1))
                await self._renew_windows(t_ns)
            except StoreError:  # whoever works says so on the health board
                self._unasked_until_ns = t_ns + round(RETRY_S * 1e9)
        _, pools = self._state.checkpoints.before(t_ns)
        evidence = Evidence({}, self._verdicts, self._state.efficiency, pools)
        law = lawful(self._model, self._rulebook, np.array([t_ns]))
        instant = now(law, self._rulebook, self._bus.latest(), t_ns, evidence)
        windows = {"now": instant.figures}
        if recent := self._minutes.recent(t_ns):
            windows["last_15min"] = recent
        windows |= {name: found for name, (_, _, found) in self._windows.items()}
        return Live(self._site.id, t_ns, windows, instant.branches, instant.power_kw, self._state.done_ns)

    async def study(self, name: str, kind: str, period: str) -> Studied:
        """Answer of a study (``analytics.studies``) about a day, month or year, named as reports name them.

        Raises InputError for a study or a period that does not exist.
        """
        await self._look()
        planned = plan(self._site.calendar, kind, period)
        return await self._studies.ask(study_named(name, planned.kind), planned.kind, planned.span)

    async def grounds(self, asked: str | Span, study: Study | None = None) -> Grounds:
        """What every figure of a period (and of a study about it) is explained from, without raw readings."""
        await self._look()
        span, kind = asked_span(self._model, asked, self._clock.now_ns(), self._state.done_ns)
        return await self._explanations.grounds(span, kind, study)

    async def explain(self, node: str, indicator: str, asked: str | Span) -> Explained:
        """What a figure rests on, of a period named as reports name it, a running window or a span. Raises InputError."""
        await self._look()
        span, kind = asked_span(self._model, asked, self._clock.now_ns(), self._state.done_ns)
        return await self._explanations.explain(node, indicator, span, kind)

    async def report(self, kind: str, period: str) -> ReportVersion:
        """See Reports.report."""
        return await self._reports.report(kind, period)

    async def close_period(
        self, kind: str, period: str, cause: str, who: str, waiting: Literal["kept", "waived"] = "kept"
    ) -> ReportVersion:
        """See Reports.close_period."""
        return await self._reports.close_period(kind, period, cause, who, waiting)

    async def _body(self, planned: ReportPlan) -> dict[str, Any]:
        """Body of a report over what is settled: the rows are read once and cut."""
        await self._look()
        whole = await self._reader.settled(planned.span, planned.kind)
        return await asyncio.to_thread(body_of, planned, whole) | {"studies": await self._studies.of_report(planned)}

    async def _renew_windows(self, t_ns: int) -> None:
        """The running windows, each computed anew when rows have changed, at most every few seconds."""
        spans = {} if self._state.done_ns is None else window_spans(self._model, t_ns, self._state.done_ns)
        self._windows = {name: kept for name, kept in self._windows.items() if name in spans}
        for name, (span, kind) in spans.items():
            cached = self._windows.get(name)
            if cached and cached[2].span == span and cached[0] == self._state.revision:
                continue
            if cached and 0 <= t_ns - cached[1] < WINDOW_S * 1e9:
                continue
            revision, read = self._state.revision, await self._reader.period(span, cast(PeriodKind, kind))
            found = replace(await asyncio.to_thread(period_figures, read), status="live")
            self._windows[name] = (revision, t_ns, found)

    async def _look(self) -> None:
        """How far the work is: known where this process does it, else read from the ledger about once a second."""
        if self._working:
            return
        async with self._loading:
            t_ns = self._clock.now_ns()
            if self._working or (self._looked_ns is not None and 0 <= t_ns - self._looked_ns < LOOK_S * 1e9):
                return
            await self._state.load()
            self._looked_ns = t_ns

    async def _begin(self) -> None:
        """Take up the work: the state is read once, and is this process's own from then on. A plant without one starts at its
        first reading; with other settings than the rows were computed with, they are computed anew."""
        if self._working and self._state.done_ns is not None:
            return
        async with self._loading:
            await self._state.load()
            await self._expired.tell()
            state, rows = self._state, row_settings(self._site, self._rulebook)
            if state.done_ns is None:
                extent = await self._store.extent()
                if extent is None:
                    return
                first_ns = max(extent.start_ns, ERA_FROM_NS)  # a clock that was never set tells no beginning
                state.settled_ns = state.done_ns = state.refit_from_ns = first_ns // QUARTER_NS * QUARTER_NS
            else:
                await self._restate(changes(state.settings.get("rows", {}), rows))
            await self._closing.load()
            figures = figure_settings(self._site, self._rulebook)
            if state.settings:
                before = state.settings
                await self._closing.touch_settings([*changes(before["rows"], rows), *changes(before["figures"], figures)])
            await state.keep_settings(rows, figures)
            await state.keep_progress()
            self._working = True

    async def _restate(self, changed: Sequence[Changed]) -> None:
        """Mark what changed settings reach and still has its readings; of older rows nothing could be computed."""
        extent = await self._store.extent() if changed else None
        done_ns = self._state.done_ns
        if extent is None or done_ns is None:
            return
        first = max(extent.start_ns // QUARTER_NS * QUARTER_NS, ERA_FROM_NS, self._expired.first_kept_ns())
        marked_ns = await self._restatement.mark_changed(changed, Span(min(first, done_ns), done_ns))
        if marked_ns is not None:
            await self._refit.note_from(marked_ns)

    async def _settle(self) -> bool:
        """Compute the oldest slots that are over and have their readings, up to a day at a time."""
        state = self._state
        if state.done_ns is None:
            return False
        limit = self._settle_limit()
        if limit <= state.done_ns:
            return False
        end = min(limit, state.done_ns + self._days * DAY_NS)
        span = Span(state.done_ns, end)
        state.settled_ns = max(end, state.settled_ns or end)
        await state.keep_progress()
        dirty = await self._ledger.dirty_nodes(self._site.id, span)
        if await self._queue.arriving(span, dirty):
            await self._clock.sleep(QUIET_S)
            return True
        readings = await self._compute(span, span.start_ns)
        if readings is None:
            following = await self._gather.next_reading_ns(end)
            end = limit if following is None else min(limit, following // QUARTER_NS * QUARTER_NS)
        else:
            await self._watch_gaps(readings, span)
        state.done_ns, state.settled_ns = end, max(end, state.settled_ns)
        await state.rows_changed()
        await self._queue.clear(span, dirty)
        return True

    @property
    def _days(self) -> int:
        """How much is computed at once."""
        return COARSE_DAYS if self._coarse else 1

    def _settle_limit(self) -> int:
        """End of the last slot that may be settled: every meter has a reading past it, or the time to wait is over."""
        t_ns = self._clock.now_ns()
        mounted = {m.meter for p in self._site.points.values() for m in p.mountings if p.mounting_at(t_ns) is m}
        # a meter that is read less often than that still has its next reading ahead
        polled_s = max((self._site.meters[m].poll_interval_s + FORWARD_S for m in mounted), default=0.0)
        over = round(t_ns - max(self._site.accounting.settle_after_s, polled_s) * 1e9) // QUARTER_NS * QUARTER_NS
        frames = self._bus.latest()
        if mounted and all(m in frames for m in mounted):
            newest = min(frames[m].t_ns for m in mounted)
            over = max(over, int(min(newest, t_ns) - FORWARD_S * 1e9) // QUARTER_NS * QUARTER_NS)
        return over

    async def _compute(self, span: Span, kept_from_ns: int) -> Readings | None:
        """Rows of the whole slots of a span, stored from an instant on. Returns what they were computed from, None where there
        is nothing."""
        annotations = await self._ledger.annotations(self._site.id, reached(span))
        wide_ns = reaches(self._state.gaps)
        readings = telling(self._state.gaps, await self._gather.readings(span, annotations, wide_ns=wide_ns))
        if not any(len(s) for s in readings.values()):
            return None
        fine = any(finer_than_slots(s, span) for (_, name), s in readings.items() if not name.startswith("interval_"))
        self._coarse = not fine and any(inside(s, span) for s in readings.values())
        _, pools = self._state.checkpoints.before(span.start_ns)
        statements = await self._restatement.statements(span)
        evidence = Evidence(readings, annotations, self._state.efficiency, pools, statements)
        step_ns, group = (MINUTE_NS, QUARTER_NS // MINUTE_NS) if fine else (QUARTER_NS, 1)
        law = lawful(self._model, self._rulebook, span.bounds(QUARTER_NS)[:-1])
        derived = await asyncio.to_thread(derive, law, evidence, span.bounds(step_ns), group)
        version = await self._state.next_version(self._clock.now_ns())
        for table in (derived.fine, derived.coarse):
            for block in table.since(kept_from_ns).blocks(self._site.id, version) if table is not None else ():
                await self._store.write_derived(block)
        await self._keep_pools(derived, span.start_ns)
        return readings

    async def _keep_pools(self, derived: Derived, start_ns: int) -> None:
        """Keep the chain of storage pools; later slots that started from other pools become dirty."""
        if not self._site.branches_of("storage"):
            return
        checkpoints = self._state.checkpoints
        ends = [start_ns + (i + 1) * QUARTER_NS for i in range(len(derived.pools))]
        broken = checkpoints.differs(ends[-1], derived.pools[-1]) and ends[-1] < (self._state.done_ns or 0)
        for end_ns, pools in zip(ends, derived.pools, strict=True):
            checkpoints.put(end_ns, pools)
        if broken:
            await self._ledger.mark_dirty(self._site.id, nodes.PLANT, [ends[-1]])
        await self._state.keep_pools()

    async def _watch_gaps(self, readings: Readings, span: Span) -> None:
        """Remember what was settled without a reading after it; when there is one, those slots are computed anew."""
        gaps, stale = stale_slots(self._state.gaps, readings, span)
        gaps, late = moved_late(gaps, self._model, readings, span, round(self._site.accounting.gap_max_s * 1e9))
        if stale or late:
            await self._ledger.mark_dirty(self._site.id, nodes.PLANT, sorted({*stale, *late}))
        if gaps != self._state.gaps:
            self._state.gaps = gaps
            await self._state.keep_gaps()


def _lookup(wraps: Mapping[tuple[str, str], float | None]) -> Callable[[str, str], float | None]:
    return lambda meter, quantity: wraps.get((meter, quantity))
