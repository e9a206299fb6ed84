"""Sums of a period made into figures: ratios of sums with the band of both, and what their limits say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analytics.estimate import Sum
from analytics.limits import standing
from analytics.period_rows import Period
from plant.indicators import Figure

SHARES = ("green_share_physical", "pv_feed_in", "pv_self_consumption", "current_efficiency", "rectifier_efficiency")

SIGNED = (
    "residual",
    "network_loss",
    "network_loss_share",
    "storage_saving",
    "tariff_surcharge_accrued",
    "power_factor_adjustment",
    "ets_surplus",
    "ets_surplus_value",
    "performance_ratio_drop",
)  # what may be below 0


def figure_of(period: Period, node: str, indicator: str, found: Sum, share: float | None = None) -> Figure:
    """A sum as a figure: null below the site's smallest measured share, held against the limits that name it. ``share``
    stands for the sum's own measured share where that says nothing."""
    found = _possible(indicator, found)
    found = replace(found, value=_plain(found.value), low=_plain(found.low), high=_plain(found.high))
    measured, completeness = float(found.measured_share if share is None else share), period.completeness(node)
    enough = measured >= period.site.accounting.measured_share_min
    value = found.value if enough else None
    held = standing(period.rulebook, period.site, indicator, value, found.low, found.high, period.day, period.kind)
    reason = ""
    if found.value is None:
        reason = "no interval was measured whole" if completeness > 0 else "nothing was measured"
    elif not enough:
        reason = f"measured share {measured:.1%} is below {period.site.accounting.measured_share_min:.0%}"
    elif found.estimated_slots:
        reason = f"{found.estimated_slots} of {len(period.rows.start_ns)} intervals are estimated"
    return Figure(indicator, value, found.low, found.high, completeness, measured, reason, held.status, held.editions)


def _plain(x: float | None) -> float | None:
    """A number as JSON knows it: arrays leave numbers of their own kind behind, and infinities bound nothing."""
    return float(x) if x is not None and np.isfinite(x) else None


def _possible(indicator: str, found: Sum) -> Sum:
    """The band cut to what can be: nothing but what is ``SIGNED`` is below 0, no part is more than its whole. A value beyond
    that, of meters that disagree, stays in its band."""
    low, high = found.low, found.high
    if low is not None and indicator not in SIGNED:
        low = max(low, 0.0) if found.value is None else min(max(low, 0.0), found.value)
    if high is not None and indicator in SHARES:
        high = min(high, 100.0) if found.value is None else max(min(high, 100.0), found.value)
    return replace(found, low=low, high=high)


def ratio(part: Sum, whole: Sum, factor: float = 1.0, most: float | None = None) -> Sum:
    """Ratio of two sums with the band of both."""
    share = min(part.measured_share, whole.measured_share)
    slots = max(part.estimated_slots, whole.estimated_slots)

    def over(a: float | None, b: float | None) -> float | None:
        if a is None or b is None or b <= 0:
            return None
        return factor * a / b if most is None else min(max(factor * a / b, 0.0), most)

    return Sum(over(part.value, whole.value), over(part.low, whole.high), over(part.high, whole.low), share, slots)


def independent_ratio(part: Sum, whole: Sum, factor: float = 1.0) -> Sum:
    """Ratio of two sums whose meters err independently: the shares by which they may be off add as squares."""
    found = ratio(part, whole, factor)
    if not found.value or found.low is None or found.high is None or part.value is None or whole.value is None:
        return found
    assert part.low is not None and part.high is not None and whole.low is not None and whole.high is not None
    less = float(np.hypot(1 - part.low / part.value, 1 - whole.value / whole.high))
    more = float(np.hypot(part.high / part.value - 1, whole.value / whole.low - 1))
    low, high = found.value * max(1 - less, 0.0), found.value * (1 + more)
    return Sum(found.value, low, high, found.measured_share, found.estimated_slots)


def within(part: Sum, whole: Sum) -> Sum:
    """A part no larger than its whole: estimated slot by slot, or beside a negative load, it can come out larger."""

    def least(a: float | None, b: float | None) -> float | None:
        return a if a is None or b is None else min(a, max(b, 0.0))

    value = least(part.value, whole.value)
    low = part.low if value is None else least(part.low, value)
    return replace(part, value=value, low=low, high=least(part.high, whole.high))


def complement(percent: Sum) -> Sum:
    """What is left of 100 %."""

    def rest(x: float | None) -> float | None:
        return None if x is None else 100.0 - x

    return Sum(rest(percent.value), rest(percent.high), rest(percent.low), percent.measured_share, percent.estimated_slots)


def because(figure: Figure, reason: str) -> Figure:
    """The figure with one more reason."""
    return replace(figure, reason="; ".join(filter(None, (figure.reason, reason))))
