"""Registers that are refreshed once an hour, or less often, and read every minute: the loop with a live clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import NS, SmallPlant, meter_toml, small_plant

from analytics.slow_registers import SLOW, STILL
from plant.series import QUARTER, QUARTER_NS, Span

START = round(datetime(2026, 5, 31, 20, tzinfo=UTC).timestamp()) * NS
LOAD_KW = 1000.0
SITE = (
    '\nbranch = [\n  { id = "tie", kind = "grid_tie", bus = "b" },\n  { id = "mill", kind = "feeder", bus = "b" },\n]\n'
    + meter_toml("tie", 1, 'branch = "tie", rated_power_kw = 2000')
    + meter_toml("mill", 2, 'branch = "mill", rated_power_kw = 2000')
)


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[SmallPlant]:
    async with small_plant(tmp_path, SITE, START, dict.fromkeys(("tie", "mill"), ("energy_import", "energy_export"))) as found:
        yield found


async def _live(plant: SmallPlant, slots: range, refresh_slots: int, read_s: int = 60) -> None:
    """Each slot in its turn: read, then settled; the register of the mill is refreshed only every ``refresh_slots``."""
    for slot in slots:
        first = START + slot * QUARTER_NS
        t_ns = np.arange(first, first + QUARTER_NS, read_s * NS, dtype=np.int64)
        true = 5e5 + (t_ns - START) / 3.6e12 * LOAD_KW
        refreshed = (t_ns - START) // (refresh_slots * QUARTER_NS) * (refresh_slots * QUARTER_NS)
        shown = 5e5 + refreshed / 3.6e12 * LOAD_KW
        zero = np.zeros(len(t_ns))
        await plant.feed("tie", t_ns, energy_import=true, energy_export=zero)
        await plant.feed("mill", t_ns, energy_import=shown, energy_export=zero)
        plant.clock.t_ns = first + QUARTER_NS + 30 * NS
        await plant.work()


async def _rows(plant: SmallPlant, slots: range) -> dict[str, np.ndarray]:
    fields = ("energy_import", "energy_import_low", "energy_import_high")
    span = Span(START + slots.start * QUARTER_NS, START + slots.stop * QUARTER_NS)
    block = await plant.store.read_derived(QUARTER, ["point:mill"], fields, span)
    return {f: block.column("point:mill", f)[1] for f in fields}


@pytest.mark.parametrize(("refresh_slots", "read_s"), [(4, 60), (4, 300), (8, 60), (32, 60)])
async def test_slots_of_a_stand_are_restated_when_the_register_moves(plant: SmallPlant, refresh_slots: int, read_s: int) -> None:
    await _live(plant, range(3 * refresh_slots + 2), refresh_slots, read_s)
    found = await _rows(plant, range(1, 3 * refresh_slots))
    np.testing.assert_allclose(found["energy_import"], LOAD_KW / 4, rtol=1e-9)
    assert (found["energy_import_low"] <= LOAD_KW / 4).all() and (found["energy_import_high"] >= LOAD_KW / 4).all()
    assert not await plant.ledger.dirty("p", 10)


async def test_the_band_of_a_stand_holds_the_truth_once_the_register_is_known_to_be_slow(plant: SmallPlant) -> None:
    await _live(plant, range(9), 4)
    for slot in range(9, 24):
        await _live(plant, range(slot, slot + 1), 4)
        done = ((plant.analytics._state.done_ns or 0) - START) // QUARTER_NS
        found = await _rows(plant, range(8, done))
        assert (found["energy_import_low"] <= LOAD_KW / 4 + 1e-6).all(), slot
        assert (found["energy_import_high"] >= LOAD_KW / 4 - 1e-6).all(), slot


async def test_a_stand_over_midnight_and_over_a_restart_is_restated(plant: SmallPlant) -> None:
    await _live(plant, range(33), 16)  # from 20 h UTC on: a stand from 0 h to 4 h, and on
    plant.restart()
    await _live(plant, range(33, 66), 16)
    found = await _rows(plant, range(1, 64))
    np.testing.assert_allclose(found["energy_import"], LOAD_KW / 4, rtol=1e-9)


async def test_registers_that_rightly_stand_cost_nothing(plant: SmallPlant) -> None:
    """The tie exports nothing: its register stands for ever, which makes it neither slow nor anything to restate."""
    await _live(plant, range(12), 1, 900)
    notes = plant.analytics._state.gaps
    assert not [n for n in notes if n.endswith(SLOW)]
    assert [n for n in notes if n.endswith(STILL)] == [f"tie/energy_export{STILL}"]
    assert not await plant.ledger.dirty("p", 10)
