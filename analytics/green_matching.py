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
    """Matched energy by offer, kWh [m]: together as much as the ties can bring, a kWh of a tie once, none above its offer.

    ``grid_to_load`` by tie, kWh [m]. Of what can be matched together offers bound to few ties have theirs first, then those given
    first: each has what it adds to what the ones before it reach. NaN where one of them is unknown. Source: 10.4.
    """
    ordered = sorted(offers, key=lambda o: len(o.ties))
    m = len(next(iter(grid_to_load.values()), offers[0].energy_kwh if offers else ()))
    room = {tie: np.maximum(energy, 0.0) for tie, energy in grid_to_load.items()}
    cuts = {ties: np.sum([np.zeros(m), *(room[tie] for tie in ties)], axis=0) for ties in _unions(offers)}
    found = {offer.name: np.zeros(0) for offer in offers}
    before = np.zeros(m)
    for offer in ordered:
        energy = np.maximum(offer.energy_kwh, 0.0)
        cuts = {ties: cut if ties.issuperset(offer.ties) else cut + energy for ties, cut in cuts.items()}
        reached = np.min(list(cuts.values()), axis=0)
        more = np.subtract(reached, before, out=np.full(m, np.inf), where=~np.isposinf(before))  # endless less endless
        most = np.minimum(energy, np.sum([np.zeros(m), *(room[tie] for tie in offer.ties)], axis=0))
        found[offer.name] = np.clip(more, 0.0, most)
        before = reached
    return found


def _unions(offers: Sequence[Offer]) -> set[frozenset[str]]:
    """Sets of ties that may be the bottleneck: none, and the unions of those that offers are bound to.

    The most that offers bring over ties is the least, over such sets, of what the set can take and what offers not bound to it
    have (the least cut of the flow from offers over ties).
    """
    found = {frozenset[str]()}
    for ties in {frozenset(offer.ties) for offer in offers}:
        found |= {ties | other for other in found}
    return found


def firsts(start_ns: I64, minutes: int) -> I64:
    """Index of the first of the slots int64[m] that lie in each matching interval, a multiple of ``minutes`` in UTC."""
    interval = start_ns // (minutes * MINUTE_NS)
    return np.flatnonzero(np.diff(interval, prepend=interval[:1] - 1))


def coarser(energy_kwh: F64, first: I64) -> F64:
    """Sums of the slots of each matching interval, NaN where one is unknown: matched coarser, no less is matched."""
    if len(first) == len(energy_kwh):
        return energy_kwh
    summed: F64 = np.add.reduceat(energy_kwh, first) if len(first) else np.zeros(0)
    return summed
