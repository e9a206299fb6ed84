"""Looking at an MQTT meter beside its collector, against a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest
from mosquitto_server import MosquittoServer

from collector.look import Message, messages
from devices.catalog import shipped_profiles
from plant.site import Endpoint, Meter
from potwatt.clock import SystemClock
from simulators.sparkplug_node import EdgeNode, Sent

PROFILES = shipped_profiles()
PROFILE = PROFILES["sim_feeder_mqtt"]
METER = Meter("f-1", PROFILE.id, "broker", topic="plant/f-1")
GOOD = b'{"ts": 1795147200250, "seq": 7, "p_kw": 812.25, "e_imp_kwh": 1234567.8, "e_exp_kwh": 0.0}'


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoServer]:
    server = MosquittoServer(tmp_path / "mosquitto", "sys_interval 1")
    server.start()
    yield server
    server.stop()


async def looked_at(server: MosquittoServer, folder: Path, payloads: list[bytes]) -> list[Message]:
    return await looked_at_meter(server, folder, METER, [Sent(METER.topic, payload) for payload in payloads], len(payloads))


async def looked_at_meter(server: MosquittoServer, folder: Path, meter: Meter, sent: list[Sent], count: int) -> list[Message]:
    """The first ``count`` messages shown of those sent."""
    endpoint = Endpoint("broker", "mqtt", "127.0.0.1", server.port, 5.0, client_id="collector", topics=("plant/#",))
    profile = PROFILES[meter.profile]
    stream = messages(endpoint, meter, profile, plant="p", clock=SystemClock(), secrets={}, folder=folder)
    seen: list[Message] = []

    async def look() -> None:
        async for message in stream:
            seen.append(message)
            if len(seen) == count:
                return

    async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", server.port) as client:
        looking = asyncio.create_task(look())
        while await clients(client, "connected") < 2:  # noqa: ASYNC110 (the broker tells it in no other way)
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)  # its subscription follows its connection
        for one in sent:
            await client.publish(one.topic, one.payload, qos=1)
        await looking
        await stream.aclose()
    return seen


async def clients(client: aiomqtt.Client, kind: str) -> int:
    topic = f"$SYS/broker/clients/{kind}"
    await client.subscribe(topic)
    async for message in client.messages:
        if str(message.topic) == topic:
            assert isinstance(message.payload, bytes)
            await client.unsubscribe(topic)
            return int(message.payload)
    raise AssertionError("unreachable")


async def test_payload_and_values_are_shown_and_what_cannot_be_read_is_named(broker: MosquittoServer, tmp_path: Path) -> None:
    bad, good = await looked_at(broker, tmp_path, [b"{not json", GOOD])
    assert not bad.blocks
    assert "f-1" in bad.refused
    assert good.payload == GOOD
    assert dict(zip(good.blocks[0].quantities, good.blocks[0].value[0].tolist(), strict=True))["active_power"] == 812.25
    assert not good.refused


async def test_a_meter_behind_an_edge_node_is_shown_from_its_birth_on(broker: MosquittoServer, tmp_path: Path) -> None:
    edge_map = PROFILES["sim_edge_sparkplug"].mqtt
    assert edge_map is not None
    node = EdgeNode("g", "n", {"d": edge_map, "other": edge_map})
    meter = Meter("e-1", "sim_edge_sparkplug", "broker", topic="spBv1.0/g/DDATA/n/d")
    node.connect()
    born = {"d": (1.0, 10.0, 5.0), "other": (7.0, 7.0, 7.0)}
    missed = node.births(1_795_147_200_000, born)
    assert missed
    sent = [node.data("d", 1_795_147_200_001, (2.0, 20.0, 5.0)), *node.births(1_795_147_200_002, born)]
    sent.append(node.data("d", 1_795_147_200_003, (3.0, 30.0, 5.0)))
    unborn, birth, data = await looked_at_meter(broker, tmp_path, meter, sent, 3)
    assert "no birth was seen" in unborn.refused
    assert birth.topic == "spBv1.0/g/DBIRTH/n/d"
    assert [block.value[0, 0] for block in data.blocks] == [3.0]


async def test_the_broker_keeps_nothing_of_who_only_looked(broker: MosquittoServer, tmp_path: Path) -> None:
    await looked_at(broker, tmp_path, [GOOD])
    await asyncio.sleep(2.2)  # the broker counts once a second
    async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", broker.port) as client:
        assert await clients(client, "disconnected") == 0
