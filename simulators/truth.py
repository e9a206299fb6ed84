"""What really happened in any span: the figures that the service's own are held against. Shares no code with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from plant.series import QUARTER_NS, Span
from simulators.accounts import Accounts
from simulators.lattice import Columns
from simulators.parameters import BUS_OF, FARADAY_KG_PER_KAH, Line
from simulators.smelter import SmelterModel
from simulators.tapping import Tapping

SHARED_TO_TAPPING = ("desulphurisation", "compressors", "potroom-aux")
HOUR_NS = 3_600_000_000_000
_SPANS_KEPT = 1_000
_LOADS = tuple(name for name in BUS_OF if not name.startswith(("tie", "unit", "pv", "battery")))


@dataclass(frozen=True, slots=True)
class Energy:
    """Energies of a branch in the plant's sign: import away from the grid, export towards it; both not negative."""

    import_kwh: float
    export_kwh: float

    @property
    def net_kwh(self) -> float:
        """Import less export."""
        return self.import_kwh - self.export_kwh


class Truth:
    """Figures of the simulated plant. Lines are named ``line-1`` and ``line-2``, branches as in the demo's site file."""

    def __init__(self, model: SmelterModel) -> None:
        self.model = model
        self.lines: dict[str, Line] = {line.name: line for line in model.parameters.lines}
        self.tapping = {name: Tapping(model, line) for name, line in self.lines.items()}
        self._accounts: Accounts | None = None
        self._sums: dict[Span, tuple[dict[str, float], dict[str, float]]] = {}

    def energy(self, branch: str, span: Span) -> Energy:
        """Both energies of a branch, of ``dc-<group>`` the DC energy."""
        positive, negative = self._totals(span)
        return Energy(positive[branch], negative[branch])

    def energy_kwh(self, branch: str, span: Span) -> float:
        """Net energy of a branch, import less export; a generator's is negative."""
        return self.energy(branch, span).net_kwh

    def metal_produced_t(self, line: str, span: Span) -> float:
        """Metal that the pots of a line made, tapped or not; ``plant`` for both lines."""
        if line == "plant":
            return sum(self.metal_produced_t(name, span) for name in self.lines)
        return self._totals(span)[0][f"production-{self.lines[line].number}"] / 1000.0

    def metal_tapped_t(self, line: str, span: Span) -> float:
        """True mass of the taps of a line, without the scale's error."""
        return float(self.tapping[line].taps(span).true_kg.sum()) / 1000.0

    def metal_in_pots_t(self, line: str, t_ns: int) -> float:
        """Metal in the pots of a line at an instant."""
        return self.tapping[line].metal_in_pots_kg(t_ns) / 1000.0

    def current_efficiency(self, line: str, span: Span) -> float:
        """Metal made over Faraday's law for the pots that ran, 0..1."""
        number = self.lines[line].number
        sums = self._totals(span)[0]
        current = sum(sums[f"current-{group}"] for group in self.lines[line].groups)
        return sums[f"pot-metal-{number}"] / (FARADAY_KG_PER_KAH * current)

    def maximum_demand_kw(self, branch: str, span: Span) -> float:
        """Greatest mean import of a quarter of an hour that begins with one."""
        positive, _ = self.model.integrals(span.bounds(QUARTER_NS))
        return float(np.diff(positive[branch]).max()) * HOUR_NS / QUARTER_NS

    def state_of_charge_percent(self, t_ns: int) -> float:
        """True state of charge of the battery."""
        return float(self.model.state(np.array([t_ns], np.int64))["soc"][0])

    def specific_energy_dc_kwh_per_t(self, node: str, span: Span) -> float:
        """DC energy of a line or the plant per tonne made."""
        lines = self._of(node)
        return self._sum(span, [f"dc-{group}" for line in lines for group in line.groups]) / self._made(lines, span)

    def specific_energy_e1_kwh_per_t(self, node: str, span: Span) -> float:
        """Rectifier AC energy of a line or the plant per tonne made."""
        lines = self._of(node)
        return self._sum(span, [group for line in lines for group in line.groups]) / self._made(lines, span)

    def specific_energy_e2_kwh_per_t(self, node: str, span: Span) -> float:
        """With the auxiliaries up to tapping (shared ones by metal) and the share by energy of what nobody metered."""
        return self._comprehensive(node, span, SHARED_TO_TAPPING, ())

    def specific_energy_e2_tariff_kwh_per_t(self, node: str, span: Span) -> float:
        """e2 less desulphurisation; the loss share stays as it is in e2."""
        return self._comprehensive(node, span, SHARED_TO_TAPPING, ("desulphurisation",))

    def green_share_physical_percent(self, span: Span) -> float:
        """On-site sun in the load, in %: each minute every source feeds every sink in proportion, and the battery hands on
        the mix of what it holds. The load is what the sources give less charge and export."""
        green_kwh, load_kwh, _ = self._green(span)
        return 100.0 * green_kwh / load_kwh

    def account(self, span: Span) -> None:
        """Follow the sun's energy through a span once, before the green figures of its parts are asked for."""
        self._accounts = Accounts.of(self.model, span)

    def green_to_load_kwh(self, span: Span) -> float:
        """On-site sun in the load."""
        return self._green(span)[0]

    def renewable_export_kwh(self, span: Span) -> float:
        """On-site sun in what went out over the ties, each at its own."""
        return self._green(span)[2]

    def load_kwh(self, span: Span) -> float:
        """Energy of the load from the side of the sources, losses and unmetered load included."""
        return self._green(span)[1]

    def _of(self, node: str) -> list[Line]:
        return list(self.lines.values()) if node == "plant" else [self.lines[node]]

    def _made(self, lines: list[Line], span: Span) -> float:
        return self._sum(span, [f"production-{line.number}" for line in lines]) / 1000.0

    def _sum(self, span: Span, names: Iterable[str]) -> float:
        positive, _ = self._totals(span)
        return sum(positive[name] for name in names)

    def _totals(self, span: Span) -> tuple[dict[str, float], dict[str, float]]:
        """Integrals by column over a span: (positive, negative)."""
        if span not in self._sums:
            if len(self._sums) >= _SPANS_KEPT:
                self._sums.clear()
            positive, negative = self.model.integrals(np.array([span.start_ns, span.end_ns], np.int64))
            self._sums[span] = _difference(positive), _difference(negative)
        return self._sums[span]

    def _comprehensive(self, node: str, span: Span, shared: tuple[str, ...], without: tuple[str, ...]) -> float:
        lines = self._of(node)
        share = self._made(lines, span) / self._made(self._of("plant"), span)
        groups = [group for line in lines for group in line.groups]
        own = self._sum(span, [*groups, *(f"fume-{line.number}" for line in lines)])
        to_tapping = own + share * self._sum(span, shared)
        lost = self._sum(span, ("loss-1", "loss-2", "unmetered"))
        loss_share = lost * to_tapping / self._sum(span, _LOADS)
        left_out = share * self._sum(span, without)
        return (to_tapping + loss_share - left_out) / self._made(lines, span)

    def _green(self, span: Span) -> tuple[float, float, float]:
        """(green energy to load, energy of the load, sun exported) in kWh, accounted minute by minute."""
        if self._accounts is None or not self._accounts.covers(span):
            self._accounts = Accounts.of(self.model, span)
        return self._accounts.within(span)


def _difference(columns: Columns) -> dict[str, float]:
    return {name: float(columns.value[1, i] - columns.value[0, i]) for name, i in columns.names.items()}
