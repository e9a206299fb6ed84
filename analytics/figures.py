"""What the analytics hands out: figures of a period, the live picture, and their parts. Plain values, ready for JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from plant.indicators import Figure
from plant.series import Span

PeriodStatus = Literal["live", "provisional", "closed"]


@dataclass(frozen=True, slots=True)
class Flow:
    """Energy that went from one source to one sink (10.4). ``source`` is a branch id, for storage ``<branch>/<origin>``;
    ``sink`` is ``load`` or the id of the branch that charged or exported. ``energy_kwh`` is None for an instant; both
    are where too little was measured: ``measured_share`` 0..1 of the energy follows from readings, ``completeness`` is that
    of the plant, both None for an instant."""

    source: str
    sink: str
    energy_kwh: float | None
    power_kw: float | None
    completeness: float | None = None
    measured_share: float | None = None


@dataclass(frozen=True, slots=True)
class PointEnergy:
    """Energies of one metering point in the plant's sign, with their bands; None where nothing is known."""

    point: str
    branch: str
    energy_import_kwh: float | None
    energy_import_low_kwh: float | None
    energy_import_high_kwh: float | None
    energy_export_kwh: float | None
    energy_export_low_kwh: float | None
    energy_export_high_kwh: float | None
    completeness: float
    measured_share: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PeriodFigures:
    """Everything computed for one span.

    ``figures`` is by node (``plant.nodes``) and indicator; ``residual_kwh`` by bus section; ``editions`` names the rules
    and the site edition used; ``interval_hash`` identifies the 15-min rows the figures rest on ("" for an instant);
    ``slots_missing`` counts 15-min slots of the span that have no row at all. ``details`` holds, by chapter
    (``analytics.chapters``), tables that are no single figure, ready for JSON.
    """

    span: Span
    status: PeriodStatus
    figures: dict[str, dict[str, Figure]]
    flows: list[Flow]
    residual_kwh: dict[str, float | None]
    points: list[PointEnergy]
    editions: tuple[str, ...]
    interval_hash: str
    slots_missing: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    def figure(self, node: str, indicator: str) -> Figure | None:
        """One figure, None where the node or indicator is not there."""
        return self.figures.get(node, {}).get(indicator)


@dataclass(frozen=True, slots=True)
class BranchNow:
    """Power of a branch at this moment (plant's sign). None where every meter of it is silent: never the last value."""

    active_power_kw: float | None
    low_kw: float | None
    high_kw: float | None
    age_s: float | None
    meter: str
    substituted: bool
    kind: str = ""
    source: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """The plant at ``t_ns``. ``windows`` has ``now``, ``last_15min``, ``last_24h``, ``shift``, ``production_day``, ``day``
    and ``month`` (those that have data yet); ``power_kw`` the instant's totals (``load``, ``grid_import``, ...)."""

    plant: str
    t_ns: int
    windows: dict[str, PeriodFigures]
    branches: dict[str, BranchNow]
    power_kw: dict[str, float | None] = field(default_factory=dict)
    settled_until_ns: int | None = None
