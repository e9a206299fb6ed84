"""The loop over real stores: a day of a plant settles, late readings restate, an imported span keeps its sum."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytics.service import Analytics
from plant.config import parse_site
from plant.errors import InputError
from plant.frame import FrameBlock
from plant.ports import Annotation, Health, LastFrame
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER_NS, Span
from storage.ledger import SqlLedger
from storage.memory import MemoryStore

NS = 1_000_000_000
START = 1_780_000_200 // 900 * 900 * NS
SITE = """
plant = { id = "p", name = { en = "P" }, zone = "Asia/Shanghai" }
bus = [{ id = "b" }]
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "sun", kind = "pv", bus = "b", capacity_kw = 500 },
  { id = "mill", kind = "feeder", bus = "b" },
]
endpoint = [{ id = "g", protocol = "modbus_tcp", host = "127.0.0.1", port = 502 }]
[[meter]]
id = "tie"
profile = "x"
endpoint = "g"
unit = 1
poll_interval_s = 60
measures = { branch = "tie", rated_power_kw = 2000 }
[[meter]]
id = "sun"
profile = "x"
endpoint = "g"
unit = 2
poll_interval_s = 60
measures = { branch = "sun", rated_power_kw = 500, direction = "reverse" }
[[meter]]
id = "mill"
profile = "x"
endpoint = "g"
unit = 3
poll_interval_s = 60
measures = { branch = "mill", rated_power_kw = 2000 }
"""
QUANTITIES = ("active_power", "energy_import", "energy_export")
POWER_KW = {"tie": 700.0, "sun": 300.0, "mill": 990.0}


class _Clock:
    def __init__(self) -> None:
        self.t_ns = START

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        self.t_ns += round(seconds * 1e9)


class _Bus:
    def __init__(self) -> None:
        self.frames: dict[str, LastFrame] = {}

    def publish(self, block: FrameBlock) -> None:
        raise AssertionError("analytics publishes no readings")

    def latest(self) -> dict[str, LastFrame]:
        return self.frames

    def announce(self, topic: str, body: dict[str, Any]) -> None:
        raise AssertionError((topic, body))

    def listen(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        raise AssertionError


class _Board:
    def set(self, part: str, state: str, detail: str, **numbers: float) -> None: ...

    def all(self) -> list[Health]:
        return []

    def count(self, name: str, labels: dict[str, str], by: float = 1.0) -> None: ...

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {}


class Plant:
    """A plant of three meters over the memory store and a ledger in memory."""

    def __init__(self, ledger: SqlLedger, clock: _Clock) -> None:
        self.site = parse_site(SITE, "site.toml")
        self.store, self.ledger, self.clock, self.bus = MemoryStore("p"), ledger, clock, _Bus()
        wraps: Mapping[tuple[str, str], float | None] = {}
        self.analytics = Analytics(
            site=self.site,
            rulebook=parse_rules(shipped_rule_texts()),
            profiles_wraps=wraps,
            quantities_of=dict.fromkeys(self.site.meters, QUANTITIES),
            store=self.store,
            ledger=ledger,
            clock=clock,
            bus=self.bus,
            health=_Board(),
        )

    async def feed(self, meter: str, minutes: range) -> None:
        t_ns = START + np.array(minutes, np.int64) * 60 * NS
        power = np.full(len(t_ns), POWER_KW[meter])
        value = np.column_stack([power, 1e5 + np.array(minutes) / 60 * POWER_KW[meter], np.zeros(len(t_ns))])
        zero = np.zeros(value.shape, np.int16)
        await self.store.write([FrameBlock("p", "x", QUANTITIES, (meter,), np.zeros(len(t_ns), np.int32), t_ns, value, zero)])

    async def work(self) -> None:
        while await self.analytics.step():
            pass


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    clock = _Clock()
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock)
    await ledger.setup()
    yield Plant(ledger, clock)
    await ledger.close()


async def test_hours_settle_into_figures(plant: Plant) -> None:
    for meter in POWER_KW:
        await plant.feed(meter, range(241))
    plant.clock.t_ns = START + 4 * 3600 * NS + 300 * NS
    await plant.work()
    found = await plant.analytics.figures(Span(START, START + 4 * 3600 * NS))
    load, share = (found.figure("plant", name) for name in ("load_energy", "green_share_physical"))
    assert load is not None
    assert load.value == pytest.approx(4000.0)
    assert load.measured_share == pytest.approx(1.0)
    assert share is not None
    assert share.value == pytest.approx(30.0)
    assert found.residual_kwh["b"] == pytest.approx(40.0)
    assert {(f.source, f.sink): f.energy_kwh for f in found.flows} == {
        ("tie", "load"): pytest.approx(2800.0),
        ("sun", "load"): pytest.approx(1200.0),
    }
    minutes = await plant.store.read_derived("1m", ["point:mill"], ["energy_import"], Span(START, START + 3600 * NS))
    assert minutes.column("point:mill", "energy_import")[1].sum() == pytest.approx(990.0)


async def test_late_readings_restate_a_gap(plant: Plant) -> None:
    for meter in POWER_KW:
        await plant.feed(meter, range(61) if meter == "mill" else range(241))
    plant.clock.t_ns = START + 4 * 3600 * NS + 300 * NS
    await plant.work()
    span = Span(START, START + 4 * 3600 * NS)
    before = (await plant.analytics.figures(span)).points
    mill = next(p for p in before if p.point == "mill")
    assert mill.measured_share < 0.5
    assert mill.energy_import_high_kwh is not None
    assert mill.energy_import_high_kwh >= 3960.0
    await plant.feed("mill", range(61, 241))
    slots = [START + i * QUARTER_NS for i in range(3, 16)]
    await plant.ledger.mark_dirty("p", "point:mill", slots)
    await plant.work()
    mill = next(p for p in (await plant.analytics.figures(span)).points if p.point == "mill")
    assert mill.energy_import_kwh == pytest.approx(3960.0)
    assert mill.measured_share == pytest.approx(1.0)
    assert await plant.ledger.dirty("p", 10) == []


async def test_the_stamp_of_a_clock_that_was_never_set_stops_nothing(plant: Plant) -> None:
    for meter in POWER_KW:
        await plant.feed(meter, range(-START // (60 * NS), -START // (60 * NS) + 2))
        await plant.feed(meter, range(241))
    plant.clock.t_ns = START + 4 * 3600 * NS + 300 * NS
    await plant.work()
    await plant.ledger.mark_dirty("p", "point:mill", [0, QUARTER_NS, START])
    await plant.work()
    found = await plant.analytics.figures(Span(START, START + 4 * 3600 * NS))
    load = found.figure("plant", "load_energy")
    assert load is not None
    assert load.value == pytest.approx(4000.0)
    assert await plant.ledger.dirty("p", 10) == []


async def test_a_counter_bridges_an_outage_of_all_meters(plant: Plant) -> None:
    for meter in POWER_KW:
        await plant.feed(meter, range(31))
        await plant.feed(meter, range(210, 241))
    plant.clock.t_ns = START + 4 * 3600 * NS + 300 * NS
    await plant.work()
    found = await plant.analytics.figures(Span(START, START + 4 * 3600 * NS))
    mill = next(p for p in found.points if p.point == "mill")
    assert mill.energy_import_kwh == pytest.approx(3960.0)
    assert mill.energy_import_low_kwh == pytest.approx(3960.0 * 0.995)
    assert "spread" in mill.flags


async def test_a_silent_meter_is_null_now(plant: Plant) -> None:
    t_ns = plant.clock.t_ns
    for meter, power in POWER_KW.items():
        old = 3600 if meter == "sun" else 1
        plant.bus.frames[meter] = LastFrame(meter, t_ns, {"active_power": power}, {"active_power": 0}, t_ns - old * NS)
    live = await plant.analytics.live()
    assert live.branches["tie"].active_power_kw == pytest.approx(700.0)
    assert live.branches["sun"].active_power_kw is None
    assert live.power_kw["load"] is None
    plant.bus.frames["sun"] = LastFrame("sun", t_ns, {"active_power": 300.0}, {"active_power": 0}, t_ns)
    live = await plant.analytics.live()
    assert live.branches["sun"].active_power_kw == pytest.approx(-300.0)
    assert live.power_kw["load"] == pytest.approx(1000.0)
    share = live.windows["now"].figure("plant", "green_share_physical")
    assert share is not None
    assert share.value == pytest.approx(30.0)


async def test_a_verdict_that_mends_does_so_now(plant: Plant) -> None:
    t_ns = plant.clock.t_ns
    for meter, power in POWER_KW.items():
        plant.bus.frames[meter] = LastFrame(meter, t_ns, {"active_power": power}, {"active_power": 0}, t_ns)
    span = (t_ns - 3600 * NS, t_ns + 3600 * NS)
    notes = [("tie", "wrong_ratio x1.5"), ("sun", "reversed x-1")]
    await plant.ledger.annotate([Annotation("p", m, "", *span, verdict, "li", "seen") for m, verdict in notes])
    found = (await plant.analytics.live()).branches
    assert found["tie"].active_power_kw == pytest.approx(1050.0)
    assert found["sun"].active_power_kw == pytest.approx(300.0)


async def test_a_power_of_long_ago_is_null_though_its_meter_speaks(plant: Plant) -> None:
    t_ns = plant.clock.t_ns
    long_ago = (t_ns - 3600 * NS, t_ns - 3600 * NS)
    for meter, power in POWER_KW.items():
        said, older = {"active_power": power, "frequency": 50.0}, {"active_power": long_ago} if meter == "sun" else {}
        plant.bus.frames[meter] = LastFrame(meter, t_ns, said, dict.fromkeys(said, 0), t_ns, older)
    live = await plant.analytics.live()
    assert live.branches["tie"].active_power_kw == pytest.approx(700.0)
    assert (live.branches["sun"].active_power_kw, live.branches["sun"].age_s) == (None, 3600.0)


async def test_imported_amounts_keep_their_sum(plant: Plant) -> None:
    days = 40
    t_ns = START + np.arange(days * 96, dtype=np.int64) * QUARTER_NS
    amount = np.random.default_rng(3).uniform(0, 200, len(t_ns)).round(2)
    index, zero = np.zeros(1000, np.int32), np.zeros((1000, 1), np.int16)
    for at in range(0, len(t_ns), 1000):
        n = len(t_ns[at : at + 1000])
        block = FrameBlock(
            "p", "x", ("interval_energy_import",), ("tie",), index[:n], t_ns[at : at + n], amount[at : at + n, None], zero[:n]
        )
        await plant.store.write([block])
    plant.clock.t_ns = int(t_ns[-1]) + 3600 * NS
    await plant.work()
    found = await plant.analytics.figures(Span(START, START + days * 96 * QUARTER_NS))
    tie = next(p for p in found.points if p.point == "tie")
    assert tie.energy_import_kwh == pytest.approx(amount.sum(), abs=1e-6)
    assert tie.completeness == pytest.approx(1.0)


async def test_closing_twice_keeps_both_versions(plant: Plant) -> None:
    for meter in POWER_KW:
        await plant.feed(meter, range(241))
    plant.clock.t_ns = START + 5 * 3600 * NS
    await plant.work()
    day = plant.site.calendar.production_date(START).isoformat()
    assert (await plant.analytics.report("day", day)).version == 0
    with pytest.raises(InputError, match="when all of it is settled"):
        await plant.analytics.close_period("day", day, "month end", "li", "waived")
    plant.clock.t_ns = plant.site.calendar.production_day(date.fromisoformat(day)).end_ns + 300 * NS
    await plant.work()
    with pytest.raises(InputError, match="waited for until"):
        await plant.analytics.close_period("day", day, "month end", "li")
    with pytest.raises(InputError, match="cause"):
        await plant.analytics.close_period("day", day, " ", "li", "waived")
    plant.clock.t_ns += 10 * 86_400 * NS
    first = await plant.analytics.close_period("day", day, "month end", "li")
    second = await plant.analytics.close_period("day", day, "weights came late", "li")
    assert (first.version, second.version) == (1, 2)
    assert second.body["predecessor"] == 1
    assert second.body["difference"] == {}
    assert (await plant.analytics.report("day", day)).version == 2
