"""What the meters of a site have to agree on: balances of bus sections, AC and DC of rectifier groups, main and check meters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analytics.counters import F64, Mask
from analytics.suspects_model import DAY_SLOTS, Equation
from plant import nodes
from plant.site import LOAD_KINDS, Branch, MeteringPoint, Site

UNMETERED = 0.01  # of a section's flow: one standard deviation of loss and load without a meter
UNMETERED_DAY = 0.003  # the same of its course over the day
WANDER = 0.002  # the same of how it differs from one day to another


def equations_of(
    site: Site, kwh: Mapping[str, F64], valid: Mapping[str, Mask], rectifier: tuple[float, float] | None = None
) -> list[Equation]:
    """What the meters of a site have to agree on. ``kwh`` float64[m] is the net energy by point, ``valid`` bool[m] where it was
    measured; ``rectifier`` the least and the most that DC energy can be of AC energy (0..1), None where no rule says."""
    found = [e for bus in site.buses if (e := _section(site, bus, kwh, valid)) is not None]
    for branch in site.branches.values():
        found += _group(site, branch, kwh, valid, rectifier)
        found += _pairs(site, branch, kwh, valid)
    return found


def main_point(site: Site, branch: str, side: str = "ac") -> MeteringPoint | None:
    """The best point of a branch that has a meter."""
    return next((p for p in site.points_of(branch, side) if p.mountings), None)


def inflow(branch: Branch, bus: str) -> int:
    """+1 where the branch's + direction brings energy onto the bus, -1 where it takes it away, 0 if it is elsewhere."""
    if branch.to_bus:
        return int(branch.to_bus == bus) - int(branch.bus == bus)
    return 0 if branch.bus != bus else 1 if branch.kind == "grid_tie" else -1


def blind(site: Site, bus: str) -> list[str]:
    """Branches of a section that no meter measures: with one of them it has no balance."""
    return [b.id for b in site.branches.values() if inflow(b, bus) and main_point(site, b.id) is None]


def _section(site: Site, bus: str, kwh: Mapping[str, F64], valid: Mapping[str, Mask]) -> Equation | None:
    branches = [b for b in site.branches.values() if inflow(b, bus)]
    if not branches or blind(site, bus) or not any(b.kind not in LOAD_KINDS for b in branches):
        return None
    terms = [(p.id, float(inflow(b, bus))) for b in branches if (p := main_point(site, b.id)) is not None]
    good = np.all([valid[p] for p, _ in terms], axis=0)
    through = float(np.sum([np.abs(kwh[p][good]).mean() if good.any() else 0.0 for p, _ in terms])) / 2.0
    day = 2.0 * np.pi * np.arange(len(good)) / DAY_SLOTS
    waves = [UNMETERED_DAY * through * f(k * day) for k in (1, 2) for f in (np.sin, np.cos)]
    slack = np.array([np.full(len(good), UNMETERED * through), *waves, *(WANDER * through * _knots(len(good)))])
    return Equation(nodes.bus(bus), tuple(terms), slack, good, through)


def _knots(m: int) -> F64:
    """Tents over m slots, a day apart, float64[k, m]: between them whatever changes from day to day is a line."""
    at = np.arange(0, m + DAY_SLOTS, DAY_SLOTS)[:, None]
    return np.asarray(np.maximum(1.0 - np.abs(np.arange(m) - at) / DAY_SLOTS, 0.0), np.float64)


def _group(
    site: Site, branch: Branch, kwh: Mapping[str, F64], valid: Mapping[str, Mask], rectifier: tuple[float, float] | None
) -> list[Equation]:
    ac, dc = main_point(site, branch.id), main_point(site, branch.id, "dc")
    if branch.kind != "rectifier_group" or ac is None or dc is None or rectifier is None:
        return []
    good = valid[ac.id] & valid[dc.id]
    middle, half = sum(rectifier) / 2.0, (rectifier[1] - rectifier[0]) / 2.0
    through = float(np.abs(kwh[ac.id][good]).mean()) if good.any() else 0.0
    share = half / float(np.sqrt(3.0)) * kwh[ac.id][None, :]
    return [Equation(nodes.branch(branch.id), ((ac.id, 1.0), (dc.id, -1.0 / middle)), share, good, through)]


def _pairs(site: Site, branch: Branch, kwh: Mapping[str, F64], valid: Mapping[str, Mask]) -> list[Equation]:
    found = []
    for side in ("ac", "dc"):
        metered = [p for p in site.points_of(branch.id, side) if p.mountings]
        for other in metered[1:]:
            good = valid[metered[0].id] & valid[other.id]
            through = float(np.abs(kwh[other.id][good]).mean()) if good.any() else 0.0
            terms = ((metered[0].id, 1.0), (other.id, -1.0))
            found.append(Equation(nodes.point(other.id), terms, np.zeros((0, len(good))), good, through))
    return found
