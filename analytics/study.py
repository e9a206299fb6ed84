"""What a study is: a question about a plant that reaches beyond the rows of one period.

A study says what it wants, the shell reads it, and a pure function answers. Outlook, tariff of a year, baseline, suspects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analytics.chapter import Found, NodeFields
from analytics.limits import PeriodKind
from analytics.metal import Fits
from analytics.table import Table
from plant.ports import Annotation, LedgerEntry, ReportVersion
from plant.rulebook import Rulebook
from plant.series import Series, Span
from plant.site import Site

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """``span`` and ``kind`` of what is asked about; rows are there until ``settled_ns``, and it is ``now_ns``."""

    site: Site
    rulebook: Rulebook
    kind: PeriodKind
    span: Span
    settled_ns: int
    now_ns: int


@dataclass(frozen=True, slots=True)
class Wants:
    """What a study needs: ``columns`` of 15-min rows over ``span`` (cut at ``settled_ns``), ledger ``entries`` and annotations
    over ``documents``, raw ``readings`` over ``span``, closed ``reports`` as (kind, period). With ``parts``, in order and
    apart, rows are read of those parts of the span alone."""

    span: Span
    columns: Sequence[NodeFields] = ()
    documents: Span | None = None
    entries: tuple[str, ...] = ()
    readings: tuple[Pair, ...] = ()
    reports: tuple[tuple[str, str], ...] = ()
    parts: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """What was read for a study. ``rows`` cover ``span``, or the parts of it that were asked for; a node or field that the
    store does not know is NaN."""

    question: Question
    span: Span
    rows: Table
    entries: Sequence[LedgerEntry] = ()
    annotations: Sequence[Annotation] = ()
    readings: Mapping[Pair, Series] = field(default_factory=dict)
    efficiency: Mapping[str, Fits] = field(default_factory=dict)
    reports: Mapping[tuple[str, str], Sequence[ReportVersion]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Studied:
    """Figures of a study by node and indicator, and the rest of its answer ready for JSON."""

    figures: Found = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Study:
    """``kinds`` are the periods that it can be asked about, ``in_reports`` those whose reports hold it."""

    name: str
    wants: Callable[[Question], Wants]
    compute: Callable[[Material], Studied]
    kinds: tuple[PeriodKind, ...] = ("month", "year")
    in_reports: tuple[PeriodKind, ...] = ()
