"""The loop of the analytics: settles slots, recomputes dirty ones, keeps the running minutes, answers for any span.

Its only state is in the ledger: ``settled_until_ns`` is announced before the readings of a slot are read, so that whoever
stores a late reading marks it dirty; ``done_until_ns`` follows when the rows are stored. Killed anywhere, it repeats work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from analytics.checkpoints import DAY_NS, Checkpoints
from analytics.derive import POINT_FIELDS, Derived, Evidence, PlantModel, derive
from analytics.figures import Live, PeriodFigures
from analytics.gather import PROCESS_FIELDS, Gather
from analytics.limits import PeriodKind
from analytics.lines import stated_fits
from analytics.live import now, window_spans
from analytics.metal import Fits
from analytics.period import period_figures
from analytics.period_rows import Period
from analytics.reconcile import METAL_FIELDS, changed_from, efficiencies, fits_from, fits_state, months, refit_span, restated
from analytics.report import ReportPlan, body, frozen, plan
from analytics.table import Table
from plant import nodes
from plant.errors import ConfigError, Fault, StoreError
from plant.ports import Bus, Clock, DirtyNode, HealthBoard, Ledger, ReportVersion, SeriesStore
from plant.rulebook import Rulebook
from plant.series import MINUTE_NS, QUARTER_NS, Series, Span
from plant.site import Site

STATE, POOLS, EFFICIENCY, GAPS = "analytics", "analytics.storage", "analytics.efficiency", "analytics.gaps"
COARSE_DAYS = 31  # rows without readings finer than 15 min are computed a month at a time
REFIT_DAYS = 31  # each midnight the months that this reaches back into are fitted anew
FORWARD_S = 3.0  # a durable reading reaches the store within this, or marks its slot dirty when it does
IDLE_S, QUIET_S, PATIENCE_S, WINDOW_S, RETRY_S = 1.0, 0.2, 5.0, 5.0, 5.0
LEDGER_KINDS_READ = ("metal_tapped", "metal_in_pots", "certificate")
Wraps = Callable[[str, str], float | None] | Mapping[tuple[str, str], float | None]


class Analytics:
    """Figures of one plant. ``step`` does one unit of work; ``figures``, ``live`` and ``report`` only read."""

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
        faraday = rulebook.in_force("faraday-yield", site.calendar.local(clock.now_ns()).date(), (site.province, "CN"))
        if faraday is None:
            raise ConfigError([Fault("rules", "faraday-yield", "no edition in force", "a rule of that id, unit kg/kAh")])
        self._model = PlantModel.of(site, float(faraday.value), wraps)
        self._gather = Gather(self._model, quantities_of, store)
        self._done_ns: int | None = None
        self._settled_ns: int | None = None
        self._checkpoints = Checkpoints(None)
        self._efficiency: dict[str, Fits] = {}
        self._gaps: dict[str, int] = {}
        self._ready = False
        self._refit_day = 0
        self._refit_from_ns: int | None = None
        self._coarse = False
        self._minute_ns = 0
        self._recent: PeriodFigures | None = None
        self._seen, self._seen_ns = (0, 0), 0
        self._revision = 0
        self._windows: dict[str, tuple[int, int, PeriodFigures]] = {}

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
            self._health.set("analytics", "ok", "settling" if more else "up to date", settled_until_s=(self._done_ns or 0) / 1e9)
            if not more:
                await self._clock.sleep(IDLE_S)

    async def step(self) -> bool:
        """One unit of work: settle new slots, then recompute dirty ones, then reconcile. True while there is more."""
        await self._load()
        if await self._settle() or await self._clean():
            self._revision += 1
            return True
        if await self._reconcile():
            self._revision += 1
            return True
        await self._run_minutes()
        return False

    async def figures(self, span: Span, kind: PeriodKind = "interval") -> PeriodFigures:
        """Figures of the 15-min slots that a span touches, up to the last settled one."""
        await self._load()
        end_ns = min(span.end_ns, self._done_ns or span.start_ns)
        return period_figures(await self._read(Span(min(span.start_ns, end_ns), end_ns), kind))

    async def live(self) -> Live:
        """The plant now, and its running windows."""
        await self._load()
        t_ns = self._clock.now_ns()
        _, pools = self._checkpoints.before(t_ns)
        instant = now(self._model, self._rulebook, self._bus.latest(), t_ns, Evidence({}, (), self._efficiency, pools))
        windows = {"now": instant.figures}
        if self._recent is not None:
            windows["last_15min"] = self._recent
        if self._done_ns is not None:
            for name, (span, kind) in window_spans(self._model, t_ns, self._done_ns).items():
                windows[name] = await self._window(name, span, cast(PeriodKind, kind), t_ns)
        return Live(self._site.id, t_ns, windows, instant.branches, instant.power_kw, self._done_ns)

    async def report(self, kind: str, period: str) -> ReportVersion:
        """The closed version of a report that is newest, else what it would be now (version 0, ``provisional``).

        Raises InputError for a kind or period that does not exist. Reading never makes a version.
        """
        planned = plan(self._site.calendar, kind, period)
        versions = await self._ledger.reports(self._site.id, kind, period)
        if versions:
            return versions[-1]
        found = await self._body(planned)
        return ReportVersion(self._site.id, kind, period, 0, found, found["interval_hash"], "", self._clock.now_ns())

    async def close_period(self, kind: str, period: str, cause: str, who: str) -> ReportVersion:
        """Freeze a report. A period closed before gets a new version that names its predecessor and what differs."""
        planned = plan(self._site.calendar, kind, period)
        versions = await self._ledger.reports(self._site.id, kind, period)
        version = frozen(self._site, await self._body(planned), versions, cause, who, self._clock.now_ns())
        await self._ledger.add_report(version)
        await self._ledger.audit(self._site.id, who, "close_period", {"kind": kind, "period": period, "version": version.version})
        return version

    async def _body(self, planned: ReportPlan) -> dict[str, Any]:
        """Body of a report over what is settled: the rows are read once and cut."""
        await self._load()
        until = min(planned.span.end_ns, self._done_ns or planned.span.start_ns)
        whole = await self._read(Span(min(planned.span.start_ns, until), until), planned.kind)
        row_kind: dict[str, PeriodKind] = {"day": "interval", "month": "day", "year": "month"}
        parts = [
            (label, period_figures(whole.part(Span(span.start_ns, min(span.end_ns, until)), row_kind[planned.kind])))
            for label, span in planned.rows
            if span.start_ns < until
        ]
        return body(self._site, planned, period_figures(whole), parts, self._rulebook)

    async def _read(self, span: Span, kind: PeriodKind) -> Period:
        rows = await self._gather.rows(span)
        entries = await self._ledger.entries(self._site.id, LEDGER_KINDS_READ, span)
        inside = [e for e in entries if e.start_ns < span.end_ns]
        return Period(self._site, self._rulebook, span, kind, rows, "provisional", inside, self._efficiency)

    async def _window(self, name: str, span: Span, kind: PeriodKind, t_ns: int) -> PeriodFigures:
        """A running window, computed anew when rows have changed, at most every few seconds."""
        cached = self._windows.get(name)
        if cached and (cached[0] == self._revision or t_ns - cached[1] < WINDOW_S * 1e9):
            return cached[2]
        found = replace(period_figures(await self._read(span, kind)), status="live")
        self._windows[name] = (self._revision, t_ns, found)
        return found

    async def _load(self) -> None:
        """Read the state once; a plant without one starts at its first reading."""
        if self._done_ns is None:
            state = await self._ledger.get_state(self._site.id, STATE)
            if state is None:
                extent = await self._store.extent()
                if extent is None:
                    return
                start = extent.start_ns // QUARTER_NS * QUARTER_NS
                state = {"settled_until_ns": start, "done_until_ns": start}
                await self._ledger.put_state(self._site.id, STATE, state)
            self._settled_ns, self._done_ns = int(state["settled_until_ns"]), int(state["done_until_ns"])
        if not self._ready:
            self._ready = True
            self._checkpoints = Checkpoints(await self._ledger.get_state(self._site.id, POOLS))
            fits = await self._ledger.get_state(self._site.id, EFFICIENCY) or {"refit_from_ns": self._done_ns, "lines": {}}
            self._refit_from_ns = fits["refit_from_ns"]
            self._efficiency = {line: fits_from(f) for line, f in fits["lines"].items() if line in self._site.potlines}
            self._gaps = {str(k): int(v) for k, v in (await self._ledger.get_state(self._site.id, GAPS) or {}).items()}

    async def _settle(self) -> bool:
        """Compute the oldest slots that are over and have their readings, up to a day at a time."""
        if self._done_ns is None:
            return False
        limit = self._settle_limit()
        if limit <= self._done_ns:
            return False
        end = min(limit, self._done_ns + (COARSE_DAYS if self._coarse else 1) * DAY_NS)
        span = Span(self._done_ns, end)
        self._settled_ns = max(end, self._settled_ns or end)
        await self._ledger.put_state(self._site.id, STATE, {"settled_until_ns": self._settled_ns, "done_until_ns": self._done_ns})
        dirty = await self._ledger.dirty_nodes(self._site.id, span)
        if await self._arriving(span, dirty):
            await self._clock.sleep(QUIET_S)
            return True
        if not await self._compute(span):
            following = await self._gather.next_reading_ns(end)
            end = limit if following is None else min(limit, following // QUARTER_NS * QUARTER_NS)
        self._done_ns = end
        self._settled_ns = max(end, self._settled_ns)
        await self._ledger.put_state(self._site.id, STATE, {"settled_until_ns": self._settled_ns, "done_until_ns": end})
        await self._clear(span, dirty)
        return True

    def _settle_limit(self) -> int:
        """End of the last slot that may be settled: every meter has a reading past it, or the time to wait is over."""
        t_ns = self._clock.now_ns()
        over = round(t_ns - self._site.accounting.settle_after_s * 1e9) // QUARTER_NS * QUARTER_NS
        frames = self._bus.latest()
        mounted = {m.meter for p in self._site.points.values() for m in p.mountings if p.mounting_at(t_ns) is m}
        if mounted and all(m in frames for m in mounted):
            newest = min(frames[m].t_ns for m in mounted)
            over = max(over, int(min(newest, t_ns) - FORWARD_S * 1e9) // QUARTER_NS * QUARTER_NS)
        return over

    async def _clean(self) -> bool:
        """Recompute from the oldest dirty slot on, for up to a day; a burst of late readings is let through first."""
        oldest = await self._ledger.dirty(self._site.id, 1)
        if not oldest or self._done_ns is None or oldest[0].slot_ns >= self._done_ns:
            return False
        start = oldest[0].slot_ns
        # up to midnight, where the storage pools that later slots started from are known
        midnight = (start // DAY_NS + (COARSE_DAYS if self._coarse else 1)) * DAY_NS
        span = Span(start, min(midnight, self._done_ns))
        dirty = await self._ledger.dirty_nodes(self._site.id, span)
        if self._quiet_s(span, dirty) < QUIET_S:
            await self._clock.sleep(QUIET_S)
            return True
        touched = max((d.last_slot_ns for d in dirty), default=start) + QUARTER_NS
        await self._compute(span if self._site.branches_of("storage") else Span(start, touched))
        await self._clear(span, dirty)
        return True

    def _quiet_s(self, span: Span, dirty: Sequence[DirtyNode]) -> float:
        """For how long a span has not been marked anew, as far as was looked."""
        seen = (span.start_ns, max((d.generation for d in dirty), default=0))
        if seen != self._seen:
            self._seen, self._seen_ns = seen, self._clock.now_ns()
        return (self._clock.now_ns() - self._seen_ns) / 1e9

    async def _arriving(self, span: Span, dirty: Sequence[DirtyNode]) -> bool:
        """Whether history of a span long past still comes in: computed now, it and all that follows would be computed again.
        It comes in order of time: a reading beyond the next day says that this one is stored, and what touches its end."""
        if not dirty or span.end_ns > self._clock.now_ns() - DAY_NS:
            return False
        if await self._gather.next_reading_ns(span.end_ns + DAY_NS, DAY_NS / 1e9) is not None:
            return False
        return self._quiet_s(span, dirty) < PATIENCE_S

    async def _clear(self, span: Span, dirty: Sequence[DirtyNode]) -> None:
        """Take slots off the list that were computed since they were seen there; one marked again meanwhile stays."""
        if dirty:
            await self._note_metal(dirty)
            await self._ledger.clear_dirty_span(self._site.id, span, max(d.generation for d in dirty))

    async def _compute(self, span: Span) -> bool:
        """Rows of the whole slots of a span, stored; False where there is nothing to compute them from."""
        readings = await self._gather.readings(span)
        if not any(len(s) for s in readings.values()):
            return False
        fine = any(_inside(s, span) for (_, name), s in readings.items() if not name.startswith("interval_"))
        self._coarse = not fine and any(_inside(s, span) for s in readings.values())
        derived, start_ns = await self._derive(span, readings, fine)
        version = self._clock.now_ns() // 1_000_000
        for table in (derived.fine, derived.coarse):
            for block in table.blocks(self._site.id, version) if table is not None else ():
                await self._store.write_derived(block)
        await self._keep_pools(derived, start_ns)
        await self._watch_gaps(derived.coarse, span)
        return True

    async def _derive(self, span: Span, readings: dict[tuple[str, str], Series], fine: bool) -> tuple[Derived, int]:
        annotations = await self._ledger.annotations(self._site.id, span)
        _, pools = self._checkpoints.before(span.start_ns)
        step_ns, group = (MINUTE_NS, QUARTER_NS // MINUTE_NS) if fine else (QUARTER_NS, 1)
        evidence = Evidence(readings, annotations, self._efficiency, pools)
        return derive(self._model, evidence, span.bounds(step_ns), group), span.start_ns

    async def _keep_pools(self, derived: Derived, start_ns: int) -> None:
        """Keep the chain of storage pools; later slots that started from other pools become dirty."""
        if not self._site.branches_of("storage"):
            return
        ends = [start_ns + (i + 1) * QUARTER_NS for i in range(len(derived.pools))]
        broken = self._checkpoints.differs(ends[-1], derived.pools[-1]) and ends[-1] < (self._done_ns or 0)
        for end_ns, pools in zip(ends, derived.pools, strict=True):
            self._checkpoints.put(end_ns, pools)
        if broken:
            await self._ledger.mark_dirty(self._site.id, nodes.PLANT, [ends[-1]])
        await self._ledger.put_state(self._site.id, POOLS, self._checkpoints.state())

    async def _watch_gaps(self, coarse: Table, span: Span) -> None:
        """Remember points that were silent at the end of a span; when they speak again the gap is computed anew."""
        before = dict(self._gaps)
        for point in self._site.points:
            known = np.flatnonzero(np.isfinite(coarse.column(nodes.point(point), "active_power")))
            if len(known) == 0 or known[-1] < len(coarse.start_ns) - 1:
                first = int(coarse.start_ns[known[-1] + 1]) if len(known) else span.start_ns
                self._gaps[point] = min(first, self._gaps.get(point, first)) if len(known) == 0 else first
            elif point in self._gaps:
                slots = list(range(self._gaps.pop(point), span.start_ns, QUARTER_NS))[-45 * 96 :]
                await self._ledger.mark_dirty(self._site.id, nodes.point(point), slots)
        if before != self._gaps:
            await self._ledger.put_state(self._site.id, GAPS, dict(self._gaps))

    async def _reconcile(self) -> bool:
        """Fit current efficiency when a day is over or metal was stated late, and restate the rows that it changes."""
        if self._done_ns is None or not self._site.potlines:
            return False
        calendar = self._site.calendar
        today = calendar.instant_ns(calendar.local(self._done_ns).date())
        if today == self._refit_day and self._refit_from_ns is None:
            return False
        self._refit_day = today
        reach = min(self._refit_from_ns or self._done_ns, today - REFIT_DAYS * DAY_NS)
        since = months(calendar, Span(reach, reach))[0].start_ns
        span = refit_span(calendar, since, self._done_ns)
        lines = [nodes.line(n) for n in self._site.potlines]
        rows = await self._gather.columns(span, [(lines, METAL_FIELDS)])
        entries = await self._ledger.entries(self._site.id, ("metal_tapped", "metal_in_pots"), span)
        stated = {line: stated_fits(self._site, line) for line in self._site.potlines}
        before = self._efficiency
        self._efficiency = efficiencies(self._model, rows, entries, before, since)
        first = changed_from(self._efficiency, before, stated)
        if first is not None:
            start = max(first // QUARTER_NS * QUARTER_NS, rows.first_known_ns(lines, "metal_produced"))
            await self._restate(Span(min(start, self._done_ns), self._done_ns))
        self._refit_from_ns = None
        await self._keep_fits()
        return first is not None

    async def _restate(self, span: Span) -> None:
        """Bring the rows of a span to the efficiency now known, a month at a time."""
        groups = [
            ([nodes.PLANT, *(nodes.line(n) for n in self._site.potlines)], PROCESS_FIELDS),
            ([nodes.branch(b) for b in self._site.branches], (*POINT_FIELDS, "flags")),
        ]
        for start in range(span.start_ns, span.end_ns, COARSE_DAYS * DAY_NS):
            rows = await self._gather.columns(Span(start, min(start + COARSE_DAYS * DAY_NS, span.end_ns)), groups)
            for block in restated(self._model, rows, self._efficiency).blocks(self._site.id, self._clock.now_ns() // 1_000_000):
                await self._store.write_derived(block)

    async def _note_metal(self, dirty: Sequence[DirtyNode]) -> None:
        """Remember from where on metal was stated late, before the slots are cleared; today's taps wait for midnight."""
        before_ns = self._clock.now_ns() - DAY_NS
        late = [d.first_slot_ns for d in dirty if d.node.startswith(nodes.line("")) and d.first_slot_ns < before_ns]
        if late and (self._refit_from_ns is None or min(late) < self._refit_from_ns):
            self._refit_from_ns = min(late)
            await self._keep_fits()

    async def _keep_fits(self) -> None:
        lines = {line: fits_state(fits) for line, fits in self._efficiency.items()}
        await self._ledger.put_state(self._site.id, EFFICIENCY, {"refit_from_ns": self._refit_from_ns, "lines": lines})

    async def _run_minutes(self) -> None:
        """Rows of the minutes since the last settled slot, and the last 15 minutes, once a minute."""
        minute = self._clock.now_ns() // MINUTE_NS * MINUTE_NS
        if self._done_ns is None or minute == self._minute_ns or minute - self._done_ns > DAY_NS:
            return
        self._minute_ns = minute
        recent = Span(minute - QUARTER_NS, minute)
        readings = await self._gather.readings(Span(min(self._done_ns, recent.start_ns), minute), reach=False)
        if not any(_inside(s, recent) for s in readings.values()):
            self._recent = None
            return
        _, pools = self._checkpoints.before(minute)
        evidence = Evidence(readings, (), self._efficiency, pools)
        rows = derive(self._model, evidence, np.array([recent.start_ns, recent.end_ns]), 1).coarse
        self._recent = period_figures(Period(self._site, self._rulebook, recent, "interval", rows, "live", (), self._efficiency))
        if minute > self._done_ns:
            running = Span(self._done_ns, minute).bounds(MINUTE_NS)
            fine = derive(self._model, evidence, running, len(running) - 1).fine
            for block in fine.blocks(self._site.id, self._clock.now_ns() // 1_000_000) if fine else ():
                await self._store.write_derived(block)


def _lookup(wraps: Mapping[tuple[str, str], float | None]) -> Callable[[str, str], float | None]:
    return lambda meter, quantity: wraps.get((meter, quantity))


def _inside(series: Series, span: Span) -> bool:
    return bool(((series.t_ns >= span.start_ns) & (series.t_ns < span.end_ns)).any())
