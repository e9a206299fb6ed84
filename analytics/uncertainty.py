"""How sure a figure of a period is: meters err independently, so what their classes leave open adds as squares.

A meter's gain is off the same way all the time, so its own error adds up over a period; the errors of several meters are
independent and, anywhere within their class alike, add as squares with a coverage factor of 2 (JCGM 100:2008, 4.3.7 and 6.2),
and never to more than their sum. Rows carry every meter at its worst instead, which holds for an interval; here the part of
that width which meters have in a period is replaced by their own. What gaps leave open stays as it is, beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np

from analytics.balance import Banded
from analytics.counters import F64, I64, Mask
from analytics.estimate import Sum, close_gaps
from analytics.flags import IntervalFlag
from analytics.intervals import PointIntervals
from analytics.ownership import owned, owners
from analytics.table import Table
from analytics.virtual import parts_of
from plant import nodes
from plant.site import MeteringPoint, Mounting, Site

COVERAGE = 2.0 / float(np.sqrt(3.0))  # of a rectangular distribution's half width: two standard deviations
DIRECTIONS = ("energy_import", "energy_export")
Feed = tuple[str, str]  # branch (DC side: "dc:<branch>") and direction
Weights = Mapping[Feed, F64 | float]
Terms = dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Supply:
    """Energy of a branch in one direction over m intervals that one meter supplied: ``kwh`` float64[m], 0 where it did not.

    ``class_share`` is its class (0..1), ``resolution_kwh`` how far its register may be off over the period.
    """

    meter: str
    feed: Feed
    kwh: F64
    class_share: float
    resolution_kwh: float


@dataclass(frozen=True, slots=True, eq=False)
class Supplies:
    """All supplies of a period, and by how much gaps that it holds whole narrow the band of a feed, float64[m] each."""

    found: tuple[Supply, ...]
    closed_low: Mapping[Feed, F64]
    closed_high: Mapping[Feed, F64]
    best: Mapping[Feed, F64]

    def terms(self, weights: Weights) -> Terms:
        """What each meter may shift a figure by, kWh with its sign; ``weights`` are the figure's derivatives by feed."""
        terms: Terms = {}
        for supply in self.found:
            weight = weights.get(supply.feed)
            if weight is None:
                continue
            direction = supply.feed[1]
            terms[f"{supply.meter} {direction}"] = supply.class_share * float(np.nansum(weight * supply.kwh))
            if supply.resolution_kwh:
                terms[f"{supply.meter} {direction} step"] = supply.resolution_kwh * float(np.nanmax(np.abs(weight), initial=0.0))
        return terms

    def linear_kwh(self, weights: Weights) -> float:
        """What the classes of all meters make in the rows, each at its worst; ``weights`` as the rows have them."""
        parts = [
            s.class_share * float(np.nansum(np.abs(weights[s.feed]) * np.abs(s.kwh))) for s in self.found if s.feed in weights
        ]
        return float(sum(parts))

    def closed_kwh(self, weights: Weights) -> tuple[float, float]:
        """By how much whole gaps narrow a figure below and above."""
        low = high = 0.0
        for feed, weight in weights.items():
            if feed in self.closed_low:
                less, more = self.closed_low[feed], self.closed_high[feed]
                up = np.asarray(weight) >= 0
                low += float(np.nansum(np.abs(weight) * np.where(up, less, more)))
                high += float(np.nansum(np.abs(weight) * np.where(up, more, less)))
        return low, high


@dataclass(frozen=True, slots=True)
class Spread:
    """A sum with its sharp band; ``terms`` is what meters may shift it by, ``loose`` what gaps leave open below and above."""

    sum: Sum
    terms: Terms = field(default_factory=dict)
    loose: tuple[float, float] = (0.0, 0.0)


def half_width(terms: Iterable[float]) -> float:
    """Half the band that independent terms leave open together: as squares, and at most their sum."""
    sizes = np.abs(np.array(list(terms), np.float64))
    return float(min(COVERAGE * np.linalg.norm(sizes), sizes.sum())) if len(sizes) else 0.0


def sharpened(found: Sum, supplies: Supplies, weights: Weights, as_rows: Weights | None = None) -> Spread:
    """A sum of rows with the meters' part of its band replaced by that of the period.

    ``weights`` are the derivatives of the sum by feed, scalars or float64[m]; ``as_rows`` those with which the rows widened
    their bands, where these differ from their sizes.
    """
    terms = supplies.terms(weights)
    if found.value is None or found.low is None or found.high is None:
        return Spread(found, terms)
    saved = supplies.linear_kwh(as_rows or weights)
    low, high = supplies.closed_kwh(weights) if as_rows is None else (0.0, 0.0)
    less, more = max(found.value - found.low - saved - low, 0.0), max(found.high - found.value - saved - high, 0.0)
    half = half_width(terms.values())
    return Spread(replace(found, low=found.value - less - half, high=found.value + more + half), terms, (less, more))


def ratio_of(part: Spread, whole: Spread, found: Sum) -> Sum:
    """The band of a ratio whose two sides share meters; ``found`` is the ratio with the widest band."""
    if not part.sum.value or not whole.sum.value or not found.value or found.low is None or found.high is None:
        return found
    names = {*part.terms, *whole.terms}
    shifts = [part.terms.get(n, 0.0) / part.sum.value - whole.terms.get(n, 0.0) / whole.sum.value for n in names]
    half = half_width(shifts)
    (part_less, part_more), (whole_less, whole_more) = part.loose, whole.loose
    less = half + part_less / part.sum.value + whole_more / whole.sum.value
    more = half + part_more / part.sum.value + whole_less / whole.sum.value
    low, high = found.value * (1.0 - min(less, 1.0)), found.value * (1.0 + more)
    return replace(found, low=max(found.low, low), high=min(found.high, high))


def supplies_of(site: Site, rows: Table) -> Supplies:
    """Which meter supplied which branch when, from the rows of the points."""
    found: list[Supply] = []
    closed_low: dict[Feed, F64] = {}
    closed_high: dict[Feed, F64] = {}
    best: dict[Feed, F64] = {}
    for branch in site.branches:
        for side, prefix in (("ac", ""), ("dc", "dc:")):
            ranked = site.points_of(branch, side)
            if not ranked:
                continue
            intervals = [_intervals(rows, nodes.point(p.id)) for p in ranked]
            owner = owners(intervals)
            picked = owned(intervals, owner)
            for direction in DIRECTIONS:
                feed = (f"{prefix}{branch}", direction)
                energy = getattr(picked, direction)
                best[feed] = energy
                if not np.nan_to_num(energy).any():
                    continue
                for i, point in enumerate(ranked):
                    for part, kwh in parts_of(site, point, direction, energy, rows.column):
                        found += _of_point(part, feed, np.where(owner == i, kwh, 0.0), owner == i, rows)
                if not (picked.flags & int(IntervalFlag.SPREAD)).any():
                    continue
                shares = np.array([_class_shares(p, rows) for p in ranked])
                metered = np.array([bool(p.mountings) for p in ranked])[owner]  # a formula proves no total over a gap
                less, more = _closed(picked, direction, shares[owner, np.arange(len(owner))])
                closed_low[feed], closed_high[feed] = np.where(metered, less, 0.0), np.where(metered, more, 0.0)
    return Supplies(tuple(found), closed_low, closed_high, best)


def _of_point(point: MeteringPoint, feed: Feed, kwh: F64, mine: Mask, rows: Table) -> list[Supply]:
    """Supplies of a point by its mountings."""
    if not mine.any():
        return []
    found = []
    for mounting, end_ns in point.mounted():
        inside = mine & (rows.start_ns >= mounting.valid_from_ns) & (rows.start_ns < end_ns)
        if inside.any():
            resolution = _resolution_kwh(mounting, inside)
            energy = np.where(inside, np.nan_to_num(kwh), 0.0)
            found.append(Supply(mounting.meter, feed, energy, mounting.class_percent / 100, resolution))
    return found


def _resolution_kwh(mounting: Mounting, inside: Mask) -> float:
    """How far a register with steps may be off over the intervals ``inside`` bool[m]: a step for each run of them."""
    runs = int((np.diff(np.concatenate([[0], inside.astype(np.int8)])) == 1).sum())
    return mounting.register_step_kwh * float(np.sqrt(runs))


def with_resolution(found: Sum, point: MeteringPoint) -> Sum:
    """The sum of a point with the steps of its registers in its band; what never moved has none."""
    if not found.value or found.low is None or found.high is None:
        return found
    step = max((m.register_step_kwh for m in point.mountings), default=0.0)
    return replace(found, low=found.low - step, high=found.high + step)


def _class_shares(point: MeteringPoint, rows: Table) -> F64:
    """Class (0..1) of the meter of a point by interval."""
    share = np.zeros(len(rows.start_ns))
    for mounting in point.mountings:
        share[rows.start_ns >= mounting.valid_from_ns] = mounting.class_percent / 100
    return share


def _closed(picked: PointIntervals, direction: str, class_share: F64) -> tuple[F64, F64]:
    """By how much the band of each interval narrows where the period holds its gap whole, the meter's class aside."""
    best, low, high = (getattr(picked, f"{direction}{edge}") for edge in ("", "_low", "_high"))
    closed, _ = close_gaps(Banded(best, low, high), picked.measured_share, picked.flags.astype(float), 0.0)
    inside = (closed.high == closed.low) & (class_share > 0)  # of a formula nobody knows here which part a flag is of
    with np.errstate(invalid="ignore"):
        less = np.maximum(best - low / (1 - class_share), 0.0)
        more = np.maximum(high / (1 + class_share) - best, 0.0)
        return np.where(inside, less, 0.0), np.where(inside, more, 0.0)


def _intervals(rows: Table, node: str) -> PointIntervals:
    names = [f.name for f in fields(PointIntervals) if f.name not in ("flags", "dc_charge")]
    columns = {name: rows.column(node, name) for name in names}
    flags: I64 = np.nan_to_num(rows.column(node, "flags")).astype(np.int64)
    return PointIntervals(**columns, flags=flags, dc_charge=np.full(len(flags), np.nan))
