"""Contracted green energy matched interval by interval with the grid energy that went into the load. Pure sums, no origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, I64
from plant.series import MINUTE_NS


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """Settled energy of a contract per interval, kWh float64[m] (NaN = unknown), that can arrive over ``ties`` alone."""

    name: str
    ties: tuple[str, ...]
    energy_kwh: F64


def matched(offers: Sequence[Offer], grid_to_load: Mapping[str, F64]) -> dict[str, F64]:
    """Matched energy min(W, grid energy attributed to load) by offer, kWh [m]: a kWh of a tie is matched once.

    ``grid_to_load`` by tie, kWh [m]. Offers bound to few ties come first, then in the order given; NaN where either is unknown.
    Source: 10.4.
    """
    left = {tie: energy.copy() for tie, energy in grid_to_load.items()}
    found = {offer.name: np.zeros(0) for offer in offers}
    for offer in sorted(offers, key=lambda o: len(o.ties)):
        room = np.sum([left[tie] for tie in offer.ties], axis=0) if offer.ties else np.zeros_like(offer.energy_kwh)
        c = np.minimum(np.maximum(offer.energy_kwh, 0.0), np.maximum(room, 0.0))
        countable = np.isfinite(room) & np.isfinite(c) & (room > 0)  # of an endless room as much is left
        rest = 1.0 - np.divide(c, room, out=np.zeros_like(room), where=countable)
        for tie in offer.ties:
            left[tie] = left[tie] * rest
        found[offer.name] = c
    return found


def firsts(start_ns: I64, minutes: int) -> I64:
    """Index of the first of the slots int64[m] that lie in each matching interval, a multiple of ``minutes`` in UTC."""
    interval = start_ns // (minutes * MINUTE_NS)
    return np.flatnonzero(np.diff(interval, prepend=interval[:1] - 1))


def coarser(energy_kwh: F64, first: I64) -> F64:
    """Sums of the slots of each matching interval, NaN where one is unknown: matched coarser, no less is matched."""
    summed: F64 = np.add.reduceat(energy_kwh, first) if len(first) else np.zeros(0)
    return summed
