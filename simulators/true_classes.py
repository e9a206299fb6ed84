"""The root of the summed squares of the meters' classes: how sharp a figure can be at best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plant.series import Span
from plant.site import MeteringPoint, Site
from simulators.accounts import PV, TIES
from simulators.parameters import BUS_OF
from simulators.truth import Truth

INVENTORIES = 2  # at either end of a month
SMALL_KWH = 1_000.0  # what hardly ever moves has no share
SELDOM = 0.1  # of what went either way
EDGES = 2  # a register is cut to its step at either end
Feeds = list[tuple[str, str]]


def class_shares(truth: Truth, site: Site, span: Span, *, whole: bool) -> dict[tuple[str, str], float]:
    """Root-sum-square of the classes and steps that a figure rests on over its true value, by (node, indicator).

    The metal of a ``whole`` month is weighed; of anything shorter it follows from the current, by the site's efficiency.
    """
    meters = _Classes(truth, site, span)
    load = truth.load_kwh(span)
    exports: Feeds = [(b, "export") for b in TIES]
    suns: Feeds = [(b, "export") for b in PV]
    sources = [
        *((b, "import") for b in TIES),
        *exports,
        *suns,
        ("unit-1", "export"),
        ("battery", "export"),
        ("battery", "import"),
    ]
    of_load = meters.root(sources) / load
    sun = meters.share(suns)
    fed, kept = _feed_in(truth, span), float(np.hypot(meters.share(exports), sun))
    found = {
        ("plant", "load_energy"): of_load,
        ("plant", "grid_import"): meters.share([(b, "import") for b in TIES]),
        ("plant", "grid_export"): meters.share(exports),
        ("plant", "renewable_generation"): sun,
        ("plant", "captive_generation"): meters.share([("unit-1", "export")]),
        ("plant", "storage_charge"): meters.share([("battery", "import")]),
        ("plant", "storage_discharge"): meters.share([("battery", "export")]),
        ("plant", "green_to_load"): sun,
        ("plant", "green_share_physical"): float(np.hypot(sun, of_load)),
        ("plant", "pv_feed_in"): kept,
        ("plant", "pv_self_consumption"): kept * fed / (1.0 - fed),
    }
    for node, lines in (("plant", list(truth.lines)), *((f"line:{line}", [line]) for line in truth.lines)):
        groups = [group for line in lines for group in truth.lines[line].groups]
        ac, dc = meters.share([(g, "import") for g in groups]), meters.share([(f"dc-{g}", "import") for g in groups])
        metal = _metal_share(truth, site, span, lines) if whole else _stated_share(truth, site, span, lines)
        found |= {
            (node, "rectifier_energy"): ac,
            (node, "dc_energy"): dc,
            (node, "rectifier_efficiency"): float(np.hypot(ac, dc)),
            (node, "metal_produced"): metal,
            (node, "specific_energy_e1"): float(np.hypot(ac, metal)),
            (node, "specific_energy_dc"): float(np.hypot(dc, metal)),
            (node, "specific_energy_e2"): float(np.hypot(of_load, metal)),
            (node, "specific_energy_e2_tariff"): float(np.hypot(of_load, metal)),
            (node, "current_efficiency"): float(np.hypot(dc, metal)),
        }
    for bus, lost in ((1, ("loss-1",)), (2, ("loss-2", "unmetered"))):
        branches = [*(branch for branch, at in BUS_OF.items() if at == bus), "coupler"]
        feeds = [(branch, direction) for branch in branches for direction in ("import", "export")]
        found[f"bus:bus-{bus}", "residual"] = meters.root(feeds) / sum(truth.energy_kwh(name, span) for name in lost)
    found |= _branch_shares(truth, meters)
    outer: Feeds = [(branch, direction) for branch in BUS_OF for direction in ("import", "export")]
    of_loss = meters.root(outer) / sum(truth.energy_kwh(name, span) for name in ("loss-1", "loss-2", "unmetered"))
    found |= {("plant", name): of_loss for name in ("network_loss", "network_loss_share")}
    found["plant", "casthouse_energy"] = meters.share([("casthouse", "import")])
    return {name: share for name, share in found.items() if np.isfinite(share)}


def _branch_shares(truth: Truth, meters: _Classes) -> dict[tuple[str, str], float]:
    found = {}
    for field in PV:
        for name in ("solar_generation", "specific_yield"):
            found[f"branch:{field}", name] = meters.share([(field, "export")])
    for group in (group for line in truth.lines.values() for group in line.groups):
        sides = meters.share([(group, "import")]), meters.share([(f"dc-{group}", "import")])
        found[f"branch:{group}", "rectifier_group_efficiency"] = float(np.hypot(*sides))
    return found


def point_shares(site: Site, true: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Class and steps of a point over its true energy, by (point, direction); none of the direction it seldom has."""
    found = {}
    for (id_, direction), kwh in true.items():
        either = true[id_, "import"] + true[id_, "export"]
        if kwh >= max(SMALL_KWH, SELDOM * either) and site.points[id_].mountings:
            share, step = _limits(site.points[id_])
            found[id_, direction] = share + step / kwh
    return found


def _limits(point: MeteringPoint) -> tuple[float, float]:
    """(share, kWh) that the meters of a point err by."""
    coarsest = max(m.register_step_kwh for m in point.mountings)
    return max(m.class_percent for m in point.mountings) / 100.0, EDGES * coarsest


class _Classes:
    """Energies of a span by branch, and class and steps of the main meter of each; of the check meter where that is worse."""

    def __init__(self, truth: Truth, site: Site, span: Span) -> None:
        self._truth, self._span = truth, span
        self._limits: dict[str, tuple[float, float]] = {}
        for point in site.points.values():
            if point.rank == "main" and point.mountings:
                self._limits[f"dc-{point.branch}" if point.side == "dc" else point.branch] = _limits(point)

    def root(self, feeds: Feeds) -> float:
        """Root-sum-square of several feeds, kWh."""
        parts = []
        for branch, direction in feeds:
            share, step = self._limits[branch]
            parts += [share * self._kwh(branch, direction), step]
        return float(np.linalg.norm(parts))

    def share(self, feeds: Feeds) -> float:
        """The same over their sum; NaN of next to nothing."""
        whole = sum(self._kwh(b, d) for b, d in feeds)
        return self.root(feeds) / whole if whole >= SMALL_KWH else np.nan

    def _kwh(self, branch: str, direction: str) -> float:
        energy = self._truth.energy(branch, self._span)
        return energy.import_kwh if direction == "import" else energy.export_kwh


def _feed_in(truth: Truth, span: Span) -> float:
    made = sum(truth.energy(field, span).export_kwh for field in PV)
    return truth.renewable_export_kwh(span) / made


def _metal_share(truth: Truth, site: Site, span: Span, lines: list[str]) -> float:
    """The scale's class of what was tapped, and the stated uncertainty of the inventories at both ends."""
    parts = []
    for name in lines:
        line = site.potlines[name]
        parts.append(line.scale_class_percent / 100 * truth.metal_tapped_t(name, span))
        held = line.inventory_uncertainty_percent / 100 * truth.metal_in_pots_t(name, span.start_ns)
        parts += [held] * INVENTORIES
    return float(np.linalg.norm(parts)) / sum(truth.metal_produced_t(name, span) for name in lines)


def _stated_share(truth: Truth, site: Site, span: Span, lines: list[str]) -> float:
    """What the site file leaves open of the current efficiency."""
    parts = [site.potlines[name].current_efficiency_uncertainty * truth.metal_produced_t(name, span) for name in lines]
    return float(np.linalg.norm(parts)) / sum(truth.metal_produced_t(name, span) for name in lines)
