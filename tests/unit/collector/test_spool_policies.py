"""When the spool is full: what each policy keeps, and that what it does not keep is counted and named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from collector_blocks import MS, T0_NS, SteppedClock, block, numbers

from collector.disk import OS_DISK
from collector.spool import Spool
from collector.spool_losses import Cause, LossRecord, read_losses
from collector.spool_small import BYTES_MAX
from plant.errors import SpoolFull
from plant.ports import SpoolCursor
from plant.site import SpoolSettings
from potwatt.board import Board

SMALL = SpoolSettings(max_mib=8, segment_mib=1, commit_ms=1)
ROWS = 1000
S = 1000 * MS


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory, self.board, self.clock, self.appended = directory, Board(), SteppedClock(), 0

    @asynccontextmanager
    async def spool(self, when_full: str, best_effort: tuple[str, ...] = (), **settings: Any) -> AsyncIterator[Spool]:
        chosen = replace(SMALL, when_full=when_full, **settings)
        spool = Spool(self.directory, chosen, self.clock, self.board, best_effort=best_effort)
        await spool.open()
        try:
            yield spool
        finally:
            await spool.close()

    async def append(self, spool: Spool, blocks: int) -> None:
        for _ in range(blocks):
            await spool.append([block(ROWS, first=self.appended)])
            self.appended += ROWS

    def bytes_on_disk(self) -> int:
        return sum(OS_DISK.sizes(self.directory).values())

    def told(self, part: str) -> str:
        return next((f"{h.state}: {h.detail}" for h in self.board.all() if h.part == part), "")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "spool")


async def everything(spool: Spool, sink: str = "store") -> list[int]:
    at = spool.cursor(sink)
    found: list[int] = []
    while True:
        blocks, at = await spool.read(at, 100)
        if not blocks:
            return found
        found += numbers(blocks)


def frames(record: LossRecord, cause: Cause, sink: str = "") -> int:
    return sum(span.frames or 0 for span in record.spans if (span.cause, span.sink) == (cause, sink))


async def test_drop_oldest_goes_on_and_names_what_went(bench: Bench) -> None:
    async with bench.spool("drop_oldest") as spool:
        await bench.append(spool, 600)
        kept = await everything(spool)
        lost = bench.appended - len(kept)
        assert lost > 0
        assert kept == list(range(lost, bench.appended)), "the newest, in order"
        assert bench.bytes_on_disk() <= SMALL.max_mib * 2**20
        (span,) = spool.lost.spans
        assert (span.cause, span.sink, span.frames) == (Cause.DROP_OLDEST, "store", lost)
        assert (span.first_t_ns, span.last_t_ns) == (T0_NS, T0_NS + (lost - 1) * S)
        assert f"drop_oldest: at most {lost} Frames from" in bench.told("spool:lost")
        assert bench.told("spool:lost").startswith("degraded")
    async with bench.spool("drop_oldest") as spool:
        assert spool.lost.frames() == lost
        assert await everything(spool) == kept


async def test_what_a_sink_had_taken_is_not_lost_by_dropping_it(bench: Bench) -> None:
    async with bench.spool("drop_oldest") as spool:
        await bench.append(spool, 20)
        _, behind = await spool.read(spool.start, 10 * ROWS)
        await spool.commit("store", behind)
        await bench.append(spool, 580)
        kept = await everything(spool)
        assert frames(spool.lost, Cause.DROP_OLDEST, "store") == kept[0] - 10 * ROWS


async def test_killed_between_telling_and_removing_leaves_nothing_both_lost_and_delivered(bench: Bench) -> None:
    async with bench.spool("drop_oldest") as spool:
        await bench.append(spool, 300)
        oldest = spool.start.segment
        copy = (bench.directory / f"{oldest:012d}.seg").read_bytes()
        await bench.append(spool, 300)
        kept = await everything(spool)
    (bench.directory / f"{oldest:012d}.seg").write_bytes(copy)
    async with bench.spool("drop_oldest") as spool:
        assert await everything(spool) == kept


async def test_drop_newest_keeps_what_it_has_and_names_what_it_did_not_take(bench: Bench) -> None:
    async with bench.spool("drop_newest") as spool:
        await bench.append(spool, 600)
        kept = await everything(spool)
        assert kept == list(range(len(kept)))
        lost = bench.appended - len(kept)
        assert lost > 0
        (span,) = read_losses(OS_DISK, bench.directory).spans
        assert (span.cause, span.frames, span.first_t_ns) == (Cause.DROP_NEWEST, lost, T0_NS + len(kept) * S)
        assert bench.bytes_on_disk() <= SMALL.max_mib * 2**20
        await spool.commit("store", spool.durable)
        await bench.append(spool, 1)
        assert await everything(spool) == list(range(bench.appended - ROWS, bench.appended)), "there is room again"


async def test_thin_reaches_further_back_and_holds_only_in_the_end(bench: Bench) -> None:
    async with bench.spool("thin", max_mib=2) as spool:
        with pytest.raises(SpoolFull):
            await bench.append(spool, 5000)
        kept = await everything(spool)
        assert spool.lost.frames() == bench.appended - len(kept)
        assert bench.appended > 5 * len(kept), "several times what fits in full"
        steps = {b - a for a, b in pairwise(kept)}
        assert steps >= {1, 2, 5, 10, 30}
        assert max(steps) <= 60, "every quarter of an hour keeps a reading within a minute of its bounds"


@pytest.mark.parametrize("when_full", ["hold", "drop_newest", "drop_oldest"])
async def test_hours_are_a_bound_of_their_own(bench: Bench, when_full: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench.spool(when_full, max_hours=4.0) as spool:
        await bench.append(spool, 2)
        hours = 0.0
        loop = asyncio.get_running_loop()
        real = loop.time
        monkeypatch.setattr(spool, "_loop", type("Later", (), {"time": lambda _: real() + hours * 3600})())
        hours = 3.9
        await bench.append(spool, 2)
        assert (await spool.backlog()).held_h == pytest.approx(3.9, abs=0.01)
        hours = 4.1
        if when_full == "hold":
            with pytest.raises(SpoolFull, match=r"held readings for 4.1 h, spool.max_hours is 4"):
                await bench.append(spool, 1)
            await spool.commit("store", SpoolCursor(spool.durable.segment, 0))
        await bench.append(spool, 2)
        kept = {"hold": range(2000, 6000), "drop_newest": range(4000), "drop_oldest": range(2000, 6000)}[when_full]
        assert await everything(spool) == list(kept)
        assert spool.lost.frames() == (0 if when_full == "hold" else 2000)


@pytest.mark.parametrize("jump_h", [-24 * 365, 24 * 365])
async def test_clock_that_jumps_changes_no_age_and_no_number(bench: Bench, jump_h: int) -> None:
    async with bench.spool("drop_oldest", max_hours=1.0) as spool:
        await bench.append(spool, 3)
        number = spool.durable.segment
    bench.clock.t_ns += jump_h * 3600 * S
    async with bench.spool("drop_oldest", max_hours=1.0) as spool:
        await bench.append(spool, 3)
        bench.clock.t_ns -= 2 * jump_h * 3600 * S
        await bench.append(spool, 3)
        assert await everything(spool) == list(range(9000))
        backlog = await spool.report()
        assert backlog.age_h >= 0
        assert backlog.held_h < 0.1
        assert spool.durable.segment == number + 1


async def test_best_effort_sink_holds_nothing_up_and_what_it_missed_is_told(bench: Bench) -> None:
    async with bench.spool("hold", ("mirror",)) as spool:
        for _ in range(60):
            await bench.append(spool, 10)
            await spool.commit("store", spool.durable)
        seen = await everything(spool, "mirror")
        missed = bench.appended - len(seen)
        assert missed > 0
        assert seen == list(range(missed, bench.appended))
        assert frames(spool.lost, Cause.FELL_BEHIND, "mirror") == missed
        assert frames(spool.lost, Cause.DROP_OLDEST) == 0
        assert "fell_behind" in bench.told("spool:lost")
        assert spool.size_bytes > SMALL.max_mib * 2**20 // 3, "it was waited for while there was room"
        await spool.report()
        assert "best effort" in bench.told("spool:mirror")
        assert "required, 0.0 MiB behind" in bench.told("spool:store")


async def test_segment_dropped_under_a_reader_is_stepped_over(bench: Bench) -> None:
    async with bench.spool("drop_oldest") as spool:
        await bench.append(spool, 100)
        stale = spool.start
        _, inside = await spool.read(stale, ROWS)
        await bench.append(spool, 500)
        assert stale < spool.start
        blocks, _ = await spool.read(inside, ROWS)
        assert numbers(blocks)[0] == (await everything(spool))[0]
        await spool.commit("store", inside)
        assert spool.cursor("store") == spool.start, "a batch that was on its way moves nothing back"


async def test_loss_file_stays_small_and_counts_on(bench: Bench) -> None:
    async with bench.spool("drop_newest") as spool:
        with_room = 0
        for n in range(700):
            await bench.append(spool, 1)
            bench.clock.t_ns += 3600 * S
            with_room = n
        assert with_room == 699
        kept = len(await everything(spool))
        assert spool.lost.frames() == bench.appended - kept
        assert len(spool.lost.spans) <= 200
        assert OS_DISK.sizes(bench.directory)["losses.json"] < BYTES_MAX // 8
