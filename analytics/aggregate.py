"""Figures of several plants together: sums of energies and metal, ratios of sums, never means of ratios (10.2, 10.9).

What a plant did not say is missing by name and never counts as 0. Meters of different plants err independently: their errors
add as squares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum, hypot, sqrt
from typing import Literal

from plant.indicators import INDICATORS, Figure

Errors = Literal["independent", "common"]
EXTENSIVE = frozenset({"kWh", "MWh", "t", "yuan", "tCO2e"})
ALSO_ADDED = frozenset({"certificates_to_buy"})
NOT_ADDED = frozenset({"tariff_next_step_down_daily"})  # steps of different plants are different steps
_LOAD, _USE = ("load_energy",), ("load_energy", "storage_charge", "-storage_discharge")
_METAL, _INGOTS = ("metal_produced",), ("ingots_cast", "-cold_metal")
# what a ratio is taken over: the sum of these, those with "-" taken off; one that a plant does not have counts as not there
DENOMINATORS: Mapping[str, tuple[str, ...]] = {
    "specific_energy_dc": _METAL,
    "specific_energy_e1": _METAL,
    "specific_energy_e2": _METAL,
    "specific_energy_e2_tariff": _METAL,
    "specific_energy_e3": _INGOTS,
    "specific_energy_e4": _INGOTS,
    "rectifier_efficiency": ("rectifier_energy",),
    "direct_alloy_ratio": ("metal_tapped",),
    "green_share_physical": _LOAD,
    "green_share_matched": _LOAD,
    "contracted_share": _LOAD,
    "green_share_cfe": _LOAD,
    "green_share_volumetric": _LOAD,
    "non_hydro_share": _LOAD,
    "certificate_ratio": _USE,
    "pv_self_consumption": ("renewable_generation",),
    "pv_feed_in": ("renewable_generation",),
    "direct_emissions_intensity": _METAL,
    "electricity_intensity_location": _METAL,
    "electricity_intensity_matched": _METAL,
    "electricity_intensity_volumetric": _METAL,
    "energy_price_mean": ("grid_import",),
}


@dataclass(frozen=True, slots=True)
class PlantFigures:
    """What one plant handed in for a period: figures of the plant and of its lines by indicator."""

    plant: str
    enterprise: str
    province: str
    figures: Mapping[str, Figure]
    lines: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    capacity_t_per_y: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A figure over several plants. ``value`` is None where one of ``plants`` could not say its own; those are ``missing``.
    ``known_value`` is that of the others together. ``companies`` is how many enterprises it is of."""

    indicator: str
    value: float | None
    low: float | None
    high: float | None
    known_value: float | None
    completeness: float
    measured_share: float
    plants: tuple[str, ...]
    companies: int
    missing: tuple[str, ...] = ()


def adds_up(indicator: str) -> bool:
    """Whether plants' figures of an indicator are summed."""
    return indicator in ALSO_ADDED or (INDICATORS[indicator].unit in EXTENSIVE and indicator not in NOT_ADDED)


def size(figures: Mapping[str, Figure], parts: Sequence[str]) -> tuple[float, float, float] | None:
    """(value, how far below, how far above) of a denominator of ``DENOMINATORS``, None where a part of it is not known.

    The first part has to be there; of the others, one that a plant does not have is none. Their errors add.
    """
    if parts[0] not in figures:
        return None
    value = below = above = 0.0
    for part in parts:
        name, sign = part.removeprefix("-"), -1 if part.startswith("-") else 1
        if name not in figures:
            continue
        if not _known(figures[name]):
            return None
        one, less, more = _edges(figures[name])
        value += sign * one
        below, above = below + (less if sign > 0 else more), above + (more if sign > 0 else less)
    return value, below, above


def aggregated(plants: Sequence[PlantFigures], errors: Errors = "independent") -> dict[str, Aggregate]:
    """Every indicator that adds up, or is a ratio whose denominator the plants state, over the plants that have it.

    ``errors`` of plants are independent and add as squares; those of months of one plant are of the same meters and add.
    """
    plants = [replace(p, figures=_without_contract(p.figures)) for p in plants]
    names = [name for name in INDICATORS if any(name in p.figures for p in plants)]
    found = {}
    for name in names:
        if adds_up(name):
            found[name] = _sum(name, [p for p in plants if name in p.figures], errors)
        elif name in DENOMINATORS:
            found[name] = _ratio(name, [p for p in plants if _weighs(p.figures, name)], errors)
    return found


def _weighs(figures: Mapping[str, Figure], name: str) -> bool:
    """Whether a plant belongs to a ratio: it states it, or what it would be taken over, and that is not surely nothing."""
    over = size(figures, DENOMINATORS[name])
    if over is not None and over[0] + over[2] <= 0:
        return False
    return name in figures or DENOMINATORS[name][0] in figures


def _without_contract(figures: Mapping[str, Figure]) -> Mapping[str, Figure]:
    """Of a plant that has no contract the matched and the volumetric share are the physical one, and the contracted one is 0."""
    physical = figures.get("green_share_physical")
    if physical is None or "contracted_energy" in figures:
        return figures
    alike = {name: replace(physical, indicator=name, status={}) for name in ("green_share_matched", "green_share_volumetric")}
    none = Figure("contracted_share", 0.0, 0.0, 0.0, physical.completeness, physical.measured_share)
    return {**alike, "contracted_share": none, **figures}


def _known(figure: Figure) -> bool:
    return figure.value is not None and figure.low is not None and figure.high is not None


def _aggregate(
    name: str,
    plants: Sequence[PlantFigures],
    parts: Sequence[tuple[float, float, float]],
    known: Sequence[PlantFigures],
    errors: Errors,
) -> Aggregate:
    """From (value, how far below, how far above it the truth may lie) of the plants that are ``known``; the value of all is
    that of the known ones where none is missing."""
    missing = tuple(sorted(p.plant for p in plants if p not in known))
    value = fsum(v for v, _, _ in parts) if parts else None
    combined = _squares if errors == "independent" else fsum
    below, above = (combined([part[i] for part in parts]) for i in (1, 2))
    whole = value is not None and not missing
    return Aggregate(
        name,
        value if whole else None,
        value - below if whole and value is not None else None,
        value + above if whole and value is not None else None,
        value,
        *_trust(name, plants),
        tuple(sorted(p.plant for p in plants)),
        len({p.enterprise or p.plant for p in plants}),
        missing,
    )


def _squares(widths: Sequence[float]) -> float:
    return sqrt(fsum(width**2 for width in widths))


def _trust(name: str, plants: Sequence[PlantFigures]) -> tuple[float, float]:
    """Completeness and measured share: means of the plants', weighted by size where all sizes are known."""
    figures = [p.figures[name] for p in plants if name in p.figures]
    sizes = [abs(f.value) if f.value is not None and adds_up(name) else None for f in figures]
    weights = [s for s in sizes if s is not None]
    if len(weights) < len(figures) or fsum(weights) <= 0:
        weights = [1.0] * len(figures)
    total = fsum(weights)
    complete = fsum(f.completeness * w for f, w in zip(figures, weights, strict=True)) / total
    return complete, fsum(f.measured_share * w for f, w in zip(figures, weights, strict=True)) / total


def _sum(name: str, plants: Sequence[PlantFigures], errors: Errors) -> Aggregate:
    known = [p for p in plants if _known(p.figures[name])]
    return _aggregate(name, plants, [_edges(p.figures[name]) for p in known], known, errors)


def _edges(figure: Figure) -> tuple[float, float, float]:
    assert figure.value is not None and figure.low is not None and figure.high is not None
    return figure.value, figure.value - figure.low, figure.high - figure.value


def _ratio(name: str, plants: Sequence[PlantFigures], errors: Errors) -> Aggregate:
    """Ratio of sums: each plant's ratio weighs by its denominator. An error of a plant's ratio counts by its weight, one of
    its denominator by how far its ratio is from the whole."""
    stating = [p for p in plants if name in p.figures and _known(p.figures[name])]
    sizes = {p.plant: size(p.figures, DENOMINATORS[name]) for p in stating}
    known = [(p, found) for p in stating if (found := sizes[p.plant]) is not None and found[0] > 0]
    whole = fsum(found[0] for _, found in known)
    ratio = fsum(_edges(p.figures[name])[0] * found[0] for p, found in known) / whole if known else 0.0
    parts = []
    for p, (amount, less, more) in known:
        value, below, above = _edges(p.figures[name])
        weight, tilted = amount / whole, max(less, more) * abs(value - ratio) / whole
        parts.append((value * weight, hypot(below * weight, tilted), hypot(above * weight, tilted)))
    return _aggregate(name, plants, parts, [p for p, _ in known], errors)


def of_months(months: Sequence[PlantFigures]) -> PlantFigures:
    """Figures of one plant's months together; a figure that a month could not say is null, with the reason."""
    first = months[0]
    figures = _together(months)
    names = sorted({line for month in months for line in month.lines})
    lines = {name: _together([replace(m, figures=m.lines.get(name, {})) for m in months]) for name in names}
    return PlantFigures(first.plant, first.enterprise, first.province, figures, lines, first.capacity_t_per_y)


def _together(months: Sequence[PlantFigures]) -> dict[str, Figure]:
    numbered = [replace(month, plant=f"{i:02}") for i, month in enumerate(months)]
    return {
        name: Figure(name, a.value, a.low, a.high, a.completeness, a.measured_share, _gap(a, len(months)))
        for name, a in aggregated(numbered, "common").items()
    }


def _gap(a: Aggregate, months: int) -> str:
    silent = months - len(a.plants) + len(a.missing)
    return f"{silent} of {months} months could not say" if silent else ""


@dataclass(frozen=True, slots=True)
class CapacityShare:
    """Capacity of potlines by how their e1 stands to benchmark and baseline, t a year; ``undecided`` where a band straddles
    or nothing is known. Shares are of all capacity: the least and the most that they may be."""

    benchmark_t_per_y: float
    between_t_per_y: float
    below_baseline_t_per_y: float
    undecided_t_per_y: Mapping[str, float]
    total_t_per_y: float

    def percent(self, part_t_per_y: float) -> tuple[float, float] | None:
        """(least, most) share of a part, %, None without any capacity."""
        if self.total_t_per_y <= 0:
            return None
        unsure = fsum(self.undecided_t_per_y.values())
        return 100.0 * part_t_per_y / self.total_t_per_y, 100.0 * (part_t_per_y + unsure) / self.total_t_per_y


def capacity_share(plants: Iterable[PlantFigures]) -> CapacityShare:
    """Capacity at or above the efficiency benchmark, and below the baseline, by the status of each line's e1 (10.2)."""
    sums: dict[str, list[float]] = {"benchmark": [], "between": [], "below": []}
    undecided: dict[str, float] = {}
    for plant in plants:
        for line, capacity in plant.capacity_t_per_y.items():
            figure = plant.lines.get(line, {}).get("specific_energy_e1")
            where = _standing(figure)
            if where:
                sums[where].append(capacity)
            else:
                undecided[f"{plant.plant}/{line}"] = capacity
    benchmark, between, below = (fsum(part) for part in sums.values())
    return CapacityShare(benchmark, between, below, undecided, fsum((benchmark, between, below, *undecided.values())))


def _standing(figure: Figure | None) -> str:
    """benchmark, between or below; empty where it cannot be told."""
    status = {} if figure is None else figure.status
    if status.get("benchmark") == "met":
        return "benchmark"
    if status.get("baseline") == "exceeded":
        return "below"
    return "between" if status.get("benchmark") == "exceeded" and status.get("baseline") == "met" else ""


def suppressed(groups: Mapping[str, int], companies_min: int) -> set[str]:
    """Groups of a table with a total whose figures are withheld: those of fewer than ``companies_min`` enterprises; and where
    that is a single group, which the total less the others would give away, the next smallest one too."""
    small = {name for name, companies in groups.items() if companies < companies_min}
    if len(small) == 1 and len(groups) > 1:
        small.add(min((n for n in groups if n not in small), key=lambda n: (groups[n], n)))
    return small
