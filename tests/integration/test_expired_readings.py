"""Settled intervals outlive their readings: what comes late for them is noted and changes no figure. Real stores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import NS, SmallPlant, meter_toml, small_plant
from conftest import influxd

from analytics.expired import CORRECTION_DUE, CORRECTIONS
from collector.late import Owners, late_slots
from plant.errors import StoreRejected
from plant.frame import FrameBlock
from plant.ports import SeriesStore
from plant.series import QUARTER_NS, Span
from plant.site import StoreSettings
from potwatt.board import Board
from storage.embedded import EmbeddedStore
from storage.influx import InfluxStore

HOUR_NS = 3600 * NS
SITE = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "mill", kind = "feeder", bus = "b" },
]
"""
SITE += meter_toml("tie", 1, 'branch = "tie"') + meter_toml("mill", 2, 'branch = "mill"')
KNOWN = dict.fromkeys(("tie", "mill"), ("active_power", "energy_import", "energy_export"))
# the server's own clock decides what has expired: the readings lie some days before now
# some four days back, within one day: what is noted goes day by day
START = (time.time_ns() - 100 * HOUR_NS) // (24 * HOUR_NS) * 24 * HOUR_NS + 6 * HOUR_NS
SPAN = Span(START, START + 6 * HOUR_NS)
LONG, SHORT = 3_000, 1


def block(meter: str, t_ns: np.ndarray, power_kw: float = 1000.0) -> FrameBlock:
    hours, n = (t_ns - START) / HOUR_NS, len(t_ns)
    value = np.column_stack([np.full(n, power_kw), 1e6 + power_kw * hours, np.full(n, 1e6)])
    return FrameBlock("p", "x", KNOWN[meter], (meter,), np.zeros(n, np.int32), t_ns, value, np.zeros((n, 3), np.int16))


async def expire_embedded(store: EmbeddedStore) -> None:
    store._settings = replace(store._settings, raw_days=SHORT)
    await store.trim(time.time_ns())


async def expire_influx(store: InfluxStore) -> None:
    store._settings = replace(store._settings, raw_days=SHORT)
    await store.setup()
    async with asyncio.timeout(60):
        while len(await store.read("mill", "active_power", SPAN)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


@pytest.fixture(params=["embedded", "influxdb"])
async def plant(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SmallPlant]:
    store: SeriesStore
    if request.param == "embedded":
        store = EmbeddedStore(tmp_path / "series.duckdb", "p", StoreSettings(raw_days=LONG))
        await store.setup()
        async with small_plant(tmp_path, SITE, START, KNOWN, store=store) as made:
            yield made
        await store.close()
        return
    with influxd(tmp_path, '[retention]\ncheck-interval = "1s"') as port:
        store = InfluxStore(StoreSettings(url=f"http://127.0.0.1:{port}", database="d", raw_days=LONG), "p", {})
        await store.setup()
        async with small_plant(tmp_path, SITE, START, KNOWN, store=store) as made:
            yield made
        await store.close()


async def energies(plant: SmallPlant) -> list[tuple[str, float | None]]:
    found = await plant.analytics.figures(SPAN)
    return [(p.point, p.energy_import_kwh) for p in found.points]


async def settle(plant: SmallPlant) -> None:
    t_ns = np.arange(SPAN.start_ns, SPAN.end_ns + 1, 60 * NS, dtype=np.int64)
    for meter in KNOWN:
        await plant.store.write([block(meter, t_ns)])
    plant.clock.t_ns = SPAN.end_ns + 600 * NS
    await plant.work()


async def arrive_late(plant: SmallPlant, late: FrameBlock) -> str:
    """As the forwarder does; what the store said."""
    said = "stored"
    try:
        await plant.store.write([late])
    except StoreRejected as error:
        said = str(error)
    slots = late_slots([late], Owners.of(plant.site), SPAN.end_ns, plant.clock.now_ns())
    await plant.ledger.mark_dirty_many("p", slots)
    return said


async def test_a_reading_later_than_retention_changes_no_settled_figure_and_is_noted(plant: SmallPlant) -> None:
    await settle(plant)
    before = await energies(plant)
    assert all(e == pytest.approx(6000.0) for _, e in before)
    store = plant.store
    if isinstance(store, EmbeddedStore):
        await expire_embedded(store)
    else:
        assert isinstance(store, InfluxStore)
        await expire_influx(store)
    plant.site = replace(plant.site, store=replace(plant.site.store, raw_days=SHORT))
    plant.clock.t_ns = time.time_ns()
    plant.restart()
    said = await arrive_late(plant, block("mill", np.array([START + 2 * HOUR_NS + 30 * NS]), power_kw=9000.0))
    assert said == "stored" or "beyond retention policy" in said
    await plant.work()
    assert await energies(plant) == before
    assert await plant.ledger.dirty("p", 1) == []
    state = await plant.ledger.get_state("p", CORRECTIONS)
    slot = START + 2 * HOUR_NS
    wanted = {"node": "point:mill", "first_slot_ns": slot - QUARTER_NS, "last_slot_ns": slot + QUARTER_NS, "slots": 3}
    assert state is not None
    assert state["noted"] == [wanted]
    await arrive_late(plant, block("mill", np.array([START + 2 * HOUR_NS + 30 * NS]), power_kw=9000.0))
    await plant.work()
    assert await plant.ledger.get_state("p", CORRECTIONS) == state, "the same again is no second correction"
    plant.board = Board()
    plant.restart()
    await plant.work()
    [told] = [h for h in plant.board.all() if h.part == "corrections"]
    assert (told.state, told.numbers["slots"]) == ("degraded", 3.0), "a restart forgot what was noted"
    day = plant.site.calendar.local(slot).date()
    year = await plant.analytics.report("year", str(day.year))
    assert year.body["corrections"] == [wanted]
    assert year.body["data_quality"]["flags"]["mill"][-1] == CORRECTION_DUE
    assert CORRECTION_DUE not in year.body["data_quality"]["flags"].get("tie", ())
    other = await plant.analytics.report("year", str(day.year - 1))
    assert "corrections" not in other.body


async def test_within_retention_a_late_reading_is_computed(plant: SmallPlant) -> None:
    gap = Span(START + 2 * HOUR_NS, START + 3 * HOUR_NS)
    t_ns = np.arange(SPAN.start_ns, SPAN.end_ns + 1, 60 * NS, dtype=np.int64)
    for meter in KNOWN:
        await plant.store.write([block(meter, t_ns[(t_ns < gap.start_ns) | (t_ns >= gap.end_ns) | (meter == "tie")])])
    plant.clock.t_ns = SPAN.end_ns + 600 * NS
    await plant.work()
    shares = await measured(plant, gap)
    assert await arrive_late(plant, block("mill", t_ns[(t_ns >= gap.start_ns) & (t_ns < gap.end_ns)])) == "stored"
    await plant.work()
    assert await measured(plant, gap) != shares
    assert await plant.ledger.get_state("p", CORRECTIONS) is None


async def measured(plant: SmallPlant, span: Span) -> list[list[float]]:
    rows = await plant.store.read_derived("15m", ["point:mill"], ["completeness"], span)
    found: list[list[float]] = rows.value.tolist()
    return found


async def test_imported_amounts_are_computed_however_old(plant: SmallPlant) -> None:
    """Amounts are kept as long as figures: history that is imported in two steps is computed in both."""
    plant.site = replace(plant.site, store=replace(plant.site.store, raw_days=SHORT))
    plant.restart()
    plant.clock.t_ns = time.time_ns()
    quarters = np.arange(SPAN.start_ns, SPAN.end_ns, QUARTER_NS, dtype=np.int64)

    async def bring(t_ns: np.ndarray) -> None:
        for meter in KNOWN:
            index, zero = np.zeros(len(t_ns), np.int32), np.zeros((len(t_ns), 1), np.int16)
            amounts = FrameBlock(
                "p", "x", ("interval_energy_import",), (meter,), index, t_ns, np.full((len(t_ns), 1), 250.0), zero
            )
            assert await arrive_late(plant, amounts) == "stored"

    await bring(quarters[:12])
    await plant.work()
    await bring(quarters[12:])
    await plant.work()
    assert [e for _, e in await energies(plant)] == [pytest.approx(6000.0)] * 2
    assert await plant.ledger.get_state("p", CORRECTIONS) is None
