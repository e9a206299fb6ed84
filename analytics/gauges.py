"""Gauges by interval: mean, least, most and number of the usable readings, for those gauges alone that figures rest on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analytics.counters import F64, I64
from analytics.samples import NONE, Readings, Samples, completeness, rejected
from analytics.table import Columns
from plant import nodes
from plant.ports import Annotation
from plant.quality import usable
from plant.quantities import QUANTITIES
from plant.series import MINUTE_NS
from plant.site import MeteringPoint, Mounting, Site

Pair = tuple[str, str]
BETWEEN_PHASES = ("voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1")
TO_NEUTRAL = ("voltage_l1_n", "voltage_l2_n", "voltage_l3_n")
VOLTAGE_THD = ("voltage_thd_l1", "voltage_thd_l2", "voltage_thd_l3")
UNBALANCE = "voltage_unbalance"
SUPPLY = ("frequency", *BETWEEN_PHASES, *TO_NEUTRAL, *VOLTAGE_THD)
WEATHER = ("irradiance", "module_temperature")
EXTENTS = ("", "_min", "_max", "_count")
ISLANDED, DECIDED = "islanded", "islanded_decided"
POT_VOLTAGE = "pot_voltage_mean"
AIR = "ambient_temperature"
_FULL = (*SUPPLY, UNBALANCE, *WEATHER, "state_of_charge", "active_power", POT_VOLTAGE, AIR)
_STRINGS = tuple(n for n in QUANTITIES if n.startswith(("string_dc_current_", "mppt_dc_current_", "mppt_dc_power_")))
FIELDS = (*(f"{q}{e}" for q in _FULL for e in EXTENTS), *_STRINGS, ISLANDED, DECIDED)  # strings have their mean alone
STILL_SHARE = 0.001  # of its rated power, below which a tie carries nothing
_SUPPLY_POINTS = 2  # of a bus section: one, and one for when that is silent
_ON_BUS = ("grid_tie", "coupler", "transformer", "generator", "storage", "rectifier_group", "feeder")


def supply_meters(site: Site, bus: str) -> list[Mounting]:
    """Mountings that show the voltage of a bus section, best first: those of its ties, else of what else is on it.

    PV is left out: inverters show the low side of their transformer.
    """
    on_bus = [b for kind in _ON_BUS for b in site.branches_of(kind) if b.bus == bus]
    points = [p for b in on_bus for p in site.points_of(b.id)]
    return [m for p in points[:_SUPPLY_POINTS] for m in p.mountings]


def gauge_pairs(site: Site) -> dict[Pair, float]:
    """Every (meter, quantity) whose gauge rows are kept, and the factor that a mounting puts on its readings."""
    found: dict[Pair, float] = {}
    ratio = {m.meter: m for p in site.points.values() for m in p.mountings}
    for field in site.solar:
        found |= dict.fromkeys(((field.weather_meter, q) for q in WEATHER), 1.0)
        for inverter in field.inverters:
            found[inverter.meter, "active_power"] = ratio[inverter.meter].ratio if inverter.meter in ratio else 1.0
        found |= dict.fromkeys(((s.meter, q) for s in field.strings for q in s.quantities), 1.0)
    for bus in site.buses:
        for mounting in supply_meters(site, bus):
            for quantity in SUPPLY:
                is_voltage = quantity in (*BETWEEN_PHASES, *TO_NEUTRAL)
                found[mounting.meter, quantity] = mounting.vt_ratio if is_voltage else 1.0
    found |= {(b.weather_meter, AIR): 1.0 for b in site.baselines if b.weather_meter}
    found |= {(line.feed_meter, POT_VOLTAGE): 1.0 for line in site.potlines.values() if line.feed_meter}
    for branch in site.branches_of("storage"):
        found |= {(m.meter, "state_of_charge"): 1.0 for p in site.points_of(branch.id) for m in p.mountings}
    return found


def gauge_nodes(site: Site) -> list[str]:
    """Every node that gauge rows can belong to."""
    return [*dict.fromkeys(nodes.meter(meter) for meter, _ in gauge_pairs(site)), nodes.ISLAND]


def gauge_columns(site: Site, readings: Readings, bounds_ns: I64, annotations: Sequence[Annotation] = ()) -> dict[str, Columns]:
    """Columns by ``meter:<id>`` over the m intervals between ``bounds_ns`` int64[m + 1]: every gauge that was asked for, NaN
    where an interval has no reading. Voltages are those of the bus section, the mounting's ratio applied."""
    columns: dict[str, Columns] = {}
    voltages: dict[str, list[Samples]] = {}
    fullest: dict[str, Samples] = {}
    for (meter, quantity), factor in gauge_pairs(site).items():
        if (meter, quantity) not in readings:
            continue
        samples = _samples(readings, meter, quantity, factor, annotations)
        extents = extents_of(samples, bounds_ns)
        fullest[meter] = max(fullest.get(meter, NONE), samples, key=len)
        mine = columns.setdefault(nodes.meter(meter), {})
        mine |= {quantity + e: c for e, c in zip(EXTENTS[: 1 if quantity in _STRINGS else 4], extents, strict=False)}
        if quantity in BETWEEN_PHASES:
            voltages.setdefault(meter, []).append(samples)
    for meter, phases in voltages.items():
        if len(phases) == len(BETWEEN_PHASES):
            found = extents_of(unbalance_percent(phases), bounds_ns)
            columns[nodes.meter(meter)] |= {UNBALANCE + e: c for e, c in zip(EXTENTS, found, strict=True)}
    for meter, samples in fullest.items():
        share = completeness(samples.t_ns, bounds_ns, site.meters[meter].poll_interval_s)
        columns[nodes.meter(meter)]["completeness"] = share
    return columns | _island(site, readings, bounds_ns, annotations)


def extents_of(samples: Samples, bounds_ns: I64) -> tuple[F64, F64, F64, F64]:
    """(mean, least, most, number) of the samples in each interval; NaN, and number 0, where it has none."""
    at = np.searchsorted(samples.t_ns, bounds_ns)
    count = np.diff(at)
    value = samples.value[: at[-1]]
    first = at[:-1][count > 0]
    out = np.full((3, len(count)), np.nan)
    if len(first):
        ends = [
            np.add.reduceat(value, first) / count[count > 0],
            np.minimum.reduceat(value, first),
            np.maximum.reduceat(value, first),
        ]
        out[:, count > 0] = ends
    return out[0], out[1], out[2], count.astype(float)


def unbalance_percent(between_phases: Sequence[Samples]) -> Samples:
    """Negative of positive sequence in % from the three voltages between phases of one instant (IEC 61000-4-30, 5.7.1)."""
    t_ns = between_phases[0].t_ns
    for other in between_phases[1:]:
        t_ns = np.intersect1d(t_ns, other.t_ns, assume_unique=True)
    if len(t_ns) == 0:
        return NONE
    square = np.array([s.value[np.searchsorted(s.t_ns, t_ns)] ** 2 for s in between_phases])
    total = square.sum(axis=0)
    alive = total > 0
    beta = (square[:, alive] ** 2).sum(axis=0) / total[alive] ** 2
    root = np.sqrt(np.maximum(3.0 - 6.0 * beta, 0.0))
    return Samples(t_ns[alive], 100.0 * np.sqrt(np.maximum(1.0 - root, 0.0) / (1.0 + root)))


def _samples(readings: Readings, meter: str, quantity: str, factor: float, annotations: Sequence[Annotation]) -> Samples:
    series = readings[meter, quantity]
    good = usable(series.value, series.quality) & ~rejected(series.t_ns, meter, quantity, annotations)
    return Samples(series.t_ns[good], series.value[good] * factor)


def _island(site: Site, readings: Readings, bounds_ns: I64, annotations: Sequence[Annotation]) -> dict[str, Columns]:
    """Minutes of each interval in which every tie carried nothing while something on site supplied, and the minutes of which
    that is known. Empty for a plant without ties."""
    ties = [p for b in site.branches_of("grid_tie") for p in site.points_of(b.id)[:1]]
    if not ties or len(ties) < len(site.branches_of("grid_tie")):
        return {}
    grid = np.arange(bounds_ns[0], bounds_ns[-1] + MINUTE_NS, MINUTE_NS)
    still = np.ones(len(grid) - 1, bool)
    decided = still.copy()
    for point in ties:
        most = _most_kw(point, readings, grid, annotations)
        moving = most > STILL_SHARE * point.rated_power_kw
        still &= ~moving & np.isfinite(most)
        decided &= np.isfinite(most)
    supplied = np.zeros(len(still), bool)
    for branch in site.branches_of("generator", "pv", "storage"):
        for point in site.points_of(branch.id)[:1]:
            supplied |= _most_kw(point, readings, grid, annotations) > STILL_SHARE * point.rated_power_kw
    at = np.searchsorted(grid[:-1], bounds_ns)
    counts = [np.diff(np.concatenate([[0], np.cumsum(mask)])[at]).astype(float) for mask in (still & supplied, decided)]
    return {nodes.ISLAND: {ISLANDED: counts[0], DECIDED: counts[1]}}


def _most_kw(point: MeteringPoint, readings: Readings, grid: I64, annotations: Sequence[Annotation]) -> F64:
    """Largest power of a point in each minute, whatever its sign; NaN where it has no reading."""
    out = np.full(len(grid) - 1, np.nan)
    for mounting in point.mountings:
        if (mounting.meter, "active_power") in readings:
            shown = _samples(readings, mounting.meter, "active_power", mounting.ratio, annotations)
            _, least, most, _ = extents_of(shown, grid)
            out = np.fmax(out, np.fmax(np.abs(least), np.abs(most)))
    return out
