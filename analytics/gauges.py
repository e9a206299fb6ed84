"""Gauges by interval: mean, least, most and number of the usable readings, for those gauges alone that figures rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, I64, Mask
from analytics.mending import mended
from analytics.samples import NONE, Readings, Samples, completeness, mounted, rejected
from analytics.table import Columns, Table
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
STILL_SHARE = 0.001  # of its rated power, below which a tie carries nothing: so little a class 0.2 S meter need not show
STILL_MIN = 3  # minutes, of which fewer in a row may as well be a power that changes its direction
FOREVER_NS = 2**62
KNOWN_MIN = 0.9  # of the readings due, from which on those that are missing hide nothing
_SUPPLY_POINTS = 2  # of a bus section: one, and one for when that is silent
_ON_BUS = ("grid_tie", "coupler", "transformer", "generator", "storage", "rectifier_group", "feeder")


@dataclass(frozen=True, slots=True, order=True)
class Counts:
    """While readings of a gauge count, from ``start_ns`` to before ``end_ns``, and the factor that a mounting puts on them."""

    start_ns: int
    end_ns: int
    factor: float = 1.0


ALWAYS = (Counts(0, FOREVER_NS),)


def supply_meters(site: Site, bus: str) -> list[Mounting]:
    """Mountings that show the voltage of a bus section, best first: those of its ties, else of what else is on it.

    PV is left out: inverters show the low side of their transformer.
    """
    return [mounting for mounting, _ in _on_supply(site, bus)]


def supply_slots(site: Site, bus: str, start_ns: I64, step_ns: int) -> dict[str, Mask]:
    """Meters that show the voltage of a bus section, best first, each with the slots bool[m] in which it does so from start to
    end: a meter that moved shows another section before."""
    found: dict[str, Mask] = {}
    for meter, spans in _joined([(m.meter, Counts(m.valid_from_ns, end)) for m, end in _on_supply(site, bus)]).items():
        inside = [(start_ns >= one.start_ns) & (start_ns + step_ns <= one.end_ns) for one in spans]
        found[meter] = np.logical_or.reduce(inside)
    return found


def _on_supply(site: Site, bus: str) -> list[tuple[Mounting, int]]:
    on_bus = [b for kind in _ON_BUS for b in site.branches_of(kind) if b.bus == bus]
    points = [p for b in on_bus for p in site.points_of(b.id)]
    return [pair for p in points[:_SUPPLY_POINTS] for pair in p.mounted()]


def _joined(named: Sequence[tuple[str, Counts]]) -> dict[str, list[Counts]]:
    """Spans by meter, those that follow one another as one."""
    found: dict[str, list[Counts]] = {}
    for meter, span in named:
        mine = found.setdefault(meter, [])
        last = next((one for one in mine if one.end_ns == span.start_ns), None)
        if last is not None:
            mine.remove(last)
        mine.append(span if last is None else Counts(last.start_ns, span.end_ns))
    return found


def gauge_pairs(site: Site) -> dict[Pair, tuple[Counts, ...]]:
    """Every (meter, quantity) whose gauge rows are kept, and while which of its readings count, with which factor."""
    found: dict[Pair, tuple[Counts, ...]] = {}

    def add(meter: str, quantity: str, *spans: Counts) -> None:
        found[meter, quantity] = tuple(sorted({*found.get((meter, quantity), ()), *spans}))

    everywhere = [pair for p in site.points.values() for pair in p.mounted()]
    for field in site.solar:
        found |= dict.fromkeys(((field.weather_meter, q) for q in WEATHER), ALWAYS)
        for inverter in field.inverters:
            mine = (Counts(m.valid_from_ns, end, m.ratio) for m, end in everywhere if m.meter == inverter.meter)
            found[inverter.meter, "active_power"] = tuple(sorted(mine)) or ALWAYS
        found |= dict.fromkeys(((s.meter, q) for s in field.strings for q in s.quantities), ALWAYS)
    for bus in site.buses:
        for mounting, end_ns in _on_supply(site, bus):
            for quantity in SUPPLY:
                factor = mounting.vt_ratio if quantity in (*BETWEEN_PHASES, *TO_NEUTRAL) else 1.0
                add(mounting.meter, quantity, Counts(mounting.valid_from_ns, end_ns, factor))
    found |= {(b.weather_meter, AIR): ALWAYS for b in site.baselines if b.weather_meter}
    found |= {(line.feed_meter, POT_VOLTAGE): ALWAYS for line in site.potlines.values() if line.feed_meter}
    for branch in site.branches_of("storage"):
        for mounting, end_ns in (pair for p in site.points_of(branch.id) for pair in p.mounted()):
            add(mounting.meter, "state_of_charge", Counts(mounting.valid_from_ns, end_ns))
    return found


def gauge_nodes(site: Site) -> list[str]:
    """Every node that gauge rows can belong to."""
    return [*dict.fromkeys(nodes.meter(meter) for meter, _ in gauge_pairs(site)), nodes.ISLAND]


def gauge_columns(site: Site, readings: Readings, bounds_ns: I64, annotations: Sequence[Annotation] = ()) -> dict[str, Columns]:
    """Columns by ``meter:<id>`` over the m intervals between ``bounds_ns`` int64[m + 1]: every gauge that was asked for, NaN
    where an interval has no reading. Voltages are those of the bus section, the ratio of the mounting of their time applied."""
    columns: dict[str, Columns] = {}
    voltages: dict[str, list[Samples]] = {}
    fullest: dict[str, Samples] = {}
    for (meter, quantity), spans in gauge_pairs(site).items():
        if (meter, quantity) not in readings:
            continue
        samples = _samples(readings, meter, quantity, spans, annotations)
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


def received(rows: Table, meter: str, quantity: str) -> F64:
    """Readings of a gauge of those due in each slot [m], 0..1: of those of its meter, and beside what is usual of itself."""
    count, share = rows.column(nodes.meter(meter), quantity + "_count"), rows.column(nodes.meter(meter), "completeness")
    some = count[np.isfinite(count) & (count > 0)]
    usual = float(np.quantile(some, 0.9)) if len(some) else 1.0
    found: F64 = np.fmin(np.fmin(count / usual, share), 1.0)  # rows that do not say are whole
    return found


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


def _samples(
    readings: Readings, meter: str, quantity: str, spans: Sequence[Counts], annotations: Sequence[Annotation]
) -> Samples:
    series = readings[meter, quantity]
    factor = np.full(len(series), np.nan)
    for span in spans:
        factor[(series.t_ns >= span.start_ns) & (series.t_ns < span.end_ns)] = span.factor
    good = usable(series.value, series.quality) & np.isfinite(factor) & ~rejected(series.t_ns, meter, quantity, annotations)
    t_ns = series.t_ns[good]
    return Samples(t_ns, mended(t_ns, series.value[good], meter, quantity, annotations, readings) * factor[good])


def _island(site: Site, readings: Readings, bounds_ns: I64, annotations: Sequence[Annotation]) -> dict[str, Columns]:
    """Minutes of each interval in which every tie carried nothing while something on site supplied, and the minutes of which
    that is known. Empty for a plant without ties."""
    ties = [p for b in site.branches_of("grid_tie") for p in site.points_of(b.id)[:1]]
    if not ties or len(ties) < len(site.branches_of("grid_tie")):
        return {}
    # a little more on either side, so that what an interval shows does not depend on where a computation begins
    beside = (STILL_MIN - 1) * MINUTE_NS
    grid = np.arange(bounds_ns[0] - beside, bounds_ns[-1] + beside + MINUTE_NS, MINUTE_NS)
    still = np.ones(len(grid) - 1, bool)
    decided = still.copy()
    for point in ties:
        most = _most_kw(point, readings, grid, annotations)
        still &= most <= STILL_SHARE * point.rated_power_kw
        decided &= np.isfinite(most)
    supplied = np.zeros(len(still), bool)
    for branch in site.branches_of("generator", "pv", "storage"):
        for point in site.points_of(branch.id)[:1]:
            supplied |= _most_kw(point, readings, grid, annotations) > STILL_SHARE * point.rated_power_kw
    islanded = still & supplied
    lasting = _lasting(islanded, STILL_MIN)
    decided &= ~islanded | lasting
    at = np.searchsorted(grid[:-1], bounds_ns)
    counts = [np.diff(np.concatenate([[0], np.cumsum(mask)])[at]).astype(float) for mask in (lasting, decided)]
    return {nodes.ISLAND: {ISLANDED: counts[0], DECIDED: counts[1]}}


def _lasting(mask: Mask, least: int) -> Mask:
    """Those of the mask that stand in a run of at least ``least``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    found = np.zeros(len(mask), bool)
    for first, end in edges.reshape(-1, 2):
        found[first:end] = end - first >= least
    return found


def _most_kw(point: MeteringPoint, readings: Readings, grid: I64, annotations: Sequence[Annotation]) -> F64:
    """Largest power of a point in each minute, whatever its sign; NaN where it has no reading."""
    out = np.full(len(grid) - 1, np.nan)
    for mounting, end_ns in point.mounted():
        shown = mounted(readings, mounting, "active_power", (mounting.valid_from_ns, end_ns - 1), annotations)
        _, least, most, _ = extents_of(shown, grid)
        out = np.fmax(out, np.fmax(np.abs(least), np.abs(most)))
    return out
