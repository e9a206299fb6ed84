"""How far a computation reaches: past readings that do not count, to the neighbours of amounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import NS, SmallPlant, meter_toml, small_plant

from plant import nodes
from plant.frame import FrameBlock
from plant.ports import Annotation
from plant.quality import Quality
from plant.series import QUARTER_NS, Span

HOUR_NS = 3600 * NS
MINUTE_NS = 60 * NS
START = 1_780_000_200 * NS // HOUR_NS * HOUR_NS
AC = ("active_power", "energy_import", "energy_export")
SITE = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "mill", kind = "feeder", bus = "b" },
]
""" + "".join(meter_toml(name, i, f'branch = "{name}", rated_power_kw = 2000') for i, name in enumerate(("tie", "mill"), 1))


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[SmallPlant]:
    async with small_plant(tmp_path, SITE, START, {"tie": AC, "mill": AC}) as found:
        yield found


async def _feed(plant: SmallPlant, meter: str, first: int, end: int, kw: float) -> None:
    t_ns = START + np.arange(first, end, dtype=np.int64) * MINUTE_NS
    register = 1e5 + (t_ns - START) / HOUR_NS * kw
    await plant.feed(meter, t_ns, active_power=np.full(len(t_ns), kw), energy_import=register, energy_export=np.zeros(len(t_ns)))


async def _import(plant: SmallPlant, first: int, end: int) -> list[float]:
    span = Span(START + first * QUARTER_NS, START + end * QUARTER_NS)
    block = await plant.store.read_derived("15m", [nodes.point("mill")], ["energy_import"], span)
    return [float(x) for x in block.column(nodes.point("mill"), "energy_import")[1]]


async def _restated(plant: SmallPlant, slot: int) -> list[float]:
    await plant.ledger.mark_dirty("p", nodes.point("mill"), [START + slot * QUARTER_NS])
    await plant.work()
    return await _import(plant, slot, slot + 1)


async def test_an_outage_that_ends_in_an_invalid_reading_is_still_bridged(plant: SmallPlant) -> None:
    await _feed(plant, "tie", 0, 241, 1000)
    await _feed(plant, "mill", 0, 30, 900)
    await _feed(plant, "mill", 200, 241, 900)
    for minute in (31, 32, 198):
        t_ns = np.array([START + minute * MINUTE_NS])
        bad = np.full((1, 3), int(Quality.INVALID), np.int16)
        await plant.store.write([FrameBlock("p", "x", AC, ("mill",), np.zeros(1, np.int32), t_ns, np.zeros((1, 3)), bad)])
    plant.clock.t_ns = START + 4 * HOUR_NS + 300 * NS
    await plant.work()
    assert await _import(plant, 3, 13) == pytest.approx([225.0] * 10)
    assert await _restated(plant, 3) == pytest.approx([225.0])
    assert await _restated(plant, 4) == pytest.approx([225.0])
    assert await _restated(plant, 12) == pytest.approx([225.0])


async def test_an_outage_that_ends_under_a_verdict_is_still_bridged(plant: SmallPlant) -> None:
    await _feed(plant, "tie", 0, 301, 1000)
    await _feed(plant, "mill", 0, 60, 900)
    await plant.feed("mill", START + np.arange(60, 90, dtype=np.int64) * MINUTE_NS, energy_import=np.full(30, 7e5))
    await _feed(plant, "mill", 240, 301, 900)
    over = Span(START + 60 * MINUTE_NS, START + 90 * MINUTE_NS)
    await plant.ledger.annotate([Annotation("p", "mill", "energy_import", over.start_ns, over.end_ns, "bad", "tests", "li")])
    plant.clock.t_ns = START + 5 * HOUR_NS + 300 * NS
    await plant.work()
    for slot in (8, 10, 14):
        assert await _restated(plant, slot) == pytest.approx([225.0])


async def test_hourly_amounts_are_the_same_slot_by_slot(plant: SmallPlant) -> None:
    t_ns = START + np.arange(12, dtype=np.int64) * HOUR_NS
    for meter in ("tie", "mill"):
        await plant.feed(meter, t_ns, interval_energy_import=np.arange(1, 13) * 400.0)
    plant.clock.t_ns = START + 12 * HOUR_NS + 300 * NS
    await plant.work()
    whole = await _import(plant, 0, 48)
    assert whole == pytest.approx(np.repeat(np.arange(1, 13) * 100.0, 4))
    for slot in (20, 25, 30, 35):
        assert await _restated(plant, slot) == pytest.approx(whole[slot : slot + 1])
