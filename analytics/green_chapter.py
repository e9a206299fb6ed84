"""Green shares of any period, side by side: interval-matched, carbon-free, volumetric, non-hydro. Never added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from analytics.chapter import Chapter, Chaptered
from analytics.counters import Mask
from analytics.estimate import Sum
from analytics.green_contracts import Settled
from analytics.green_direct import direct_line
from analytics.green_mix import grid_cfe, non_hydro_onsite, unmatched_cfe
from analytics.green_supply import Kwh, Supply, supply_of
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of
from plant import nodes
from plant.indicators import Figure
from plant.site import RENEWABLE_SOURCES


def _compute(period: Period, found: Mapping[str, Mapping[str, Figure]]) -> Chaptered:  # noqa: ARG001
    settings = period.site.green
    renewable = any(b.source in RENEWABLE_SOURCES for b in period.site.branches.values())
    if not len(period.rows.start_ns) or not (renewable or settings.contract or settings.grid_cfe):
        return Chaptered()
    supply = supply_of(period)
    everywhere = np.ones_like(supply.known)
    figures = direct_line(period)
    if period.site.branches_of("grid_tie"):
        grid = supply.total({end: edge.grid for end, edge in supply.edges.items()}, supply.known)
        figures["grid_to_load"] = _energy(supply, "grid_to_load", grid, supply.known)
    if settings.contract:
        figures |= _contracted(supply)
    g, editions = grid_cfe(period)
    if np.isfinite(g).any():
        names = tuple(s.contract.id for s in supply.settled)
        score = supply.onsite + supply.matched_of(names) + unmatched_cfe(supply, g)
        figure = _share(supply, "green_share_cfe", score, supply.stated & np.isfinite(g))
        figures["green_share_cfe"] = replace(figure, editions=(*figure.editions, *editions))
    energy, covered = _non_hydro(supply)
    figures["non_hydro_share"] = _share(supply, "non_hydro_share", energy, everywhere if covered is None else covered)
    details: dict[str, Any] = {"contracts": [_row(supply, s) for s in supply.settled]} if supply.settled else {}
    return Chaptered({nodes.PLANT: figures}, details)


def _contracted(supply: Supply) -> dict[str, Figure]:
    names = tuple(s.contract.id for s in supply.settled)
    settled = _settled(supply, names)
    matched = supply.matched_of(names)
    figures = {
        "contracted_energy": _energy(supply, "contracted_energy", settled, _stated(supply), share=1.0),  # by documents alone
        "contracted_matched": _energy(supply, "contracted_matched", matched, supply.stated),
        "contracted_share": _share(supply, "contracted_share", matched, supply.stated),
        "green_share_matched": _share(supply, "green_share_matched", supply.onsite + matched, supply.stated),
        "green_share_volumetric": _share(
            supply, "green_share_volumetric", supply.onsite + _volumetric(supply, names), supply.stated
        ),
    }
    return {name: _provisional(supply, figure) for name, figure in figures.items()}


def _settled(supply: Supply, names: tuple[str, ...]) -> Kwh:
    """Settled energy of some contracts over the whole period, as it is stated."""
    energies = [s.energy_kwh for s in supply.settled if s.contract.id in names]
    known = float(np.sum([np.nansum(e) for e in energies]))
    missing = any(not np.isfinite(e).all() for e in energies)
    return Kwh(None, known, np.inf) if missing else Kwh(known, known, known)


def _volumetric(supply: Supply, names: tuple[str, ...]) -> Kwh:
    """Settled energy of the period up to the grid energy to load of the period."""
    settled = _settled(supply, names)
    grid = supply.total({end: edge.grid for end, edge in supply.edges.items()}, supply.known)
    value = None if settled.value is None or grid.value is None else min(settled.value, grid.value)
    return Kwh(value, min(settled.low, grid.low), min(settled.high, grid.high))


def _non_hydro(supply: Supply) -> tuple[Kwh, Mask | None]:
    """Energy and the slots that it has to be known of; None where the balance's own estimates do."""
    settings = supply.period.site.green
    names = tuple(c.id for c in settings.contract if c.source in settings.non_hydro_sources)
    onsite = non_hydro_onsite(supply)
    if not names or settings.non_hydro_contracted == "none":
        return onsite, None if onsite is supply.onsite else supply.known
    if settings.non_hydro_contracted == "matched":
        return onsite + supply.matched_of(names), supply.stated
    return onsite + _volumetric(supply, names), supply.stated


def _stated(supply: Supply) -> Mask:
    found: Mask = np.all([np.isfinite(s.energy_kwh) for s in supply.settled], axis=0)
    return found


def _share(supply: Supply, indicator: str, energy: Kwh, covered: Mask) -> Figure:
    """Energy of the load, in %."""
    load = supply.load

    def over(part: float | None, whole: float | None) -> float | None:
        return None if part is None or whole is None or whole <= 0 else min(100.0 * part / whole, 100.0)

    share = Sum(over(energy.value, load.value), over(energy.low, load.high), over(energy.high, load.low), supply.measured_share)
    return _figure(supply, indicator, share, covered)


def _energy(supply: Supply, indicator: str, energy: Kwh, covered: Mask, share: float | None = None) -> Figure:
    high = energy.high if np.isfinite(energy.high) else None
    measured = supply.measured_share if share is None else share
    return _figure(supply, indicator, Sum(energy.value, energy.low, high, measured), covered)


def _figure(supply: Supply, indicator: str, found: Sum, covered: Mask) -> Figure:
    """The figure; without a value where an interval is missing, with the share of those that are known."""
    period, coverage = supply.period, float(covered.mean())
    figure = figure_of(period, nodes.PLANT, indicator, found if covered.all() else replace(found, value=None))
    if covered.all():
        return figure
    return replace(figure, completeness=coverage, reason=f"known of {coverage:.1%} of the intervals, needed of all")


def _provisional(supply: Supply, figure: Figure) -> Figure:
    """The figure with what is to be said of the statements that it rests on."""
    if figure.value is None:
        return figure
    final = np.all([s.final for s in supply.settled], axis=0)
    spread = np.any([s.spread for s in supply.settled], axis=0)
    if not final.all():
        figure = because(figure, f"contracted energy is provisional in {int((~final).sum())} of {len(final)} intervals")
    if spread.any():
        figure = because(figure, f"contracted energy is spread evenly over {int(spread.sum())} of {len(spread)} intervals")
    return figure


def _row(supply: Supply, settled: Settled) -> dict[str, Any]:
    contract, known = settled.contract, np.isfinite(settled.energy_kwh)
    return {
        "contract": contract.id,
        "title": {"en": contract.name_en, "zh": contract.name_zh},
        "source": contract.source,
        "ties": list(contract.ties),
        "settled_by": list(contract.settled_by),
        "settled_kwh": _settled(supply, (contract.id,)).value,
        "matched_kwh": supply.matched_of((contract.id,)).value,
        "known_share": float(known.mean()),
        "final_share": float(settled.final.mean()),
        "spread_share": float(settled.spread.mean()),
        "unreadable": list(settled.unreadable),
    }


CHAPTER = Chapter("green", _compute, entries=("contract_energy",))
