"""The spool's record: one FrameBlock as bytes, with a checked header and a checked body. Pure.

Record = header (48 bytes, little endian, its own CRC32) + body (CRC32 in the header). The header alone says how many
Frames of which span a rotten body held, so that a loss can be named, and when by the spool's own running time it was
taken in. Version 1 had no such time and is still read. Body = length of the names (uint32), names as
msgpack, then the columns one after the other: position of the meter (1, 2 or 4 bytes), instant (int64 ms), values
(float64), and the quality words (int16) unless all are good.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from plant.errors import SpoolError, SpoolRotten
from plant.frame import FRAMES_MAX, NS_PER_MS, FrameBlock

VERSION = 2
MAGIC = b"PWFB"
BODY_BYTES_MAX = 16 * 2**20  # far above any block: a longer length is a rotten header
BLOCK_BYTES_MAX = 256 * 2**10
_START = struct.Struct("<4sHH")  # magic, version, 0: of every version
_HEADER = struct.Struct("<4sHHIIqqqII")  # ..., body bytes, frames, first ns, last ns, taken ns, body crc, header crc
_HEADER_1 = struct.Struct("<4sHHIIqqII")  # without taken ns
_LAYOUTS = {1: _HEADER_1, VERSION: _HEADER}
HEADER_BYTES = _HEADER.size
_LENGTH = struct.Struct("<I")


class _Names(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    plant: str
    profile: str
    quantities: tuple[str, ...]
    meters: tuple[str, ...]
    event_ids: tuple[str, ...]
    index_bytes: int
    has_quality: bool


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What a record's header says of its body: size, Frames and the span of their instants (UTC ns); ``taken_ns`` is
    the spool's own running time when it took the record in, 0 where version 1 did not tell."""

    body_bytes: int
    frames: int
    first_t_ns: int
    last_t_ns: int
    body_crc: int
    taken_ns: int = 0
    header_bytes: int = HEADER_BYTES

    @property
    def record_bytes(self) -> int:
        """Header and body."""
        return self.header_bytes + self.body_bytes


@dataclass(frozen=True, slots=True)
class Rot:
    """A span of bytes that cannot be read; ``frames`` is None where not even a header told how many were lost."""

    start: int
    end: int
    reason: str
    frames: int | None = None
    first_t_ns: int | None = None
    last_t_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A readable record at ``[start, end)``."""

    start: int
    end: int
    block: FrameBlock


def split_block(block: FrameBlock) -> list[FrameBlock]:
    """The block in parts of at most 1 000 Frames and about 256 KiB; itself where it is small enough."""
    id_bytes = max((len(event_id.encode("utf-8", "replace")) for event_id in block.event_ids), default=0)
    row_bytes = 4 + 8 + len(block.quantities) * 10 + id_bytes
    rows = max(1, min(FRAMES_MAX, BLOCK_BYTES_MAX // row_bytes))
    if len(block) <= rows:
        return [block]
    return [block.take(slice(at, at + rows)) for at in range(0, len(block), rows)]


def encode_block(block: FrameBlock, taken_ns: int = 0) -> bytes:
    """One record, taken in at ``taken_ns`` of the spool's running time. Raises ``ValueError`` for an empty block or one
    that does not fit a record (see ``split_block``)."""
    if not len(block):
        raise ValueError("an empty block is no record")
    index_bytes = 1 if len(block.meters) <= 2**8 else 2 if len(block.meters) <= 2**16 else 4
    has_quality = bool(block.quality.any())
    names = _Names(block.plant, block.profile, block.quantities, block.meters, block.event_ids, index_bytes, has_quality)
    packed = msgspec.msgpack.encode(names)
    columns = [
        block.meter_index.astype(f"<u{index_bytes}").tobytes(),
        (block.t_ns // NS_PER_MS).astype("<i8").tobytes(),
        block.value.astype("<f8").tobytes(),
    ]
    if has_quality:
        columns.append(block.quality.astype("<i2").tobytes())
    body = b"".join([_LENGTH.pack(len(packed)), packed, *columns])
    if len(body) > BODY_BYTES_MAX:
        raise ValueError(f"a block of {len(block)} Frames takes {len(body)} bytes, a record at most {BODY_BYTES_MAX}")
    first_ns, last_ns = int(block.t_ns.min()), int(block.t_ns.max())
    whole = _HEADER.pack(MAGIC, VERSION, 0, len(body), len(block), first_ns, last_ns, taken_ns, zlib.crc32(body), 0)
    head = whole[: -_LENGTH.size]
    return head + _LENGTH.pack(zlib.crc32(head)) + body


def read_header(data: memoryview, at: int = 0) -> RecordHeader | None:
    """The header at byte ``at``; None where fewer bytes than a header are left. Raises SpoolRotten, and SpoolError for a
    sound record of another version."""
    if len(data) - at < HEADER_BYTES:
        return None  # of a version 1 record too: no body is shorter than the eight bytes between the two headers
    magic, version, _ = _START.unpack_from(data, at)
    layout = _LAYOUTS.get(version, _HEADER)
    crc_at = at + layout.size - _LENGTH.size
    if magic != MAGIC or zlib.crc32(data[at:crc_at]) != _LENGTH.unpack_from(data, crc_at)[0]:
        raise SpoolRotten("the header's checksum does not fit")
    if version not in _LAYOUTS:
        # sound, and not ours to step over or to cut: nobody may go on from here
        raise SpoolError(
            f"the spool holds records of version {version}, this program reads up to {VERSION}: use the one that wrote it"
        )
    body_bytes, frames, first_ns, last_ns, *taken, body_crc, _ = layout.unpack_from(data, at)[3:]
    if body_bytes > BODY_BYTES_MAX:
        raise SpoolRotten(f"a body of {body_bytes} bytes")
    return RecordHeader(body_bytes, frames, first_ns, last_ns, body_crc, taken[0] if taken else 0, layout.size)


def decode_body(header: RecordHeader, body: memoryview) -> FrameBlock:
    """The block of a body. Raises SpoolRotten where checksum or columns do not fit; the arrays own their memory."""
    if zlib.crc32(body) != header.body_crc:
        raise SpoolRotten("the body's checksum does not fit")
    try:
        return _columns(header.frames, body)
    except (msgspec.MsgspecError, struct.error, ValueError, AssertionError, OverflowError) as error:
        raise SpoolRotten(f"the body passes its checksum but does not hold a block: {error}") from error


def _columns(n: int, body: memoryview) -> FrameBlock:
    (packed_bytes,) = _LENGTH.unpack_from(body)
    at = _LENGTH.size + packed_bytes
    names = msgspec.msgpack.decode(body[_LENGTH.size : at], type=_Names)
    k = len(names.quantities)

    def column(kind: str, count: int) -> npt.NDArray[Any]:
        nonlocal at
        array = np.frombuffer(body, np.dtype(kind), count, at)
        at += array.nbytes
        return array

    index = column(f"<u{names.index_bytes}", n).astype(np.int32)
    t_ns = column("<i8", n).astype(np.int64) * NS_PER_MS
    value = column("<f8", n * k).astype(np.float64).reshape(n, k)
    quality = column("<i2", n * k).astype(np.int16).reshape(n, k) if names.has_quality else np.zeros((n, k), np.int16)
    if at != len(body) or (n and int(index.max()) >= len(names.meters)):
        raise ValueError("columns and names disagree")
    return FrameBlock(names.plant, names.profile, names.quantities, names.meters, index, t_ns, value, quality, names.event_ids)


def next_record(data: memoryview, at: int) -> Record | Rot | None:
    """What stands at byte ``at``: a record, a span to step over, or None where the data end in the middle of a record.

    A rotten body is stepped over by its header's length; behind a rotten header the next sound header is looked for,
    and without one the span reaches to the end of the data.
    """
    try:
        header = read_header(data, at)
    except SpoolRotten as error:
        return Rot(at, next_header(data, at + 1), str(error))
    if header is None or at + header.record_bytes > len(data):
        return None
    end = at + header.record_bytes
    try:
        return Record(at, end, decode_body(header, data[at + header.header_bytes : end]))
    except SpoolRotten as error:
        return Rot(at, end, str(error), header.frames, header.first_t_ns, header.last_t_ns)


def next_header(data: memoryview, at: int) -> int:
    """Where the next sound header stands from byte ``at`` on; the length of the data where none does."""
    raw = bytes(data[at:])
    found = raw.find(MAGIC)
    while found >= 0:
        try:
            if read_header(data, at + found) is not None:
                return at + found
        except SpoolRotten:
            pass
        found = raw.find(MAGIC, found + 1)
    return len(data)


def sound_length(data: memoryview) -> int:
    """Bytes up to the end of the last readable record: what follows is the torn tail of a write that never finished."""
    at = sound = 0
    while at < len(data):
        found = next_record(data, at)
        if found is None:
            # a length that reaches past the end may itself be the damage: a sound record may still follow
            at = next_header(data, at + 1)
            continue
        at = found.end
        if isinstance(found, Record):
            sound = at
    return sound


def ends_whole(data: memoryview) -> bool:
    """Whether the data are whole records by what their headers say, bodies unseen."""
    at = 0
    while at < len(data):
        try:
            header = read_header(data, at)
        except SpoolRotten:
            return False
        if header is None:
            return False
        at += header.record_bytes
    return at == len(data)
