"""Casthouse: energy per tonne of ingot (e3), in standard coal (e4), cold metal, direct alloying.

Pure formulas first, then the chapter that feeds them. Working boundary until the clauses of GB 21346-2022 are at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analytics.chapter import Chapter, Chaptered, NodeFields
from analytics.estimate import Sum
from analytics.intensity import line_share
from analytics.period_metal import process_metal, subjects_of
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of, independent_ratio, ratio
from analytics.process_documents import WHOLE, Booked, booked, by_kind, documented_part, of_subjects, plant_subjects
from analytics.sensitivity import Sensitivity
from analytics.starting_pots import without_starting
from plant import nodes
from plant.indicators import Figure
from plant.ports import LedgerEntry
from plant.rulebook import Rule
from plant.site import Branch, Site

KINDS = ("ingots", "metal_charged", "metal_cold", "metal_alloyed", "metal_tapped", "fuel")
Entries = Mapping[str, Sequence[LedgerEntry]]


def ingot_energy_kwh(e2_kwh_per_t: float, charged_t: float, casthouse_kwh: float) -> float:
    """Energy of the ingots of charged molten metal: its own up to tapping, and the casthouse's. Source: 10.2 e3."""
    return e2_kwh_per_t * charged_t + casthouse_kwh


def standard_coal_kgce(electricity_kwh: float, fuel_mj: float, kgce_per_kwh: float, mj_per_kgce: float) -> float:
    """Electricity and fuels as standard coal, kgce. Source: 10.2 e4."""
    return electricity_kwh * kgce_per_kwh + fuel_mj / mj_per_kgce


def casthouses(site: Site) -> list[Branch]:
    """Metered branches of the casthouse."""
    return [b for b in site.branches.values() if b.purpose == "casthouse" and not b.to_bus and site.points_of(b.id)]


def columns(site: Site) -> Sequence[NodeFields]:
    """Rows of the casthouse branches."""
    fields = ("energy_import", "energy_import_low", "energy_import_high", "completeness", "measured_share")
    return [([nodes.branch(b.id) for b in casthouses(site)], fields)]


@dataclass(frozen=True, slots=True)
class _Cast:
    """What the casthouse of a node did over the time that documents cover, t and kWh."""

    charged_t: Sum
    ingots_t: Sum  # without cold metal
    casthouse_kwh: Sum
    reason: str


def casthouse_figures(period: Period, found: Mapping[str, Mapping[str, Figure]]) -> Chaptered:  # noqa: ARG001
    """Figures of the plant, and of each line that has ingots of its own."""
    site, entries = period.site, by_kind(period.entries)
    figures: dict[str, dict[str, Figure]] = {}
    if site.potlines:
        everything = {kind: of_subjects(entries.get(kind, ()), plant_subjects(site)) for kind in KINDS}
        figures[nodes.PLANT] = _of_node(period, nodes.PLANT, list(site.potlines), everything)
        for line in site.potlines:
            own = {kind: of_subjects(entries.get(kind, ()), subjects_of([line])) for kind in KINDS}
            if any(own[kind] for kind in KINDS if kind != "metal_tapped"):
                figures[nodes.line(line)] = _of_node(period, nodes.line(line), [line], own)
    return Chaptered({node: by for node, by in figures.items() if by})


def _of_node(period: Period, node: str, lines: Sequence[str], entries: Entries) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    if casthouses(period.site):
        figures["casthouse_energy"] = figure_of(period, node, "casthouse_energy", _casthouse_kwh(period, lines))
    if entries["metal_alloyed"]:
        figures["direct_alloy_ratio"] = _direct_alloying(period, node, entries)
    if entries["metal_cold"]:
        cold = _tonnes(period, booked(period.site, entries["metal_cold"], period.span))
        figures["cold_metal"] = figure_of(period, node, "cold_metal", cold)
    if not entries["ingots"]:
        return figures
    part = documented_part(period, entries["ingots"])
    weighed = booked(period.site, entries["ingots"], part.span)
    figures["ingots_cast"] = figure_of(period, node, "ingots_cast", _tonnes(period, weighed))
    cast = _cast(part, lines, entries, weighed)
    until = (
        ""
        if part.span == period.span
        else f"until {period.site.calendar.local(part.span.end_ns):%Y-%m-%d %H:%M}, when ingots end"
    )
    energy = _ingot_energy(part, node, lines, cast)
    e3 = figure_of(part, node, "specific_energy_e3", independent_ratio(energy, cast.ingots_t))
    figures["specific_energy_e3"] = _with(e3, cast.reason, until)
    figures["specific_energy_e4"] = _with(_coal(part, node, energy, cast, entries), cast.reason, until)
    return figures


def _with(figure: Figure, *reasons: str) -> Figure:
    for reason in filter(None, reasons):
        figure = because(figure, reason)
    return figure


def _tonnes(period: Period, amount: Booked) -> Sum:
    """Booked kg in t with the class of the casthouse's scale."""
    value, half = amount.amount / 1000, period.site.process.ingot_scale_class_percent / 100
    return Sum(value, value * (1 - half), value * (1 + half), amount.coverage)


def _direct_alloying(period: Period, node: str, entries: Entries) -> Figure:
    """Of the molten metal weighed over the time that statements of alloying cover."""
    part = documented_part(period, entries["metal_alloyed"])
    alloyed = booked(period.site, entries["metal_alloyed"], part.span)
    molten = booked(period.site, entries["metal_tapped"], part.span)
    weighed = _weighed_share(part, node, entries["metal_tapped"])
    if not molten.amount:
        return because(figure_of(part, node, "direct_alloy_ratio", Sum(None, None, None, 0.0)), "no tap is weighed")
    if alloyed.coverage < WHOLE:
        figure = figure_of(part, node, "direct_alloy_ratio", Sum(None, None, None, alloyed.coverage))
        return replace(figure, reason=f"alloyed metal is booked for {alloyed.coverage:.0%} of the time")
    if weighed < WHOLE:
        figure = figure_of(part, node, "direct_alloy_ratio", Sum(None, None, None, weighed))
        return replace(figure, reason=f"taps are known of {weighed:.0%} of the days")
    share = ratio(_tonnes(part, alloyed), _tonnes(part, molten), 100.0, 100.0)
    return figure_of(part, node, "direct_alloy_ratio", share)


def _weighed_share(period: Period, node: str, taps: Sequence[LedgerEntry]) -> float:
    """Share of the time that taps speak of, of the line that has least of it."""
    lines = list(period.site.potlines) if node == nodes.PLANT else [node.removeprefix(nodes.line(""))]
    subjects = [subjects_of([line]) for line in lines]
    if of_subjects(taps, (nodes.PLANT,)):
        subjects = [(nodes.PLANT,)]
    return min(booked(period.site, of_subjects(taps, names), period.span).coverage for names in subjects)


def _casthouse_kwh(period: Period, lines: Sequence[str]) -> Sum:
    """Energy of the casthouse for some lines: all of it for all of them, else by the branch's key."""
    parts = []
    metal = {line: period.rows.banded(nodes.line(line), "metal_produced") for line in period.site.potlines}
    for branch in casthouses(period.site):
        whole = period.sum(nodes.branch(branch.id), "energy_import")
        if len(lines) < len(metal):
            used = period.rows.column(nodes.branch(branch.id), "energy_import")
            shares = np.sum([line_share(branch, line, period.rows.start_ns, metal) for line in lines], axis=0)
            known = np.isfinite(used) & np.isfinite(shares)
            total = used[known].sum()
            whole = _scaled(whole, float((used * shares)[known].sum() / total) if total > 0 else 0.0)
        parts.append(whole)
    return _added(parts)


def _scaled(amount: Sum, factor: float) -> Sum:
    value, low, high = (None if x is None else x * factor for x in (amount.value, amount.low, amount.high))
    return Sum(value, low, high, amount.measured_share, amount.estimated_slots)


def _added(parts: Sequence[Sum]) -> Sum:
    """Sum of independent meters; unknown with one that is."""
    bands = [band for band in map(_band, parts) if band is not None]
    if len(bands) < len(parts) or not parts:
        return Sum(None, None, None, 0.0)
    value, less, more = np.array(bands).T
    total, share = float(value.sum()), min(p.measured_share for p in parts)
    low, high = total - float(np.linalg.norm(less)), total + float(np.linalg.norm(more))
    return Sum(total, low, high, share, max(p.estimated_slots for p in parts))


def _cast(period: Period, lines: Sequence[str], entries: Entries, weighed: Booked) -> _Cast:
    """Metal charged and ingots of it; why they cannot be, where they do not fit each other."""
    site = period.site
    cold = booked(site, entries["metal_cold"], period.span)
    charged, reason = _charged(period, lines, entries)
    ingots = _tonnes(period, replace(weighed, amount=weighed.amount - cold.amount))
    if charged.value is not None and ingots.value is not None:
        tolerance = site.process.casthouse_balance_percent
        if ingots.value <= 0 or abs(charged.value / ingots.value - 1) * 100 > tolerance:
            reason = (
                f"{charged.value:.0f} t of molten metal against {ingots.value:.0f} t of ingots without cold metal: "
                f"more than {tolerance:g}% apart"
            )
            charged = Sum(None, None, None, charged.measured_share)
    if weighed.coverage < WHOLE:
        reason = f"ingots are booked for {weighed.coverage:.0%} of the time"
        charged = Sum(None, None, None, weighed.coverage)
    return _Cast(charged, ingots, _casthouse_kwh(period, lines), reason)


def _charged(period: Period, lines: Sequence[str], entries: Entries) -> tuple[Sum, str]:
    """Molten metal charged, t, and what it rests on: as weighed into the casthouse, else what was tapped."""
    site = period.site
    if entries["metal_charged"]:
        weighed = booked(site, entries["metal_charged"], period.span)
        if weighed.coverage < WHOLE:
            return Sum(None, None, None, weighed.coverage), f"metal charged is booked for {weighed.coverage:.0%} of the time"
        return _tonnes(period, weighed), ""
    tapped = booked(site, entries["metal_tapped"], period.span)
    alloyed = booked(site, entries["metal_alloyed"], period.span)
    less = alloyed.amount if site.process.molten_charged == "tapped_less_alloyed" else 0.0
    value = (tapped.amount - less) / 1000
    half = max(site.potlines[line].scale_class_percent for line in lines) / 100 * tapped.amount / 1000
    said = "metal charged as tapped" + (", less what was alloyed directly" if less else "")
    return Sum(value, value - half, value + half, tapped.coverage), said


def _ingot_energy(period: Period, node: str, lines: Sequence[str], cast: _Cast) -> Sum:
    """Energy of the ingots, kWh: of the metal charged by e2 of the same time, and of the casthouse."""
    whole = Sensitivity.of(period).line("comprehensive_energy", lines, period.sum(node, "comprehensive_energy")).sum
    to_tapping, _ = without_starting(period, node, lines, "comprehensive_energy", whole)
    e2 = independent_ratio(to_tapping, process_metal(period, node, lines))
    share = min(e2.measured_share, cast.casthouse_kwh.measured_share)
    slots = max(e2.estimated_slots, cast.casthouse_kwh.estimated_slots)
    bands = [_band(part) for part in (e2, cast.charged_t, cast.casthouse_kwh)]
    known = [band for band in bands if band is not None]
    if len(known) < len(bands):
        return Sum(None, None, None, share)
    (rate, *rate_off), (charged, *charged_off), (house, *house_off) = known
    value = ingot_energy_kwh(rate, charged, house)
    less, more = (
        float(np.linalg.norm([rate_off[i] * charged, charged_off[i] * rate, house_off[i]])) for i in (0, 1)
    )  # independent instruments
    return Sum(value, value - less, value + more, share, slots)


def _band(amount: Sum) -> tuple[float, float, float] | None:
    """(value, how much less, how much more) it may be; None where that is not known."""
    if amount.value is None or amount.low is None or amount.high is None:
        return None
    return amount.value, amount.value - amount.low, amount.high - amount.value


def _coal(period: Period, node: str, energy: Sum, cast: _Cast, entries: Entries) -> Figure:
    """e4: the electricity of the ingots and the fuels, kgce a tonne; without fuel documents only what it is at least."""
    site, book = period.site, period.rulebook
    scope = (site.province, "CN")
    found = [book.in_force(rule, period.day, scope) for rule in ("coal-of-electricity", "heat-of-coal")]
    rules = [rule for rule in found if rule is not None]
    if len(rules) < len(found):
        return because(figure_of(period, node, "specific_energy_e4", Sum(None, None, None, 0.0)), "no coal factor is in force")
    per_kwh, per_kg = (float(rule.value) for rule in rules)
    fuel = booked(site, entries["fuel"], period.span)
    coal = [
        None if x is None else standard_coal_kgce(x, fuel.amount, per_kwh, per_kg)
        for x in (energy.value, energy.low, energy.high)
    ]
    whole = independent_ratio(Sum(coal[0], coal[1], coal[2], energy.measured_share, energy.estimated_slots), cast.ingots_t)
    missing = site.process.casthouse_fuel == "booked" and fuel.coverage < WHOLE
    if missing:
        whole = replace(whole, value=None, high=None)
    figure = _editions(figure_of(period, node, "specific_energy_e4", whole), rules)
    return replace(figure, reason=f"fuel is booked for {fuel.coverage:.0%} of the time") if missing else figure


def _editions(figure: Figure, rules: Sequence[Rule]) -> Figure:
    return replace(figure, editions=(*figure.editions, *(rule.edition for rule in rules)))


CASTHOUSE = Chapter("casthouse", casthouse_figures, KINDS, columns)
