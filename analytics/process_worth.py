"""What the voltage may be, what a change of it is worth, in energy and money, and how much capacity meets the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from analytics.estimate import Sum
from analytics.faraday import faraday_yields
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of
from analytics.process_voltage import voltage_budget_v, worth_of_10_mv_kwh_per_t, worth_of_efficiency_point_kwh_per_t
from plant import nodes
from plant.indicators import Figure
from plant.rulebook import EXCEEDED, MET
from plant.settings.tariff import in_force

WORTHS = ("worth_of_10_mv", "worth_of_efficiency_point")
Figures = Mapping[str, Figure]


def worth_figures(period: Period, node: str, figures: Figures) -> dict[str, Figure]:
    """Voltage that the benchmark leaves, and what 10 mV and a point of efficiency are worth; nothing without an efficiency."""
    ce, eta, volts = (figures.get(n) for n in ("current_efficiency", "rectifier_efficiency", "pot_voltage"))
    if ce is None or not ce.value:
        return {}
    k = float(faraday_yields(period.site, period.rulebook, np.array([period.span.end_ns - 1]))[0])
    found = {"worth_of_10_mv": _following(period, node, "worth_of_10_mv", ce, lambda x: worth_of_10_mv_kwh_per_t(x / 100, k))}
    if volts is not None and volts.value:
        v, name = volts.value, "worth_of_efficiency_point"
        found[name] = _following(period, node, name, ce, lambda x: worth_of_efficiency_point_kwh_per_t(v, x / 100, k))
    limit = period.rulebook.in_force("benchmark", period.day, (period.site.province, "CN"))
    if eta is not None and eta.value and limit is not None:
        share, most, name = eta.value / 100, float(limit.value), "pot_voltage_budget"
        budget = _following(period, node, name, ce, lambda x: voltage_budget_v(most, share, x / 100, k))
        found[name] = replace(budget, editions=(*budget.editions, limit.edition))
    return found


def _following(period: Period, node: str, name: str, base: Figure, formula: Callable[[float], float]) -> Figure:
    """A figure that follows from another, monotone in it: its band from that one's."""
    value = None if base.value is None else formula(base.value)
    ends = sorted(formula(x) for x in (base.low, base.high) if x is not None)
    low, high = (ends[0], ends[1]) if len(ends) == 2 else (None, None)
    return figure_of(period, node, name, Sum(value, low, high, base.measured_share))


def worth_of_a_day(period: Period, metal: Figure | None, figures: Figures) -> dict[str, Any]:
    """DC energy that a day at the period's output would spare, and money at the base price where the site states one: it is the
    AC energy that is paid, so without a rectifier efficiency there is none."""
    days = (period.span.end_ns - period.span.start_ns) / 86.4e12
    if metal is None or not metal.value or days <= 0:
        return {}
    price = in_force(period.site.tariff.time_of_use, period.day)
    eta = figures.get("rectifier_efficiency")
    body: dict[str, Any] = {}
    for name in WORTHS:
        figure = figures.get(name)
        if figure is not None and figure.value is not None:
            kwh = figure.value * metal.value / days
            body[f"{name}_kwh_per_day"] = kwh
            if price is not None and eta is not None and eta.value:
                paid = Decimal(repr(kwh / (eta.value / 100)))
                body[f"{name}_yuan_per_day"] = str((paid * price.base_price_yuan_per_kwh).quantize(Decimal("0.01")))
    return body


def capacity_share(capacities: Sequence[float], words: Sequence[str]) -> tuple[float | None, float, float]:
    """(value, least, most) in % of capacity that meets a limit, by the status word of each; no value while one is undecided.

    Source: 10.2, share of capacity at the benchmark.
    """
    whole = sum(capacities)
    met = 100 * sum(c for c, w in zip(capacities, words, strict=True) if w == MET) / whole
    most = 100 * sum(c for c, w in zip(capacities, words, strict=True) if w != EXCEEDED) / whole
    return (met if met == most else None), met, most


def capacity_figures(period: Period, lines: Mapping[str, Figures]) -> dict[str, Figure]:
    """Share of the plant's capacity at the benchmark; empty unless the site states the capacity of every line."""
    stated = {row.potline: row.t_per_y for row in period.site.process.capacity}
    if not stated or set(stated) != set(period.site.potlines):
        return {}
    e1 = {line: lines.get(nodes.line(line), {}).get("specific_energy_e1") for line in stated}
    words = [figure.status.get("benchmark", "") if figure else "" for figure in e1.values()]
    value, low, high = capacity_share(list(stated.values()), words)
    share = min((figure.measured_share for figure in e1.values() if figure), default=0.0)
    figure = figure_of(period, nodes.PLANT, "capacity_at_benchmark", Sum(value, low, high, share))
    editions = tuple(dict.fromkeys(e for f in e1.values() if f for e in f.editions if e.startswith("benchmark@")))
    if value is None:
        open_ = ", ".join(line for line, word in zip(stated, words, strict=True) if word not in (MET, EXCEEDED))
        figure = because(replace(figure, reason=""), f"e1 of {open_} is not decided against the benchmark")
    return {"capacity_at_benchmark": replace(figure, editions=editions)}
