"""The loop where things go wrong: stores that fail, clocks set back, silences, endless late readings, settings that change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import HEAD, NS, SmallPlant, entry, meter_toml, small_plant

from analytics.service import Analytics
from analytics.state import POOLS
from plant.config import parse_site
from plant.errors import StoreUnavailable
from plant.ports import Annotation, DirtyNode, LastFrame
from plant.series import MINUTE_NS, QUARTER_NS, DerivedBlock, Span
from plant.site import StoreSettings
from storage.embedded import EmbeddedStore
from storage.memory import MemoryStore

HOUR_NS = 3600 * NS
DAY_NS = 24 * HOUR_NS
START = round(datetime(2026, 5, 31, 16, tzinfo=UTC).timestamp()) * NS  # 1 June in Shanghai
BRANCHES = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "mill", kind = "feeder", bus = "b" },
]
"""
SITE = BRANCHES + meter_toml("tie", 1, 'branch = "tie"') + meter_toml("mill", 2, 'branch = "mill"')
AC = ("active_power", "energy_import", "energy_export")
KNOWN = dict.fromkeys(("tie", "mill"), AC)


class _Failing:
    """A store or a ledger whose methods named in ``down`` fail as long as they are there."""

    def __init__(self, behind: object) -> None:
        self._behind = behind
        self.down: set[str] = set()

    def __getattr__(self, name: str) -> object:
        if name in self.down or "everything" in self.down:
            raise StoreUnavailable(f"{name}: no answer")
        return getattr(self._behind, name)


async def _feed(plant: SmallPlant, meter: str, span: Span, power_kw: float = 1000.0, step_s: int = 60) -> None:
    t_ns = np.arange(span.start_ns, span.end_ns + 1, step_s * NS, dtype=np.int64)
    hours, one = (t_ns - START) / HOUR_NS, np.ones(len(t_ns))
    into, out = (1e6 + max(sign * power_kw, 0.0) * hours for sign in (1, -1))
    await plant.feed(meter, t_ns, active_power=power_kw * one, energy_import=into, energy_export=out)


def _hours(first: float, end: float) -> Span:
    return Span(START + round(first * HOUR_NS), START + round(end * HOUR_NS))


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[SmallPlant]:
    async with small_plant(tmp_path, SITE, START, KNOWN) as made:
        yield made


async def _settled(plant: SmallPlant, hours: float) -> None:
    plant.clock.t_ns = START + round(hours * HOUR_NS) + 300 * NS
    await plant.work()


async def _energy(analytics: Analytics, span: Span, point: str = "mill") -> float | None:
    found = await analytics.figures(span)
    return next(p for p in found.points if p.point == point).energy_import_kwh


async def test_a_process_that_only_reads_sees_what_another_does(plant: SmallPlant) -> None:
    working = plant.analytics
    reading = plant.restart()
    for meter in KNOWN:
        await _feed(plant, meter, _hours(0, 4))
    assert (await reading.live()).settled_until_ns is None
    assert await plant.ledger.get_state("p", "analytics") is None  # who reads writes nothing
    plant.clock.t_ns = START + 4 * HOUR_NS + 300 * NS
    while await working.step():
        pass
    live = await reading.live()
    assert live.settled_until_ns == START + 4 * HOUR_NS
    before = live.windows["day"].figure("plant", "load_energy")
    assert before is not None
    assert before.value == pytest.approx(4000.0)
    # rows of before change while no new slot settles
    stuck = Annotation("p", "tie", "", START, START + HOUR_NS, "bad", "li", "wrong terminal")
    await plant.ledger.annotate([stuck])
    while await working.step():
        pass
    plant.clock.t_ns += 10 * NS
    after = (await reading.live()).windows["day"].figure("plant", "load_energy")
    assert after is not None
    assert after.measured_share < before.measured_share


@pytest.mark.parametrize("part", ["store", "ledger"])
async def test_the_instant_is_answered_with_store_or_ledger_down(plant: SmallPlant, part: str) -> None:
    store, ledger = _Failing(plant.store), _Failing(plant.ledger)
    analytics = plant.restart(store=store, ledger=ledger)  # type: ignore[arg-type]
    for meter in KNOWN:
        await _feed(plant, meter, _hours(0, 4))
    await _settled(plant, 4)
    settled = (await analytics.live()).windows["last_24h"]
    (store if part == "store" else ledger).down.add("everything")
    plant.clock.t_ns += 60 * NS
    t_ns = plant.clock.t_ns
    for meter in KNOWN:
        plant.bus.frames[meter] = LastFrame(meter, t_ns, {"active_power": 800.0}, {"active_power": 0}, t_ns)
    analytics._state.revision += 1
    live = await analytics.live()
    assert live.power_kw["load"] == pytest.approx(800.0)
    assert live.branches["mill"].active_power_kw == pytest.approx(800.0)
    assert live.windows["last_24h"] is settled
    cold = plant.restart(store=store, ledger=ledger)  # type: ignore[arg-type]
    assert list((await cold.live()).windows) == ["now"]


async def test_a_failed_load_does_not_start_from_nothing(plant: SmallPlant) -> None:
    for meter in KNOWN:
        await _feed(plant, meter, _hours(0, 4))
    await _settled(plant, 4)
    await plant.ledger.put_state("p", POOLS, {"pools": {str(START): {"cell": [1.0, 2.0, 3.0, 4.0]}}})
    ledger = _Failing(plant.ledger)
    analytics = plant.restart(ledger=ledger)  # type: ignore[arg-type]
    ledger.down.add("get_state")
    with pytest.raises(StoreUnavailable):
        await analytics.step()
    ledger.down.clear()
    await plant.work()
    _, pools = analytics._state.checkpoints.before(START)
    assert pools["cell"].content_kwh == (1.0, 2.0, 3.0, 4.0)


async def test_a_silence_is_remembered_while_older_slots_are_cleaned(plant: SmallPlant) -> None:
    await _feed(plant, "tie", _hours(0, 8))
    await _feed(plant, "mill", _hours(0, 2))
    await _settled(plant, 4)
    await plant.ledger.mark_dirty("p", "point:mill", [START + QUARTER_NS])
    await plant.work()
    await _feed(plant, "mill", _hours(6, 8))
    await _settled(plant, 8)
    assert await _energy(plant.analytics, _hours(3, 4)) == pytest.approx(1000.0)
    assert await plant.ledger.dirty("p", 10) == []


async def test_an_outage_of_days_without_a_register_is_computed_again_once(tmp_path: Path) -> None:
    async with small_plant(tmp_path, SITE, START, dict.fromkeys(KNOWN, ("active_power",))) as plant:
        for meter, spans in {"tie": [_hours(0, 96)], "mill": [_hours(0, 2), _hours(80, 96)]}.items():
            for span in spans:
                t_ns = np.arange(span.start_ns, span.end_ns + 1, 300 * NS, dtype=np.int64)
                await plant.feed(meter, t_ns, active_power=np.full(len(t_ns), 500.0))
        plant.clock.t_ns = START + 96 * HOUR_NS + 300 * NS
        steps = 0
        while await plant.analytics.step():
            steps += 1
            assert steps < 100
        assert await plant.ledger.dirty("p", 10) == []


@pytest.mark.parametrize("offset_s", [0, 180, 299])
async def test_slots_of_a_rarely_read_meter_add_up_to_its_register(tmp_path: Path, offset_s: int) -> None:
    text = BRANCHES + meter_toml("tie", 1, 'branch = "tie"', 300) + meter_toml("mill", 2, 'branch = "mill"', 300)
    async with small_plant(tmp_path, text, START, KNOWN) as plant:
        # live: each reading is there three seconds after its instant; one is missed in between
        for i in range(36):
            t_ns = START + (300 * i + offset_s) * NS
            for meter in KNOWN:
                if i != 17:
                    await _feed(plant, meter, Span(t_ns, t_ns))
            for wait_s in (3, 60, 120):
                plant.clock.t_ns = t_ns + wait_s * NS
                await plant.work()
        rows = await plant.store.read_derived("15m", ["point:mill"], ["energy_import", "flags"], _hours(0.5, 2.5))
        assert rows.column("point:mill", "energy_import")[1].tolist() == pytest.approx([250.0] * 8)


async def test_another_ratio_restates_what_was_computed(plant: SmallPlant) -> None:
    for meter in KNOWN:
        await _feed(plant, meter, _hours(0, 4))
    await _settled(plant, 4)
    plant.restart()
    assert not await plant.analytics.step()  # the same settings: nothing to do
    doubled = SITE.replace('branch = "mill"', 'branch = "mill", ct_ratio = 2.0')
    plant.site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + doubled, "site.toml")
    plant.restart()
    await plant.work()
    assert await _energy(plant.analytics, _hours(0, 4)) == pytest.approx(8000.0)


async def test_a_clock_set_back_does_not_keep_rows_from_being_restated(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "series.duckdb", "p", StoreSettings())
    await store.setup()
    async with small_plant(tmp_path, SITE, START, KNOWN, store=store) as plant:
        await _restate_with_a_clock_set_back(plant)
    await store.close()


async def _restate_with_a_clock_set_back(plant: SmallPlant) -> None:
    for meter in KNOWN:
        await _feed(plant, meter, _hours(0, 3) if meter == "mill" else _hours(0, 8))
    await _settled(plant, 8)
    plant.clock.t_ns -= 2 * HOUR_NS
    await _feed(plant, "mill", _hours(3, 8), 1000.0)
    await plant.ledger.mark_dirty("p", "point:mill", list(range(START + 2 * HOUR_NS, START + 8 * HOUR_NS, QUARTER_NS)))
    plant.restart()
    await plant.work()
    rows = await plant.store.read_derived("15m", ["point:mill"], ["energy_import"], _hours(4, 7))
    assert rows.column("point:mill", "energy_import")[1].tolist() == pytest.approx([250.0] * 12)


async def test_late_readings_without_end_do_not_keep_out_all_work(plant: SmallPlant) -> None:
    class Late(_Failing):
        """A ledger in which a slot is marked again each time that anyone looks."""

        async def dirty_nodes(self, name: str, span: Span) -> list[DirtyNode]:
            await plant.ledger.mark_dirty(name, "point:mill", [START])
            return await plant.ledger.dirty_nodes(name, span)

    for meter in KNOWN:
        await _feed(plant, meter, _hours(0, 4))
    await _settled(plant, 4)
    analytics = plant.restart(ledger=Late(plant.ledger))  # type: ignore[arg-type]
    await plant.ledger.mark_dirty("p", "point:mill", [START])
    await analytics.step()
    before = analytics._state.revision
    for _ in range(60):
        await analytics.step()
    assert analytics._state.revision > before


async def test_a_rejected_meter_feeds_nothing_live(plant: SmallPlant) -> None:
    for meter in KNOWN:
        await _feed(plant, meter, _hours(0, 4.5))
    plant.clock.t_ns = t_ns = START + 4 * HOUR_NS + 20 * MINUTE_NS
    for meter in KNOWN:
        plant.bus.frames[meter] = LastFrame(meter, t_ns, {"active_power": 800.0}, {"active_power": 0}, t_ns)
    await plant.ledger.annotate([Annotation("p", "mill", "", t_ns - HOUR_NS, t_ns + HOUR_NS, "bad", "li", "miswired")])
    await plant.work()
    live = await plant.analytics.live()
    assert live.branches["mill"].active_power_kw is None
    assert live.branches["tie"].active_power_kw == pytest.approx(800.0)
    by_point = {p.point: p.measured_share for p in live.windows["last_15min"].points}
    assert by_point == pytest.approx({"tie": 1.0, "mill": 0.0})


async def test_the_first_minute_after_a_slot_has_its_row(plant: SmallPlant) -> None:
    for meter in KNOWN:
        await _feed(plant, meter, _hours(0, 4 + 1 / 60))
    for second in (58, 63):
        plant.clock.t_ns = t_ns = START + 4 * HOUR_NS + second * NS
        plant.bus.frames = {meter: LastFrame(meter, t_ns, {}, {}, t_ns) for meter in KNOWN}
        await plant.work()
    minute = Span(START + 4 * HOUR_NS, START + 4 * HOUR_NS + MINUTE_NS)
    rows = await plant.store.read_derived("1m", ["point:mill"], ["energy_import"], minute)
    assert rows.column("point:mill", "energy_import")[1].tolist() == pytest.approx([1000 / 60])


CELLS = ("tie", "sun", "cell")
STORED = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "sun", kind = "pv", bus = "b" },
  { id = "cell", kind = "storage", bus = "b", capacity_kwh = 20000, capacity_kw = 5000 },
]
""" + "".join(
    meter_toml(name, i + 1, f'branch = "{name}", rated_power_kw = 5000') for i, name in enumerate(("tie", "sun", "cell"))
)


async def test_a_day_recomputed_from_its_middle_starts_from_its_own_pools(tmp_path: Path) -> None:
    async with small_plant(tmp_path, STORED, START, dict.fromkeys(CELLS, AC)) as plant:
        whole = _hours(0, 5 * 24)
        for meter, kw in {"tie": 1000.0, "sun": -500.0}.items():
            await _feed(plant, meter, whole, kw, 300)
        # charges for half a day, gives it back for the other half
        power = np.where(np.arange(5 * 288) % 288 < 144, 200.0, -150.0)
        into, out = (1e6 + np.concatenate([[0.0], np.cumsum(np.maximum(s * power, 0)) / 12]) for s in (1, -1))
        t_ns = START + np.arange(5 * 288 + 1) * 300 * NS
        await plant.feed("cell", t_ns, active_power=np.append(power, -150.0), energy_import=into, energy_export=out)
        await _settled(plant, 5 * 24)
        before = await plant.analytics.figures(whole)
        await plant.ledger.mark_dirty("p", "point:tie", [START + 20 * HOUR_NS + QUARTER_NS])
        await plant.work()
        after = await plant.analytics.figures(whole)
        assert after.interval_hash == before.interval_hash
        assert sum(f.energy_kwh or 0.0 for f in after.flows if f.source == "cell/renewable") > 100.0


LINE = """
potline = [{ id = "l", current_efficiency_ref = 0.93, current_efficiency_uncertainty = 0.02, pots = [
  { valid_from = 2026-01-01T00:00:00+08:00, running = 200 }] }]
branch = [{ id = "rect", kind = "rectifier_group", bus = "b", potline = "l" }]
[[meter]]
id = "dc"
profile = "x"
endpoint = "g"
unit = 1
poll_interval_s = 60
measures = { branch = "rect", side = "dc" }
"""


async def test_weighed_metal_that_disagrees_is_said(tmp_path: Path) -> None:
    async with small_plant(tmp_path, LINE, START, {"dc": ("dc_current", "dc_power")}) as plant:
        t_ns = np.arange(START, START + 10 * DAY_NS + 1, 300 * NS, dtype=np.int64)
        await plant.feed("dc", t_ns, dc_current=np.full(len(t_ns), 200.0), dc_power=np.full(len(t_ns), 160e3))
        half = entry("metal_tapped", "l", START + 5 * DAY_NS, 1_300_000)
        await plant.ledger.add([half, *(entry("metal_in_pots", "l", START + d * DAY_NS, 1_000_000) for d in (0, 9))])
        await _settled(plant, 10 * 24)
        found = await plant.analytics.figures(_hours(24, 48))
        for node in ("plant", "line:l"):
            metal = found.figure(node, "metal_produced")
            assert metal is not None
            assert "weighed metal of l disagrees" in metal.reason


async def test_a_restatement_broken_off_is_done_again(tmp_path: Path) -> None:
    class Breaking(MemoryStore):
        """Takes the first block of a restatement, and fails at the second."""

        restated = 0

        async def write_derived(self, block: DerivedBlock) -> None:
            if plant.analytics._state.restate_from_ns is not None:
                self.restated += 1
                if self.restated == 2:
                    raise StoreUnavailable("no answer")
            await super().write_derived(block)

    store, known = Breaking("p"), {"dc": ("dc_current", "dc_voltage", "dc_power")}
    async with small_plant(tmp_path, LINE, START, known, store=store) as plant:
        t_ns = np.arange(START, START + 10 * DAY_NS + 1, 300 * NS, dtype=np.int64)
        one = np.ones(len(t_ns))
        await plant.feed("dc", t_ns, dc_current=200.0 * one, dc_voltage=800.0 * one, dc_power=160e3 * one)
        await _settled(plant, 10 * 24)
        made = 200 * 24 * 9 * 200 * 0.3356 * 0.91
        await plant.ledger.add(
            [
                entry("metal_in_pots", "l", START, 1_000_000),
                entry("metal_tapped", "l", START + 5 * DAY_NS, round(made)),
                entry("metal_in_pots", "l", START + 9 * DAY_NS, 1_000_000),
            ]
        )
        with pytest.raises(StoreUnavailable):
            await plant.work()
        await plant.work()
        rows = await plant.store.read_derived("15m", ["line:l"], ["current_efficiency"], _hours(24, 48))
        assert rows.column("line:l", "current_efficiency")[1].tolist() == pytest.approx([91.0] * 96, abs=0.2)
