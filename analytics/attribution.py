"""Which source's energy went into which sink, per interval. Each kWh has one owner."""

from __future__ import annotations

from typing import Literal

import numpy as np

from analytics.counters import F64, Mask

Rule = Literal["proportional", "renewable_first"]
SinkTier = Literal["load", "charge", "export"]
NOTHING_KWH = 1e-12  # rounding, not energy; its reciprocal would overflow
TIERS: tuple[SinkTier, ...] = ("load", "charge", "export")


def attribute(sources: F64, renewable: Mask, sinks: F64, tiers: tuple[SinkTier, ...], rule: Rule) -> F64:
    """Flows float64[s, k, m] from ``sources`` [s, m] into ``sinks`` [k, m] (kWh); ``renewable`` bool[s]; ``tiers`` of the sinks.

    ``proportional``: every sink takes the mix of all sources. ``renewable_first``: renewable energy fills load, then
    batteries, then export, and the other sources fill what is left in proportion. A source is always given away whole;
    where sinks ask for less than there is (meters that disagree), they get more than they show, and the difference is the
    residual. Source: the attribution rule of the site's accounting settings.
    """
    sinks = np.maximum(sinks, 0.0)
    if rule == "proportional":
        return _spread(sources, sinks)
    green = np.where(renewable[:, None], sources, 0.0)
    taken = np.zeros_like(sinks)
    left = green.sum(axis=0)
    for tier in TIERS:
        rows = np.array([t == tier for t in tiers])[:, None]
        wanted = np.where(rows, sinks, 0.0)
        total = wanted.sum(axis=0)
        given = np.minimum(left, total)
        taken += wanted * _ratio(given, total)
        left = left - given
    other = sources - green
    return _spread(green, np.where(left > 0, sinks, taken)) + _spread(other, np.maximum(sinks - taken, 0.0), sinks)


def _spread(sources: F64, sinks: F64, otherwise: F64 | None = None) -> F64:
    """Each source over the sinks in proportion; where all sinks are 0, over ``otherwise``."""
    total = sinks.sum(axis=0)
    weight = sinks * _ratio(np.ones_like(total), total)
    if otherwise is not None:
        fallback = otherwise * _ratio(np.ones_like(total), otherwise.sum(axis=0))
        weight = np.where(total > 0, weight, fallback)
    flows: F64 = sources[:, None, :] * weight[None, :, :]
    return flows


def _ratio(part: F64, whole: F64) -> F64:
    ratio: F64 = np.divide(part, whole, out=np.zeros_like(whole), where=~(whole <= NOTHING_KWH))
    return ratio
