"""A disk that keeps what was synced and little else: pages, names and renames of the last while survive a power cut or not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from collector.disk import How

PAGE = 512  # small, so that a record spans several
SECTOR = 64
TAKEN = 0.3  # chance that a full disk takes a write, and finds only when it is synced that there is no room for it
NO_ROOM = 0.5  # chance that a full disk fails a sync, a new name, a rename or the sync of a directory


@dataclass(slots=True)
class DiskFaults:
    """Chances of a single operation; all 0 is a sound disk."""

    sync_fails: float = 0.0
    write_fails: float = 0.0
    short_write: float = 0.0
    names_fail: float = 0.0
    read_fails: float = 0.0
    full: bool = False


@dataclass(slots=True, eq=False)
class Inode:
    """``cache`` is what processes see, ``platter`` what a power cut leaves for certain."""

    cache: bytearray = field(default_factory=bytearray)
    platter: bytearray = field(default_factory=bytearray)
    untold: set[int] = field(default_factory=set)  # pages of a failed sync: clean for the kernel, not on the platter


@dataclass(frozen=True, slots=True, eq=False)
class NameChange:
    """A change of names that its directory was not synced for: names set (an inode) or removed (None), in one step."""

    names: dict[Path, Inode | None]


def failure(number: int) -> OSError:
    """As the kernel says it."""
    return OSError(number, os.strerror(number))


class SimDisk:
    """collector.disk.Disk in memory. ``on_operation`` is called before each operation and may raise Crash."""

    def __init__(self, rng: Random, on_operation: Callable[[str, str], None]) -> None:
        self._rng, self._on_operation = rng, on_operation
        self.faults = DiskFaults()
        self._names: dict[Path, Inode] = {}
        self._durable: dict[Path, Inode] = {}
        self._pending: dict[Path, list[NameChange]] = {}
        self._locks: set[Path] = set()
        self.no_room_for_names = False  # whether that ever happened to a name or a directory

    # ---- the port ----

    def make_directory(self, directory: Path) -> None:
        """Directories are there and durable: the port promises so."""

    def lock(self, path: Path) -> SimLock:
        self._on_operation("lock", path.name)
        if path in self._locks:
            raise BlockingIOError(errno.EAGAIN, "held")
        self._locks.add(path)
        return SimLock(self, path)

    def open(self, path: Path, how: How) -> SimFile:
        self._on_operation(f"open {how}", path.name)
        inode = self._names.get(path)
        if inode is not None and how == "new":
            raise failure(errno.EEXIST)
        if inode is None:
            self._name_fails()
            inode = Inode()
            self._change(path.parent, {path: inode})
        elif how == "replace":
            self.set_cache(inode, bytearray())
        return SimFile(self, inode, path)

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        self._on_operation("read", path.name)
        self._maybe(self.faults.read_fails, errno.EIO)
        inode = self._names.get(path)
        if inode is None:
            raise failure(errno.ENOENT)
        return bytes(inode.cache[offset : None if count is None else offset + count])

    def sizes(self, directory: Path) -> dict[str, int]:
        self._on_operation("list", directory.name)
        return {path.name: len(inode.cache) for path, inode in self._names.items() if path.parent == directory}

    def rename(self, source: Path, target: Path) -> None:
        self._on_operation("rename", target.name)
        self._name_fails()
        if source not in self._names:
            raise failure(errno.ENOENT)
        self._change(target.parent, {source: None, target: self._names[source]})

    def remove(self, path: Path) -> None:
        self._on_operation("remove", path.name)
        self._maybe(self.faults.names_fail, errno.EIO)
        if path in self._names:
            self._change(path.parent, {path: None})

    def sync_directory(self, directory: Path) -> None:
        self._on_operation("sync directory", directory.name)
        number = self._sync_failure()
        if number is not None:
            self.no_room_for_names |= number == errno.ENOSPC
            pending = self._pending.get(directory, [])
            for change in pending[: self._rng.randint(0, len(pending))]:
                _apply(change, self._durable)
                pending.remove(change)
            raise failure(number)
        for change in self._pending.pop(directory, []):
            _apply(change, self._durable)

    def free_bytes(self, directory: Path) -> int:
        return 0 if self.faults.full else 2**30

    # ---- what happens to it ----

    def kill_process(self) -> None:
        """The process is gone, the kernel goes on: nothing is lost but its locks."""
        self._locks.clear()

    def cut_power(self) -> None:
        """Of what was not synced some pages, torn or whole, and some names are there, and others not."""
        self._locks.clear()
        for changes in self._pending.values():
            for change in changes:
                if self._rng.random() < 0.5:
                    _apply(change, self._durable)
        self._pending.clear()
        self._names = dict(self._durable)
        for inode in dict.fromkeys(self._names.values()):
            inode.platter = self._after_cut(inode)
            inode.cache = bytearray(inode.platter)
            inode.untold.clear()

    def _after_cut(self, inode: Inode) -> bytearray:
        old, new = inode.platter, inode.cache
        if old == new:
            return old
        low, high = sorted((len(old), len(new)))
        size = self._rng.choice((len(old), len(new), self._rng.randint(low, high)))
        found = bytearray()
        for at in range(0, size, PAGE):
            before, after = _page(old, at), _page(new, at)
            torn = self._rng.choice((0, PAGE, PAGE, SECTOR * self._rng.randint(0, PAGE // SECTOR)))
            found += before if at // PAGE in inode.untold else after[:torn] + before[torn:]
        return found[:size]

    def durable_files(self) -> dict[Path, bytes]:
        """What is certainly there after a power cut now; of a file that was replaced, and its directory not synced, the old."""
        return {path: bytes(inode.platter) for path, inode in self._durable.items() if path in self._names}

    def files(self) -> dict[Path, bytes]:
        """What a process sees."""
        return {path: bytes(inode.cache) for path, inode in self._names.items()}

    def size_of(self, path: Path) -> int:
        """Bytes of a file, 0 where there is none."""
        inode = self._names.get(path)
        return 0 if inode is None else len(inode.cache)

    def bytes_of(self, directory: Path, suffix: str) -> int:
        """What the files of a kind take in a directory."""
        kind = (inode for path, inode in self._names.items() if path.parent == directory and path.suffix == suffix)
        return sum(len(inode.cache) for inode in kind)

    # ---- for its files ----

    def set_cache(self, inode: Inode, data: bytearray) -> None:
        pages = range(max(len(data), len(inode.cache)) // PAGE + 1)
        inode.untold -= {page for page in pages if _page(data, page * PAGE) != _page(inode.cache, page * PAGE)}
        inode.cache = data

    def write(self, inode: Inode, path: Path, data: memoryview) -> int:
        self._on_operation("write", path.name)
        count = len(data)
        if count > 1 and self._chance(self.faults.short_write):
            count = self._rng.randint(1, count - 1)
        if self.faults.full and not self._chance(TAKEN):
            count = self._rng.randint(0, count) // 2
            if not count:
                raise failure(errno.ENOSPC)
        self._maybe(self.faults.write_fails, errno.EIO)
        inode.untold.discard(len(inode.cache) // PAGE)
        self.set_cache(inode, inode.cache + data[:count])
        return count

    def sync(self, inode: Inode, path: Path) -> None:
        self._on_operation("sync", path.name)
        number = self._sync_failure()
        if number is not None:
            self._half_sync(inode)
            raise failure(number)
        size = len(inode.cache)
        pages = [_page(inode.platter if at // PAGE in inode.untold else inode.cache, at) for at in range(0, size, PAGE)]
        inode.platter = bytearray(b"".join(pages)[:size]) if inode.untold else bytearray(inode.cache)

    def _half_sync(self, inode: Inode) -> None:
        """Some pages went out; the kernel takes all of them for clean, and may forget what it held."""
        forget = self._rng.random() < 0.5
        platter, cache = bytearray(), bytearray()
        for at in range(0, len(inode.cache), PAGE):
            old, new = _page(inode.platter, at), _page(inode.cache, at)
            if old == new or self._rng.random() < 0.5:
                platter, cache = platter + new, cache + new
                continue
            platter, cache = platter + old, cache + (old if forget else new)
            inode.untold.add(at // PAGE)
        size = len(inode.cache)
        if self._rng.random() < 0.5:
            inode.platter = platter[:size]
        else:  # the size did not go out
            inode.platter = (platter[: len(inode.platter)] + inode.platter[len(platter) :])[: len(inode.platter)]
        inode.cache = cache[:size]

    def truncate(self, inode: Inode, path: Path, size: int) -> None:
        self._on_operation("truncate", path.name)
        self.set_cache(inode, inode.cache[:size] + bytes(max(0, size - len(inode.cache))))

    def unlock(self, path: Path) -> None:
        self._locks.discard(path)

    def _change(self, directory: Path, names: dict[Path, Inode | None]) -> None:
        change = NameChange(names)
        _apply(change, self._names)
        self._pending.setdefault(directory, []).append(change)

    def _name_fails(self) -> None:
        if self._no_room():
            self.no_room_for_names = True
            raise failure(errno.ENOSPC)
        self._maybe(self.faults.names_fail, errno.EIO)

    def _sync_failure(self) -> int | None:
        """A file system that finds room for what was written only when it is synced says so then."""
        if self._no_room():
            return errno.ENOSPC
        return errno.EIO if self._chance(self.faults.sync_fails) else None

    def _no_room(self) -> bool:
        return self.faults.full and self._chance(NO_ROOM)

    def _chance(self, chance: float) -> bool:
        return chance > 0.0 and self._rng.random() < chance

    def _maybe(self, chance: float, number: int) -> None:
        if self._chance(chance):
            raise failure(number)


class SimFile:
    """collector.disk.DiskFile."""

    def __init__(self, disk: SimDisk, inode: Inode, path: Path) -> None:
        self._disk, self._inode, self._path = disk, inode, path

    @property
    def size(self) -> int:
        return len(self._inode.cache)

    def write(self, data: memoryview) -> int:
        return self._disk.write(self._inode, self._path, data)

    def sync(self) -> None:
        self._disk.sync(self._inode, self._path)

    def truncate(self, size: int) -> None:
        self._disk.truncate(self._inode, self._path, size)

    def close(self) -> None:
        """Nothing becomes durable."""


class SimLock:
    """collector.disk.DiskLock."""

    def __init__(self, disk: SimDisk, path: Path) -> None:
        self._disk, self._path = disk, path

    def release(self) -> None:
        self._disk.unlock(self._path)


def _apply(change: NameChange, names: dict[Path, Inode]) -> None:
    for path, inode in change.names.items():
        if inode is None:
            names.pop(path, None)
        else:
            names[path] = inode


def _page(data: bytes | bytearray, at: int) -> bytes:
    return bytes(data[at : at + PAGE]).ljust(PAGE, b"\0")
