"""The simulated devices as a client sees them: real TCP servers, a real broker, real messages."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from real_servers import free_port, program

from devices.codec import decode
from devices.image import base_address
from devices.payload import read
from devices.plan import plan_reads
from plant.errors import InputError, TransportError
from plant.series import Span
from simulators import broker as broker_module
from simulators.broker import EmbeddedBroker, MosquittoBroker
from simulators.modbus_server import UnitMode
from simulators.plant import SimulatedPlant
from simulators.ports import port_is_free

SECOND = 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "plant"


@pytest.fixture
async def plant(folder: Path, stepped_clock: Any) -> AsyncIterator[SimulatedPlant]:
    program("mosquitto")
    plant = SimulatedPlant(5, folder, stepped_clock)
    await plant.start()
    yield plant
    await plant.stop()


async def connected(port: int) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=0.5, retries=0)
    assert await client.connect()
    return client


async def poll(plant: SimulatedPlant, meter_id: str) -> np.ndarray:
    """Read a meter over TCP as its profile says: values float64[k]."""
    meter, profile = plant.site.meters[meter_id], plant.readings.profile(meter_id)
    assert profile.modbus is not None
    client = await connected(plant.site.endpoints[meter.endpoint].port)
    try:
        words: list[int] = []
        for request in plan_reads(profile.modbus, base_address(profile)):
            ask = client.read_input_registers if request.table == "input" else client.read_holding_registers
            answer = await ask(request.address, count=request.count, device_id=meter.unit)
            assert not answer.isError(), answer
            words += answer.registers
    finally:
        client.close()
    return decode(profile, np.array([words], np.uint16))[0][0]


async def test_every_modbus_meter_answers_with_its_reading(plant: SimulatedPlant, stepped_clock: Any) -> None:
    asked = 0
    for meter in plant.site.meters.values():
        profile = plant.readings.profile(meter.id)
        if profile.modbus is None:
            continue
        asked += 1
        got = await poll(plant, meter.id)
        snapshot = plant.readings.snapshot(np.array([stepped_clock.now_ns()]))
        np.testing.assert_array_equal(got, decode(profile, plant.readings.words(meter.id, snapshot))[0][0], err_msg=meter.id)
    assert asked == 25


async def test_registers_move_with_the_clock(plant: SimulatedPlant, stepped_clock: Any) -> None:
    column = plant.readings.profile("rect-1-1-ac").quantities.index("energy_import")
    before = (await poll(plant, "rect-1-1-ac"))[column]
    stepped_clock.t_ns += 3600 * SECOND
    assert (await poll(plant, "rect-1-1-ac"))[column] - before == pytest.approx(72_000.0, rel=0.1)


async def test_the_inverter_is_a_sunspec_device(plant: SimulatedPlant) -> None:
    client = await connected(plant.ports.pv_2)
    words = (await client.read_holding_registers(40_000, count=124, device_id=1)).registers
    client.close()
    assert words[:4] == [0x5375, 0x6E53, 1, 66]
    assert words[70:72] == [103, 50]
    assert words[122:124] == [0xFFFF, 0]


async def test_what_is_not_in_the_map_is_refused(plant: SimulatedPlant) -> None:
    client = await connected(plant.ports.gateway_1)
    beyond = await client.read_input_registers(9_000, count=2, device_id=11)
    wrong_table = await client.read_holding_registers(14, count=2, device_id=11)
    written = await client.write_register(14, 1, device_id=11)
    client.close()
    assert [answer.exception_code for answer in (beyond, wrong_table, written)] == [2, 1, 1]


async def test_a_unit_that_nobody_has_stays_silent(plant: SimulatedPlant, caplog: pytest.LogCaptureFixture) -> None:
    client = await connected(plant.ports.gateway_1)
    with pytest.raises(ModbusIOException):
        await client.read_input_registers(0, count=2, device_id=99)
    client.close()
    assert "Datastore" not in caplog.text


async def test_units_fail_alone(plant: SimulatedPlant, stepped_clock: Any) -> None:
    plant.set_mode("tie-1-main", UnitMode.SILENT)
    plant.set_mode("tie-2-main", UnitMode.REFUSING)
    plant.set_mode("coupler-meter", UnitMode.NONSENSE)
    client = await connected(plant.ports.gateway_1)
    with pytest.raises(ModbusIOException):
        await client.read_input_registers(0, count=2, device_id=11)
    refused = await client.read_input_registers(0, count=2, device_id=12)
    assert refused.exception_code == 11
    identity = await client.read_input_registers(0, count=2, device_id=31)
    assert identity.registers != [20567, 1]
    sound = await client.read_input_registers(0, count=2, device_id=21)
    assert sound.registers == [20567, 1]
    plant.set_mode("coupler-meter", UnitMode.SOUND)
    mended = await client.read_input_registers(0, count=2, device_id=31)
    assert mended.registers == [20567, 1]
    client.close()


async def test_a_frozen_unit_keeps_its_last_answer(plant: SimulatedPlant, stepped_clock: Any) -> None:
    before = await poll(plant, "fume-1-meter")
    plant.set_mode("fume-1-meter", UnitMode.FROZEN)
    stepped_clock.t_ns += 600 * SECOND
    np.testing.assert_array_equal(await poll(plant, "fume-1-meter"), before)


async def test_publishers_tell_readings_and_each_tap_once(plant: SimulatedPlant, stepped_clock: Any) -> None:
    began = stepped_clock.now_ns()
    expected = plant.readings.taps("scale-1", Span(began + 1, began + 3600 * SECOND)).event_ids
    assert expected
    heard: dict[str, list[Any]] = {}
    async with aiomqtt.Client("127.0.0.1", plant.ports.broker) as client, asyncio.timeout(20):
        await client.subscribe("smelter/#", qos=1)
        stepped_clock.t_ns += 3600 * SECOND
        async for message in client.messages:
            heard.setdefault(str(message.topic), []).append(json.loads(message.payload))
            if (
                expected[-1] in {tap["id"] for tap in heard.get("smelter/scale-1", [])}
                and len(heard.get("smelter/pots-2", [])) > 10
            ):
                break
    scale, pots = plant.readings.profile("scale-1").mqtt, plant.readings.profile("pots-2").mqtt
    assert scale is not None and pots is not None
    told = [read(scale, document).event_id for document in heard["smelter/scale-1"]]
    assert len(set(told)) == len(told)
    # the hour before the start is told too, perhaps before anybody listened
    assert tuple(told[-len(expected) :]) == expected
    messages = [read(pots, document) for document in heard["smelter/pots-2"]]
    assert all(176 <= m.values[0] <= 180 and 3.8 < m.values[1] < 4.4 for m in messages)
    sequences = [m.sequence for m in messages if m.sequence is not None]
    assert np.all(np.diff(sequences) == 1)
    assert all(m.t_ns == m.sequence * SECOND for m in messages if m.sequence is not None)


async def test_the_publisher_comes_back_after_the_broker(plant: SimulatedPlant, stepped_clock: Any) -> None:
    await plant.broker.stop()
    stepped_clock.t_ns += 5 * SECOND
    await asyncio.sleep(0.3)
    await plant.broker.start()
    async with aiomqtt.Client("127.0.0.1", plant.ports.broker) as client, asyncio.timeout(20):
        await client.subscribe("smelter/weather", qos=1)
        for _ in range(200):
            stepped_clock.t_ns += SECOND
            try:
                await asyncio.wait_for(anext(aiter(client.messages)), 0.2)
            except TimeoutError:
                continue
            return
    pytest.fail("nothing was published after the broker came back")


async def test_a_second_start_finds_the_same_plant(folder: Path, stepped_clock: Any) -> None:
    program("mosquitto")
    first = SimulatedPlant(5, folder, stepped_clock)
    await first.start()
    await first.stop()
    text, before = (
        first.site_toml(api_port=8000),
        first.readings.reading_columns("tie-1-check", np.array([stepped_clock.now_ns()])),
    )
    stepped_clock.t_ns += 7200 * SECOND
    second = SimulatedPlant(5, folder, stepped_clock)
    assert second.site_toml(api_port=8000) == text
    after = second.readings.reading_columns("tie-1-check", np.array([stepped_clock.now_ns()]))
    column = second.readings.profile("tie-1-check").quantities.index("energy_import")
    assert after[0, column] - before[0, column] > 1_000.0
    with pytest.raises(InputError, match="seed 5"):
        SimulatedPlant(6, folder, stepped_clock)


def test_a_broken_state_file_is_named(folder: Path, stepped_clock: Any) -> None:
    folder.mkdir()
    (folder / "simulated-plant.json").write_text("{")
    with pytest.raises(InputError, match=r"simulated-plant\.json"):
        SimulatedPlant(5, folder, stepped_clock)


async def test_a_taken_port_is_named_and_nothing_is_left_running(folder: Path, stepped_clock: Any) -> None:
    program("mosquitto")
    plant = SimulatedPlant(5, folder, stepped_clock)
    blocker = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", plant.ports.pv_3)
    with pytest.raises(TransportError, match=f"127.0.0.1:{plant.ports.pv_3}"):
        await plant.start()
    blocker.close()
    await blocker.wait_closed()
    for port in (plant.ports.gateway_1, plant.ports.broker):
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)
    await plant.stop()


async def test_without_mosquitto_the_embedded_broker_carries_the_messages(
    folder: Path, stepped_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "_PATH", "/nonexistent")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert shutil.which("mosquitto") is None
    plant = SimulatedPlant(5, folder, stepped_clock)
    assert isinstance(plant.broker, EmbeddedBroker)
    assert "mqtt_version = 4" in plant.site_toml(api_port=8000)
    await plant.start()
    try:
        async with (
            aiomqtt.Client("127.0.0.1", plant.ports.broker, protocol=aiomqtt.ProtocolVersion.V311) as client,
            asyncio.timeout(10),
        ):
            await client.subscribe("smelter/weather", qos=1)
            stepped_clock.t_ns += 5 * SECOND
            message = await anext(aiter(client.messages))
            assert "irradiance" in json.loads(message.payload)
    finally:
        await plant.stop()


async def test_mosquitto_on_a_taken_port_says_so(tmp_path: Path) -> None:
    path = program("mosquitto")
    blocker = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = blocker.sockets[0].getsockname()[1]
    broker = MosquittoBroker(path, port, tmp_path)
    with pytest.raises(TransportError, match=str(port)):
        await broker.start()
    await broker.stop()
    blocker.close()
    await blocker.wait_closed()


STARTS_A_BROKER = """
import asyncio, sys
from pathlib import Path
from simulators.broker import MosquittoBroker

async def main():
    await MosquittoBroker(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])).start()
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's word to the child is Linux's")
async def test_mosquitto_ends_with_a_program_that_was_killed(tmp_path: Path) -> None:
    path, port = program("mosquitto"), free_port()
    command = [sys.executable, "-c", STARTS_A_BROKER, path, str(port), str(tmp_path)]
    killed = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"started\n"
    killed.kill()
    await killed.wait()
    async with asyncio.timeout(20):
        while not port_is_free(port):  # noqa: ASYNC110 - another process frees it
            await asyncio.sleep(0.05)
    # and what comes next has the port and the folder for itself
    following = MosquittoBroker(path, port, tmp_path)
    await following.start()
    await following.stop()
