"""How sure a figure of a period is: meters err independently, so what their classes leave open adds as squares.

A meter's gain is off the same way all the time, so its own error adds up over a period; the errors of several meters are
independent and, anywhere within their class alike, add as squares with a coverage factor of 2 (JCGM 100:2008, 4.3.7 and 6.2),
and never to more than their sum. Rows carry every meter at its worst instead, which holds for an interval; here the part of
that width which meters have in a period is replaced by their own. What gaps leave open stays as it is, beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from analytics.counters import F64, I64, Mask
from analytics.estimate import Sum, whole_gaps
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
NO_WEIGHTS: Weights = {}


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
    """All supplies of a period, and by how much gaps that it holds whole narrow the band of a feed, float64[m] each;
    ``gaps`` says which gap of the feed each interval is of, -1 for none, int64[m]; ``proven`` its measured share."""

    found: tuple[Supply, ...]
    closed_low: Mapping[Feed, F64]
    closed_high: Mapping[Feed, F64]
    best: Mapping[Feed, F64]
    gaps: Mapping[Feed, I64] = field(default_factory=dict)
    proven: Mapping[Feed, F64] = field(default_factory=dict)

    def terms(self, weights: Weights) -> Terms:
        """What each meter may shift a figure by, kWh with its sign; ``weights`` are the figure's derivatives by feed.

        A meter errs alike under all its mountings and wherever a formula takes it; the steps of its registers do not.
        """
        terms: Terms = {}
        for supply in self.found:
            weight = weights.get(supply.feed)
            if weight is None:
                continue
            name = f"{supply.meter} {supply.feed[1]}"
            terms[name] = terms.get(name, 0.0) + supply.class_share * float(np.nansum(weight * supply.kwh))
            if supply.resolution_kwh:
                step = supply.resolution_kwh * float(np.nanmax(np.abs(weight), initial=0.0))
                terms[f"{name} step"] = float(np.hypot(terms.get(f"{name} step", 0.0), step))
        return terms

    def linear_kwh(self, weights: Weights) -> float:
        """What the classes of all meters make in the rows, each at its worst; ``weights`` as the rows have them."""
        parts = [
            s.class_share * float(np.nansum(np.abs(weights[s.feed]) * np.abs(s.kwh))) for s in self.found if s.feed in weights
        ]
        return float(sum(parts))

    def closed_kwh(self, weights: Weights) -> tuple[float, float]:
        """By how much the intervals of whole gaps widen rows of these ``weights`` below and above."""
        return self._gaps_kwh({feed: weight for feed, weight in weights.items() if feed in self.closed_low})

    def proven_of(self, feeds: Iterable[Feed]) -> float:
        """Share 0..1 of what went through ``feeds``, whichever way, that follows from readings; a missing interval counts as
        the mean of the known ones."""
        weights, shares = [np.zeros(0)], [np.zeros(0)]
        for feed in feeds:
            if feed in self.proven:
                energy = np.abs(self.best[feed])
                known = np.isfinite(energy)
                mean = float(energy[known].mean()) if known.any() else 0.0
                weights.append(np.where(known, energy, mean))
                shares.append(np.where(known, np.nan_to_num(self.proven[feed]), 0.0))
        weight, share = np.concatenate(weights), np.concatenate(shares)
        if weight.sum() > 0:
            return float((weight * share).sum() / weight.sum())
        return float(share.mean()) if len(share) else 0.0

    def open_kwh(self, weights: Weights, bent: Weights) -> tuple[float, float]:
        """How much of that stays open below and above in a figure with derivatives ``weights``: the total of a gap is proven,
        so only what they differ by within it counts, and by how much (``bent``) the derivative itself hangs on the amount."""
        loose: dict[Feed, F64] = {}
        for feed, weight in weights.items():
            gap = self.gaps.get(feed)
            if gap is None:
                continue
            inside, whole = gap >= 0, np.broadcast_to(np.asarray(weight, np.float64), len(gap))
            width = np.where(inside, self.closed_low[feed] + self.closed_high[feed], 0.0)
            index = np.maximum(gap, 0)
            total = np.maximum(np.bincount(index, width), 1e-9)
            mean = (np.bincount(index, width * np.nan_to_num(whole)) / total)[index]
            loose[feed] = np.where(inside, whole - mean, 0.0)
        found = self._gaps_kwh(loose)
        more = self._gaps_kwh({feed: np.abs(bent[feed]) for feed in loose if feed in bent})
        return found[0] + more[0], found[1] + more[1]

    def _gaps_kwh(self, weights: Weights) -> tuple[float, float]:
        low = high = 0.0
        for feed, weight in weights.items():
            less, more, up = self.closed_low[feed], self.closed_high[feed], np.asarray(weight) >= 0
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


def sharpened(
    found: Sum, supplies: Supplies, weights: Weights, as_rows: Sequence[Weights] = (), bent: Weights = NO_WEIGHTS
) -> Spread:
    """A sum of rows with the meters' part of its band replaced by that of the period, and what gaps leave open by what is left
    of it once the period holds a gap whole.

    ``weights`` are the derivatives of the sum by feed, scalars or float64[m]; ``as_rows`` those with which the rows widened
    their bands, one after the other, where these differ; ``bent`` by how much a derivative changes with its amount.
    """
    terms = supplies.terms(weights)
    if found.value is None or found.low is None or found.high is None:
        return Spread(found, terms)
    widened = as_rows or (weights,)
    saved = sum(supplies.linear_kwh(w) for w in widened)
    closed, left = np.sum([supplies.closed_kwh(w) for w in widened], axis=0), supplies.open_kwh(weights, bent)
    low, high = (float(max(c - o, 0.0)) for c, o in zip(closed, left, strict=True))
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
    gaps: dict[Feed, I64] = {}
    proven: dict[Feed, F64] = {}
    for branch in site.branches:
        for side, prefix in (("ac", ""), ("dc", "dc:")):
            ranked = site.points_of(branch, side)
            if not ranked:
                continue
            intervals = [_intervals(rows, nodes.point(p.id)) for p in ranked]
            owner = owners(intervals)
            picked, gap = owned(intervals, owner), _gaps(ranked, intervals, owner)
            for direction in DIRECTIONS:
                feed = (f"{prefix}{branch}", direction)
                energy = getattr(picked, direction)
                best[feed], proven[feed] = energy, np.where(gap >= 0, 1.0, picked.measured_share)
                if not np.nan_to_num(energy).any():
                    continue
                for i, point in enumerate(ranked):
                    for part, kwh in parts_of(site, point, direction, energy, rows.column):
                        found += _of_point(part, feed, np.where(owner == i, kwh, 0.0), owner == i, rows)
                if (gap >= 0).any():
                    gaps[feed] = gap
                    shares = np.choose(owner, [class_shares(p, rows) for p in ranked])
                    closed_low[feed], closed_high[feed] = _closed(picked, direction, shares, gap >= 0)
    return Supplies(tuple(found), closed_low, closed_high, best, gaps, proven)


def _gaps(ranked: Sequence[MeteringPoint], intervals: Sequence[PointIntervals], owner: I64) -> I64:
    """Which gap, counted over all points, each interval [m] is of that one point supplied whole; else -1. A formula proves no
    total: nobody knows here which of its parts a flag is of."""
    found = np.full(len(owner), -1, np.int64)
    for i, (point, own) in enumerate(zip(ranked, intervals, strict=True)):
        if point.mountings:
            gap = whole_gaps(own.flags, owner == i)
            found = np.where(gap >= 0, gap * len(ranked) + i, found)
    return found


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


def with_resolution(found: Sum, point: MeteringPoint, start_ns: I64) -> Sum:
    """The sum of a point over intervals that start at ``start_ns`` with the steps of its registers in its band, one for each
    mounting in force then; what never moved has none."""
    if not found.value or found.low is None or found.high is None:
        return found
    spans = [(m, (start_ns >= m.valid_from_ns) & (start_ns < end_ns)) for m, end_ns in point.mounted()]
    step = float(np.linalg.norm([_resolution_kwh(mounting, inside) for mounting, inside in spans]))
    return replace(found, low=max(found.low - step, min(found.low, 0.0)), high=found.high + step)


def class_shares(point: MeteringPoint, rows: Table) -> F64:
    """Class (0..1) of the meter of a point by interval."""
    share = np.zeros(len(rows.start_ns))
    for mounting in point.mountings:
        share[rows.start_ns >= mounting.valid_from_ns] = mounting.class_percent / 100
    return share


def _closed(picked: PointIntervals, direction: str, class_share: F64, inside: Mask) -> tuple[F64, F64]:
    """By how much the band of each interval narrows where the period holds its gap whole, the meter's class aside."""
    best, low, high = (getattr(picked, f"{direction}{edge}") for edge in ("", "_low", "_high"))
    with np.errstate(invalid="ignore"):
        less = np.maximum(best - low / (1 - class_share), 0.0)
        more = np.maximum(high / (1 + class_share) - best, 0.0)
        return np.where(inside, np.nan_to_num(less), 0.0), np.where(inside, np.nan_to_num(more), 0.0)


def _intervals(rows: Table, node: str) -> PointIntervals:
    names = [f.name for f in fields(PointIntervals) if f.name not in ("flags", "dc_charge")]
    columns = {name: rows.column(node, name) for name in names}
    flags: I64 = np.nan_to_num(rows.column(node, "flags")).astype(np.int64)
    return PointIntervals(**columns, flags=flags, dc_charge=np.full(len(flags), np.nan))
