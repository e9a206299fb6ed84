"""Pots one by one through a real broker and the whole collector: every second in the store, every effect in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import numpy as np
from mosquitto_server import MosquittoServer
from real_servers import free_port

from plant.series import Span
from plant.site import PotState
from potwatt.clock import SystemClock
from potwatt.load import load_text
from potwatt.program import Program
from simulators.noise import NS_PER_S
from simulators.pots import PotFeed, effect_publications, pot_publications
from simulators.smelter import SmelterModel

SITE = """
[plant]
id = "pots"
name = {{ en = "Pots", zh = "电解" }}
zone = "Asia/Shanghai"
data_dir = "plant"

[[bus]]
id = "main"
[[branch]]
id = "tie"
kind = "grid_tie"
bus = "main"

[[potline]]
id = "line-1"
effect_meter = "effects-1"
pot_meter = "pot-1-{{pot}}"
[[potline.pots]]
valid_from = 2026-01-01T00:00:00+08:00
running = {pots}

[[endpoint]]
id = "broker"
protocol = "mqtt"
host = "127.0.0.1"
port = {broker}

[[meter]]
n = "1-{pots}"
id = "pot-1-{{n}}"
profile = "sim_pot"
endpoint = "broker"
topic = "line-1/pot/{{n}}"

[[meter]]
id = "effects-1"
profile = "sim_anode_effects"
endpoint = "broker"
topic = "line-1/effects"

[api]
port = {api}
"""
SECONDS = 20


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that has to come; the bound only keeps a broken test from hanging."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (conditions are on what real servers have caused)
            await asyncio.sleep(0.05)


async def test_every_second_of_every_pot_and_every_effect_arrives(tmp_path: Path) -> None:
    model = SmelterModel(3)
    line = model.parameters.lines[0]
    feed = PotFeed(model, line)
    now_ns = SystemClock().now_ns() // NS_PER_S * NS_PER_S
    span = Span(now_ns - SECONDS * NS_PER_S, now_ns)
    effects_span = Span(now_ns - 2 * 86_400 * NS_PER_S, now_ns)
    broker = MosquittoServer(tmp_path / "broker")
    broker.start()
    text = SITE.format(pots=feed.pots, broker=broker.port, api=free_port())
    program = Program(load_text(text, "site", tmp_path), {})
    await program.start()
    running = asyncio.create_task(program.run())
    try:
        await until(lambda: any(h.part == "broker:broker" and h.state == "ok" for h in program.health.all()))
        pots = pot_publications(feed, "line-1/pot/{}".format, span)
        effects = effect_publications(feed, "line-1/effects", effects_span)
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            for publication in [*pots, *effects, effects[0]]:  # an event told twice is one event
                await client.publish(publication.topic, publication.payload, qos=1)
        await _stored(program, feed, span)
        await _told(program, feed, effects_span)
        assert program.site.potlines["line-1"].pot_of("pot-1-17") == 17
        latest = program.bus.latest()["pot-1-17"].value
        assert latest["pot_state"] in set(PotState)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await program.stop()
        broker.stop()


async def _stored(program: Program, feed: PotFeed, span: Span) -> None:
    meters = [f"pot-1-{pot}" for pot in range(1, feed.pots + 1)]
    async with asyncio.timeout(60):
        while sum((await program.store.count(meters)).values()) < 2 * SECONDS * feed.pots:  # noqa: ASYNC110 (a store)
            await asyncio.sleep(0.2)
    t_ns = np.arange(span.start_ns, span.end_ns, NS_PER_S, dtype=np.int64)
    expected = np.round(feed.voltages(t_ns), 3)
    for pot in (1, 17, feed.pots):
        series = await program.store.read(f"pot-1-{pot}", "pot_voltage", span)
        assert series.t_ns.tolist() == t_ns.tolist()
        np.testing.assert_allclose(series.value, expected[:, pot - 1], atol=1e-9)
        assert not series.quality.any()


async def _told(program: Program, feed: PotFeed, span: Span) -> None:
    expected = {e.id: e for e in feed.ended_effects(span)}
    assert len(expected) > 5
    entries = []
    async with asyncio.timeout(60):
        while len(entries) < len(expected):
            entries = await program.ledger.entries("pots", ["anode_effect"], Span(span.start_ns - 3600 * NS_PER_S, span.end_ns))
            await asyncio.sleep(0.1)
    assert {e.key for e in entries} == set(expected)
    for entry in entries:
        effect = expected[entry.key]
        assert (entry.subject, entry.source, entry.amount, entry.unit) == ("line-1", "effects-1", effect.duration_s, "s")
        assert (entry.start_ns, entry.end_ns) == (effect.start_ns, effect.start_ns + effect.duration_s * NS_PER_S)
        assert entry.data == {"pot": effect.pot, "peak_voltage_v": effect.peak_v}
