"""Closed days in files: readers see one store, a crash leaves the rows or the file, late data is merged, room is bounded."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest
from test_storage_embedded import DAY_NS, NOW_NS, S, block

from plant.errors import StoreMisconfigured, StoreUnavailable
from plant.ports import SpoolCursor
from plant.series import Span
from plant.site import StoreSettings
from storage import embedded_parts
from storage.embedded import EmbeddedStore
from storage.embedded_parts import Parts
from storage.memory import MemoryStore

LATER_NS = NOW_NS + 40 * DAY_NS
KEEP = StoreSettings(raw_days=3_660)


async def opened(path: Path, settings: StoreSettings = KEEP) -> EmbeddedStore:
    store = EmbeddedStore(path, "p", settings)
    await store.setup()
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "series.duckdb"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await opened(path)
    yield made
    await made.close()


def size(path: Path) -> int:
    return path.stat().st_size


def files(path: Path) -> list[Path]:
    return sorted(path.with_suffix(".parts").glob("*.parquet"))


async def days(store: EmbeddedStore, count: int, rows: int = 50) -> None:
    for day in range(count):
        await store.write([block(rows, NOW_NS + day * DAY_NS, value=float(day))], SpoolCursor(1, day + 1))


async def everything(store: EmbeddedStore) -> list[tuple[int, float]]:
    series = await store.read("m1", "active_power", Span(0, LATER_NS * 2))
    return list(zip(series.t_ns.tolist(), series.value.tolist(), strict=True))


async def rows_in_table(store: EmbeddedStore) -> int:
    [(rows,)] = await store._database.run(lambda: store._database.execute("SELECT count(*) FROM reading"))
    return int(rows)


async def test_closed_days_lie_in_files_and_open_ones_in_the_table(path: Path, store: EmbeddedStore) -> None:
    await days(store, 3)
    before = await everything(store)
    await store.compact(NOW_NS + 2 * DAY_NS + 7 * 3600 * S)  # the third day is not over
    assert len(files(path)) == 2
    assert await rows_in_table(store) == 50
    assert await everything(store) == before
    assert await store.count() == {"m1": 150}
    assert await store.extent() == Span(NOW_NS, NOW_NS + 2 * DAY_NS + 49 * S + 1_000_000)
    assert await store.cursor() == SpoolCursor(1, 3)


async def test_a_day_is_closed_some_hours_after_its_end(path: Path, store: EmbeddedStore) -> None:
    await days(store, 1)
    await store.compact(NOW_NS + DAY_NS + 5 * 3600 * S)
    assert files(path) == []
    await store.compact(NOW_NS + DAY_NS + 6 * 3600 * S)
    assert len(files(path)) == 1


async def test_late_readings_are_compared_with_a_closed_day_and_merged_into_its_file(path: Path, store: EmbeddedStore) -> None:
    await days(store, 1)
    await store.compact(LATER_NS)
    first = files(path)
    late = block(60, NOW_NS)
    late.value[:50] = 0.0
    late.value[49] = 5.0
    written = await store.write([late])
    assert (written.stored, written.repeated, written.conflicting) == (10, 49, 1)
    before = await everything(store)
    await store.compact(LATER_NS)
    assert len(files(path)) == 1
    assert files(path) != first
    assert await rows_in_table(store) == 0
    assert await everything(store) == before
    assert len(before) == 60


async def test_what_comes_while_a_day_is_written_is_not_left_out(path: Path, store: EmbeddedStore) -> None:
    await days(store, 1)
    database, write = store._database, Parts.write

    def slow(self: Parts, *given: object) -> object:
        written = write(self, *given)  # type: ignore[arg-type]
        asyncio.run_coroutine_threadsafe(store.write([block(5, NOW_NS + 60 * S)]), loop).result(30)
        return written

    loop = asyncio.get_running_loop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parts, "write", slow)
        await store.compact(LATER_NS)
    assert files(path) == []
    assert len(await everything(store)) == 55
    await store.compact(LATER_NS)
    assert len(files(path)) == 1
    assert len(await everything(store)) == 55
    assert database is store._database


async def test_nearest_readings_are_found_across_files_and_table(store: EmbeddedStore) -> None:
    await days(store, 3, rows=2)
    await store.write([block(1, NOW_NS + 5 * S, meter="m2")])
    await store.compact(LATER_NS)
    await store.write([block(1, NOW_NS + 4 * S, value=9.0)])  # late, and in the table
    pairs = [("m1", "active_power"), ("m2", "active_power")]

    async def at(side: str, t_ns: int) -> list[int | None]:
        find = store.last_before if side == "before" else store.first_from
        found = await find(pairs, t_ns, 1e7)
        return [int(s.t_ns[0]) - NOW_NS if len(s) else None for s in (found[p] for p in pairs)]

    assert await at("before", NOW_NS + 2 * DAY_NS) == [DAY_NS + S, 5 * S]
    assert await at("before", NOW_NS + DAY_NS) == [4 * S, 5 * S]
    assert await at("before", NOW_NS + 4 * S) == [S, None]
    assert await at("from", NOW_NS + 2 * S) == [4 * S, 5 * S]
    assert await at("from", NOW_NS + 6 * S) == [DAY_NS, None]


@pytest.mark.parametrize("catalog", ["of this format", "of the format before"])
async def test_nearest_readings_in_files_are_those_of_the_oracle(store: EmbeddedStore, catalog: str) -> None:
    oracle, dice = MemoryStore("p"), np.random.default_rng(3)
    for day in range(3):
        for meter in ("m1", "m2", "m3", "m4")[: 4 - day]:
            made = block(6, NOW_NS + day * DAY_NS, meter=meter, value=float(day))
            made.value[dice.random(made.value.shape) < (1.0 if meter == "m3" else 0.4)] = np.nan
            await store.write([made])
            await oracle.write([made])
    await store.compact(LATER_NS)
    if catalog == "of the format before":
        forget = "UPDATE part_series SET early_ms = NULL, late_ms = NULL, late_value = NULL, early_value = NULL"
        await store._database.run(lambda: store._database.execute(forget))
    pairs = [(meter, "active_power") for meter in ("m1", "m2", "m3", "m4")]
    found = 0
    for t_ns in [NOW_NS + day * DAY_NS + second * S for day in range(-1, 4) for second in range(-1, 8)]:
        for reach_s in (2.0, 86_400.0, 1e7):
            for find in ("last_before", "first_from"):
                ours, theirs = [await getattr(side, find)(pairs, t_ns, reach_s) for side in (store, oracle)]
                for pair in pairs:
                    a, b = ours[pair], theirs[pair]
                    assert (a.t_ns.tolist(), a.value.tolist(), a.quality.tolist()) == (
                        b.t_ns.tolist(),
                        b.value.tolist(),
                        b.quality.tolist(),
                    ), (find, t_ns, reach_s, pair)
                    found += len(a)
    assert found > 100


async def test_the_last_reading_of_a_closed_day_needs_no_file(path: Path, store: EmbeddedStore) -> None:
    await days(store, 1)
    await store.compact(LATER_NS)
    [file] = files(path)
    file.unlink()
    found = await store.last_before([("m1", "active_power")], NOW_NS + DAY_NS, 86_400)
    assert found["m1", "active_power"].t_ns.tolist() == [NOW_NS + 49 * S]


class Crash(BaseException):
    pass


def crash(*_: object, **__: object) -> None:
    raise Crash


STEPS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "while the file is written": lambda patch: patch.setattr(embedded_parts, "_make_folder", crash),
    "while the file is synced": lambda patch: patch.setattr(embedded_parts, "_sync", crash),
    "before it is adopted": lambda patch: patch.setattr(Parts, "adopt", crash),
    "within the transaction": lambda patch: patch.setattr(Parts, "_forget", crash),
    "before the old file is removed": lambda patch: patch.setattr(Path, "unlink", crash),
}


@pytest.mark.parametrize("when", STEPS)
async def test_a_compaction_that_breaks_off_leaves_the_readings_once(
    path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    await days(store, 2)
    await store.compact(NOW_NS + DAY_NS + 7 * 3600 * S)
    await store.write([block(7, NOW_NS + 100 * S)])
    before = await everything(store)
    with monkeypatch.context() as patch:
        STEPS[when](patch)
        with pytest.raises(Crash):
            await store.compact(NOW_NS + DAY_NS + 7 * 3600 * S)
    await store.close()
    again = await opened(path)
    assert await everything(again) == before
    assert len(files(path)) == 1, "files that nothing names are removed at the start"
    await again.compact(LATER_NS)
    assert await everything(again) == before
    await again.close()


WRITER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from plant.ports import SpoolCursor
from plant.site import StoreSettings
from storage.embedded import EmbeddedStore
from test_storage_embedded import DAY_NS, NOW_NS, S, block

async def main():
    store = EmbeddedStore(Path({path!r}), "p", StoreSettings(raw_days=3660))
    await store.setup()
    cursor = await store.cursor()
    number = cursor.segment if cursor else 0

    async def compacting():
        while True:
            await store.compact(NOW_NS + 4000 * DAY_NS)

    task = asyncio.create_task(compacting())
    while True:
        number += 1
        await store.write([block(40, NOW_NS + number % 3 * DAY_NS + number * 40 * S)], SpoolCursor(number, 0))
        print(number, flush=True)

asyncio.run(main())
"""


def killed_writer(path: Path, until: int) -> int:
    """The last write that a process, killed after ``until`` of them, had been told to be durable."""
    program = WRITER.format(tests=str(Path(__file__).parent), path=str(path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(until)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        return told[-1]


async def test_kills_under_compaction_lose_and_double_nothing(path: Path) -> None:
    for until in (12, 7, 23):
        told = await asyncio.to_thread(killed_writer, path, until)
        store = await opened(path)
        cursor = await store.cursor()
        assert cursor is not None
        assert cursor.segment >= told
        found = [t for t, _ in await everything(store)]
        sent = [NOW_NS + n % 3 * DAY_NS + (n * 40 + i) * S for n in range(1, cursor.segment + 1) for i in range(40)]
        assert found == sorted(sent)
        await store.close()
    assert files(path), "nothing was compacted before the kills"


async def test_retention_removes_whole_files(path: Path, store: EmbeddedStore) -> None:
    await days(store, 4)
    await store.compact(LATER_NS)
    await store.close()
    short = await opened(path, StoreSettings(raw_days=10))
    await short.trim(NOW_NS + 12 * DAY_NS)
    assert len(files(path)) == 2
    assert await short.count() == {"m1": 100}
    await short.close()


async def test_the_file_does_not_grow_with_the_days(path: Path, store: EmbeddedStore) -> None:
    rng = np.random.default_rng(1)
    sizes = []
    for day in range(8):
        one = block(40_000, NOW_NS + day * DAY_NS)
        one.value[:] = rng.random((40_000, 1))
        await store.write([one])
        await store.compact(NOW_NS + day * DAY_NS + 7 * 3600 * S)
        sizes.append(size(path))
    assert sizes[-1] <= sizes[2] * 1.2, sizes
    assert len(files(path)) == 7


async def test_a_file_that_is_gone_is_named_and_can_be_given_up(path: Path, store: EmbeddedStore) -> None:
    await days(store, 2)
    await store.compact(LATER_NS)
    await store.close()
    gone = files(path)[0]
    gone.unlink()
    with pytest.raises(StoreMisconfigured, match=rf"{gone.name}.*\(50 values\), is not there.*backup.*{gone.stem}\.lost"):
        await opened(path)
    gone.with_suffix(".lost").touch()
    again = await opened(path)
    assert await again.count() == {"m1": 50}
    await again.close()
    await (await opened(path)).close()


FIRST_FORMAT = """
CREATE TABLE about (name VARCHAR PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE series (id INTEGER, plant VARCHAR, meter VARCHAR, quantity VARCHAR);
CREATE TABLE node (id INTEGER, plant VARCHAR, node VARCHAR);
CREATE TABLE spool_cursor (segment BIGINT, byte_offset BIGINT);
CREATE TABLE reading (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT);
CREATE TABLE interval_reading (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT);
CREATE TABLE conflict (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT);
CREATE TABLE derived_1m (node INTEGER, start_ms BIGINT, version BIGINT, valid BOOLEAN);
CREATE TABLE derived_15m (node INTEGER, start_ms BIGINT, version BIGINT, valid BOOLEAN, load_energy DOUBLE);
INSERT INTO about VALUES ('format', 1);
INSERT INTO series VALUES (0, 'p', 'm1', 'active_power');
INSERT INTO node VALUES (0, 'p', 'plant');
INSERT INTO spool_cursor VALUES (7, 4096);
INSERT INTO derived_15m VALUES (0, {now_ms}, 3, true, 12.5);
INSERT INTO reading SELECT 0, {now_ms} + 1000 * i, i, 0 FROM range(50) t(i);
"""


async def test_a_store_of_the_first_format_is_brought_to_this_one(path: Path) -> None:
    path.parent.mkdir()
    with duckdb.connect(str(path)) as file:
        file.execute(FIRST_FORMAT.format(now_ms=NOW_NS // 1_000_000))
    for _ in range(2):
        store = await opened(path)
        assert await store.cursor() == SpoolCursor(7, 4096)
        assert [v for _, v in await everything(store)] == list(range(50))
        rows = await store.read_derived("15m", ["plant"], ["load_energy"], Span(NOW_NS, NOW_NS + 1))
        assert rows.value.tolist() == [[12.5]]
        await store.compact(LATER_NS)
        assert len(files(path)) == 1
        await store.close()


async def test_an_upgrade_that_breaks_off_leaves_the_old_format(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    with duckdb.connect(str(path)) as file:
        file.execute(FIRST_FORMAT.format(now_ms=NOW_NS // 1_000_000))
    with monkeypatch.context() as patch:
        patch.setattr("storage.duck._STEPS", {2: "CREATE TABLE part (id BIGINT); SELECT * FROM elsewhere"})
        with pytest.raises(StoreUnavailable, match="elsewhere"):
            await opened(path)
    with duckdb.connect(str(path)) as file:
        assert file.execute("SELECT value FROM about").fetchall() == [(1,)]
    store = await opened(path)
    assert len(await everything(store)) == 50
    await store.close()


async def test_closing_does_not_wait_for_a_long_compaction_and_leaves_the_rows(path: Path, store: EmbeddedStore) -> None:
    for part in range(20):
        await store.write([block(20_000, NOW_NS + part // 4 * DAY_NS + part % 4 * 20_000 * S)])
    compacting = asyncio.create_task(store.compact(LATER_NS))
    await asyncio.sleep(0.05)
    compacting.cancel()
    await asyncio.gather(compacting, return_exceptions=True)
    await store.close()
    again = await opened(path)
    assert await again.count() == {"m1": 400_000}
    await again.compact(LATER_NS)
    assert await again.count() == {"m1": 400_000}
    assert await rows_in_table(again) == 0
    await again.close()
