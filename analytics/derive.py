"""From readings to derived rows: intervals of points, owners of branches, balance of the plant, energy of the lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from analytics.balance import Banded, Energies, residuals
from analytics.bulk import plain_intervals
from analytics.counters import F64, I64
from analytics.gauges import FIELDS as GAUGE_FIELDS
from analytics.gauges import gauge_columns
from analytics.intervals import MeteredPoint, PointIntervals, WrapsAt, point_intervals
from analytics.lines import NUMERATORS, Process, all_groups, process_columns, rectifiers
from analytics.metal import Fits, faraday_t, pots_running
from analytics.ownership import owned, owners
from analytics.plant_balance import SUMMED, PlantBalance, plant_balance
from analytics.reactive import FIELDS as REACTIVE_FIELDS
from analytics.reactive import reactive_columns
from analytics.samples import Readings
from analytics.storage_origin import Pool
from analytics.table import Columns, Table, banded_columns
from analytics.topology import Component, components
from analytics.virtual import with_virtual
from plant import nodes
from plant.errors import ConfigError, Fault
from plant.ports import Annotation
from plant.quality import usable
from plant.register_statements import RegisterStatement
from plant.rulebook import Rulebook
from plant.series import MINUTE, MINUTE_NS, QUARTER, QUARTER_NS
from plant.site import Site

HOUR_NS = 3_600_000_000_000
POINT_FIELDS = (
    "energy_import",
    "energy_import_low",
    "energy_import_high",
    "energy_export",
    "energy_export_low",
    "energy_export_high",
    "active_power",
    "completeness",
    "measured_share",
)
# every field that a derived row can have: those with a _low and a _high beside them, and the others
BANDED_FIELDS = (*SUMMED, "green_share_physical", "residual", "metal_produced", *NUMERATORS, *NUMERATORS.values())
PLAIN_FIELDS = (
    *POINT_FIELDS,
    "current_efficiency",
    "flow_energy",
    "flags",
    "dc_charge",
    "pots_running",
    *GAUGE_FIELDS,
    *REACTIVE_FIELDS,
)


def faraday_yield(site: Site, rulebook: Rulebook, t_ns: int) -> float:
    """The rule ``faraday-yield`` in force at an instant, kg/kAh. Raises ConfigError where there is none."""
    rule = rulebook.in_force("faraday-yield", site.calendar.local(t_ns).date(), (site.province, "CN"))
    if rule is None:
        raise ConfigError([Fault("rules", "faraday-yield", "no edition in force", "a rule of that id, unit kg/kAh")])
    return float(rule.value)


@dataclass(frozen=True, slots=True)
class PlantModel:
    """What every computation of one site shares: built once."""

    site: Site
    yield_kg_per_kah: float | F64  # of all intervals, or of each as it is derived
    wraps_at: WrapsAt
    parts: tuple[Component, ...]
    points: dict[str, MeteredPoint]

    @staticmethod
    def of(site: Site, yield_kg_per_kah: float, wraps_at: WrapsAt) -> PlantModel:
        """Model of a site; ``yield_kg_per_kah`` is the Faraday rule in force."""
        poll_s = {m.id: m.poll_interval_s for m in site.meters.values()}
        points = {
            p.id: MeteredPoint(p, site.branches[p.branch], poll_s, site.accounting.gap_max_s)
            for p in site.points.values()
            if p.mountings
        }
        return PlantModel(site, yield_kg_per_kah, wraps_at, components(site), points)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a span is computed from. ``readings`` reach beyond the span so that bounds can be interpolated."""

    readings: Readings
    annotations: Sequence[Annotation] = ()
    efficiency: Mapping[str, Fits] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    statements: Sequence[RegisterStatement] = ()


@dataclass(frozen=True, slots=True)
class Derived:
    """Rows of a span in both resolutions (``fine`` is None where the intervals are not minutes), and the storage
    pools after each coarse interval."""

    fine: Table | None
    coarse: Table
    pools: list[dict[str, Pool]]


def derive(model: PlantModel, evidence: Evidence, bounds_ns: I64, group: int) -> Derived:
    """Rows of the intervals between ``bounds_ns`` int64[m + 1], and of each ``group`` of them.

    m is a multiple of ``group``.
    """
    coarse_ns = bounds_ns[::group] if group > 1 else bounds_ns
    known = (evidence.readings, [bounds_ns, coarse_ns])
    stated = (evidence.annotations, evidence.statements)
    plain = plain_intervals(model.points, *known, *stated)
    per_point = {n: plain.get(n) or point_intervals(p, *known, model.wraps_at, *stated) for n, p in model.points.items()}
    hours = tuple(int(b[1] - b[0]) / HOUR_NS for b in (bounds_ns, coarse_ns))
    per_point = with_virtual(model.site, per_point, hours)
    found = assemble(model, evidence, per_point, bounds_ns, group)
    found.coarse.columns.update(gauge_columns(model.site, evidence.readings, coarse_ns, evidence.annotations))
    reactive = reactive_columns(model.site, evidence.readings, coarse_ns, model.wraps_at, evidence.annotations)
    for node, columns in reactive.items():
        found.coarse.columns[node].update(columns)
    return found


def assemble(
    model: PlantModel, evidence: Evidence, per_point: Mapping[str, list[PointIntervals]], bounds_ns: I64, group: int
) -> Derived:
    """Rows from the intervals of every point, [fine, coarse] each: owners, balance, flows, lines."""
    coarse_ns = bounds_ns[::group]
    fine_branches, coarse_branches = _branches(model, per_point, "ac", group)
    found, pools = plant_balance(model.site, fine_branches, coarse_branches, evidence.pools, bounds_ns[:-1], group)
    coarse = _coarse_table(model, evidence, per_point, coarse_branches, found, coarse_ns, group)
    if bounds_ns[1] - bounds_ns[0] != MINUTE_NS:
        return Derived(None, coarse, pools)
    columns = {nodes.point(p): _point_columns(per_point[p][0]) for p in per_point}
    columns |= {nodes.branch(b): _point_columns(i) for b, i in fine_branches.items()}
    columns[nodes.PLANT] = _plant_columns(found, 1) | _trust(list(fine_branches.values()), len(bounds_ns) - 1)
    return Derived(Table(MINUTE, bounds_ns[:-1], MINUTE_NS, columns), coarse, pools)


def _branches(
    model: PlantModel, per_point: Mapping[str, list[PointIntervals]], side: str, group: int
) -> tuple[dict[str, PointIntervals], dict[str, PointIntervals]]:
    """Owned intervals by branch, fine and coarse; the owner is chosen per coarse interval, its fine ones follow."""
    fine, coarse = {}, {}
    for branch in model.site.branches:
        ranked = [per_point[p.id] for p in model.site.points_of(branch, side)]
        if ranked:
            owner = owners([c for _, c in ranked])
            coarse[branch] = owned([c for _, c in ranked], owner)
            fine[branch] = owned([f for f, _ in ranked], np.repeat(owner, group))
    return fine, coarse


def _point_columns(p: PointIntervals) -> Columns:
    columns = {name: getattr(p, name) for name in POINT_FIELDS} | {"flags": p.flags.astype(float)}
    return columns | ({"dc_charge": p.dc_charge} if np.isfinite(p.dc_charge).any() else {})


def _plant_columns(found: PlantBalance, group: int) -> Columns:
    """Sums over each ``group`` of intervals."""
    columns: Columns = {}
    sums = {name: _grouped(value, group) for name, value in found.sums.items()}
    for name, value in sums.items():
        columns |= banded_columns(name, value)
    load, green = sums["load_energy"], sums["green_to_load"]
    columns |= banded_columns("green_share_physical", share_percent(green, load))
    return columns


def share_percent(part: Banded, whole: Banded) -> Banded:
    """Share in % with the band of both, within 0..100; NaN where the whole is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = [100.0 * part.best / whole.best, 100.0 * part.low / whole.high, 100.0 * part.high / whole.low]
    positive = whole.best > 0
    return Banded(*(np.where(positive & np.isfinite(v), np.clip(v, 0.0, 100.0), np.nan) for v in values))


def grouped(column: F64, group: int) -> F64:
    """Sums of each ``group`` of consecutive intervals: float64[m] to float64[m / group]."""
    summed: F64 = column.reshape(-1, group).sum(axis=1)
    return summed


def _grouped(value: Banded, group: int) -> Banded:
    return Banded(grouped(value.best, group), grouped(value.low, group), grouped(value.high, group))


def _trust(energies: Sequence[PointIntervals], m: int) -> Columns:
    """Completeness (mean over meters) and measured share (by energy) of several branches together."""
    if not energies:
        return {"completeness": np.zeros(m), "measured_share": np.zeros(m)}
    weight = np.array([np.abs(e.energy_import) + np.abs(e.energy_export) for e in energies])
    most = np.fmax(np.nan_to_num([np.fmax(e.energy_import_high, e.energy_export_high) for e in energies]), 1e-9)
    weight = np.where(np.isfinite(weight), weight + 1e-9, most)
    share = (weight * np.array([e.measured_share for e in energies])).sum(axis=0) / weight.sum(axis=0)
    return {"completeness": np.mean([e.completeness for e in energies], axis=0), "measured_share": share}


def _coarse_table(
    model: PlantModel,
    evidence: Evidence,
    per_point: Mapping[str, list[PointIntervals]],
    branches: Energies,
    found: PlantBalance,
    bounds_ns: I64,
    group: int,
) -> Table:
    start_ns, m = bounds_ns[:-1], len(bounds_ns) - 1
    columns = {nodes.point(p): _point_columns(i[1]) for p, i in per_point.items()}
    columns |= {nodes.branch(b): _point_columns(i) for b, i in branches.items()}
    for bus, residual in residuals(model.site, branches, m).items():
        on_bus = [branches[b.id] for b in model.site.branches.values() if b.id in branches and bus in (b.bus, b.to_bus)]
        columns[nodes.bus(bus)] = banded_columns("residual", residual) | {"completeness": _trust(on_bus, m)["completeness"]}
    plant = _plant_columns(found, group)
    supply = [branches[b.id] for part in model.parts for b in (*part.ties, *part.generators, *part.storages)]
    plant |= _trust(supply or list(branches.values()), m)
    # a flow that became 0 is written too: its row of before would stay valid
    columns |= {node: {"flow_energy": grouped(energy, group)} for node, energy in found.flows.items()}
    _, dc = _branches(model, per_point, "dc", group)
    load = Banded(plant["load_energy"], plant["load_energy_low"], plant["load_energy_high"])
    process = process_columns(_process(model, evidence, dc, bounds_ns), branches, load, start_ns)
    for line in model.site.potlines:
        groups = [branches[b.id] for b in rectifiers(model.site, line) if b.id in branches]
        columns[nodes.line(line)] = process[nodes.line(line)] | _trust(groups, m)
    plant |= process.get(nodes.PLANT, {})
    columns[nodes.PLANT] = plant
    return Table(QUARTER, start_ns, QUARTER_NS, columns)


def _process(model: PlantModel, evidence: Evidence, dc: Energies, bounds_ns: I64) -> Process:
    """Direct-current energy and metal at 100 % efficiency of every line, before any efficiency is applied."""
    m = len(bounds_ns) - 1
    dc_energy, full, running = {}, {}, {}
    for name, line in model.site.potlines.items():
        dc_energy[name] = all_groups(model.site, name, dc, m)
        # a group without a meter is not one without current
        charges = [dc[b.id].dc_charge if b.id in dc else np.full(m, np.nan) for b in rectifiers(model.site, name)]
        charge = np.sum(charges or [np.full(m, np.nan)], axis=0)
        pots = pots_running(line, bounds_ns[:-1], _fed(evidence.readings, line.feed_meter, bounds_ns))
        full[name] = faraday_t(charge, pots, model.yield_kg_per_kah)
        running[name] = pots
    return Process(model.site, model.parts, dc_energy, full, evidence.efficiency, running)


def _fed(readings: Readings, meter: str, bounds_ns: I64) -> F64 | None:
    """Mean number of pots running per interval from the pot controllers, NaN without a reading; None without a feed."""
    series = readings.get((meter, "pots_running"))
    if series is None or len(series) == 0:
        return None
    good = usable(series.value, series.quality)
    t_ns, value = series.t_ns[good], series.value[good]
    running = np.concatenate([[0.0], np.cumsum(value)])
    at = np.searchsorted(t_ns, bounds_ns)
    count = np.diff(at)
    mean: F64 = np.divide(np.diff(running[at]), count, out=np.full(len(count), np.nan), where=count > 0)
    return mean
