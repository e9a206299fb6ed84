"""Metal: by Faraday's law from ampere-hours and pots, reconciled with what the scale weighed and the pots held.

Taps alone cannot tell metal that was left in the pots from metal that was not made. Between two statements of the metal
in the pots the metal made is known: weighed taps + change of the inventory. Without them the plant's stated efficiency stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analytics.counters import F64, I64
from plant.entry_data import counts
from plant.ports import LedgerEntry
from plant.series import Span
from plant.site import Potline

DISAGREEMENT = 3.0  # a fit further from the stated efficiency than this times its uncertainty points to lost taps
COVERAGE = 2.0  # a band holds two standard deviations
STATEMENTS_MIN = 5  # fewer statements between the ends of a window say nothing about their own scatter
Origin = Literal["weighed", "stated", "stated, weighed metal disagrees"]
DISAGREES: Origin = "stated, weighed metal disagrees"


@dataclass(frozen=True, slots=True)
class Fit:
    """Current efficiency 0..1 of a line, and how far to trust it.

    ``uncertainty`` is the half width of the band of the mean over ``window``; ``drift`` by how much the mean of a part of
    the window may differ from that of the rest. ``full_t`` is the metal at 100 % efficiency over the window. A stated
    efficiency has no window, and holds for any time.
    """

    value: float
    uncertainty: float
    origin: Origin
    drift: float = 0.0
    window: Span | None = None
    full_t: float = 0.0

    @property
    def half_width(self) -> float:
        """Half the band of the efficiency of any single interval."""
        return float(np.hypot(self.uncertainty, self.drift))

    @staticmethod
    def stated(line: Potline, class_percent: float, origin: Origin = "stated") -> Fit:
        """What the plant expects. Metal then rests on the ampere-hours too: ``class_percent`` is that of their meters."""
        value = line.current_efficiency_ref
        half = float(np.hypot(line.current_efficiency_uncertainty, value * class_percent / 100))
        return Fit(value, half, origin)


@dataclass(frozen=True, slots=True)
class Fits:
    """Fits of a line, each holding from its ``from_ns`` (ascending) until the next; the first one for all time before too."""

    from_ns: tuple[int, ...]
    fits: tuple[Fit, ...]

    @staticmethod
    def stated(line: Potline, class_percent: float) -> Fits:
        """What the plant expects of a line, for all time."""
        return Fits((0,), (Fit.stated(line, class_percent),))

    def rows(self, t_ns: I64) -> I64:
        """Index of the fit of each instant [m]."""
        found: I64 = np.maximum(np.searchsorted(np.array(self.from_ns, np.int64), t_ns, "right") - 1, 0)
        return found

    def at(self, t_ns: I64) -> tuple[F64, F64]:
        """(value, half width of the band) of single intervals that start at [m]."""
        rows = self.rows(t_ns)
        return np.array([f.value for f in self.fits])[rows], np.array([f.half_width for f in self.fits])[rows]

    def half_width_t(self, start_ns: I64, full_t: F64) -> float:
        """Half the band of the metal made in the intervals [m] together, t; ``full_t`` [m] is theirs at 100 % efficiency.

        What the scale and the inventories leave open concerns every part of a window alike. How a part of a window
        differs from all of it vanishes as the part becomes the whole: ``drift`` times the rest's share of the metal.
        """
        rows, half = self.rows(start_ns), 0.0
        for i in np.unique(rows):
            fit, mine = self.fits[i], rows == i
            made = float(full_t[mine].sum())
            half += float(np.hypot(fit.uncertainty * made, fit.drift * _apart(fit, start_ns[mine], full_t[mine])))
        return half

    def window_share(self, start_ns: I64, full_t: F64) -> float:
        """Share 0..1 of the window of their fit that the intervals [m] hold, by metal; the least where there are several fits."""
        rows = self.rows(start_ns)
        return min((_share(self.fits[i], start_ns[rows == i], full_t[rows == i]) for i in np.unique(rows)), default=0.0)


def _inside(fit: Fit, start_ns: I64, full_t: F64) -> float:
    if fit.window is None:
        return 0.0
    return float(full_t[(start_ns >= fit.window.start_ns) & (start_ns < fit.window.end_ns)].sum())


def _share(fit: Fit, start_ns: I64, full_t: F64) -> float:
    return min(_inside(fit, start_ns, full_t) / fit.full_t, 1.0) if fit.full_t > 0 else 0.0


def _apart(fit: Fit, start_ns: I64, full_t: F64) -> float:
    """Metal at 100 % whose efficiency may be ``drift`` off: outside the window all, inside as far as the rest is not there."""
    inside = _inside(fit, start_ns, full_t)
    return inside * (1.0 - _share(fit, start_ns, full_t)) + max(float(full_t.sum()) - inside, 0.0)


def faraday_t(charge_kah: F64, pots: F64, yield_kg_per_kah: float | F64) -> F64:
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


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """What is known of a line's metal between two statements, kg.

    ``inventory`` float64[n] are all statements from the first to the last bound, ``tapped`` and ``full`` float64[n] the
    weighed taps and the Faraday metal at 100 % from the first of them up to each.
    """

    window: Span
    inventory: F64
    tapped: F64
    full: F64

    def efficiency(self) -> float:
        """Closes exactly on weighed metal and the change of the inventory."""
        return efficiency_of(float(self.tapped[-1]), float(self.inventory[-1] - self.inventory[0]), float(self.full[-1]))

    def uncertainty_kg(self, line: Potline) -> float:
        """Half the band of the metal made: the scale's class and the two inventories at the ends, independent of each other.

        An inventory is as uncertain as the site says, or as its fellows' scatter about the fitted line shows if that is more.
        """
        stated = line.inventory_uncertainty_percent / 100 * self.inventory[[0, -1]]
        seen = 0.0
        if len(self.inventory) - 2 >= STATEMENTS_MIN:
            residual = self.inventory - self.inventory[0] + self.tapped - self.efficiency() * self.full
            seen = COVERAGE * float(np.sqrt(np.sum(residual[1:-1] ** 2) / (len(residual) - 3)))
        scale = line.scale_class_percent / 100 * float(self.tapped[-1])
        return float(np.sqrt(scale**2 + np.sum(np.maximum(stated, seen) ** 2)))


def fitted(line: Potline, weighed: Weighed, class_percent: float) -> Fit:
    """Fit of a line over a window; a fit less certain than the stated efficiency, or too far from it, is not used."""
    stated = Fit.stated(line, class_percent)
    full = float(weighed.full[-1])
    if not np.isfinite(full) or full <= 0 or weighed.tapped[-1] <= 0:
        return stated
    value, drift = weighed.efficiency(), line.current_efficiency_drift
    fit = Fit(value, weighed.uncertainty_kg(line) / full, "weighed", drift, weighed.window, full / 1000)
    if fit.half_width >= stated.uncertainty:
        return stated
    if abs(value - stated.value) > DISAGREEMENT * stated.uncertainty:
        return Fit.stated(line, class_percent, "stated, weighed metal disagrees")
    return fit


def taps(entries: Sequence[LedgerEntry], subjects: tuple[str, ...]) -> tuple[I64, F64]:
    """Weighed taps of a line: (instant int64[n] ascending, kg float64[n]) from entries ``metal_tapped`` that count."""
    own = (e for e in entries if e.kind == "metal_tapped" and e.subject in subjects and counts(e))
    found = sorted((e.start_ns, e.amount) for e in own)
    return np.array([t for t, _ in found], np.int64), np.array([float(kg) for _, kg in found])


def tapped_kg(entries: Sequence[LedgerEntry], subjects: tuple[str, ...], span: Span) -> float:
    """Weighed metal of a line in a span [start, end)."""
    t_ns, kg = taps(entries, subjects)
    return float(kg[(t_ns >= span.start_ns) & (t_ns < span.end_ns)].sum())


def inventories(entries: Sequence[LedgerEntry], subjects: tuple[str, ...]) -> tuple[I64, F64]:
    """Statements of the metal in a line's pots: (instant int64[n] ascending, kg float64[n]); of two for one instant the later."""
    stated = [e for e in entries if e.kind == "metal_in_pots" and e.subject in subjects]
    found = {e.start_ns: float(e.amount) for e in sorted(stated, key=lambda e: (e.recorded_ns or 0, e.id or 0))}
    t_ns = sorted(found)
    return np.array(t_ns, np.int64), np.array([found[t] for t in t_ns])
