"""What imported energy costs by the clock: energy of each tie in critical, peak, flat and valley hours, and what it comes to.

Quarters of an hour lie whole in one band, in the plant's zone, over days of 23 and 25 hours too. Money is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from analytics.balance import Banded
from analytics.chapter import Chapter, Chaptered, Found, NodeFields
from analytics.counters import F64, I64, Mask
from analytics.estimate import Profile, Sum, filled
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of
from analytics.tariff import yuan
from analytics.wall_clock import WallClock, wall_clock
from plant import nodes
from plant.indicators import Figure
from plant.settings.tariff import BANDS, Band, TimeOfUse
from plant.site import Site

FIELDS = ("energy_import", "energy_import_low", "energy_import_high", "measured_share", "completeness")
EPOCH_DAY = np.datetime64("1970-01-01", "D")


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """Quarters of an hour of one price: ``rows`` bool[m] of the period, yuan/kWh."""

    band: Band
    rows: Mask
    price: Decimal


Edges = tuple[Decimal | None, Decimal | None, Decimal | None]


@dataclass(frozen=True, slots=True)
class Bought:
    """Energy by band, and by price what of it each price is paid for."""

    energy: Mapping[Band, Sum]
    parts: Sequence[tuple[Decimal, Sum]]

    @property
    def cost(self) -> Edges:
        """[value, low, high] in yuan, whole kWh pay; None where a part of the energy has none."""
        prices = [price for price, _ in self.parts]
        value, low, high = (_worth(prices, edge) for edge in zip(*((s.value, s.low, s.high) for _, s in self.parts), strict=True))
        return value, low, high


def _worth(prices: Sequence[Decimal], energy: Sequence[float | None]) -> Decimal | None:
    known = [kwh for kwh in energy if kwh is not None]
    return sum((p * round(kwh) for p, kwh in zip(prices, known, strict=True)), Decimal(0)) if len(known) == len(energy) else None


def prices(period: Period) -> list[Priced]:
    """The bands of a period by edition and band; quarters before the first edition are in none."""
    clock = wall_clock(period.site.calendar, period.rows.start_ns)
    editions = sorted(period.site.tariff.time_of_use, key=lambda e: e.valid_from)
    begins = [int((np.datetime64(e.valid_from, "D") - EPOCH_DAY).astype(int)) for e in editions] + [2**31]
    found = []
    for edition, begin, end in zip(editions, begins, begins[1:], strict=False):
        holds = (clock.day >= begin) & (clock.day < end)
        if holds.any():
            band_of = _bands(edition, clock)
            found += [Priced(b, holds & (band_of == i), edition.price(b)) for i, b in enumerate(BANDS)]
    return [one for one in found if one.rows.any()]


def _bands(edition: TimeOfUse, clock: WallClock) -> I64:
    """Index into ``BANDS`` of each quarter: by a table of months and quarters, a later period over an earlier one."""
    table = np.full((13, 96), BANDS.index("flat"), np.int64)
    for span in edition.periods:
        for month in span.months:
            table[month, span.quarters.start : span.quarters.stop] = BANDS.index(span.band)
    found: I64 = table[clock.month, clock.quarter]
    return found


def time_of_use(period: Period, _: Mapping[str, Mapping[str, Figure]]) -> Chaptered:
    """Figures by tie and of the plant; none where the site has no table of prices in force."""
    priced = prices(period)
    if not priced:
        return Chaptered()
    found: Found = {}
    all_ties = []
    for tie in period.site.branches_of("grid_tie"):
        node = nodes.branch(tie.id)
        bought = _bought(period.rows.banded(node, "energy_import"), period, node, priced, "load")
        all_ties.append(bought)
        found[node] = _figures(period, node, bought)
    whole = _together(all_ties)
    found[nodes.PLANT] = _figures(period, nodes.PLANT, whole) | _savings(period, priced)
    slots = len(period.rows.start_ns)
    unpriced = slots - int(sum(p.rows.sum() for p in priced))
    if unpriced:
        why = f"{unpriced} of {slots} quarters of an hour have no price"
        found = {node: {name: _open(figure, why) for name, figure in by.items()} for node, by in found.items()}
    return Chaptered(found, {"bands": _table(period, priced, whole), "quarters_without_price": unpriced})


def _open(figure: Figure, why: str) -> Figure:
    """A figure that leaves quarters out for which there is no price: what was counted is the least of a cost, and no mean."""
    if figure.indicator.startswith("grid_import_"):
        return because(figure, why)
    low = figure.low if figure.indicator == "energy_cost" else None
    return because(replace(figure, value=None, low=low, high=None), why)


def _bought(amount: Banded, period: Period, node: str, priced: Sequence[Priced], profile: Profile) -> Bought:
    """Energy and cost of a column; missing quarters are estimated over the whole period, as in its sum."""
    share = period.rows.column(node, "measured_share")
    known, whole = np.isfinite(amount.best), filled(amount, period.rows.start_ns, profile)
    energy: dict[Band, Sum] = {}
    parts = []
    for one in priced:
        part = _part(whole, known, share, one.rows)
        energy[one.band] = _plus(energy.get(one.band), part)
        parts.append((one.price, part))
    return Bought(energy, parts)


def _part(whole: Banded, known: Mask, share: F64, rows: Mask) -> Sum:
    """Sum over some of the rows; without a value where nothing is known, with such edges as there are."""
    best, low, high = (float(np.sum(c[rows])) for c in (whole.best, whole.low, whole.high))
    least, most = (e if np.isfinite(e) else None for e in (low, high))
    if not np.isfinite(best):
        return Sum(None, least, most, 0.0, int(rows.sum()))
    weight = np.abs(whole.best[rows])
    measured = np.where(known, np.nan_to_num(share), 0.0)[rows]
    proven = float((weight * measured).sum() / weight.sum()) if weight.sum() > 0 else float(measured.mean())
    return Sum(best, least, most, proven, int((~known[rows]).sum()))


def _plus(one: Sum | None, other: Sum) -> Sum:
    """Sum of two parts; what one of them does not know, both do not."""
    if one is None:
        return other

    def add(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a + b

    weights = np.abs([one.value or 0.0, other.value or 0.0])
    shares = np.array([one.measured_share, other.measured_share])
    share = float((weights * shares).sum() / weights.sum()) if weights.sum() > 0 else float(shares.min())
    slots = one.estimated_slots + other.estimated_slots
    return Sum(add(one.value, other.value), add(one.low, other.low), add(one.high, other.high), share, slots)


def _together(ties: Sequence[Bought]) -> Bought:
    energy: dict[Band, Sum] = {}
    for band in dict.fromkeys(b for t in ties for b in t.energy):
        for tie in ties:
            energy[band] = _plus(energy.get(band), tie.energy[band])
    return Bought(energy, [part for tie in ties for part in tie.parts])


def _figures(period: Period, node: str, bought: Bought) -> dict[str, Figure]:
    sums = {f"grid_import_{band}": one for band, one in bought.energy.items()}
    total: Sum | None = None
    for one in bought.energy.values():
        total = _plus(total, one)
    if total is not None:
        sums["energy_cost"] = _money(bought.cost, total)
        sums["energy_price_mean"] = _mean_price(bought, total)
    return {name: figure_of(period, node, name, found) for name, found in sums.items()}


def _money(amount: Edges, energy: Sum) -> Sum:
    """Yuan of an energy: unknown where the energy is."""
    value, low, high = (None if money is None else float(yuan(money)) for money in amount)
    return Sum(value, low, high, energy.measured_share, energy.estimated_slots)


def _mean_price(bought: Bought, total: Sum) -> Sum:
    """Between the prices of the cheapest and the dearest energies that lie within the bands of what each price is paid for."""
    cost, kwh = bought.cost[0], round(total.value) if total.value is not None else 0
    if not kwh or cost is None:
        return replace(total, value=None, low=None, high=None)
    mean = float(cost / kwh)
    prices = np.array([float(p) for p, _ in bought.parts])
    bounds = [(s.low, s.high) for _, s in bought.parts]
    low, high = np.array([(np.nan if a is None else a, np.nan if b is None else b) for a, b in bounds]).T
    least, most = _mean_edges(prices, np.fmax(low, 0.0), high)
    return Sum(mean, min(least, mean), max(most, mean), total.measured_share, total.estimated_slots)


def _mean_edges(prices: F64, low: F64, high: F64) -> tuple[float, float]:
    """(least, most) mean of ``prices`` [n] weighed by energies between ``low`` [n] and ``high`` [n]: one end of the prices has
    its most and the other its least. Without an edge energies bound nothing, and the prices themselves are the edges."""
    if not np.isfinite(low).all() or not np.isfinite(high).all():
        return float(prices.min()), float(prices.max())
    order = np.argsort(prices)
    prices, low, high = prices[order], low[order], high[order]
    dear = np.tri(len(prices) + 1, len(prices), -1, bool)  # row k: the k cheapest
    means = []
    for energy in (np.where(dear, high, low), np.where(dear, low, high)):
        whole = energy.sum(axis=1)
        means.append((energy @ prices)[whole > 0] / whole[whole > 0])
    return float(means[0].min(initial=prices[-1])), float(means[1].max(initial=prices[0]))


def _savings(period: Period, priced: Sequence[Priced]) -> dict[str, Figure]:
    """What renewable generation and storage spared at the price of each quarter: their own figures, of no other's cost."""
    parts: dict[str, tuple[tuple[str, Profile], tuple[str, Profile]]] = {
        "renewable_saving": (("renewable_generation", "solar"), ("renewable_export", "solar")),
        "storage_saving": (("storage_discharge", "load"), ("storage_charge", "load")),
    }
    return {
        name: figure_of(period, nodes.PLANT, name, found) for name, of in parts.items() if (found := _saved(period, priced, of))
    }


def _saved(period: Period, priced: Sequence[Priced], of: Sequence[tuple[str, Profile]]) -> Sum | None:
    """None where the plant has nothing of the kind; without a value where either side has none."""
    more, less = (_bought(period.rows.banded(nodes.PLANT, n), period, nodes.PLANT, priced, p) for n, p in of)
    if all(not s.value and not s.high for s in more.energy.values()):
        return None
    edges = zip(more.cost, (less.cost[0], less.cost[2], less.cost[1]), strict=True)
    value, low, high = (None if a is None or b is None else float(yuan(a - b)) for a, b in edges)
    sums = [s for both in (more, less) for s in both.energy.values()]
    return Sum(value, low, high, min(s.measured_share for s in sums), max(s.estimated_slots for s in sums))


def _table(period: Period, priced: Sequence[Priced], whole: Bought) -> list[dict[str, Any]]:
    """Prices and energies by band."""
    rows = []
    for band in BANDS:
        mine = [p for p in priced if p.band == band]
        if mine:
            rows.append(
                {
                    "band": band,
                    "price_yuan_per_kwh": [str(p) for p in dict.fromkeys(p.price for p in mine)],
                    "hours": float(sum(p.rows.sum() for p in mine)) * period.rows.step_ns / 3.6e12,
                    "grid_import_kwh": whole.energy[band].value,
                }
            )
    return rows


def _columns(site: Site) -> Sequence[NodeFields]:
    if not site.tariff.time_of_use:
        return ()
    return [([nodes.branch(b.id) for b in site.branches_of("grid_tie")], FIELDS)]


CHAPTER = Chapter("time_of_use", time_of_use, columns=_columns)
