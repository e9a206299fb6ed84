"""Properties of the spool's records: any block comes back, any damage costs at most what it touches, any cut is a tail."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from collector.spool_format import Record, Rot, encode_block, next_record, sound_length
from plant.frame import FrameBlock

NAMES = st.text(min_size=1, max_size=12)


@st.composite
def blocks(draw: st.DrawFn) -> FrameBlock:
    n, k, meters = draw(st.integers(1, 20)), draw(st.integers(1, 5)), draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    return FrameBlock(
        draw(NAMES),
        draw(NAMES),
        tuple(draw(st.lists(NAMES, min_size=k, max_size=k))),
        tuple(meters),
        draw(hnp.arrays(np.int32, n, elements=st.integers(0, len(meters) - 1))),
        draw(hnp.arrays(np.int64, n, elements=st.integers(-(2**40), 2**42))) * 1_000_000,
        draw(hnp.arrays(np.float64, (n, k), elements=st.floats(width=64))),
        draw(hnp.arrays(np.int16, (n, k), elements=st.integers(0, 2**14))),
        tuple(draw(st.lists(NAMES, min_size=n, max_size=n))) if draw(st.booleans()) else (),
    )


def scan(data: bytes) -> tuple[list[Record], list[Rot]]:
    at, records, rotten = 0, [], []
    while at < len(data):
        found = next_record(memoryview(data), at)
        if found is None:
            break
        (records if isinstance(found, Record) else rotten).append(found)
        assert found.end > at, "no progress"
        at = found.end
    return records, rotten


def same(a: FrameBlock, b: FrameBlock) -> bool:
    names = (a.plant, a.profile, a.quantities, a.meters, a.event_ids) == (b.plant, b.profile, b.quantities, b.meters, b.event_ids)
    columns = [(a.meter_index, b.meter_index), (a.t_ns, b.t_ns), (a.value, b.value), (a.quality, b.quality)]
    return names and all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in columns)


@given(blocks())
def test_a_block_comes_back_bit_by_bit(block: FrameBlock) -> None:
    data = encode_block(block)
    (record,), rotten = scan(data)
    assert same(record.block, block)
    assert not rotten
    assert encode_block(record.block) == data


@given(st.lists(blocks(), min_size=1, max_size=4), st.data())
def test_one_damaged_byte_costs_at_most_its_record(given_blocks: list[FrameBlock], data: st.DataObject) -> None:
    parts = [encode_block(b) for b in given_blocks]
    whole = bytearray(b"".join(parts))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    starts = np.cumsum([0, *map(len, parts)])
    hit = int(np.searchsorted(starts, at, side="right")) - 1
    records, rotten = scan(bytes(whole))
    assert [r.start for r in records] == [int(s) for i, s in enumerate(starts[:-1]) if i != hit]
    assert [(r.start, r.end) for r in rotten] == [(starts[hit], starts[hit + 1])]


@given(st.lists(blocks(), min_size=1, max_size=4), st.data())
def test_any_cut_leaves_exactly_the_whole_records(given_blocks: list[FrameBlock], data: st.DataObject) -> None:
    parts = [encode_block(b) for b in given_blocks]
    whole = b"".join(parts)
    cut = data.draw(st.integers(0, len(whole)))
    ends = np.cumsum([0, *map(len, parts)])
    assert sound_length(memoryview(whole[:cut])) == int(ends[ends <= cut].max())


@given(st.binary(max_size=400))
def test_noise_is_never_a_record(noise: bytes) -> None:
    records, _ = scan(noise)
    assert records == []
    assert sound_length(memoryview(noise)) == 0
