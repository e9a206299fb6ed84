"""Greenhouse gases of the metal and of the electricity."""

from __future__ import annotations

from plant.indicators.row import Indicator

_T = ("tCO2e", "tco2e")
_T_T = ("tCO2e/t", "tco2e_per_t")
_GRID = "electricity bought from the grid; captive generation is not in it"
# of every method set; explained are those whose editions the figure names
_CELLS = ("cwpb", "swpb", "vss", "hss")
_PFC_RULES = (
    *(f"pfc-china-2024-{n}" for n in ("slope", "ratio", "gwp-cf4", "gwp-c2f6", "default-cf4", "default-c2f6")),
    *(f"pfc-{ipcc}-{n}-{cell}" for ipcc in ("ipcc-ar5", "ipcc-ar4") for n in ("slope", "ratio") for cell in _CELLS),
    *(f"pfc-{ipcc}-gwp-{gas}" for ipcc in ("ipcc-ar5", "ipcc-ar4") for gas in ("cf4", "c2f6")),
)
ROWS: tuple[Indicator, ...] = (
    Indicator(
        "anode_emissions",
        *_T,
        "CO2 of anodes",
        "阳极消耗排放",
        "net anode carbon",
        "net anode x (1 - anode-sulphur - anode-ash) x carbon-to-co2",
        (
            "metal_produced",
            "anode_net",
            "anode_gross",
            "anode-net-consumption",
            "anode-gross-loss",
            "anode-sulphur",
            "anode-ash",
            "carbon-to-co2",
        ),
    ),
    Indicator(
        "pfc_emissions",
        *_T,
        "CF4 and C2F6 of anode effects",
        "阳极效应排放(全氟化碳)",
        "recorded anode effects; what leaks at low voltage is not in it",
        "metal_produced x slope x anode_effect_minutes x (GWP of CF4 + ratio x GWP of C2F6)",
        ("metal_produced", "anode_effect_minutes", *_PFC_RULES, "site.carbon"),
    ),
    Indicator(
        "direct_emissions",
        *_T,
        "Direct process emissions",
        "直接过程排放",
        "anodes and anode effects; fuels and captive generation are not in it",
        "anode_emissions + pfc_emissions",
        ("anode_emissions", "pfc_emissions"),
    ),
    Indicator(
        "direct_emissions_intensity",
        *_T_T,
        "Direct process emissions per tonne",
        "吨铝直接过程排放",
        "anodes and anode effects, metal produced",
        "direct_emissions / metal_produced",
        ("direct_emissions", "metal_produced"),
    ),
    Indicator(
        "electricity_emissions_location",
        *_T,
        "Electricity, location based",
        "电力排放(位置法)",
        _GRID,
        "grid_import x grid-factor / 1000",
        ("grid_import", "grid-factor"),
    ),
    Indicator(
        "electricity_emissions_matched",
        *_T,
        "Electricity, market based, interval matched",
        "电力排放(市场法,逐时段匹配)",
        _GRID,
        "(grid_import - contracted_matched) x grid-factor-residual / 1000",
        ("grid_import", "contracted_matched", "grid-factor-residual"),
    ),
    Indicator(
        "electricity_emissions_volumetric",
        *_T,
        "Electricity, market based, volumetric",
        "电力排放(市场法,总量匹配)",
        _GRID,
        "(grid_import - contracted_energy) x grid-factor-residual / 1000",
        ("grid_import", "contracted_energy", "grid-factor-residual"),
    ),
    *(
        Indicator(
            f"electricity_intensity_{name}",
            *_T_T,
            f"Electricity per tonne, {en}",
            f"吨铝电力排放({zh})",
            f"{_GRID}; metal produced",
            f"electricity_emissions_{name} / metal_produced",
            (f"electricity_emissions_{name}", "metal_produced"),
        )
        for name, en, zh in (
            ("location", "location based", "位置法"),
            ("matched", "market based, interval matched", "市场法,逐时段匹配"),
            ("volumetric", "market based, volumetric", "市场法,总量匹配"),
        )
    ),
    Indicator(
        "ets_surplus",
        *_T,
        "Allowances beyond own emissions",
        "碳配额盈余",
        "direct emissions alone; below 0: to be bought",
        "direct_emissions x alpha; X = (balance value - own intensity) / balance value; alpha = ets-alpha-slope x X, "
        "ets-alpha-cap from ets-deviation-cap on",
        (
            "direct_emissions",
            "verified_emissions",
            "ets-alpha-slope",
            "ets-alpha-cap",
            "ets-deviation-cap",
            "site.carbon.ets_balance",
        ),
    ),
    Indicator(
        "ets_surplus_value",
        "yuan",
        "yuan",
        "Value of allowances beyond own emissions",
        "碳配额盈余价值",
        "at the closing price of the rule; below 0 a cost",
        "ets_surplus x ets-price",
        ("ets_surplus", "ets-price"),
    ),
)
