"""What a period is expected to come to, and what a baseline says of it."""

from __future__ import annotations

from plant.indicators import energy, green, process
from plant.indicators.row import Indicator

OUTLOOK_SUFFIX = "_outlook"
_AS_SETTLED = "settled part + expected rest, 80 % band of the settled figure, without errors of meters"
_PROJECTED = (
    "load_energy",
    "grid_import",
    "renewable_generation",
    "green_to_load",
    "metal_produced",
    "rectifier_energy",
    "specific_energy_e1",
    "specific_energy_e2",
    "specific_energy_e2_tariff",
    "green_share_physical",
    "pv_self_consumption",
    "pv_feed_in",
    "certificate_ratio",
)
_KNOWN = {row.name: row for row in (*process.ROWS, *green.ROWS, *energy.ROWS)}


def _outlook(name: str) -> Indicator:
    row = _KNOWN[name]
    return Indicator(
        name + OUTLOOK_SUFFIX,
        row.unit,
        row.suffix,
        f"{row.en}, expected at the end of the period",
        f"{row.zh}(期末预计)",
        _AS_SETTLED,
        f"{name} of the settled part and of a simulated rest: ratio of sums",
        (name, "site.outlook"),
    )


_BASELINE = "relevant variables of the same points, regression over the reference span"
ROWS: tuple[Indicator, ...] = (
    *(_outlook(name) for name in _PROJECTED),
    Indicator(
        "baseline_energy",
        "kWh",
        "kwh",
        "Energy expected by the baseline",
        "基准能耗(回归)",
        _BASELINE,
        "sum over points of intercept + slopes . relevant variables",
        ("metal_produced", "metal_tapped", "ingots", "site.baselines"),
    ),
    Indicator(
        "baseline_saving",
        "kWh",
        "kwh",
        "Saving against the baseline",
        "相对基准节能量",
        _BASELINE,
        "baseline_energy - energy of the same points",
        ("baseline_energy", "load_energy", "rectifier_energy"),
    ),
    Indicator(
        "baseline_saving_percent",
        "%",
        "percent",
        "Saving against the baseline, share",
        "相对基准节能率",
        _BASELINE,
        "100 baseline_saving / baseline_energy",
        ("baseline_saving", "baseline_energy"),
    ),
)
