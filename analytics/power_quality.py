"""Quality of the supply of each bus section against the limits of its voltage, and the time that the plant ran without the grid.

What was not measured is not fine: an interval without a reading may hold anything, so it opens the band upwards and a limit that
was not passed meanwhile is not decidable. Intervals in which the section was dead are an interruption, not a deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analytics.chapter import Chapter, Chaptered, Found, NodeFields
from analytics.counters import F64, Mask
from analytics.estimate import Sum
from analytics.gauges import (
    BETWEEN_PHASES,
    DECIDED,
    ISLANDED,
    KNOWN_MIN,
    TO_NEUTRAL,
    UNBALANCE,
    VOLTAGE_THD,
    received,
    supply_meters,
    supply_slots,
)
from analytics.limits import standing
from analytics.period_rows import Period
from analytics.period_sums import figure_of
from plant import nodes
from plant.indicators import Figure
from plant.site import Site

NOMINAL_HZ = 50.0
DEAD_PERCENT = 10.0  # of the nominal voltage, below which a section is out of supply
SHARE = 0.95  # of the intervals, that a 95 % value holds for
SLOT_MIN = 15.0
_FIELDS = tuple(
    f"{q}{e}"
    for q in ("frequency", *BETWEEN_PHASES, *TO_NEUTRAL, *VOLTAGE_THD, UNBALANCE)
    for e in ("", "_min", "_max", "_count")
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A gauge over m intervals: mean, least and most, NaN where it has no reading; ``received`` is samples of due, 0..1."""

    mean: F64
    least: F64
    most: F64
    received: F64

    def of(self, rows: Mask) -> Shown:
        """The same for some of the intervals."""
        return Shown(self.mean[rows], self.least[rows], self.most[rows], self.received[rows])

    def mirrored(self) -> Shown:
        """With its sign turned."""
        return Shown(-self.mean, -self.most, -self.least, self.received)

    @property
    def speaks(self) -> bool:
        """Whether there is any reading."""
        return bool(np.isfinite(self.mean).any())

    @property
    def seen(self) -> F64:
        """Share of each interval of which the readings tell, 0..1: of one with few readings so much alone."""
        told = np.where(self.received >= KNOWN_MIN, 1.0, self.received)
        return np.where(np.isfinite(self.mean), told, 0.0)


def thd_percent(harmonics_percent: Sequence[float]) -> float:
    """Total harmonic distortion from the harmonics, each in % of the fundamental: the root of the sum of squares."""
    return float(np.sqrt(np.sum(np.square(harmonics_percent))))


def minutes_above(shown: Shown, limit: float) -> Sum:
    """Minutes of the intervals [m] with the value above a limit, as mean, least and most tell.

    The bounds hold whatever the values in between were; the estimate spreads half of the time evenly on either side of the
    mean. What an interval has no readings of may have been above all the time.
    """
    mean, least, most = shown.mean, shown.least, shown.most
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        below = np.where(limit >= mean, 0.5 * (most - limit) / (most - mean), 1.0 - 0.5 * (limit - least) / (mean - least))
        # no more than if the rest lay at the least, no less than if those above lay at the most
        upper = np.where(mean < limit, (mean - least) / (limit - least), 1.0)
        lower = np.where(mean > limit, (mean - limit) / (most - limit), 0.0)
    inside, outside = most <= limit, least > limit
    lower = np.select([inside, outside], [0.0, 1.0], lower)
    upper = np.select([inside, outside], [0.0, 1.0], upper)
    best = np.clip(np.select([inside, outside], [0.0, 1.0], below), lower, upper)
    return _of_intervals(best, lower, upper, shown.seen)


def _of_intervals(best: F64, lower: F64, upper: F64, seen: F64) -> Sum:
    missing, known = int((seen < 1.0).sum()), seen > 0
    if not known.any():
        return Sum(None, 0.0, SLOT_MIN * len(known), 0.0, missing)
    edges = [SLOT_MIN * float((edge * seen)[known].sum()) for edge in (best, lower, upper)]
    return Sum(edges[0], edges[1], edges[2] + SLOT_MIN * float((1.0 - seen).sum()), float(seen.mean()), missing)


def largest(value: F64, off: float = 0.0, seen: F64 | None = None) -> Sum:
    """Largest of the known values [m], each right within ``off``; its upper end is open while some are missing, or ``seen``
    in part alone."""
    known = np.isfinite(value)
    told = known.astype(float) if seen is None else np.where(known, seen, 0.0)
    missing = int((told < 1.0).sum())
    if not known.any():
        return Sum(None, None, None, 0.0, missing)
    found = float(value[known].max())
    return Sum(found, found - off, None if missing else found + off, float(told.mean()), missing)


def value_95(value: F64, seen: F64 | None = None) -> Sum:
    """The value [m] that 95 % of the intervals do not pass; those without a reading, or ``seen`` in part alone, may lie below
    or above all others."""
    told = np.isfinite(value).astype(float) if seen is None else np.where(np.isfinite(value), seen, 0.0)
    known = np.sort(value[told >= 1.0])
    missing = len(value) - len(known)
    if not len(known):
        return Sum(None, None, None, float(told.mean()), missing)

    def at(position: int) -> float | None:
        return float(known[position]) if 0 <= position < len(known) else None

    whole = int(np.ceil(SHARE * len(value))) - 1
    low = at(max(whole - missing, 0))
    return Sum(at(int(np.ceil(SHARE * len(known))) - 1), low, at(whole), float(told.mean()), missing)


def shown_of(period: Period, bus: str, quantity: str) -> Shown:
    """A gauge of a bus section: of each interval what the first of its meters showed that has a reading."""
    m = len(period.rows.start_ns)
    mean, least, most, share = (np.full(m, np.nan) for _ in range(4))
    for meter, mounted in supply_slots(period.site, bus, period.rows.start_ns, period.rows.step_ns).items():
        if np.isfinite(mean).all():
            break
        found = [period.rows.column(nodes.meter(meter), quantity + e) for e in ("", "_min", "_max")]
        fresh = ~np.isfinite(mean) & np.isfinite(found[0]) & mounted
        mean, least, most = (np.where(fresh, new, old) for new, old in zip(found, (mean, least, most), strict=True))
        told = received(period.rows, meter, quantity)
        share = np.where(fresh, np.where(np.isfinite(told), told, 1.0), share)
    return Shown(mean, least, most, np.nan_to_num(share))


def _compute(period: Period, found: Mapping[str, Mapping[str, Figure]]) -> Chaptered:  # noqa: ARG001
    figures: Found = {}
    details: dict[str, Any] = {}
    if len(period.rows.start_ns) == 0:
        return Chaptered()
    for bus in period.site.buses:
        mine, worst = _section(period, bus)
        if mine:
            figures[nodes.bus(bus)] = mine
            details[bus] = worst
    islanded = _islanded(period)
    if islanded:
        figures[nodes.PLANT] = islanded
    return Chaptered(figures, details)


def _section(period: Period, bus: str) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Figures of a bus section and when each was worst; what no meter of it can show is left out."""
    nominal_v = 1000.0 * period.site.bus_voltage_kv.get(bus, 0.0)
    phases = _speaking(period, bus, BETWEEN_PHASES)
    root = 1.0 if phases else float(np.sqrt(3.0))
    phases = phases or _speaking(period, bus, TO_NEUTRAL)
    percent = [_deviation(p, root, nominal_v) for p in phases] if nominal_v > 0 else []
    alive = np.ones(len(period.rows.start_ns), bool)
    for phase in percent:
        alive &= ~(phase.least <= DEAD_PERCENT - 100.0)
    if not alive.any():
        return {}, {"interrupted_intervals": int((~alive).sum())}
    section = _Section(period, bus, alive)
    if percent:
        section.worst["interrupted_intervals"] = int((~alive).sum())
        section.voltage([p.of(alive) for p in percent])
    for hertz in _speaking(period, bus, ("frequency",)):
        section.frequency(hertz.of(alive))
    section.ninety_five("voltage_thd", [p.of(alive) for p in _speaking(period, bus, VOLTAGE_THD)])
    section.ninety_five("voltage_unbalance", [p.of(alive) for p in _speaking(period, bus, (UNBALANCE,))])
    return section.figures, section.worst


def _speaking(period: Period, bus: str, quantities: Sequence[str]) -> list[Shown]:
    """Those of the gauges that have any reading."""
    return [shown for shown in (shown_of(period, bus, q) for q in quantities) if shown.speaks]


def _deviation(volts: Shown, root: float, nominal_v: float) -> Shown:
    """Deviation from the nominal voltage in %, + above."""
    mean, least, most = (100.0 * (x * root / nominal_v - 1.0) for x in (volts.mean, volts.least, volts.most))
    return Shown(mean, least, most, volts.received)


class _Section:
    """Gathers the figures of one bus section."""

    def __init__(self, period: Period, bus: str, alive: Mask) -> None:
        self._period, self._bus, self._alive = period, bus, alive
        self._voltage_kv = period.site.bus_voltage_kv.get(bus)
        self.figures: dict[str, Figure] = {}
        self.worst: dict[str, Any] = {}

    def frequency(self, hertz: Shown) -> None:
        """Deviation while the grid is there and without it, and minutes beyond the limit for the grid."""
        islanded = np.nan_to_num(self._period.rows.column(nodes.ISLAND, ISLANDED)[self._alive]) > 0
        off = np.fmax(hertz.most - NOMINAL_HZ, NOMINAL_HZ - hertz.least)
        self._worst("frequency_deviation", off)
        if islanded.any():
            self._put("frequency_deviation_islanded", largest(off[islanded], seen=hertz.seen[islanded]), hertz)
        if islanded.all():
            return
        self._put("frequency_deviation", largest(off[~islanded], seen=hertz.seen[~islanded]), hertz)
        limit, with_grid = self._limit("frequency_deviation"), hertz.of(~islanded)
        if limit is not None:
            over = [minutes_above(with_grid, NOMINAL_HZ + limit), minutes_above(with_grid.mirrored(), limit - NOMINAL_HZ)]
            self._put("frequency_outside", either(over, len(with_grid.mean)), hertz)

    def voltage(self, percent: Sequence[Shown]) -> None:
        """Highest and lowest deviation of any phase; minutes outside where the limit is one of an instant."""
        off = max((m.class_percent for m in supply_meters(self._period.site, self._bus)), default=0.0)
        up = np.max([p.most for p in percent], axis=0)
        down = np.max([-p.least for p in percent], axis=0)
        seen = np.min([p.seen for p in percent], axis=0)
        above, below = largest(up, off, seen), largest(down, off, seen)
        for name, found, column in (("voltage_deviation_up", above, up), ("voltage_deviation_down", below, down)):
            self._put(name, found, percent[0])
            self._worst(name, column)
        self._put("voltage_deviation_span", both_deviations(above, below), percent[0])
        most, least = self._limit("voltage_deviation_up"), self._limit("voltage_deviation_down")
        if most is not None and least is not None:
            over = [minutes_above(p, most) for p in percent] + [minutes_above(p.mirrored(), least) for p in percent]
            self._put("voltage_outside", either(over, len(up)), percent[0])

    def ninety_five(self, indicator: str, phases: Sequence[Shown]) -> None:
        """The 95 % value of the largest of the phases, and the minutes beyond its limit."""
        if not phases:
            return
        most = np.max([p.most for p in phases], axis=0)
        self._put(indicator, value_95(most, np.min([p.seen for p in phases], axis=0)), phases[0])
        self._worst(indicator, most)
        limit = self._limit(indicator)
        if limit is not None:
            self._put(f"{indicator}_outside", either([minutes_above(p, limit) for p in phases], len(most)), phases[0])

    def _limit(self, indicator: str) -> float | None:
        scope = (self._period.site.province, "CN")
        rules = self._period.rulebook.for_indicator(indicator, self._period.day, scope, self._voltage_kv)
        return min((float(r.value) for r in rules if r.kind == "upper_limit"), default=None)

    def _put(self, indicator: str, found: Sum, shown: Shown) -> None:
        """A figure held against the limits of this voltage; with its upper end open it can be proven over, never within."""
        period = self._period
        figure = figure_of(period, nodes.bus(self._bus), indicator, found)
        high = float("inf") if found.high is None and figure.value is not None else figure.high
        held = standing(
            period.rulebook,
            period.site,
            indicator,
            figure.value,
            figure.low,
            high,
            period.day,
            period.kind,
            self._voltage_kv,
        )
        reason = (
            f"{found.estimated_slots} of {len(shown.received)} intervals have too few readings" if found.estimated_slots else ""
        )
        reason = "no reading of it in the period" if found.value is None else reason
        self.figures[indicator] = replace(
            figure,
            completeness=float(shown.received.mean()),
            reason=reason if figure.value is not None or found.value is None else figure.reason,
            status=held.status,
            editions=held.editions,
        )

    def _worst(self, name: str, column: F64) -> None:
        if np.isfinite(column).any():
            at = int(np.nanargmax(column))
            start = self._period.site.calendar.local(int(self._period.rows.start_ns[self._alive][at]))
            self.worst[name] = {"value": float(column[at]), "interval": start.isoformat(timespec="minutes")}


def both_deviations(above: Sum, below: Sum) -> Sum:
    """Absolute values of the highest and the lowest deviation together; one that is on the other side of nominal adds nothing."""
    if above.value is None or below.value is None:
        return above
    value = max(above.value, 0.0) + max(below.value, 0.0)
    off = sum(s.value - s.low for s in (above, below) if s.value is not None and s.low is not None)
    high = None if above.high is None or below.high is None else value + off
    return Sum(value, max(value - off, 0.0), high, min(above.measured_share, below.measured_share), above.estimated_slots)


def either(parts: Sequence[Sum], intervals: int) -> Sum:
    """Time in which any of the parts was outside: no less than the longest of them, no more than all one after another, nor
    than the ``intervals`` last."""
    known = [p for p in parts if p.value is not None and p.low is not None and p.high is not None]
    if not known:
        return parts[0]
    worst = min(known, key=lambda p: p.measured_share)
    values, lows = [p.value or 0.0 for p in known], [p.low or 0.0 for p in known]
    missing = SLOT_MIN * intervals * (1.0 - worst.measured_share)
    most = missing + sum((p.high or 0.0) - SLOT_MIN * intervals * (1.0 - p.measured_share) for p in known)
    most = max(min(most, SLOT_MIN * intervals), *values)
    return Sum(max(values), max(lows), most, worst.measured_share, worst.estimated_slots)


def _islanded(period: Period) -> dict[str, Figure]:
    """Minutes and runs without the grid; nothing for a plant whose ties nobody can see."""
    minutes, decided = (period.rows.column(nodes.ISLAND, name) for name in (ISLANDED, DECIDED))
    known = np.nan_to_num(decided)
    if not known.any():
        return {}
    total, open_min = float(np.nan_to_num(minutes).sum()), float((SLOT_MIN - known).sum())
    share = float(known.sum() / (SLOT_MIN * len(known)))
    without = np.nan_to_num(minutes) > 0
    runs = float((np.diff(np.concatenate([[0], without.astype(np.int8)])) == 1).sum())
    missing = int((known < SLOT_MIN).sum())
    times = Sum(total, total, total + open_min, share)
    counts = Sum(runs, runs, runs + missing, share)
    found = {"islanded_time": times, "islandings": counts}
    return {name: replace(figure_of(period, nodes.PLANT, name, s), completeness=share) for name, s in found.items()}


def _columns(site: Site) -> Sequence[NodeFields]:
    meters = dict.fromkeys(nodes.meter(m.meter) for bus in site.buses for m in supply_meters(site, bus))
    return ((list(meters), (*_FIELDS, "completeness")), ([nodes.ISLAND], (ISLANDED, DECIDED)))


CHAPTER = Chapter("power_quality", _compute, columns=_columns)
