"""Fail-over, days that are no 24 hours, closed periods that get late data, repeated work, verdicts, R, an imported year."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import NS, SmallPlant, entry, meter_toml, small_plant

from plant.errors import StoreUnavailable
from plant.ports import Annotation
from plant.series import QUARTER_NS, DerivedBlock, Span
from plant.site import StoreSettings
from storage.embedded import EmbeddedStore
from storage.memory import MemoryStore

HOUR_NS = 3600 * NS
DAY_NS = 24 * HOUR_NS
START = round(datetime(2026, 5, 31, 16, tzinfo=UTC).timestamp()) * NS  # 1 June in Shanghai
SITE = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "mill", kind = "feeder", bus = "b" },
]
""" + "".join(
    meter_toml(name, i + 1, measures)
    for i, (name, measures) in enumerate(
        {
            "tie": 'branch = "tie", rated_power_kw = 2000',
            "tie-check": 'branch = "tie", rank = "check", rated_power_kw = 2000, class_percent = 1',
            "mill": 'branch = "mill", rated_power_kw = 2000',
        }.items()
    )
)
AC = ("active_power", "energy_import", "energy_export")
KNOWN = dict.fromkeys(("tie", "tie-check", "mill"), AC)
POWER_KW = {"tie": 1000.0, "tie-check": 1002.0, "mill": 990.0}


async def _feed(plant: SmallPlant, meter: str, start_ns: int, end_ns: int, step_s: int = 60) -> None:
    t_ns = np.arange(start_ns, end_ns + 1, step_s * NS, dtype=np.int64)
    one, hours = np.ones(len(t_ns)), (t_ns - START) / HOUR_NS
    power = POWER_KW[meter]
    await plant.feed(meter, t_ns, active_power=power * one, energy_import=1e6 + power * hours, energy_export=0 * one)


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[SmallPlant]:
    async with small_plant(tmp_path, SITE, START, KNOWN) as made:
        yield made


async def _settled(plant: SmallPlant, hours: int) -> Span:
    plant.clock.t_ns = max(plant.clock.t_ns, START + hours * HOUR_NS + 300 * NS)
    await plant.work()
    return Span(START, START + hours * HOUR_NS)


async def test_the_check_meter_supplies_what_the_main_meter_missed(plant: SmallPlant) -> None:
    await _feed(plant, "tie", START, START + HOUR_NS)
    await _feed(plant, "tie-check", START, START + 4 * HOUR_NS)
    await _feed(plant, "mill", START, START + 4 * HOUR_NS)
    span = await _settled(plant, 4)
    rows = await plant.store.read_derived("15m", ["branch:tie"], ["energy_import", "flags", "completeness"], span)
    energy, flags, complete = (rows.column("branch:tie", name)[1] for name in ("energy_import", "flags", "completeness"))
    substituted = flags.astype(int) & 64 > 0
    # the slot that ends with the main meter's last reading still is the main meter's
    assert substituted.tolist() == [False] * 4 + [True] * 12
    assert energy.tolist() == pytest.approx([250.0] * 4 + [250.5] * 12)
    assert complete.min() == pytest.approx(1.0)
    load = (await plant.analytics.figures(span)).figure("plant", "load_energy")
    assert load is not None
    assert load.value == pytest.approx(1000.0 + 3 * 1002.0)
    assert load.low == pytest.approx(1000.0 * 0.995 + 3 * 1002.0 * 0.99)
    assert load.high == pytest.approx(1000.0 * 1.005 + 3 * 1002.0 * 1.01)


@pytest.mark.parametrize(("year", "month", "day", "hours"), [(2026, 3, 29, 23), (2026, 10, 25, 25)])
async def test_days_around_a_clock_change_add_up_to_the_month(
    tmp_path: Path, year: int, month: int, day: int, hours: int
) -> None:
    first = round(datetime(year, month, 1, tzinfo=UTC).timestamp()) * NS - 2 * HOUR_NS
    async with small_plant(tmp_path, SITE, first, KNOWN, zone="Europe/Berlin") as plant:
        calendar = plant.site.calendar
        span = calendar.month(year, month)
        t_ns = np.arange(span.start_ns, span.end_ns, QUARTER_NS, dtype=np.int64)
        await plant.feed("tie", t_ns, interval_energy_import=np.full(len(t_ns), 250.0))
        plant.clock.t_ns = span.end_ns + HOUR_NS
        await plant.work()
        whole = await plant.analytics.report("month", f"{year}-{month:02}")
        days = [await plant.analytics.report("day", row["label"]) for row in whole.body["rows"]]
        energy = [d.body["figures"]["plant"]["load_energy"]["value"] for d in days]
        assert len(days) == 31
        assert energy[day - 1] == pytest.approx(hours * 1000.0)
        assert sum(energy) == pytest.approx(whole.body["figures"]["plant"]["load_energy"]["value"], rel=1e-9)
        assert sum(energy) == pytest.approx(1000.0 * span.seconds / 3600)
        shifts = days[day - 1].body["rows"]
        assert sum(s["figures"]["plant"]["load_energy"]["value"] for s in shifts) == pytest.approx(energy[day - 1])
        assert calendar.day(date(year, month, day)).seconds == hours * 3600


async def test_late_readings_make_a_new_version_of_a_closed_day_only_when_closed_again(plant: SmallPlant) -> None:
    for meter, until in (("tie", 22), ("tie-check", 22), ("mill", 24)):
        await _feed(plant, meter, START, START + until * HOUR_NS)
    await _settled(plant, 24)
    await plant.analytics.close_period("day", "2026-06-01", "day is over", "li", "waived")
    [first] = await plant.ledger.reports("p", "day", "2026-06-01")
    before = first.body["figures"]["plant"]["load_energy"]
    minutes = np.arange(121)
    power = np.full(121, 1100.0)
    late = {"active_power": power, "energy_import": 1_022_000 + power * minutes / 60, "energy_export": np.zeros(121)}
    await plant.feed("tie", START + 22 * HOUR_NS + minutes * 60 * NS, **late)
    await plant.ledger.mark_dirty("p", "point:tie", [START + i * QUARTER_NS for i in range(87, 96)])
    await plant.work()
    assert await plant.analytics.report("day", "2026-06-01") == first
    assert await plant.ledger.reports("p", "day", "2026-06-01") == [first]
    await plant.analytics.close_period("day", "2026-06-01", "gateway was down", "li", "waived")
    kept, second = await plant.ledger.reports("p", "day", "2026-06-01")
    assert kept == first
    assert (second.version, second.body["predecessor"]) == (2, 1)
    after = second.body["figures"]["plant"]["load_energy"]
    assert after["value"] == pytest.approx(24_200.0, abs=5.0)
    assert second.body["difference"]["plant/load_energy"] == {"before": before["value"], "after": after["value"]}
    assert first.interval_hash != second.interval_hash


class _FailingClear:
    """The ledger of a process that dies after the rows are stored and before the slots are taken off the list."""

    def __init__(self, ledger: object) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def clear_dirty_span(self, *_: object) -> None:
        raise StoreUnavailable("the process ends here")


async def test_dying_before_the_list_is_cleared_only_repeats_work(plant: SmallPlant) -> None:
    for meter in POWER_KW:
        await _feed(plant, meter, START, START + 4 * HOUR_NS)
    span = await _settled(plant, 4)
    before = await plant.analytics.figures(span)
    await plant.ledger.mark_dirty("p", "point:tie", [START + QUARTER_NS])
    plant.restart(ledger=_FailingClear(plant.ledger))  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await plant.work()
    assert len(await plant.ledger.dirty("p", 10)) == 1
    plant.restart()
    await plant.work()
    assert await plant.ledger.dirty("p", 10) == []
    assert (await plant.analytics.figures(span)).interval_hash == before.interval_hash


async def test_dying_before_the_rows_are_stored_leaves_nothing_out(tmp_path: Path) -> None:
    class Dying(MemoryStore):
        dies = False

        async def write_derived(self, block: DerivedBlock) -> None:
            if self.dies:
                raise StoreUnavailable("the process ends here")
            await super().write_derived(block)

    store = Dying("p")
    async with small_plant(tmp_path, SITE, START, KNOWN, store=store) as plant:
        for meter in POWER_KW:
            await _feed(plant, meter, START, START + 4 * HOUR_NS)
        store.dies = True
        with pytest.raises(StoreUnavailable):
            await _settled(plant, 4)
        store.dies = False
        plant.restart()
        span = await _settled(plant, 4)
        load = (await plant.analytics.figures(span)).figure("plant", "load_energy")
        assert load is not None
        assert load.value == pytest.approx(4000.0)


async def test_a_verdict_takes_a_span_out_and_another_lifts_it(plant: SmallPlant) -> None:
    for meter in POWER_KW:
        await _feed(plant, meter, START, START + 4 * HOUR_NS)
    span = await _settled(plant, 4)
    stuck = (START + HOUR_NS, START + 2 * HOUR_NS)
    await plant.ledger.annotate([Annotation("p", "tie", "", *stuck, "stuck", "li", "display froze")])
    await plant.work()
    load = (await plant.analytics.figures(span)).figure("plant", "load_energy")
    assert load is not None
    assert load.value == pytest.approx(3 * 1000.0 + 1002.0, abs=1.0)
    tie = next(p for p in (await plant.analytics.figures(span)).points if p.point == "tie")
    assert tie.energy_import_kwh == pytest.approx(4000.0)
    assert "spread" in tie.flags
    await plant.ledger.annotate([Annotation("p", "tie", "", *stuck, "good", "li", "was right after all")])
    await plant.work()
    load = (await plant.analytics.figures(span)).figure("plant", "load_energy")
    assert load is not None
    assert load.value == pytest.approx(4000.0)


async def test_the_year_report_has_the_certificate_ratio(tmp_path: Path) -> None:
    # 180 000 + 1 500 000 + 800 000 of 6 700 000 MWh: 37.0149 %
    first = round(datetime(2025, 12, 31, 16, tzinfo=UTC).timestamp()) * NS
    async with small_plant(tmp_path, SITE, first, KNOWN) as plant:
        t_ns = first + np.arange(96, dtype=np.int64) * QUARTER_NS
        await plant.feed("tie", t_ns, interval_energy_import=np.full(96, 6_700_000e3 / 96))
        for kind, amount in (("self_use", 180_000), ("green_trade", 1_500_000), ("bought", 800_000)):
            data = {"type": kind, "status": "cancelled", "quota_year": 2026, "generation_month": "2025-11"}
            # generated in November of the year before: what counts is the year that it is cancelled for
            made = first - 40 * DAY_NS
            await plant.ledger.add([entry("certificate", "plant", made, amount, made + DAY_NS, **data)])
        other = {"type": "bought", "status": "valid", "quota_year": 2026, "generation_month": "2026-01"}
        await plant.ledger.add([entry("certificate", "plant", first, 1_000, first + DAY_NS, **other)])
        plant.clock.t_ns = first + DAY_NS + 300 * NS
        await plant.work()
        ratio = (await plant.analytics.report("year", "2026")).body["figures"]["plant"]["certificate_ratio"]
        assert ratio["value"] == pytest.approx(37.0149, abs=5e-5)
        assert ratio["low"] < ratio["value"] < ratio["high"]
        assert "certificate_ratio" not in (await plant.analytics.report("month", "2026-01")).body["figures"]["plant"]


async def test_an_imported_year_in_the_embedded_store_keeps_its_sum(tmp_path: Path) -> None:
    first = round(datetime(2024, 12, 31, 16, tzinfo=UTC).timestamp()) * NS
    store = EmbeddedStore(tmp_path / "series.duckdb", "p", StoreSettings())
    await store.setup()
    async with small_plant(tmp_path, SITE, first, KNOWN, store=store) as plant:
        t_ns = first + np.arange(365 * 96, dtype=np.int64) * QUARTER_NS
        amount = np.random.default_rng(7).uniform(0, 200, len(t_ns)).round(2)
        await plant.feed("tie", t_ns, interval_energy_import=amount)
        plant.clock.t_ns = int(t_ns[-1]) + HOUR_NS
        await plant.work()
        year = await plant.analytics.report("year", "2025")
        tie = next(p for p in year.body["points"] if p["point"] == "tie")
        assert len(t_ns) == 35_040
        assert tie["energy_import_kwh"] == pytest.approx(amount.sum(), abs=0.5)
        assert tie["completeness"] == pytest.approx(1.0)
        months = [row["figures"]["plant"]["load_energy"]["value"] for row in year.body["rows"]]
        assert sum(months) == pytest.approx(amount.sum(), abs=0.5)
    await store.close()
