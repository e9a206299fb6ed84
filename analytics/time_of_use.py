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
from analytics.period_sums import figure_of
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


@dataclass(frozen=True, slots=True)
class Bought:
    """Energy by band, and what it costs: each [value, low, high] in yuan."""

    energy: Mapping[Band, Sum]
    cost: tuple[Decimal, Decimal, Decimal]


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
    priced_slots = int(sum(p.rows.sum() for p in priced))
    return Chaptered(
        found, {"bands": _table(period, priced, whole), "quarters_without_price": len(period.rows.start_ns) - priced_slots}
    )


def _bought(amount: Banded, period: Period, node: str, priced: Sequence[Priced], profile: Profile) -> Bought:
    """Energy and cost of a column; missing quarters are estimated over the whole period, as in its sum."""
    share = period.rows.column(node, "measured_share")
    known, whole = np.isfinite(amount.best), filled(amount, period.rows.start_ns, profile)
    energy: dict[Band, Sum] = {}
    cost = [Decimal(0)] * 3
    for one in priced:
        part = _part(whole, known, share, one.rows)
        energy[one.band] = _plus(energy.get(one.band), part)
        for i, kwh in enumerate((part.value, part.low, part.high)):
            cost[i] += one.price * round(kwh or 0.0)
    return Bought(energy, (cost[0], cost[1], cost[2]))


def _part(whole: Banded, known: Mask, share: F64, rows: Mask) -> Sum:
    """Sum over some of the rows; None where nothing is known."""
    best, low, high = (float(np.sum(c[rows])) for c in (whole.best, whole.low, whole.high))
    if not np.isfinite(best):
        return Sum(None, None, None, 0.0, int(rows.sum()))
    weight = np.abs(whole.best[rows])
    measured = np.where(known, np.nan_to_num(share), 0.0)[rows]
    proven = float((weight * measured).sum() / weight.sum()) if weight.sum() > 0 else float(measured.mean())
    least, most = (e if np.isfinite(e) else None for e in (low, high))
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
    first, low, high = (sum((t.cost[i] for t in ties), Decimal(0)) for i in range(3))
    return Bought(energy, (first, low, high))


def _figures(period: Period, node: str, bought: Bought) -> dict[str, Figure]:
    sums = {f"grid_import_{band}": one for band, one in bought.energy.items()}
    total: Sum | None = None
    for one in bought.energy.values():
        total = _plus(total, one)
    if total is not None:
        sums["energy_cost"] = _money(bought.cost, total)
        sums["energy_price_mean"] = _mean_price(bought, total)
    return {name: figure_of(period, node, name, found) for name, found in sums.items()}


def _money(amount: tuple[Decimal, Decimal, Decimal], energy: Sum) -> Sum:
    """Yuan of an energy: unknown where the energy is."""
    edges = [
        None if kwh is None else float(yuan(money))
        for money, kwh in zip(amount, (energy.value, energy.low, energy.high), strict=True)
    ]
    return Sum(edges[0], edges[1], edges[2], energy.measured_share, energy.estimated_slots)


def _mean_price(bought: Bought, total: Sum) -> Sum:
    """Between the least and the most that any band costs; the band of its energy moves it little, and is not told apart."""
    kwh = round(total.value) if total.value is not None else 0
    if not kwh:
        return replace(total, value=None, low=None, high=None)
    mean = float(bought.cost[0] / kwh)
    return Sum(mean, mean, mean, total.measured_share, total.estimated_slots)


def _savings(period: Period, priced: Sequence[Priced]) -> dict[str, Figure]:
    """What renewable generation and storage spared at the price of each quarter: their own figures, of no other's cost."""
    parts = {
        "renewable_saving": (("renewable_generation", 1, "solar"), ("renewable_export", -1, "solar")),
        "storage_saving": (("storage_discharge", 1, "load"), ("storage_charge", -1, "load")),
    }
    return {
        name: figure_of(period, nodes.PLANT, name, found) for name, of in parts.items() if (found := _saved(period, priced, of))
    }


def _saved(period: Period, priced: Sequence[Priced], of: Sequence[tuple[str, int, Any]]) -> Sum | None:
    """None where the plant has nothing of the kind."""
    bought = [(_bought(period.rows.banded(nodes.PLANT, n), period, nodes.PLANT, priced, p), sign) for n, sign, p in of]
    total = [sum((abs(s.value) for s in b.energy.values() if s.value is not None), 0.0) for b, _ in bought]
    if not total[0]:
        return None
    (more, _), (less, _) = bought
    value, low, high = (float(yuan(a - b)) for a, b in zip(more.cost, (less.cost[0], less.cost[2], less.cost[1]), strict=True))
    share = min((s.measured_share for s in more.energy.values()), default=0.0)
    return Sum(value, low, high, share, max(s.estimated_slots for s in more.energy.values()))


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
