"""Figures of any span from its 15-min rows: sums with bands, ratios of sums, standing to the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from analytics.balance import Banded
from analytics.chapters import chapters_of
from analytics.editions import with_editions
from analytics.estimate import SLOTS_A_DAY, Sum, close_gaps, summed
from analytics.figures import Flow, PeriodFigures, PointEnergy
from analytics.flags import flag_names
from analytics.green import certificates_of_year, ratio_of_year, total_use
from analytics.lines import NUMERATORS, charge_class_percent
from analytics.losses import doubt_of_loss, loss_is_bounded
from analytics.metal import DISAGREES, tapped_kg, taps
from analytics.period_metal import process_metal, subjects_of
from analytics.period_rows import Period
from analytics.period_sums import because, complement, figure_of, independent_ratio, ratio, within
from analytics.sensitivity import Sensitivity
from analytics.starting_pots import without_starting
from analytics.table import interval_hash
from analytics.uncertainty import class_shares, ratio_of, with_resolution
from plant import nodes
from plant.indicators import Figure
from plant.series import QUARTER_NS

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


def period_figures(period: Period) -> PeriodFigures:
    """Everything about a period. A figure below the site's smallest measured share is null, its band stays."""
    sure = Sensitivity.of(period)
    figures = {nodes.PLANT: _plant(period, sure)}
    for line in period.site.potlines:
        figures[nodes.line(line)] = _line(period, nodes.line(line), [line], sure)
    residual = {}
    for bus in period.site.buses:
        found = sure.residual(bus, period.sum(nodes.bus(bus), "residual")).sum
        told = figure_of(period, nodes.bus(bus), "residual", found, share=sure.proven_of(bus))
        residual[bus], figures[nodes.bus(bus)] = told.value, {"residual": told}
    details: dict[str, Any] = {}
    if period.rows.step_ns == QUARTER_NS:  # an instant has no chapters
        for chapter in chapters_of(period.kind):
            more = chapter.compute(period, figures)
            details |= {chapter.name: more.details} if more.details else {}
            for node, by in more.figures.items():
                figures.setdefault(node, {}).update(by)
    figures = with_editions(period.site, period.rulebook, period.span, figures)
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
        details,
    )


def _plant(period: Period, sure: Sensitivity) -> dict[str, Figure]:
    spreads = {name: sure.plant(name, period.sum(nodes.PLANT, name)) for name in PLANT_SUMS}
    sums = {name: spread.sum for name, spread in spreads.items()}
    sums["green_to_load"] = _no_more_than_given(within(sums["green_to_load"], sums["load_energy"]), sums)
    found = {
        name: figure_of(period, nodes.PLANT, name, s) for name, s in sums.items() if s.value is not None or s.high is not None
    }
    share = ratio(sums["green_to_load"], sums["load_energy"], 100.0, 100.0)
    shares = {"green_share_physical": ratio_of(spreads["green_to_load"], spreads["load_energy"], share)}
    exported = sure.plant("renewable_export", period.sum(nodes.PLANT, "renewable_export"))
    made = sums["renewable_generation"]
    if made.value:
        feed_in = ratio(exported.sum, made, 100.0, 100.0)
        shares["pv_feed_in"] = ratio_of(exported, spreads["renewable_generation"], feed_in)
        shares["pv_self_consumption"] = complement(shares["pv_feed_in"])
    certified = ratio_of_year(period, total_use(period)) if period.kind == "year" else None
    if certified is not None:
        shares["certificate_ratio"] = certified
    found |= {name: figure_of(period, nodes.PLANT, name, s) for name, s in shares.items()}
    if certified is not None and not certificates_of_year(period.entries, period.day.year).total_mwh:
        without = f"no certificate cancelled for {period.day.year} is in the ledger"
        found["certificate_ratio"] = because(found["certificate_ratio"], without)
    if period.site.potlines:
        found |= _line(period, nodes.PLANT, list(period.site.potlines), sure)
    return found


def _no_more_than_given(green: Sum, sums: Mapping[str, Sum]) -> Sum:
    """Green energy bounded by what was generated and discharged."""
    given = [sums[name].high for name in ("renewable_generation", "storage_discharge")]
    most = sum(edge for edge in given if edge is not None)
    if green.high is None or any(edge is None for edge in given) or most >= green.high:
        return green
    return replace(green, high=max(most, green.value or 0.0))


def _line(period: Period, node: str, lines: Sequence[str], sure: Sensitivity) -> dict[str, Figure]:
    """Process figures of a line, or of the plant as the sum of its lines: ratios of sums."""
    metal = process_metal(period, node, lines)
    sums = {name: sure.line(name, lines, period.sum(node, name)).sum for name in dict.fromkeys(NUMERATORS.values())}
    found = {"metal_produced": metal, "rectifier_energy": sums["rectifier_energy"], "dc_energy": sums["dc_energy"]}
    said = {}
    for indicator, numerator in NUMERATORS.items():
        energy, said[indicator] = without_starting(period, node, lines, numerator, sums[numerator])
        found[indicator] = independent_ratio(energy, metal)
    loss_doubt = doubt_of_loss(period.site)
    for indicator in ("specific_energy_e2", "specific_energy_e2_tariff") if loss_doubt else ():
        said[indicator] = "; ".join(filter(None, (said[indicator], loss_doubt)))
        if not loss_is_bounded(period.site):
            found[indicator] = replace(found[indicator], high=None)
    found["rectifier_efficiency"] = independent_ratio(sums["dc_energy"], sums["rectifier_energy"], 100.0)
    found["current_efficiency"] = _current_efficiency(period, node, lines, metal)
    figures = {name: figure_of(period, node, name, s) for name, s in found.items()}
    figures |= {name: because(figures[name], words) for name, words in said.items() if words}
    doubt = _doubt(period, lines)
    for name in ("metal_produced", "current_efficiency") if doubt else ():
        figures[name] = because(figures[name], doubt)
    if any(e.kind == "metal_tapped" and e.subject in subjects_of(lines) for e in period.entries):
        figures["metal_tapped"] = _tapped(period, lines)
    return figures


def _doubt(period: Period, lines: Sequence[str]) -> str:
    """Why metal rests on the stated efficiency although it was weighed; empty where it does not."""
    fits = {line: period.efficiency[line] for line in lines if line in period.efficiency}
    used = {line: {f.fits[i].origin for i in f.rows(period.rows.start_ns)} for line, f in fits.items()}
    doubtful = [line for line, origins in used.items() if DISAGREES in origins]
    return f"weighed metal of {', '.join(doubtful)} disagrees with the stated efficiency, which stands" if doubtful else ""


def _tapped(period: Period, lines: Sequence[str]) -> Figure:
    """What the scales showed, with the band of their class; each line has its own scale.

    Complete by the days with a tap, of the days so far: a day without any has documents to come, or none that count, and may
    hold as much as the fullest day.
    """
    masses = [tapped_kg(period.entries, subjects_of([line]), period.span) / 1000.0 for line in lines]
    shares = [period.site.potlines[line].scale_class_percent / 100 for line in lines]
    value, half = sum(masses), float(np.linalg.norm([m * s for m, s in zip(masses, shares, strict=True)]))
    share, missing_kg = _days_tapped(period, lines)
    reason = "" if share == 1 else f"taps are known of {share:.0%} of the days"
    known = value if share >= period.site.accounting.measured_share_min else None
    return Figure("metal_tapped", known, value - half, value + half + missing_kg / 1000.0, share, share, reason)


def _days_tapped(period: Period, lines: Sequence[str]) -> tuple[float, float]:
    """Share of the settled days of a span with a weighed tap, mean over the lines, and what the rest holds at most, kg."""
    settled = np.flatnonzero(np.isfinite(period.rows.column(nodes.PLANT, "completeness")))
    if not len(settled):
        return 0.0, 0.0
    date_of, start_ns = period.site.calendar.production_date, period.rows.start_ns[: settled[-1] + 1]
    days = {date_of(int(t)) for t in (*start_ns[::SLOTS_A_DAY], start_ns[-1])}
    shares, missing_kg = [], 0.0
    for line in lines:
        by_day: dict[date, float] = {}
        for t, kg in zip(*taps(period.entries, subjects_of([line])), strict=True):
            by_day[date_of(int(t))] = by_day.get(date_of(int(t)), 0.0) + float(kg)
        tapped = days & by_day.keys()
        shares.append(len(tapped) / len(days))
        missing_kg += (len(days) - len(tapped)) * max(by_day.values(), default=0.0)
    return float(np.mean(shares)), missing_kg


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
    share, complete = period.rows.column(nodes.PLANT, "measured_share"), period.completeness(nodes.PLANT)
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
            power = None if value is None else value / hours
            found.append(Flow(source, sink, value, power, complete, whole.measured_share))
    return found


def _point(period: Period, name: str) -> PointEnergy:
    point = period.site.points[name]
    node = nodes.point(name)
    rows = period.rows
    flags = rows.column(node, "flags")
    share = rows.column(node, "measured_share")
    solar = period.site.branches[point.branch].kind == "pv"
    sums = []
    for direction in ("energy_import", "energy_export"):
        amount, proven = rows.banded(node, direction), share
        if point.mountings:  # of a formula nobody knows here which of its parts a flag is of
            amount, proven = close_gaps(amount, share, flags, class_shares(point, rows))
        whole = summed(amount, proven, rows.start_ns, "solar" if solar else "load")
        sums.append(with_resolution(whole, point, rows.start_ns))
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
