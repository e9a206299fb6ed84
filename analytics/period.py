"""Figures of any span from its 15-min rows: sums with bands, ratios of sums, standing to the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from analytics.balance import Banded
from analytics.counters import F64
from analytics.estimate import Sum, close_gaps, summed
from analytics.figures import Flow, PeriodFigures, PeriodStatus, PointEnergy
from analytics.flags import flag_names
from analytics.green import certificate_ratio_percent, certificates_of_year
from analytics.limits import PeriodKind, standing
from analytics.lines import NUMERATORS, charge_class_percent, stated_fits
from analytics.metal import Fits, tapped_kg
from analytics.table import Table, interval_hash
from plant import nodes
from plant.indicators import Figure
from plant.ports import LedgerEntry
from plant.rulebook import Rulebook
from plant.series import Span
from plant.site import Site

SOLAR = ("renewable_generation", "green_to_load", "renewable_export")
PLANT_SUMS = (
    "load_energy",
    "grid_import",
    "grid_export",
    "renewable_generation",
    "captive_generation",
    "storage_charge",
    "storage_discharge",
    "green_to_load",
)


@dataclass(frozen=True, slots=True)
class Period:
    """A span to be summed up: its rows, the ledger entries that touch it, and how it is to be read."""

    site: Site
    rulebook: Rulebook
    span: Span
    kind: PeriodKind
    rows: Table
    status: PeriodStatus
    entries: Sequence[LedgerEntry] = field(default_factory=tuple)
    efficiency: Mapping[str, Fits] = field(default_factory=dict)

    @property
    def day(self) -> date:
        """The plant's date at the end of the span: the rules of that day are held against the figures."""
        return self.site.calendar.local(max(self.span.end_ns - 1, self.span.start_ns)).date()

    def part(self, span: Span, kind: PeriodKind) -> Period:
        """A span inside this one, cut at 15-min bounds."""
        first, end = np.searchsorted(self.rows.start_ns, [span.start_ns, span.end_ns])
        inside = [e for e in self.entries if span.start_ns <= e.end_ns and e.start_ns < span.end_ns]
        rows = self.rows.take(slice(int(first), int(end)))
        return Period(self.site, self.rulebook, span, kind, rows, self.status, inside, self.efficiency)

    def sum(self, node: str, name: str) -> Sum:
        """Sum of a column of a node over the span."""
        amount = self.rows.banded(node, name)
        if not np.isfinite(amount.low).any() and not np.isfinite(amount.high).any():
            amount = type(amount)(amount.best, amount.best, amount.best)
        share = self.rows.column(node, "measured_share")
        return summed(amount, share, self.rows.start_ns, "solar" if name in SOLAR else "load")

    def completeness(self, node: str) -> float:
        """Mean of the slots' completeness, a slot without a row counting 0."""
        column = self.rows.column(node, "completeness")
        return float(np.nan_to_num(column).mean()) if len(column) else 0.0


def period_figures(period: Period) -> PeriodFigures:
    """Everything about a period. A figure below the site's smallest measured share is null, its band stays."""
    figures = {nodes.PLANT: _plant(period)}
    for line in period.site.potlines:
        figures[nodes.line(line)] = _line(period, nodes.line(line), [line])
    residual = {}
    for bus in period.site.buses:
        found = period.sum(nodes.bus(bus), "residual")
        residual[bus] = found.value
        figures[nodes.bus(bus)] = {"residual": _figure(period, nodes.bus(bus), "residual", found, share=1.0)}
    used = sorted({e for by in figures.values() for f in by.values() for e in f.editions})
    return PeriodFigures(
        period.span,
        period.status,
        figures,
        _flows(period),
        residual,
        [_point(period, p) for p in period.site.points],
        (*used, f"site@{period.site.edition}", f"rules@{period.rulebook.edition}"),
        interval_hash([period.rows]),
        int((~np.isfinite(period.rows.column(nodes.PLANT, "completeness"))).sum()),
    )


def _figure(period: Period, node: str, indicator: str, found: Sum, share: float | None = None) -> Figure:
    measured = found.measured_share if share is None else share
    enough = measured >= period.site.accounting.measured_share_min
    value = found.value if enough else None
    held = standing(period.rulebook, period.site, indicator, value, found.low, found.high, period.day, period.kind)
    reason = ""
    if found.value is None:
        reason = "nothing was measured"
    elif not enough:
        reason = f"measured share {measured:.1%} is below {period.site.accounting.measured_share_min:.0%}"
    elif found.estimated_slots:
        reason = f"{found.estimated_slots} of {len(period.rows.start_ns)} intervals are estimated"
    return Figure(
        indicator, value, found.low, found.high, period.completeness(node), measured, reason, held.status, held.editions
    )


def _ratio(part: Sum, whole: Sum, factor: float = 1.0, most: float | None = None) -> Sum:
    """Ratio of two sums with the band of both."""
    share = min(part.measured_share, whole.measured_share)
    slots = max(part.estimated_slots, whole.estimated_slots)

    def over(a: float | None, b: float | None) -> float | None:
        if a is None or b is None or b <= 0:
            return None
        return factor * a / b if most is None else min(max(factor * a / b, 0.0), most)

    return Sum(over(part.value, whole.value), over(part.low, whole.high), over(part.high, whole.low), share, slots)


def independent_ratio(part: Sum, whole: Sum, factor: float = 1.0) -> Sum:
    """Ratio of two sums whose meters err independently: the shares by which they may be off add as squares."""
    found = _ratio(part, whole, factor)
    if not found.value or found.low is None or found.high is None or part.value is None or whole.value is None:
        return found
    assert part.low is not None and part.high is not None and whole.low is not None and whole.high is not None  # noqa: PT018
    less = float(np.hypot(1 - part.low / part.value, 1 - whole.value / whole.high))
    more = float(np.hypot(part.high / part.value - 1, whole.value / whole.low - 1))
    low, high = found.value * max(1 - less, 0.0), found.value * (1 + more)
    return Sum(found.value, low, high, found.measured_share, found.estimated_slots)


def _plant(period: Period) -> dict[str, Figure]:
    sums = {name: period.sum(nodes.PLANT, name) for name in PLANT_SUMS}
    found = {name: _figure(period, nodes.PLANT, name, s) for name, s in sums.items() if s.value is not None or s.high is not None}
    shares = {"green_share_physical": _ratio(sums["green_to_load"], sums["load_energy"], 100.0, 100.0)}
    exported = period.sum(nodes.PLANT, "renewable_export")
    made = sums["renewable_generation"]
    if made.value:
        shares["pv_feed_in"] = _ratio(exported, made, 100.0, 100.0)
        shares["pv_self_consumption"] = _complement(shares["pv_feed_in"])
    certified = _certified(period, sums["load_energy"], sums["storage_charge"], sums["storage_discharge"])
    if certified is not None:
        shares["certificate_ratio"] = certified
    found |= {name: _figure(period, nodes.PLANT, name, s) for name, s in shares.items()}
    if period.site.potlines:
        found |= _line(period, nodes.PLANT, list(period.site.potlines))
    return found


def _complement(percent: Sum) -> Sum:
    def rest(x: float | None) -> float | None:
        return None if x is None else 100.0 - x

    return Sum(rest(percent.value), rest(percent.high), rest(percent.low), percent.measured_share, percent.estimated_slots)


def _certified(period: Period, load: Sum, charge: Sum, discharge: Sum) -> Sum | None:
    """R of the span's year to date: only for a year, since certificates are cancelled for a year."""
    if period.kind != "year" or load.value is None:
        return None
    lost = (charge.value or 0.0) - (discharge.value or 0.0)
    certificates = certificates_of_year(period.entries, period.day.year)
    ends = [None if x is None or x + lost <= 0 else x + lost for x in (load.value, load.high, load.low)]
    ratios = [None if use is None else certificate_ratio_percent(certificates, use / 1000.0) for use in ends]
    return Sum(ratios[0], ratios[1], ratios[2], load.measured_share, load.estimated_slots)


def _line(period: Period, node: str, lines: Sequence[str]) -> dict[str, Figure]:
    """Process figures of a line, or of the plant as the sum of its lines: ratios of sums."""
    metal = process_metal(period, node, lines)
    sums = {name: period.sum(node, name) for name in dict.fromkeys(NUMERATORS.values())}
    found = {"metal_produced": metal, "rectifier_energy": sums["rectifier_energy"], "dc_energy": sums["dc_energy"]}
    for indicator, numerator in NUMERATORS.items():
        found[indicator] = independent_ratio(sums[numerator], metal)
    found["rectifier_efficiency"] = independent_ratio(sums["dc_energy"], sums["rectifier_energy"], 100.0)
    found["current_efficiency"] = _current_efficiency(period, node, lines, metal)
    figures = {name: _figure(period, node, name, s) for name, s in found.items()}
    if any(e.kind == "metal_tapped" and e.subject in _subjects(lines) for e in period.entries):
        figures["metal_tapped"] = _tapped(period, lines)
    return figures


def _subjects(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(subject for line in lines for subject in (line, nodes.line(line)))


def _tapped(period: Period, lines: Sequence[str]) -> Figure:
    """What the scales showed, with the band of their class; each line has its own scale."""
    masses = [tapped_kg(period.entries, _subjects([line]), period.span) / 1000.0 for line in lines]
    shares = [period.site.potlines[line].scale_class_percent / 100 for line in lines]
    value, half = sum(masses), float(np.linalg.norm([m * s for m, s in zip(masses, shares, strict=True)]))
    return Figure("metal_tapped", value, value - half, value + half, 1.0, 1.0)


def _fits(period: Period, line: str) -> Fits:
    return period.efficiency.get(line) or stated_fits(period.site, line)


def _full_t(period: Period, line: str) -> F64:
    """Metal at 100 % efficiency of the rows, t; what is missing on the line between its neighbours, 0 where nothing is known."""
    node = nodes.line(line)
    with np.errstate(invalid="ignore", divide="ignore"):
        full = period.rows.column(node, "metal_produced") / (period.rows.column(node, "current_efficiency") / 100)
    known = np.flatnonzero(np.isfinite(full))
    return np.interp(np.arange(len(full)), known, full[known]) if len(known) else np.zeros(len(full))


def process_metal(period: Period, node: str, lines: Sequence[str]) -> Sum:
    """Metal produced with its band: weighed where there are statements, else by the stated efficiency; lines independent."""
    parts = [_line_metal(period, line) for line in lines]
    if any(p.value is None for p in parts):
        return period.sum(node, "metal_produced")
    value = sum(p.value or 0.0 for p in parts)
    less, more = (np.linalg.norm([(edge or 0.0) - (p.value or 0.0) for p in parts for edge in (side(p),)]) for side in (_low, _high))
    share = sum((p.value or 0.0) * p.measured_share for p in parts) / value if value else min(p.measured_share for p in parts)
    slots = max(p.estimated_slots for p in parts)
    return Sum(value, max(value - float(less), 0.0), value + float(more), share, slots)


def _low(found: Sum) -> float | None:
    return found.low


def _high(found: Sum) -> float | None:
    return found.high


def _line_metal(period: Period, line: str) -> Sum:
    """Rows hold the band of single intervals; the period has its own, as errors of its parts cancel against the weighed total."""
    node, start_ns = nodes.line(line), period.rows.start_ns
    made = period.rows.column(node, "metal_produced")
    found = summed(Banded(made, made, made), period.rows.column(node, "measured_share"), start_ns)
    if found.value is None or found.low is None or found.high is None:
        return period.sum(node, "metal_produced")
    fits, full = _fits(period, line), _full_t(period, line)
    half = fits.half_width_t(start_ns, full)
    # what was estimated for a hole is made good by the rest of the window where the window's metal was weighed
    unweighed = 1.0 - fits.window_share(start_ns, full)
    less = float(np.hypot(half, (found.value - found.low) * unweighed))
    more = float(np.hypot(half, (found.high - found.value) * unweighed))
    return Sum(found.value, max(found.value - less, 0.0), found.value + more, found.measured_share, found.estimated_slots)


def _current_efficiency(period: Period, node: str, lines: Sequence[str], metal: Sum) -> Sum:
    """Metal of the metal at 100 % over the intervals that have both; weighed metal over ampere-hours has the band of both."""
    made, ce = period.rows.column(node, "metal_produced"), period.rows.column(node, "current_efficiency")
    rows = np.isfinite(made) & np.isfinite(ce) & (ce > 0) & (made > 0)
    if not rows.any() or not metal.value:
        return Sum(None, None, None, 0.0)
    value = float(made[rows].sum() / (made[rows] / ce[rows]).sum())
    charge = max(charge_class_percent(period.site, line) for line in lines) / 100
    low, high = (
        None if edge is None else value * (1 + sign * float(np.hypot(edge / metal.value - 1, charge)))
        for sign, edge in ((-1, metal.low), (1, metal.high))
    )
    return Sum(value, low, high, metal.measured_share, metal.estimated_slots)


def _flows(period: Period) -> list[Flow]:
    found = []
    hours = len(period.rows.start_ns) * period.rows.step_ns / 3.6e12
    for node in period.rows.columns:
        if node.startswith("flow:"):
            source, _, sink = node.removeprefix("flow:").partition(">")
            energy = float(np.nansum(period.rows.column(node, "flow_energy")))
            found.append(Flow(source, sink, energy, energy / hours))
    return found


def _point(period: Period, name: str) -> PointEnergy:
    point = period.site.points[name]
    node = nodes.point(name)
    rows = period.rows
    flags = rows.column(node, "flags")
    mounting = point.mounting_at(period.span.end_ns - 1)
    accuracy = mounting.class_percent if mounting else 0.0
    share = rows.column(node, "measured_share")
    solar = period.site.branches[point.branch].kind == "pv"
    sums = []
    for direction in ("energy_import", "energy_export"):
        amount, proven = close_gaps(rows.banded(node, direction), share, flags, accuracy)
        sums.append(summed(amount, proven, rows.start_ns, "solar" if solar else "load"))
    larger = max(sums, key=lambda s: abs(s.value or 0.0))
    raised = int(np.bitwise_or.reduce(np.nan_to_num(flags).astype(np.int64))) if len(flags) else 0
    into, out = sums
    return PointEnergy(
        name,
        point.branch,
        into.value,
        into.low,
        into.high,
        out.value,
        out.low,
        out.high,
        period.completeness(node),
        larger.measured_share,
        flag_names(raised),
    )
