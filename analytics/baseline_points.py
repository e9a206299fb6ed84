"""Points of a baseline: energy and relevant variables of days or months, with how much of each was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from analytics.counters import F64, Mask
from analytics.day_sums import days_of, sums_of
from analytics.period_metal import subjects_of
from analytics.study import Material
from analytics.table import Table
from plant import nodes
from plant.calendar import PlantCalendar
from plant.entry_data import counts
from plant.ports import LedgerEntry
from plant.series import Span
from plant.settings.baseline import WEATHER, BaselineSettings

LEDGER = ("metal_tapped", "ingots")
TEMPERATURE = "ambient_temperature"


def node_of(settings: BaselineSettings) -> str:
    """Node whose energy a baseline is about."""
    return nodes.PLANT if settings.node == "plant" else nodes.line(settings.node)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Days or months: labels, energy [n] in kWh, variables [n, k], measured share [n]; NaN where a point is not known."""

    labels: tuple[str, ...]
    energy: F64
    x: F64
    share: F64

    def take(self, rows: Mask) -> Points:
        """Some of them."""
        labels = tuple(label for label, one in zip(self.labels, rows, strict=True) if one)
        return Points(labels, self.energy[rows], self.x[rows], self.share[rows])

    def known(self, share_min: float) -> Mask:
        """Which are measured well enough."""
        found: Mask = np.isfinite(self.energy) & np.isfinite(self.x).all(axis=1) & (self.share >= share_min)
        return found


def points_of(material: Material, settings: BaselineSettings, span: Span) -> Points:
    """The whole days or months of a span that are settled."""
    site, rows = material.question.site, material.rows
    cut = Span(min(span.start_ns, material.span.end_ns), max(min(span.end_ns, material.span.end_ns), span.start_ns))
    named = _spans(site.calendar, cut, settings.resolution) if cut.start_ns < cut.end_ns else []
    spans = [s for _, s in named]
    node = node_of(settings)
    energy, known = sums_of(rows.column(node, settings.energy), spans, rows)
    measured, slots = sums_of(rows.column(node, "measured_share"), spans, rows)
    count = np.array([(s.end_ns - s.start_ns) / rows.step_ns for s in spans])
    share = np.minimum(known, np.nan_to_num(measured) * slots / count)
    variables = [_variable(material, settings, name, spans) for name in settings.variables]
    return Points(tuple(label for label, _ in named), energy, np.array(variables).T, share)


def _variable(material: Material, settings: BaselineSettings, name: str, spans: Sequence[Span]) -> F64:
    """A relevant variable by point: a sum of rows or of ledger entries in t, a mean temperature or degree days."""
    rows = material.rows
    if name in LEDGER:
        return _booked(material.entries, name, node_of(settings), settings, spans)
    if name not in WEATHER:
        total, known = sums_of(rows.column(node_of(settings), name), spans, rows)
        return np.where(known >= settings.measured_share_min, total, np.nan)
    temperature = rows.column(nodes.meter(settings.weather_meter), TEMPERATURE)
    if name == TEMPERATURE:
        return _mean(temperature, spans, rows, settings)
    days = [days_of(material.question.site.calendar, span) for span in spans]
    base = settings.heating_base_degc if name == "heating_degree_days" else settings.cooling_base_degc
    sign = 1.0 if name == "heating_degree_days" else -1.0
    return np.array(
        [float(np.maximum(sign * (base - _mean(temperature, [s for _, s in each], rows, settings)), 0.0).sum()) for each in days]
    )


def _mean(values: F64, spans: Sequence[Span], rows: Table, settings: BaselineSettings) -> F64:
    total, known = sums_of(values, spans, rows)
    slots = np.array([(s.end_ns - s.start_ns) / rows.step_ns for s in spans])
    return np.where(known >= settings.measured_share_min, total / slots, np.nan)


def _booked(entries: Sequence[LedgerEntry], kind: str, node: str, settings: BaselineSettings, spans: Sequence[Span]) -> F64:
    """Ledger amounts in t by point; one that lasts is spread evenly. A point without any booking is not known."""
    names = subjects_of([settings.node])
    mine = [e for e in entries if e.kind == kind and (node == nodes.PLANT or e.subject in names) and counts(e)]
    found = np.full(len(spans), np.nan)
    for i, span in enumerate(spans):
        parts = [
            e.amount
            * (
                float(span.start_ns <= e.start_ns < span.end_ns)
                if e.end_ns <= e.start_ns
                else max(min(e.end_ns, span.end_ns) - max(e.start_ns, span.start_ns), 0) / (e.end_ns - e.start_ns)
            )
            for e in mine
            if e.start_ns < span.end_ns and e.end_ns >= span.start_ns
        ]
        if any(parts):
            found[i] = sum(parts) / 1000.0
    return found


def _spans(calendar: PlantCalendar, span: Span, resolution: str) -> list[tuple[str, Span]]:
    """Whole days, or whole closing months, that lie in a span."""
    if resolution == "day":
        return [(day.isoformat(), s) for day, s in days_of(calendar, span)]
    found: list[tuple[str, Span]] = []
    month = calendar.local(span.start_ns).date().replace(day=1)
    while (whole := calendar.closing_month(month.year, month.month)).start_ns < span.end_ns:
        if span.start_ns <= whole.start_ns and whole.end_ns <= span.end_ns:
            found.append((f"{month:%Y-%m}", whole))
        month = _next_month(month)
    return found


def _next_month(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)
