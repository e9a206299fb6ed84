"""Performance of PV fields, and the quality of the supply."""

from __future__ import annotations

from plant.indicators.row import Indicator

_FIELD = "PV field, generator terminals, irradiance in the plane of the modules"
_BUS = "bus section"
_P95 = "bus section, 95 % of the quarter-hour maxima lie below"

ROWS: tuple[Indicator, ...] = (
    Indicator(
        "performance_ratio",
        "%",
        "percent",
        "PV performance ratio",
        "光伏性能比(PR)",
        _FIELD,
        "Yf / Yr = (E / P0) / (H / 1 kW/m2), over intervals that have both",
        ("solar_generation", "solar_irradiation"),
    ),
    Indicator(
        "performance_ratio_25c",
        "%",
        "percent",
        "PV performance ratio at 25 degC",
        "光伏性能比(25℃修正)",
        _FIELD,
        "Yf / sum(Yr x (1 + gamma x (T - 25))), over intervals that have energy, irradiance and module temperature",
        ("solar_generation", "solar_irradiation"),
    ),
    Indicator(
        "specific_yield",
        "kWh/kW",
        "kwh_per_kw",
        "PV specific yield",
        "光伏等效利用小时",
        _FIELD,
        "E / P0",
        ("solar_generation",),
    ),
    Indicator("solar_generation", "kWh", "kwh", "PV generation of the field", "光伏场发电量", _FIELD, "sum of the intervals"),
    Indicator("solar_irradiation", "kWh/m2", "kwh_per_m2", "Irradiation", "组件面辐照量", _FIELD, "sum of irradiance x time"),
    Indicator(
        "solar_availability",
        "%",
        "percent",
        "PV availability",
        "光伏可用率",
        "inverters of the field while the sun shines, by DC capacity",
        "time with power / time with irradiance",
        ("solar_irradiation",),
    ),
    Indicator(
        "solar_expected",
        "kWh",
        "kwh",
        "PV generation expected",
        "光伏期望发电量",
        _FIELD,
        "P0 x H x design ratio x (1 + gamma x (T - 25)), at most what the inverters can give",
        ("solar_irradiation",),
    ),
    Indicator("frequency_deviation", "Hz", "hz", "Frequency deviation, largest", "频率偏差最大值", _BUS, "max |f - 50 Hz|"),
    Indicator(
        "frequency_outside", "min", "min", "Time outside the frequency limit", "频率越限时间", _BUS, "time beyond the limit"
    ),
    Indicator("voltage_deviation_up", "%", "percent", "Voltage deviation, highest", "电压正偏差最大值", _BUS, "max U / Un - 1"),
    Indicator("voltage_deviation_down", "%", "percent", "Voltage deviation, lowest", "电压负偏差最大值", _BUS, "1 - min U / Un"),
    Indicator(
        "voltage_deviation_span",
        "%",
        "percent",
        "Voltage deviations, both together",
        "电压正负偏差绝对值之和",
        _BUS,
        "|highest| + |lowest|",
        ("voltage_deviation_up", "voltage_deviation_down"),
    ),
    Indicator("voltage_outside", "min", "min", "Time outside the voltage limit", "电压越限时间", _BUS, "time beyond the limit"),
    Indicator("voltage_thd", "%", "percent", "Voltage THD, 95 % value", "电压总谐波畸变率95%概率值", _P95, "95 % value"),
    Indicator("voltage_thd_outside", "min", "min", "Time outside the THD limit", "谐波越限时间", _BUS, "time beyond the limit"),
    Indicator("voltage_unbalance", "%", "percent", "Voltage unbalance, 95 % value", "电压不平衡度95%概率值", _P95, "95 % value"),
    Indicator(
        "voltage_unbalance_outside",
        "min",
        "min",
        "Time outside the unbalance limit",
        "不平衡度越限时间",
        _BUS,
        "time beyond the limit",
    ),
    Indicator(
        "islanded_time",
        "min",
        "min",
        "Time islanded",
        "孤网运行时间",
        "all ties without power, the plant alive",
        "sum of the minutes",
    ),
    Indicator(
        "islandings",
        "1",
        "count",
        "Islandings",
        "孤网次数",
        "all ties without power, the plant alive",
        "runs of islanded intervals",
    ),
)
