"""What the processes of the kill test agree on: meters, topics, endpoints, times."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from devices.catalog import shipped_profiles
from plant.calendar import PlantCalendar
from plant.site import Endpoint, Meter, Potline, Site

PLANT = "smelter"
T0_NS = 1_795_000_000_000_000_000
PROFILES = shipped_profiles()
FEEDER, SCALE = "sim_feeder_mqtt", "sim_ladle_scale"
POLLED = "sim_rectifier_dc_meter"
FEEDER_TOPIC, SCALE_TOPIC = "plant/feeder", "plant/scale"
TAP_EVERY = 25


def site(broker_port: int, gateway_port: int) -> Site:
    """Two polled meters, a feeder and a ladle scale behind a broker, one potline."""
    meters = [
        Meter("dc-1", POLLED, "gateway", unit=1, poll_interval_s=0.1),
        Meter("dc-2", POLLED, "gateway", unit=2, poll_interval_s=0.1),
        Meter("feeder", FEEDER, "broker", topic=FEEDER_TOPIC),
        Meter("scale", SCALE, "broker", topic=SCALE_TOPIC),
    ]
    return Site(
        id=PLANT,
        title_en=PLANT,
        title_zh=PLANT,
        enterprise="",
        province="guizhou",
        calendar=PlantCalendar(ZoneInfo("Asia/Shanghai")),
        data_dir="",
        edition="1",
        buses=(),
        bus_voltage_kv={},
        branches={},
        points={},
        potlines={"p1": Potline("p1", "Line 1", "一系列", (), 0.93, 0.02, scale_meter="scale")},
        endpoints={
            "gateway": Endpoint("gateway", "modbus_tcp", "127.0.0.1", gateway_port, timeout_s=0.5),
            "broker": Endpoint("broker", "mqtt", "127.0.0.1", broker_port, timeout_s=5.0, client_id="potwatt-kill-test"),
        },
        meters={m.id: m for m in meters},
    )
