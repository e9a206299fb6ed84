"""The store and the ledger behind a network that refuses, delays, loses answers and stores in part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import numpy as np

from plant.errors import StoreError, StoreMisconfigured, StoreRejected, StoreUnavailable
from plant.frame import FrameBlock
from plant.ports import LedgerEntry, SpoolCursor, Written
from storage.memory import MemoryStore

from .sim_loop import SimLoop

PLANT = "smelter"
SETTLED_NS = 1_800_000_000_000_000_000  # all that is sent is late: its slots are analysed
Readings = dict[tuple[str, int], float]  # (meter, instant) -> energy_import


@dataclass(slots=True)
class StoreFaults:
    """Chances of a single request; ``down`` refuses all."""

    refuses: float = 0.0
    answer_lost: float = 0.0
    late: float = 0.0
    part: float = 0.0
    misconfigured: float = 0.0
    delay_s: float = 0.0
    down: bool = False


class SimStore:
    """What a SeriesStore is to the forwarder. ``keeps``: rows and cursor in one transaction (an embedded store), or rows alone
    (a server, where a request given up may still be carried out later). It never takes poison, and names the lines or not."""

    def __init__(
        self,
        rng: Random,
        loop: SimLoop,
        *,
        keeps: Literal["cursor", "rows"],
        names_lines: bool,
        poison: Callable[[int], bool],
        written: Callable[[Sequence[FrameBlock]], None],
    ) -> None:
        self._rng, self._loop = rng, loop
        self._keeps, self._names_lines, self._poison, self._written = keeps, names_lines, poison, written
        self._memory = MemoryStore(PLANT)
        self.faults = StoreFaults()
        self.conflicts = 0
        self.readings: Readings = {}

    async def cursor(self) -> SpoolCursor | None:
        if self._keeps == "rows":
            return None
        await self._network()
        return await self._memory.cursor()

    def own_cursor(self) -> SpoolCursor | None:
        """The cursor committed with the rows, where it keeps one."""
        return self._memory._cursor if self._keeps == "cursor" else None

    async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
        faults, rng = self.faults, self._rng
        epoch = self._loop.epoch
        await self._network()
        if epoch != self._loop.epoch:
            raise StoreUnavailable("the process has ended")
        if self._keeps == "rows" and rng.random() < faults.late:
            # the client gives up on it, the server has it and carries it out whenever it comes to it
            self._loop.call_later(rng.random() * 30.0, self._take, list(blocks))
            raise StoreUnavailable("no answer in time")
        if self._keeps == "rows" and rng.random() < faults.part:
            # of several requests under way any may have come through
            pieces = [piece for block in blocks for piece in _halves(block)]
            self._take([piece for piece in pieces if rng.random() < 0.5])
            raise StoreUnavailable("500 in the middle")
        refused = [n for block in blocks for n in numbers_of(block) if self._poison(n)]
        if refused and not self._names_lines:
            raise StoreRejected("400 refused")
        written = self._take(blocks)
        if refused:
            raise StoreRejected("400 partial write", tuple(f"line {n}" for n in refused))
        if sink_cursor is not None and self._keeps == "cursor":
            await self._memory.write([], sink_cursor)
        if rng.random() < faults.answer_lost:
            await asyncio.sleep(rng.random() * faults.delay_s)
            raise StoreUnavailable("time-out after it was stored")
        await asyncio.sleep(rng.random() * faults.delay_s)
        return written

    async def _network(self) -> None:
        faults, rng = self.faults, self._rng
        await asyncio.sleep(rng.random() * faults.delay_s)
        if faults.down or rng.random() < faults.refuses:
            raise StoreUnavailable("connection refused")
        if rng.random() < faults.misconfigured:
            raise rng.choice((StoreMisconfigured, StoreError))("401, or words nobody knows")

    def _take(self, blocks: Sequence[FrameBlock]) -> Written:
        """All but the poison, at once."""
        good = [part for block in blocks if len(part := _without(block, self._poison))]
        self._written(good)
        if self._keeps == "rows":
            self._rng.shuffle(good)  # several requests are under way at once: it is not said which comes first
        coroutine = self._memory.write(good)
        try:
            coroutine.send(None)  # the memory store never waits
        except StopIteration as ended:
            written: Written = ended.value
        self.conflicts += written.conflicting
        for block in good:
            for row, n in enumerate(block.value[:, -1].tolist()):
                self.readings[block.meter_of(row), int(block.t_ns[row])] = n
        return written


class SimLedger:
    """What a Ledger is to the forwarder: entries by identity, a watermark, dirty slots."""

    def __init__(self, rng: Random, faults: StoreFaults, marked: Callable[[], None]) -> None:
        self._rng, self.faults, self._marked = rng, faults, marked
        self.entries: dict[tuple[str, str], LedgerEntry] = {}
        self.dirty: dict[str, set[int]] = {}

    async def get_state(self, plant: str, name: str) -> dict[str, Any] | None:
        await self._maybe()
        return {"settled_until_ns": SETTLED_NS}

    async def add(self, entries: Sequence[LedgerEntry]) -> list[int]:
        await self._maybe()
        new = [entry for entry in entries if (entry.source, entry.key) not in self.entries]
        self.entries.update({(entry.source, entry.key): entry for entry in new})
        await self._maybe()
        return list(range(len(new)))

    async def contradicted(self, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        return [e for e in entries if self.entries[e.source, e.key].amount != e.amount]

    async def mark_dirty_many(self, plant: str, slots_ns: dict[str, Sequence[int]]) -> None:
        for node, slots in slots_ns.items():
            self.dirty.setdefault(node, set()).update(slots)
        self._marked()
        await self._maybe()

    async def _maybe(self) -> None:
        await asyncio.sleep(self._rng.random() * self.faults.delay_s / 10)
        if self._rng.random() < self.faults.refuses / 3:
            raise StoreUnavailable("database is locked")


def numbers_of(block: FrameBlock) -> list[int]:
    """The numbers that the readings of a block carry."""
    return [int(value) for value in block.value[:, -1].tolist()]


def _halves(block: FrameBlock) -> tuple[FrameBlock, FrameBlock]:
    half = len(block) // 2
    return block.take(slice(0, half)), block.take(slice(half, None))


def _without(block: FrameBlock, poison: Callable[[int], bool]) -> FrameBlock:
    rows = [row for row, n in enumerate(numbers_of(block)) if not poison(n)]
    return block if len(rows) == len(block) else block.take(np.array(rows, np.intp))
