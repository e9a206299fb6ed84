"""The embedded store's own promises: its file, its transactions, what a kill leaves, retention."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pytest

from plant.errors import StoreError, StoreMisconfigured, StoreUnavailable
from plant.frame import FrameBlock
from plant.ports import SpoolCursor
from plant.series import MINUTE, MINUTE_NS, QUARTER, DerivedBlock, Span
from plant.site import StoreSettings
from storage.embedded import EmbeddedStore

S = 1_000_000_000
DAY_NS = 86_400 * S
NOW_NS = 20_000 * DAY_NS


def block(n: int = 3, t_ns: int = NOW_NS, *, meter: str = "m1", value: float = 1.0, quantity: str = "active_power") -> FrameBlock:
    return FrameBlock(
        "p",
        "x",
        (quantity,),
        (meter,),
        np.zeros(n, np.int32),
        t_ns + np.arange(n, dtype=np.int64) * S,
        np.full((n, 1), value),
        np.zeros((n, 1), np.int16),
    )


def row(resolution: str, start_ns: int) -> DerivedBlock:
    node, start, version = np.zeros(1, np.int32), np.array([start_ns]), np.ones(1, np.int64)
    return DerivedBlock("p", resolution, ("f",), ("plant",), node, start, np.ones((1, 1)), version, np.ones(1, bool))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "series.duckdb"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[EmbeddedStore]:
    made = EmbeddedStore(path, "p", StoreSettings())
    await made.setup()
    yield made
    await made.close()


async def test_everything_is_there_after_opening_again(path: Path, store: EmbeddedStore) -> None:
    await store.write([block(), block(2, meter="m2")], SpoolCursor(1, 77))
    await store.write([block(1, value=2.0)])
    await store.write_derived(row(MINUTE, NOW_NS))
    await store.close()
    again = EmbeddedStore(path, "p", StoreSettings())
    await again.setup()
    assert await again.cursor() == SpoolCursor(1, 77)
    assert await again.count() == {"m1": 3, "m2": 2}
    assert (await again.write([block(4)])).repeated == 3
    newer = row(MINUTE, NOW_NS)
    newer.version[:] = 2
    await again.write_derived(newer)
    assert (await again.read_derived(MINUTE, ["plant"], ["f"], Span(NOW_NS, NOW_NS + 1))).version.tolist() == [2]
    await again.close()


async def test_conflicting_values_are_kept_aside_once(path: Path, store: EmbeddedStore) -> None:
    await store.write([block(1)])
    for _ in range(3):
        assert (await store.write([block(1, value=2.0)])).conflicting == 1
    await store.close()
    with duckdb.connect(str(path), read_only=True) as file:
        assert file.execute("SELECT value FROM conflict").fetchall() == [(2.0,)]


async def test_a_transaction_that_fails_leaves_nothing_behind(store: EmbeddedStore) -> None:
    database = store._database
    await database.run(lambda: database.execute("ALTER TABLE spool_cursor RENAME TO elsewhere"))
    with pytest.raises(StoreUnavailable, match="spool_cursor"):
        await store.write([block(meter="new")], SpoolCursor(1, 1))
    assert await store.count() == {}
    assert await store.cursor() is None
    await database.run(lambda: database.execute("ALTER TABLE elsewhere RENAME TO spool_cursor"))
    written = await store.write([block(meter="other"), block(meter="new")], SpoolCursor(1, 1))
    assert written.stored == 6
    assert await store.count() == {"new": 3, "other": 3}


@contextmanager
def held_by_another_process(path: Path) -> Iterator[int]:
    """The process number of a holder of the file."""
    path.parent.mkdir()
    hold = f"import duckdb; c = duckdb.connect({str(path)!r}); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder.pid
        holder.communicate(b"\n")


async def test_a_file_that_another_process_holds_is_refused_with_a_way_out(path: Path) -> None:
    store = EmbeddedStore(path, "p", StoreSettings())
    with held_by_another_process(path) as pid, pytest.raises(StoreMisconfigured, match=rf"another process.*PID {pid}.*its API"):
        await store.setup()
    await store.setup()
    await store.close()


def test_a_file_that_is_no_store_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("minutes of the shift meeting\n" * 200)
    with pytest.raises(StoreMisconfigured, match="cannot be opened"):
        asyncio.run(EmbeddedStore(path, "p", StoreSettings()).setup())
    assert path.read_text().startswith("minutes")


async def test_a_file_of_another_format_is_refused(path: Path, store: EmbeddedStore) -> None:
    await store.close()
    with duckdb.connect(str(path)) as file:
        file.execute("UPDATE about SET value = 99 WHERE name = 'format'")
    newer = EmbeddedStore(path, "p", StoreSettings())
    with pytest.raises(StoreMisconfigured, match="has format 99, this potwatt reads 1 to 3"):
        await newer.setup()
    await newer.close()


async def test_before_setup_and_after_close_it_says_so(path: Path) -> None:
    store = EmbeddedStore(path, "p", StoreSettings())
    with pytest.raises(StoreError, match="setup\\(\\) comes first"):
        await store.write([block()])
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="is closed"):
        await store.extent()


WRITER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from plant.ports import SpoolCursor
from plant.site import StoreSettings
from storage.embedded import EmbeddedStore
from test_storage_embedded import NOW_NS, S, block

async def main():
    store = EmbeddedStore(Path({path!r}), "p", StoreSettings())
    await store.setup()
    cursor = await store.cursor()
    number = cursor.segment if cursor else 0
    while True:
        number += 1
        await store.write([block(50, NOW_NS + number * 50 * S)], SpoolCursor(number, 0))
        print(number, flush=True)

asyncio.run(main())
"""


def acknowledged_before_a_kill(path: Path, number: int) -> int:
    """The last write that a process, killed after ``number`` of them, had been told to be durable."""
    program = WRITER.format(tests=str(Path(__file__).parent), path=str(path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(number)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    return told[-1]


async def test_a_kill_loses_nothing_acknowledged_and_splits_no_commit(path: Path) -> None:
    for number in (3, 40, 120):
        last = acknowledged_before_a_kill(path, number)
        store = EmbeddedStore(path, "p", StoreSettings())
        await store.setup()
        cursor = await store.cursor()
        assert cursor is not None
        assert last <= cursor.segment <= last + 1
        assert await store.count() == {"m1": 50 * cursor.segment}
        await store.close()


async def test_retention_deletes_what_is_older_and_nothing_else(path: Path) -> None:
    store = EmbeddedStore(path, "p", StoreSettings(raw_days=2, minute_days=10, quarter_days=100))
    await store.setup()
    for age in (1, 5, 50, 500):
        t_ns = NOW_NS - age * DAY_NS
        await store.write([block(1, t_ns), block(1, t_ns, meter="m2", quantity="interval_energy_import")])
        for resolution in (MINUTE, QUARTER):
            await store.write_derived(row(resolution, t_ns))
    await store.trim(NOW_NS)
    assert await store.count() == {"m1": 1, "m2": 3}
    always = Span(0, NOW_NS)
    kept = [len(await store.read_derived(r, ["plant"], ["f"], always)) for r in (MINUTE, QUARTER)]
    assert kept == [2, 3]
    await store.close()


class OneStep:
    """A clock whose first sleep never ends, so that a loop on it takes one step."""

    def __init__(self) -> None:
        self.slept = asyncio.Event()

    def now_ns(self) -> int:
        return NOW_NS

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.set()
        await asyncio.Event().wait()


async def test_with_a_clock_retention_runs_by_itself(path: Path, store: EmbeddedStore) -> None:
    await store.write([block(1, NOW_NS - 91 * DAY_NS), block(2, NOW_NS - 89 * DAY_NS)])
    await store.close()
    clock = OneStep()
    trimming = EmbeddedStore(path, "p", StoreSettings(raw_days=90), clock)
    await trimming.setup()
    await clock.slept.wait()
    assert await trimming.count() == {"m1": 2}
    await trimming.close()


class TwoSteps(OneStep):
    """The same with a first sleep that ends at once."""

    async def sleep(self, seconds: float) -> None:
        if self.first.is_set():
            await super().sleep(seconds)
        self.first.set()

    def __init__(self) -> None:
        super().__init__()
        self.first = asyncio.Event()


async def test_retention_that_failed_is_tried_again_and_the_file_closed_in_order(
    path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await store.write([block(1, NOW_NS - 91 * DAY_NS), block(2, NOW_NS - 89 * DAY_NS)])
    await store.close()
    trim, faults = EmbeddedStore.trim, [StoreUnavailable("disk is full")]

    async def failing(self: EmbeddedStore, now_ns: int) -> None:
        if faults:
            raise faults.pop()
        await trim(self, now_ns)

    monkeypatch.setattr(EmbeddedStore, "trim", failing)
    clock = TwoSteps()
    trimming = EmbeddedStore(path, "p", StoreSettings(raw_days=90), clock)
    await trimming.setup()
    await clock.slept.wait()
    assert "disk is full" in caplog.text
    assert await trimming.count() == {"m1": 2}
    await trimming.close()
    again = EmbeddedStore(path, "p", StoreSettings(raw_days=90))
    await again.setup()  # refused while another connection holds the file
    await again.close()


async def test_live_data_and_a_history_beside_them_are_not_compared(store: EmbeddedStore) -> None:
    asked: list[str] = []
    original = store._stored_near
    store._stored_near = lambda table, rows: asked.append(table) or original(table, rows)  # type: ignore[method-assign]
    await store.write([block(10)])
    for step in range(20):
        await store.write([block(60, NOW_NS - (30 - step) * MINUTE_NS)])
        await store.write([block(1, NOW_NS + (20 + step) * S)])
    assert asked == []
    assert (await store.write([block(5)])).repeated == 5
    assert asked == ["reading"]
