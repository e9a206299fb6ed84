"""Whole files through mapping, screening and store, on every kind of store; real recordings where they are at hand."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from analytics.service import Analytics
from collector.import_store import import_file, write_plan
from plant import nodes
from plant.config import parse_site
from plant.errors import InputError
from plant.ports import Written
from plant.quality import Quality
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER_NS
from plant.site import Site, StoreSettings
from potwatt.board import Board
from potwatt.live_bus import LiveBus
from storage.embedded import EmbeddedStore
from storage.influx import InfluxStore
from storage.ledger import SqlLedger
from storage.memory import MemoryStore

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NOW_NS = round(datetime.fromisoformat("2026-11-20T00:00:00+00:00").timestamp()) * 10**9
IMPORT, EXPORT = "interval_energy_import", "interval_energy_export"


class FixedClock:
    """Implements plant.ports.Clock from one instant on: only sleeping moves it, in no time."""

    def __init__(self) -> None:
        self._t_ns = NOW_NS

    def now_ns(self) -> int:
        return self._t_ns

    async def sleep(self, seconds: float) -> None:
        self._t_ns += round(seconds * 1e9)


def example(name: str) -> tuple[Site, Path]:
    """An example site with its mapping file."""
    site = parse_site((EXAMPLES / f"{name}-site.toml").read_text("utf-8"), f"{name}-site.toml", known_profiles={})
    return site, EXAMPLES / f"{name}-mapping.toml"


def recording(name: str) -> Path:
    """A recording of a real plant, where the machine has them."""
    folder = os.environ.get("POTWATT_RECORDINGS")
    if not folder:
        pytest.skip("no recordings of real plants here: POTWATT_RECORDINGS names their folder")
    return Path(folder) / name


def written_year(folder: Path) -> tuple[Path, float]:
    """A year with every quirk of the steel works' file, and the sum of its column in kWh."""
    energy = np.random.default_rng(7).uniform(0, 160, 365 * 96).round(2)
    begin = datetime(2018, 1, 1, tzinfo=UTC)
    rows = []
    for i, value in enumerate(energy.tolist()):
        day = begin + timedelta(days=i // 96)
        end = begin + timedelta(minutes=15 * (i + 1))
        rows.append(f"{day:%d/%m/%Y} {end.hour}:{end:%M},{value:g},Weekday\n")
    path = folder / "year.csv"
    path.write_text("date,Usage_kWh,WeekStatus\n" + "".join(rows), "utf-8-sig")
    return path, math.fsum(energy.tolist())


@dataclass
class Kept:
    """A store of one kind for one site, and its ledger."""

    kind: str
    folder: Path
    url: str
    store: Any = None
    ledger: Any = None

    async def open(self, site: Site):
        self.ledger = SqlLedger(f"sqlite:///{self.folder}/ledger.db", FixedClock())
        settings = StoreSettings()
        if self.kind == "influxdb":
            settings = replace(settings, kind="influxdb", url=self.url, database=f"t{uuid4().hex[:12]}")
            self.store = InfluxStore(settings, site.id, {})
        elif self.kind == "embedded":
            self.store = EmbeddedStore(self.folder / "series", site.id, settings)
        else:
            self.store = MemoryStore(site.id)
        await self.ledger.setup()
        await self.store.setup()
        return self

    async def take(self, site: Site, table: Path, mapping: Path) -> tuple[Written, object]:
        imported, _ = await import_file(table, mapping, site, store=self.store, ledger=self.ledger, now_ns=NOW_NS)
        return imported.written, imported.plan.report

    async def report(self, site: Site, kind: str, period: str) -> dict[str, Any]:
        """A report once everything imported has been computed."""
        rulebook = parse_rules(shipped_rule_texts())
        parts = {"store": self.store, "ledger": self.ledger, "clock": FixedClock(), "bus": LiveBus(), "health": Board()}
        analytics = Analytics(site=site, rulebook=rulebook, profiles_wraps={}, quantities_of={}, **parts)
        while await analytics.step():
            pass
        return (await analytics.report(kind, period)).body

    async def close(self) -> None:
        for opened in (self.store, self.ledger):
            if opened is not None:  # a test that skips has opened nothing
                await opened.close()


@pytest.fixture(params=["memory", "embedded", "influxdb"])
async def kept(request, tmp_path):
    url = request.getfixturevalue("influxdb") if request.param == "influxdb" else ""
    kept = Kept(request.param, tmp_path, url)
    yield kept
    await kept.close()


async def check_year(kept: Kept, table: Path, total_kwh: float) -> None:
    site, mapping = example("steel")
    await kept.open(site)
    written, report = await kept.take(site, table, mapping)
    assert (written.stored, report.taken, report.out_of_order, report.gap_count) == (35_040, 35_040, 0, 0)
    assert report.columns[0].total == pytest.approx(total_kwh, abs=1e-6)
    series = await kept.store.read("works", IMPORT, site.calendar.year(2018))
    assert len(series) == 35_040
    assert math.fsum(series.value.tolist()) == pytest.approx(total_kwh, abs=1e-6)
    dirty = await kept.ledger.dirty(site.id, 100_000)
    assert {slot.node for slot in dirty} == {nodes.point("works")}
    assert len(dirty) == 35_040 + 2, "those beside the year may lean on its values"
    year = await kept.report(site, "year", "2018")
    assert year["figures"]["plant"]["load_energy"]["value"] == pytest.approx(total_kwh, abs=1e-3)
    assert [(p["point"], p["completeness"]) for p in year["points"]] == [("works", 1.0)]
    again, _ = await kept.take(site, table, mapping)
    assert again == Written(0, 35_040, 0)
    assert await kept.ledger.dirty(site.id, 10) == []
    assert await kept.store.count() == {"works": 35_040}


@pytest.mark.parametrize("kept", ["memory", "influxdb"], indirect=True)
async def test_a_year_with_the_steel_works_quirks_is_kept_to_the_kwh_and_again_changes_nothing(kept, tmp_path):
    await check_year(kept, *written_year(tmp_path))


@pytest.mark.parametrize("kept", ["embedded", "influxdb"], indirect=True)
async def test_the_steel_works_year_is_kept_to_the_kwh_and_again_changes_nothing(kept):
    table = recording("steel_works_2018_15min.csv")
    column = [float(line.split(",")[1]) for line in table.read_text("utf-8-sig").splitlines()[1:]]
    await check_year(kept, table, math.fsum(column))


async def test_the_rooftop_plant_keeps_its_nights(kept):
    site, mapping = example("serf")
    await kept.open(site)
    table = recording("pv_serf_east_1min.csv")
    power_w = np.array([float(line.split(",")[1]) for line in table.read_text("utf-8-sig").splitlines()[1:]])
    _, report = await kept.take(site, table, mapping)
    assert (report.columns[0].negative, report.columns[0].values) == (int((power_w < 0).sum()), 2_607)
    generated = await kept.store.read("pv-ac", IMPORT, report.span)
    consumed = await kept.store.read("pv-ac", EXPORT, report.span)
    assert generated.value.sum() == pytest.approx(power_w[power_w > 0].sum() / 60_000, rel=1e-9)
    assert consumed.value.sum() == pytest.approx(-power_w[power_w < 0].sum() / 60_000, rel=1e-9)
    assert (consumed.quality[consumed.value > 0] == int(Quality.ESTIMATED | Quality.QUESTIONABLE)).all()
    assert (generated.quality & int(Quality.ESTIMATED)).all()


async def test_the_pv_plant_and_its_inverter(kept):
    site, mapping = example("rsf2")
    await kept.open(site)
    table = recording("pv_rsf2_inverter_15min.csv")
    rows = [line.split(",") for line in table.read_text("utf-8-sig").splitlines()[1:]]
    _, report = await kept.take(site, table, mapping)
    assert report.span.start_ns == site.calendar.day(date(2022, 1, 2)).start_ns
    for meter, column, to_kwh in (("plant-ac", 1, 0.25), ("inverter-2", 3, 0.00025)):
        series = await kept.store.read(meter, IMPORT, report.span)
        assert series.value.sum() == pytest.approx(sum(max(float(row[column]), 0) for row in rows) * to_kwh, rel=1e-9)
    day = await kept.report(site, "day", "2022-01-03")
    (point,) = day["points"]
    that_day = sum(float(row[1]) for row in rows if row[0].startswith("1/3/2022 ")) * 0.25
    assert that_day > 0
    assert (point["point"], point["energy_import_kwh"]) == ("plant-ac", 0.0)
    assert point["energy_export_kwh"] == pytest.approx(that_day, rel=1e-9)


async def test_another_value_for_a_stored_interval_is_counted_and_not_written(kept, tmp_path):
    site, mapping = example("steel")
    await kept.open(site)
    table = tmp_path / "table.csv"
    table.write_text("date,Usage_kWh\n01/01/2018 0:15,3\n01/01/2018 0:30,4\n")
    await kept.take(site, table, mapping)
    table.write_text("date,Usage_kWh\n01/01/2018 0:15,3\n01/01/2018 0:30,5\n01/01/2018 0:45,6\n")
    written, _ = await kept.take(site, table, mapping)
    assert written == Written(1, 1, 1)
    series = await kept.store.read("works", IMPORT, site.calendar.day(date(2018, 1, 1)))
    assert series.value.tolist() == [3.0, 4.0, 6.0]
    # only the slot of the new value and its neighbours have to be computed anew beside those of the first import
    first_ns = int(series.t_ns[0]) - QUARTER_NS
    assert [slot.slot_ns for slot in await kept.ledger.dirty(site.id, 10)] == [first_ns + i * QUARTER_NS for i in range(5)]


async def test_readings_that_the_store_would_drop_are_refused_before_anything_is_written(kept, tmp_path):
    site, mapping_file = example("rsf2")
    await kept.open(site)
    mapping = tmp_path / "raw.toml"
    mapping.write_text(mapping_file.read_text("utf-8").replace('unit = "W"', 'unit = "W"\nkeep = "raw"'), "utf-8")
    table = tmp_path / "table.csv"
    table.write_text(",ac_power_kw_1137,inv2_ac_power_w__1047\n1/2/2022 0:00,1,1000\n")
    with pytest.raises(InputError, match=r"inverter-2: the file starts 17\d\d days ago and the store keeps active_power for 90"):
        await kept.take(site, table, mapping)
    assert await kept.store.count() == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), ("date,Usage_kWh\n大\n".encode("gb18030"), r"byte 15 is not utf-8-sig.*gb18030")],
)
async def test_a_file_that_cannot_be_read_says_what_to_do(tmp_path, content, words):
    site, mapping = example("steel")
    kept = await Kept("memory", tmp_path, "").open(site)
    table = tmp_path / "table.csv"
    if content is not None:
        table.write_bytes(content)
    with pytest.raises(InputError, match=words):
        await kept.take(site, table, mapping)
    await kept.close()


async def test_an_empty_plan_writes_nothing(tmp_path):
    site, mapping = example("steel")
    kept = await Kept("memory", tmp_path, "").open(site)
    table, _ = written_year(tmp_path)
    imported, _ = await import_file(table, mapping, site, store=kept.store, ledger=kept.ledger, now_ns=NOW_NS)
    nothing = replace(imported.plan, blocks=())
    assert await write_plan(nothing, site, store=kept.store, ledger=kept.ledger, now_ns=NOW_NS) == Written(0, 0, 0)
    assert int(imported.plan.blocks[0].t_ns[0]) % QUARTER_NS == 0
    await kept.close()
