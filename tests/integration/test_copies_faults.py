"""Copies that break off, that nobody fetches, of a rotten ledger; and who may read them. Real stores."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest
from collector_blocks import T0_NS
from fastapi import Request
from test_copies import a_site, names, plant_of, some

from api.problem import Problem
from api.routes_copies import _while_wanted
from plant.errors import StoreMisconfigured
from plant.ports import SeriesStore
from plant.series import Span
from potwatt.backup import back_up, restore
from potwatt.copies import Copies
from potwatt.export import export

ALL_TIME = Span(0, 9_000_000_000_000_000_000)


class Counting:
    """A store that counts what it is asked."""

    def __init__(self, store: SeriesStore) -> None:
        self._store, self.asked = store, 0

    def __getattr__(self, name: str) -> object:
        if name in ("read_many", "read_derived"):
            self.asked += 1
        return getattr(self._store, name)


async def test_an_export_of_all_time_reads_only_where_something_is_stored(tmp_path: Path) -> None:
    loaded = a_site(tmp_path / "old")
    meter = next(m for m in loaded.site.meters.values() if "active_power" in loaded.profiles[m.profile].quantities)
    async with plant_of(loaded) as plant:
        made = some(0)
        await plant.store.write([type(made)(**{n: getattr(made, n) for n in made.__slots__} | {"meters": (meter.id,)})])
        store = plant.store
        plant.store = counting = Counting(store)  # type: ignore[assignment]
        assert await export(loaded, plant, "raw", ALL_TIME, tmp_path / "raw.csv", "csv") == 20
        assert counting.asked < 20
        counting.asked = 0
        assert await export(loaded, plant, "15m", ALL_TIME, tmp_path / "figures.csv", "csv") == 0
        assert counting.asked < 2_000
        plant.store = store


async def test_an_export_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    loaded = a_site(tmp_path / "old")
    async with plant_of(loaded) as plant:
        begun = asyncio.Event()

        class Stuck(Counting):
            async def read_many(self, *_: object) -> object:
                begun.set()
                return await asyncio.Event().wait()

        await plant.store.write([some(0)])
        copies = Copies(loaded, Stuck(plant.store), plant.clock)  # type: ignore[arg-type]
        exporting = asyncio.create_task(copies.export("raw", ALL_TIME, "csv"))
        async with asyncio.timeout(20):
            await begun.wait()
            copies.store = plant.store
            assert (await copies.back_up())[1] > 0, "a backup waited for an export"
        exporting.cancel()
        await asyncio.gather(exporting, return_exceptions=True)
        assert exporting.cancelled()
        assert names(loaded.data_dir / "exports", "*") == []


async def test_copies_that_nobody_fetched_are_removed(tmp_path: Path) -> None:
    loaded = a_site(tmp_path / "old")
    async with plant_of(loaded) as plant:
        copies = Copies(loaded, plant.store, plant.clock)
        made = [(await copies.back_up())[0] for _ in range(4)]
        assert sorted(names(loaded.data_dir / "backups", "*")) == [folder.name for folder in made[1:]]
        old = time.time() - 25 * 3600
        await asyncio.to_thread(os.utime, made[3], (old, old))
        (last, _, _) = await copies.back_up()
        assert made[3].name not in names(loaded.data_dir / "backups", "*")
        assert last.name in names(loaded.data_dir / "backups", "*")


@pytest.mark.parametrize("at", [0, 4096])
async def test_a_rotten_ledger_is_told_and_makes_no_backup(tmp_path: Path, at: int) -> None:
    loaded = a_site(tmp_path / "old")
    async with plant_of(loaded) as plant:
        pass

    def rot() -> None:
        with (loaded.data_dir / "ledger.sqlite").open("r+b") as file:
            file.seek(at)
            file.write(b"\xff" * 3000)

    await asyncio.to_thread(rot)
    with pytest.raises(StoreMisconfigured, match=r"ledger .*ledger\.sqlite cannot be copied whole"):
        await back_up(loaded, Counting(plant.store), tmp_path / "copy", T0_NS)  # type: ignore[arg-type]
    assert names(tmp_path, "copy*") == []


async def test_what_is_copied_and_restored_is_for_its_owner_alone(tmp_path: Path) -> None:
    old, new = a_site(tmp_path / "old"), a_site(tmp_path / "new")
    before = os.umask(0)
    try:
        async with plant_of(old) as plant:
            await plant.spool.append([some(0)])
            await plant.drained()
            await plant.store.compact(plant.clock.now_ns())
            await back_up(old, plant.store, tmp_path / "copy", plant.clock.now_ns())
        restore(new, tmp_path / "copy")
    finally:
        os.umask(before)
    for folder in (tmp_path / "copy", new.data_dir):
        found = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*")) if path.name != "backup.json"}
        assert [path for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)] == []


async def test_work_ends_when_its_caller_has_gone() -> None:
    ended = asyncio.Event()

    async def long() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    with pytest.raises(Problem, match="nobody waits"):
        await _while_wanted(Request({"type": "http"}, gone), long())
    assert ended.is_set()
