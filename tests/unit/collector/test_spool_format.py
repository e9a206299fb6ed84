"""Records of the spool: round trip, and every kind of damage."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from collector_blocks import T0_NS, block

from collector.spool_format import (
    BLOCK_BYTES_MAX,
    HEADER_BYTES,
    Record,
    Rot,
    decode_body,
    encode_block,
    next_record,
    read_header,
    sound_length,
    split_block,
)
from plant.errors import SpoolError, SpoolRotten
from plant.frame import FRAMES_MAX, FrameBlock
from plant.quality import Quality


def decoded(data: bytes) -> FrameBlock:
    found = next_record(memoryview(data), 0)
    assert isinstance(found, Record), found
    return found.block


def test_quality_and_missing_values_survive() -> None:
    given = block(4, meters=("a", "b"))
    given.value[1, 0] = np.nan
    given.quality[1, 0] = int(Quality.INVALID | Quality.MISSING)
    given.quality[2, 1] = int(Quality.SUBSTITUTED)
    back = decoded(encode_block(given))
    assert (back.plant, back.profile, back.quantities, back.meters) == ("smelter", "meter", given.quantities, ("a", "b"))
    assert back.meter_index.tolist() == [0, 1, 0, 1]
    assert back.t_ns.tolist() == given.t_ns.tolist()
    assert back.value.tobytes() == given.value.tobytes()
    assert back.quality.tolist() == given.quality.tolist()
    back.value[0, 0] = 1.0  # the arrays are the block's own


def test_good_quality_takes_no_room() -> None:
    good, bad = block(100), block(100)
    bad.quality[0, 0] = 1
    assert len(encode_block(bad)) - len(encode_block(good)) == 2 * bad.quality.size


@pytest.mark.parametrize(("meters", "index_bytes"), [(2, 1), (256, 1), (257, 2)])
def test_meter_index_is_as_wide_as_needed(meters: int, index_bytes: int) -> None:
    given = block(300, meters=tuple(f"m-{i}" for i in range(meters)))
    narrow = len(encode_block(replace(given, meter_index=np.zeros(300, np.int32), meters=given.meters)))
    assert decoded(encode_block(given)).meter_index.tolist() == given.meter_index.tolist()
    names_bytes = narrow - HEADER_BYTES - 300 * (index_bytes + 8 + 16)
    assert 0 < names_bytes < 12 * meters + 100


def test_header_tells_the_span_without_the_body() -> None:
    header = read_header(memoryview(encode_block(block(5))))
    assert header is not None
    assert (header.frames, header.first_t_ns, header.last_t_ns) == (5, T0_NS, T0_NS + 4 * 10**9)


def test_empty_block_is_no_record() -> None:
    with pytest.raises(ValueError, match="empty"):
        encode_block(block(0))


def test_large_block_is_split_by_rows_and_by_bytes() -> None:
    parts = split_block(block(2500))
    assert [len(p) for p in parts] == [FRAMES_MAX, FRAMES_MAX, 500]
    wide = split_block(block(1000, quantities=tuple(f"q{i}" for i in range(60))))
    assert sum(map(len, wide)) == 1000
    assert all(len(encode_block(p)) < 300 * 2**10 for p in wide)
    small = block(3)
    assert split_block(small)[0] is small


def test_rotten_body_is_stepped_over_with_its_span() -> None:
    first, second = encode_block(block(3)), encode_block(block(2, first=3))
    data = bytearray(first + second)
    data[HEADER_BYTES + 20] ^= 1
    rot = next_record(memoryview(data), 0)
    assert isinstance(rot, Rot)
    assert (rot.start, rot.end, rot.frames, rot.first_t_ns, rot.last_t_ns) == (0, len(first), 3, T0_NS, T0_NS + 2 * 10**9)
    assert isinstance(next_record(memoryview(data), rot.end), Record)


def test_rotten_header_is_stepped_over_to_the_next_sound_one() -> None:
    first, second = encode_block(block(3)), encode_block(block(2, first=3))
    data = bytearray(first + second)
    data[8] ^= 0xFF
    rot = next_record(memoryview(data), 0)
    assert rot == Rot(0, len(first), "the header's checksum does not fit")


def test_nothing_sound_behind_a_rotten_header() -> None:
    data = bytearray(encode_block(block(3)))
    data[0] ^= 0xFF
    assert next_record(memoryview(data), 0) == Rot(0, len(data), "the header's checksum does not fit")


def as_version_1(record: bytes) -> bytes:
    """The same record as the first format wrote it: a header without the time of its taking in."""
    magic, _, zero, *told, _, body_crc, _ = struct.unpack_from("<4sHHIIqqqII", record)
    head = struct.pack("<4sHHIIqqI", magic, 1, zero, *told, body_crc)
    return head + struct.pack("<I", zlib.crc32(head)) + record[HEADER_BYTES:]


def test_records_of_the_first_format_are_read_among_those_of_the_second() -> None:
    old, new = as_version_1(encode_block(block(3))), encode_block(block(2, first=3), taken_ns=7)
    first = next_record(memoryview(old + new), 0)
    assert isinstance(first, Record)
    second = next_record(memoryview(old + new), first.end)
    assert isinstance(second, Record)
    assert [*first.block.value[:, -1], *second.block.value[:, -1]] == [0, 1, 2, 3, 4]
    headers = [read_header(memoryview(old)), read_header(memoryview(new))]
    assert [header.taken_ns for header in headers if header is not None] == [0, 7]
    assert sound_length(memoryview(old + new + old[:-1])) == len(old + new)


def test_other_version_is_named() -> None:
    data = bytearray(encode_block(block(1)))
    struct.pack_into("<H", data, 4, 9)
    struct.pack_into("<I", data, HEADER_BYTES - 4, zlib.crc32(data[: HEADER_BYTES - 4]))
    with pytest.raises(SpoolError, match="records of version 9") as raised:
        next_record(memoryview(data), 0)
    assert not isinstance(raised.value, SpoolRotten), "not to be stepped over"


def test_body_that_passes_its_checksum_but_is_no_block() -> None:
    body = b"\x03\x00\x00\x00abc"
    header = read_header(memoryview(encode_block(block(1))))
    assert header is not None
    with pytest.raises(SpoolRotten, match="does not hold a block"):
        decode_body(replace(header, body_crc=zlib.crc32(body), body_bytes=len(body)), memoryview(body))


def test_torn_tail_ends_the_sound_length() -> None:
    whole, torn = encode_block(block(3)), encode_block(block(3, first=3))
    for cut in (1, HEADER_BYTES - 1, HEADER_BYTES, len(torn) - 1):
        assert sound_length(memoryview(whole + torn[:cut])) == len(whole)
    assert sound_length(memoryview(whole + torn)) == len(whole + torn)
    assert sound_length(memoryview(b"")) == 0


def test_rot_before_a_sound_record_is_not_a_tail() -> None:
    data = bytearray(encode_block(block(3)) + encode_block(block(3, first=3)))
    data[HEADER_BYTES + 5] ^= 1
    assert sound_length(memoryview(data)) == len(data)


def test_long_ids_of_events_count_for_the_size_of_a_record() -> None:
    ids = tuple(f"{n:04d}" + "x" * 20_000 for n in range(1_000))
    parts = split_block(block(1_000, event_ids=ids))
    assert tuple(event_id for part in parts for event_id in part.event_ids) == ids
    assert max(len(encode_block(part)) for part in parts) <= 2 * BLOCK_BYTES_MAX
