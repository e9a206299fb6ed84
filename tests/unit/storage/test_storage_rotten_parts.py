"""Files of closed days that are rotten or gone, and instants from before 1970: nothing else waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from test_storage_embedded import DAY_NS, NOW_NS, S, TwoSteps, block
from test_storage_parts import KEEP, LATER_NS, days, everything, files, opened, rows_in_table

from plant.errors import StoreError, StoreUnavailable
from plant.ports import SpoolCursor
from plant.series import Span
from potwatt.board import Board
from storage.embedded import FILES, EmbeddedStore
from storage.embedded_parts import Parts
from storage.table_file import table_file


def rot(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4:40] = b"\xff" * 36
    file.write_bytes(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "series.duckdb"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await opened(path)
    yield made
    await made.close()


class Noting(Board):
    """What was said of the files, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str]] = []

    def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
        super().set(part, state, detail, **numbers)
        self.told.append((state, detail))


HARM: dict[str, Callable[[Path], None]] = {"rotten": rot, "gone": Path.unlink}


@pytest.mark.parametrize("harm", HARM)
async def test_a_closed_day_that_cannot_be_read_keeps_no_reading_out(path: Path, harm: str) -> None:
    board = Board()
    store = EmbeddedStore(path, "p", KEEP, health=board)
    await store.setup()
    await days(store, 3)
    await store.compact(LATER_NS)
    first = files(path)[0]
    HARM[harm](first)
    written = await store.write([block(3, NOW_NS + 6 * DAY_NS), block(1, NOW_NS + 10 * S)], SpoolCursor(1, 9))
    assert written.stored == 4
    assert await store.cursor() == SpoolCursor(1, 9)
    assert await store.count() == {"m1": 104}
    [told] = [h for h in board.all() if h.part == FILES]
    assert told.state == "degraded"
    assert first.with_suffix(".lost").name in told.detail
    await store.compact(LATER_NS)
    assert len(files(path)) == 4
    assert await rows_in_table(store) == 0
    await store.close()
    again = await opened(path)
    assert len(await everything(again)) == 104
    await again.close()


async def test_reading_passes_over_a_rotten_day(path: Path, store: EmbeddedStore) -> None:
    await days(store, 2)
    await store.compact(LATER_NS)
    rot(files(path)[0])
    assert len(await everything(store)) == 50
    pairs = [("m1", "active_power")]
    rot(files(path)[0])
    within_ns = NOW_NS + DAY_NS + 5 * S  # behind the whole day the catalog would know
    assert not len((await store.last_before(pairs, within_ns, 1e7))[pairs[0]])


async def test_a_rotten_day_is_closed_anew_from_what_came_for_it(path: Path, store: EmbeddedStore) -> None:
    await days(store, 2)
    await store.compact(LATER_NS)
    await store.write([block(4, NOW_NS + 1000 * S)])
    rot(files(path)[0])
    await store.compact(LATER_NS)
    assert await rows_in_table(store) == 0
    assert len(await everything(store)) == 54


async def test_a_readable_file_is_not_set_aside_for_another_failure(path: Path, store: EmbeddedStore) -> None:
    await days(store, 1)
    await store.compact(LATER_NS)
    database = store._database
    await database.run(lambda: database.execute("ALTER TABLE conflict RENAME TO elsewhere"))
    with pytest.raises(StoreUnavailable, match="conflict"):
        await store.write([block(1, value=7.0)])
    assert len(files(path)) == 1


async def test_an_instant_before_1970_is_compacted_like_any_other(path: Path, store: EmbeddedStore) -> None:
    await store.write([block(3, -5 * 3600 * S)])
    await days(store, 1)
    await store.compact(LATER_NS)
    assert await rows_in_table(store) == 0
    assert files(path)[0].name.startswith("reading-1969-12-31-")
    series = await store.read("m1", "active_power", Span(-DAY_NS, LATER_NS))
    assert len(series) == 53


async def test_a_day_that_cannot_be_closed_keeps_no_later_one_from_it(
    path: Path,
    store: EmbeddedStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await days(store, 3)
    write, calls = Parts.write, []

    def second_fails(self: Parts, *given: object) -> object:
        calls.append(given[1])
        if len(calls) == 2:
            raise ValueError("odd")
        return write(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "write", second_fails)
        with pytest.raises(StoreError, match=r"1 closed days stay in the table, first 20.*odd"):
            await store.compact(LATER_NS)
    assert len(files(path)) == 2
    assert len(await everything(store)) == 150


async def test_whatever_fails_in_the_background_is_told_and_tried_again(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trim, faults, board, clock = EmbeddedStore.trim, [ValueError("odd")], Noting(), TwoSteps()

    async def failing(self: EmbeddedStore, now_ns: int) -> None:
        if faults:
            raise faults.pop()
        await trim(self, now_ns)

    monkeypatch.setattr(EmbeddedStore, "trim", failing)
    trimming = EmbeddedStore(path, "p", KEEP, clock, board)
    await trimming.setup()
    async with asyncio.timeout(10):
        await clock.slept.wait()
    assert [state for state, _ in board.told] == ["degraded", "ok"]
    assert "retention failed" in board.told[0][1]
    assert "odd" in board.told[0][1]
    await trimming.close()


async def test_the_cause_of_a_failure_is_told_and_not_what_followed_it(store: EmbeddedStore) -> None:
    database = store._database
    await database.run(lambda: database.execute("ALTER TABLE reading RENAME TO elsewhere"))
    with pytest.raises(StoreUnavailable, match="reading does not exist"):
        await store.write([block()])


async def test_a_copy_that_broke_off_holds_nothing_fixed(path: Path, store: EmbeddedStore, tmp_path: Path) -> None:
    await days(store, 1)
    database = store._database
    await database.run(database.pin)  # and then the task was cancelled
    await days(store, 2)
    target = tmp_path / "copy"
    await asyncio.to_thread(target.mkdir)
    await store.copy_to(target, lambda: None)
    with pytest.raises(StoreUnavailable):
        await store.copy_to(target / "nowhere", lambda: None)
    left = await database.beside(lambda execute: execute("SELECT count(*) FROM reading"))
    assert left == [(100,)]
    await days(store, 3)
    left = await database.beside(lambda execute: execute("SELECT count(*) FROM reading"))
    assert left == [(150,)], "a snapshot was held"


async def test_a_table_file_that_nobody_waits_for_ends_in_the_middle_of_a_statement(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def exporting() -> None:
        async with table_file(tmp_path / "scratch", ("a", "b", "c")) as table:
            endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 11"
            begun.set()
            await table._database.run(lambda: table._database.execute(endless))

    task = asyncio.create_task(exporting())
    await begun.wait()
    await asyncio.sleep(0.3)  # the statement has begun
    async with asyncio.timeout(30):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert not await asyncio.to_thread((tmp_path / "scratch").exists)
