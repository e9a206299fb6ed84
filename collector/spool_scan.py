"""What stands in a segment by its headers alone: how many Frames of which span, taken in when. Blocking."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.disk import Disk
from collector.segments import segment_path
from collector.spool_format import HEADER_BYTES, RecordHeader, next_header, read_header
from plant.errors import SpoolRotten
from plant.ports import SpoolCursor


@dataclass(frozen=True, slots=True)
class Extent:
    """Frames of a stretch of a segment, None where no header could be read; span of their instants (UTC ns); when the
    last record was taken in (ns of the spool's running time)."""

    frames: int | None
    first_t_ns: int | None
    last_t_ns: int | None
    taken_ns: int


def header_at(disk: Disk, directory: Path, number: int, offset: int) -> RecordHeader | None:
    """The header at a place; None where it is rotten or nothing is there. Raises OSError."""
    try:
        return read_header(memoryview(disk.read(segment_path(directory, number), offset, HEADER_BYTES)))
    except SpoolRotten:
        return None


def begun_ns(disk: Disk, directory: Path, number: int, otherwise_ns: int) -> int:
    """When a segment's first record was taken in, as far as the disk gives it back. Raises OSError."""
    try:
        header = header_at(disk, directory, number, 0)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return otherwise_ns
    return otherwise_ns if header is None else header.taken_ns


def may_begin(disk: Disk, directory: Path, at: SpoolCursor, sizes: Mapping[int, int]) -> bool:
    """Whether a record begins or ends at a place, or nobody can tell: its segment is gone or not given back. Raises OSError."""
    if at.segment not in sizes or at.offset in (0, sizes[at.segment]):
        return True  # a segment that is gone was passed, or is told lost
    try:
        return header_at(disk, directory, at.segment, at.offset) is not None
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return True


def extent(disk: Disk, directory: Path, number: int, start: int, end: int) -> Extent:
    """The stretch [start, end) of a segment; one that cannot be read at all tells nothing."""
    try:
        data = memoryview(disk.read(segment_path(directory, number), start, end - start))
    except OSError:
        return Extent(None, None, None, 0)
    found = list(_headers(data))
    if not found:
        return Extent(None, None, None, 0)
    first, last = min(h.first_t_ns for h in found), max(h.last_t_ns for h in found)
    return Extent(sum(h.frames for h in found), first, last, max(h.taken_ns for h in found))


def _headers(data: memoryview) -> Iterator[RecordHeader]:
    at = 0
    while at < len(data):
        try:
            header = read_header(data, at)
        except SpoolRotten:
            at = next_header(data, at + 1)
            continue
        if header is None:
            return
        yield header
        at += header.record_bytes
