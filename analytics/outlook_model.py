"""The rest of a period, simulated from past days; and what period figures come of the settled part and that rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, I64
from analytics.outlook_paths import PATHS, steady, sun_days
from plant import nodes

Key = tuple[str, str]  # node and field
PER_TONNE = ("rectifier_energy", "comprehensive_energy", "comprehensive_energy_tariff")
# an energy drawn as metal times what a tonne needs: energy and metal wander apart from one another, their ratio does not
BY_METAL = "_by_metal"
RATIOS: Mapping[str, tuple[str, str, float]] = {
    "specific_energy_e1": ("rectifier_energy_by_metal", "metal_produced", 1.0),
    "specific_energy_e2": ("comprehensive_energy_by_metal", "metal_produced", 1.0),
    "specific_energy_e2_tariff": ("comprehensive_energy_tariff_by_metal", "metal_produced", 1.0),
    "green_share_physical": ("green_to_load", "load_energy", 100.0),
    "pv_feed_in": ("renewable_export", "renewable_generation", 100.0),
    "pv_self_consumption": ("renewable_used", "renewable_generation", 100.0),
}
SUMS = ("load_energy", "grid_import", "renewable_generation", "green_to_load", "metal_produced", "rectifier_energy")
KNOWN_DAYS_MIN = 10
NEIGHBOURS = 2
WHOLE_DAY_H = 22.0  # days of 23 hours are whole
SUN_SEASON_DAYS = 60  # the sky of the last weeks tells the next weeks better than that of another season


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Whole local days, oldest first: weekday [n] (Monday 0), hours [n], relative clear-sky energy [n], and sums [n] by node
    and field in kWh and t, NaN where a day is not known. ``solar`` [n] is the part of the generation that follows the sun."""

    weekday: I64
    hours: F64
    clear: F64
    solar: F64
    sums: Mapping[Key, F64]

    def part(self, rows: slice) -> Days:
        """Some of the days."""
        sums = {key: column[rows] for key, column in self.sums.items()}
        return Days(self.weekday[rows], self.hours[rows], self.clear[rows], self.solar[rows], sums)

    def of(self, node: str, field: str) -> F64:
        """A column, NaN where it is not there."""
        found = self.sums.get((node, field))
        return np.full(len(self.hours), np.nan) if found is None else found


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """Days to come, the first perhaps in part: weekday [h], hours left [h], relative clear-sky energy left [h]; without a
    clear sky for them ``clear`` is None."""

    weekday: I64
    hours: F64
    clear: F64 | None


def simulate(past: Days, ahead: Ahead, recent: int, rng: np.random.Generator, paths: int = PATHS) -> dict[Key, F64]:
    """Sums [paths] of the days ahead by node and field; what the past does not tell is absent. Steady quantities go on as in
    the ``recent`` days; what is exported of the sun follows from all that is known."""
    if not len(ahead.hours):
        names = [*past.sums, (nodes.PLANT, "renewable_used"), *((n, f + BY_METAL) for n, f in past.sums if f in PER_TONNE)]
        return {key: np.zeros(paths) for key in names}
    latest = past.part(slice(max(len(past.hours) - recent, 0), None))
    columns = {name: c for name, c in _steady_columns(latest).items() if np.isfinite(c).sum() >= KNOWN_DAYS_MIN}
    drawn: dict[Key, F64] = {}
    if columns:
        model = steady(np.column_stack(list(columns.values())), latest.weekday)
        cube = model.paths(ahead.weekday, rng, paths)
        drawn = {name: cube[:, :, i] for i, name in enumerate(columns)}
    found = {key: (rate * ahead.hours).sum(axis=1) for key, rate in drawn.items() if key[1] in ("load_energy", "storage_loss")}
    found |= _metal(drawn, ahead)
    found |= _renewable(past, ahead, drawn, rng, paths)
    made, load, rest = (found.get((nodes.PLANT, n)) for n in ("renewable_used", "load_energy", "other_supply"))
    if made is not None and load is not None and rest is not None:
        found[nodes.PLANT, "grid_import"] = np.maximum(load - made + rest, 0.0)
    return found


def outcome(settled: Mapping[Key, float], rest: Mapping[Key, F64]) -> dict[Key, F64]:
    """Figures [paths] of the whole period by node and indicator, from the sums of its settled part and of its rest: sums, and
    ratios of sums."""
    known = {**settled, **{(node, name + BY_METAL): v for (node, name), v in settled.items() if name in PER_TONNE}}
    total = {key: known[key] + amount for key, amount in rest.items() if key in known}
    found = {key: amount for key, amount in total.items() if key[1] in SUMS}
    for node in dict.fromkeys(node for node, _ in total):
        for name, (part, whole, factor) in RATIOS.items():
            if (node, part) in total and (node, whole) in total and (total[node, whole] > 0).all():
                found[node, name] = factor * total[node, part] / total[node, whole]
    return found


def _steady_columns(past: Days) -> dict[Key, F64]:
    """Mean kW of what is steady, t/h of metal and kWh/t of what it needs, by node and field."""
    plant, found = nodes.PLANT, {}
    load, made = past.of(plant, "load_energy"), past.of(plant, "renewable_generation")
    found[plant, "load_energy"] = load / past.hours
    found[plant, "storage_loss"] = past.of(plant, "storage_loss") / past.hours
    # captive units, storage and what they export: all of the import that neither load nor sun explains
    used = made - past.of(plant, "renewable_export")
    found[plant, "other_supply"] = (past.of(plant, "grid_import") - load + used) / past.hours
    found[plant, "other_renewable"] = (made - past.solar) / past.hours
    for node in dict.fromkeys(n for n, field in past.sums if field == "metal_produced" and n != plant):
        metal = past.of(node, "metal_produced")
        found |= {(node, name): past.of(node, name) / past.hours for name in ("metal_produced", *PER_TONNE)}
        with np.errstate(invalid="ignore", divide="ignore"):
            found |= {(node, name + BY_METAL): np.where(metal > 0, past.of(node, name) / metal, np.nan) for name in PER_TONNE}
    return found


def _metal(drawn: Mapping[Key, F64], ahead: Ahead) -> dict[Key, F64]:
    """Metal and the energies that it needs, by line, and the plant as the sum of its lines where all are known."""
    found: dict[Key, F64] = {}
    lines = [node for node, field in drawn if field == "metal_produced"]
    for node in lines:
        made = np.maximum(drawn[node, "metal_produced"], 0.0) * ahead.hours
        found[node, "metal_produced"] = made.sum(axis=1)
        for name in PER_TONNE:
            if (node, name) in drawn and (node, name + BY_METAL) in drawn:
                found[node, name] = (np.maximum(drawn[node, name], 0.0) * ahead.hours).sum(axis=1)
                found[node, name + BY_METAL] = (made * drawn[node, name + BY_METAL]).sum(axis=1)
    for name in ("metal_produced", *PER_TONNE, *(name + BY_METAL for name in PER_TONNE)):
        if lines and all((node, name) in found for node in lines):
            found[nodes.PLANT, name] = np.sum([found[node, name] for node in lines], axis=0)
    return found


def _renewable(past: Days, ahead: Ahead, drawn: Mapping[Key, F64], rng: np.random.Generator, paths: int) -> dict[Key, F64]:
    """Renewable generation, what of it is exported and what feeds the load: days like past ones under the sun to come."""
    plant, made = nodes.PLANT, past.of(nodes.PLANT, "renewable_generation")
    with np.errstate(invalid="ignore", divide="ignore"):
        clearness = past.solar / past.clear
        exported, green = (np.where(made > 0, past.of(plant, n) / made, 0.0) for n in ("renewable_export", "green_to_load"))
    known = np.flatnonzero(np.isfinite(clearness) & np.isfinite(exported) & np.isfinite(green))
    found: dict[Key, F64] = {}
    if (plant, "other_supply") in drawn:
        found[plant, "other_supply"] = (drawn[plant, "other_supply"] * ahead.hours).sum(axis=1)
    if ahead.clear is None or len(known) < KNOWN_DAYS_MIN or (plant, "other_renewable") not in drawn:
        return found
    season = known[-max(SUN_SEASON_DAYS, len(ahead.hours)) :]
    like = season[sun_days(clearness[season], len(ahead.hours), rng, paths)]
    day = clearness[like] * ahead.clear + np.maximum(drawn[plant, "other_renewable"], 0.0) * ahead.hours
    like = np.where(ahead.hours < WHOLE_DAY_H, like, _nearest(made[known], day, known, rng))
    given = exported[like] * day
    return found | {
        (plant, "renewable_generation"): day.sum(axis=1),
        (plant, "renewable_export"): given.sum(axis=1),
        (plant, "renewable_used"): (day - given).sum(axis=1),
        (plant, "green_to_load"): (green[like] * day).sum(axis=1),
    }


def _nearest(made: F64, day: F64, known: I64, rng: np.random.Generator) -> I64:
    """One of the ``known`` [n] days that generated about what each simulated day [paths, h] does: what is exported follows
    from how much there is rather than from how clear the sky was."""
    order = np.argsort(made, kind="stable")
    place = np.searchsorted((made[order][1:] + made[order][:-1]) / 2, day)
    beside = rng.integers(-NEIGHBOURS, NEIGHBOURS + 1, day.shape)
    found: I64 = known[order[np.clip(place + beside, 0, len(order) - 1)]]
    return found
