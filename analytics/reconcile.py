"""Current efficiency of every line by day, fitted on weighed metal over a rolling window, and rows restated with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from analytics.balance import Banded
from analytics.counters import I64
from analytics.derive import POINT_FIELDS, PlantModel
from analytics.intervals import PointIntervals
from analytics.lines import Process, process_columns
from analytics.metal import WINDOW_DAYS, EfficiencyByDay, fitted, inventory_change_kg, tapped_by_day
from analytics.table import Table
from plant import nodes
from plant.ports import LedgerEntry

DAY_NS = 86_400_000_000_000


def day_bounds(model: PlantModel, start_ns: int, end_ns: int) -> I64:
    """Bounds of the whole calendar days of the plant's zone inside a span, int64[d + 1]."""
    calendar = model.site.calendar
    day = calendar.local(start_ns).date()
    found = []
    while (instant := calendar.instant_ns(day)) <= end_ns:
        if instant >= start_ns:
            found.append(instant)
        day += timedelta(days=1)
    return np.array(found, np.int64)


def efficiencies(model: PlantModel, rows: Table, bounds_ns: I64, entries: Sequence[LedgerEntry]) -> dict[str, EfficiencyByDay]:
    """Efficiency of each line on each day between ``bounds_ns``, from rows and ledger entries of the same span.

    The window of a day is the 30 days that end with it; the first days of a plant share the first window.
    """
    found = {}
    days = len(bounds_ns) - 1
    slot_day = np.searchsorted(bounds_ns, rows.start_ns, "right") - 1
    inside = (slot_day >= 0) & (slot_day < days)
    for name, line in model.site.potlines.items():
        subjects = (name, nodes.line(name))
        metal, ce = rows.column(nodes.line(name), "metal_produced"), rows.column(nodes.line(name), "current_efficiency")
        full_kg = np.bincount(slot_day[inside], (1000 * metal / (ce / 100))[inside], days).astype(float)
        tapped = tapped_by_day(entries, subjects, bounds_ns)
        fits = []
        for day in range(days):
            end = min(max(day + 1, WINDOW_DAYS), days)
            window = slice(max(0, end - WINDOW_DAYS), end)
            change = inventory_change_kg(entries, subjects, int(bounds_ns[window.start]), int(bounds_ns[end]), DAY_NS // 4)
            fits.append(fitted(line, full_kg[window], tapped[window], change))
        if fits:
            found[name] = EfficiencyByDay(
                bounds_ns[:-1], np.array([f.value for f in fits]), np.array([f.uncertainty for f in fits])
            )
    return found


def restated(model: PlantModel, rows: Table, efficiency: dict[str, EfficiencyByDay]) -> Table:
    """Rows of the lines and the plant's process with another efficiency; energies of branches stay as they are."""
    full, dc_energy = {}, {}
    for name in model.site.potlines:
        node = nodes.line(name)
        full[name] = rows.column(node, "metal_produced") / (rows.column(node, "current_efficiency") / 100)
        dc_energy[name] = rows.banded(node, "dc_energy")
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
