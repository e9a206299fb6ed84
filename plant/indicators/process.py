"""Energy per tonne of metal, and what it is made of."""

from __future__ import annotations

from plant.indicators.row import Indicator

_KWH_T = ("kWh/t", "kwh_per_t")
ROWS: tuple[Indicator, ...] = (
    Indicator("specific_energy_dc", *_KWH_T, "DC energy per tonne, molten", "铝液直流电耗", "potline DC busbar"),
    Indicator(
        "specific_energy_e1",
        *_KWH_T,
        "AC energy per tonne, molten (e1)",
        "铝液交流电耗",
        "rectifier units, network side, metal produced",
    ),
    Indicator(
        "specific_energy_e2",
        *_KWH_T,
        "Comprehensive AC energy per tonne, molten (e2)",
        "铝液综合交流电耗",
        "rectifiers + auxiliaries to tapping + share of line loss, metal produced",
    ),
    Indicator(
        "specific_energy_e2_tariff",
        *_KWH_T,
        "Comprehensive AC energy per tonne without desulphurisation (e2')",
        "铝液综合交流电耗(不含脱硫)",
        "e2 less desulphurisation, metal produced",
    ),
    Indicator("current_efficiency", "%", "percent", "Current efficiency", "电流效率", "metal produced of Faraday's law at 100 %"),
    Indicator("rectifier_efficiency", "%", "percent", "Rectifier efficiency", "整流效率", "DC energy of AC energy"),
    Indicator("metal_produced", "t", "t", "Metal produced (Faraday, reconciled)", "产铝量(法拉第,已核对)", "molten metal"),
    Indicator("metal_tapped", "t", "t", "Metal tapped, weighed", "出铝量(称重)", "molten metal, weighed"),
)
