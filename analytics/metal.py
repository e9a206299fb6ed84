"""Metal: by Faraday's law from ampere-hours and pots, reconciled with what the scale weighed.

A single tap says nothing about current efficiency (a pot keeps ten taps); a month of taps of all pots does. Until
enough has been weighed, the plant's stated efficiency stands with its stated uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, I64
from plant.ports import LedgerEntry
from plant.site import Potline

WINDOW_DAYS = 30
DAYS_MIN = 5  # fewer days of taps than this say nothing about their own scatter
COVERAGE = 2.0  # a band holds two standard errors
DISAGREEMENT = 3.0  # a fit further from the stated efficiency than this times its uncertainty points to lost taps


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Current efficiency 0..1 with half the width of its band, and where it comes from."""

    value: float
    uncertainty: float
    origin: str  # "weighed" | "stated" | "stated, weighed metal disagrees"


@dataclass(frozen=True, slots=True, eq=False)
class EfficiencyByDay:
    """Efficiency of a line from each ``day_ns`` int64[d] on, float64[d]; before the first day the first holds."""

    day_ns: I64
    value: F64
    uncertainty: F64

    @staticmethod
    def stated(line: Potline) -> EfficiencyByDay:
        """What the plant expects of a line, for all time."""
        ce, half = line.current_efficiency_ref, line.current_efficiency_uncertainty
        return EfficiencyByDay(np.zeros(1, np.int64), np.array([ce]), np.array([half]))

    def at(self, t_ns: I64) -> tuple[F64, F64]:
        """(value, half width of the band) at instants [m]."""
        rows = np.maximum(np.searchsorted(self.day_ns, t_ns, "right") - 1, 0)
        return self.value[rows], self.uncertainty[rows]


def faraday_t(charge_kah: F64, pots: F64, yield_kg_per_kah: float) -> F64:
    """Metal in t at 100 % current efficiency: line ampere-hours [kAh] through ``pots`` in series. Source: 10.1 P1, P4."""
    return charge_kah * pots * yield_kg_per_kah / 1000.0


def efficiency_of(tapped_kg: float, inventory_change_kg: float, faraday_kg: float) -> float:
    """Current efficiency from weighed metal and the change of metal in the pots. Source: 10.1 P5."""
    return (tapped_kg + inventory_change_kg) / faraday_kg


def pots_running(line: Potline, at_ns: I64, feed: F64 | None = None) -> F64:
    """Pots in series and producing at each instant [m]: the pot controllers' count where there is one, else the register."""
    registers = [line.pots_at(int(t)) for t in at_ns]
    register = np.array([np.nan if r is None else float(r.running) for r in registers])
    return register if feed is None else np.where(np.isfinite(feed), feed, register)


def fitted(line: Potline, faraday_by_day_kg: F64, tapped_by_day_kg: F64, inventory_change_kg: float | None) -> Efficiency:
    """Efficiency of a line over a window of whole days: arrays [d], NaN Faraday metal where the day is not measured.

    The band is two standard errors of the daily ratios about their common ratio (it holds the swing of the inventory and
    of the scale); with the inventory stated at both ends the fit closes on it. A fit less certain than the stated
    efficiency, or too far from it, is not used.
    """
    stated = Efficiency(line.current_efficiency_ref, line.current_efficiency_uncertainty, "stated")
    rows = np.isfinite(faraday_by_day_kg) & (faraday_by_day_kg > 0)
    tapped, faraday = tapped_by_day_kg[rows], faraday_by_day_kg[rows]
    if len(tapped) < DAYS_MIN or not (tapped > 0).all():
        return stated
    value = efficiency_of(float(tapped.sum()), inventory_change_kg or 0.0, float(faraday.sum()))
    scatter = tapped - tapped.sum() / faraday.sum() * faraday
    error = COVERAGE * float(np.sqrt(np.sum(scatter**2) / (len(tapped) - 1) * len(tapped))) / float(faraday.sum())
    if error >= stated.uncertainty:
        return stated
    if abs(value - stated.value) > DISAGREEMENT * stated.uncertainty:
        return Efficiency(stated.value, stated.uncertainty, "stated, weighed metal disagrees")
    return Efficiency(value, error, "weighed")


def tapped_by_day(entries: Sequence[LedgerEntry], subjects: tuple[str, ...], day_bounds_ns: I64) -> F64:
    """Weighed metal of a line by day, kg [d], from entries ``metal_tapped`` at instants; ``day_bounds_ns`` int64[d + 1]."""
    found = [e for e in entries if e.kind == "metal_tapped" and e.subject in subjects]
    days = np.searchsorted(day_bounds_ns, [e.start_ns for e in found], "right") - 1
    inside = (days >= 0) & (days < len(day_bounds_ns) - 1)
    amounts = np.array([float(e.amount) for e in found])
    kg: F64 = np.bincount(days[inside], amounts[inside], len(day_bounds_ns) - 1).astype(float)
    return kg


def inventory_change_kg(
    entries: Sequence[LedgerEntry], subjects: tuple[str, ...], start_ns: int, end_ns: int, near_ns: int
) -> float | None:
    """Metal in the pots at the end less at the start, from statements within ``near_ns`` of both; None without them."""
    stated = [e for e in entries if e.kind == "metal_in_pots" and e.subject in subjects]
    ends = []
    for instant in (start_ns, end_ns):
        close = [e for e in stated if abs(e.start_ns - instant) <= near_ns]
        if not close:
            return None
        ends.append(min(close, key=lambda e: abs(e.start_ns - instant)).amount)
    return float(ends[1] - ends[0])
