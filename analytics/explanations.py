"""What an explanation reads: the period as the figures read it, verdicts, and readings only where an interval is flagged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from analytics.derive import PlantModel
from analytics.evidence import Incident, classified
from analytics.explain import Grounds, explain
from analytics.explain_points import open_runs
from analytics.explain_tree import Cause, CauseKind
from analytics.figures import PeriodFigures
from analytics.flags import IntervalFlag
from analytics.gather import Gather, reached
from analytics.limits import PeriodKind
from analytics.live import window_spans
from analytics.period import period_figures
from analytics.reader import Reader
from analytics.report import kind_of, plan
from analytics.restatement import Restatement
from analytics.studies import STUDIES, Studies
from analytics.study import Study
from plant.errors import InputError
from plant.ports import Annotation, Ledger, SeriesStore
from plant.series import QUARTER_NS, Span

TELLING = int(
    IntervalFlag.WRAP
    | IntervalFlag.RESET
    | IntervalFlag.GAP
    | IntervalFlag.SPREAD
    | IntervalFlag.FROZEN
    | IntervalFlag.GLITCH
    | IntervalFlag.ESTIMATED
)
RUNS_MAX = 6  # flagged runs of a point whose readings are looked at
HEAD_NS = 8 * QUARTER_NS  # of each run: what is classified lies between its readings, however far apart these are


@dataclass(frozen=True, slots=True)
class Explained:
    """A tree with what identifies the period that it is of."""

    tree: Cause
    span: Span
    kind: PeriodKind
    status: str
    interval_hash: str
    slots_missing: int
    editions: tuple[str, ...]


def asked_span(model: PlantModel, asked: str | Span, t_ns: int, done_ns: int | None) -> tuple[Span, PeriodKind]:
    """Span and kind of what is asked about: ``2026-11-20``, ``2026-11``, ``2026``, a running window such as ``last_24h``, or a
    span. Of the instant and of the last minutes, the last settled 15-min interval is explained. Raises InputError."""
    if isinstance(asked, Span):
        return asked, "interval"
    if asked[:1].isdigit():
        planned = plan(model.site.calendar, kind_of(asked), asked)
        return planned.span, planned.kind
    end_ns = done_ns or t_ns // QUARTER_NS * QUARTER_NS
    if asked in ("now", "last_15min"):
        return Span(end_ns - QUARTER_NS, end_ns), "interval"
    windows = window_spans(model, t_ns, end_ns)
    if asked not in windows:
        raise InputError(f"span {asked!r}: found no such window; there are: now, last_15min, {', '.join(windows)}")
    span, kind = windows[asked]
    return span, cast(PeriodKind, kind)


class Explanations:
    """Explains figures of one plant. ``apart`` runs a computation beside the event loop."""

    def __init__(
        self,
        model: PlantModel,
        reader: Reader,
        studies: Studies,
        restatement: Restatement,
        *,
        quantities_of: Mapping[str, Sequence[str]],
        store: SeriesStore,
        ledger: Ledger,
        apart: Callable[..., Awaitable[Any]],
    ) -> None:
        self._model, self._reader, self._studies, self._restatement = model, reader, studies, restatement
        self._quantities_of, self._store, self._ledger, self._apart = quantities_of, store, ledger, apart

    async def explain(self, node: str, indicator: str, span: Span, kind: PeriodKind) -> Explained:
        """The tree under a figure of a span; of a chapter, else of the first study that gives it.

        Raises InputError where neither a chapter nor a study has the figure.
        """
        grounds = await self.grounds(span, kind)
        if grounds.found.figure(node, indicator) is None:
            grounds = await self._of_study(grounds, node, indicator, span, kind)
        tree: Cause = await self._apart(explain, grounds, node, indicator)
        incidents = await self._incidents(grounds, tree)
        if incidents:
            tree = await self._apart(explain, replace(grounds, incidents=incidents), node, indicator)
        found = grounds.found
        return Explained(tree, grounds.period.span, kind, found.status, found.interval_hash, found.slots_missing, found.editions)

    async def grounds(self, span: Span, kind: PeriodKind, study: Study | None = None) -> Grounds:
        """The settled part of a span with its figures, verdicts and, where a study is asked about it, that one's figures."""
        period = await self._reader.settled(span, kind)
        found: PeriodFigures = await self._apart(period_figures, period)
        grounds = Grounds(period, found, {}, await self._ledger.annotations(self._model.site.id, period.span))
        return grounds if study is None else await self._with(grounds, study, span, kind)

    async def _with(self, grounds: Grounds, study: Study, span: Span, kind: PeriodKind) -> Grounds:
        material = await self._studies.material(study, kind, span)
        answer = await self._studies.answer(study, material)
        return replace(grounds, studied=answer.figures, entries=material.entries)

    async def _of_study(self, grounds: Grounds, node: str, indicator: str, span: Span, kind: PeriodKind) -> Grounds:
        """With the study that gives a figure which no chapter gives. Raises InputError where none does."""
        for study in STUDIES if kind != "interval" else ():
            if kind in study.kinds:
                asked = await self._with(grounds, study, span, kind)
                if indicator in asked.studied.get(node, {}):
                    return asked
        known = ", ".join(sorted(grounds.found.figures.get(node, {}))) or "none of this node"
        of_nodes = ", ".join(grounds.found.figures)
        raise InputError(f"no figure {indicator!r} of {node!r} in this {kind}; there are: {known}; nodes: {of_nodes}")

    async def _incidents(self, grounds: Grounds, tree: Cause) -> dict[str, list[Incident]]:
        """What was classified of the points of a tree, around the first of their flagged intervals."""
        points = {c.name for c in tree.walk() if c.kind is CauseKind.POINT and c.name in self._model.points}
        heads = {p: self._heads(grounds, p) for p in sorted(points)}
        spans = sorted({(s.start_ns, s.end_ns) for found in heads.values() for s in found})
        found: dict[str, dict[Incident, None]] = {}
        for start_ns, end_ns in spans:
            span = Span(start_ns, end_ns)
            here = [p for p, of_point in heads.items() if span in of_point]
            for point, incidents in (await self._classified(here, span)).items():
                found.setdefault(point, {}).update(dict.fromkeys(incidents))
        return {point: list(incidents) for point, incidents in found.items() if incidents}

    def _heads(self, grounds: Grounds, point: str) -> list[Span]:
        start_ns = grounds.period.rows.start_ns
        runs = open_runs(grounds.period, point, TELLING)[:RUNS_MAX]
        return [Span(int(start_ns[a]), min(int(start_ns[b - 1]) + QUARTER_NS, int(start_ns[a]) + HEAD_NS)) for a, b in runs]

    async def _classified(self, points: Sequence[str], span: Span) -> dict[str, list[Incident]]:
        meters = {m.meter for p in points for m in self._model.points[p].point.mountings}
        known = {m: self._quantities_of[m] for m in meters if m in self._quantities_of}
        annotations: Sequence[Annotation] = await self._ledger.annotations(self._model.site.id, reached(span))
        readings = await Gather(self._model, known, self._store).readings(span, annotations)
        statements = await self._restatement.statements(span)
        wraps_at = self._model.wraps_at
        return {p: classified(self._model.points[p], readings, span, wraps_at, annotations, statements) for p in points}
