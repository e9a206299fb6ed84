"""The tiered price of a year as it stands: steps, yuan, what to accrue for the month, and how far the next lower step is.

A month has no step of its own: it bears the rate of the projected year on the energy so far, less what was accrued before.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from analytics import green_chapter
from analytics.estimate import Sum
from analytics.lines import NUMERATORS
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of
from analytics.plant_balance import flow_node
from analytics.study import Material, Question, Studied, Study, Wants
from analytics.tariff import (
    Discount,
    TieredPrice,
    discount,
    specific_energy,
    tiered_price,
)
from analytics.tariff_bill import NAME, Bill, UnitYear, base_kwh, month_of, months_of_year, year_of
from analytics.tariff_outlook import outlook_or_persistence
from analytics.tariff_projection import AssessedUnit, Project, assessed_energy, persistence, specific
from plant import nodes
from plant.indicators import Figure
from plant.series import QUARTER_NS, Span
from plant.settings.tariff import Assessment
from plant.site import RENEWABLE_SOURCES, Site

_BAND = ("", "_low", "_high")
_UNIT_SUMS = ("metal_produced", "comprehensive_energy", "comprehensive_energy_tariff")
_PLANT_SUMS = ("load_energy", "green_to_load", "grid_import", "renewable_generation", "captive_generation")
_TRUST = ("current_efficiency", "completeness", "measured_share")
_STARTING = ("rectifier_energy", "dc_energy", "pots_running")  # what the energy of starting pots follows from
YUAN_OF_ENERGY = ("tariff_surcharge_year", "tariff_surcharge_to_date", "tariff_surcharge_accrued", "tariff_step_cost")
PROJECTED = ("specific_energy_projected", "tariff_steps", "tariff_adder", "tariff_surcharge_year")
_METERED = (*(f"{d}{e}" for d in ("energy_import", "energy_export") for e in _BAND), "completeness", "measured_share", "flags")
H_NS = 3_600 * 1_000_000_000


def wants(question: Question) -> Wants:
    """Rows of the calendar year up to the end of the period, and the closed reports of months that it goes on from."""
    site, year = question.site, year_of(question)
    start_ns = site.calendar.year(year - closes_year_before(question)).start_ns
    lines = [nodes.line(name) for name in site.potlines]
    per_unit: tuple[str, ...] = (*(f"{n}{e}" for n in _UNIT_SUMS for e in _BAND), *_TRUST)
    if site.process.start_up:
        per_unit = (*per_unit, *_STARTING)
    columns = [([nodes.PLANT, *lines], per_unit), ([nodes.PLANT], tuple(f"{n}{e}" for n in _PLANT_SUMS for e in _BAND))]
    columns.append((_flows(site), ("flow_energy",)))
    columns.append(([nodes.point(p) for p in site.points], _METERED))  # whose meters err apart, as in the figures of a period
    span = Span(start_ns, max(question.span.end_ns, start_ns))
    return Wants(span, columns, entries=green_chapter.CHAPTER.entries, reports=_closed(question))


def closes_year_before(question: Question) -> bool:
    """Whether a month holds days of the year before the one that it is assessed in, as January does that begins in December."""
    year = question.site.calendar.year(year_of(question))
    return question.kind == "month" and question.span.start_ns < year.start_ns


def _closed(question: Question) -> tuple[tuple[str, str], ...]:
    """The reports that say what was accrued: of every month of a year, of the month before a month of the same year."""
    calendar, start_ns = question.site.calendar, question.span.start_ns
    year = year_of(question)
    if question.kind == "year":
        return tuple(("month", f"{y}-{n:02}") for y, n in months_of_year(calendar, year))
    first = start_ns == calendar.year(year).start_ns
    return () if first else (("month", month_of(question.site, start_ns - 1)),)


def _flows(site: Site) -> list[str]:
    """Flows that the green shares rest on."""
    green = [b.id for b in site.branches.values() if b.source in RENEWABLE_SOURCES]
    stored = [f"{b.id}/renewable" for b in site.branches_of("storage")]
    return [flow_node(name, "load") for name in (*(b.id for b in site.branches_of("grid_tie")), *green, *stored)]


def compute(material: Material, project: Project = persistence) -> Studied:
    """Figures by assessed unit, and beside them the exact numbers they come from."""
    question, year = material.question, year_of(material.question)
    found = _of_year(material, year, project)
    return _with_closing(found, _of_year(material, year - 1, project)) if closes_year_before(question) else found


def _with_closing(found: Studied, before: Studied) -> Studied:
    """A year with what the last days of the year before add to the month that holds them: what is due of both is accrued."""
    figures, year, name = dict(found.figures), before.body["year"], "tariff_surcharge_accrued"
    for node, by in before.figures.items():
        if name in by:
            both = (by[name], figures.get(node, {}).get(name, by[name]))
            figures[node] = {**figures.get(node, {}), name: _added(*both, year) if both[0] is not both[1] else both[0]}
    return Studied(figures, found.body | {"closing_year": before.body})


def _added(old: Figure, new: Figure, year: int) -> Figure:
    value, low, high = (
        None if a is None or b is None else a + b for a, b in ((old.value, new.value), (old.low, new.low), (old.high, new.high))
    )
    trust = (min(old.completeness, new.completeness), min(old.measured_share, new.measured_share))
    editions = tuple(dict.fromkeys((*new.editions, *old.editions)))
    reason = "; ".join(dict.fromkeys(filter(None, (*new.reason.split("; "), *old.reason.split("; ")))))
    both = Figure(new.indicator, value, low, high, *trust, reason, new.status, editions)
    return both if old.value is None else because(both, f"{old.value:.2f} yuan of it are of {year}")


def _of_year(material: Material, year: int, project: Project) -> Studied:
    """Of a calendar year, as far as the period asked for goes."""
    question = material.question
    site, calendar = question.site, question.site.calendar.year(year)
    price = tiered_price(question.rulebook, year, (site.province, "CN"))
    if price is None or not site.potlines:
        why = f"no rules of the tiered price are in force for {year}" if price is None else "no potline"
        return Studied(body={"year": year, "reason": why, "units": {}})
    at = date(year, 12, 31)
    how = site.tariff.assessed(at)
    whole = Period(
        site, question.rulebook, material.span, "year", material.rows, "provisional", material.entries, material.efficiency
    )
    until_ns = max(min(calendar.end_ns, material.span.end_ns), calendar.start_ns)
    to_date = whole.part(Span(calendar.start_ns, until_ns), "year")
    less = _discount(to_date, year, price, how)
    found: dict[str, dict[str, Figure]] = {}
    bodies: dict[str, Any] = {}
    for unit in assessed_units(site, how, price):
        one = _unit_year(to_date, unit, how, calendar, project)
        figures, body = _of_unit(material, year, to_date, unit, one, price, how, less)
        found[unit.node], bodies[unit.node] = figures, body
    return Studied(found, _head(year, price, how, less) | {"units": bodies})


def tariff_study(project: Project = persistence) -> Study:
    """The study, with a projection of the rest of the year."""
    return Study(NAME, wants, partial(compute, project=project), kinds=("month", "year"), in_reports=("month", "year"))


def assessed_units(site: Site, how: Assessment, price: TieredPrice) -> list[AssessedUnit]:
    """The plant as the part of its company that is seen from here, or each line."""
    numerator, lines = NUMERATORS[price.indicator], tuple(site.potlines)
    if how.unit == "company":
        return [AssessedUnit(nodes.PLANT, lines, numerator)]
    return [AssessedUnit(nodes.line(name), (name,), numerator) for name in lines]


def _head(year: int, price: TieredPrice, how: Assessment, less: Discount) -> dict[str, Any]:
    return {
        "year": year,
        "indicator": price.indicator,
        "threshold_kwh_per_t": str(price.threshold),
        "step_kwh_per_t": str(price.step),
        "adder_yuan_per_kwh": str(price.adder),
        "assessment": how.model_dump(mode="json"),
        "discount_points": str(less.points),
        "discount_points_least": str(less.least),
        "discount_points_most": str(less.most),
        "discount_reason": less.reason,
        "editions": list(price.editions),
    }


def _discount(to_date: Period, year: int, price: TieredPrice, how: Assessment) -> Discount:
    """By the non-hydro renewable share of all power as the authority states it, else as it is so far."""
    stated = to_date.site.tariff.stated_share(year)
    if stated is not None:
        return discount(price, how, stated)
    found = green_chapter.CHAPTER.compute(to_date, {}).figures.get(nodes.PLANT, {}).get("non_hydro_share")
    if found is None:  # nothing renewable on the site and no contract
        return discount(price, how, Decimal(0))
    share, low, high = (None if x is None else Decimal(repr(round(x, 9))) for x in (found.value, found.low, found.high))
    return discount(price, how, share, low, high)


def _unit_year(to_date: Period, unit: AssessedUnit, how: Assessment, year: Span, project: Project) -> UnitYear | str:
    """Why there is none where nothing of the year is known, or nothing can be said of its rest."""
    so_far, metal = specific(to_date, unit)
    energy = assessed_energy(to_date, unit)
    if so_far.value is None or so_far.low is None or so_far.high is None or not metal.value or energy.value is None:
        return "nothing measured in the year so far"
    energy_kwh, metal_kg = round(energy.value), round(metal.value * 1000)
    if metal_kg <= 0:
        return "nothing measured in the year so far"
    left = Span(min(to_date.span.end_ns, year.end_ns), year.end_ns)
    rest = project(to_date, unit, left) if left.end_ns > left.start_ns else None
    if rest is None and left.end_ns > left.start_ns:
        return "what the rest of the year brings is not known"
    running_h = float((np.nan_to_num(to_date.rows.column(unit.node, "metal_produced")) > 0).sum()) * QUARTER_NS / H_NS
    base = base_kwh(to_date, unit, how)
    exact = specific_energy(energy_kwh, metal_kg)
    if rest is None:
        edges = (exact, Fraction(so_far.low), Fraction(so_far.high))
        return UnitYear(unit, so_far, energy_kwh, metal_kg, edges, metal.value, base, base, running_h, None)
    rest_kg = round(rest.metal_t * 1000)
    rest_kwh = round(rest.metal_t * rest.specific)
    edges = (
        specific_energy(energy_kwh + rest_kwh, metal_kg + rest_kg),
        _mixed(so_far.low, metal.value, rest.specific_low, rest.metal_t),
        _mixed(so_far.high, metal.value, rest.specific_high, rest.metal_t),
    )
    grown = 1.0 + rest_kwh / energy.value if energy.value else 1.0
    value, low, high = (None if kwh is None else kwh * grown for kwh in (base.value, base.low, base.high))
    base_year = replace(base, value=value, low=low, high=high)
    running_h += rest.running_share * (left.end_ns - left.start_ns) / H_NS
    metal_year_t = metal.value + rest.metal_t
    return UnitYear(unit, so_far, energy_kwh, metal_kg, edges, metal_year_t, base, base_year, running_h, rest)


def _mixed(one: float, weight: float, other: float, other_weight: float) -> Fraction:
    return Fraction((one * weight + other * other_weight) / (weight + other_weight))


def _of_unit(
    material: Material,
    year: int,
    to_date: Period,
    unit: AssessedUnit,
    one: UnitYear | str,
    price: TieredPrice,
    how: Assessment,
    less: Discount,
) -> tuple[dict[str, Figure], dict[str, Any]]:
    if isinstance(one, str):
        nothing = Sum(None, None, None, 0.0)
        figure = because(figure_of(to_date, unit.node, "tariff_steps", nothing), one)
        return {"tariff_steps": figure}, {"reason": one}
    if one.running_h < how.running_hours_min:
        why = f"ran {one.running_h:.0f} h of the {how.running_hours_min:.0f} h from which it is assessed"
        nothing = Sum(None, None, None, one.to_date.measured_share)
        return {"tariff_steps": replace(figure_of(to_date, unit.node, "tariff_steps", nothing), reason=why)}, {"reason": why}
    bill = Bill(material, to_date, year, one, price, how, less)
    figures = {name: replace(figure_of(to_date, unit.node, name, found), editions=price.editions) for name, found in bill.sums()}
    for name in ("tariff_adder", "tariff_surcharge_year", "tariff_surcharge_to_date") if less.reason else ():
        figures[name] = because(figures[name], less.reason)
    for name in YUAN_OF_ENERGY if bill.missing else ():
        figures[name] = replace(figures[name], reason=bill.missing)
    why = one.rest.reason if one.rest is not None else ""
    for name in PROJECTED if why else ():
        figures[name] = because(figures[name], why)
    late, due = bill.late, figures["tariff_surcharge_year"]
    if late.reason:
        figures[due.indicator] = because(replace(due, editions=(*due.editions, *late.editions)), late.reason)
    # held against the limits of the indicator that it is, and named apart from that of the period asked for
    held = figure_of(to_date, unit.node, price.indicator, one.to_date)
    figures["specific_energy_to_date"] = replace(held, indicator="specific_energy_to_date")
    return figures, bill.body()


STUDY = tariff_study(outlook_or_persistence)
