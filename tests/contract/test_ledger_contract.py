"""What the ledger promises, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from plant.errors import InputError, StoreRejected
from plant.ports import Annotation, ClosedReport, LedgerEntry, ReportVersion
from plant.series import QUARTER_NS, Span
from storage.ledger import SqlLedger

T0 = 1_790_000_100_000_000_000 // QUARTER_NS * QUARTER_NS
HOUR_NS = 4 * QUARTER_NS
ALWAYS = Span(T0 - 1000 * HOUR_NS, T0 + 1000 * HOUR_NS)


class StepClock:
    """Each look at the clock finds it one second later."""

    def __init__(self) -> None:
        self.t_ns = T0

    def now_ns(self) -> int:
        self.t_ns += 1_000_000_000
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    address: str = f"sqlite:///{tmp_path}/ledger.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgresql")
    return address


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[SqlLedger]:
    made = SqlLedger(url, StepClock())
    await made.setup()
    yield made
    await made.close()


def tap(key: str = "tap-1", **changes: object) -> LedgerEntry:
    entry = LedgerEntry(
        "p", "metal_tapped", key, "scale-1", "l1", T0 + 60, T0 + 60, 2_150, "kg", "scale-1", data={"pot": 17, "注": "一"}
    )
    return replace(entry, **changes)


async def slots(ledger: SqlLedger, plant: str = "p") -> list[tuple[str, int]]:
    return [(slot.node, (slot.slot_ns - T0) // QUARTER_NS) for slot in await ledger.dirty(plant, 10_000)]


async def newest(ledger: SqlLedger) -> int:
    return max(node.generation for node in await ledger.dirty_nodes("p", ALWAYS))


async def clear(ledger: SqlLedger, generation: int) -> None:
    await ledger.clear_dirty_span("p", ALWAYS, generation)


async def test_an_entry_comes_back_whole_with_id_and_time(ledger: SqlLedger) -> None:
    [number] = await ledger.add([tap(document="shift book 12", reason="weighed", amount=2**53 + 1)])
    [found] = await ledger.entries("p", ["metal_tapped"], ALWAYS)
    assert found == replace(
        tap(document="shift book 12", reason="weighed", amount=2**53 + 1), id=number, recorded_ns=T0 + 1_000_000_000
    )


async def test_inserting_twice_changes_nothing(ledger: SqlLedger) -> None:
    first = await ledger.add([tap(), tap(), tap("tap-2")])
    assert len(first) == 2
    await clear(ledger, await newest(ledger))
    assert await ledger.add([tap(), tap("tap-2", amount=1)]) == []
    assert [e.amount for e in await ledger.entries("p", ["metal_tapped"], ALWAYS)] == [2_150, 2_150]
    assert await slots(ledger) == []


async def test_the_same_key_of_another_kind_source_or_plant_is_another_entry(ledger: SqlLedger) -> None:
    others = [tap(), tap(source="scale-2"), tap(plant="q"), tap(kind="ingots")]
    assert len(await ledger.add(others)) == 4
    assert len(await ledger.entries("p", ["metal_tapped", "ingots"], ALWAYS)) == 3
    assert len(await ledger.entries("p", ["ingots"], ALWAYS)) == 1


async def test_a_correction_is_a_new_row_that_hides_the_old_one(ledger: SqlLedger) -> None:
    [first] = await ledger.add([tap()])
    [second] = await ledger.add([tap(amount=2_050, supersedes=first, who="metal accounting", reason="tare")])
    assert await ledger.add([tap(amount=2_050, supersedes=first, who="metal accounting", reason="tare")]) == []
    [third] = await ledger.add([tap(amount=2_060, supersedes=second, who="metal accounting")])
    assert [(e.id, e.amount) for e in await ledger.entries("p", ["metal_tapped"], ALWAYS)] == [(third, 2_060)]
    every = await ledger.entries("p", ["metal_tapped"], ALWAYS, with_superseded=True)
    assert [(e.id, e.supersedes) for e in every] == [(first, None), (second, first), (third, second)]
    # the event itself may arrive again without undoing what was corrected
    assert await ledger.add([tap()]) == []


async def test_a_correction_marks_where_the_metal_was_counted_so_far(ledger: SqlLedger) -> None:
    [first] = await ledger.add([tap()])
    await clear(ledger, await newest(ledger))
    later = T0 + 5 * QUARTER_NS
    [second] = await ledger.add([tap(supersedes=first, subject="l2", start_ns=later, end_ns=later)])
    assert await slots(ledger) == [("line:l1", 0), ("line:l2", 5)]
    await clear(ledger, await newest(ledger))
    await ledger.add([tap(supersedes=second, subject="plant")])
    assert await slots(ledger) == [("documents", 0), ("line:l2", 5)]


async def test_an_identity_used_again_for_something_else_is_told_from_a_repeat(ledger: SqlLedger) -> None:
    [first] = await ledger.add([tap()])
    await ledger.add([tap(amount=2_050, supersedes=first)])
    heavier, tomorrow = tap(amount=2_151), tap(start_ns=T0 + 24 * HOUR_NS, end_ns=T0 + 24 * HOUR_NS)
    assert await ledger.add([tap(), heavier, tomorrow]) == []
    assert await ledger.contradicted([tap(), heavier, tomorrow, tap("tap-3"), tap(amount=1, supersedes=first)]) == [
        heavier,
        tomorrow,
    ]


async def test_an_interval_belongs_to_the_day_that_it_covers(ledger: SqlLedger) -> None:
    day = 24 * HOUR_NS
    await ledger.add([tap("day 1", start_ns=T0, end_ns=T0 + day), tap("midnight", start_ns=T0 + day, end_ns=T0 + day)])
    days = [Span(T0, T0 + day), Span(T0 + day, T0 + 2 * day)]
    assert [[e.key for e in await ledger.entries("p", ["metal_tapped"], d)] for d in days] == [["day 1"], ["midnight"]]


async def test_two_different_corrections_of_one_entry_are_refused(ledger: SqlLedger) -> None:
    [first] = await ledger.add([tap()])
    [second] = await ledger.add([tap(amount=1, supersedes=first)])
    with pytest.raises(InputError, match=f"already corrected by entry {second}"):
        await ledger.add([tap("tap-9"), tap(amount=2, supersedes=first)])
    with pytest.raises(InputError, match="is no metal_tapped of p"):
        await ledger.add([tap(supersedes=999)])
    assert len(await ledger.entries("p", ["metal_tapped"], ALWAYS)) == 1  # nothing of a refused call stays


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "gold_tapped"}, "unknown kind"),
        ({"unit": "t"}, "is counted in kg"),
        ({"amount": 1.5}, "not a whole number"),
        ({"amount": 2**63}, "not a whole number"),
        ({"end_ns": T0}, "ends before it starts"),
        ({"end_ns": T0 + 800 * 24 * HOUR_NS}, "split it"),
        ({"who": ""}, "who"),
        ({"key": ""}, "key"),
        ({"key": "tap-\0"}, "NUL"),
        ({"document": "page \ud800"}, "half a character"),
        ({"start_ns": 2**63, "end_ns": 2**63}, "can be stored"),
        ({"data": {"pot": float("nan")}}, "not JSON"),
    ],
)
async def test_an_entry_that_cannot_be_true_is_refused(ledger: SqlLedger, change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        await ledger.add([tap("tap-2"), tap(**change)])
    assert await ledger.entries("p", ["metal_tapped"], ALWAYS, with_superseded=True) == []


async def test_entries_that_touch_the_span_in_order(ledger: SqlLedger) -> None:
    spans = {"before": (-2, -1), "until": (-2, 0), "over": (-1, 9), "at": (0, 0), "in": (1, 2), "last": (3, 8), "after": (4, 4)}
    await ledger.add([tap(k, start_ns=T0 + a * HOUR_NS, end_ns=T0 + b * HOUR_NS) for k, (a, b) in spans.items()])
    found = await ledger.entries("p", ["metal_tapped"], Span(T0, T0 + 4 * HOUR_NS))
    assert [e.key for e in found] == ["over", "at", "in", "last"]


async def test_adding_marks_the_touched_slots_under_the_subjects_node(ledger: SqlLedger) -> None:
    at_end = T0 + QUARTER_NS
    await ledger.add([tap(), tap("b", subject="plant", start_ns=T0, end_ns=at_end), tap("c", start_ns=at_end, end_ns=at_end)])
    await ledger.add([tap("d", kind="meter_reading", unit="Wh", subject="tie-1", start_ns=T0 - 1, end_ns=T0 + 1)])
    assert await slots(ledger) == [("point:tie-1", -1), ("documents", 0), ("line:l1", 0), ("point:tie-1", 0), ("line:l1", 1)]


async def test_what_enters_no_row_marks_the_documents_once(ledger: SqlLedger) -> None:
    month = tap("e", kind="certificate", unit="MWh", subject="plant", start_ns=T0, end_ns=T0 + 720 * HOUR_NS)
    await ledger.add([month, tap("f", kind="ingots")])
    assert await slots(ledger) == [("documents", 0)]
    await ledger.mark_dirty_many("p", {"point:m": [T0, T0 + QUARTER_NS], "plant": [T0 + QUARTER_NS]})
    assert await ledger.dirty_slots("p", ALWAYS, ("documents", "line:")) == [T0, T0 + QUARTER_NS]
    assert await ledger.dirty_slots("p", ALWAYS, ("plant", "point:")) == [T0]
    assert await ledger.dirty_slots("p", Span(T0 + QUARTER_NS, T0 + HOUR_NS), ("point:",)) == [T0 + QUARTER_NS]


async def test_the_newest_version_of_each_report_is_told(ledger: SqlLedger) -> None:
    for kind, period, version in (("month", "2026-10", 1), ("month", "2026-10", 2), ("year", "2025", 1)):
        await ledger.add_report(ReportVersion("p", kind, period, version, {}, "h", "c", T0 + version))
    assert await ledger.closed_reports("p") == [
        ClosedReport("month", "2026-10", 2, T0 + 2),
        ClosedReport("year", "2025", 1, T0 + 1),
    ]
    assert await ledger.closed_reports("q") == []


async def test_annotations_come_back_and_mark_the_plant(ledger: SqlLedger) -> None:
    verdict = Annotation("p", "m1", "", T0, T0 + HOUR_NS, "stuck", "night shift", "register stood still")
    [number] = await ledger.annotate([verdict])
    told = replace(verdict, id=number, recorded_ns=T0 + 1_000_000_000)
    assert await ledger.annotations("p", Span(T0 + HOUR_NS - 1, T0 + 2 * HOUR_NS)) == [told]
    assert await ledger.annotations("p", Span(T0 + HOUR_NS, T0 + 2 * HOUR_NS)) == []
    assert await ledger.annotations("p", Span(T0 - HOUR_NS, T0)) == []
    assert await ledger.annotations("q", ALWAYS) == []
    assert await slots(ledger) == [("plant", i) for i in range(-1, 5)]
    with pytest.raises(InputError, match="ends before"):
        await ledger.annotate([replace(verdict, end_ns=T0 - 1)])


async def test_a_dirty_slot_is_cleared_only_in_the_generation_that_was_worked_on(ledger: SqlLedger) -> None:
    await ledger.mark_dirty("p", "plant", [T0, T0 + QUARTER_NS, T0])
    seen = await ledger.dirty("p", 10)
    assert [s.slot_ns for s in seen] == [T0, T0 + QUARTER_NS]
    await ledger.mark_dirty("p", "plant", [T0])  # meanwhile
    await clear(ledger, seen[0].generation)
    [left] = await ledger.dirty("p", 10)
    assert left.slot_ns == T0
    assert left.generation > seen[0].generation
    await clear(ledger, left.generation)
    assert await ledger.dirty("p", 10) == []


async def test_a_slot_marked_again_after_clearing_is_not_taken_for_the_earlier_one(ledger: SqlLedger) -> None:
    await ledger.mark_dirty("p", "plant", [T0])
    stale = await newest(ledger)
    await clear(ledger, stale)
    await ledger.mark_dirty("p", "plant", [T0])
    await clear(ledger, stale)
    assert len(await ledger.dirty("p", 1)) == 1


async def test_the_oldest_dirty_slots_come_first_and_only_of_the_plant(ledger: SqlLedger) -> None:
    await ledger.mark_dirty("q", "plant", [T0 - HOUR_NS])
    await ledger.mark_dirty("p", "plant", [T0 + i * QUARTER_NS for i in (5, 1, 3)])
    await ledger.mark_dirty("p", "line:l1", [T0 + QUARTER_NS])
    await ledger.mark_dirty("p", "line:l1", [])
    assert (await slots(ledger))[:3] == [("line:l1", 1), ("plant", 1), ("plant", 3)]
    assert len(await ledger.dirty("p", 2)) == 2
    with pytest.raises(ValueError, match="15-min"):
        await ledger.mark_dirty("p", "plant", [T0 + 1])


async def test_slots_of_several_nodes_are_marked_in_one_generation(ledger: SqlLedger) -> None:
    await ledger.mark_dirty_many("p", {"plant": [T0], "line:l1": [T0, T0 + QUARTER_NS], "point:a": []})
    assert await slots(ledger) == [("line:l1", 0), ("plant", 0), ("line:l1", 1)]
    assert len({slot.generation for slot in await ledger.dirty("p", 10)}) == 1
    with pytest.raises(ValueError, match="15-min"):
        await ledger.mark_dirty_many("p", {"plant": [T0 + QUARTER_NS], "line:l1": [T0 + 1]})
    assert len(await slots(ledger)) == 3


async def test_what_a_database_can_never_keep_is_rejected_not_tried_again(postgresql: str) -> None:
    ledger = SqlLedger(postgresql, StepClock())
    await ledger.setup()
    with pytest.raises(StoreRejected, match="NUL"):
        await ledger.put_state("p", "state \0", {})
    await ledger.close()


async def test_states_are_replaced(ledger: SqlLedger) -> None:
    assert await ledger.get_state("p", "watermark") is None
    await ledger.put_state("p", "watermark", {"t_ns": T0, "名": [1.5, None]})
    await ledger.put_state("p", "watermark", {"t_ns": T0 + 1})
    await ledger.put_state("q", "watermark", {})
    assert await ledger.get_state("p", "watermark") == {"t_ns": T0 + 1}
    with pytest.raises(ValueError, match="JSON"):
        await ledger.put_state("p", "watermark", {"share": float("nan")})


async def test_a_report_version_is_frozen(ledger: SqlLedger) -> None:
    first = ReportVersion("p", "month", "2026-09", 1, {"e1": 13012.5, "green": None}, "abc", "closing", T0)
    second = replace(first, version=2, cause="late tap", body={"e1": 13010.0})
    await ledger.add_report(second)
    await ledger.add_report(first)
    with pytest.raises(ValueError, match="version 1 already"):
        await ledger.add_report(replace(first, body={"e1": 1}))
    assert await ledger.reports("p", "month", "2026-09") == [first, second]
    assert await ledger.reports("p", "day", "2026-09") == []


async def test_alert_history_newest_first(ledger: SqlLedger) -> None:
    for i in range(4):
        await ledger.add_alert_event("p", {"t_ns": T0 + i, "rule": "silent", "i": i})
    await ledger.add_alert_event("p", {"rule": "undated"})
    assert [e["i"] for e in await ledger.alert_events("p", Span(T0 + 1, T0 + 3))] == [2, 1]
    assert (await ledger.alert_events("p", ALWAYS))[0]["rule"] == "undated"
    assert await ledger.alert_events("q", ALWAYS) == []


async def test_everything_outlives_the_process_that_wrote_it(url: str) -> None:
    for number in (1, 0):  # the second time everything is there already
        ledger = SqlLedger(url, StepClock())
        await ledger.setup()
        assert len(await ledger.add([tap()])) == number
        await ledger.audit("p", "admin", "ledger.add", {"key": "tap-1"})
        await ledger.close()
    ledger = SqlLedger(url, StepClock())
    assert len(await ledger.entries("p", ["metal_tapped"], ALWAYS)) == 1
    assert await slots(ledger) == [("line:l1", 0)]
    await ledger.close()


async def test_two_writers_share_one_ledger(url: str, ledger: SqlLedger) -> None:
    other = SqlLedger(url, StepClock())
    added = await asyncio.gather(*(which.add([tap(f"tap-{i}")]) for i in range(10) for which in (ledger, other)))
    assert sorted(map(len, added)) == [0] * 10 + [1] * 10
    await asyncio.gather(*(which.mark_dirty("p", "plant", [T0 + i * QUARTER_NS]) for i in range(10) for which in (ledger, other)))
    generations = [slot.generation for slot in await other.dirty("p", 100) if slot.node == "plant"]
    assert len(set(generations)) == 10
    await other.close()


async def test_dirty_slots_are_summed_up_by_node(ledger: SqlLedger) -> None:
    await ledger.mark_dirty("p", "point:b", [T0 + i * QUARTER_NS for i in range(8)])
    await ledger.mark_dirty("p", "point:a", [T0 + 3 * QUARTER_NS])
    await ledger.mark_dirty("q", "point:a", [T0])
    span = Span(T0 + QUARTER_NS, T0 + 4 * QUARTER_NS)
    a, b = await ledger.dirty_nodes("p", span)
    assert (a.node, a.first_slot_ns, a.last_slot_ns) == ("point:a", T0 + 3 * QUARTER_NS, T0 + 3 * QUARTER_NS)
    assert (b.node, b.first_slot_ns, b.last_slot_ns) == ("point:b", T0 + QUARTER_NS, T0 + 3 * QUARTER_NS)
    assert a.generation > b.generation
    await ledger.mark_dirty("p", "point:b", [T0 + 2 * QUARTER_NS])
    await ledger.clear_dirty_span("p", span, a.generation)
    left = [(slot.node, (slot.slot_ns - T0) // QUARTER_NS) for slot in await ledger.dirty("p", 100)]
    assert left == [("point:b", i) for i in (0, 2, 4, 5, 6, 7)]
    assert len(await ledger.dirty("q", 10)) == 1
