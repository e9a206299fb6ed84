"""Energies of the balance."""

from __future__ import annotations

from plant.indicators.row import Indicator

ROWS: tuple[Indicator, ...] = (
    Indicator("load_energy", "kWh", "kwh", "Load energy", "用电量", "sources - charge - export - loss"),
    Indicator("grid_import", "kWh", "kwh", "Grid import", "下网电量", "all ties"),
    Indicator("grid_export", "kWh", "kwh", "Grid export", "上网电量", "all ties"),
    Indicator("renewable_generation", "kWh", "kwh", "Renewable generation on site", "现场可再生发电量", "generator terminals"),
    Indicator("captive_generation", "kWh", "kwh", "Captive generation", "自备电厂发电量", "generator terminals"),
    Indicator("storage_charge", "kWh", "kwh", "Storage charge", "储能充电量", "storage terminals"),
    Indicator("storage_discharge", "kWh", "kwh", "Storage discharge", "储能放电量", "storage terminals"),
    Indicator("rectifier_energy", "kWh", "kwh", "Rectifier energy, AC", "整流机组交流电量", "network side"),
    Indicator("dc_energy", "kWh", "kwh", "DC energy", "直流电量", "potline DC busbar"),
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
    Indicator("residual", "kWh", "kwh", "Balance residual", "平衡残差", "sources - metered sinks of a bus section"),
)
