"""Properties of what the stores are built of, and the embedded store against the oracle on random writes."""

from __future__ import annotations

import asyncio
import math
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.frame import NS_PER_MS, FrameBlock
from plant.ports import SeriesStore, Written
from plant.series import MINUTE, MINUTE_NS, DerivedBlock, Span
from plant.site import StoreSettings
from storage.coverage import SPANS_MAX, Coverage
from storage.embedded import EmbeddedStore
from storage.influx_derived import replacing_lines
from storage.line_protocol import reading_lines
from storage.long_rows import LongRows, classify
from storage.memory import MemoryStore

SPANS = st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**7)).map(lambda p: (p[0], p[0] + p[1])), max_size=200)
ALWAYS = Span(0, 10**18)


@given(SPANS, st.integers(0, 10**10), st.integers(0, 10**7))
def test_coverage_never_overlooks_what_was_added(spans: list[tuple[int, int]], first: int, length: int) -> None:
    coverage = Coverage()
    for span in spans:
        coverage.add(*span)
    assert all(coverage.touches(a, a) and coverage.touches(b, b) and coverage.touches(a, b) for a, b in spans)
    if any(a <= first + length and first <= b for a, b in spans):
        assert coverage.touches(first, first + length)
    assert len(coverage._first_ms) == len(coverage._last_ms) <= SPANS_MAX
    bounds = [t for pair in zip(coverage._first_ms, coverage._last_ms, strict=True) for t in pair]
    assert bounds == sorted(bounds)


@given(st.lists(st.booleans(), max_size=100), st.integers(100 * 60_000, 10**9))
def test_live_data_and_a_rising_history_never_find_each_other(turns: list[bool], age_ms: int) -> None:
    coverage, live_ms = Coverage(), 10**10
    history_ms = live_ms - age_ms
    for is_live in turns:
        first, last = (live_ms, live_ms) if is_live else (history_ms, history_ms + 59_999)
        assert not coverage.touches(first, last)
        coverage.add(first, last)
        live_ms, history_ms = live_ms + is_live * 1000, history_ms + (not is_live) * 60_000


Row = tuple[int, int, float, int]
VALUES = st.sampled_from([0.0, 1.0, math.nan])
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), VALUES, st.integers(0, 1)), max_size=20)


def long_rows(rows: list[Row]) -> LongRows:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    types = (np.int32, np.int64, np.float64, np.int16)
    return LongRows(*(np.array(column, kind) for column, kind in zip(columns, types, strict=True)))


@given(ROWS, ROWS)
def test_classify_is_first_come_first_kept(
    stored: list[tuple[int, int, float, int]], new: list[tuple[int, int, float, int]]
) -> None:
    kept: dict[tuple[int, int], str] = {}
    for series, t_ms, value, quality in stored:
        kept.setdefault((series, t_ms), repr((value, quality)))
    unique = [(s, t, v, q) for s, t, v, q in stored if kept[s, t] == repr((v, q))]
    expected = []
    for series, t_ms, value, quality in new:
        known = (series, t_ms) in kept
        first = kept.setdefault((series, t_ms), repr((value, quality)))
        expected.append((not known, first != repr((value, quality))))
    fresh, conflicting = classify(long_rows(unique), long_rows(new))
    assert list(zip(fresh.tolist(), conflicting.tolist(), strict=True)) == expected


CELLS = st.tuples(st.sampled_from([1.0, 2.0, math.nan, -0.5]), st.sampled_from([0, 1, 6]))
FRAMES = st.tuples(st.integers(0, 2), st.integers(0, 6), CELLS, CELLS)
PROFILES = st.sampled_from(
    [("active_power", "energy_import"), ("energy_import", "interval_energy_import"), ("interval_energy_import", "active_power")]
)


@st.composite
def blocks(draw: st.DrawFn) -> FrameBlock:
    frames = draw(st.lists(FRAMES, max_size=8))
    n = len(frames)
    return FrameBlock(
        draw(st.sampled_from(["p", "q"])),
        "x",
        draw(PROFILES),
        ("m0", "m1", "m2"),
        np.array([meter for meter, *_ in frames], np.int32),
        np.array([t * 3_000_000 * NS_PER_MS for _, t, *_ in frames], np.int64),
        np.array([[a[0], b[0]] for *_, a, b in frames], np.float64).reshape(n, 2),
        np.array([[a[1], b[1]] for *_, a, b in frames], np.int16).reshape(n, 2),
    )


@st.composite
def figures(draw: st.DrawFn) -> DerivedBlock:
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), CELLS, st.integers(1, 4), st.booleans()), max_size=6))
    n = len(rows)
    return DerivedBlock(
        "p",
        MINUTE,
        draw(st.sampled_from([("a",), ("b",)])),
        ("plant", "line:1"),
        np.array([node for node, *_ in rows], np.int32),
        np.array([start * MINUTE_NS for _, start, *_ in rows], np.int64),
        np.array([[cell[0]] for _, _, cell, *_ in rows], np.float64).reshape(n, 1),
        np.array([version for *_, version, _ in rows], np.int64),
        np.array([valid for *_, valid in rows], bool),
    )


async def replay(store: SeriesStore, writes: list[list[FrameBlock]], derived: list[DerivedBlock]) -> tuple[object, ...]:
    """Everything that a store tells after the writes."""
    await store.setup()
    written: list[Written] = [await store.write(some) for some in writes]
    for block in derived:
        await store.write_derived(block)
    pairs = [(m, q) for m in ("m0", "m1", "m2") for q in ("active_power", "energy_import", "interval_energy_import")]
    answers = [
        await store.read_many(pairs, ALWAYS),
        await store.last_before(pairs, 12_000 * 10**9, 9_000.0),
        await store.first_from(pairs, 3_000 * 10**9, 9_000.0),
    ]
    series = [
        (k, s.t_ns.tolist(), repr(s.value.tolist()), s.quality.tolist()) for found in answers for k, s in sorted(found.items())
    ]
    d = await store.read_derived(MINUTE, ["line:1", "plant"], ["a", "b"], ALWAYS)
    rows = (d.node_index.tolist(), d.start_ns.tolist(), repr(d.value.tolist()), d.version.tolist())
    told = (written, series, rows, await store.extent(), await store.count())
    await store.close()
    return told


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(blocks(), max_size=3), max_size=5), st.lists(figures(), max_size=5))
def test_the_embedded_store_tells_what_the_oracle_tells(writes: list[list[FrameBlock]], derived: list[DerivedBlock]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        embedded = EmbeddedStore(Path(folder) / "s.duckdb", "p", StoreSettings())
        assert asyncio.run(replay(embedded, writes, derived)) == asyncio.run(replay(MemoryStore("p"), writes, derived))


@given(blocks())
def test_lines_hold_every_value_and_every_reason_once(block: FrameBlock) -> None:
    lines = reading_lines(block, "reading", block.quantities)
    assert len(lines) == len(block)
    parts = [line.split(" ") for line in lines]
    told = sorted((*sorted(fields.split(",")), t_ms) for _, fields, t_ms in parts)
    expected = []
    for row in range(len(block)):
        fields = []
        for name, value, quality in zip(block.quantities, block.value[row].tolist(), block.quality[row].tolist(), strict=True):
            reason = quality if quality or not math.isnan(value) else 6
            fields += [] if math.isnan(value) else [f"{name}={value!r}"]
            fields += [f"{name}_q={reason}i"] if reason else []
        expected.append((*sorted(fields), str(block.t_ns[row] // NS_PER_MS)))
    assert told == sorted(expected)


@given(figures())
def test_without_anything_stored_figures_lie_at_their_start(block: DerivedBlock) -> None:
    lines = replacing_lines(block, [])
    assert [int(line.rpartition(" ")[2]) for line in lines] == (block.start_ns // NS_PER_MS).tolist()
