"""A killed program beside an undisturbed twin that hears the same messages: the same 15-min energies, to the last digit."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mosquitto_server import MosquittoServer
from real_servers import free_port

from plant import nodes
from plant.series import QUARTER_NS, Span
from potwatt.imports import opened
from potwatt.load import load_site
from potwatt.selftest.publisher import Publisher, Sent
from potwatt.selftest.watch import is_subscribed, stored_numbers
from potwatt.selftest.writer import Writer

HOURS, STEP_S = 6, 10
KILLS = 4
T0_MS = 1_795_000_000_000 // 900_000 * 900_000
SITE = """
[plant]
id = "selftest"
name = {{ en = "Twin" }}
data_dir = "data"
[[bus]]
id = "bus-1"
[[branch]]
id = "tie"
kind = "grid_tie"
bus = "bus-1"
[[branch]]
id = "load"
kind = "feeder"
bus = "bus-1"
purpose = "auxiliary"
[api]
port = {api}
[[endpoint]]
id = "broker"
protocol = "mqtt"
host = "127.0.0.1"
port = {broker}
client_id = "{name}"
[[meter]]
id = "tie-meter"
profile = "sim_feeder_mqtt"
endpoint = "broker"
topic = "potwatt-selftest/tie-meter"
measures = {{ branch = "tie" }}
[[meter]]
id = "load-meter"
profile = "sim_feeder_mqtt"
endpoint = "broker"
topic = "potwatt-selftest/load-meter"
measures = {{ branch = "load" }}
"""
METERS = ["tie-meter", "load-meter"]
FIELDS = ["energy_import", "energy_import_low", "energy_import_high", "active_power", "completeness", "measured_share"]


@dataclass(frozen=True)
class Twin:
    writer: Writer
    api: str

    @staticmethod
    def of(folder: Path, name: str, broker: int) -> Twin:
        (folder / name).mkdir()
        site, port = folder / name / "site.toml", free_port()
        site.write_text(SITE.format(api=port, broker=broker, name=name))
        return Twin(Writer(site, folder / name / "log"), f"http://127.0.0.1:{port}")

    async def ready(self) -> None:
        while not await asyncio.to_thread(is_subscribed, self.api):
            self.writer.expect_alive()
            await asyncio.sleep(0.1)

    async def caught_up(self, publisher: Publisher) -> None:
        for number in range(len(publisher.sent) - len(METERS), len(publisher.sent)):
            last = publisher.sent[number]
            while number not in await asyncio.to_thread(self._numbers, last):
                self.writer.expect_alive()
                await asyncio.sleep(0.2)

    def _numbers(self, sent: Sent) -> list[int]:
        try:
            return stored_numbers(self.api, sent.meter, sent.t_ms)
        except OSError:
            return []


async def test_a_killed_program_computes_what_its_twin_does(tmp_path: Path, mosquitto: MosquittoServer) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    twins = [Twin.of(tmp_path, name, mosquitto.port) for name in ("killed", "undisturbed")]
    publisher = Publisher(mosquitto.port, METERS, 0.0, f"twin-meters-{os.getpid()}")
    delivering = asyncio.create_task(publisher.deliver())
    try:
        for twin in twins:
            twin.writer.start()
        for twin in twins:
            await twin.ready()
        making = asyncio.create_task(make(publisher))
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.5, 3.0))
            await twins[0].writer.kill()
            twins[0].writer.start()
        await asyncio.wait_for(making, 120)
        for twin in twins:
            await asyncio.wait_for(twin.caught_up(publisher), 120)
            await twin.writer.stop()
    finally:
        delivering.cancel()
        for twin in twins:
            await twin.writer.discard()
    killed, undisturbed = [await energies(twin.writer.site) for twin in twins]
    assert np.isfinite(undisturbed["point:tie-meter"][:, 0]).sum() >= HOURS * 4 - 1
    for node, wanted in undisturbed.items():
        np.testing.assert_array_equal(killed[node], wanted, err_msg=node)


async def make(publisher: Publisher) -> None:
    """Half a day of plant time within seconds, in step for both meters."""
    for step in range(HOURS * 3600 // STEP_S):
        for meter in METERS:
            publisher.offer(meter, T0_MS + step * STEP_S * 1000)
        if step % 10 == 9:
            await asyncio.sleep(0.04)


async def energies(site: Path) -> dict[str, np.ndarray]:
    """Stored figures by node, a row a 15-min interval, everything settled and computed."""
    loaded = load_site(site)
    wanted = [nodes.PLANT, *(nodes.point(p) for p in loaded.site.points)]
    span = Span(T0_MS * 1_000_000, T0_MS * 1_000_000 + HOURS * 4 * QUARTER_NS)
    async with opened(loaded, {}) as at:
        while await at.analytics.step():
            pass
        block = await at.store.read_derived("15m", wanted, FIELDS, span)
    found = {}
    for node in wanted:
        columns = [block.column(node, name) for name in FIELDS]
        found[node] = np.column_stack([value for _, value in columns])
    return found
