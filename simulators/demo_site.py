"""The site file of the simulated smelter: what an engineer would know of the plant, and nothing of its hidden truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from simulators.demo_solar import SOLAR
from simulators.demo_tariff import TARIFF

AC_METER = "sim_ac_meter"
RECTIFIER_AC = "sim_rectifier_ac_meter"
RECTIFIER_DC = "sim_rectifier_dc_meter"
PV_INVERTER = "sunspec_inverter_103"
BATTERY = "sim_bess"
LADLE_SCALE = "sim_ladle_scale"
WEATHER_STATION = "sim_weather_station"
POT_CONTROLLER = "sim_pot_controller"
FEEDER_METER = "sim_feeder_mqtt"


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of the simulated plant on 127.0.0.1."""

    gateway_1: int
    gateway_2: int
    pv_1: int
    pv_2: int
    pv_3: int
    battery: int
    broker: int

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names in the order of the site file."""
        return tuple(field.name for field in fields(cls))


_SITE = """\
# The simulated smelter of `potwatt demo`. Signs: + flows away from the grid, - is generation, discharge and export.
[plant]
id = "demo"
name = { en = "Demo smelter", zh = "演示铝厂" }
enterprise = "Demo Aluminium"
province = "guizhou"
zone = "Asia/Shanghai"
production_day_start = "08:00"
shift_starts = ["00:00", "08:00", "16:00"]
@data_dir@
# A double busbar, its halves joined by a metered coupler.
[[bus]]
id = "bus-1"
voltage_kv = 220
[[bus]]
id = "bus-2"
voltage_kv = 220

[[potline]]
id = "line-1"
name = { en = "Potline 1", zh = "一电解" }
pots = [{ valid_from = 2020-01-01T00:00:00+08:00, running = 220 }]
current_efficiency_ref = 0.935
current_efficiency_uncertainty = 0.02
feed_meter = "pots-1"
scale_meter = "scale-1"
[[potline]]
id = "line-2"
name = { en = "Potline 2", zh = "二电解" }
pots = [{ valid_from = 2020-01-01T00:00:00+08:00, running = 180 }]
current_efficiency_ref = 0.93
current_efficiency_uncertainty = 0.02
feed_meter = "pots-2"
scale_meter = "scale-2"

[[branch]]
id = "tie-{n}"
n = "1-2"
kind = "grid_tie"
bus = "bus-{n}"
name = { en = "Grid tie {n}", zh = "{n}号进线" }
[[branch]]
id = "coupler"
kind = "coupler"
bus = "bus-1"
to_bus = "bus-2"
name = { en = "Bus coupler", zh = "母联" }
[[branch]]
id = "unit-1"
kind = "generator"
bus = "bus-1"
source = "captive_coal"
capacity_kw = 150000
name = { en = "Captive unit 1", zh = "自备1号机组" }
[[branch]]
id = "pv-1"
kind = "pv"
bus = "bus-1"
capacity_kw = 170000
name = { en = "PV east field", zh = "东区光伏" }
[[branch]]
id = "pv-2"
kind = "pv"
bus = "bus-2"
capacity_kw = 135000
name = { en = "PV west field", zh = "西区光伏" }
[[branch]]
id = "pv-3"
kind = "pv"
bus = "bus-2"
capacity_kw = 95000
name = { en = "PV on roofs and walls", zh = "屋顶与墙面光伏" }
[[branch]]
id = "battery"
kind = "storage"
bus = "bus-2"
capacity_kw = 60000
capacity_kwh = 120000
efficiency = 0.9
name = { en = "Battery", zh = "储能" }
[[branch]]
id = "rect-1-{n}"
n = "1-3"
kind = "rectifier_group"
bus = "bus-1"
potline = "line-1"
name = { en = "Rectifier 1-{n}", zh = "一系列{n}号整流机组" }
[[branch]]
id = "rect-2-{n}"
n = "1-2"
kind = "rectifier_group"
bus = "bus-2"
potline = "line-2"
name = { en = "Rectifier 2-{n}", zh = "二系列{n}号整流机组" }
[[branch]]
id = "fume-{n}"
n = "1-2"
kind = "feeder"
bus = "bus-{n}"
purpose = "fume_treatment"
serves = ["line-{n}"]
name = { en = "Fume treatment {n}", zh = "{n}号净化" }
[[branch]]
id = "desulphurisation"
kind = "feeder"
bus = "bus-1"
purpose = "desulphurisation"
serves = ["line-1", "line-2"]
name = { en = "Desulphurisation", zh = "脱硫" }
[[branch]]
id = "compressors"
kind = "feeder"
bus = "bus-2"
purpose = "compressed_air"
serves = ["line-1", "line-2"]
name = { en = "Compressor station", zh = "空压站" }
[[branch]]
id = "potroom-aux"
kind = "feeder"
bus = "bus-1"
purpose = "auxiliary"
serves = ["line-1", "line-2"]
name = { en = "Potroom cranes, water, lighting", zh = "电解车间动力照明" }
[[branch]]
id = "casthouse"
kind = "feeder"
bus = "bus-2"
purpose = "casthouse"
name = { en = "Casthouse", zh = "铸造车间" }

[[endpoint]]
id = "gateway-1"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = @gateway_1@
[[endpoint]]
id = "gateway-2"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = @gateway_2@
[[endpoint]]
id = "pv-1"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = @pv_1@
[[endpoint]]
id = "pv-2"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = @pv_2@
[[endpoint]]
id = "pv-3"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = @pv_3@
[[endpoint]]
id = "battery"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = @battery@
[[endpoint]]
id = "broker"
protocol = "mqtt"
host = "127.0.0.1"
port = @broker@
client_id = "potwatt-demo"
mqtt_version = @mqtt_version@
topics = ["smelter/#"]

# The settlement meters of the ties read the secondary side (CT 800/2, VT 220 kV / 100 V); the check meters read primary.
[[meter]]
id = "tie-{n}-main"
n = "1-2"
profile = "@ac_meter@"
endpoint = "gateway-1"
unit = "1{n}"
name = { en = "Tie {n}, settlement meter", zh = "{n}号进线主表" }
[meter.measures]
branch = "tie-{n}"
rated_power_kw = 400000
ct_ratio = 400
vt_ratio = 2200
class_percent = 0.2
register_step_kwh = 880
[[meter]]
id = "tie-{n}-check"
n = "1-2"
profile = "@ac_meter@"
endpoint = "gateway-1"
unit = "2{n}"
name = { en = "Tie {n}, check meter", zh = "{n}号进线副表" }
measures = { branch = "tie-{n}", rank = "check", rated_power_kw = 400000, class_percent = 0.5, register_step_kwh = 100 }
[[meter]]
id = "coupler-meter"
profile = "@ac_meter@"
endpoint = "gateway-1"
unit = 31
name = { en = "Bus coupler meter", zh = "母联电表" }
measures = { branch = "coupler", rated_power_kw = 300000, class_percent = 0.5 }
# The unit's meter was fitted with its arrow towards the busbar, so it counts generation as import.
[[meter]]
id = "unit-1-meter"
profile = "@ac_meter@"
endpoint = "gateway-1"
unit = 32
name = { en = "Captive unit meter", zh = "自备机组电表" }
measures = { branch = "unit-1", rated_power_kw = 150000, direction = "reverse", class_percent = 0.2 }
[[meter]]
id = "rect-1-{n}-ac"
n = "1-3"
profile = "@rectifier_ac@"
endpoint = "gateway-1"
unit = "4{n}"
name = { en = "Rectifier 1-{n}, AC", zh = "一系列{n}号整流交流表" }
measures = { branch = "rect-1-{n}", rated_power_kw = 90000, class_percent = 0.2 }
[[meter]]
id = "rect-1-{n}-dc"
n = "1-3"
profile = "@rectifier_dc@"
endpoint = "gateway-1"
unit = "5{n}"
name = { en = "Rectifier 1-{n}, DC", zh = "一系列{n}号整流直流表" }
measures = { branch = "rect-1-{n}", side = "dc", rated_power_kw = 90000, class_percent = 0.5 }
[[meter]]
id = "rect-2-{n}-ac"
n = "1-2"
profile = "@rectifier_ac@"
endpoint = "gateway-2"
unit = "4{n}"
name = { en = "Rectifier 2-{n}, AC", zh = "二系列{n}号整流交流表" }
measures = { branch = "rect-2-{n}", rated_power_kw = 100000, class_percent = 0.2 }
[[meter]]
id = "rect-2-{n}-dc"
n = "1-2"
profile = "@rectifier_dc@"
endpoint = "gateway-2"
unit = "5{n}"
name = { en = "Rectifier 2-{n}, DC", zh = "二系列{n}号整流直流表" }
measures = { branch = "rect-2-{n}", side = "dc", rated_power_kw = 100000, class_percent = 0.5 }
[[meter]]
id = "fume-1-meter"
profile = "@ac_meter@"
endpoint = "gateway-2"
unit = 61
name = { en = "Fume treatment 1", zh = "1号净化电表" }
measures = { branch = "fume-1", rated_power_kw = 5000 }
[[meter]]
id = "fume-2-meter"
profile = "@ac_meter@"
endpoint = "gateway-2"
unit = 62
name = { en = "Fume treatment 2", zh = "2号净化电表" }
measures = { branch = "fume-2", rated_power_kw = 5000 }
[[meter]]
id = "desulphurisation-meter"
profile = "@ac_meter@"
endpoint = "gateway-2"
unit = 63
name = { en = "Desulphurisation", zh = "脱硫电表" }
measures = { branch = "desulphurisation", rated_power_kw = 4000 }
[[meter]]
id = "compressors-meter"
profile = "@ac_meter@"
endpoint = "gateway-2"
unit = 64
name = { en = "Compressor station", zh = "空压站电表" }
measures = { branch = "compressors", rated_power_kw = 6000 }
[[meter]]
id = "casthouse-meter"
profile = "@ac_meter@"
endpoint = "gateway-2"
unit = 65
name = { en = "Casthouse", zh = "铸造电表" }
measures = { branch = "casthouse", rated_power_kw = 4000 }

# SunSpec: W > 0 and the growing WH are generation, against the sign of the plant.
[[meter]]
id = "pv-{n}-inverter"
n = "1-3"
profile = "@pv_inverter@"
endpoint = "pv-{n}"
name = { en = "PV inverter {n}", zh = "{n}号逆变器" }
measures = { branch = "pv-{n}", rated_power_kw = 170000, direction = "reverse", class_percent = 0.5 }
[[meter]]
id = "battery-meter"
profile = "@battery_profile@"
endpoint = "battery"
name = { en = "Battery converter", zh = "储能变流器" }
measures = { branch = "battery", rated_power_kw = 60000, class_percent = 0.5 }

[[meter]]
id = "potroom-aux-meter"
profile = "@feeder_meter@"
endpoint = "broker"
topic = "smelter/potroom-aux"
name = { en = "Potroom auxiliaries", zh = "电解车间动力电表" }
measures = { branch = "potroom-aux", rated_power_kw = 4000 }
[[meter]]
id = "scale-{n}"
n = "1-2"
profile = "@ladle_scale@"
endpoint = "broker"
topic = "smelter/scale-{n}"
silent_after_s = 7200
name = { en = "Ladle scale {n}", zh = "{n}号抬包秤" }
[[meter]]
id = "pots-{n}"
n = "1-2"
profile = "@pot_controller@"
endpoint = "broker"
topic = "smelter/pots-{n}"
name = { en = "Pot controllers, line {n}", zh = "{n}系列槽控机" }
[[meter]]
id = "weather"
profile = "@weather_station@"
endpoint = "broker"
topic = "smelter/weather"
name = { en = "Weather station", zh = "气象站" }

[process]
capacity = [{ potline = "line-1", t_per_y = 145000 }, { potline = "line-2", t_per_y = 98000 }]
ladle_max_kg = 12000

[accounting]
attribution = "proportional"
green_share_target_percent = 15.0
green_share_target_period = "any"

# Wind over the ties; the carbon-free share of the grid is an example, as no figure of the province is published.
[green]
non_hydro_contracted = "matched"
report_energy = { tie-1 = "statement" }
[[green.contract]]
id = "wind-farm"
source = "wind"
name_en = "Wind farm, green power trade"
name_zh = "风电场绿电交易"
[[green.grid_cfe]]
valid_from = 2020-01-01T00:00:00+08:00
percent = 30
document = "example, not a published figure"

[carbon]
ets_balance = [{ year = 2026, t_per_t = 1.62, document = "example, not a published figure" }]

[alerts]
anode_effect_minutes_max = 0.3

[outlook]
latitude_deg = 26.6
longitude_deg = 106.7
tilt_deg = 20

[api]
port = @api_port@
"""


def demo_site_toml(ports: Ports, *, api_port: int, data_dir: str = "", mqtt_version: Literal[4, 5] = 5) -> str:
    """Text of the demo's site file for ``plant.config.parse_site``; equal arguments give equal text, so the same edition."""
    values: Mapping[str, str] = {
        "data_dir": f"data_dir = {json.dumps(data_dir)}\n" if data_dir else "",
        "api_port": str(api_port),
        "mqtt_version": str(mqtt_version),
        "ac_meter": AC_METER,
        "rectifier_ac": RECTIFIER_AC,
        "rectifier_dc": RECTIFIER_DC,
        "pv_inverter": PV_INVERTER,
        "battery_profile": BATTERY,
        "ladle_scale": LADLE_SCALE,
        "weather_station": WEATHER_STATION,
        "pot_controller": POT_CONTROLLER,
        "feeder_meter": FEEDER_METER,
        **{name: str(getattr(ports, name)) for name in Ports.names()},
    }
    text = _SITE + TARIFF + SOLAR
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
