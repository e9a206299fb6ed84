"""Intervals of virtual points: arithmetic on those of their parts, with their bands, their proof and their flags.

Net energy of the parts is added with its factor and keeps its sign. On a branch that carries energy one way it stands in that
direction, negative where the meters disagree, and is flagged; on any other a sum of points keeps both directions, and a
difference stands in the direction that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import numpy as np

from analytics.balance import Banded
from analytics.counters import F64, I64
from analytics.flags import IntervalFlag
from analytics.intervals import PointIntervals
from plant import nodes
from plant.formula import Terms, resolved
from plant.site import LOAD_KINDS, MeteringPoint, Site

OUTWARD_KINDS = (*LOAD_KINDS, "transformer")
INWARD_KINDS = ("pv", "generator")
PerPoint = Mapping[str, list[PointIntervals]]


def formulas(site: Site) -> dict[str, Terms]:
    """Factors of metered points by virtual point. Raises ValueError where the site was not checked."""
    return _resolved(tuple((v.id, v.formula) for v in site.virtual))


@lru_cache(maxsize=64)
def _resolved(written: tuple[tuple[str, str], ...]) -> dict[str, Terms]:
    return resolved(dict(written))


def with_virtual(site: Site, per_point: PerPoint, hours: tuple[float, ...]) -> dict[str, list[PointIntervals]]:
    """Intervals of every point, each in the resolutions of ``per_point``, those of the virtual ones added; ``hours`` is the
    length of an interval of each resolution."""
    found = dict(per_point)
    for name, terms in formulas(site).items():
        parts = [(found[part], factor) for part, factor in terms.items() if factor]
        point = site.points[name]
        found[name] = [
            virtual_intervals(site, point, [(intervals[i], factor) for intervals, factor in parts], h)
            for i, h in enumerate(hours)
        ]
    return found


def virtual_intervals(
    site: Site, point: MeteringPoint, parts: list[tuple[PointIntervals, float]], hours: float
) -> PointIntervals:
    """A virtual point over m intervals of ``hours`` from its parts and their factors, kWh; bands add."""
    m = len(parts[0][0].flags) if parts else 0
    kind = site.branches[point.branch].kind
    net, into, out = Banded.zero(m), Banded.zero(m), Banded.zero(m)
    for part, factor in parts:
        received, sent = _bands(part)
        net = net + _scaled(received - sent, factor)
        into, out = (
            into + _scaled(received if factor > 0 else sent, abs(factor)),
            out + _scaled(sent if factor > 0 else received, abs(factor)),
        )
    flags: I64 = np.bitwise_or.reduce([part.flags for part, _ in parts]) if parts else np.zeros(m, np.int64)
    if kind in OUTWARD_KINDS:
        into, out = net, Banded.zero(m)
    elif kind in INWARD_KINDS:
        into, out = Banded.zero(m), _scaled(net, -1.0)
    elif not _keeps_directions(kind, (factor for _, factor in parts)):
        into, out = _direction(net), _direction(_scaled(net, -1.0))
    backward = (into.best < 0) | (out.best < 0)
    flags = np.where(backward, flags | int(IntervalFlag.NEGATIVE), flags)
    into, out = (_bounded(one, point.rated_power_kw * hours) for one in (into, out))
    charge = np.sum([factor * part.dc_charge for part, factor in parts], axis=0) if parts else np.full(m, np.nan)
    complete = np.min([part.completeness for part, _ in parts], axis=0) if parts else np.zeros(m)
    return PointIntervals(
        into.best,
        into.low,
        into.high,
        out.best,
        out.low,
        out.high,
        (into.best - out.best) / hours,
        complete,
        _proven(parts, into, out),
        flags,
        charge,
    )


def parts_of(
    site: Site, point: MeteringPoint, direction: str, energy: F64, column: Callable[[str, str], F64]
) -> list[tuple[MeteringPoint, F64]]:
    """What each meter adds to the energy of a point in one direction (``energy_import``, ``energy_export``), kWh [m] with its
    sign; ``column`` gives a column of a node's rows. A point with a meter is its own and only part."""
    if point.mountings:
        return [(point, energy)]
    terms = {name: factor for name, factor in formulas(site)[point.id].items() if factor}
    found = []
    for name, factor in terms.items():
        received, sent = (column(nodes.point(name), d) for d in ("energy_import", "energy_export"))
        if _keeps_directions(site.branches[point.branch].kind, terms.values()):
            one_way = received if (factor > 0) == (direction == "energy_import") else sent
            amount = abs(factor) * one_way
        else:
            sign = 1.0 if direction == "energy_import" else -1.0
            amount = np.where(np.nan_to_num(energy) != 0, sign * factor * (received - sent), 0.0)
        found.append((site.points[name], amount))
    return found


def _keeps_directions(kind: str, factors: Iterable[float]) -> bool:
    """Whether import and export are added apart: sums on a branch that carries energy both ways."""
    return kind not in (*OUTWARD_KINDS, *INWARD_KINDS) and len({factor > 0 for factor in factors}) == 1


def _bands(part: PointIntervals) -> tuple[Banded, Banded]:
    received = Banded(part.energy_import, part.energy_import_low, part.energy_import_high)
    return received, Banded(part.energy_export, part.energy_export_low, part.energy_export_high)


def _scaled(amount: Banded, factor: float) -> Banded:
    low, high = (amount.low, amount.high) if factor >= 0 else (amount.high, amount.low)
    return Banded(factor * amount.best, factor * low, factor * high)


def _direction(net: Banded) -> Banded:
    """The part of a net energy that flowed one way."""
    return Banded(*(np.maximum(edge, 0.0) for edge in (net.best, net.low, net.high)))


def _bounded(amount: Banded, most: float) -> Banded:
    """An edge that nothing bounds: at 0 below, at what the point is rated for above where that is known."""
    low = np.where(np.isnan(amount.low), np.fmin(0.0, amount.best), amount.low)
    high = amount.high
    if most > 0:
        high = np.where(np.isnan(high), np.fmax(most, amount.best), high)
    return Banded(amount.best, low, high)


def _proven(parts: list[tuple[PointIntervals, float]], into: Banded, out: Banded) -> F64:
    """Share of the result that follows from readings: what is estimated in a part weighs by itself, not by what is left."""
    net = np.abs(into.best) + np.abs(out.best)
    turnover = [abs(f) * (np.abs(p.energy_import) + np.abs(p.energy_export)) for p, f in parts]
    unproven = np.sum([t * (1 - p.measured_share) for t, (p, _) in zip(turnover, parts, strict=True)], axis=0)
    idle = np.min([p.measured_share for p, _ in parts], axis=0) if parts else np.zeros(len(net))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(net > 0, 1 - unproven / net, idle)
    found: F64 = np.clip(np.where(np.isfinite(net), share, 0.0), 0.0, 1.0)
    return found
