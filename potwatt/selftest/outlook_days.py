"""Days of plants whose every figure is known, for the back-test of outlooks: simulated smelters, and a recorded steel works."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from analytics.clear_sky import clear_slots
from analytics.counters import F64
from analytics.outlook_model import Days, Key
from plant.nodes import PLANT, line
from plant.series import QUARTER_NS, Span
from plant.settings.baseline import OutlookSettings
from simulators.smelter import SmelterModel
from simulators.truth import Truth

PV, TIES = ("pv-1", "pv-2", "pv-3"), ("tie-1", "tie-2")
DAY_NS = 86_400_000_000_000
PLACE = OutlookSettings(latitude_deg=26.6, longitude_deg=106.7)  # Guizhou, as an engineer would look it up on a map
FIRST = date(2026, 1, 1)
_MIDNIGHT_NS = 1_767_196_800_000_000_000  # of the first day, UTC+8


def simulated_days(seed: int, count: int) -> tuple[Days, list[date]]:
    """True sums of the days of a simulated smelter from 2026-01-01 on: what a plant with perfect meters would know."""
    model = SmelterModel(seed, _MIDNIGHT_NS)
    truth = Truth(model)
    dates = [FIRST + timedelta(days=i) for i in range(count)]
    edges = _MIDNIGHT_NS + np.arange(count + 1, dtype=np.int64) * DAY_NS
    positive, negative = (column_sums(c.names, np.diff(c.value, axis=0)) for c in model.integrals(edges))
    sun: F64 = np.sum([negative[name] for name in PV], axis=0)
    imported, exported = (np.sum([part[tie] for tie in TIES], axis=0) for part in (positive, negative))
    charge, discharge = positive["battery"], negative["battery"]
    load = imported + sun + negative["unit-1"] + discharge - charge - exported
    given = sun * exported / (imported + sun + negative["unit-1"] + discharge)
    spans = [Span(int(a), int(b)) for a, b in zip(edges, edges[1:], strict=False)]
    green = np.array([truth.green_share_physical_percent(span) for span in spans]) / 100.0 * load
    sums: dict[Key, F64] = {
        (PLANT, "load_energy"): load,
        (PLANT, "grid_import"): imported,
        (PLANT, "renewable_generation"): sun,
        (PLANT, "renewable_export"): given,
        (PLANT, "renewable_used"): sun - given,
        (PLANT, "green_to_load"): green,
        (PLANT, "storage_loss"): charge - discharge,
    }
    sums |= _line_sums(truth, spans)
    slots = clear_slots(np.arange(edges[0], edges[-1], QUARTER_NS), PLACE)
    assert slots is not None
    clear = slots.reshape(count, -1).sum(axis=1)
    weekday = np.array([day.weekday() for day in dates])
    return Days(weekday, np.full(count, 24.0), clear, sun, sums), dates


def _line_sums(truth: Truth, spans: list[Span]) -> dict[Key, F64]:
    found: dict[Key, F64] = {}
    for name in truth.lines:
        made = np.array([truth.metal_produced_t(name, span) for span in spans])
        found[line(name), "metal_produced"] = made
        for field, figure in (
            ("rectifier_energy", truth.specific_energy_e1_kwh_per_t),
            ("comprehensive_energy", truth.specific_energy_e2_kwh_per_t),
            ("comprehensive_energy_tariff", truth.specific_energy_e2_tariff_kwh_per_t),
        ):
            found[line(name), field] = made * np.array([figure(name, span) for span in spans])
    for field in ("metal_produced", "rectifier_energy", "comprehensive_energy", "comprehensive_energy_tariff"):
        found[PLANT, field] = np.sum([found[line(name), field] for name in truth.lines], axis=0)
    return found


def column_sums(names: object, value: F64) -> dict[str, F64]:
    """Columns by name."""
    assert hasattr(names, "items")
    return {name: value[:, i] for name, i in names.items()}


def steel_works_days(path: Path) -> tuple[Days, list[date]]:
    """Days of the recorded year of a steel works: its load alone. Rows are stamped at the end of their quarter of an hour, the
    last of a day with the date of that day."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [(row["date"], float(row["Usage_kWh"])) for row in csv.DictReader(file)]
    energy = np.array([value for _, value in rows]).reshape(-1, 96)
    dates = [datetime.strptime(stamp, "%d/%m/%Y %H:%M").date() for stamp, _ in rows[::96]]  # noqa: DTZ007  (a day has no zone)
    load = energy.sum(axis=1)
    nothing = np.full(len(dates), np.nan)
    weekday = np.array([day.weekday() for day in dates])
    return Days(weekday, np.full(len(dates), 24.0), nothing, nothing, {(PLANT, "load_energy"): load}), dates
