"""Rows and days of plants whose every figure is known, for the back-test of outlooks: simulated smelters as a plant with
perfect meters would have settled them, and the recorded year of a steel works."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from analytics.clear_sky import clear_slots
from analytics.counters import F64
from analytics.outlook_model import Days, Key
from analytics.table import Columns, Table
from plant.nodes import PLANT, line
from plant.series import QUARTER, QUARTER_NS
from plant.settings.baseline import OutlookSettings
from simulators.smelter import SmelterModel

PV, TIES = ("pv-1", "pv-2", "pv-3"), ("tie-1", "tie-2")
GROUPS = {"line-1": ("rect-1-1", "rect-1-2", "rect-1-3"), "line-2": ("rect-2-1", "rect-2-2")}
SHARED = ("compressors", "potroom-aux")  # by metal; desulphurisation too, which the tariff leaves out
SLOTS_A_DAY = 96
PLACE = OutlookSettings(latitude_deg=26.6, longitude_deg=106.7)  # Guizhou, as an engineer would look it up on a map
FIRST, FIRST_NS = date(2026, 1, 1), 1_767_196_800_000_000_000  # midnight, UTC+8


def simulated_days(seed: int, count: int) -> tuple[Days, list[date]]:
    """Sums of the days of a simulated smelter from 2026-01-01 on."""
    rows = smelter_rows(seed, count)
    sums: dict[Key, F64] = {
        (node, name): column.reshape(count, SLOTS_A_DAY).sum(axis=1)
        for node, columns in rows.columns.items()
        for name, column in columns.items()
        if name not in ("completeness", "measured_share")
    }
    sums[PLANT, "storage_loss"] = sums[PLANT, "storage_charge"] - sums[PLANT, "storage_discharge"]
    sums[PLANT, "renewable_used"] = sums[PLANT, "renewable_generation"] - sums[PLANT, "renewable_export"]
    slots = clear_slots(rows.start_ns, PLACE)
    assert slots is not None
    clear = slots.reshape(count, SLOTS_A_DAY).sum(axis=1)
    dates = [FIRST + timedelta(days=i) for i in range(count)]
    weekday = np.array([day.weekday() for day in dates])
    return Days(weekday, np.full(count, 24.0), clear, sums[PLANT, "renewable_generation"], sums), dates


def smelter_rows(seed: int, days: int) -> Table:
    """True rows of quarters of an hour from 2026-01-01 on. Every source feeds every sink in proportion; what the battery gives
    counts as not green, and losses stay out of the comprehensive energies: the back-test asks for neither."""
    model = SmelterModel(seed, FIRST_NS)
    edges = FIRST_NS + np.arange(days * SLOTS_A_DAY + 1, dtype=np.int64) * QUARTER_NS
    up, down = ({name: np.diff(c.value[:, i]) for name, i in c.names.items()} for c in model.integrals(edges))
    trust = {name: np.ones(days * SLOTS_A_DAY) for name in ("completeness", "measured_share")}
    columns: dict[str, Columns] = {PLANT: _balance(up, down) | trust}
    made = {name: up[f"production-{name[-1]}"] / 1000.0 for name in GROUPS}
    whole: F64 = np.sum(list(made.values()), axis=0)
    for name, groups in GROUPS.items():
        share = made[name] / whole
        rectified: F64 = np.sum([up[g] for g in groups], axis=0)
        to_tapping = rectified + up[f"fume-{name[-1]}"] + share * np.sum([up[s] for s in SHARED], axis=0)
        columns[line(name)] = {
            "metal_produced": made[name],
            "rectifier_energy": rectified,
            "comprehensive_energy": to_tapping + share * up["desulphurisation"],
            "comprehensive_energy_tariff": to_tapping,
        } | trust
    for field in ("metal_produced", "rectifier_energy", "comprehensive_energy", "comprehensive_energy_tariff"):
        columns[PLANT][field] = np.sum([columns[line(name)][field] for name in GROUPS], axis=0)
    return Table(QUARTER, edges[:-1], QUARTER_NS, columns)


def _balance(up: Mapping[str, F64], down: Mapping[str, F64]) -> Columns:
    sun: F64 = np.sum([down[name] for name in PV], axis=0)
    imported, exported = (np.sum([part[tie] for tie in TIES], axis=0) for part in (up, down))
    charge, discharge, coal = up["battery"], down["battery"], down["unit-1"]
    supply = imported + sun + coal + discharge
    load = supply - charge - exported
    return {
        "load_energy": load,
        "grid_import": imported,
        "grid_export": exported,
        "renewable_generation": sun,
        "renewable_export": sun * exported / supply,
        "captive_generation": coal,
        "storage_charge": charge,
        "storage_discharge": discharge,
        "green_to_load": sun * load / supply,
    }


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
