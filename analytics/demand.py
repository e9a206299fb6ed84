"""Maximum demand and power factor of each grid tie.

Demand is the mean active power of a clock quarter of an hour. A bill that slides its quarter by the minute may find more: its
rows of minutes are not kept as long as those of quarters, so that every period would answer by another rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from analytics.chapter import Chapter, Chaptered, Found, NodeFields
from analytics.estimate import Sum
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of
from analytics.reactive import FIELDS as REACTIVE
from analytics.reactive import tie_points
from analytics.tariff import yuan
from plant import nodes
from plant.indicators import Figure
from plant.settings.tariff import PowerFactorRule, in_force
from plant.site import Branch, MeteringPoint, Site

IMPORTED = ("energy_import", "energy_import_low", "energy_import_high")
FIELDS = (*IMPORTED, "measured_share", "completeness")
H_NS = 3.6e12


def demand(period: Period, _: Mapping[str, Mapping[str, Figure]]) -> Chaptered:
    """Figures by tie, and when its demand was highest."""
    found: Found = {}
    rows = []
    for tie in period.site.branches_of("grid_tie"):
        node = nodes.branch(tie.id)
        figures, row = _demand(period, tie, node)
        figures |= _power_factor(period, tie, node)
        if figures:
            found[node] = figures
            rows.append(row)
    return Chaptered(found, {"ties": rows} if rows else {})


def _demand(period: Period, tie: Branch, node: str) -> tuple[dict[str, Figure], dict[str, Any]]:
    amount = period.rows.banded(node, "energy_import")
    known = np.isfinite(amount.best)
    if not known.any():
        return {}, {}
    to_kw = H_NS / period.rows.step_ns
    at = int(np.nanargmax(amount.best))
    kw = float(amount.best[at]) * to_kw
    step_kwh = _step_kwh(period, tie)  # a quarter's bounds lie anywhere between two steps of the register
    low, high = np.fmin(amount.low, amount.best), np.where(known, np.fmax(amount.high, amount.best), amount.high)
    low, high = np.maximum(low - step_kwh, 0.0), high + step_kwh
    least, most = float(np.nanmax(low)) * to_kw, float(high.max()) * to_kw  # a quarter that nothing bounds leaves the most open
    share = float(np.nan_to_num(period.rows.column(node, "measured_share"))[known].sum() / len(known))
    found = Sum(kw, least, most if np.isfinite(most) else None, share)
    figure = figure_of(period, node, "maximum_demand", found)
    if not known.all():
        figure = because(figure, f"the largest of {int(known.sum())} of {len(known)} quarters of an hour")
    figures = {"maximum_demand": figure}
    start_ns = int(period.rows.start_ns[at])
    row: dict[str, Any] = {
        "tie": tie.id,
        "at": period.site.calendar.local(start_ns).isoformat(),
        "window": "clock quarter of an hour",
    }
    contract = period.site.tariff.contracted(tie.id, period.site.calendar.local(start_ns).date())
    if contract is not None:
        row["contracted_kw"] = contract.contracted_kw
        of = [None if x is None else 100 * x / contract.contracted_kw for x in (found.value, found.low, found.high)]
        figures["demand_of_contract"] = figure_of(period, node, "demand_of_contract", Sum(of[0], of[1], of[2], share))
        if contract.price_yuan_per_kw is not None and period.kind == "month":
            money = [None if x is None else _yuan(x, contract.price_yuan_per_kw) for x in (found.value, found.low, found.high)]
            figures["demand_charge"] = figure_of(period, node, "demand_charge", Sum(money[0], money[1], money[2], share))
    return figures, row


def _step_kwh(period: Period, tie: Branch) -> float:
    """Largest step of the registers that a tie's energy is read off, as stated of their mountings."""
    spans = [m for p in period.site.points_of(tie.id) for m in p.mountings if m.valid_from_ns < period.span.end_ns]
    return max((m.register_step_kwh for m in spans), default=0.0)


def _yuan(kw: float, price: Decimal) -> float:
    """Whole kW pay."""
    return float(yuan(price * round(kw)))


def _power_factor(period: Period, tie: Branch, node: str) -> dict[str, Figure]:
    """From the best ranked point that measures reactive energy, with the active energy of the same point."""
    point = _measuring(period, tie)
    if point is None:
        return {}
    at = nodes.point(point.id)
    into, out = (period.rows.column(at, name) for name in REACTIVE)
    imported, exported = (period.rows.banded(at, name) for name in ("energy_import", "energy_export"))
    both, reactive = imported + exported, into + out
    rows = np.isfinite(both.best) & np.isfinite(reactive)
    active_kwh, reactive_kvarh = float(both.best[rows].sum()), float(reactive[rows].sum())
    if active_kwh + reactive_kvarh <= 0:
        return {}
    mounting = point.mounting_at(period.span.end_ns - 1)
    accuracy = ((mounting.class_percent if mounting else 0.0) + period.site.tariff.reactive_class_percent) / 100
    # what is not known of the rest: from all of it reactive, as much as the rating lets through, to none
    rated = point.rated_power_kw * period.rows.step_ns / H_NS or np.inf
    most_kvarh = float(np.where(np.isfinite(reactive), reactive, rated)[~rows].sum())
    least_kwh, most_kwh = (float(np.where(np.isfinite(both.best), both.best, e)[~rows].sum()) for e in (both.low, both.high))
    low = _factor(active_kwh + np.nan_to_num(least_kwh), reactive_kvarh * (1 + accuracy) + most_kvarh)
    high = _factor(active_kwh + (most_kwh if np.isfinite(most_kwh) else np.inf), reactive_kvarh * (1 - accuracy))
    mean = Sum(_factor(active_kwh, reactive_kvarh), low, high, float(rows.mean()))
    figures = {"power_factor_mean": figure_of(period, node, "power_factor_mean", mean)}
    rule = in_force(period.site.tariff.power_factor, period.day)
    if rule is not None and period.kind == "month":
        figures["power_factor_adjustment"] = figure_of(period, node, "power_factor_adjustment", _adjustment(rule, mean))
    if not rows.all():
        why = f"reactive energy is known of {mean.measured_share:.1%} of the intervals"
        figures = {name: because(figure, why) for name, figure in figures.items()}
    return figures


def _adjustment(rule: PowerFactorRule, mean: Sum) -> Sum:
    """Percent of a power factor, and of every row that its band touches; a table in hundredths is read with it so rounded."""
    value, low, high = (Decimal(f"{x:.2f}") for x in (mean.value, mean.low, mean.high))
    touched = [low, high, *(row.below for row in rule.rows if low <= row.below <= high)]
    percents = [float(rule.percent(x)) for x in (value, *touched)]
    return Sum(percents[0], min(percents), max(percents), mean.measured_share)


def _measuring(period: Period, tie: Branch) -> MeteringPoint | None:
    for point in period.site.points_of(tie.id):
        if all(np.isfinite(period.rows.column(nodes.point(point.id), f)).any() for f in REACTIVE):
            return point
    return None


def _factor(active: float, reactive: float) -> float:
    """1 for an active energy without bound: no reactive energy counts beside it."""
    return active / float(np.hypot(active, reactive)) if np.isfinite(active) else 1.0


def _columns(site: Site) -> Sequence[NodeFields]:
    ties = [nodes.branch(b.id) for b in site.branches_of("grid_tie")]
    points = [nodes.point(p.id) for p in tie_points(site)]
    return [(ties, FIELDS), (points, REACTIVE)] if ties else []


CHAPTER = Chapter("demand", demand, columns=_columns)
