"""Energy of a metering point per interval, with band, proof and flags, out of whatever its meters delivered.

Per direction the best evidence wins: imported amounts where there are any, else the register shaped by power, else
integrated power. Mountings are dated; each contributes the time it was in force.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from analytics.counters import F64, I64, PLAUSIBLE, Register, Seen, clean_register
from analytics.curve import Amounts, Curve, counter_curve, overlay, read_off
from analytics.flags import IntervalFlag
from analytics.power import NO_POWER, NS_PER_S, S_PER_H, PowerIntegral, integrate
from analytics.registers import Stated, chained, parts, stated_of
from analytics.samples import AMOUNT_GRID_NS, Readings, Samples, completeness, exchanges, mounted, within_rating
from plant.ports import Annotation
from plant.quantities import QUANTITIES
from plant.register_statements import RegisterStatement
from plant.site import LOAD_KINDS, Branch, MeteringPoint, Mounting

DIRECTIONS = ("import", "export")
AMOUNTS = ("interval_energy_import", "interval_energy_export")
AC_SIGNALS = ("energy_import", "energy_export", "active_power", *AMOUNTS)
DC_SIGNALS = ("dc_charge", "dc_energy", "dc_current", "dc_power", *AMOUNTS)
POWERS = ("active_power", "dc_power")
WrapsAt = Callable[[str, str], float | None]


@dataclass(frozen=True, slots=True, eq=False)
class PointIntervals:
    """One metering point over m intervals, plant's sign; float64[m], kWh (``dc_charge`` kAh), ``flags`` int64[m].

    ``active_power_kw`` is the mean (import - export). Missing energies are NaN; ``*_high`` is NaN where nothing bounds it.
    """

    energy_import: F64
    energy_import_low: F64
    energy_import_high: F64
    energy_export: F64
    energy_export_low: F64
    energy_export_high: F64
    active_power: F64
    completeness: F64
    measured_share: F64
    flags: I64
    dc_charge: F64

    def rows(self, rows: slice) -> PointIntervals:
        """The same for some of the intervals."""
        return PointIntervals(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class MeteredPoint:
    """What the interval computation needs to know of a point beside its readings."""

    point: MeteringPoint
    branch: Branch
    poll_interval_s: dict[str, float]
    gap_max_s: float

    def rated_kw(self, direction: str) -> float | None:
        """The most that can flow in one direction: None where unknown, 0 where the kind of branch rules it out."""
        if direction == "export" and self.branch.kind in LOAD_KINDS:
            return 0.0
        if direction == "import" and self.branch.kind == "pv":
            return 0.0
        return self.point.rated_power_kw or self.branch.capacity_kw or None


def point_intervals(
    metered: MeteredPoint,
    readings: Readings,
    bounds_ns: Sequence[I64],
    wraps_at: WrapsAt,
    annotations: Sequence[Annotation] = (),
    statements: Sequence[RegisterStatement] = (),
) -> list[PointIntervals]:
    """Intervals of a point for each of several sets of ascending bounds (say 1 min and 15 min): one curve, read off twice.

    ``readings`` reach beyond the outermost bounds by what the stores hold, so that bounds are interpolated and gaps closed.
    """
    parts: list[list[PointIntervals]] = [[] for _ in bounds_ns]
    covered_s: list[list[F64]] = [[] for _ in bounds_ns]
    for mounting, until in metered.point.mounted():
        inside = _clipped(bounds_ns, mounting.valid_from_ns, until)
        if not any(b[-1] > b[0] for b in inside):
            continue
        validity = (mounting.valid_from_ns, until)
        signals = Signals(metered, mounting, validity, readings, wraps_at, annotations, statements)
        found = _mounting_intervals(signals, inside)
        for i, one in enumerate(found):
            parts[i].append(one)
            covered_s[i].append(np.diff(inside[i]) / NS_PER_S)
    return [_joined(*part, metered) for part in zip(parts, covered_s, bounds_ns, strict=True)]


def _mounting_intervals(signals: Signals, bounds_ns: Sequence[I64]) -> list[PointIntervals]:
    metered, mounting = signals.metered, signals.mounting
    span = (min(int(b[0]) for b in bounds_ns), max(int(b[-1]) for b in bounds_ns))
    curves = {d: signals.energy_curve(d, span) for d in DIRECTIONS}
    charge = signals.charge_curve(span) if metered.point.side == "dc" else None
    if not any(curves.values()):
        # ampere-hours make metal even where the meter has no energy to tell
        return [replace(missing(b, metered), dc_charge=_charge(charge, b)) for b in bounds_ns]
    poll_s = metered.poll_interval_s.get(mounting.meter, 1.0)
    found: list[PointIntervals] = []
    for i, bounds in enumerate(bounds_ns):
        if i and bounds_ns[i - 1] is bounds:  # history without anything finer has one resolution
            found.append(found[-1])
            continue
        imported, exported = (_amounts(signals, d, curves[d], bounds) for d in DIRECTIONS)
        leading = signals.leading()
        grid_ns = AMOUNT_GRID_NS if leading in AMOUNTS else None
        complete = completeness(signals.get(leading).t_ns, bounds, poll_s, grid_ns)
        found.append(_point(imported, exported, bounds, complete, _charge(charge, bounds)))
    return found


def _clipped(bounds_ns: Sequence[I64], start_ns: int, end_ns: int) -> list[I64]:
    """Bounds within a validity, those that are the same array still being one."""
    found: list[I64] = []
    for i, bounds in enumerate(bounds_ns):
        found.append(found[-1] if i and bounds_ns[i - 1] is bounds else np.clip(bounds, start_ns, end_ns))
    return found


def _charge(curve: Curve | None, bounds_ns: I64) -> F64:
    """Ampere-hours of each interval in kAh, NaN where nothing counts them."""
    return np.full(len(bounds_ns) - 1, np.nan) if curve is None else read_off(curve, bounds_ns, None, 0.0).energy


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one mounting, and the curves they make."""

    metered: MeteredPoint
    mounting: Mounting
    validity: tuple[int, int]
    readings: Readings
    wraps_at: WrapsAt
    annotations: Sequence[Annotation] = ()
    statements: Sequence[RegisterStatement] = ()

    def get(self, quantity: str) -> Samples:
        found = mounted(self.readings, self.mounting, quantity, self.validity, self.annotations)
        rated_kw = self.metered.point.rated_power_kw
        return within_rating(found, PLAUSIBLE * rated_kw) if rated_kw and quantity in POWERS else found

    @property
    def dc(self) -> bool:
        return self.metered.point.side == "dc"

    def leading(self) -> str:
        """The signal that delivered most: what completeness is counted on."""
        return max(DC_SIGNALS if self.dc else AC_SIGNALS, key=lambda name: len(self.get(name)))

    def energy_curve(self, direction: str, span: tuple[int, int]) -> Curve | None:
        """Curve of one direction, None where this meter has nothing that measures it (then nothing is claimed to flow)."""
        amounts, flow = self.get(f"interval_energy_{direction}"), self.flow(direction)
        counter, stated = self.get(self._register(direction)), self._stated(self._register(direction))
        rated = self.metered.rated_kw(direction)
        # a register whose readings do not count is one all the same: nothing is known then, not that nothing flows
        read = len(self.readings.get((self.mounting.meter, self.name_on_meter(direction)), ()))
        if not (read or (len(flow.t_ns) and rated != 0) or len(amounts) or stated):
            return None
        curve = self._counter(counter, stated, flow, self._register(direction), rated, span)
        poll_s = self.metered.poll_interval_s.get(self.mounting.meter, 1.0)
        return overlay(curve, amounts.t_ns, _lengths(amounts.t_ns, poll_s), amounts.value) if len(amounts) else curve

    def counted(self, direction: str) -> tuple[Samples, Stated, Register]:
        """A register as it was read, as it was stated, and the count that both make."""
        quantity = self._register(direction)
        counter, stated = self.get(quantity), self._stated(quantity)
        return counter, stated, self.register(counter, stated, self.flow(direction), quantity, self.metered.rated_kw(direction))

    def stored(self, direction: str) -> Samples:
        """A register as it was read, readings under a verdict included."""
        return mounted(self.readings, self.mounting, self._register(direction), self.validity)

    def name_on_meter(self, direction: str) -> str:
        """The quantity under which the meter sends a register."""
        return self._on_meter(self._register(direction))

    def flow(self, direction: str) -> PowerIntegral:
        """What power shows to flow one way."""
        power, sign = self.get("dc_power" if self.dc else "active_power"), 1 if direction == "import" else -1
        if not len(power):
            return NO_POWER
        return integrate(power.t_ns, np.maximum(power.value * sign, 0.0), self.metered.gap_max_s)

    def _register(self, direction: str) -> str:
        return "dc_energy" if self.dc and direction == "import" else f"energy_{direction}"

    def charge_curve(self, span: tuple[int, int]) -> Curve:
        """Curve of ampere-hours in kAh."""
        current = self.get("dc_current")
        flow = integrate(current.t_ns, np.maximum(current.value, 0.0), self.metered.gap_max_s)
        return self._counter(self.get("dc_charge"), Stated(), flow, "dc_charge", None, span)

    def _on_meter(self, quantity: str) -> str:
        """The name that the meter gives a register."""
        mirror = QUANTITIES[quantity].mirror
        return mirror if self.mounting.direction < 0 and mirror else quantity

    def _stated(self, quantity: str) -> Stated:
        name = "energy_import" if quantity == "dc_energy" else self._on_meter(quantity)
        return stated_of(self.statements, self.metered.point.id, self.mounting, name, self.validity)

    def _counter(
        self, counter: Samples, stated: Stated, flow: PowerIntegral, quantity: str, rated: float | None, span: tuple[int, int]
    ) -> Curve:
        step = self.mounting.register_step_kwh if quantity != "dc_charge" else 0.0
        register = self.register(counter, stated, flow, quantity, rated)
        if rated == 0:  # no power stands in where the kind of branch rules it out, however single samples lie
            flow = replace(flow, energy=np.zeros(len(flow.energy)))
        return counter_curve(register, flow, span, self.metered.gap_max_s, step, rated)

    def register(self, counter: Samples, stated: Stated, flow: PowerIntegral, quantity: str, rated: float | None) -> Register:
        """The count of a register over the time of the mounting, over every exchange within it."""
        pieces = parts(counter, stated, self.metered.gap_max_s) if stated else [counter]
        register = chained([self._cleaned(piece, flow, quantity, rated) for piece in pieces or [counter]])
        for instant in exchanges(self.mounting.meter, self.annotations):
            i = int(np.searchsorted(register.t_ns, instant)) - 1
            # what was registered says more than a verdict
            if 0 <= i < len(register.boundary) and not stated.touches(int(register.t_ns[i]), int(register.t_ns[i + 1])):
                register.boundary[i] = True
        return register

    def _cleaned(self, counter: Samples, flow: PowerIntegral, quantity: str, rated: float | None) -> Register:
        ends_at = self.wraps_at(self.mounting.meter, self._on_meter(quantity))
        charge = quantity == "dc_charge"
        step, ratio = (0.0, 1.0) if charge else (self.mounting.register_step_kwh, self.mounting.ratio)
        seen = Seen(flow.energy_at(counter.t_ns), flow.covered_at(counter.t_ns), flow.peak)
        most, slack = None, 0.0
        if rated:
            by_rating = PLAUSIBLE * rated * np.diff(counter.t_ns) / NS_PER_S / S_PER_H
            most = np.concatenate([[0.0], np.cumsum(np.fmax(by_rating, PLAUSIBLE * np.diff(seen.energy)))])[: len(counter)]
            slack = step + rated / S_PER_H
        return clean_register(
            counter.t_ns,
            counter.value,
            wraps_at=None if ends_at is None else ends_at * ratio,
            most=most,
            slack=slack,
            power=seen if len(flow.t_ns) else None,
            gap_s=self.metered.gap_max_s,
        )


def _lengths(start_ns: I64, poll_interval_s: float) -> I64:
    """Length of the interval of each amount: to the next one, at most the usual spacing; a lone one has the meter's."""
    gap = np.sort(np.diff(start_ns))
    usual = int(gap[(len(gap) - 1) // 2]) if len(gap) else round(poll_interval_s * NS_PER_S)
    length: I64 = np.minimum(np.append(np.diff(start_ns), usual), usual).astype(np.int64)
    return length


def _amounts(signals: Signals, direction: str, curve: Curve | None, bounds_ns: I64) -> Amounts:
    rated = signals.metered.rated_kw(direction)
    if curve is None:
        zero = np.zeros(len(bounds_ns) - 1)
        found = Amounts(zero, zero, zero, zero, zero, np.zeros(len(zero), np.int64))
    else:
        found = read_off(curve, bounds_ns, rated, signals.mounting.class_percent)
    if rated != 0:
        return found
    # the kind of branch and samples of power contradict each other: it rules, the band holds both
    seen = np.diff(signals.flow(direction).energy_at(bounds_ns))
    return replace(found, high=np.where((seen > 0) & ~(found.energy > 0), np.fmax(found.high, seen), found.high))


def _point(imported: Amounts, exported: Amounts, bounds_ns: I64, complete: F64, charge: F64) -> PointIntervals:
    seconds = np.maximum(np.diff(bounds_ns) / NS_PER_S, 1e-9)
    turnover = np.abs(imported.energy) + np.abs(exported.energy)
    proven = np.abs(imported.proven) + np.abs(exported.proven)
    flags = imported.flags | exported.flags
    known = 1 - np.maximum(imported.unknown_s, exported.unknown_s) / seconds
    idle = np.where((flags & int(IntervalFlag.SPREAD | IntervalFlag.RESET | IntervalFlag.FROZEN)) > 0, 0.0, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(np.isnan(turnover), 0.0, np.where(turnover > 0, np.minimum(proven / turnover, 1.0), idle))
    return PointIntervals(
        imported.energy,
        imported.low,
        imported.high,
        exported.energy,
        exported.low,
        exported.high,
        (imported.energy - exported.energy) / seconds * S_PER_H,
        complete,
        np.clip(share, 0.0, 1.0),
        flags,
        charge,
    )


def _joined(parts: list[PointIntervals], covered_s: list[F64], bounds_ns: I64, metered: MeteredPoint) -> PointIntervals:
    """Sum over mountings, each only where it was in force for a while: what a meter does not tell of a time at which it was not
    there is no gap. Completeness is weighed by time; an interval that no mounting covers is missing."""
    if not parts:
        return missing(bounds_ns, metered)
    seconds = np.diff(bounds_ns) / NS_PER_S
    if len(parts) == 1 and (covered_s[0] == seconds).all():
        return parts[0]
    there = np.array(covered_s) > 0
    stacked = {f.name: np.array([getattr(p, f.name) for p in parts]) for f in fields(PointIntervals)}
    total = {name: np.where(there, column, 0).sum(axis=0) for name, column in stacked.items()}
    total["active_power"] = (total["energy_import"] - total["energy_export"]) / seconds * S_PER_H
    total["completeness"] = np.where(there, stacked["completeness"] * covered_s, 0.0).sum(axis=0) / seconds
    total["measured_share"] = np.where(there, stacked["measured_share"], 1.0).min(axis=0)
    total["flags"] = np.bitwise_or.reduce(np.where(there, stacked["flags"], 0))
    absent, covered = missing(bounds_ns, metered), there.any(axis=0)
    return PointIntervals(**{name: np.where(covered, total[name], getattr(absent, name)) for name in total})


def missing(bounds_ns: I64, metered: MeteredPoint) -> PointIntervals:
    """A point without any reading: energies unknown between 0 and what it can carry."""
    m = len(bounds_ns) - 1
    hours = np.diff(bounds_ns) / NS_PER_S / S_PER_H
    nan, zero = np.full(m, np.nan), np.zeros(m)
    high = [nan if r is None else r * hours for r in map(metered.rated_kw, DIRECTIONS)]
    best = [np.where(h == 0, 0.0, np.nan) for h in high]
    flags = np.full(m, int(IntervalFlag.GAP | IntervalFlag.ESTIMATED), np.int64)
    return PointIntervals(best[0], zero, high[0], best[1], zero, high[1], nan, zero, zero, flags, nan)
