"""The spool's small files (cursors, losses), replaced in one step also when the disk is full: a reserve gives way."""

from __future__ import annotations

import errno
import re
import threading
import zlib
from contextlib import suppress
from pathlib import Path

from collector.disk import DRAFT, Disk, replace_durably, write_whole

RESERVE = "reserve"
SHARE_OF_BOUND, BYTES_MAX = 16, 512 * 2**10  # of the spool's bound, for reserve, cursors, losses and their drafts
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
DAMAGED = ".damaged"
_SEAL = re.compile(rb',"crc":([0-9]+)\}\Z')


class SmallFiles:
    """Small files of one directory. Blocking; threads take turns, since they share the reserve and a file's draft."""

    def __init__(self, directory: Path, disk: Disk, bound_bytes: int) -> None:
        self._directory, self._disk = directory, disk
        self.bytes_max = min(BYTES_MAX, bound_bytes // SHARE_OF_BOUND)
        self._reserve_bytes = self.bytes_max // 4
        self._turn = threading.Lock()

    def replace(self, name: str, data: bytes) -> None:
        """Give a file new contents durably. Raises OSError where even the reserve made no room."""
        with self._turn:
            try:
                replace_durably(self._disk, self._directory / name, data)
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
                self._disk.remove(self._directory / RESERVE)
                replace_durably(self._disk, self._directory / name, data)

    def clean(self) -> None:
        """Remove what a killed process left half written. Raises OSError."""
        for name in self._disk.sizes(self._directory):
            if name.endswith(DRAFT):
                self._disk.remove(self._directory / name)

    def keep_reserve(self) -> None:
        """Set room aside, unless it is there or the disk has none."""
        path = self._directory / RESERVE
        with self._turn, suppress(OSError):
            if self._disk.sizes(self._directory).get(RESERVE) == self._reserve_bytes:
                return
            if self._disk.free_bytes(self._directory) < 2 * self._reserve_bytes:
                return
            file = self._disk.open(path, "replace")
            try:
                write_whole(file, bytes(self._reserve_bytes))
                file.sync()
            finally:
                file.close()


def sealed(data: bytes) -> bytes:
    """A JSON object with the CRC32 of its bytes as its last field."""
    return b'%s,"crc":%d}' % (data[:-1], zlib.crc32(data))


def unsealed(data: bytes) -> tuple[bytes, bool]:
    """The object without its seal, and whether it had one: files of earlier versions have none. Raises ValueError for one
    that does not fit."""
    found = _SEAL.search(data)
    if found is None:
        return data, False
    body = data[: found.start()] + b"}"
    if zlib.crc32(body) != int(found[1]):
        raise ValueError("the checksum does not fit")
    return body, True


def set_aside(disk: Disk, path: Path) -> None:
    """Keep a damaged file under a name that is none of the spool's. Raises OSError."""
    disk.rename(path, path.with_name(path.name + DAMAGED))
    disk.sync_directory(path.parent)
