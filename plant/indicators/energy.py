"""Energies of the balance."""

from __future__ import annotations

from plant.indicators.row import Indicator

_SOURCES = ("grid_import", "renewable_generation", "captive_generation", "storage_discharge")
ROWS: tuple[Indicator, ...] = (
    Indicator(
        "load_energy",
        "kWh",
        "kwh",
        "Load energy",
        "用电量",
        "sources - charge - export; losses on site are in it",
        f"{' + '.join(_SOURCES)} - storage_charge - grid_export",
        (*_SOURCES, "storage_charge", "grid_export"),
    ),
    *(
        Indicator(name, "kWh", "kwh", en, zh, boundary, "sum over branches and 15-min intervals")
        for name, en, zh, boundary in (
            ("grid_import", "Grid import", "下网电量", "all ties"),
            ("grid_export", "Grid export", "上网电量", "all ties"),
            ("renewable_generation", "Renewable generation on site", "现场可再生发电量", "generator terminals"),
            ("captive_generation", "Captive generation", "自备电厂发电量", "generator terminals"),
            ("storage_charge", "Storage charge", "储能充电量", "storage terminals"),
            ("storage_discharge", "Storage discharge", "储能放电量", "storage terminals"),
            ("rectifier_energy", "Rectifier energy, AC", "整流机组交流电量", "network side"),
            ("dc_energy", "DC energy", "直流电量", "potline DC busbar"),
        )
    ),
    Indicator(
        "network_loss",
        "kWh",
        "kwh",
        "Network loss",
        "网络损耗",
        "load of the sources' side less what metered branches take",
        "load_energy - metered branches",
        ("load_energy",),
    ),
    Indicator(
        "network_loss_share",
        "%",
        "percent",
        "Network loss of supply",
        "网损率",
        "network loss of import, generation and discharge",
        "100 * network_loss / (grid_import + renewable_generation + captive_generation + storage_discharge)",
        ("network_loss", "grid_import", "renewable_generation", "captive_generation", "storage_discharge"),
    ),
    Indicator(
        "residual",
        "kWh",
        "kwh",
        "Balance residual",
        "平衡残差",
        "sources - metered sinks of a bus section",
        "what branches give to the section - what they take from it",
    ),
)
