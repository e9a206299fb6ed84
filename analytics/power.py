"""Integrated power: what shapes a counter's total, and what stands in where there is no counter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.counters import F64, I64

NS_PER_S = 1e9
S_PER_H = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class PowerIntegral:
    """Energy and covered time since the first sample, at the samples: ``t_ns`` int64[n], ``energy`` and ``covered_s``
    float64[n]. Time between samples further apart than the largest gap is neither integrated nor covered. ``peak`` is the
    largest sample."""

    t_ns: I64
    energy: F64
    covered_s: F64
    peak: float = 0.0

    def energy_at(self, t_ns: I64) -> F64:
        """Integral up to each instant, any shape."""
        return self._at(t_ns, self.energy)

    def covered_at(self, t_ns: I64) -> F64:
        """Seconds covered up to each instant."""
        return self._at(t_ns, self.covered_s)

    def _at(self, t_ns: I64, column: F64) -> F64:
        if len(self.t_ns) == 0:
            return np.zeros(np.shape(t_ns))
        origin = self.t_ns[0]
        found: F64 = np.interp((t_ns - origin) / NS_PER_S, (self.t_ns - origin) / NS_PER_S, column)
        return found


def integrate(t_ns: I64, rate: F64, gap_max_s: float, *, per_s: float = S_PER_H) -> PowerIntegral:
    """Trapezoid of samples ``rate`` [n] (kW, or kA) at ascending ``t_ns`` [n]; kWh (kAh), since ``per_s`` is 3600.

    A gap longer than ``gap_max_s`` adds nothing: power times an outage would invent energy.
    """
    dt_s = np.diff(t_ns) / NS_PER_S
    near: npt.NDArray[np.bool_] = dt_s <= gap_max_s
    energy = np.where(near, (rate[1:] + rate[:-1]) / 2 * dt_s / per_s, 0.0)
    covered = np.where(near, dt_s, 0.0)
    zero = np.zeros(min(len(t_ns), 1))
    total, known_s = (np.concatenate([zero, np.cumsum(one)]) for one in (energy, covered))
    return PowerIntegral(t_ns, total, known_s, float(rate.max(initial=0.0)))


NO_POWER = PowerIntegral(np.empty(0, np.int64), np.empty(0), np.empty(0))
