"""Chapter of the carbon account: anodes, anode effects, electricity by location and by contract, all of it per tonne.

Electricity has three figures side by side; none is added to another. A figure names its method set and factor editions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from analytics.anode_effects import Effects, effects_of
from analytics.carbon import AnodeFactors, PfcMethod, electricity_t
from analytics.carbon_factors import ANODE_DEFAULT, ANODES, Factors, parts_by_edition, pfc_rules
from analytics.chapter import Chapter, Chaptered
from analytics.estimate import Sum
from analytics.period_metal import process_metal, subjects_of
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of, independent_ratio
from analytics.process_documents import WHOLE, booked, by_kind, documented_part, of_subjects, plant_subjects
from analytics.starting_pots import line_pots
from plant import nodes
from plant.indicators import Figure
from plant.ports import LedgerEntry

KINDS = ("anode_net", "anode_gross")
NOTHING = Sum(None, None, None, 0.0)
Found = Mapping[str, Mapping[str, Figure]]
MARKET = {"matched": "contracted_matched", "volumetric": "contracted_energy"}


def carbon_figures(period: Period, found: Found) -> Chaptered:
    """Direct emissions of every line and the plant, electricity of the plant."""
    site, figures = period.site, {}
    if site.potlines:
        entries = by_kind(period.entries)
        anodes = [e for kind in KINDS for e in entries.get(kind, ())]
        for line in site.potlines:
            own = of_subjects(anodes, subjects_of([line]))
            figures[nodes.line(line)] = _direct(period, nodes.line(line), [line], own)
        figures[nodes.PLANT] = _direct(period, nodes.PLANT, list(site.potlines), of_subjects(anodes, plant_subjects(site)))
    electricity = _electricity(period, found)
    if electricity:
        figures[nodes.PLANT] = {**figures.get(nodes.PLANT, {}), **electricity}
    return Chaptered({node: by for node, by in figures.items() if by})


def _direct(period: Period, node: str, lines: Sequence[str], anodes: Sequence[LedgerEntry]) -> dict[str, Figure]:
    metal = process_metal(period, node, lines)
    anode, anode_figure = _anodes(period, node, lines, metal, anodes)
    pfc, pfc_figure = _pfc(period, node, lines)
    whole = _added(anode, pfc)
    # where the default stands for all anodes they follow from the metal, and its band cancels
    anode_per_tonne = _per_tonne(anode, metal) if anodes else _of_metal(anode, metal)
    per_tonne = _added(anode_per_tonne, _of_metal(pfc, metal))
    direct = figure_of(period, node, "direct_emissions", whole)
    intensity = figure_of(period, node, "direct_emissions_intensity", per_tonne)
    editions = tuple(dict.fromkeys((*anode_figure.editions, *pfc_figure.editions)))
    reason = "; ".join(dict.fromkeys(filter(None, (anode_figure.reason, pfc_figure.reason))))
    return {
        "anode_emissions": anode_figure,
        "pfc_emissions": pfc_figure,
        "direct_emissions": replace(direct, editions=editions, reason=reason or direct.reason),
        "direct_emissions_intensity": replace(intensity, editions=editions, reason=reason or intensity.reason),
    }


def _anodes(period: Period, node: str, lines: Sequence[str], metal: Sum, entries: Sequence[LedgerEntry]) -> tuple[Sum, Figure]:
    """CO2 of anode carbon: as booked, net before gross, as far as documents reach; by the default of a tonne of metal beyond.

    For the plant its own documents, else its lines one by one: what one of them booked says nothing of the others.
    """
    factors = Factors(period)
    said: list[str] = []
    emitted = []
    for part in parts_by_edition(period, (*ANODES, ANODE_DEFAULT)):
        of_part = Factors(part, factors.editions, factors.missing, factors.national)
        formula, default = of_part.anodes(), of_part.value(ANODE_DEFAULT)
        if formula is None or default is None:
            return NOTHING, replace(figure_of(period, node, "anode_emissions", NOTHING), reason=factors.reason)
        amount, words = _anodes_of_part(part, node, lines, entries, formula, default)
        emitted.append(amount)
        said += words
    whole = replace(_added(*emitted), measured_share=metal.measured_share, estimated_slots=metal.estimated_slots)
    figure = _because_of(figure_of(period, node, "anode_emissions", whole), dict.fromkeys(said))
    return whole, replace(figure, editions=tuple(dict.fromkeys(factors.editions)))


def _anodes_of_part(
    period: Period, node: str, lines: Sequence[str], entries: Sequence[LedgerEntry], formula: AnodeFactors, default: float
) -> tuple[Sum, list[str]]:
    """CO2 of anode carbon of a time with one set of factors, and what it rests on."""
    whole = of_subjects(entries, (nodes.PLANT,)) if node == nodes.PLANT else []
    parts, said = [], []
    for own_lines, own in [(lines, whole)] if whole else [([n], of_subjects(entries, subjects_of([n]))) for n in lines]:
        carbon, word = _anode_carbon(period, node if whole else nodes.line(own_lines[0]), own_lines, own, formula, default)
        parts.append(carbon)
        said.append(word)
    carbon = _added(*parts)
    value, low, high = (None if x is None else formula.co2_t(x) for x in (carbon.value, carbon.low, carbon.high))
    return replace(carbon, value=value, low=low, high=high), said


def _because_of(figure: Figure, reasons: Iterable[str]) -> Figure:
    for reason in reasons:
        figure = because(figure, reason)
    return figure


def _anode_carbon(
    period: Period, node: str, lines: Sequence[str], entries: Sequence[LedgerEntry], formula: AnodeFactors, default: float
) -> tuple[Sum, str]:
    """Net anode carbon of some lines, t, and what it rests on."""
    metal = process_metal(period, node, lines)
    for kind in KINDS:
        mine = [e for e in entries if e.kind == kind]
        part = documented_part(period, mine)
        amount = booked(period.site, mine, part.span)
        if not mine or amount.coverage < WHOLE:
            continue
        tonnes = amount.amount / 1000
        net_t = tonnes if kind == "anode_net" else formula.net_of_gross(tonnes)
        if part.span == period.span:
            return Sum(net_t, net_t, net_t, 1.0), f"anodes as booked: {kind}"
        rest = _less(metal, process_metal(part, node, lines))
        value, low, high = (None if x is None else net_t + default * x for x in (rest.value, rest.low, rest.high))
        end = period.site.calendar.local(part.span.end_ns)
        return Sum(value, low, high, rest.measured_share), f"anodes as booked: {kind}, by default from {end:%Y-%m-%d %H:%M} on"
    return _scaled(metal, default), "anodes by default consumption"


def _less(whole: Sum, part: Sum) -> Sum:
    """Metal of the rest of a period: its band is that share of the whole's."""
    if whole.value is None or part.value is None:
        return NOTHING
    share = (whole.value - part.value) / whole.value if whole.value else 0.0
    return _scaled(whole, share)


def _pfc(period: Period, node: str, lines: Sequence[str]) -> tuple[Sum, Figure]:
    """CF4 and C2F6 of each line's metal by its anode-effect minutes; by the set's default where they are not recorded."""
    factors, amounts = Factors(period), []
    for part in parts_by_edition(period, pfc_rules(period)):
        of_part = Factors(part, factors.editions, factors.missing, factors.national)
        method = of_part.pfc()
        if method is None:
            return NOTHING, replace(figure_of(period, node, "pfc_emissions", NOTHING), reason=factors.reason)
        amounts += [_pfc_of_line(part, line, method, of_part) for line in lines]
    whole = _added(*amounts)
    heard = {line: _heard_share(period, line, effects_of(period, line, line_pots(period, line).running)) for line in lines}
    default = [f"{n} for {1 - share:.0%} of the time" if share else n for n, share in heard.items() if share < WHOLE]
    figure = replace(figure_of(period, node, "pfc_emissions", whole), editions=tuple(dict.fromkeys(factors.editions)))
    said = f"method set {period.site.carbon.pfc_method}"
    if default:
        said += f", default for {', '.join(default)} without a record of anode effects"
    return whole, because(figure, factors.reason or said)


def _pfc_of_line(period: Period, line: str, method: PfcMethod, factors: Factors) -> Sum:
    """By the minutes of the time that was listened to, and by the default for the rest of the metal."""
    metal = process_metal(period, nodes.line(line), [line])
    effects = effects_of(period, line, line_pots(period, line).running)
    heard, parts = _heard_share(period, line, effects), []
    if heard and effects.minutes is not None:
        parts.append(_scaled(metal, heard * method.of_effects(effects.minutes)))
    if heard < WHOLE:
        masses = factors.pfc_default()
        parts.append(NOTHING if masses is None else _scaled(metal, (1 - heard) * method.co2e_t_per_t(*masses)))
    return _added(*parts)


def _heard_share(period: Period, line: str, effects: Effects) -> float:
    """Share 0..1 of a line's metal made while its effects were listened to; of a line that made none, of the time."""
    made = np.nan_to_num(period.rows.column(nodes.line(line), "metal_produced"))
    known = effects.heard & np.isfinite(effects.running)
    total = float(made.sum())
    return float(made[known].sum()) / total if total > 0 else effects.share


def _electricity(period: Period, found: Found) -> dict[str, Figure]:
    """Electricity bought: by the grid's factor, and less what contracts make green by the residual factor."""
    bought = period.sum(nodes.PLANT, "grid_import")
    metal = process_metal(period, nodes.PLANT, list(period.site.potlines)) if period.site.potlines else None
    figures: dict[str, Figure] = {}

    def add(name: str, rule: str, green: Figure | None, said: str) -> None:
        factors = Factors(period)
        factor = factors.by_slot(rule, period.rows.column(nodes.PLANT, "grid_import"))
        emitted = NOTHING if factor is None else _emitted(bought, green, factor)
        for indicator, amount in _with_intensity(name, emitted, metal).items():
            figure = _because_of(figure_of(period, nodes.PLANT, indicator, amount), (factors.reason or said, factors.stand_in))
            figures[indicator] = replace(figure, editions=(*figure.editions, *factors.editions))

    if bought.value is None and bought.high is None:
        return {}
    add("location", "grid-factor", None, "")
    for name, energy in MARKET.items():
        green = found.get(nodes.PLANT, {}).get(energy)
        if energy == "contracted_energy":
            green = _within_load(green, found.get(nodes.PLANT, {}).get("grid_to_load"))
        add(name, "grid-factor-residual", green, "" if green is not None else "no contract energy is settled")
    return figures


def _within_load(green: Figure | None, load: Figure | None) -> Figure | None:
    """Contracted energy up to the grid energy to load: what passes through to others no contract of this plant makes green."""
    if green is None or load is None:
        return green

    def least(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else min(a, b)

    high = load.high if green.high is None else green.high if load.high is None else min(green.high, load.high)
    share = min(green.measured_share, load.measured_share)
    value, low = least(green.value, load.value), least(green.low, load.low)
    return replace(green, value=value, low=low, high=high, measured_share=share)


def _with_intensity(name: str, emitted: Sum, metal: Sum | None) -> dict[str, Sum]:
    found = {f"electricity_emissions_{name}": emitted}
    return found if metal is None else found | {f"electricity_intensity_{name}": _per_tonne(emitted, metal)}


def _emitted(bought: Sum, green: Figure | None, kg_per_kwh: tuple[float, float, float]) -> Sum:
    """CO2 of what was bought less what is green, by the mean factor, which lies between its least and most as nobody says when
    the green was. Green energy that is not known makes the value unknown, between none and all."""
    mean, least_factor, most_factor = kg_per_kwh

    def of(kwh: float | None, less: float | None, factor: float = mean) -> float | None:
        return None if kwh is None or less is None else electricity_t(kwh, less, factor)

    if green is None:
        return Sum(
            of(bought.value, 0.0), of(bought.low, 0.0), of(bought.high, 0.0), bought.measured_share, bought.estimated_slots
        )
    share = min(bought.measured_share, green.measured_share)
    least, most = (
        of(bought.low, bought.low if green.high is None else green.high, least_factor),
        of(bought.high, green.low or 0.0, most_factor),
    )
    return Sum(of(bought.value, green.value), least, most, share, bought.estimated_slots)


def _per_tonne(amount: Sum, metal: Sum) -> Sum:
    """Per tonne of what was measured apart from the metal."""
    return independent_ratio(amount, metal)


def _of_metal(amount: Sum, metal: Sum) -> Sum:
    """Per tonne of what was reckoned as a factor times that metal: whatever the metal is, it cancels."""
    value = amount.value / metal.value if amount.value is not None and metal.value else None
    return Sum(value, value, value, metal.measured_share, metal.estimated_slots)


def _scaled(amount: Sum, factor: float) -> Sum:
    value, low, high = (None if x is None else x * factor for x in (amount.value, amount.low, amount.high))
    return Sum(value, low, high, amount.measured_share, amount.estimated_slots)


def _added(*parts: Sum) -> Sum:
    """Sum of parts that rest on the same metal: their bands add. Unknown with one that is."""
    pick: tuple[Callable[[Sum], float | None], ...] = (lambda s: s.value, lambda s: s.low, lambda s: s.high)
    ends = [[get(part) for part in parts] for get in pick]
    value, low, high = (None if not of or None in of else sum(x for x in of if x is not None) for of in ends)
    return Sum(
        value, low, high, min((p.measured_share for p in parts), default=0.0), max((p.estimated_slots for p in parts), default=0)
    )


CARBON = Chapter("carbon", carbon_figures, KINDS)
