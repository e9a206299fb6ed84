"""The spool's files: append-only segments, their recovery, reading, and cursors. Blocking; ``collector.spool`` calls it
from threads. A directory holds ``<number>.seg`` files, ``<sink>.cursor`` files and ``lock``."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from collector.spool_format import HEADER_BYTES, Record, Rot, ends_whole, next_record, read_header, sound_length
from plant.errors import SpoolError, SpoolRotten
from plant.frame import FrameBlock
from plant.ports import SpoolCursor

READ_BYTES = 2 * 2**20


class _CursorFile(msgspec.Struct, forbid_unknown_fields=True):
    segment: int
    offset: int


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
    """What was cut: bytes, and the records among them that were written to their end and yet do not fit their checksum."""

    cut_bytes: int
    rotten: list[Rot]


class DirectoryLock:
    """One process a spool: an advisory lock that the kernel drops with the process, however it ends."""

    def __init__(self, directory: Path) -> None:
        """Raises SpoolError where another process holds the spool or the directory cannot be made."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolError(f"spool {directory}: {error.strerror}; give potwatt a directory it may write to") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise SpoolError(f"spool {directory}: another process holds it; stop that one or set another data_dir") from error

    def release(self) -> None:
        """Let the next process in."""
        os.close(self._fd)


def segment_path(directory: Path, number: int) -> Path:
    """File of a segment."""
    return directory / f"{number:012d}.seg"


def existing_segments(directory: Path) -> dict[int, int]:
    """Segment numbers and their sizes in bytes, ascending."""
    found = ((int(path.stem), path.stat().st_size) for path in directory.glob("*.seg") if path.stem.isdigit())
    return dict(sorted(found))


def cut_torn_tail(directory: Path, number: int, *, position: Literal["last", "earlier"] = "last") -> Tail:
    """Cut what was left half written at the end of a segment: by a killed process in the last one, by a failed write
    that could not be cut at once in an earlier one (of which only the headers are looked at, unless they do not fit)."""
    path = segment_path(directory, number)
    data = memoryview(path.read_bytes())
    if position == "earlier" and ends_whole(data):
        return Tail(0, [])
    sound = at = sound_length(data)
    whole: list[Rot] = []
    while at < len(data) and isinstance(found := next_record(data, at), Rot):
        whole += [found] if found.frames is not None else []
        at = found.end
    if sound < len(data):
        truncate(path, sound)
    return Tail(len(data) - sound, whole)


def truncate(path: Path, size: int) -> None:
    """Cut a file durably."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(directory: Path) -> None:
    """Make new, renamed and removed names durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class SegmentWriter:
    """Appends to one new segment. After any error it is closed for good: what the kernel still holds of a failed write
    or sync is unknown, so that the bytes have to be written anew elsewhere."""

    def __init__(self, directory: Path, number: int) -> None:
        """Raises OSError where the file cannot be made."""
        self.number, self.size = number, 0
        self._path = segment_path(directory, number)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            sync_directory(directory)
        except OSError:
            os.close(self._fd)
            raise

    def append(self, data: bytes) -> None:
        """Write and sync; ``size`` grows only when the bytes are durable. Raises OSError."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        os.fdatasync(self._fd)
        self.size += len(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def abandon(self) -> None:
        """Close after an error and cut what was never acknowledged; if that fails too, readers stop at ``size`` anyway."""
        os.close(self._fd)
        try:
            truncate(self._path, self.size)
        except OSError:
            return


def read_chunk(directory: Path, number: int, offset: int, durable_bytes: int, frames_max: int) -> Chunk:
    """Blocks of a segment from ``offset`` on: at least one record or rotten span unless the segment ends there.

    A record that would reach past ``durable_bytes`` is damage, since a segment ends with a whole record.
    Raises SegmentLost where the file is gone or the disk cannot read it, SpoolError where another try may help.
    """
    blocks: list[FrameBlock] = []
    rotten: list[Rot] = []
    frames, at, size = 0, 0, READ_BYTES
    data = _slice(directory, number, offset, min(size, durable_bytes - offset))
    while offset + at < durable_bytes and frames < frames_max:
        found = next_record(data, at)
        if (found is None or (isinstance(found, Rot) and found.end == len(data))) and offset + len(data) < durable_bytes:
            if at:
                break  # the next call starts at this record
            size, before = size * 4, len(data)
            data = _slice(directory, number, offset, min(size, durable_bytes - offset))
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


def _slice(directory: Path, number: int, offset: int, count: int) -> memoryview:
    path = segment_path(directory, number)
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return memoryview(file.read(count))
    except OSError as error:
        kind = SegmentLost if error.errno in (errno.ENOENT, errno.EIO) else SpoolError
        raise kind(f"{path}: {error.strerror}; check the disk") from error


def set_aside(directory: Path, number: int) -> None:
    """Keep an unreadable segment, under a name that is none of the spool's, for whoever can rescue it."""
    path = segment_path(directory, number)
    with suppress(OSError):  # it may be gone, or the disk broken: then there is nothing to keep
        path.rename(path.with_suffix(".unreadable"))


def first_instant(directory: Path, number: int, offset: int) -> int | None:
    """Oldest instant (UTC ns) of the record at a cursor; None where its header is rotten or nothing is there."""
    try:
        header = read_header(_slice(directory, number, offset, HEADER_BYTES))
    except SpoolRotten:
        return None
    return None if header is None else header.first_t_ns


def load_cursor(directory: Path, sink: str) -> SpoolCursor | None:
    """A sink's cursor, None where it never committed. Raises SpoolError for a damaged file."""
    path = directory / f"{sink}.cursor"
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_CursorFile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise SpoolError(f"{path}: {error}; remove it to send the whole spool again, which stores nothing twice") from error
    return SpoolCursor(kept.segment, kept.offset)


def save_cursor(directory: Path, sink: str, cursor: SpoolCursor) -> None:
    """Replace a sink's cursor in one step that a power cut cannot halve. Raises OSError."""
    path = directory / f"{sink}.cursor"
    draft = path.with_suffix(".draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, msgspec.json.encode(_CursorFile(cursor.segment, cursor.offset)))
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.replace(path)
    sync_directory(directory)


def remove_segments(directory: Path, numbers: Sequence[int]) -> None:
    """Delete segments that every sink has passed."""
    for number in numbers:
        segment_path(directory, number).unlink(missing_ok=True)
