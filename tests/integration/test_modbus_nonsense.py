"""Meters that begin to answer nonsense, on real servers: seen by their identity or by their limits, and forgiven afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collector.gather import Gatherer
from collector.modbus import ModbusCollector, ModbusDialect
from collector.polled import ASK_AGAIN_NS, Doubt, PolledMeter
from devices.catalog import shipped_profiles
from devices.dialogue import Introduction
from plant.frame import FrameBlock
from plant.ports import Health
from plant.site import Meter
from potwatt.board import Board
from potwatt.clock import SystemClock
from simulators.modbus_server import UnitMode
from simulators.plant import SimulatedPlant

PROFILES = shipped_profiles()


async def discard(blocks: list[FrameBlock]) -> None:
    """A sink that takes everything."""


@asynccontextmanager
async def polled(folder: Path, meter_id: str, *, checks_identity: bool = True) -> AsyncIterator[tuple[SimulatedPlant, Board]]:
    """One meter of the simulated plant behind its real gateway, polled several times a second."""
    clock, board = SystemClock(), Board()
    plant = SimulatedPlant(5, folder, clock)
    meter = replace(plant.site.meters[meter_id], poll_interval_s=0.1, silent_after_s=60.0)
    profile = PROFILES[meter.profile]
    if not checks_identity:
        assert profile.modbus is not None
        profile = replace(profile, modbus=replace(profile.modbus, identity=None))
    gateway, endpoint = plant.gateways[meter.endpoint], plant.site.endpoints[meter.endpoint]
    await gateway.start()
    gatherer = Gatherer(plant.site.id, sink=discard, clock=clock, health=board)
    collector = ModbusCollector(endpoint, [meter], {profile.id: profile}, gatherer=gatherer, clock=clock, health=board)
    task = asyncio.gather(collector.run(), gatherer.run())
    try:
        yield plant, board
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await gateway.stop()


async def seen(board: Board, meter_id: str, condition: Callable[[Health], bool]) -> Health:
    """The first health of the meter that fulfils the condition; the bound only keeps a broken test from hanging."""
    async with asyncio.timeout(20):
        while True:
            for health in board.all():
                if health.part == f"meter:{meter_id}" and condition(health):
                    return health
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("meter_id", "asked"), [("rect-1-1-ac", "expected identity"), ("pv-1-inverter", "expected SunSpec model 103")]
)
async def test_a_meter_that_turns_into_another_is_asked_who_it_is_and_nothing_more_is_taken(
    tmp_path: Path, meter_id: str, asked: str
) -> None:
    async with polled(tmp_path / "plant", meter_id) as (plant, board):
        await seen(board, meter_id, lambda health: health.state == "ok")
        plant.set_mode(meter_id, UnitMode.NONSENSE)
        health = await seen(board, meter_id, lambda health: asked in health.detail)
        assert health.state == "degraded"
        plant.set_mode(meter_id, UnitMode.SOUND)
        await seen(board, meter_id, lambda health: (health.state, health.detail) == ("ok", "answers"))


async def test_most_values_beyond_limits_make_a_meter_without_identity_degraded(tmp_path: Path) -> None:
    meter_id = "rect-1-1-dc"
    async with polled(tmp_path / "plant", meter_id, checks_identity=False) as (plant, board):
        await seen(board, meter_id, lambda health: health.state == "ok")
        plant.set_mode(meter_id, UnitMode.NONSENSE)
        health = await seen(board, meter_id, lambda health: health.state == "degraded")
        assert health.detail.startswith(f"{meter_id} at 127.0.0.1:")
        assert "answers, but 3 of 5 values are missing or outside limits (first: dc_current)" in health.detail
        assert health.detail.endswith("; check unit number, profile, word order")
        plant.set_mode(meter_id, UnitMode.SOUND)
        await seen(board, meter_id, lambda health: health.state == "ok")


def test_a_doubt_asks_once_at_once_and_then_after_minutes_however_it_comes_and_goes() -> None:
    profile = PROFILES["sim_rectifier_dc_meter"]
    meter = PolledMeter(Meter("m", profile.id, "e"), profile, "here", ModbusDialect())
    known, doubt = Introduction((), np.zeros(5, bool), ()), Doubt(3, 5, "dc_current")
    meter.introduced(known, 1_000)
    meter.judge(doubt)
    assert meter.is_stranger(1_000)
    meter.introduced(known, 1_000)
    for one in (doubt, None, doubt):
        meter.judge(one)
        assert not meter.is_stranger(1_000)
    assert not meter.is_stranger(999 + ASK_AGAIN_NS)
    assert meter.is_stranger(1_000 + ASK_AGAIN_NS)
    meter.judge(None)
    assert not meter.is_stranger(1_000 + ASK_AGAIN_NS)
