"""Process columns of the potlines and the plant: metal, numerators and energies per tonne, from branch energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analytics.balance import Banded, Energies, imported, total
from analytics.counters import F64, I64
from analytics.intensity import LineEnergy, allocate, consumers_to_tapping, per_tonne
from analytics.metal import Fits
from analytics.table import Columns, banded_columns
from analytics.topology import Component
from plant import nodes
from plant.site import Branch, Site

NUMERATORS = {
    "specific_energy_dc": "dc_energy",
    "specific_energy_e1": "rectifier_energy",
    "specific_energy_e2": "comprehensive_energy",
    "specific_energy_e2_tariff": "comprehensive_energy_tariff",
}


@dataclass(frozen=True, slots=True)
class Process:
    """What the cells of a site did over m intervals: DC energy by line, metal in t at 100 % current efficiency, and the pots
    running where they are known (rows that are restated keep theirs)."""

    site: Site
    parts: tuple[Component, ...]
    dc_energy: Mapping[str, Banded]
    full_metal_t: Mapping[str, F64]
    efficiency: Mapping[str, Fits]
    pots_running: Mapping[str, F64] = field(default_factory=dict)

    def efficiency_at(self, line: str, start_ns: I64) -> tuple[F64, F64]:
        """Current efficiency of a line and half its band at each interval; the stated one until metal was weighed."""
        known = self.efficiency.get(line) or stated_fits(self.site, line)
        return known.at(start_ns)


def rectifiers(site: Site, line: str) -> list[Branch]:
    """Rectifier groups of a line."""
    return [b for b in site.branches_of("rectifier_group") if b.potline == line]


def all_groups(site: Site, line: str, energies: Energies, m: int) -> Banded:
    """Energy into every rectifier group of a line over m intervals: unknown with one that no meter measures, never without it."""
    groups = rectifiers(site, line)
    if not groups or any(b.id not in energies for b in groups):
        return Banded.unknown(m)
    return total([imported(energies[b.id]) for b in groups], m)


def charge_class_percent(site: Site, line: str) -> float:
    """Accuracy class of the meters that count a line's ampere-hours: the worst of them."""
    points = [p for b in rectifiers(site, line) for p in site.points_of(b.id, "dc")]
    return max((m.class_percent for p in points for m in p.mountings), default=0.0)


def stated_fits(site: Site, line: str) -> Fits:
    """What the plant expects of a line, until metal was weighed."""
    return Fits.stated(site.potlines[line], charge_class_percent(site, line))


def process_columns(process: Process, ac: Energies, load: Banded, start_ns: I64) -> dict[str, Columns]:
    """Columns by node (lines, and the plant as their sum) over the intervals that start at ``start_ns`` int64[m].

    ``ac`` are the owned AC energies of the branches, ``load`` the plant's load from the sources' side: what it exceeds the
    metered branches by is the line loss. Empty for a site without potlines.
    """
    site, m = process.site, len(start_ns)
    if not site.potlines:
        return {}
    metal, rectifier = {}, {}
    for line in site.potlines:
        ce, half = process.efficiency_at(line, start_ns)
        full = process.full_metal_t[line]
        metal[line] = Banded(full * ce, full * (ce - half), full * (ce + half))
        rectifier[line] = all_groups(site, line, ac, m)
    consumers = {b.id: imported(ac[b.id]) for b in consumers_to_tapping(site) if b.id in ac}
    metered_loads = total([imported(ac[b.id]) for part in process.parts for b in part.loads if b.id in ac], m)
    balanced = all(part.has_sources for part in process.parts)
    loss = load - metered_loads if balanced else Banded.zero(m)
    if balanced and unmetered_takers(site):
        loss = replace(loss, low=loss.low - np.maximum(loss.best, 0.0))  # any part of it may be what that branch took
    found = allocate(site, start_ns, consumers, rectifier, process.dc_energy, metal, loss, metered_loads.best)
    if balanced and any(not site.points_of(b.id) for b in consumers_to_tapping(site)):
        found = {line: replace(energy, loss=_up_to(energy.loss, loss)) for line, energy in found.items()}
    columns = {}
    for line, energy in found.items():
        ce, _ = process.efficiency_at(line, start_ns)
        columns[nodes.line(line)] = line_columns(energy) | {"current_efficiency": 100.0 * ce}
        if line in process.pots_running:
            columns[nodes.line(line)]["pots_running"] = process.pots_running[line]
    whole = sum_lines(list(found.values()))
    full = np.sum([process.full_metal_t[line] for line in found], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(full > 0, 100.0 * whole.metal.best / full, np.nan)
    columns[nodes.PLANT] = line_columns(whole) | {"current_efficiency": mean}
    return columns


def unmetered_takers(site: Site) -> list[str]:
    """Branches that take energy without a meter: from outside it looks like loss."""
    takers = site.branches_of("rectifier_group", "feeder", "transformer")
    return [b.id for b in takers if not b.to_bus and not site.points_of(b.id)]


def _up_to(share: Banded, loss: Banded) -> Banded:
    """A line's share of the loss where what takes it unmetered may belong to the line whole."""
    return replace(share, high=np.fmax(share.high, loss.high))


def sum_lines(lines: Sequence[LineEnergy]) -> LineEnergy:
    """The plant's process: all lines together."""
    whole = lines[0]
    for line in lines[1:]:
        whole = whole + line
    return whole


def line_columns(energy: LineEnergy) -> Columns:
    """Columns of a line: numerators, metal and energies per tonne, each with its band."""
    columns = banded_columns("metal_produced", energy.metal)
    for indicator, numerator in energy.numerators().items():
        columns |= banded_columns(NUMERATORS[indicator], numerator)
        columns |= banded_columns(indicator, per_tonne(numerator, energy.metal))
    return columns
