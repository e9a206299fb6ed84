"""The root of the summed squares of the meters' classes: how sharp a figure of a whole month can be at best."""

from __future__ import annotations

import numpy as np

from plant.series import Span
from plant.site import Site
from simulators.accounts import PV, TIES
from simulators.truth import Truth

INVENTORIES = 2  # at either end of a month


def class_shares(truth: Truth, site: Site, span: Span) -> dict[tuple[str, str], float]:
    """Root-sum-square of the classes that a figure rests on over its true value, by (node, indicator)."""
    meters = _Classes(truth, site, span)
    load = truth.load_kwh(span)
    sources = [(b, "import") for b in TIES] + [(b, "export") for b in (*TIES, *PV, "unit-1", "battery")] + [("battery", "import")]
    of_load = meters.root(sources) / load
    sun = meters.share([(b, "export") for b in PV])
    found = {
        ("plant", "load_energy"): of_load,
        ("plant", "grid_import"): meters.share([(b, "import") for b in TIES]),
        ("plant", "renewable_generation"): sun,
        ("plant", "captive_generation"): meters.share([("unit-1", "export")]),
        ("plant", "storage_charge"): meters.share([("battery", "import")]),
        ("plant", "storage_discharge"): meters.share([("battery", "export")]),
        ("plant", "green_to_load"): sun,
        ("plant", "green_share_physical"): float(np.hypot(sun, of_load)),
    }
    for node, lines in (("plant", list(truth.lines)), *((f"line:{line}", [line]) for line in truth.lines)):
        groups = [group for line in lines for group in truth.lines[line].groups]
        ac, dc = meters.share([(g, "import") for g in groups]), meters.share([(f"dc-{g}", "import") for g in groups])
        metal = _metal_share(truth, site, span, lines)
        found |= {
            (node, "rectifier_energy"): ac,
            (node, "dc_energy"): dc,
            (node, "rectifier_efficiency"): float(np.hypot(ac, dc)),
            (node, "metal_produced"): metal,
            (node, "specific_energy_e1"): float(np.hypot(ac, metal)),
            (node, "specific_energy_dc"): float(np.hypot(dc, metal)),
            (node, "specific_energy_e2"): float(np.hypot(of_load, metal)),
            (node, "specific_energy_e2_tariff"): float(np.hypot(of_load, metal)),
        }
    return found


class _Classes:
    """Energies of a span by branch, and the class of the main meter of each."""

    def __init__(self, truth: Truth, site: Site, span: Span) -> None:
        self._truth, self._span = truth, span
        main = [p for p in site.points.values() if p.rank == "main"]
        self._share = {f"dc-{p.branch}" if p.side == "dc" else p.branch: p.mountings[0].class_percent / 100 for p in main}

    def root(self, feeds: list[tuple[str, str]]) -> float:
        """Root-sum-square of several feeds, kWh."""
        return float(np.linalg.norm([self._share[b] * self._kwh(b, d) for b, d in feeds]))

    def share(self, feeds: list[tuple[str, str]]) -> float:
        """The same over their sum."""
        return self.root(feeds) / sum(self._kwh(b, d) for b, d in feeds)

    def _kwh(self, branch: str, direction: str) -> float:
        energy = self._truth.energy(branch, self._span)
        return energy.import_kwh if direction == "import" else energy.export_kwh


def _metal_share(truth: Truth, site: Site, span: Span, lines: list[str]) -> float:
    """The scale's class of what was tapped, and the stated uncertainty of the inventories at both ends."""
    parts = []
    for name in lines:
        line = site.potlines[name]
        parts.append(line.scale_class_percent / 100 * truth.metal_tapped_t(name, span))
        held = line.inventory_uncertainty_percent / 100 * truth.metal_in_pots_t(name, span.start_ns)
        parts += [held] * INVENTORIES
    return float(np.linalg.norm(parts)) / sum(truth.metal_produced_t(name, span) for name in lines)
