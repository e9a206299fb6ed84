"""Instants given to numbered messages that carry none, kept on the disk before their readings are.

Such a message is stamped when it comes. One that comes twice (a broker or a device that never saw our acknowledgement)
would be stamped twice, and count twice. Its number and its bytes tell it again, and it gets the stamp it had: the same
reading, which a store keeps once. Since the stamp is durable before the reading, no moment of a crash is open.
A message with the number and bytes of one of the last 256 is taken for it, even where a device that started anew says so.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from collector.disk import OS_DISK, Disk, replace_durably, write_whole

KEPT_MAX = 256  # messages of a meter
_COMPACT_BYTES = 4 * 2**20
_LINE = msgspec.json.Decoder(tuple[str, int, int, int])
Stamp = tuple[str, int, int, int]  # meter, sequence, checksum of the payload, instant in ns


class Stamps:
    """Bounded by meter in memory, and on the disk by what that comes to."""

    def __init__(self, path: Path, disk: Disk = OS_DISK) -> None:
        self._path, self._disk = path, disk
        self._known: dict[str, OrderedDict[tuple[int, int], int]] = {}
        self._file_bytes = 0

    def load(self) -> None:
        """What was kept before. Raises OSError."""
        data = self._disk.read(self._path) if self._path.name in self._disk.sizes(self._path.parent) else b""
        self._file_bytes = len(data)
        for text in data.splitlines():
            try:
                self._remember(_LINE.decode(text))
            except msgspec.MsgspecError:
                continue  # half a line of a killed process; its message was neither stored nor acknowledged

    def find(self, meter: str, sequence: int, payload: bytes) -> int | None:
        """The instant this message got before, None for a new one."""
        known = self._known.get(meter)
        return None if known is None else known.get((sequence, zlib.crc32(payload)))

    def give(self, meter: str, sequence: int, payload: bytes, t_ns: int) -> Stamp:
        """Remember an instant; the caller has ``keep`` make it durable before anything else is."""
        stamp = (meter, sequence, zlib.crc32(payload), t_ns)
        self._remember(stamp)
        return stamp

    async def keep(self, stamps: Sequence[Stamp]) -> None:
        """Return when they are durable. Raises OSError."""
        if stamps:
            await asyncio.to_thread(self._write, b"".join(map(_line, stamps)))

    def _write(self, lines: bytes) -> None:
        self._disk.make_directory(self._path.parent)
        if self._file_bytes + len(lines) > _COMPACT_BYTES + 64 * sum(map(len, self._known.values())):
            lines = b"".join(_line(stamp) for stamp in self._all())
            replace_durably(self._disk, self._path, lines)
            self._file_bytes = len(lines)
        else:
            # a line of its own even behind half a line of a killed process
            self._append(b"\n" + lines)
            self._file_bytes += len(lines) + 1

    def _append(self, data: bytes) -> None:
        file = self._disk.open(self._path, "append")
        try:
            write_whole(file, data)
            file.sync()
        finally:
            file.close()
        self._disk.sync_directory(self._path.parent)

    def _all(self) -> Iterator[Stamp]:
        for meter, known in self._known.items():
            for (sequence, checksum), t_ns in known.items():
                yield meter, sequence, checksum, t_ns

    def _remember(self, stamp: Stamp) -> None:
        meter, sequence, checksum, t_ns = stamp
        known = self._known.setdefault(meter, OrderedDict())
        known[sequence, checksum] = t_ns
        if len(known) > KEPT_MAX:
            known.popitem(last=False)


def _line(stamp: Stamp) -> bytes:
    return msgspec.json.encode(stamp) + b"\n"
