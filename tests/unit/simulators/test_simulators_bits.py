"""A simulated device with coils and discrete inputs beside its registers, read by the collector's own line."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from real_servers import free_port

from collector.modbus_line import ModbusLine
from collector.polled import Station
from devices.catalog import profiles_from_texts
from devices.codec import decode, encode
from devices.dialogue import MeterAddress, Refused
from devices.maps import Profile
from devices.plan import ReadRequest, plan_reads
from plant.site import Endpoint, Meter
from simulators.modbus_server import SimulatedGateway, UnitMode

TEXT = """
[profile]
id = "switchgear"
title = "Switchgear with states as bits"
kind = "meter"
source = "this test"
[modbus]
table = "coil"
points = [
  { name = "operating_state", at = 37, type = "bit", unit = "1" },
  { name = "active_power", at = 3, type = "int16", unit = "kW", table = "input" },
  { name = "pots_running", at = 5, type = "bit", unit = "1", table = "discrete" },
]
[[golden]]
origin = "by hand"
words = { "coil/37" = 1, "input/3" = 65526, "discrete/5" = 0 }
expect = { operating_state = 1, active_power = -10, pots_running = 0 }
"""


class Reading:
    """What the simulator asks of ``simulators.readings.Readings``, with one row of values."""

    def __init__(self, profile: Profile, values: list[float]) -> None:
        self._profile, self.values = profile, values

    def profile(self, meter_id: str) -> Profile:
        return self._profile

    def snapshot(self, t_ns: Any) -> None:
        return None

    def words(self, meter_id: str, snapshot: None) -> Any:
        return encode(self._profile, np.array([self.values]))


class Clock:
    """Stands still until it is moved."""

    t_ns = 10**18

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a simulated device does not wait")


@pytest.mark.parametrize("mode", [UnitMode.SOUND, UnitMode.FROZEN])
async def test_all_tables_of_a_device_are_served(mode: UnitMode) -> None:
    profile = profiles_from_texts({"switchgear.toml": TEXT})["switchgear"]
    readings, clock = Reading(profile, [1.0, -10.0, 0.0]), Clock()
    endpoint = Endpoint("g", "modbus_tcp", "127.0.0.1", free_port())
    gateway = SimulatedGateway(endpoint, [Meter("m", "switchgear", "g", unit=7)], cast("Any", readings), clock)
    await gateway.start()
    line, station = ModbusLine(endpoint), Station(MeterAddress("m", "unit 7"), 7)

    async def polled() -> list[float]:
        words: list[int] = []
        assert profile.modbus is not None
        for request in plan_reads(profile.modbus):
            answer = await line.ask(request, station)
            assert not isinstance(answer, Refused)
            words += answer
        value: list[float] = decode(profile, np.array([words], np.uint16))[0][0].tolist()
        return value

    try:
        await line.connect()
        assert await polled() == [1.0, -10.0, 0.0]
        gateway.set_mode("m", mode)
        readings.values, clock.t_ns = [0.0, 25.0, 1.0], clock.t_ns + 10**9
        assert await polled() == ([0.0, 25.0, 1.0] if mode is UnitMode.SOUND else [1.0, -10.0, 0.0])
        assert isinstance(await line.ask(ReadRequest("input", 900, 1), station), Refused)
        assert isinstance(await line.ask(ReadRequest("holding", 3, 1), station), Refused)
    finally:
        line.close()
        await gateway.stop()
