"""What the demo's site file says of its PV fields: modules, inverters, and the string currents of one combiner box."""

from __future__ import annotations

SOLAR = """
# PV: the weather station lies in the plane of the east field; what it tells of the roofs is worth less.
[[meter]]
id = "pv-3-strings"
profile = "sim_string_box"
endpoint = "broker"
topic = "smelter/pv-3-strings"
poll_interval_s = 10
name = { en = "Combiner box, roof of potroom 2", zh = "二电解屋顶汇流箱" }

[[solar]]
id = "east"
branch = "pv-1"
weather_meter = "weather"
dc_capacity_kw = 170000
monitoring_class = "B"
irradiance_uncertainty_percent = 3
design_performance_ratio = 0.92
inverters = [{ meter = "pv-1-inverter", dc_capacity_kw = 170000, ac_limit_kw = 148000 }]
[[solar]]
id = "west"
branch = "pv-2"
weather_meter = "weather"
dc_capacity_kw = 135000
irradiance_uncertainty_percent = 6
design_performance_ratio = 0.92
inverters = [{ meter = "pv-2-inverter", dc_capacity_kw = 135000, ac_limit_kw = 117000 }]
[[solar]]
id = "roofs"
branch = "pv-3"
weather_meter = "weather"
dc_capacity_kw = 95000
irradiance_uncertainty_percent = 20
inverters = [{ meter = "pv-3-inverter", dc_capacity_kw = 95000, ac_limit_kw = 84000 }]
strings = [{ meter = "pv-3-strings", quantity = "string_dc_current", count = 12, dc_capacity_kw = 12 }]
"""
