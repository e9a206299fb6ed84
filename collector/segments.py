"""The spool's files: append-only segments, their recovery, reading, and cursors. Blocking; ``collector.spool`` calls it
from threads. A directory holds ``<number>.seg`` files, ``<sink>.cursor`` files and ``lock``."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from collector.disk import OS_DISK, Disk, DiskFile, write_whole
from collector.spool_format import HEADER_BYTES, Record, Rot, ends_whole, next_record, read_header, sound_length
from collector.spool_small import NO_SPACE, SmallFiles, sealed, unsealed
from plant.errors import SpoolError, SpoolFull
from plant.frame import FrameBlock
from plant.ports import SpoolCursor

READ_BYTES = 2 * 2**20
SUFFIX, UNREADABLE = ".seg", ".unreadable"


_Place = Annotated[int, msgspec.Meta(ge=0)]


class _CursorFile(msgspec.Struct, forbid_unknown_fields=True):
    segment: _Place
    offset: _Place


class CursorDamaged(SpoolError):
    """A cursor's file is there and tells nothing."""


class SegmentLost(SpoolError):
    """A segment is gone or unreadable: no later try reads it, unless the disk only stumbled."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was read: blocks in order, rotten spans stepped over, and the byte after the last of either."""

    blocks: list[FrameBlock]
    rotten: list[Rot]
    end: int


@dataclass(frozen=True, slots=True)
class Tail:
    """What was cut: bytes that were never acknowledged. What of the end is not readable and may have been: told, and left
    where it is until every sink has passed it."""

    cut_bytes: int
    rotten: list[Rot]


class DirectoryLock:
    """One process a spool: an advisory lock that the kernel drops with the process, however it ends."""

    def __init__(self, directory: Path, disk: Disk = OS_DISK) -> None:
        """Raises SpoolError where another process holds the spool or the directory cannot be made."""
        try:
            disk.make_directory(directory)
            self._lock = disk.lock(directory / "lock")
        except BlockingIOError as error:
            raise SpoolError(f"spool {directory}: another process holds it; stop that one or set another data_dir") from error
        except OSError as error:
            if error.errno in NO_SPACE:
                raise SpoolFull(f"spool {directory}: {error.strerror}; free some room on the disk") from error
            raise SpoolError(f"spool {directory}: {error.strerror}; give potwatt a directory it may write to") from error

    def release(self) -> None:
        """Let the next process in."""
        self._lock.release()


def segment_path(directory: Path, number: int) -> Path:
    """File of a segment."""
    return directory / f"{number:012d}{SUFFIX}"


def existing_segments(disk: Disk, directory: Path) -> dict[int, int]:
    """Segment numbers and their sizes in bytes, ascending. Raises OSError."""
    names = ((Path(name), size) for name, size in disk.sizes(directory).items())
    return dict(sorted((int(name.stem), size) for name, size in names if name.suffix == SUFFIX and name.stem.isdigit()))


def cut_torn_tail(disk: Disk, directory: Path, number: int, later: Sequence[int] = ()) -> Tail:
    """Cut what was left half written at the end of a segment: by a killed process in the last one, by a failed write that
    could not be cut at once in one with ``later`` segments, which then have those records anew. Nothing else that does not
    fit is cut: it may have been acknowledged."""
    path = segment_path(directory, number)
    data = memoryview(disk.read(path))
    if later and ends_whole(data):
        return Tail(0, [])
    at, rotten = sound_length(data), []
    while at < len(data):
        found = next_record(data, at)
        if isinstance(found, Rot):
            rotten.append(found)
            at = found.end
        elif later and not _stands_in(disk, directory, later, data[at:]):
            return Tail(0, [*rotten, Rot(at, len(data), "the segment ends in the middle of a record", *_promised(data, at))])
        else:
            truncate(disk, path, at)
            break
    return Tail(len(data) - at, rotten)


def _stands_in(disk: Disk, directory: Path, later: Sequence[int], torn: memoryview) -> bool:
    """Whether a later segment has the record whose beginning is torn; its header alone tells it from any other."""
    start = bytes(torn[:HEADER_BYTES])
    return any(start in disk.read(segment_path(directory, number)) for number in later)


def _promised(data: memoryview, at: int) -> tuple[int, int, int] | tuple[()]:
    header = read_header(data, at)
    return () if header is None else (header.frames, header.first_t_ns, header.last_t_ns)


def truncate(disk: Disk, path: Path, size: int) -> None:
    """Cut a file durably."""
    file = disk.open(path, "append")
    try:
        file.truncate(size)
        file.sync()
    finally:
        file.close()


class SegmentWriter:
    """Appends to one new segment. After any error it is closed for good: what the kernel still holds of a failed write
    or sync is unknown, so that the bytes have to be written anew elsewhere."""

    def __init__(self, disk: Disk, directory: Path, number: int) -> None:
        """Raises OSError where the file cannot be made."""
        self.number, self.size = number, 0
        self._disk, self._path = disk, segment_path(directory, number)
        self._file: DiskFile = disk.open(self._path, "new")
        try:
            disk.sync_directory(directory)
        except OSError:
            self.abandon()
            raise

    def append(self, data: bytes) -> None:
        """Write and sync; ``size`` grows only when the bytes are durable. Raises OSError."""
        write_whole(self._file, data)
        self._file.sync()
        self.size += len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def abandon(self) -> None:
        """Close after an error and cut what was never acknowledged; if that fails too, readers stop at ``size`` anyway.

        An empty file goes: a disk that stays full would gather one with every try.
        """
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            if self.size:
                truncate(self._disk, self._path, self.size)
            else:
                self._disk.remove(self._path)


def read_chunk(disk: Disk, directory: Path, number: int, offset: int, durable_bytes: int, frames_max: int) -> Chunk:
    """Blocks of a segment from ``offset`` on: at least one record or rotten span unless the segment ends there.

    A record that would reach past ``durable_bytes`` is damage, since a segment ends with a whole record.
    Raises SegmentLost where the file is gone or the disk cannot read it, SpoolError where another try may help.
    """
    blocks: list[FrameBlock] = []
    rotten: list[Rot] = []
    frames, at, size = 0, 0, READ_BYTES
    data = _slice(disk, directory, number, offset, min(size, durable_bytes - offset))
    while offset + at < durable_bytes and frames < frames_max:
        found = next_record(data, at)
        if (found is None or (isinstance(found, Rot) and found.end == len(data))) and offset + len(data) < durable_bytes:
            if at:
                break  # the next call starts at this record
            size, before = size * 4, len(data)
            data = _slice(disk, directory, number, offset, min(size, durable_bytes - offset))
            if len(data) > before:
                continue
            found = Rot(0, durable_bytes - offset, "the file is shorter than what was written to it")
        if found is None:
            found = Rot(at, len(data), "the segment ends in the middle of a record")
        if isinstance(found, Record):
            blocks.append(found.block)
            frames += len(found.block)
        else:
            rotten.append(
                Rot(offset + found.start, offset + found.end, found.reason, found.frames, found.first_t_ns, found.last_t_ns)
            )
        at = found.end
    return Chunk(blocks, rotten, offset + at)


def _slice(disk: Disk, directory: Path, number: int, offset: int, count: int) -> memoryview:
    path = segment_path(directory, number)
    try:
        return memoryview(disk.read(path, offset, count))
    except OSError as error:
        kind = SegmentLost if error.errno in (errno.ENOENT, errno.EIO) else SpoolError
        raise kind(f"{path}: {error.strerror}; check the disk") from error


def set_aside(disk: Disk, directory: Path, number: int) -> None:
    """Keep an unreadable segment, under a name that is none of the spool's, for whoever can rescue it."""
    path = segment_path(directory, number)
    with suppress(OSError):  # it may be gone, or the disk broken: then there is nothing to keep
        disk.rename(path, path.with_suffix(UNREADABLE))
        disk.sync_directory(directory)


def remove_unreadable(disk: Disk, directory: Path) -> None:
    """Remove the segments that were set aside, as far as the disk lets them go."""
    with suppress(OSError):
        for name in disk.sizes(directory):
            if name.endswith(UNREADABLE):
                disk.remove(directory / name)


def cursor_path(directory: Path, sink: str) -> Path:
    """File of a sink's cursor."""
    return directory / f"{sink}.cursor"


def load_cursor(disk: Disk, directory: Path, sink: str) -> SpoolCursor | None:
    """A sink's cursor, None where it never committed. Raises CursorDamaged, SpoolError where it may not be read."""
    path = cursor_path(directory, sink)
    try:
        body, _ = unsealed(disk.read(path))
        kept = msgspec.json.decode(body, type=_CursorFile)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        may_be_sound = isinstance(error, OSError) and error.errno != errno.EIO
        kind = SpoolError if may_be_sound else CursorDamaged
        raise kind(f"{path}: {error}; without it the whole spool is sent again, which stores nothing twice") from error
    return SpoolCursor(kept.segment, kept.offset)


def save_cursor(small: SmallFiles, sink: str, cursor: SpoolCursor) -> None:
    """Replace a sink's cursor in one step that a power cut cannot halve. Raises OSError."""
    small.replace(f"{sink}.cursor", sealed(msgspec.json.encode(_CursorFile(cursor.segment, cursor.offset))))


def remove_segments(disk: Disk, directory: Path, numbers: Sequence[int]) -> None:
    """Delete segments, durably: a power cut could bring them back, beyond the bound. Raises OSError."""
    for number in numbers:
        disk.remove(segment_path(directory, number))
    if numbers:
        disk.sync_directory(directory)
