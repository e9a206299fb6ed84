"""Where the energy in a battery came from: one pooled mix of origins, so that a battery never creates green kWh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics.counters import F64

ORIGINS = ("renewable", "grid", "captive", "unknown")
UNKNOWN = ORIGINS.index("unknown")


def origin_of(source: str) -> int:
    """Index into ORIGINS for the ``source`` of a branch (``plant.site.SOURCES``)."""
    if source in ("pv", "wind", "hydro", "biomass"):
        return ORIGINS.index("renewable")
    if source == "grid":
        return ORIGINS.index("grid")
    return ORIGINS.index("captive") if source else UNKNOWN


@dataclass(frozen=True, slots=True)
class Pool:
    """Energy that can still be discharged, by origin, kWh in the order of ORIGINS."""

    content_kwh: tuple[float, ...]

    @staticmethod
    def initial(capacity_kwh: float) -> Pool:
        """What was inside before anyone measured: of unknown origin, hence not green, and at most a full battery."""
        return Pool((0.0, 0.0, 0.0, capacity_kwh))

    @property
    def total_kwh(self) -> float:
        """Everything inside."""
        return sum(self.content_kwh)

    def discharge_mix(self, discharge_kwh: float) -> F64:
        """Shares by origin of a discharge, float64[4], adding up to 1; what the pool does not hold is of unknown origin."""
        mix = np.zeros(len(ORIGINS))
        if discharge_kwh <= 0 or self.total_kwh <= 0:
            mix[UNKNOWN] = 1.0
            return mix
        held = min(1.0, self.total_kwh / discharge_kwh)
        mix[:] = np.array(self.content_kwh) / self.total_kwh * held
        mix[UNKNOWN] += 1.0 - held
        return mix

    def without_record(self, most_kwh: float) -> Pool:
        """The pool after up to ``most_kwh`` may have gone through it unmetered (NaN: nobody knows how much): as much of it is of
        unknown origin from then on, since it may have been discharged and charged again."""
        share = 1.0 if np.isnan(most_kwh) else min(1.0, most_kwh / self.total_kwh) if self.total_kwh > 0 else 0.0
        content = [c * (1.0 - share) for c in self.content_kwh]
        content[UNKNOWN] += self.total_kwh * share
        return Pool(tuple(content))

    def after(self, charge_by_origin_kwh: F64, discharge_kwh: float, efficiency: float, capacity_kwh: float) -> Pool:
        """The pool after an interval. All loss is taken at charging, by the provisional round-trip ``efficiency``.

        More than the capacity cannot be inside: then the loss was larger than stated, and is shared by origin.
        """
        content = np.array(self.content_kwh)
        total = content.sum()
        if discharge_kwh > 0:
            content = content * (1.0 - discharge_kwh / total) if discharge_kwh < total else np.zeros(len(ORIGINS))
        content = content + np.maximum(charge_by_origin_kwh, 0.0) * efficiency
        if capacity_kwh > 0 and content.sum() > capacity_kwh:
            content *= capacity_kwh / content.sum()
        return Pool(tuple(float(c) for c in content))
