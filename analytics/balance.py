"""Energy balance of connected bus sections: flows from every source to every sink, the load from the sources' side, residuals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analytics.attribution import Rule, SinkTier, attribute
from analytics.counters import F64, I64
from analytics.intervals import PointIntervals
from analytics.storage_fifo import Order, ordered
from analytics.storage_origin import ORIGINS, UNKNOWN, Pool, origin_of
from analytics.topology import Component
from plant.site import LOAD_KINDS, RENEWABLE_SOURCES, Branch, Site

LOAD = "load"
Energies = Mapping[str, PointIntervals]  # branch id -> its owned intervals


@dataclass(frozen=True, slots=True, eq=False)
class Banded:
    """A quantity with the band that holds the truth: three arrays float64[m]."""

    best: F64
    low: F64
    high: F64

    def __add__(self, other: Banded) -> Banded:
        return Banded(self.best + other.best, self.low + other.low, self.high + other.high)

    def __sub__(self, other: Banded) -> Banded:
        return Banded(self.best - other.best, self.low - other.high, self.high - other.low)

    @staticmethod
    def zero(m: int) -> Banded:
        """Nothing, surely."""
        return Banded(np.zeros(m), np.zeros(m), np.zeros(m))

    @staticmethod
    def unknown(m: int) -> Banded:
        """Nothing is known."""
        return Banded(np.full(m, np.nan), np.full(m, np.nan), np.full(m, np.nan))


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """The balance of one component over m intervals, kWh.

    ``flows`` float64[s, k, m] from ``sources`` (branch id, for storage ``<branch>/<origin>``) to ``sinks`` (``load`` or a
    branch id). ``load`` = sources - charge - export, keeping its sign; where no source is metered, the metered loads.
    """

    sources: tuple[str, ...]
    sinks: tuple[str, ...]
    flows: F64
    renewable: tuple[bool, ...]
    load: Banded
    grid_import: Banded
    grid_export: Banded
    renewable_generation: Banded
    captive_generation: Banded
    storage_charge: Banded
    storage_discharge: Banded
    green_to_load: Banded
    renewable_export: Banded


def imported(intervals: PointIntervals) -> Banded:
    """Flow away from the grid with its band."""
    return Banded(intervals.energy_import, intervals.energy_import_low, intervals.energy_import_high)


def exported(intervals: PointIntervals) -> Banded:
    """Flow towards the grid with its band."""
    return Banded(intervals.energy_export, intervals.energy_export_low, intervals.energy_export_high)


def total(parts: list[Banded], m: int) -> Banded:
    """Sum of banded quantities over m intervals."""
    found = Banded.zero(m)
    for part in parts:
        found = found + part
    return found


def balance(
    part: Component, energies: Energies, pools: Mapping[str, Pool], rule: Rule, m: int, group: int, order: Order = "pooled"
) -> tuple[Balance, list[dict[str, Pool]]]:
    """Balance a component over m intervals; returns it with its storage pools after each ``group`` of intervals.

    The mix of a battery is that at the start of each ``group`` of intervals (a 15-min slot of minutes), while sources
    and sinks are attributed interval by interval. ``order`` says what leaves a battery first.
    """
    ties_in = total([imported(energies[b.id]) for b in part.ties], m)
    ties_out = total([exported(energies[b.id]) for b in part.ties], m)
    green_made = total([exported(energies[b.id]) for b in part.generators if b.source in RENEWABLE_SOURCES], m)
    other_made = total([exported(energies[b.id]) for b in part.generators if b.source not in RENEWABLE_SOURCES], m)
    charge = total([imported(energies[b.id]) for b in part.storages], m)
    discharge = total([exported(energies[b.id]) for b in part.storages], m)
    if part.has_sources:
        load = ties_in + green_made + other_made + discharge - charge - ties_out
    else:
        load = total([imported(energies[b.id]) for b in part.loads if b.kind in LOAD_KINDS], m)
    flows, after = _flows(part, energies, {b: ordered(pool, order) for b, pool in pools.items()}, rule, load.best, group, order)
    sources, renewable = source_names(part)
    mask = np.array(renewable, bool)
    green = flows[mask, 0].sum(axis=0) if part.has_sources else np.full(m, np.nan)
    exports = flows[mask][:, 1 + len(part.storages) :].sum(axis=(0, 1))
    unknown = flows[[name.endswith(f"/{ORIGINS[UNKNOWN]}") for name in sources]]
    stored, sold = unknown[:, 0].sum(axis=0), unknown[:, 1 + len(part.storages) :].sum(axis=(0, 1))
    found = Balance(
        sources,
        sink_names(part),
        flows,
        renewable,
        load,
        ties_in,
        ties_out,
        green_made,
        other_made,
        charge,
        discharge,
        _green_band(green, green_made + discharge, load, stored),
        _green_band(exports, green_made + discharge, ties_out, sold),
    )
    return found, after


def sink_names(part: Component) -> tuple[str, ...]:
    """Sinks of a component: the load, then what charges, then what exports."""
    return (LOAD, *(b.id for b in part.storages), *(b.id for b in part.ties))


def source_names(part: Component) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    """Sources of a component and whether each is renewable; storage is a source by origin."""
    plain = (*part.ties, *part.generators)
    stored = [(f"{b.id}/{origin}", origin == "renewable") for b in part.storages for origin in ORIGINS]
    names = (*(b.id for b in plain), *(name for name, _ in stored))
    return names, (*(b.source in RENEWABLE_SOURCES for b in plain), *(green for _, green in stored))


def _flows(
    part: Component, energies: Energies, pools: Mapping[str, Pool], rule: Rule, load: F64, group: int, order: Order
) -> tuple[F64, list[dict[str, Pool]]]:
    m = len(load)
    rows = [energies[b.id].energy_import for b in part.ties] + [energies[b.id].energy_export for b in part.generators]
    plain = np.array(rows).reshape(len(rows), m)
    discharge = np.array([energies[b.id].energy_export for b in part.storages]).reshape(len(part.storages), m)
    charge = [energies[b.id].energy_import for b in part.storages]
    unseen = [
        np.where(np.isnan(d), energies[b.id].energy_export_high, 0.0) for b, d in zip(part.storages, discharge, strict=True)
    ]
    sinks = np.array([load, *charge, *(energies[b.id].energy_export for b in part.ties)])
    charging: list[SinkTier] = ["charge"] * len(part.storages)
    exporting: list[SinkTier] = ["export"] * len(part.ties)
    tiers: tuple[SinkTier, ...] = ("load", *charging, *exporting)
    renewable = np.array(source_names(part)[1], bool)
    if not part.storages:
        return attribute(plain, renewable, sinks, tiers, rule), [{} for _ in range(0, m, group)]
    now = {b.id: pools.get(b.id, ordered(Pool.initial(b.capacity_kwh), order)) for b in part.storages}
    origins = np.array([origin_of(b.source) for b in (*part.ties, *part.generators)] + list(range(4)) * len(part.storages))
    flows = np.empty((len(renewable), len(sinks), m))
    trace: list[dict[str, Pool]] = []
    for first in range(0, m, group):
        slot = slice(first, min(first + group, m))
        given = np.nan_to_num(discharge[:, slot]).sum(axis=1)
        mixes = [now[b.id].discharge_mix(float(given[i])) for i, b in enumerate(part.storages)]
        split = [mix[:, None] * discharge[i, None, slot] for i, mix in enumerate(mixes)]
        flows[:, :, slot] = attribute(np.concatenate([plain[:, slot], *split]), renewable, sinks[:, slot], tiers, rule)
        for i, b in enumerate(part.storages):
            into = _by_origin(flows[:, 1 + i, slot], origins, charge[i][slot])
            known = now[b.id].without_record(float(unseen[i][slot].sum()))
            now[b.id] = known.after(into, float(given[i]), b.efficiency, b.capacity_kwh)
        trace.append(dict(now))
    return flows, trace


def _by_origin(into: F64, origins: I64, charge: F64) -> F64:
    """Charge of a slot by origin, kWh [4]; charge of intervals whose sources are not all known is of unknown origin."""
    known = np.isfinite(into).all(axis=0)
    found: F64 = np.bincount(origins, np.where(known, into, 0.0).sum(axis=1), len(ORIGINS)).astype(float)
    found[-1] += np.nansum(np.where(known, 0.0, charge))
    return found


def _green_band(green: F64, made: Banded, load: Banded, unknown: F64) -> Banded:
    """Green energy to a sink (``load``) with a band: as sure as the renewable sources behind it, never below 0 or above the
    sink. What storage gave of ``unknown`` origin does not count, and may have been green."""
    with np.errstate(invalid="ignore", divide="ignore"):
        less = np.where(made.best > 0, np.clip(made.low / made.best, 0.0, 1.0), 1.0)
        more = np.where(made.best > 0, np.maximum(made.high / made.best, 1.0), 1.0)
    low = np.where(np.isnan(green), 0.0, green * less)
    most = np.where(np.isnan(green), made.high, green * more + np.nan_to_num(unknown))
    high = np.fmin(most, np.where(np.isnan(load.high), np.inf, np.maximum(load.high, 0.0)))
    capped = np.minimum(green, np.maximum(load.best, 0.0))
    return Banded(capped, np.fmin(low, capped), np.where(np.isnan(high), np.nan, np.fmax(high, capped)))


def residuals(site: Site, energies: Energies, m: int) -> dict[str, Banded]:
    """Sources minus metered sinks of each bus section, kWh [m], keeping its sign: losses, unmetered load, meter errors."""
    found = {}
    for bus in site.buses:
        residual = Banded.zero(m)
        for b in site.branches.values():
            sign = _inflow(b, bus)
            if b.id in energies and sign:
                flow = imported(energies[b.id]) - exported(energies[b.id])
                residual = residual + flow if sign > 0 else residual - flow
        found[bus] = residual
    return found


def _inflow(b: Branch, bus: str) -> int:
    """+1 where the branch's + direction brings energy onto the bus, -1 where it takes it away, 0 if it is elsewhere."""
    if b.to_bus:
        return int(b.to_bus == bus) - int(b.bus == bus)
    if b.bus != bus:
        return 0
    return 1 if b.kind == "grid_tie" else -1
