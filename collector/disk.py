"""What durability asks of a file system, as a port: the spool, its cursors and the quarantine reach files only through it.

A simulation puts a disk in its place that loses whatever was not synced. Every error is an OSError.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

DRAFT = ".draft"  # ends the name of a file not yet whole; what a power cut leaves of one is worth nothing
How = Literal["new", "append", "replace"]
_FLAGS: dict[How, int] = {"new": os.O_EXCL, "append": 0, "replace": os.O_TRUNC}


class DiskFile(Protocol):
    """A file open for writing at its end."""

    @property
    def size(self) -> int:
        """Bytes now."""
        ...

    def write(self, data: memoryview) -> int:
        """Append; the number of bytes taken, which may be fewer than given."""
        ...

    def sync(self) -> None:
        """Return when all bytes and the size are durable. After an error none of what was written since is to be trusted."""
        ...

    def truncate(self, size: int) -> None:
        """Cut to ``size``; durable with the next ``sync``."""
        ...

    def close(self) -> None:
        """Let go of the file; this makes nothing durable."""
        ...


class DiskLock(Protocol):
    """A lock that ends with its process."""

    def release(self) -> None:
        """Let the next one in."""
        ...


class Disk(Protocol):
    """Files by path. Names made, renamed or removed are durable once their directory is synced."""

    def make_directory(self, directory: Path) -> None:
        """Make it and its parents where missing, durably."""
        ...

    def lock(self, path: Path) -> DiskLock:
        """Hold a file; BlockingIOError where another process does."""
        ...

    def open(self, path: Path, how: How) -> DiskFile:
        """A ``new`` file (FileExistsError where there is one), one to ``append`` to, or one to ``replace`` from byte 0 on."""
        ...

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        """Bytes from ``offset`` on, fewer than ``count`` where the file ends before."""
        ...

    def sizes(self, directory: Path) -> dict[str, int]:
        """Bytes by name of the files in a directory; empty where it does not exist."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name in one step; what had that name is gone."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; one that is not there is no error."""
        ...

    def sync_directory(self, directory: Path) -> None:
        """Return when the names in it are durable."""
        ...

    def free_bytes(self, directory: Path) -> int:
        """Room left for this user."""
        ...


def write_whole(file: DiskFile, data: bytes) -> None:
    """Append all of ``data``, however few bytes the disk takes at a time."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def replace_durably(disk: Disk, path: Path, data: bytes) -> None:
    """Give a file new contents in one step that a power cut cannot halve. One call at a time for each ``path``."""
    draft = path.with_name(path.name + DRAFT)  # the whole name: files of one stem are written at once
    file = disk.open(draft, "replace")
    try:
        write_whole(file, data)
        file.sync()
    finally:
        file.close()
    disk.rename(draft, path)
    disk.sync_directory(path.parent)


class _OsFile:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def write(self, data: memoryview) -> int:
        return os.write(self._fd, data)

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        os.close(self._fd)


class _OsLock:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        os.close(self._fd)


class OsDisk:
    """The operating system's files. See Disk."""

    def make_directory(self, directory: Path) -> None:
        """See Disk."""
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in missing:
            self.sync_directory(path.parent)

    def lock(self, path: Path) -> DiskLock:
        """See Disk; the kernel drops the lock with the process, however it ends."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return _OsLock(fd)

    def open(self, path: Path, how: How) -> DiskFile:
        """See Disk."""
        return _OsFile(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | _FLAGS[how], 0o600))

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        """See Disk."""
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(-1 if count is None else count)

    def sizes(self, directory: Path) -> dict[str, int]:
        """See Disk."""
        found: dict[str, int] = {}
        with suppress(FileNotFoundError):
            for path in directory.iterdir():
                with suppress(FileNotFoundError):  # removed since it was listed
                    found[path.name] = path.stat().st_size
        return found

    def rename(self, source: Path, target: Path) -> None:
        """See Disk."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """See Disk."""
        path.unlink(missing_ok=True)

    def sync_directory(self, directory: Path) -> None:
        """See Disk."""
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, directory: Path) -> int:
        """See Disk."""
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize


OS_DISK = OsDisk()
