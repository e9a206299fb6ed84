"""The plant at this moment, from the newest Frame of each meter: powers, flows, shares and energy per tonne as rates.

Instant powers are carried through the same balance as energies, as what an hour at this power would be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analytics.derive import Evidence, PlantModel, assemble
from analytics.figures import BranchNow, Flow, PeriodFigures
from analytics.intervals import MeteredPoint, PointIntervals, missing
from analytics.mending import mended
from analytics.ownership import owners
from analytics.period import period_figures
from analytics.period_rows import Period
from analytics.samples import rejected
from analytics.table import Table
from analytics.virtual import with_virtual
from plant import nodes
from plant.indicators import INDICATORS
from plant.ports import Annotation, LastFrame
from plant.quality import usable
from plant.quantities import QUANTITIES
from plant.rulebook import Rulebook
from plant.series import Series, Span
from plant.site import Mounting

HOUR_NS = 3_600_000_000_000
Frames = Mapping[str, LastFrame]
TOTALS = {
    "load": "load_energy",
    "grid_import": "grid_import",
    "grid_export": "grid_export",
    "renewable_generation": "renewable_generation",
    "captive_generation": "captive_generation",
    "storage_charge": "storage_charge",
    "storage_discharge": "storage_discharge",
    "green_to_load": "green_to_load",
}


@dataclass(frozen=True, slots=True)
class Now:
    """The instant: figures (ratios alone), powers by branch and of the plant."""

    figures: PeriodFigures
    branches: dict[str, BranchNow]
    power_kw: dict[str, float | None]


def now(model: PlantModel, rulebook: Rulebook, frames: Frames, t_ns: int, evidence: Evidence) -> Now:
    """The plant at ``t_ns``. What came longer ago than its meter's ``silent_after_s`` counts as none: null, not the last value;
    so does each quantity of a meter that reports by exception.

    ``evidence`` brings current efficiency, storage pools and verdicts; its readings are not looked at. What a verdict rejects
    is null as well, what one mends is mended.
    """
    bounds = np.array([t_ns, t_ns + HOUR_NS], np.int64)
    fresh = {m: f for m, f in frames.items() if m in model.site.meters and f.is_fresh(t_ns, model.site.meters[m].silent_after_s)}
    fresh = {m: _judged(f.fresh_part(t_ns, model.site.meters[m].silent_after_s), evidence.annotations) for m, f in fresh.items()}
    per_point = {name: _instant(p, fresh, t_ns) for name, p in model.points.items()}
    per_point = {n: of[0] for n, of in with_virtual(model.site, {n: [p] for n, p in per_point.items()}, (1.0,)).items()}
    fed = replace(evidence, readings=_feeds(model, fresh, t_ns))
    rows = assemble(model, fed, {n: [p, p] for n, p in per_point.items()}, bounds, 1).coarse
    rows = Table(rows.resolution, rows.start_ns, HOUR_NS, rows.columns)
    found = period_figures(Period(model.site, rulebook, Span(t_ns, t_ns), "interval", rows, "live", (), evidence.efficiency))
    ratios = {
        node: {name: f for name, f in by.items() if INDICATORS[name].unit not in ("kWh", "t")}
        for node, by in found.figures.items()
    }
    figures = replace(
        found,
        figures={node: by for node, by in ratios.items() if by},
        flows=[Flow(f.source, f.sink, None, f.power_kw) for f in found.flows],
        residual_kwh={},
        points=[],
        interval_hash="",
        slots_missing=0,
    )
    branches = {b: _branch_now(model, per_point, b, fresh, t_ns) for b in model.site.branches}
    power = {name: _number(rows.column(nodes.PLANT, field)[0]) for name, field in TOTALS.items()}
    return Now(figures, branches, power)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _judged(frame: LastFrame, annotations: Sequence[Annotation]) -> LastFrame:
    """The frame without what a verdict rejects, powers that one mends mended."""
    if all(note.meter != frame.meter for note in annotations):
        return frame
    kept = {}
    for quantity, value in frame.value.items():
        at_ns = np.array([frame.instant_ns(quantity)])
        if not rejected(at_ns, frame.meter, quantity, annotations)[0]:
            known = quantity in QUANTITIES
            kept[quantity] = (
                float(mended(at_ns, np.array([value]), frame.meter, quantity, annotations, {})[0]) if known else value
            )
    return replace(frame, value=kept)


def _feeds(model: PlantModel, frames: Frames, t_ns: int) -> dict[tuple[str, str], Series]:
    """Pots running as the pot controllers say now, as a reading within the hour looked at."""
    found = {}
    for line in model.site.potlines.values():
        pots = _value(frames.get(line.feed_meter), "pots_running")
        if pots is not None:
            found[line.feed_meter, "pots_running"] = Series(np.array([t_ns]), np.array([pots]), np.zeros(1, np.int16))
    return found


def _value(frame: LastFrame | None, quantity: str) -> float | None:
    if frame is None or quantity not in frame.value:
        return None
    value, quality = np.array([frame.value[quantity]]), np.array([frame.quality.get(quantity, 0)], np.int16)
    return float(value[0]) if usable(value, quality)[0] else None


def _power_of(metered: MeteredPoint) -> str:
    return "dc_power" if metered.point.side == "dc" else "active_power"


def _mounted_power(metered: MeteredPoint, mounting: Mounting, frames: Frames) -> float | None:
    power = _value(frames.get(mounting.meter), _power_of(metered))
    return None if power is None else power * mounting.ratio * mounting.direction


def _instant(metered: MeteredPoint, frames: Frames, t_ns: int) -> PointIntervals:
    """An hour at the present power of a point, or a missing interval where its meter is silent."""
    bounds = np.array([t_ns, t_ns + HOUR_NS], np.int64)
    mounting = metered.point.mounting_at(t_ns)
    power = None if mounting is None else _mounted_power(metered, mounting, frames)
    if mounting is None or power is None:
        return missing(bounds, metered)
    accuracy = mounting.class_percent / 100
    into, out = (np.array([max(sign * power, 0.0)]) for sign in (1, -1))
    low, high = 1 - accuracy, 1 + accuracy
    current = _value(frames.get(mounting.meter), "dc_current")
    one, charge = np.ones(1), np.array([np.nan if current is None else max(current, 0.0)])
    flags = np.zeros(1, np.int64)
    return PointIntervals(into, into * low, into * high, out, out * low, out * high, np.array([power]), one, one, flags, charge)


def _branch_now(model: PlantModel, per_point: Mapping[str, PointIntervals], branch: str, frames: Frames, t_ns: int) -> BranchNow:
    settings = model.site.branches[branch]
    points = model.site.points_of(branch)
    if not points:
        return BranchNow(None, None, None, None, "", False, settings.kind, settings.source, settings.purpose)  # noqa: FBT003
    owner = int(owners([per_point[p.id] for p in points])[0])
    found = per_point[points[owner].id]
    mounting = points[owner].mounting_at(t_ns)
    frame = frames.get(mounting.meter) if mounting else None
    power = _number(found.active_power[0])
    spread = 0.0 if power is None else abs(power) * mounting.class_percent / 100 if mounting else _half_width(found)
    return BranchNow(
        power,
        None if power is None else power - spread,
        None if power is None else power + spread,
        None if frame is None else frame.age_s(t_ns, _power_of(model.points[points[owner].id])),
        mounting.meter if mounting else "",
        owner > 0,
        settings.kind,
        settings.source,
        settings.purpose,
    )


def _half_width(hour: PointIntervals) -> float:
    """Half the band of an hour's net energy, kW; 0 where nothing bounds it."""
    width = hour.energy_import_high - hour.energy_import_low + hour.energy_export_high - hour.energy_export_low
    return float(np.nan_to_num(width[0])) / 2


def window_spans(model: PlantModel, t_ns: int, end_ns: int) -> dict[str, tuple[Span, str]]:
    """Spans of the running windows up to ``end_ns`` (the last settled slot) and the period kind each is read as."""
    calendar = model.site.calendar
    wall = calendar.local(t_ns)
    spans = {
        "shift": (calendar.shift(*calendar.shift_at(t_ns)), "interval"),
        "production_day": (calendar.production_day(calendar.production_date(t_ns)), "day"),
        "day": (calendar.day(wall.date()), "day"),
        "month": (calendar.month(wall.year, wall.month), "month"),
    }
    found = {"last_24h": (Span(end_ns - 24 * HOUR_NS, end_ns), "interval")}
    found |= {n: (Span(s.start_ns, min(end_ns, s.end_ns)), kind) for n, (s, kind) in spans.items() if s.start_ns < end_ns}
    return found
