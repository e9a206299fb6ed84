"""What every series store promises, held against the memory oracle, the embedded file and a real InfluxDB."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from plant.errors import StoreRejected
from plant.frame import FrameBlock
from plant.ports import SeriesStore, SpoolCursor, Written
from plant.quality import Quality
from plant.series import MINUTE, MINUTE_NS, QUARTER, QUARTER_NS, DerivedBlock, Series, Span, dense_block
from plant.site import StoreSettings
from storage.embedded import EmbeddedStore
from storage.influx import InfluxStore
from storage.memory import MemoryStore

T0 = 1_790_000_100_000_000_000 // QUARTER_NS * QUARTER_NS
S = 1_000_000_000
MS = 1_000_000
NAN = math.nan
KINDS = ("memory", "embedded", "compacted", "influxdb")
FAR_NS = 2_000_000_000_000_000_000


class Compacted(EmbeddedStore):
    """The embedded store with every day closed: after each write all readings lie in files."""

    async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
        written = await super().write(blocks, sink_cursor)
        await self.compact(FAR_NS)
        return written


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SeriesStore]:
    # far retention: the readings below lie at a fixed date
    settings = StoreSettings(raw_days=36_500, minute_days=36_500, quarter_days=36_500, database=f"t{uuid.uuid4().hex}")
    made: SeriesStore
    if request.param == "memory":
        made = MemoryStore("p")
    elif request.param in ("embedded", "compacted"):
        kind = EmbeddedStore if request.param == "embedded" else Compacted
        made = kind(tmp_path / "series.duckdb", "p", settings)
    else:
        url = request.getfixturevalue("influxdb")
        made = InfluxStore(
            StoreSettings(url=url, database=settings.database, raw_days=36_500, minute_days=36_500, quarter_days=36_500), "p", {}
        )
    await made.setup()
    yield made
    await made.close()


def frames(
    t_ns: list[int],
    value: list[list[float]],
    quality: list[list[int]] | None = None,
    *,
    meter: str = "m1",
    quantities: tuple[str, ...] = ("active_power",),
    plant: str = "p",
) -> FrameBlock:
    n = len(t_ns)
    return FrameBlock(
        plant,
        "profile",
        quantities,
        (meter,),
        np.zeros(n, np.int32),
        np.array(t_ns, np.int64),
        np.array(value, np.float64).reshape(n, len(quantities)),
        np.array(quality if quality is not None else np.zeros((n, len(quantities))), np.int16).reshape(n, len(quantities)),
    )


def told(series: Series) -> list[tuple[int, float | None, int]]:
    """A series as (ms after T0, value or None, quality)."""
    return [
        ((t - T0) // MS, None if math.isnan(v) else v, q)
        for t, v, q in zip(series.t_ns.tolist(), series.value.tolist(), series.quality.tolist(), strict=True)
    ]


ALWAYS = Span(T0 - 86_400 * S, T0 + 86_400 * S)


async def test_readings_come_back_to_the_bit_with_their_quality(store: SeriesStore) -> None:
    values = [[0.1 + 0.2, -1e-12], [1e22, 13_000.0], [7.0, -0.0]]
    await store.write(
        [frames([T0, T0 + S, T0 + 2 * S], values, [[0, 1], [0, 0], [64, 0]], quantities=("active_power", "energy_import"))]
    )
    found = await store.read_many(
        [("m1", "active_power"), ("m1", "energy_import"), ("m1", "frequency"), ("m2", "active_power")], ALWAYS
    )
    assert told(found["m1", "active_power"]) == [(0, 0.1 + 0.2, 0), (1000, 1e22, 0), (2000, 7.0, 64)]
    assert told(found["m1", "energy_import"]) == [(0, -1e-12, 1), (1000, 13_000.0, 0), (2000, 0.0, 0)]
    assert len(found["m1", "frequency"]) == len(found["m2", "active_power"]) == 0
    series = found["m1", "active_power"]
    assert (series.t_ns.dtype, series.value.dtype, series.quality.dtype) == (np.int64, np.float64, np.int16)


async def test_a_missing_value_is_nan_with_its_quality_and_never_zero(store: SeriesStore) -> None:
    refused = int(Quality.INVALID | Quality.FAILURE)
    block = frames(
        [T0, T0 + S, T0 + 2 * S],
        [[NAN, 1.0], [2.0, NAN], [NAN, NAN]],
        [[refused, 0], [0, 0], [6, 6]],
        quantities=("active_power", "frequency"),
    )
    await store.write([block])
    assert told(await store.read("m1", "active_power", ALWAYS)) == [(0, None, refused), (1000, 2.0, 0), (2000, None, 6)]
    # a missing value without a reason is stored as missing, not as good
    assert told(await store.read("m1", "frequency", ALWAYS)) == [(0, 1.0, 0), (1000, None, 6), (2000, None, 6)]
    assert await store.count() == {"m1": 2}


async def test_infinities_are_missing(store: SeriesStore) -> None:
    await store.write([frames([T0, T0 + S], [[math.inf], [-math.inf]])])
    assert [row[1] for row in told(await store.read("m1", "active_power", ALWAYS))] == [None, None]


async def test_writing_again_changes_nothing(store: SeriesStore) -> None:
    block = frames([T0, T0 + S], [[1.0], [NAN]], [[0], [6]])
    first = await store.write([block, block])
    second = await store.write([block])
    assert told(await store.read("m1", "active_power", ALWAYS)) == [(0, 1.0, 0), (1000, None, 6)]
    assert await store.count() == {"m1": 1}
    if not isinstance(store, InfluxStore):  # it writes over in silence and cannot tell
        assert (first.stored, first.repeated, first.conflicting) == (2, 2, 0)
        assert (second.stored, second.repeated, second.conflicting) == (0, 2, 0)


async def test_the_first_value_of_an_identity_stays_and_the_second_is_counted(store: SeriesStore) -> None:
    if isinstance(store, InfluxStore):
        pytest.skip("InfluxDB writes over a point and does not say so")
    await store.write([frames([T0], [[1.0]])])
    written = await store.write([frames([T0, T0 + S, T0 + S], [[2.0], [3.0], [4.0]])])
    assert (written.stored, written.repeated, written.conflicting) == (1, 0, 2)
    again = await store.write([frames([T0], [[2.0]]), frames([T0], [[1.0]], [[1]])])
    assert (again.stored, again.repeated, again.conflicting) == (0, 0, 2)
    assert told(await store.read("m1", "active_power", ALWAYS)) == [(0, 1.0, 0), (1000, 3.0, 0)]


async def test_order_of_arrival_does_not_matter(store: SeriesStore) -> None:
    await store.write([frames([T0 + 60 * S, T0 + 61 * S], [[60.0], [61.0]])])
    await store.write([frames([T0 + 2 * S, T0, T0 + S], [[2.0], [0.0], [1.0]])])
    await store.write([frames([T0 + 30 * S], [[30.0]]), frames([T0 + 62 * S], [[62.0]]), frames([T0 - 7200 * S], [[-7200.0]])])
    assert [v for _, v, _ in told(await store.read("m1", "active_power", ALWAYS))] == [
        -7200.0,
        0.0,
        1.0,
        2.0,
        30.0,
        60.0,
        61.0,
        62.0,
    ]


async def test_spans_are_half_open_and_times_keep_their_millisecond(store: SeriesStore) -> None:
    await store.write([frames([T0 - MS, T0, T0 + MS, T0 + 999 * MS, T0 + S], [[-1.0], [0.0], [1.0], [999.0], [1000.0]])])
    assert [row[0] for row in told(await store.read("m1", "active_power", Span(T0, T0 + S)))] == [0, 1, 999]
    assert len(await store.read("m1", "active_power", Span(T0, T0))) == 0
    assert [row[0] for row in told(await store.read("m1", "active_power", Span(T0 + 1, T0 + MS + 1)))] == [1]


async def test_interval_quantities_are_readings_like_others(store: SeriesStore) -> None:
    pair = ("interval_energy_import", "active_power")
    await store.write([frames([T0, T0 + QUARTER_NS], [[12.5, 50.0], [NAN, 51.0]], [[0, 0], [6, 0]], quantities=pair)])
    found = await store.read_many([("m1", name) for name in pair], ALWAYS)
    assert told(found["m1", pair[0]]) == [(0, 12.5, 0), (900_000, None, 6)]
    assert told(found["m1", pair[1]]) == [(0, 50.0, 0), (900_000, 51.0, 0)]
    assert await store.count() == {"m1": 3}
    assert await store.extent() == Span(T0, T0 + QUARTER_NS + MS)


async def test_neighbours_are_finite_and_within_reach(store: SeriesStore) -> None:
    t = [T0, T0 + 10 * S, T0 + 20 * S, T0 + 2000 * S]
    await store.write([frames(t, [[1.0], [2.0], [NAN], [4.0]], [[0], [1], [6], [0]])])
    await store.write([frames([T0 + 5 * S], [[9.0]], meter="m2")])
    pairs = [("m1", "active_power"), ("m2", "active_power"), ("m3", "active_power")]
    before = await store.last_before(pairs, T0 + 2000 * S, 5000.0)
    assert [told(before[pair]) for pair in pairs] == [[(10_000, 2.0, 1)], [(5_000, 9.0, 0)], []]
    after = await store.first_from(pairs, T0 + 20 * S, 5000.0)
    assert [told(after[pair]) for pair in pairs] == [[(2_000_000, 4.0, 0)], [], []]
    assert told((await store.first_from(pairs, T0, 1.0))["m1", "active_power"]) == [(0, 1.0, 0)]
    assert told((await store.last_before(pairs, T0, 1.0))["m1", "active_power"]) == []
    assert told((await store.last_before(pairs, T0 + 1800 * S, 1000.0))["m1", "active_power"]) == []
    assert told((await store.first_from(pairs, T0 + 20 * S, 1980.0))["m1", "active_power"]) == []


async def test_a_neighbour_may_be_weeks_away(store: SeriesStore) -> None:
    day = 86_400 * S
    await store.write([frames([T0 - 40 * day, T0 + 40 * day], [[1.0], [2.0]])])
    pairs = [("m1", "active_power")]
    assert (await store.last_before(pairs, T0, 45 * 86_400.0))[pairs[0]].value.tolist() == [1.0]
    assert (await store.first_from(pairs, T0, 45 * 86_400.0))[pairs[0]].value.tolist() == [2.0]
    assert len((await store.last_before(pairs, T0, 39 * 86_400.0))[pairs[0]]) == 0


async def test_extent_and_count_of_nothing(store: SeriesStore) -> None:
    assert await store.extent() is None
    assert await store.count() == {}
    written = await store.write([])
    assert (written.stored, written.repeated, written.conflicting) == (0, 0, 0)
    await store.write([frames([], [])])
    assert await store.extent() is None
    assert len(await store.read("m1", "active_power", ALWAYS)) == 0


async def test_extent_ends_just_past_the_last_reading(store: SeriesStore) -> None:
    await store.write([frames([T0 + 5 * S], [[1.0]]), frames([T0 + 9 * S], [[NAN]], [[6]], meter="m2")])
    assert await store.extent() == Span(T0 + 5 * S, T0 + 9 * S + MS)
    assert await store.count(["m1", "m2", "m3"]) == {"m1": 1}
    assert await store.count(["m2"]) == {}


async def test_plants_do_not_mix(store: SeriesStore) -> None:
    await store.write([frames([T0], [[1.0]]), frames([T0 + S], [[2.0]], plant="other")])
    assert told(await store.read("m1", "active_power", ALWAYS)) == [(0, 1.0, 0)]
    assert await store.count() == {"m1": 1}
    assert await store.extent() == Span(T0, T0 + MS)


@pytest.mark.parametrize("name", ["电解一系列 №1", "a,b=c d", 'it\'s "quoted"', "back\\slash", "back\\,comma", "m/+#1"])
async def test_any_printable_name_keeps_its_readings_apart(store: SeriesStore, name: str) -> None:
    await store.write([frames([T0], [[1.0]], meter=name), frames([T0], [[2.0]], meter="other")])
    assert told(await store.read(name, "active_power", ALWAYS)) == [(0, 1.0, 0)]
    assert await store.count() == {name: 1, "other": 1}
    await store.write_derived(figures([T0], [[5.0]], node=f"point:{name}"))
    assert rows(await store.read_derived(MINUTE, [f"point:{name}"], ["f"], ALWAYS)) == [(f"point:{name}", 0, [5.0])]


@pytest.mark.parametrize("name", ["", "line\nbreak", "ends with \\", "x" * 201, "zero\x00"])
async def test_a_name_that_no_store_could_keep_is_refused_and_nothing_stored(store: SeriesStore, name: str) -> None:
    with pytest.raises(StoreRejected, match="cannot be a name"):
        await store.write([frames([T0], [[1.0]]), frames([T0], [[1.0]], meter=name)])
    with pytest.raises(StoreRejected, match="cannot be a name"):
        await store.write_derived(figures([T0], [[1.0]], node=name))
    assert await store.extent() is None


async def test_a_quantity_outside_the_table_and_a_reserved_field_are_refused(store: SeriesStore) -> None:
    with pytest.raises(StoreRejected, match="wattage"):
        await store.write([frames([T0], [[1.0]], quantities=("wattage",))])
    with pytest.raises(StoreRejected, match="version"):
        await store.write_derived(figures([T0], [[1.0]], fields=("version",)))


async def test_the_cursor_is_committed_with_the_readings(store: SeriesStore) -> None:
    assert await store.cursor() is None
    await store.write([frames([T0], [[1.0]])], SpoolCursor(3, 4096))
    await store.write([frames([T0 + S], [[1.0]])])
    assert await store.cursor() == (None if isinstance(store, InfluxStore) else SpoolCursor(3, 4096))


def figures(
    start_ns: list[int],
    value: list[list[float]],
    *,
    version: int = 1,
    node: str = "plant",
    fields: tuple[str, ...] = ("f",),
    resolution: str = MINUTE,
    valid: bool = True,
) -> DerivedBlock:
    n = len(start_ns)
    return DerivedBlock(
        "p",
        resolution,
        fields,
        (node,),
        np.zeros(n, np.int32),
        np.array(start_ns, np.int64),
        np.array(value, np.float64).reshape(n, len(fields)),
        np.full(n, version, np.int64),
        np.full(n, valid),
    )


def rows(block: DerivedBlock) -> list[tuple[str, int, list[float | None]]]:
    """(node, ms after T0, values) of the rows of a block, in its order."""
    return [
        (block.nodes[node], (start - T0) // MS, [None if math.isnan(v) else v for v in value])
        for node, start, value in zip(block.node_index.tolist(), block.start_ns.tolist(), block.value.tolist(), strict=True)
    ]


async def test_figures_come_back_by_node_and_start(store: SeriesStore) -> None:
    cube = np.arange(12, dtype=np.float64).reshape(2, 3, 2)
    cube[1, 2, 0] = NAN
    starts = T0 + np.arange(3) * MINUTE_NS
    await store.write_derived(dense_block("p", MINUTE, ("a", "b"), ("bus:n", "plant"), starts, cube, 7))
    found = await store.read_derived(
        MINUTE, ["plant", "bus:n", "line:x"], ["b", "unknown", "a"], Span(T0 + MINUTE_NS, T0 + 3 * MINUTE_NS)
    )
    assert rows(found) == [
        ("plant", 60_000, [9.0, None, 8.0]),
        ("plant", 120_000, [11.0, None, None]),
        ("bus:n", 60_000, [3.0, None, 2.0]),
        ("bus:n", 120_000, [5.0, None, 4.0]),
    ]
    assert found.version.tolist() == [7] * 4
    assert found.valid.all()
    assert found.fields == ("b", "unknown", "a")
    start, value = found.column("bus:n", "a")
    assert (start.tolist(), value.tolist()) == (starts[1:].tolist(), [2.0, 4.0])
    assert len(await store.read_derived(QUARTER, ["plant"], ["a"], ALWAYS)) == 0
    assert len(await store.read_derived(MINUTE, ["nobody"], ["a"], ALWAYS)) == 0


async def test_a_newer_version_replaces_a_row_and_an_older_one_does_not(store: SeriesStore) -> None:
    await store.write_derived(figures([T0, T0 + MINUTE_NS], [[1.0], [1.0]], version=5))
    await store.write_derived(figures([T0], [[2.0]], version=6))
    await store.write_derived(figures([T0 + MINUTE_NS], [[0.0]], version=4))
    await store.write_derived(figures([T0 + 2 * MINUTE_NS, T0 + 2 * MINUTE_NS], [[8.0], [9.0]], version=1))
    found = await store.read_derived(MINUTE, ["plant"], ["f"], ALWAYS)
    assert rows(found) == [("plant", 0, [2.0]), ("plant", 60_000, [1.0]), ("plant", 120_000, [9.0])]
    assert found.version.tolist() == [6, 5, 1]


async def test_a_field_that_becomes_null_is_null_and_stays_so(store: SeriesStore) -> None:
    pair = ("share", "load")
    for version, value in enumerate([[30.0, 5.0], [NAN, 6.0], [NAN, 7.0], [31.0, 8.0], [NAN, NAN], [32.0, NAN]], start=1):
        await store.write_derived(figures([T0], [value], version=version, fields=pair, resolution=QUARTER))
        found = await store.read_derived(QUARTER, ["plant"], pair, ALWAYS)
        assert rows(found) == [("plant", 0, [None if math.isnan(v) else v for v in value])]
        assert found.version.tolist() == [version]


async def test_a_row_is_replaced_with_all_its_fields(store: SeriesStore) -> None:
    await store.write_derived(figures([T0], [[1.0, 2.0]], fields=("a", "b")))
    await store.write_derived(figures([T0], [[3.0, 4.0]], fields=("b", "c"), version=2))
    assert rows(await store.read_derived(MINUTE, ["plant"], ["a", "b", "c"], ALWAYS)) == [("plant", 0, [None, 3.0, 4.0])]


async def test_what_is_not_valid_is_hidden_until_it_is_valid_again(store: SeriesStore) -> None:
    await store.write_derived(figures([T0, T0 + MINUTE_NS], [[1.0], [2.0]]))
    await store.write_derived(figures([T0], [[1.0]], version=2, valid=False))
    assert rows(await store.read_derived(MINUTE, ["plant"], ["f"], ALWAYS)) == [("plant", 60_000, [2.0])]
    await store.write_derived(figures([T0], [[3.0]], version=3))
    assert rows(await store.read_derived(MINUTE, ["plant"], ["f"], ALWAYS)) == [("plant", 0, [3.0]), ("plant", 60_000, [2.0])]


async def test_the_two_resolutions_are_apart_and_spans_half_open(store: SeriesStore) -> None:
    await store.write_derived(figures([T0, T0 + QUARTER_NS], [[1.0], [2.0]], resolution=QUARTER))
    await store.write_derived(figures([T0], [[9.0]]))
    assert rows(await store.read_derived(QUARTER, ["plant"], ["f"], Span(T0, T0 + QUARTER_NS))) == [("plant", 0, [1.0])]
    assert rows(await store.read_derived(QUARTER, ["plant"], ["f"], Span(T0 + 1, T0 + QUARTER_NS + 1))) == [
        ("plant", 900_000, [2.0])
    ]
    assert rows(await store.read_derived(MINUTE, ["plant"], ["f"], ALWAYS)) == [("plant", 0, [9.0])]


async def test_many_meters_and_rows_in_one_answer(store: SeriesStore) -> None:
    meters = tuple(f"m{i}" for i in range(120))
    n = len(meters) * 30
    t_ns = T0 + np.repeat(np.arange(30), len(meters)) * S
    index = np.tile(np.arange(len(meters), dtype=np.int32), 30)
    value = (index * 1000 + (t_ns - T0) // S).astype(np.float64)
    await store.write([FrameBlock("p", "x", ("active_power",), meters, index, t_ns, value[:, None], np.zeros((n, 1), np.int16))])
    found = await store.read_many([(meter, "active_power") for meter in meters], ALWAYS)
    assert all(found[m, "active_power"].value.tolist() == [i * 1000 + s for s in range(30)] for i, m in enumerate(meters))
    assert await store.count(list(meters)) == dict.fromkeys(meters, 30)
    last = await store.last_before([(meter, "active_power") for meter in meters], T0 + 3600 * S, 7200.0)
    assert [last[m, "active_power"].value.tolist() for m in meters] == [[i * 1000 + 29] for i in range(len(meters))]
