"""The forwarder on a real spool, the memory store and a SQLite ledger: failures, refusals, late slots, events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from collector_blocks import T0_NS, SteppedClock, block

from collector.forward import Forwarder
from collector.late import Owners, event_entries, late_slots
from collector.quarantine import Quarantine
from collector.spool import Spool
from plant.calendar import PlantCalendar
from plant.errors import StoreError, StoreMisconfigured, StoreRejected, StoreUnavailable
from plant.frame import FrameBlock
from plant.ports import SpoolCursor, Written
from plant.quality import ABSENT
from plant.series import QUARTER_NS, Span
from plant.site import MeteringPoint, Mounting, Potline, Site, SpoolSettings
from potwatt.board import Board
from storage.ledger import SqlLedger
from storage.memory import MemoryStore

ALWAYS = Span(0, 2**62)
TAP = ("pot_number", "metal_tapped")
SITE = Site(
    id="smelter",
    title_en="",
    title_zh="",
    enterprise="",
    province="",
    calendar=PlantCalendar(ZoneInfo("Asia/Shanghai")),
    data_dir="",
    edition="1",
    buses=(),
    bus_voltage_kv={},
    branches={},
    points={"tie": MeteringPoint("tie", "tie", "main", "ac", 0.0, (Mounting("old", 0), Mounting("m-1", 5)))},
    potlines={"p1": Potline("p1", "", "", (), 0.93, 0.02, feed_meter="pots", scale_meter="scale")},
    endpoints={},
    meters={},
)
OWNERS = Owners.of(SITE)
SLOT_NS = T0_NS - T0_NS % QUARTER_NS


class FaultyStore(MemoryStore):
    """The memory store with a line of faults before it, and words for blocks it refuses."""

    def __init__(self, faults: Sequence[StoreError] = (), refuse: Callable[[FrameBlock], bool] = lambda _: False) -> None:
        super().__init__("smelter")
        self._faults, self._refuse = list(faults), refuse

    async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
        if self._faults:
            raise self._faults.pop(0)
        if any(map(self._refuse, blocks)):
            raise StoreRejected("the store's own words")
        return await super().write(blocks, sink_cursor)


class RememberingBoard(Board):
    """Keeps every word said, since the stepped clock lets a state pass in no time."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
        self.said.append(f"{part}: {state}: {detail}")
        super().set(part, state, detail, **numbers)


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory, self.clock, self.board = directory, SteppedClock(), RememberingBoard()
        self.ledger = SqlLedger(f"sqlite:///{directory}/ledger.sqlite", self.clock)
        self.quarantine = Quarantine(directory / "quarantine", self.clock, self.board)

    @asynccontextmanager
    async def forwarding(self, store: MemoryStore) -> AsyncIterator[Spool]:
        spool = Spool(self.directory / "spool", SpoolSettings(commit_ms=1), self.clock, self.board)
        await spool.open()
        forwarder = Forwarder(
            spool, store, self.ledger, site=SITE, clock=self.clock, health=self.board, quarantine=self.quarantine
        )
        task = asyncio.create_task(forwarder.run())
        try:
            yield spool
            await until(lambda: spool.cursor("store") == spool.durable or task.done())
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await spool.close()

    def state(self, part: str) -> str:
        return next((f"{h.state}: {h.detail}" for h in self.board.all() if h.part == part), "")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition is the spool's
            await asyncio.sleep(0.005)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.ledger.setup()
    yield made
    await made.ledger.close()


async def values(store: MemoryStore) -> list[int]:
    return [int(x) for x in (await store.read("m-1", "energy_import", ALWAYS)).value]


async def test_what_is_spooled_is_stored_and_not_again_after_a_restart(bench: Bench) -> None:
    store = MemoryStore("smelter")
    async with bench.forwarding(store) as spool:
        await spool.append([block(5), block(5, first=5)])
    async with bench.forwarding(store) as spool:
        await spool.append([block(5, first=10)])
    assert await values(store) == list(range(15))
    assert bench.board.counters()["forwarded_values", (("outcome", "repeated"),)] == 0
    assert bench.state("store") == "ok: writes"


@pytest.mark.parametrize("fault", [StoreUnavailable("no answer"), StoreMisconfigured("wrong password"), StoreError("a bug")])
async def test_store_that_fails_is_tried_until_it_takes(bench: Bench, fault: StoreError) -> None:
    store = FaultyStore([fault] * 5)
    async with bench.forwarding(store) as spool:
        await spool.append([block(5)])
    assert any(text.startswith(f"store: down: {fault}") for text in bench.board.said)
    assert await values(store) == list(range(5))
    assert bench.state("store") == "ok: writes"


async def test_refused_block_goes_to_quarantine_with_the_stores_words_and_the_rest_is_stored(bench: Bench) -> None:
    store = FaultyStore(refuse=lambda b: 7 in b.value[:, 1])
    async with bench.forwarding(store) as spool:
        await spool.append([block(1, first=n) for n in range(20)])
    assert await values(store) == [n for n in range(20) if n != 7]
    (entry,) = await bench.quarantine.entries()
    assert (entry["source"], entry["reason"]) == ("m-1", "the store's own words")


async def test_block_refused_without_named_lines_is_halved_until_the_bad_frame_stands_alone(bench: Bench) -> None:
    store = FaultyStore(refuse=lambda b: 5.0 in b.value[:, -1])
    async with bench.forwarding(store) as spool:
        await spool.append([block(9)])
    assert sorted(await values(store)) == [n for n in range(9) if n != 5]
    (entry,) = await bench.quarantine.entries()
    assert (entry["source"], entry["reason"]) == ("m-1", "the store's own words")


async def test_readings_older_than_the_store_keeps_are_one_entry_that_names_their_span(bench: Bench) -> None:
    lines = tuple(f"reading,meter=m-1 active_power={n}.0 {T0_NS // 1_000_000 + n * 1000}" for n in range(500))
    store = FaultyStore([StoreRejected("400 points beyond retention policy dropped=500", lines)])
    async with bench.forwarding(store) as spool:
        await spool.append([block(5)])
    (entry,) = await bench.quarantine.entries()
    span = "500 points from 2026-11-18T11:06:40+00:00 to 2026-11-18T11:14:59+00:00: 400 points beyond retention"
    assert str(entry["reason"]).startswith(span)
    assert entry["payload"] == "\n".join(lines).encode()


async def test_late_slots_are_marked_behind_the_write_and_before_the_cursor(bench: Bench) -> None:
    """What analytics computes and clears while the write lasts has to be computed again; being killed may not skip that."""
    dirty: list[tuple[str, int]] = []

    class Watching(MemoryStore):
        async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
            found = await bench.ledger.dirty("smelter", 100)
            dirty.append(("rows" if blocks else "cursor", len(found)))
            if blocks:
                await bench.ledger.clear_dirty_span("smelter", ALWAYS, 2**62)
            return await super().write(blocks, sink_cursor)

    bench.clock.t_ns = SLOT_NS + 10 * QUARTER_NS
    async with bench.forwarding(Watching("smelter")) as spool:
        await spool.append([block(3)])
    assert dirty[:2] == [("rows", 0), ("cursor", 3)]


async def test_a_slot_that_is_settled_during_the_write_is_marked(bench: Bench) -> None:
    class Slow(MemoryStore):
        async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
            if blocks:
                bench.clock.t_ns = SLOT_NS + 2 * QUARTER_NS
            return await super().write(blocks, sink_cursor)

    assert late_slots([block(3)], OWNERS, None, bench.clock.t_ns) == {}
    async with bench.forwarding(Slow("smelter")) as spool:
        await spool.append([block(3)])
    slots = [(d.node, d.slot_ns) for d in await bench.ledger.dirty("smelter", 100)]
    assert slots == [("point:tie", SLOT_NS + i * QUARTER_NS) for i in (-1, 0, 1)]


def test_the_stamp_of_a_clock_that_was_never_set_is_late_for_no_slot(bench: Bench) -> None:
    unset = replace(block(3), t_ns=np.zeros(3, np.int64))
    assert late_slots([unset], OWNERS, None, bench.clock.t_ns) == {}


async def test_taps_go_to_the_ledger_once_and_one_without_weight_to_quarantine(bench: Bench) -> None:
    taps = block(3, meters=("scale",), event_ids=("t-1", "t-2", "t-3"), quantities=TAP)
    taps.value[:] = [[117, 2350.5], [118, 2001.2], [119, np.nan]]
    taps.quality[2, 1] = int(ABSENT)
    store = MemoryStore("smelter")
    async with bench.forwarding(store) as spool:
        await spool.append([taps])
        await spool.append([taps.take(slice(0, 2))])
    found = await bench.ledger.entries("smelter", ["metal_tapped"], ALWAYS)
    assert [(e.key, e.source, e.subject, e.amount, e.unit, e.data) for e in found] == [
        ("t-1", "scale", "p1", 2350, "kg", {"pot": 117}),
        ("t-2", "scale", "p1", 2001, "kg", {"pot": 118}),
    ]
    (entry,) = await bench.quarantine.entries()
    assert "event t-3 has no usable metal_tapped" in str(entry["reason"])
    assert await store.count() == {}


async def test_a_tap_that_the_ledger_refuses_keeps_no_other_out(bench: Bench) -> None:
    taps = block(3, meters=("scale",), event_ids=("t-1", "t-2", "t-3"), quantities=TAP)
    taps.value[:] = [[117, 2350], [118, 1e30], [119, 2100]]
    async with bench.forwarding(MemoryStore("smelter")) as spool:
        await spool.append([taps])
    found = await bench.ledger.entries("smelter", ["metal_tapped"], ALWAYS)
    assert [e.key for e in found] == ["t-1", "t-3"]
    (entry,) = await bench.quarantine.entries()
    assert "t-2" in str(entry["reason"])
    outcomes = {labels[0][1]: n for (name, labels), n in bench.board.counters().items() if name == "forwarded_events"}
    assert outcomes == {"added": 2, "refused": 1, "repeated": 0, "contradicting": 0}


async def test_events_without_an_amount_are_kept_aside_where_the_store_refuses_lines_of_the_same_part(bench: Bench) -> None:
    class Picky(MemoryStore):
        async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
            written = await super().write(blocks, sink_cursor)
            if blocks:
                raise StoreRejected("beyond retention", ("line 1",))
            return written

    bench.clock.t_ns = SLOT_NS + 10 * QUARTER_NS
    taps = block(1, meters=("scale",), event_ids=("t-1",), quantities=TAP)
    taps.value[0, 1] = np.nan
    async with bench.forwarding(Picky("smelter")) as spool:
        await spool.append([block(2), taps])
    reasons = sorted(str(entry["reason"]) for entry in await bench.quarantine.entries())
    assert [reason[:15] for reason in reasons] == ["beyond retentio", "event t-1 has n"]
    assert len(await bench.ledger.dirty("smelter", 100)) == 3, "what was stored is late all the same"


async def test_a_scale_that_counts_anew_loses_no_tap(bench: Bench) -> None:
    taps = block(3, meters=("scale",), event_ids=("t-1", "t-2", "t-3"), quantities=TAP)
    taps.value[:] = [[117, 2350.0], [118, 2001.0], [119, 2100.0]]
    anew = replace(taps, t_ns=taps.t_ns + 10**9 * np.array([86_400, 0, 0]), value=taps.value.copy())
    anew.value[1, 1] = 1999.0
    async with bench.forwarding(MemoryStore("smelter")) as spool:
        await spool.append([taps])
        await spool.append([anew])
    assert len(await bench.ledger.entries("smelter", ["metal_tapped"], ALWAYS)) == 3
    aside = await bench.quarantine.entries()
    assert sorted(str(entry["reason"])[:36] for entry in aside) == [
        "event t-1 of scale with 2350 kg: the",
        "event t-2 of scale with 1999 kg: the",
    ]
    counted = bench.board.counters()
    assert counted["forwarded_events", (("outcome", "repeated"),)] == 1
    assert counted["forwarded_events", (("outcome", "contradicting"),)] == 2


def test_live_readings_mark_nothing() -> None:
    assert late_slots([block(3)], OWNERS, SLOT_NS, T0_NS + 5 * 10**9) == {}


def test_watermark_ahead_of_the_clock_counts() -> None:
    slots = late_slots([block(3)], OWNERS, SLOT_NS + QUARTER_NS, T0_NS)
    assert slots == {"point:tie": [SLOT_NS - QUARTER_NS, SLOT_NS]}


def test_each_meter_marks_what_it_enters() -> None:
    feed = replace(block(2, meters=("pots", "weather")), t_ns=np.array([SLOT_NS, SLOT_NS]))
    slots = late_slots([feed, replace(feed, meters=("old", "m-1"))], OWNERS, None, SLOT_NS + QUARTER_NS)
    assert slots == {"line:p1": [SLOT_NS - QUARTER_NS, SLOT_NS], "point:tie": [SLOT_NS - QUARTER_NS, SLOT_NS]}


def test_scale_of_no_line_belongs_to_the_plant() -> None:
    taps = block(1, meters=("other",), event_ids=("t",), quantities=TAP)
    (entry,), rejected = event_entries(taps, OWNERS)
    assert (entry.subject, rejected) == ("plant", [])


async def test_a_report_that_fails_ends_the_forwarder_in_its_own_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_spool: Spool) -> None:
        raise ValueError("nothing to tell")

    monkeypatch.setattr(Spool, "report", broken)
    spool = Spool(bench.directory / "spool", SpoolSettings(commit_ms=1), bench.clock, bench.board)
    await spool.open()
    forwarder = Forwarder(
        spool, FaultyStore(), bench.ledger, site=SITE, clock=bench.clock, health=bench.board, quarantine=bench.quarantine
    )
    with pytest.raises(ValueError, match="nothing to tell"):
        async with asyncio.timeout(20):
            await forwarder.run()
    await spool.close()
