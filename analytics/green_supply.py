"""What a period's load was supplied with that is green: on site, by contract within the grid energy, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, I64, Mask
from analytics.estimate import Sum
from analytics.green_contracts import Settled, settled_energy
from analytics.green_matching import Offer, coarser, firsts, matched
from analytics.period_rows import Period
from analytics.period_sums import within
from analytics.plant_balance import flow_node
from plant import nodes

ENDS = ("best", "low", "high")
SURELY = {"best": np.nan, "low": 0.0, "high": np.inf}  # what an unknown amount may be


@dataclass(frozen=True, slots=True)
class Kwh:
    """Energy with its band; ``value`` is None where it cannot be known, ``high`` may be inf."""

    value: float | None
    low: float
    high: float

    def __add__(self, other: Kwh) -> Kwh:
        value = None if self.value is None or other.value is None else self.value + other.value
        return Kwh(value, self.low + other.low, self.high + other.high)


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """One end of the band (or the best value) of the grid energy to load, kWh [m], and of what is matched of it by contract,
    kWh by matching interval."""

    grid: F64
    matched: dict[str, F64]


@dataclass(frozen=True, slots=True, eq=False)
class Supply:
    """Green supply of a period of m slots. ``known`` bool[m]: the balance has the slot; ``stated`` bool[m]: the settled energy
    of every contract too. ``first`` are the slots that matching intervals begin with; ``edges`` are by ``ENDS``."""

    period: Period
    load: Sum
    onsite: Kwh
    measured_share: float
    settled: tuple[Settled, ...]
    known: Mask
    stated: Mask
    first: I64
    edges: dict[str, Edge]

    def total(self, by_end: dict[str, F64], covered: Mask) -> Kwh:
        """Sum of a quantity given by ``ENDS``; without a value where a slot is not covered."""
        best, low, high = (float(np.nansum(by_end[end])) for end in ENDS)
        return Kwh(best if covered.all() else None, min(low, best) if covered.all() else low, max(high, best))

    def matched_of(self, names: tuple[str, ...]) -> Kwh:
        """What is matched of some contracts."""
        none = np.zeros(len(self.first))
        by_end = {end: np.sum([none, *(self.edges[end].matched[n] for n in names)], axis=0) for end in ENDS}
        by_end["high"] = np.minimum(by_end["high"], coarser(self.edges["high"].grid, self.first))
        return self.total(by_end, self.stated if names else np.ones_like(self.stated))


def supply_of(period: Period) -> Supply:
    """The supply of a period from its rows and its ``contract_energy`` entries."""
    rows, settings = period.rows, period.site.green
    load = period.sum(nodes.PLANT, "load_energy")
    green = within(period.sum(nodes.PLANT, "green_to_load"), load)
    settled = tuple(settled_energy(c, period.entries, rows.start_ns) for c in settings.contract)
    first = firsts(rows.start_ns, settings.match_minutes)
    by_tie = {tie.id: rows.column(flow_node(tie.id, "load"), "flow_energy") for tie in period.site.branches_of("grid_tie")}
    known = np.isfinite(rows.column(nodes.PLANT, "green_to_load"))
    known = np.all([known, *(np.isfinite(energy) for energy in by_tie.values())], axis=0)
    stated = np.all([known, *(np.isfinite(s.energy_kwh) for s in settled)], axis=0)
    onsite = Kwh(green.value, green.low or 0.0, np.inf if green.high is None else green.high)
    share = min(load.measured_share, green.measured_share)
    edges = {end: _edge(period, end, by_tie, settled, first) for end in ENDS}
    return Supply(period, load, onsite, share, settled, known, stated, first, edges)


def _edge(period: Period, end: str, by_tie: dict[str, F64], settled: tuple[Settled, ...], first: I64) -> Edge:
    rows = period.rows
    none = np.zeros(len(rows.start_ns))
    found = {tie: _scaled(period, end, energy) for tie, energy in by_tie.items()}
    grid = np.sum([none, *found.values()], axis=0)
    if end == "high":  # an unknown slot may have come over any of the ties, once
        most = _most(period)
        grid = np.where(np.isfinite(grid), grid, most)
        found = {tie: np.where(np.isfinite(energy), energy, most) for tie, energy in found.items()}
    offers = []
    for s in settled:
        energy = np.where(np.isfinite(s.energy_kwh), s.energy_kwh, SURELY[end])
        offers.append(Offer(s.contract.id, s.contract.ties or tuple(by_tie), coarser(energy, first)))
    return Edge(grid, matched(offers, {tie: coarser(energy, first) for tie, energy in found.items()}))


def _scaled(period: Period, end: str, energy: F64) -> F64:
    """Energy of a tie at an end of the band: as far off as all grid import may be."""
    if end == "best":
        return energy
    grid = period.rows.banded(nodes.PLANT, "grid_import")
    edge = grid.low if end == "low" else grid.high
    factor = np.divide(edge, grid.best, out=np.ones_like(edge), where=(grid.best > 0) & np.isfinite(edge))
    scaled: F64 = energy * np.maximum(factor, 0.0)
    return np.nan_to_num(scaled) if end == "low" else scaled


def _most(period: Period) -> F64:
    """The most that a slot may have held of grid energy to load; inf where nothing bounds it."""
    imported = period.rows.column(nodes.PLANT, "grid_import_high")
    used = period.rows.column(nodes.PLANT, "load_energy_high")
    bound = np.fmin(imported, used)
    return np.where(np.isfinite(bound), np.maximum(bound, 0.0), np.inf)
