"""Instants given to numbered messages that carry none, kept on the disk before their readings are.

Such a message is stamped when it comes. One that comes twice (a broker or a device that never saw our acknowledgement)
would be stamped twice, and count twice. Its number and its bytes tell it again, and it gets the stamp it had: the same
reading, which a store keeps once.

What can come again: what the broker had sent when the line broke, which it marks; at most ``RECENT_MAX`` messages of all
meters, each of them kept here. And what a device sends again on its own line to the broker, which nothing marks: its number is
not ahead of the newest, and it comes again once. A meter that stands still and whose numbers wrap says the same bytes
under the same number for ever; its numbers go ahead, so that they are new readings.

Crashes: killed before the stamp is durable, the message comes again, has no stamp, and counts as queued. Killed after it,
the message comes again and its reading gets that stamp, whether the reading had been kept or not.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from collector.disk import OS_DISK, Disk, replace_durably, write_whole
from collector.mqtt_link import HELD_MAX

KEPT_MAX = 256  # messages of a meter, however long ago
RECENT_MAX = 2 * HELD_MAX  # messages of all meters: what may be unacknowledged and on its way, and what is held
_COMPACT_BYTES = 4 * 2**20
_LINE = msgspec.json.Decoder(tuple[str, int, int, int])
Stamp = tuple[str, int, int, int]  # meter, sequence, checksum of the payload, instant in ns


class Stamps:
    """Bounded by meter and in all in memory, and on the disk by what that comes to."""

    def __init__(self, path: Path, disk: Disk = OS_DISK) -> None:
        self._path, self._disk = path, disk
        self._known: dict[str, OrderedDict[tuple[int, int], int]] = {}
        self._recent: deque[str] = deque()  # the meter of each of the last messages
        self._newest: dict[str, int] = {}
        self._repeated: set[tuple[str, int, int]] = set()
        self._file_bytes = 0
        self._is_named = False  # durably, in its directory

    def load(self) -> None:
        """What was kept before. Raises OSError."""
        data = self._disk.read(self._path) if self._path.name in self._disk.sizes(self._path.parent) else b""
        self._file_bytes = len(data)
        for text in data.splitlines():
            try:
                stamp = _LINE.decode(text)
                self._remember(stamp)
                self._newest[stamp[0]] = stamp[1]
            except msgspec.MsgspecError:
                continue  # half a line of a killed process; its message was neither stored nor acknowledged

    def find(self, meter: str, sequence: int, payload: bytes, modulus: int = 0, *, from_broker: bool = False) -> int | None:
        """The instant this message got before, None for a new one. ``modulus`` is what the numbers wrap at, 0 if they do not;
        ``from_broker`` says that the broker sends it again, or may do so now."""
        known = self._known.get(meter)
        checksum = zlib.crc32(payload)
        t_ns = None if known is None else known.get((sequence, checksum))
        if t_ns is None or from_broker:
            return t_ns
        if self._is_ahead(meter, sequence, modulus) or (meter, sequence, checksum) in self._repeated:
            return None
        self._repeated.add((meter, sequence, checksum))
        return t_ns

    def give(self, meter: str, sequence: int, payload: bytes, t_ns: int, modulus: int = 0) -> Stamp:
        """Remember an instant; the caller has ``keep`` make it durable before anything else is."""
        stamp = (meter, sequence, zlib.crc32(payload), t_ns)
        self._remember(stamp)
        if self._is_ahead(meter, sequence, modulus):
            self._newest[meter] = sequence
        return stamp

    def _is_ahead(self, meter: str, sequence: int, modulus: int) -> bool:
        newest = self._newest.get(meter)
        if newest is None or not modulus:
            return newest is None or sequence > newest
        return 0 < (sequence - newest) % modulus <= modulus // 2

    async def keep(self, stamps: Sequence[Stamp]) -> None:
        """Return when they are durable. Raises OSError."""
        if stamps:
            await asyncio.to_thread(self._write, b"".join(map(_line, stamps)))

    def _write(self, lines: bytes) -> None:
        self._disk.make_directory(self._path.parent)
        if self._file_bytes + len(lines) > _COMPACT_BYTES + 64 * sum(map(len, self._known.values())):
            lines = b"".join(_line(stamp) for stamp in self._all())
            replace_durably(self._disk, self._path, lines)
            self._file_bytes, self._is_named = len(lines), True
        else:
            # a line of its own even behind half a line of a killed process
            self._append(b"\n" + lines)
            self._file_bytes += len(lines) + 1

    def _append(self, data: bytes) -> None:
        file = self._disk.open(self._path, "append")
        try:
            size = file.size
            try:
                write_whole(file, data)
                file.sync()
            except OSError:
                file.truncate(size)  # all of it is written anew
                raise
        finally:
            file.close()
        if not self._is_named:
            self._disk.sync_directory(self._path.parent)
            self._is_named = True

    def _all(self) -> list[Stamp]:
        """In the order in which they were given, as near as their instants tell."""
        found = [(m, sequence, crc, t_ns) for m, known in self._known.items() for (sequence, crc), t_ns in known.items()]
        return sorted(found, key=lambda stamp: stamp[3])

    def _remember(self, stamp: Stamp) -> None:
        meter, sequence, checksum, t_ns = stamp
        known = self._known.setdefault(meter, OrderedDict())
        known[sequence, checksum] = t_ns
        known.move_to_end((sequence, checksum))
        self._repeated.discard((meter, sequence, checksum))
        self._recent.append(meter)
        if len(self._recent) > RECENT_MAX:
            oldest = self._recent.popleft()
            if len(self._known[oldest]) > KEPT_MAX:
                self._repeated.discard((oldest, *self._known[oldest].popitem(last=False)[0]))


def _line(stamp: Stamp) -> bytes:
    return msgspec.json.encode(stamp) + b"\n"
