"""Backup, restore and export: of a plant that writes meanwhile, through the running program, and what is refused."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib import resources
from pathlib import Path

import duckdb
import pytest
from collector_blocks import T0_NS, block
from real_servers import free_port, listens, running

from collector.forward import Forwarder
from collector.quarantine import Quarantine
from collector.spool import Spool
from plant.errors import InputError
from plant.frame import FrameBlock
from plant.ports import LedgerEntry
from plant.series import Span
from plant.site import SpoolSettings
from potwatt.backup import back_up, restore
from potwatt.board import Board
from potwatt.clock import SystemClock
from potwatt.copies import Copies
from potwatt.export import export
from potwatt.load import Loaded, load_site
from potwatt.program import build_ledger
from storage.embedded import EmbeddedStore
from storage.ledger import SqlLedger

S = 1_000_000_000
EVER = Span(0, 2**62)
POTWATT = [sys.executable, "-c", "from potwatt.cli import main; main()"]


def a_site(folder: Path, port: int = 0) -> Loaded:
    folder.mkdir(exist_ok=True)
    path = folder / "site.toml"
    text = (
        (resources.files("potwatt") / "site_template.toml")
        .read_text("utf-8")
        .replace("port = 8000", f"port = {port or free_port()}")
        .replace('"my-smelter"', '"smelter"', 1)
    )
    path.write_text(text, "utf-8")
    loaded = load_site(path)
    return replace(loaded, site=replace(loaded.site, store=replace(loaded.site.store, raw_days=3_600)))


def names(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


class Plant:
    """Spool, forwarder, store and ledger of a data folder."""

    def __init__(self, loaded: Loaded) -> None:
        self.clock, self.board, data = SystemClock(), Board(), loaded.data_dir
        data.mkdir(parents=True, exist_ok=True)
        self.store = EmbeddedStore(data / "series.duckdb", "smelter", loaded.site.store)
        self.ledger: SqlLedger = build_ledger(loaded, self.clock)
        self.spool = Spool(data / "spool", SpoolSettings(commit_ms=1, segment_mib=1), self.clock, self.board)
        self.forwarder = Forwarder(
            self.spool, self.store, self.ledger, site=loaded.site, clock=self.clock, health=self.board,
            quarantine=Quarantine(data / "quarantine", self.clock, self.board),
        )  # fmt: skip

    async def stored(self) -> list[int]:
        series = await self.store.read("m-1", "energy_import", EVER)
        return [int(v) for v in series.value]

    async def drained(self) -> None:
        async with asyncio.timeout(30):
            while self.spool.cursor("store") != self.spool.durable:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def plant_of(loaded: Loaded) -> AsyncIterator[Plant]:
    plant = Plant(loaded)
    await plant.ledger.setup()
    await plant.store.setup()
    await plant.spool.open()
    task = asyncio.create_task(plant.forwarder.run())
    try:
        yield plant
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await plant.spool.close()
        await plant.store.close()
        await plant.ledger.close()


def some(first: int) -> FrameBlock:
    """Ten readings; those of one call after the other lie hours apart, so that days close."""
    made = block(10, first=first)
    return replace(made, t_ns=T0_NS + (made.t_ns - T0_NS) * 300)


async def test_a_plant_restored_from_a_backup_taken_while_it_wrote_goes_on_with_nothing_lost_or_twice(tmp_path: Path) -> None:
    old, new = a_site(tmp_path / "old"), a_site(tmp_path / "new")
    acknowledged, enough = 0, asyncio.Event()
    async with plant_of(old) as plant:

        async def writing() -> None:
            nonlocal acknowledged
            while not enough.is_set():
                await plant.spool.append([some(acknowledged)])
                acknowledged += 10
                await asyncio.sleep(0.001)

        task = asyncio.create_task(writing())
        await asyncio.sleep(1.0)
        await plant.store.compact(plant.clock.now_ns())
        before = acknowledged
        done = await back_up(old, plant.store, tmp_path / "copy", plant.clock.now_ns())
        after = acknowledged
        enough.set()  # a cancelled append may have been durable without anybody having been told
        await task
        await plant.drained()
        everything = await plant.stored()
    assert before > 0
    assert after > before, "writing stood still while the copy was made"
    # the block under way when the writer was ended may be in or not
    assert everything in (list(range(acknowledged)), list(range(acknowledged + 10)))
    assert done.left_out == ()
    assert restore(new, tmp_path / "copy") > 3
    async with plant_of(new) as again:
        await again.drained()
        found = await again.stored()
        assert found == list(range(len(found))), "each once"
        assert before <= len(found) <= acknowledged
        for first in range(0, acknowledged + 50, 10):  # what a broker sends again, and what comes new
            await again.spool.append([some(first)])
        await again.drained()
        assert await again.stored() == list(range((acknowledged + 50) // 10 * 10))


async def test_events_and_documents_are_in_the_copy(tmp_path: Path) -> None:
    old, new = a_site(tmp_path / "old"), a_site(tmp_path / "new")
    entry = LedgerEntry("smelter", "ingots", "doc-1", "erp", "plant", T0_NS, T0_NS + S, 5, "kg", "me")
    async with plant_of(old) as plant:
        await plant.ledger.add([entry])
        await back_up(old, plant.store, tmp_path / "copy", plant.clock.now_ns())
        await plant.ledger.add([replace(entry, key="doc-2")])
    restore(new, tmp_path / "copy")
    async with plant_of(new) as again:
        assert [e.key for e in await again.ledger.entries("smelter", ("ingots",), EVER)] == ["doc-1"]


@pytest.fixture
async def copy(tmp_path: Path) -> Path:
    old = a_site(tmp_path / "old")
    async with plant_of(old) as plant:
        await plant.spool.append([some(0)])
        await plant.drained()
        await back_up(old, plant.store, tmp_path / "copy", plant.clock.now_ns())
    return tmp_path / "copy"


def test_what_is_not_a_whole_backup_of_this_plant_is_refused(tmp_path: Path, copy: Path) -> None:
    new = a_site(tmp_path / "new")
    with pytest.raises(InputError, match="not a whole backup"):
        restore(new, tmp_path)
    with pytest.raises(InputError, match="of plant 'smelter'"):
        restore(replace(new, site=replace(new.site, id="other")), copy)
    manifest = json.loads((copy / "backup.json").read_text("utf-8"))
    (copy / "backup.json").write_text(json.dumps(manifest | {"format": 9}))
    with pytest.raises(InputError, match="backup format 9, this potwatt reads 1"):
        restore(new, copy)
    (copy / "backup.json").write_text(json.dumps(manifest | {"files": {"../../etc/passwd": [1, ""]}}))
    with pytest.raises(InputError, match="lies outside"):
        restore(new, copy)
    (copy / "backup.json").write_text(json.dumps(manifest))
    with (copy / "series.duckdb").open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    with pytest.raises(InputError, match=r"series\.duckdb is not as it was written"):
        restore(new, copy)
    assert not new.data_dir.exists()


def test_a_data_folder_in_use_is_never_written_over(tmp_path: Path, copy: Path) -> None:
    old = a_site(tmp_path / "old")
    with pytest.raises(InputError, match="not empty"):
        restore(old, copy)


async def test_a_backup_into_a_disk_without_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = a_site(tmp_path / "old")
    async with plant_of(old) as plant:
        await plant.spool.append([some(0)])
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
            with pytest.raises(InputError, match="free some room"):
                await back_up(old, plant.store, tmp_path / "copy", plant.clock.now_ns())
        assert names(tmp_path, "copy*") == []


async def test_what_a_killed_backup_left_is_removed_by_the_next(tmp_path: Path) -> None:
    old = a_site(tmp_path / "old")
    async with plant_of(old) as plant:
        await plant.spool.append([some(0)])
        await plant.drained()
        left = old.data_dir / "backups/20260101T000000Z.unfinished/spool"
        await asyncio.to_thread(left.mkdir, parents=True)
        folder, byte_count, left_out = await Copies(old, plant.store, plant.clock).back_up()
        assert names(old.data_dir / "backups", "*") == [folder.name]
        assert byte_count > 0
        assert left_out == ()
        assert names(folder, "backups") == [], "a backup holds no backups"


async def test_an_export_holds_every_value_of_the_span_and_no_other(tmp_path: Path) -> None:
    loaded = a_site(tmp_path / "old")
    meter = next(m for m in loaded.site.meters.values() if "active_power" in loaded.profiles[m.profile].quantities)
    async with plant_of(loaded) as plant:
        blocks = [replace(some(n * 10), meters=(meter.id,)) for n in range(100)]
        blocks[3].value[2, 0] = float("nan")
        await plant.store.write(blocks)
        await plant.store.compact(plant.clock.now_ns())
        span = Span(T0_NS + 300 * S * 25, T0_NS + 300 * S * 905)
        for kind in ("csv", "parquet"):
            file = tmp_path / f"out.{kind}"
            assert await export(loaded, plant, "raw", span, file, kind) == 2 * 880  # type: ignore[arg-type]
            with pytest.raises(InputError, match="exists"):
                await export(loaded, plant, "raw", span, file, "csv")
    with (tmp_path / "out.csv").open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert {(r["meter"], r["unit"]) for r in rows} == {(meter.id, "kW"), (meter.id, "kWh")}
    energies = [r for r in rows if r["quantity"] == "energy_import"]
    assert [int(float(r["value"])) for r in energies] == list(range(25, 905))
    assert energies[0]["time_utc"] == "2026-11-18T13:11:40.000Z"
    missing = [r for r in rows if r["quantity"] == "active_power" and r["value"] == ""]
    assert [r["quality"] != "0" for r in missing] == [True]
    with duckdb.connect() as db:
        [(count, total)] = db.execute(f"SELECT count(*), sum(value) FROM '{tmp_path / 'out.parquet'}'").fetchall()
    assert (count, total) == (1760, sum(range(25, 905)) + 879 * 100.0)
    assert names(tmp_path, "*.scratch") == []


def potwatt(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*POTWATT, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def running_site(tmp_path: Path) -> tuple[Path, Loaded]:
    loaded = a_site(tmp_path / "old")

    async def fill() -> None:
        async with plant_of(loaded) as plant:
            now = SystemClock().now_ns() // S * S
            meter = next(m for m in loaded.site.meters.values() if "active_power" in loaded.profiles[m.profile].quantities)
            made = replace(block(60, meters=(meter.id,)), t_ns=now - 3600 * S + (block(60).t_ns - T0_NS))
            await plant.store.write([made])

    asyncio.run(fill())
    return tmp_path, loaded


def test_a_running_program_makes_the_copies(running_site: tuple[Path, Loaded]) -> None:
    folder, loaded = running_site
    port = loaded.site.api.port
    with running([*POTWATT, "run", str(folder / "old/site.toml")], lambda: listens(port), folder / "log"):
        made = potwatt("backup", str(folder / "copy"), "--site", "old/site.toml", cwd=folder)
        assert made.returncode == 0, made.stderr
        again = potwatt("backup", str(folder / "copy"), "--site", "old/site.toml", cwd=folder)
        assert "exists" in again.stderr
        written = potwatt("export", "out.csv", "--site", "old/site.toml", "--start", "-2h", "--format", "csv", cwd=folder)
        assert "out.csv: 120 rows" in written.stdout, written.stderr
        wrong = potwatt("export", "out2.csv", "--site", "old/site.toml", "--start", "yesterday", cwd=folder)
        assert "found 'yesterday'" in wrong.stderr
    a_site(folder / "new")
    restored = potwatt("restore", "copy", "--site", "new/site.toml", cwd=folder)
    assert restored.returncode == 0, restored.stderr
    assert "potwatt run new/site.toml" in restored.stdout
    written = potwatt("export", "after.csv", "--site", "new/site.toml", "--start", "-2h", "--format", "csv", cwd=folder)
    assert "after.csv: 120 rows" in written.stdout, written.stderr
    assert (folder / "after.csv").read_text() == (folder / "out.csv").read_text()
    refused = potwatt("restore", "copy", "--site", "new/site.toml", cwd=folder)
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr
    assert names(folder / "old/potwatt-data/backups", "*") == []
