"""Current efficiency of every line, fitted on weighed metal and inventories month by month, and rows restated with it.

A month with statements of the metal in the pots at both its bounds closes on them. Any other time, the running month above
all, takes the fit of the 30 days that end with its last statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from analytics.balance import Banded
from analytics.counters import F64, I64
from analytics.derive import POINT_FIELDS, PlantModel
from analytics.intervals import PointIntervals
from analytics.lines import Process, charge_class_percent, process_columns
from analytics.metal import Fit, Fits, Weighed, fitted, inventories, taps
from analytics.table import Table
from plant import nodes
from plant.calendar import PlantCalendar
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS, Span
from plant.site import Potline

DAY_NS = 86_400_000_000_000
WINDOW_NS = 30 * DAY_NS
NEAR_NS = DAY_NS // 2  # a statement within half a day of a bound stands for it
METAL_FIELDS = ("metal_produced", "current_efficiency")


def months(calendar: PlantCalendar, span: Span) -> list[Span]:
    """Closing months of the plant that a span touches."""
    day = calendar.local(span.start_ns).date().replace(day=1)
    found: list[Span] = []
    while not found or found[-1].end_ns < span.end_ns:
        month = calendar.closing_month(day.year, day.month)
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        if month.end_ns > span.start_ns:
            found.append(month)
    return found


def refit_span(calendar: PlantCalendar, since_ns: int, until_ns: int) -> Span:
    """What has to be read to fit anew all months from the one that holds ``since_ns`` on: those, and a window before them."""
    first = months(calendar, Span(since_ns, since_ns))[0]
    return Span((first.start_ns - WINDOW_NS - NEAR_NS) // QUARTER_NS * QUARTER_NS, until_ns)


def full_metal_t(rows: Table, line: str) -> F64:
    """Metal of a line's intervals at 100 % efficiency, t [m]: what its rows say, less the efficiency that is in them."""
    return rows.column(nodes.line(line), "metal_produced") / (rows.column(nodes.line(line), "current_efficiency") / 100)


def efficiencies(
    model: PlantModel, rows: Table, entries: Sequence[LedgerEntry], old: Mapping[str, Fits], since_ns: int
) -> dict[str, Fits]:
    """Fits of each line: the ``old`` ones of months before ``since_ns``, new ones from rows and entries of ``refit_span``."""
    site = model.site
    if not len(rows.start_ns):
        return dict(old)
    until_ns = int(rows.start_ns[-1]) + rows.step_ns
    found = {}
    for name, line in site.potlines.items():
        evidence = _Evidence.of(line, rows, entries)
        accuracy = charge_class_percent(site, name)
        kept = [(t, f) for t, f in _pairs(old.get(name)) if t < since_ns]
        for month in months(site.calendar, Span(since_ns, until_ns)):
            weighed = evidence.of_month(month)
            fit = Fit.stated(line, accuracy) if weighed is None else fitted(line, weighed, accuracy)
            kept.append((month.start_ns, fit))
        found[name] = Fits(tuple(t for t, _ in kept), tuple(f for _, f in kept))
    return found


def _pairs(fits: Fits | None) -> list[tuple[int, Fit]]:
    return [] if fits is None else list(zip(fits.from_ns, fits.fits, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """A line's Faraday metal by slot bound, its taps and its statements; masses in kg, running totals."""

    bounds_ns: I64
    full_kg: F64
    tap_ns: I64
    tapped_kg: F64
    stated_ns: I64
    stated_kg: F64

    @staticmethod
    def of(line: Potline, rows: Table, entries: Sequence[LedgerEntry]) -> _Evidence:
        subjects = (line.id, nodes.line(line.id))
        full = full_metal_t(rows, line.id) * 1000
        known = np.flatnonzero(np.isfinite(full))
        first, end = (known[0], known[-1] + 1) if len(known) else (0, 0)
        # what is missing in between is taken on the line between its neighbours, as in the sum of a period
        inner = np.interp(np.arange(first, end), known, full[known]) if len(known) else np.zeros(0)
        bounds = np.append(rows.start_ns, rows.start_ns[-1] + rows.step_ns)[first : end + 1]
        tap_ns, kg = taps(entries, subjects)
        stated_ns, stated_kg = inventories(entries, subjects)
        inside = (stated_ns >= bounds[0]) & (stated_ns <= bounds[-1])
        return _Evidence(bounds, _running(inner), tap_ns, _running(kg), stated_ns[inside], stated_kg[inside])

    def of_month(self, month: Span) -> Weighed | None:
        """Between the statements at the month's bounds; else over the 30 days to its last statement."""
        first, last = self._near(month.start_ns), self._near(month.end_ns)
        if first is None or last is None or first >= last:
            first, last = self._rolling(month)
        return None if first is None or last is None or first >= last else self._between(first, last)

    def _near(self, t_ns: int) -> int | None:
        if not len(self.stated_ns):
            return None
        i = int(np.argmin(np.abs(self.stated_ns - t_ns)))
        return i if abs(int(self.stated_ns[i]) - t_ns) <= NEAR_NS else None

    def _rolling(self, month: Span) -> tuple[int | None, int | None]:
        """The widest window of up to 30 days that ends with the last statement that the month, or the one before it, has."""
        last = int(np.searchsorted(self.stated_ns, month.end_ns + NEAR_NS, "right")) - 1
        if last < 0 or self.stated_ns[last] < month.start_ns - WINDOW_NS:
            return None, None
        first = int(np.searchsorted(self.stated_ns, self.stated_ns[last] - WINDOW_NS - NEAR_NS))
        return first, last

    def _between(self, first: int, last: int) -> Weighed:
        at = self.stated_ns[first : last + 1]
        # a tap at the instant of a statement comes after it, as an interval's start belongs to the interval
        tapped = self.tapped_kg[np.searchsorted(self.tap_ns, at)]
        full = np.interp((at - self.bounds_ns[0]).astype(float), (self.bounds_ns - self.bounds_ns[0]).astype(float), self.full_kg)
        return Weighed(Span(int(at[0]), int(at[-1])), self.stated_kg[first : last + 1], tapped - tapped[0], full - full[0])


def _running(gained: F64) -> F64:
    return np.concatenate([[0.0], np.cumsum(gained)])


def changed_spans(new: Mapping[str, Fits], old: Mapping[str, Fits], stated: Mapping[str, Fits], until_ns: int) -> list[Span]:
    """Times, ascending and apart, in which the rows of some line have another efficiency; empty where all stay as they are."""
    found: list[tuple[int, int]] = []
    for line, fits in new.items():
        before = old[line] if line in old else stated[line]
        instants = np.array(sorted({*fits.from_ns, *before.from_ns}), np.int64)
        differs = np.any(np.array(fits.at(instants)) != np.array(before.at(instants)), axis=0)
        ends = np.append(instants[1:], until_ns)
        found += [(int(a), int(b)) for a, b, d in zip(instants, ends, differs, strict=True) if d and a < b]
    merged: list[Span] = []
    for start_ns, end_ns in sorted(found):
        if merged and start_ns <= merged[-1].end_ns:
            merged[-1] = Span(merged[-1].start_ns, max(end_ns, merged[-1].end_ns))
        else:
            merged.append(Span(start_ns, end_ns))
    return merged


def restated(model: PlantModel, rows: Table, efficiency: Mapping[str, Fits]) -> Table:
    """Rows of the lines and the plant's process with another efficiency; energies of branches stay as they are."""
    full, dc_energy = {}, {}
    for name in model.site.potlines:
        full[name] = full_metal_t(rows, name)
        dc_energy[name] = rows.banded(nodes.line(name), "dc_energy")
    ac = {b: _intervals(rows, nodes.branch(b)) for b in model.site.branches if nodes.branch(b) in rows.columns}
    process = Process(model.site, model.parts, dc_energy, full, efficiency)
    load: Banded = rows.banded(nodes.PLANT, "load_energy")
    changed = process_columns(process, ac, load, rows.start_ns)
    columns = {node: {**rows.columns.get(node, {}), **fields} for node, fields in changed.items()}
    return Table(rows.resolution, rows.start_ns, rows.step_ns, columns)


def _intervals(rows: Table, node: str) -> PointIntervals:
    columns = {name: rows.column(node, name) for name in POINT_FIELDS}
    flags = np.nan_to_num(rows.column(node, "flags")).astype(np.int64)
    return PointIntervals(**columns, flags=flags, dc_charge=np.full(len(flags), np.nan))


def fits_state(fits: Fits) -> list[dict[str, Any]]:
    """For the ledger."""
    return [
        {
            "from_ns": from_ns,
            "value": fit.value,
            "uncertainty": fit.uncertainty,
            "origin": fit.origin,
            "drift": fit.drift,
            "window": None if fit.window is None else [fit.window.start_ns, fit.window.end_ns],
            "full_t": fit.full_t,
        }
        for from_ns, fit in _pairs(fits)
    ]


def fits_from(state: Sequence[Mapping[str, Any]]) -> Fits:
    """What ``fits_state`` wrote."""
    fits = []
    for row in state:
        window = None if row["window"] is None else Span(*row["window"])
        fits.append(Fit(row["value"], row["uncertainty"], row["origin"], row["drift"], window, row["full_t"]))
    return Fits(tuple(int(row["from_ns"]) for row in state), tuple(fits))
