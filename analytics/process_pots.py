"""Chapter of the pots: voltage, anode effects, pots by state, starting energy, rectifier groups, what a change is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from analytics.anode_effects import KIND, WHOLE, effects_of, rates
from analytics.balance import Banded
from analytics.chapter import Chapter, Chaptered, NodeFields
from analytics.estimate import Sum, summed
from analytics.gauges import POT_VOLTAGE
from analytics.lines import charge_class_percent, rectifiers
from analytics.period_metal import subjects_of
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of, independent_ratio
from analytics.process_worth import capacity_figures, worth_figures, worth_of_a_day
from analytics.starting_pots import LinePots, line_pots, start_up_kwh
from plant import nodes
from plant.indicators import Figure
from plant.site import Site

KINDS = (KIND,)
Figures = dict[str, Figure]


def columns(site: Site) -> Sequence[NodeFields]:
    """Rows of the rectifier groups, the count of pots and what their controllers say of the voltage."""
    groups = [nodes.branch(b.id) for line in site.potlines for b in rectifiers(site, line)]
    fields = ("energy_import", "energy_import_low", "energy_import_high", "completeness", "measured_share")
    feeds = [nodes.meter(line.feed_meter) for line in site.potlines.values() if line.feed_meter]
    return [(groups, fields), (feeds, (POT_VOLTAGE,))]


def pot_figures(period: Period, found: Mapping[str, Mapping[str, Figure]]) -> Chaptered:
    """Figures of every line and, as sums and ratios of sums, of the plant."""
    site = period.site
    if not site.potlines:
        return Chaptered()
    pots = {line: line_pots(period, line) for line in site.potlines}
    figures: dict[str, Figures] = {}
    for node, lines in _levels(site):
        figures[node] = _of_node(period, node, lines, pots)
        figures[node] |= worth_figures(period, node, {**found.get(node, {}), **figures[node]})
    figures[nodes.PLANT] |= capacity_figures(period, {node: {**found.get(node, {}), **by} for node, by in figures.items()})
    for line in site.potlines:
        figures |= {nodes.branch(b): {"rectifier_group_efficiency": f} for b, f in _groups(period, line).items()}
    details = {"lines": {line: _details(period, line, pots[line], figures[nodes.line(line)], found) for line in site.potlines}}
    return Chaptered(figures, details)


def _levels(site: Site) -> list[tuple[str, list[str]]]:
    return [*((nodes.line(line), [line]) for line in site.potlines), (nodes.PLANT, list(site.potlines))]


def _of_node(period: Period, node: str, lines: Sequence[str], pots: Mapping[str, LinePots]) -> Figures:
    mine = [pots[line] for line in lines]
    share = period.rows.column(node, "measured_share")
    running = np.sum([p.running for p in mine], axis=0)
    figures = {"start_up_energy": _start_up(period, node, lines)}
    mean = summed(Banded(running, running, running), np.isfinite(running).astype(float), period.rows.start_ns)
    figures["pots_running"] = figure_of(period, node, "pots_running", _over(mean, max(len(running), 1)))
    spent = figures["start_up_energy"]
    energy = period.rows.banded(node, "dc_energy")
    charge = np.sum([p.pot_charge for p in mine], axis=0)
    known = np.isfinite(energy.best) & np.isfinite(charge)
    half = max(charge_class_percent(period.site, line) for line in lines) / 100
    counted = np.where(known, charge, np.nan)
    dc = Banded(*(np.where(known, edge, np.nan) for edge in (energy.best, energy.low, energy.high)))
    voltage = independent_ratio(
        _less(summed(dc, share, period.rows.start_ns), spent),
        summed(Banded(counted, counted * (1 - half), counted * (1 + half)), share, period.rows.start_ns),
    )
    figures["pot_voltage"] = figure_of(period, node, "pot_voltage", voltage)
    if spent.value is None:
        figures["pot_voltage"] = because(figures["pot_voltage"], "energy of starting pots is in it")
    controllers = _controllers(period, node, lines)
    if controllers is not None:
        figures["pot_voltage_controllers"] = controllers
    return figures | _effects(period, node, lines, pots)


def _over(amount: Sum, divisor: float) -> Sum:
    value, low, high = (None if x is None else x / divisor for x in (amount.value, amount.low, amount.high))
    return Sum(value, low, high, amount.measured_share, amount.estimated_slots)


def _less(whole: Sum, part: Figure) -> Sum:
    if part.value is None:
        return whole
    value, low, high = (None if x is None else x - part.value for x in (whole.value, whole.low, whole.high))
    return replace(whole, value=value, low=low, high=high)


def _controllers(period: Period, node: str, lines: Sequence[str]) -> Figure | None:
    """Mean of what the pot controllers tell, weighted by pots; None where no line has any."""
    feeds = [period.site.potlines[line].feed_meter for line in lines]
    volts = [period.rows.column(nodes.meter(feed), POT_VOLTAGE) for feed in feeds if feed]
    if len(volts) < len(lines) or not np.isfinite(volts).any():
        return None
    weight = [line_pots(period, line).running for line in lines]
    known = np.isfinite(volts) & np.isfinite(weight)
    slots = known.all(axis=0)
    mean = float(np.nansum(np.where(known, volts, 0) * np.where(known, weight, 0)) / np.sum(np.where(known, weight, 0)))
    share = float(slots.mean())
    return figure_of(period, node, "pot_voltage_controllers", Sum(mean, mean, mean, share, int((~slots).sum())))


def _start_up(period: Period, node: str, lines: Sequence[str]) -> Figure:
    """Energy of pots that preheat, start or are bypassed: of the register, at the voltages that the site states."""
    energy, unstated = start_up_kwh(period, lines)
    if energy is None:
        figure = figure_of(period, node, "start_up_energy", Sum(None, None, None, 1.0))
        return replace(figure, reason=f"pots are {', '.join(unstated)} and [process] states no voltage for them")
    share = period.rows.column(node, "measured_share")
    return figure_of(period, node, "start_up_energy", summed(Banded(energy, energy, energy), share, period.rows.start_ns))


def _effects(period: Period, node: str, lines: Sequence[str], pots: Mapping[str, LinePots]) -> Figures:
    """Anode effects that began in the period; none heard where nobody listened is not none. Empty where no line has a record."""
    told = [line for line in lines if period.site.potlines[line].effect_meter]
    found = {line: effects_of(period, line, pots[line].running) for line in lines}
    if not told and not any(e.kind == KIND and e.subject in subjects_of(lines) for e in (*period.entries, *period.beside)):
        return {}
    silent = [line for line, effects in found.items() if not effects.heard.any()]
    reason = "" if any(effects.pot_days for effects in found.values()) else "no pot was running"
    if silent:
        every = len(silent) == len(found)
        reason = "no anode effect is recorded" if every else f"anode effects of {', '.join(silent)} are not recorded"
    minutes, number = rates(list(found.values()))
    if reason:
        minutes, number = (Sum(None, None, None, s.measured_share) for s in (minutes, number))
    elif minutes.measured_share < WHOLE:
        reason = f"anode effects are known of {minutes.measured_share:.0%} of the time"
    figures = {
        name: figure_of(period, node, name, amount)
        for name, amount in (("anode_effect_minutes", minutes), ("anode_effect_frequency", number))
    }
    return {name: replace(figure, reason=reason) if reason else figure for name, figure in figures.items()}


def _groups(period: Period, line: str) -> dict[str, Figure]:
    """Efficiency of each rectifier group with both sides metered: outside what can be, a ratio is wrong."""
    found = {}
    for group in rectifiers(period.site, line):
        direct = period.site.points_of(group.id, "dc")
        if direct and period.site.points_of(group.id):
            node = nodes.branch(group.id)
            share = independent_ratio(
                period.sum(nodes.point(direct[0].id), "energy_import"), period.sum(node, "energy_import"), 100.0
            )
            found[group.id] = figure_of(period, node, "rectifier_group_efficiency", share)
    return found


def _details(
    period: Period, line: str, pots: LinePots, mine: Figures, found: Mapping[str, Mapping[str, Figure]]
) -> dict[str, Any]:
    """Pots by state over the period, started and stopped by the register, and what a change is worth a day."""
    registers = period.site.potlines[line].pots
    span = period.span
    inside = [(a, b) for a, b in pairwise(registers) if span.start_ns <= b.valid_from_ns < span.end_ns]
    steps = [b.running - a.running for a, b in inside]
    states = {s: float(np.nanmean(n)) if np.isfinite(n).any() else None for s, n in pots.states.items()}
    body: dict[str, Any] = {
        "pots_by_state": states,
        "pots_started": sum(n for n in steps if n > 0),
        "pots_stopped": -sum(n for n in steps if n < 0),
    }
    of_line = {**found.get(nodes.line(line), {}), **mine}
    return body | worth_of_a_day(period, of_line.get("metal_produced"), of_line)


POTS = Chapter("pots", pot_figures, KINDS, columns)
