"""A spool's state from its files alone, for whoever does not hold it. Blocking, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collector import segments as files
from collector.disk import Disk
from collector.spool_losses import LostSpan, read_losses
from collector.spool_scan import header_at
from collector.spool_shelf import Shelf


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How far a sink is, by the cursor it kept last: bytes behind, the oldest reading (UTC ns) it has not taken and that
    one's age; None where nothing waits."""

    name: str
    need: str  # required | best_effort
    segment: int
    offset: int
    backlog_bytes: int
    oldest_t_ns: int | None
    backlog_h: float | None


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """Everything of a spool: bytes on the disk of the bound, segments, sinks, spans lost or rotten."""

    bytes: int
    bytes_max: int
    segments: int
    sinks: tuple[SinkStatus, ...]
    lost: tuple[LostSpan, ...]


def read_status(
    disk: Disk, directory: Path, *, required: Sequence[str], best_effort: Sequence[str], bytes_max: int, now_ns: int
) -> SpoolStatus:
    """The state as the files tell it. Raises SpoolError for damaged small files, OSError."""
    sizes = files.existing_segments(disk, directory)
    lost = read_losses(disk, directory)
    total = sum(disk.sizes(directory).values())
    shelf = Shelf(tuple(required), tuple(best_effort))
    for number, size in sizes.items():
        if number > lost.gone_through:
            shelf.put(number, size, 0)
    sinks = []
    if shelf.sizes:
        for sink in shelf.cursors:
            shelf.cursors[sink] = files.load_cursor(disk, directory, sink)
            sinks.append(_sink(disk, directory, shelf, sink, now_ns))
    return SpoolStatus(total, bytes_max, len(sizes), tuple(sinks), lost.spans)


def _sink(disk: Disk, directory: Path, shelf: Shelf, sink: str, now_ns: int) -> SinkStatus:
    need = "required" if sink in shelf.required else "best_effort"
    cursor = shelf.cursor(sink)
    at = shelf.next_record(cursor)
    if at is None:
        return SinkStatus(sink, need, cursor.segment, cursor.offset, 0, None, None)
    header = header_at(disk, directory, at.segment, at.offset)
    oldest_t_ns = None if header is None else header.first_t_ns
    age_h = None if oldest_t_ns is None else max(0, now_ns - oldest_t_ns) / 3_600e9
    return SinkStatus(sink, need, cursor.segment, cursor.offset, shelf.waiting_bytes(at), oldest_t_ns, age_h)
