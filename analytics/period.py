"""Figures of any span from its 15-min rows: sums with bands, ratios of sums, standing to the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analytics.balance import Banded
from analytics.estimate import SLOTS_A_DAY, Sum, close_gaps, summed
from analytics.figures import Flow, PeriodFigures, PointEnergy
from analytics.flags import flag_names
from analytics.green import certificate_ratio_percent, certificates_of_year
from analytics.limits import standing
from analytics.lines import NUMERATORS, charge_class_percent
from analytics.metal import DISAGREES, tapped_kg, taps
from analytics.period_metal import process_metal, subjects_of
from analytics.period_rows import Period
from analytics.table import interval_hash
from plant import nodes
from plant.indicators import Figure

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

SHARES = ("green_share_physical", "pv_feed_in", "pv_self_consumption", "current_efficiency", "rectifier_efficiency")


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
        (*used, *_yields(period), f"site@{period.site.edition}", f"rules@{period.rulebook.edition}"),
        interval_hash([period.rows]),
        int((~np.isfinite(period.rows.column(nodes.PLANT, "completeness"))).sum()),
    )


def _yields(period: Period) -> list[str]:
    """Editions of the Faraday rule that the metal of the span rests on: those of its first and its last day."""
    site = period.site
    if not site.potlines:
        return []
    days = (site.calendar.local(period.span.start_ns).date(), period.day)
    rules = [period.rulebook.in_force("faraday-yield", day, (site.province, "CN")) for day in days]
    return list(dict.fromkeys(rule.edition for rule in rules if rule is not None))


def _figure(period: Period, node: str, indicator: str, found: Sum, share: float | None = None) -> Figure:
    found = _possible(indicator, found)
    measured, completeness = found.measured_share if share is None else share, period.completeness(node)
    enough = measured >= period.site.accounting.measured_share_min
    value = found.value if enough else None
    held = standing(period.rulebook, period.site, indicator, value, found.low, found.high, period.day, period.kind)
    reason = ""
    if found.value is None:
        reason = "no interval was measured whole" if completeness > 0 else "nothing was measured"
    elif not enough:
        reason = f"measured share {measured:.1%} is below {period.site.accounting.measured_share_min:.0%}"
    elif found.estimated_slots:
        reason = f"{found.estimated_slots} of {len(period.rows.start_ns)} intervals are estimated"
    return Figure(indicator, value, found.low, found.high, completeness, measured, reason, held.status, held.editions)


def _possible(indicator: str, found: Sum) -> Sum:
    """The band cut to what can be: nothing but a residual is below 0, no part is more than its whole. A value beyond that, of
    meters that disagree, stays in its band."""
    low, high = found.low, found.high
    if low is not None and indicator != "residual":
        low = max(low, 0.0) if found.value is None else min(max(low, 0.0), found.value)
    if high is not None and indicator in SHARES:
        high = min(high, 100.0) if found.value is None else max(min(high, 100.0), found.value)
    return replace(found, low=low, high=high)


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
    assert part.low is not None and part.high is not None and whole.low is not None and whole.high is not None
    less = float(np.hypot(1 - part.low / part.value, 1 - whole.value / whole.high))
    more = float(np.hypot(part.high / part.value - 1, whole.value / whole.low - 1))
    low, high = found.value * max(1 - less, 0.0), found.value * (1 + more)
    return Sum(found.value, low, high, found.measured_share, found.estimated_slots)


def _plant(period: Period) -> dict[str, Figure]:
    sums = {name: period.sum(nodes.PLANT, name) for name in PLANT_SUMS}
    sums["green_to_load"] = _within(sums["green_to_load"], sums["load_energy"])
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
    if certified is not None and not certificates_of_year(period.entries, period.day.year).total_mwh:
        without = f"no certificate cancelled for {period.day.year} is in the ledger"
        found["certificate_ratio"] = _because(found["certificate_ratio"], without)
    if period.site.potlines:
        found |= _line(period, nodes.PLANT, list(period.site.potlines))
    return found


def _within(part: Sum, whole: Sum) -> Sum:
    """A part no larger than its whole: estimated slot by slot, or beside a negative load, it can come out larger."""

    def least(a: float | None, b: float | None) -> float | None:
        return a if a is None or b is None else min(a, max(b, 0.0))

    value = least(part.value, whole.value)
    low = part.low if value is None else least(part.low, value)
    return replace(part, value=value, low=low, high=least(part.high, whole.high))


def _complement(percent: Sum) -> Sum:
    def rest(x: float | None) -> float | None:
        return None if x is None else 100.0 - x

    return Sum(rest(percent.value), rest(percent.high), rest(percent.low), percent.measured_share, percent.estimated_slots)


def _certified(period: Period, load: Sum, charge: Sum, discharge: Sum) -> Sum | None:
    """R of the span's year to date: only for a year, since certificates are cancelled for a year."""
    if period.kind != "year" or load.value is None:
        return None
    lost = [(into or 0.0) - (out or 0.0) for into, out in _edges(charge, discharge)]
    certificates = certificates_of_year(period.entries, period.day.year)
    uses = zip((load.value, load.high, load.low), lost, strict=True)
    ends = [None if use is None or use + more <= 0 else use + more for use, more in uses]
    ratios = [None if use is None else certificate_ratio_percent(certificates, use / 1000.0) for use in ends]
    return Sum(ratios[0], ratios[1], ratios[2], load.measured_share, load.estimated_slots)


def _edges(charge: Sum, discharge: Sum) -> list[tuple[float | None, float | None]]:
    """Charge and discharge as they are, and where their difference is largest and smallest."""
    return [(charge.value, discharge.value), (charge.high, discharge.low), (charge.low, discharge.high)]


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
    doubt = _doubt(period, lines)
    for name in ("metal_produced", "current_efficiency") if doubt else ():
        figures[name] = _because(figures[name], doubt)
    if any(e.kind == "metal_tapped" and e.subject in subjects_of(lines) for e in period.entries):
        figures["metal_tapped"] = _tapped(period, lines)
    return figures


def _because(figure: Figure, reason: str) -> Figure:
    """The figure with one more reason."""
    return replace(figure, reason="; ".join(filter(None, (figure.reason, reason))))


def _doubt(period: Period, lines: Sequence[str]) -> str:
    """Why metal rests on the stated efficiency although it was weighed; empty where it does not."""
    fits = {line: period.efficiency[line] for line in lines if line in period.efficiency}
    used = {line: {f.fits[i].origin for i in f.rows(period.rows.start_ns)} for line, f in fits.items()}
    doubtful = [line for line, origins in used.items() if DISAGREES in origins]
    return f"weighed metal of {', '.join(doubtful)} disagrees with the stated efficiency, which stands" if doubtful else ""


def _tapped(period: Period, lines: Sequence[str]) -> Figure:
    """What the scales showed, with the band of their class; each line has its own scale.

    Complete by the days with a tap, of the days so far: a day without any has documents to come, or none that count.
    """
    masses = [tapped_kg(period.entries, subjects_of([line]), period.span) / 1000.0 for line in lines]
    shares = [period.site.potlines[line].scale_class_percent / 100 for line in lines]
    value, half = sum(masses), float(np.linalg.norm([m * s for m, s in zip(masses, shares, strict=True)]))
    share = _days_tapped(period, lines)
    reason = "" if share == 1 else f"taps are known of {share:.0%} of the days"
    return Figure("metal_tapped", value, value - half, value + half, share, share, reason)


def _days_tapped(period: Period, lines: Sequence[str]) -> float:
    """Share of the settled days of a span with a weighed tap, mean over the lines."""
    settled = np.flatnonzero(np.isfinite(period.rows.column(nodes.PLANT, "completeness")))
    if not len(settled):
        return 0.0
    date_of, start_ns = period.site.calendar.production_date, period.rows.start_ns[: settled[-1] + 1]
    days = {date_of(int(t)) for t in (*start_ns[::SLOTS_A_DAY], start_ns[-1])}
    known = [{date_of(int(t)) for t in taps(period.entries, subjects_of([line]))[0]} for line in lines]
    return float(np.mean([len(tapped & days) / len(days) for tapped in known]))


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
    """Flows that carried anything. What is missing is estimated as in the sums they are parts of, and null like those where
    too little was measured."""
    found = []
    hours = len(period.rows.start_ns) * period.rows.step_ns / 3.6e12
    share = period.rows.column(nodes.PLANT, "measured_share")
    for node in period.rows.columns:
        if node.startswith("flow:"):
            source, _, sink = node.removeprefix("flow:").partition(">")
            energy = period.rows.column(node, "flow_energy")
            solar = period.site.branches[source.partition("/")[0]].kind == "pv"
            whole = summed(Banded(energy, energy, energy), share, period.rows.start_ns, "solar" if solar else "load")
            if whole.value == 0:
                continue
            enough = whole.value is not None and whole.measured_share >= period.site.accounting.measured_share_min
            value = whole.value if enough else None
            found.append(Flow(source, sink, value, None if value is None else value / hours))
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
