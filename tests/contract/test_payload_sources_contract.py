"""Payload formats through a real broker and both MQTT clients: from what a device publishes to blocks in canonical units."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import aiomqtt
import pytest
from mosquitto_server import MosquittoServer

from collector.mqtt import MqttSource
from collector.quarantine import Quarantine
from devices.catalog import shipped_profiles
from devices.payload import message
from devices.sparkplug import REBIRTH
from devices.sparkplug_wire import decode
from plant.frame import FrameBlock
from plant.site import Endpoint, Meter
from potwatt.board import Board
from potwatt.clock import SystemClock
from simulators.mqtt_publisher import payloads
from simulators.sparkplug_node import EdgeNode, Sent

PROFILES = shipped_profiles()
EDGE, VALUE, CSV = "sim_edge_sparkplug", "sim_sub_meter_value", "sim_logger_csv"
METERS = (
    Meter("edge", EDGE, "b", topic="spBv1.0/smelter/DDATA/bus-1/m-1"),
    Meter("sub", VALUE, "b", topic="plant/sub"),
    Meter("logger", CSV, "b", topic="plant/logger"),
)
T_MS = 1_795_000_000_000
WAIT_S = 15.0


class Kept:
    """Values by meter, quantity and instant (ms)."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, int], float] = {}

    async def __call__(self, blocks: list[FrameBlock]) -> None:
        for block in blocks:
            for row in range(len(block)):
                for column, name in enumerate(block.quantities):
                    key = (block.meter_of(row), name, int(block.t_ns[row]) // 10**6)
                    self.values[key] = float(block.value[row, column])

    def of(self, meter: str) -> dict[str, list[float]]:
        """Values by quantity in order of time."""
        found: dict[str, list[float]] = {}
        for (who, name, _), value in sorted(self.values.items()):
            if who == meter:
                found.setdefault(name, []).append(value)
        return found


async def until(kept: Kept, meter: str, expected: dict[str, list[float]]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S):
            while kept.of(meter) != expected:  # noqa: ASYNC110 - the condition is the sink's
                await asyncio.sleep(0.02)
    assert kept.of(meter) == expected


@pytest.mark.parametrize("version", [5, 4], ids=["mqtt5-fast", "mqtt311-aiomqtt"])
async def test_every_format_arrives_and_a_missing_birth_is_asked_for(
    version: int, mosquitto: MosquittoServer, tmp_path: Path
) -> None:
    kept, board, clock, gone = Kept(), Board(), SystemClock(), list[str]()
    endpoint = Endpoint(
        "b", "mqtt", "127.0.0.1", mosquitto.port, timeout_s=5.0, mqtt_version=version, sparkplug_rebirth="request"
    )
    source = MqttSource(
        endpoint,
        METERS,
        PROFILES,
        plant="smelter",
        sink=kept,
        quarantine=Quarantine(tmp_path / "quarantine", clock, board),
        clock=clock,
        health=board,
        secrets={},
        state_dir=tmp_path / "state",
        folder=tmp_path,
        tell_gone=gone.extend,
    )
    edge_map = PROFILES[EDGE].mqtt
    assert edge_map is not None
    node = EdgeNode("smelter", "bus-1", {"m-1": edge_map})
    task = asyncio.create_task(source.run())
    try:
        async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
            await client.subscribe("spBv1.0/smelter/NCMD/bus-1", qos=1)

            async def send(*sent: Sent) -> None:
                for one in sent:
                    await client.publish(one.topic, one.payload, qos=1)

            async with asyncio.timeout(WAIT_S):
                while not any(h.part == "broker:b" and h.detail.startswith("connected") for h in board.all()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            node.connect()
            node.births(T_MS, {"m-1": (0.0, 0.0, 0.0)})  # which the collector never sees
            await send(node.data("m-1", T_MS + 1, (1.0, 10.0, 5.0)))
            async with asyncio.timeout(WAIT_S):
                asked = decode(bytes((await anext(aiter(client.messages))).payload))  # type: ignore[arg-type]
            assert [(m.name, m.value) for m in asked.metrics] == [(REBIRTH, True)]
            await send(*node.births(T_MS + 2, {"m-1": (2.0, 20.0, 5.0)}), node.data("m-1", T_MS + 3, (3.0, 30.0, 5.0)))
            expected = {"active_power": [2.0, 3.0], "energy_import": [20.0, 30.0], "energy_export": [5.0, 5.0]}
            await until(kept, "edge", expected)
            await send(node.death("m-1"))
            async with asyncio.timeout(WAIT_S):
                while gone != ["edge"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

            for meter, values in (
                ("sub", {"active_power": 7.5, "frequency": 50.01}),
                ("logger", {"active_power": 8.25, "energy_import": -1.0}),
            ):
                map_ = PROFILES[next(m.profile for m in METERS if m.id == meter)].mqtt
                assert map_ is not None
                for suffix, payload in payloads(map_, message(map_, values, T_MS * 10**6, sequence=1)):
                    await client.publish(f"plant/{meter}{suffix}", payload, qos=1)
            await until(kept, "sub", {"active_power": [7.5], "frequency": [50.01]})
            await until(kept, "logger", {"active_power": [8.25], "energy_import": [-1.0]})
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
