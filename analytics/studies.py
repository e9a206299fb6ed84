"""The studies, and the shell that reads what each wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from analytics import baseline, carbon_ets, certificate_study, outlook, solar_study, statement_study, suspects, tariff_study
from analytics.editions import with_editions
from analytics.gather import Gather
from analytics.limits import PeriodKind
from analytics.report import ReportPlan
from analytics.state import State
from analytics.study import Material, Question, Studied, Study, Wants
from analytics.table import Columns, Table
from plant.errors import InputError
from plant.ports import Clock, Ledger, SeriesStore
from plant.rulebook import Rulebook
from plant.series import QUARTER_NS, Span
from plant.site import Site

STUDIES: tuple[Study, ...] = (
    certificate_study.STUDY,
    statement_study.STUDY,
    tariff_study.STUDY,
    carbon_ets.STUDY,
    solar_study.STUDY,
    baseline.STUDY,
    outlook.STUDY,
    suspects.STUDY,
)


def study_named(name: str, kind: PeriodKind) -> Study:
    """A study. Raises InputError for one that is not there or cannot be asked about such a period."""
    for study in STUDIES:
        if study.name == name:
            if kind in study.kinds:
                return study
            raise InputError(f"study {name}: found a {kind}; it can be asked about: {', '.join(study.kinds)}")
    raise InputError(f"study {name!r}: unknown; there are: {', '.join(s.name for s in STUDIES) or 'none'}")


class Studies:
    """Asks studies about spans of one plant. ``apart`` runs a computation beside the event loop."""

    def __init__(
        self,
        site: Site,
        rulebook: Rulebook,
        gather: Gather,
        state: State,
        *,
        store: SeriesStore,
        ledger: Ledger,
        clock: Clock,
        apart: Callable[[Callable[[Material], Studied], Material], Awaitable[Studied]],
        studies: Sequence[Study] = STUDIES,
    ) -> None:
        self._site, self._rulebook, self._gather, self._state = site, rulebook, gather, state
        self._store, self._ledger, self._clock, self._apart = store, ledger, clock, apart
        self._studies = studies

    async def of_report(self, planned: ReportPlan) -> dict[str, Any]:
        """What reports of this kind hold of the studies, by name."""
        asked = [s for s in self._studies if planned.kind in s.in_reports]
        found = {s.name: await self.ask(s, planned.kind, planned.span) for s in asked}
        return {name: {"figures": asdict(one)["figures"], **one.body} for name, one in found.items()}

    async def ask(self, study: Study, kind: PeriodKind, span: Span) -> Studied:
        """Answer of a study about a span."""
        return await self.answer(study, await self.material(study, kind, span))

    async def answer(self, study: Study, material: Material) -> Studied:
        """Answer of a study from what was read for it; its figures name the editions of every rule in them, of the site's
        settings and of the rules as a whole."""
        found = await self._apart(study.compute, material)
        figures = with_editions(self._site, self._rulebook, material.question.span, found.figures)
        of_all = (f"site@{self._site.edition}", f"rules@{self._rulebook.edition}")
        return replace(
            found,
            figures={
                node: {name: replace(f, editions=(*f.editions, *of_all)) for name, f in by.items()}
                for node, by in figures.items()
            },
        )

    async def material(self, study: Study, kind: PeriodKind, span: Span) -> Material:
        """What a study about a span is computed from."""
        question = Question(self._site, self._rulebook, kind, span, self._state.done_ns or 0, self._clock.now_ns())
        return await self._read(question, study.wants(question))

    async def _read(self, question: Question, wants: Wants) -> Material:
        span = _whole_slots(wants.span, question.settled_ns)
        plant, documents = self._site.id, wants.documents or wants.span
        columns = [(list(names), tuple(fields)) for names, fields in wants.columns]
        parts = [_whole_slots(part, question.settled_ns) for part in wants.parts or (wants.span,)]
        rows = joined_rows([await self._gather.columns(part, columns) for part in parts])
        entries = await self._ledger.entries(plant, wants.entries, documents) if wants.entries else []
        annotations = await self._ledger.annotations(plant, documents)
        readings = await self._store.read_many(wants.readings, wants.span) if wants.readings else {}
        reports = {(kind, period): await self._ledger.reports(plant, kind, period) for kind, period in wants.reports}
        return Material(question, span, rows, entries, annotations, readings, self._state.efficiency, reports)


def _whole_slots(span: Span, settled_ns: int) -> Span:
    """The settled slots of a span."""
    end_ns = max(min(span.end_ns, settled_ns) // QUARTER_NS * QUARTER_NS, span.start_ns)
    return Span(span.start_ns // QUARTER_NS * QUARTER_NS, end_ns)


def joined_rows(tables: Sequence[Table]) -> Table:
    """Rows of spans that follow one another as one table."""
    if len(tables) == 1:
        return tables[0]
    start_ns = np.concatenate([t.start_ns for t in tables])
    fields = {(node, field): None for t in tables for node, columns in t.columns.items() for field in columns}
    columns: dict[str, Columns] = {}
    for node, field in fields:
        columns.setdefault(node, {})[field] = np.concatenate([t.column(node, field) for t in tables])
    return Table(tables[0].resolution, start_ns, tables[0].step_ns, columns)
