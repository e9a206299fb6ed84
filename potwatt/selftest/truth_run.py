"""One trial plant through the shipped path: readings into a store, analytics until idle, figures beside the truth."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from analytics.figures import PeriodFigures
from analytics.limits import PeriodKind
from analytics.service import Analytics
from collector.forward import ANALYTICS_STATE
from collector.late import Owners, late_slots
from plant.frame import FrameBlock
from plant.ports import LastFrame, Ledger
from plant.quality import ABSENT
from plant.rulebook import Rulebook, parse_rules, shipped_rule_texts
from plant.series import Span
from plant.site import Site
from potwatt.board import Board
from potwatt.selftest.truth_store import ArrayStore
from simulators.faults import Reported
from simulators.trial import Trial, TrialSettings, whole_ms
from simulators.true_classes import class_shares, point_shares
from simulators.true_figures import true_figures, true_points
from storage.ledger import SqlLedger

HOUR_NS = 3_600_000_000_000
SETTLE_NS = 6 * HOUR_NS
# weighed metal says how a month's efficiency is, not how a day's differs from it
METAL_FIGURES, DRIFT = ("metal_", "specific_energy_", "current_efficiency"), 0.01
# so does the battery's stated efficiency: how much of a day's sun is still inside at midnight follows from it
GREEN_FIGURES = ("green_", "pv_")


@dataclass(frozen=True, slots=True)
class Case:
    """A figure beside the truth. ``flags`` are what the figure admits: reason, incompleteness, flags of a point."""

    seed: int
    period: str  # day | month, which is a whole one of the calendar | span, which is any other
    start_ns: int
    node: str
    indicator: str
    truth: float
    value: float | None
    low: float | None
    high: float | None
    measured_share: float = 1.0
    flags: tuple[str, ...] = ()
    class_share: float | None = None  # root-sum-square of the classes behind it, relative, where that is known
    allowed: float = 0.0  # relative error that has other reasons than meters: registers' steps, the drift of efficiency

    @property
    def whole(self) -> bool:
        """Whether the figure claims to be measured whole."""
        return self.measured_share > 0.9999 and not self.flags

    @property
    def said(self) -> bool:
        """Whether there is a value, and a band with both edges: else nothing can be right or wrong."""
        return None not in (self.value, self.low, self.high)

    @property
    def name(self) -> str:
        """What is tabled together: the indicator, of a plant, a line, a bus or a point."""
        return f"{self.node.partition(':')[0]} {self.indicator}"

    @property
    def error(self) -> float | None:
        """Relative error of the value."""
        return None if self.value is None else (self.value - self.truth) / max(abs(self.truth), 1e-9)

    @property
    def hit(self) -> bool:
        """Whether the band holds the truth; one with an edge that nothing bounds holds it on that side."""
        slack = 1e-9 * abs(self.truth) + 1e-6
        return (self.low is None or self.low - slack <= self.truth) and (self.high is None or self.truth <= self.high + slack)

    @property
    def half_width(self) -> float | None:
        """Half the band over the truth."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / max(abs(self.truth), 1e-9)


@dataclass(slots=True)
class TrialClock:
    """A clock that stands where the trial is."""

    t_ns: int

    def now_ns(self) -> int:
        """Where the trial is."""
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        """Time passes for those who wait."""
        self.t_ns += round(seconds * 1e9)


@dataclass(slots=True)
class SilentBus:
    """Nothing comes live."""

    frames: dict[str, LastFrame] = field(default_factory=dict)

    def publish(self, block: FrameBlock) -> None:
        """Nobody listens."""

    def withdraw(self, meters: Any) -> None:
        """Nothing was said."""

    def latest(self) -> dict[str, LastFrame]:
        """No frame."""
        return self.frames

    def announce(self, topic: str, body: dict[str, Any]) -> None:
        """Nobody listens."""

    async def listen(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """No update."""
        nothing: tuple[tuple[str, dict[str, Any]], ...] = ()
        for update in nothing:
            yield update


def run_trial(settings: TrialSettings) -> list[Case]:
    """Cases of one plant. A function of its settings alone, for processes of their own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(Trial(settings), Path(folder)))


async def _run(trial: Trial, folder: Path) -> list[Case]:
    async with analysed(trial, folder) as analytics:
        trial.truth.account(trial.settings.span)
        cases = []
        for kind, span in _periods(trial.site, trial.settings.span):
            cases += compared(trial, kind, span, await analytics.figures(span, kind))
        return cases


@asynccontextmanager
async def analysed(trial: Trial, folder: Path, reported: Mapping[str, Reported] | None = None) -> AsyncIterator[Analytics]:
    """Analytics of a trial that have nothing left to do. ``reported`` stands for the plant's own readings."""
    site, sent = trial.site, trial.reported() if reported is None else reported
    clock = TrialClock(trial.late_ns)
    ledger = SqlLedger(f"sqlite:///{folder / 'ledger.sqlite'}", clock)
    await ledger.setup()
    store = ArrayStore(site.id, trial.read)
    analytics = Analytics(
        site=site,
        rulebook=_rules(),
        profiles_wraps=trial.wraps_at,
        quantities_of={meter: r.quantities for meter, r in sent.items()},
        store=store,
        ledger=ledger,
        clock=clock,
        bus=SilentBus(),
        health=Board(),
    )
    await ledger.add(trial.entries())
    await ledger.annotate(trial.annotations())
    first = {m: r.arrival_ns < trial.late_ns for m, r in sent.items()}
    await _deliver(site, store, ledger, clock.t_ns, _rows(sent, first))
    await _idle(analytics)
    await _deliver(site, store, ledger, clock.t_ns, _rows(sent, {m: ~rows for m, rows in first.items()}))
    clock.t_ns = trial.read.end_ns + SETTLE_NS
    await _idle(analytics)
    yield analytics
    await ledger.close()


def compared(trial: Trial, kind: PeriodKind, span: Span, found: PeriodFigures) -> list[Case]:
    """A case of every figure and point of a span that the truth knows, without a value where there is no figure."""
    return [*_figure_cases(trial, kind, span, found), *_point_cases(trial, kind, span, found)]


def _figure_cases(trial: Trial, kind: PeriodKind, span: Span, found: PeriodFigures) -> Iterator[Case]:
    seed, period = trial.settings.seed, _named(trial.site, kind, span)
    classes = class_shares(trial.truth, trial.site, span, whole=period == "month")
    for (node, indicator), truth in true_figures(trial.truth, span).items():
        figure = found.figure(node, indicator)
        if figure is None:
            yield Case(seed, period, span.start_ns, node, indicator, truth, None, None, None, 0.0, ("no such figure",))
            continue
        told = (figure.reason,) if figure.reason else ()
        band = (figure.value, figure.low, figure.high)
        drifts = period != "month" and indicator.startswith((*METAL_FIGURES, *GREEN_FIGURES))
        limits = (classes.get((node, indicator)), DRIFT * drifts)
        yield Case(seed, period, span.start_ns, node, indicator, truth, *band, figure.measured_share, told, *limits)


def _point_cases(trial: Trial, kind: PeriodKind, span: Span, found: PeriodFigures) -> Iterator[Case]:
    seed, period = trial.settings.seed, _named(trial.site, kind, span)
    true = true_points(trial.truth, span, {p.id: (p.branch, p.side) for p in trial.site.points.values()})
    classes = point_shares(trial.site, true)
    points = {p.point: p for p in found.points}
    for (id_, direction), truth in true.items():
        node, name, point = f"point:{id_}", f"energy_{direction}", points.get(id_)
        if point is None:
            yield Case(seed, period, span.start_ns, node, name, truth, None, None, None, 0.0, ("no such point",))
            continue
        value, low, high = (getattr(point, f"energy_{direction}{edge}_kwh") for edge in ("", "_low", "_high"))
        limits = (point.measured_share, point.flags, classes.get((id_, direction)))
        yield Case(seed, period, span.start_ns, node, name, truth, value, low, high, *limits)


def _named(site: Site, kind: PeriodKind, span: Span) -> str:
    """A month is one of the calendar: what rests on weighed metal or stored energy holds for no shorter one."""
    first = site.calendar.local(span.start_ns).date()
    whole = site.calendar.month(first.year, first.month)
    return "span" if kind == "month" and whole != span else kind


def _periods(site: Site, span: Span) -> list[tuple[PeriodKind, Span]]:
    """The days of a span, and all of it as a month."""
    day, days = site.calendar.local(span.start_ns).date(), []
    while (one := site.calendar.day(day)).end_ns <= span.end_ns:
        days.append(one)
        day += timedelta(days=1)
    return [*(("day", one) for one in days), ("month", span)]


async def _idle(analytics: Analytics) -> None:
    while await analytics.step():
        pass


def _rows(sent: Mapping[str, Reported], rows: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, Reported]:
    found = {}
    for meter, r in sent.items():
        kept = np.flatnonzero(rows[meter])
        found[meter] = Reported(r.quantities, r.t_ns[kept], r.arrival_ns[kept], r.value[kept])
    return found


async def _deliver(site: Site, store: ArrayStore, ledger: Ledger, now_ns: int, sent: Mapping[str, Reported]) -> None:
    """Store readings and mark what they are late for, as the collector does behind every write."""
    owners = Owners.of(site)
    for meter, r in sent.items():
        n = len(r.t_ns)
        if not n:
            continue
        quality = np.where(np.isfinite(r.value), 0, int(ABSENT)).astype(np.int16)
        block = FrameBlock(site.id, "trial", r.quantities, (meter,), np.zeros(n, np.int32), whole_ms(r.t_ns), r.value, quality)
        await store.write([block])
        state = await ledger.get_state(site.id, ANALYTICS_STATE)
        settled_ns = None if state is None else state.get("settled_until_ns")
        late = block.take(block.t_ns < now_ns) if settled_ns is not None else block.take(slice(0, 0))
        await ledger.mark_dirty_many(site.id, late_slots([late], owners, settled_ns, now_ns))


@cache
def _rules() -> Rulebook:
    return parse_rules(shipped_rule_texts())
