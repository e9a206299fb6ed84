"""The truth by node and indicator, so that every figure of a period finds its own."""

from __future__ import annotations

from collections.abc import Callable

from plant.series import Span
from simulators.accounts import PV, TIES
from simulators.truth import Truth

PLANT = "plant"


def true_figures(truth: Truth, span: Span) -> dict[tuple[str, str], float]:
    """What the truth knows of a span, by (node as in ``plant.nodes``, indicator), in the indicator's unit."""
    found: dict[tuple[str, str], float] = {(PLANT, name): figure(truth, span) for name, figure in _PLANT.items()}
    for node, name in ((PLANT, PLANT), *((f"line:{line}", line) for line in truth.lines)):
        found |= {(node, indicator): value for indicator, value in _process(truth, name, span).items()}
    for number, field in enumerate(truth.model.parameters.fields, start=1):
        made = truth.energy(f"pv-{number}", span).export_kwh
        found[f"branch:pv-{number}", "solar_generation"] = made
        found[f"branch:pv-{number}", "specific_yield"] = made / field.peak_kw
    for group in (group for line in truth.lines.values() for group in line.groups):
        found[f"branch:{group}", "rectifier_group_efficiency"] = (
            100.0 * truth.energy_kwh(f"dc-{group}", span) / truth.energy_kwh(group, span)
        )
    found |= {(f"branch:{tie}", "maximum_demand"): truth.maximum_demand_kw(tie, span) for tie in TIES}
    found["bus:bus-1", "residual"] = truth.energy_kwh("loss-1", span)
    found["bus:bus-2", "residual"] = truth.energy_kwh("loss-2", span) + truth.energy_kwh("unmetered", span)
    return found


def true_points(truth: Truth, span: Span, points: dict[str, tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Energies of metering points, by (point, ``import`` or ``export``); ``points`` names the branch and side of each."""
    found = {}
    for point, (branch, side) in points.items():
        energy = truth.energy(f"dc-{branch}" if side == "dc" else branch, span)
        found[point, "import"], found[point, "export"] = energy.import_kwh, energy.export_kwh
    return found


def _sum(names: tuple[str, ...], direction: str) -> Callable[[Truth, Span], float]:
    return lambda truth, span: sum(getattr(truth.energy(name, span), f"{direction}_kwh") for name in names)


def _feed_in(truth: Truth, span: Span) -> float:
    made = _sum(PV, "export")(truth, span)
    return 100.0 * truth.renewable_export_kwh(span) / made if made else 0.0


def _lost(truth: Truth, span: Span) -> float:
    return sum(truth.energy_kwh(name, span) for name in ("loss-1", "loss-2", "unmetered"))


def _lost_share(truth: Truth, span: Span) -> float:
    made = _sum((*PV, "unit-1", "battery"), "export")(truth, span)
    return 100.0 * _lost(truth, span) / (made + _sum(TIES, "import")(truth, span))


_PLANT: dict[str, Callable[[Truth, Span], float]] = {
    "load_energy": Truth.load_kwh,
    "grid_import": _sum(TIES, "import"),
    "grid_export": _sum(TIES, "export"),
    "renewable_generation": _sum(PV, "export"),
    "captive_generation": _sum(("unit-1",), "export"),
    "storage_charge": _sum(("battery",), "import"),
    "storage_discharge": _sum(("battery",), "export"),
    "green_to_load": Truth.green_to_load_kwh,
    "green_share_physical": Truth.green_share_physical_percent,
    "pv_feed_in": _feed_in,
    "network_loss": _lost,
    "network_loss_share": _lost_share,
    "casthouse_energy": _sum(("casthouse",), "import"),
    "pv_self_consumption": lambda truth, span: 100.0 - _feed_in(truth, span),
}


def _process(truth: Truth, name: str, span: Span) -> dict[str, float]:
    lines = list(truth.lines.values()) if name == PLANT else [truth.lines[name]]
    groups = [group for line in lines for group in line.groups]
    rectifier = sum(truth.energy_kwh(group, span) for group in groups)
    direct = sum(truth.energy_kwh(f"dc-{group}", span) for group in groups)
    found = {
        "rectifier_energy": rectifier,
        "dc_energy": direct,
        "metal_tapped": sum(truth.metal_tapped_t(line.name, span) for line in lines),
        "metal_produced": truth.metal_produced_t(name, span),
        "specific_energy_dc": truth.specific_energy_dc_kwh_per_t(name, span),
        "specific_energy_e1": truth.specific_energy_e1_kwh_per_t(name, span),
        "specific_energy_e2": truth.specific_energy_e2_kwh_per_t(name, span),
        "specific_energy_e2_tariff": truth.specific_energy_e2_tariff_kwh_per_t(name, span),
        "rectifier_efficiency": 100.0 * direct / rectifier,
    }
    if name != PLANT:
        found["current_efficiency"] = 100.0 * truth.current_efficiency(name, span)
    return found
