"""The spool as a state machine: any order of appending, reading, committing, crashing, filling and rotting against a model.

The disk of this test keeps, at a crash, what was synced and any beginning of what was not, with any bytes in its place.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from collector_blocks import SteppedClock, block, numbers
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.disk import OS_DISK, DiskFile, How, OsDisk
from collector.spool import Spool
from collector.spool_format import Record, next_record
from collector.spool_losses import Cause
from plant.errors import SpoolFull
from plant.ports import SpoolCursor
from plant.site import SpoolSettings
from potwatt.board import Board

BOUND_MIB = 0.125
T = TypeVar("T")
STORE, MIRROR = "store", "mirror"
NOISE = st.binary(min_size=0, max_size=80)


class FaultyFile:
    """A file whose next write or sync may fail once, having taken a part."""

    def __init__(self, disk: FaultyDisk, path: Path, file: DiskFile) -> None:
        self._disk, self._path, self._file = disk, path, file

    @property
    def size(self) -> int:
        return self._file.size

    def write(self, data: memoryview) -> int:
        if self._disk.fails("write", self._path):
            self._file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(data)

    def sync(self) -> None:
        if self._disk.fails("sync", self._path):
            raise OSError(errno.EIO, "Input/output error")
        self._disk.synced[self._path] = self._file.size

    def truncate(self, size: int) -> None:
        self._file.truncate(size)

    def close(self) -> None:
        self._file.close()


class FaultyDisk(OsDisk):
    """Knows how much of every segment is durable, and fails where it is told to, once."""

    def __init__(self) -> None:
        self.synced: dict[Path, int] = {}
        self.next_failure = ""

    def fails(self, what: str, path: Path) -> bool:
        hit = self.next_failure == what and path.suffix == ".seg"
        if hit:
            self.next_failure = ""
        return hit

    def open(self, path: Path, how: How) -> DiskFile:
        if path.suffix == ".seg" and how == "new":
            if self.next_failure == "new":
                self.next_failure = ""
                raise OSError(errno.ENOSPC, "No space left on device")
            self.synced[path] = 0
        return FaultyFile(self, path, super().open(path, how))


class SpoolMachine(RuleBasedStateMachine):
    """Numbers are appended; a sink's model is the list of numbers it was given."""

    when_full: ClassVar[str] = "hold"

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp(prefix="spool-machine-"))
        self.disk, self.board, self.clock = FaultyDisk(), Board(), SteppedClock()
        self.next_number = 0
        self.acknowledged: set[int] = set()
        self.rotten: set[int] = set()
        self.given: dict[str, list[int]] = {STORE: [], MIRROR: []}
        self.committed: dict[str, int] = {STORE: 0, MIRROR: 0}  # how many of the given are behind the kept cursor
        self.at: dict[str, SpoolCursor] = {}
        self.open()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def open(self) -> None:
        settings_ = replace(SpoolSettings(when_full=self.when_full, commit_ms=0.1), max_mib=BOUND_MIB)  # type: ignore[arg-type]
        self.spool = Spool(self.directory, settings_, self.clock, self.board, (STORE,), self.disk, (MIRROR,))
        self.do(self.spool.open())
        self.at = {sink: self.spool.cursor(sink) for sink in self.given}
        for sink, count in self.committed.items():
            del self.given[sink][count:]  # sent again from the cursor on

    # ---- rules ----

    @rule(rows=st.integers(1, 50), callers=st.integers(1, 3), failure=st.sampled_from(["", "", "", "write", "sync", "new"]))
    def append(self, rows: int, callers: int, failure: str) -> None:
        self.disk.next_failure = failure
        self._append([rows] * callers)
        self.disk.next_failure = ""

    @rule()
    def fill(self) -> None:
        for _ in range(8):
            self._append([1000])

    def _append(self, sizes: list[int]) -> None:
        offers = []
        for rows in sizes:
            offers.append((range(self.next_number, self.next_number + rows), block(rows, first=self.next_number)))
            self.next_number += rows

        async def together() -> list[BaseException | None]:
            return await asyncio.gather(*(self.spool.append([b]) for _, b in offers), return_exceptions=True)

        for (taken, _), outcome in zip(offers, self.do(together()), strict=True):
            if outcome is None:
                self.acknowledged.update(taken)
            else:
                assert isinstance(outcome, SpoolFull), outcome
                assert self.when_full in ("hold", "thin")

    @rule(sink=st.sampled_from([STORE, MIRROR]), frames_max=st.integers(1, 3_000))
    def read(self, sink: str, frames_max: int) -> None:
        self._read(sink, frames_max)

    def _read(self, sink: str, frames_max: int) -> int:
        blocks, behind = self.do(self.spool.read(self.at[sink], frames_max))
        assert behind >= self.at[sink]
        self.at[sink] = behind
        self.given[sink] += numbers(blocks)
        return len(blocks)

    @rule(sink=st.sampled_from([STORE, MIRROR]))
    def commit(self, sink: str) -> None:
        self.do(self.spool.commit(sink, self.at[sink]))
        self.committed[sink] = len(self.given[sink])

    @rule(keep=st.floats(0, 1), noise=NOISE)
    def crash(self, keep: float, noise: bytes) -> None:
        """The process is gone; of the bytes that were never synced any beginning is left, then anything."""
        self._let_go()
        for path, synced in self.disk.synced.items():
            if path.exists():
                data = path.read_bytes()
                assert len(data) >= synced, "a durable byte is gone"
                torn = data[synced:]
                path.write_bytes(data[:synced] + torn[: int(len(torn) * keep)] + noise)
        self.open()

    @rule(noise=NOISE)
    def crash_in_a_write(self, noise: bytes) -> None:
        """A record that was being written when the power went: any beginning of it stands in the newest segment."""
        self._let_go()
        newest = max(self.directory.glob("*.seg"))
        with newest.open("ab") as file:
            file.write(noise)
        self.open()

    def _let_go(self) -> None:
        """As the kernel does with a killed process: no file is written, the lock is gone."""
        spool = self.spool
        committer, lock = spool._writing._committer, spool._lock
        assert committer is not None and lock is not None
        committer.cancel()
        self.loop.run_until_complete(asyncio.gather(committer, return_exceptions=True))
        spool._writing._thread.shutdown()
        lock.release()

    @rule()
    def reopen(self) -> None:
        self.do(self.spool.close())
        self.open()

    @precondition(lambda self: self.spool.size_bytes > 0)
    @rule(data=st.data())
    def rot(self, data: st.DataObject) -> None:
        """A byte of a durable record turns: that record, and no other, is lost to those who have not read it."""
        path = data.draw(st.sampled_from(sorted(p for p in self.directory.glob("*.seg") if p.stat().st_size)))
        raw = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(raw) - 1))
        for record in _records(bytes(raw)):
            if record.start <= at < record.end:
                self.rotten.update(numbers([record.block]))
        raw[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(raw)

    # ---- what always holds ----

    @invariant()
    def order_and_bound(self) -> None:
        if not hasattr(self, "spool"):
            return
        for sink, cursor in self.at.items():
            assert self.spool.cursor(sink) <= self.spool.durable
            assert cursor <= self.spool.durable
            assert self.given[sink] == sorted(set(self.given[sink])), "in order, none twice"
        assert sum(OS_DISK.sizes(self.directory).values()) <= BOUND_MIB * 2**20

    def teardown(self) -> None:
        if not hasattr(self, "spool"):
            return
        while self._read(STORE, 10_000):
            pass
        missing = self.acknowledged - set(self.given[STORE]) - self.rotten
        lost = [s for s in self.spool.lost.spans if s.sink in ("", STORE) and s.cause is not Cause.ROT]
        if self.when_full == "hold":
            assert not missing, f"acknowledged and lost: {sorted(missing)[:10]}"
            assert not lost
        else:
            assert len(missing) <= sum(s.frames or 0 for s in lost), "lost and not counted"
            for number in missing:
                t_ns = int(block(1, first=number).t_ns[0])
                assert any((s.first_t_ns or 0) <= t_ns <= (s.last_t_ns or 0) for s in lost), "lost and not named"
        self.do(self.spool.close())
        self.loop.close()
        shutil.rmtree(self.directory)


def _records(data: bytes) -> list[Record]:
    found, at = [], 0
    while at < len(data) and (record := next_record(memoryview(data), at)) is not None:
        found += [record] if isinstance(record, Record) else []
        at = record.end
    return found


class DropOldestMachine(SpoolMachine):
    when_full = "drop_oldest"


class DropNewestMachine(SpoolMachine):
    when_full = "drop_newest"


class ThinMachine(SpoolMachine):
    when_full = "thin"


PACE = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestHold = SpoolMachine.TestCase
TestDropOldest = DropOldestMachine.TestCase
TestDropNewest = DropNewestMachine.TestCase
TestThin = ThinMachine.TestCase
TestHold.settings = TestDropOldest.settings = TestDropNewest.settings = TestThin.settings = PACE
