"""What hangs on a touched interval is computed anew and nothing else, counted in rows; live slots never wait for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import NS, SmallPlant, entry, meter_toml, small_plant

from analytics.recompute import runs
from collector.late import Owners, late_slots
from plant.frame import FrameBlock
from plant.ports import Annotation, LastFrame
from plant.series import QUARTER, QUARTER_NS, DerivedBlock, Span
from storage.memory import MemoryStore

HOUR_NS = 3600 * NS
DAY_NS = 24 * HOUR_NS
START = round(datetime(2026, 5, 31, 16, tzinfo=UTC).timestamp()) * NS  # 1 June in Shanghai, 16:00 in UTC
AC = ("active_power", "energy_import", "energy_export")


class Counting(MemoryStore):
    """Remembers the starts of the 15-min rows that were written, in order."""

    def __init__(self) -> None:
        super().__init__("p")
        self.written: list[int] = []

    async def write_derived(self, block: DerivedBlock) -> None:
        if block.resolution == QUARTER:
            self.written += sorted(set(block.start_ns.tolist()))
        await super().write_derived(block)

    def take(self) -> set[int]:
        found = set(self.written)
        self.written.clear()
        return found


def _site(*branches: str) -> str:
    rows = ", ".join(f"{{ {b} }}" for b in branches)
    return f"branch = [{rows}]\n"


TIE, MILL = 'id = "tie", kind = "grid_tie", bus = "b"', 'id = "mill", kind = "feeder", bus = "b"'
CELL = 'id = "cell", kind = "storage", bus = "b", capacity_kwh = 20000, capacity_kw = 5000'
SUN = 'id = "sun", kind = "pv", bus = "b"'
POLL_S = 300


def _meters(*names: str) -> str:
    return "".join(meter_toml(n, i + 1, f'branch = "{n}", rated_power_kw = 5000', POLL_S) for i, n in enumerate(names))


async def _feed(plant: SmallPlant, meter: str, span: Span, power_kw: float) -> None:
    t_ns = np.arange(span.start_ns, span.end_ns + 1, POLL_S * NS, dtype=np.int64)
    hours, one = (t_ns - START) / HOUR_NS, np.ones(len(t_ns))
    into, out = (1e6 + max(sign * power_kw, 0.0) * hours for sign in (1, -1))
    await plant.feed(meter, t_ns, active_power=power_kw * one, energy_import=into, energy_export=out)


async def _late(plant: SmallPlant, meter: str, t_ns: int, power_kw: float) -> set[int]:
    """A reading that comes after its slot was settled, marked as the collector does it. Which slots it marked."""
    value = np.array([[power_kw, np.nan, np.nan]])
    block = FrameBlock("p", "x", AC, (meter,), np.zeros(1, np.int32), np.array([t_ns]), value, np.zeros((1, 3), np.int16))
    await plant.store.write([block])
    marked = late_slots([block], Owners.of(plant.site), plant.analytics._state.settled_ns, plant.clock.t_ns)
    await plant.ledger.mark_dirty_many("p", marked)
    return {slot for slots in marked.values() for slot in slots}


async def _settled(plant: SmallPlant, hours: float) -> Counting:
    plant.clock.t_ns = START + round(hours * HOUR_NS) + 700 * NS
    await plant.work()
    assert isinstance(plant.store, Counting)
    plant.store.take()
    return plant.store


def _quarters(first_ns: int, end_ns: int) -> set[int]:
    return set(range(first_ns, end_ns, QUARTER_NS))


@pytest.mark.parametrize("ago_h", [3, 90])
async def test_a_late_reading_computes_its_slots_alone(tmp_path: Path, ago_h: int) -> None:
    known = dict.fromkeys(("tie", "mill"), AC)
    async with small_plant(tmp_path, _site(TIE, MILL) + _meters("tie", "mill"), START, known, store=Counting()) as plant:
        for meter in known:
            await _feed(plant, meter, Span(START, START + 100 * HOUR_NS), 1000.0)
        store = await _settled(plant, 100)
        marked = await _late(plant, "mill", START + (100 - ago_h) * HOUR_NS + 7 * NS, 1010.0)
        assert len(marked) == 3
        await plant.work()
        assert store.take() == marked


async def test_slots_that_lie_apart_leave_those_between_alone(tmp_path: Path) -> None:
    known = dict.fromkeys(("tie", "mill"), AC)
    async with small_plant(tmp_path, _site(TIE, MILL) + _meters("tie", "mill"), START, known, store=Counting()) as plant:
        for meter in known:
            await _feed(plant, meter, Span(START, START + 30 * HOUR_NS), 1000.0)
        store = await _settled(plant, 30)
        marked = await _late(plant, "mill", START + 9 * HOUR_NS + 7 * NS, 1010.0)
        marked |= await _late(plant, "tie", START + 20 * HOUR_NS + 7 * NS, 1010.0)
        await plant.work()
        assert store.take() == marked


def test_slots_of_too_many_runs_are_one_span() -> None:
    slots = [START, START + QUARTER_NS, START + 4 * QUARTER_NS]
    assert runs(slots) == [Span(START, START + 2 * QUARTER_NS), Span(START + 4 * QUARTER_NS, START + 5 * QUARTER_NS)]
    assert runs([START + 2 * i * QUARTER_NS for i in range(20)]) == [Span(START, START + 39 * QUARTER_NS)]


@pytest.mark.parametrize(("meter", "power_kw"), [("tie", 1000.0), ("cell", 4000.0)])
async def test_storage_carries_a_late_reading_on_as_far_as_its_pools_differ(tmp_path: Path, meter: str, power_kw: float) -> None:
    names = ("tie", "sun", "cell")
    text, known = _site(TIE, SUN, CELL) + _meters(*names), dict.fromkeys(names, ("active_power",))
    async with small_plant(tmp_path, text, START, known, store=Counting()) as plant:
        t_ns = np.arange(START, START + 30 * HOUR_NS + 1, POLL_S * NS, dtype=np.int64)
        for name, kw in {"tie": 1000.0, "sun": -500.0, "cell": 200.0}.items():
            await plant.feed(name, t_ns, active_power=np.full(len(t_ns), kw))
        store = await _settled(plant, 30)
        first = START + 26 * HOUR_NS
        marked = await _late(plant, meter, first + 7 * NS, power_kw)
        await plant.work()
        written = store.take()
        assert min(written) == min(marked)
        # the same power as before changes no pool; a charge that was missed is in the pool from then on
        assert written == (marked if meter == "tie" else _quarters(min(marked), START + 30 * HOUR_NS))


async def test_where_pools_are_known_at_midnight_alone_rows_are_written_from_the_touched_slot_to_there(tmp_path: Path) -> None:
    names = ("tie", "sun", "cell")
    text, known = _site(TIE, SUN, CELL) + _meters(*names), dict.fromkeys(names, ("active_power",))
    async with small_plant(tmp_path, text, START, known, store=Counting()) as plant:
        t_ns = np.arange(START, START + 100 * HOUR_NS + 1, POLL_S * NS, dtype=np.int64)
        for name, kw in {"tie": 1000.0, "sun": -500.0, "cell": 200.0}.items():
            await plant.feed(name, t_ns, active_power=np.full(len(t_ns), kw))
        store = await _settled(plant, 100)
        marked = await _late(plant, "tie", START + 26 * HOUR_NS + 7 * NS, 1000.0)
        await plant.work()
        assert store.take() == _quarters(min(marked), START + 32 * HOUR_NS)


LINE = """
potline = [{ id = "l", current_efficiency_ref = 0.93, current_efficiency_uncertainty = 0.02, pots = [
  { valid_from = 2026-01-01T00:00:00+08:00, running = 200 }] }]
branch = [{ id = "rect", kind = "rectifier_group", bus = "b", potline = "l" }]
""" + meter_toml("dc", 1, 'branch = "rect", side = "dc"', POLL_S)
MADE_KG_PER_DAY = 200 * 24 * 200 * 0.335573 * 0.92


async def test_a_corrected_weight_writes_the_months_of_its_fit_alone(tmp_path: Path) -> None:
    known = {"dc": ("dc_current", "dc_voltage", "dc_power")}
    async with small_plant(tmp_path, LINE, START, known, store=Counting()) as plant:
        days = 75
        t_ns = np.arange(START, START + days * DAY_NS + 1, 900 * NS, dtype=np.int64)
        one = np.ones(len(t_ns))
        await plant.feed("dc", t_ns, dc_current=200.0 * one, dc_voltage=800.0 * one, dc_power=160e3 * one)
        bounds = [plant.site.calendar.month(2026, month).start_ns for month in (6, 7, 8)]
        pots = [entry("metal_in_pots", "l", t, 1_000_000) for t in bounds]
        taps = [
            entry("metal_tapped", "l", t + 5 * DAY_NS, round(MADE_KG_PER_DAY * (end - t) / DAY_NS)) for t, end in pairwise(bounds)
        ]
        ids = await plant.ledger.add([*pots, *taps])
        store = await _settled(plant, days * 24)
        june, july, _ = bounds
        heavier = replace(taps[0], amount=taps[0].amount + 20_000, supersedes=ids[3])
        await plant.ledger.add([heavier])
        await plant.work()
        written = store.take()
        assert written == _quarters(june, july)


async def test_a_verdict_computes_its_span_and_a_certificate_nothing(tmp_path: Path) -> None:
    known = dict.fromkeys(("tie", "mill"), AC)
    async with small_plant(tmp_path, _site(TIE, MILL) + _meters("tie", "mill"), START, known, store=Counting()) as plant:
        for meter in known:
            await _feed(plant, meter, Span(START, START + 30 * HOUR_NS), 1000.0)
        store = await _settled(plant, 30)
        first = START + 5 * HOUR_NS
        await plant.ledger.annotate([Annotation("p", "mill", "", first, first + HOUR_NS, "bad", "li", "loose wire")])
        await plant.work()
        assert store.take() == _quarters(first - QUARTER_NS, first + HOUR_NS + QUARTER_NS)
        data = {"type": "bought", "generation_month": "2026-06", "status": "valid", "quota_year": 2026}
        await plant.ledger.add([entry("certificate", "plant", START, 500, START + 20 * HOUR_NS, **data)])
        await plant.work()
        assert store.take() == set()
        assert await plant.ledger.dirty("p", 1) == []


async def test_a_long_queue_does_not_starve_live_settling(tmp_path: Path) -> None:
    known: Mapping[str, Sequence[str]] = dict.fromkeys(("tie", "mill"), AC)
    async with small_plant(tmp_path, _site(TIE, MILL) + _meters("tie", "mill"), START, known, store=Counting()) as plant:
        for meter in known:
            await _feed(plant, meter, Span(START, START + 12 * DAY_NS), 1000.0)
        await _settled(plant, 8 * 24)
        await plant.ledger.mark_dirty("p", "plant", sorted(_quarters(START, START + 8 * DAY_NS)))
        waiting = 0
        for _ in range(60):
            plant.clock.t_ns += 900 * NS
            t_ns = plant.clock.t_ns
            plant.bus.frames = {m: LastFrame(m, t_ns, {}, {}, t_ns) for m in known}
            await plant.analytics.step()
            await plant.analytics.step()
            done_ns = plant.analytics._state.done_ns
            assert done_ns is not None
            assert t_ns - done_ns < 2 * QUARTER_NS  # each new slot is settled before more of the queue is done
            waiting += bool(await plant.ledger.dirty("p", 1))
        assert 5 < waiting < 60
