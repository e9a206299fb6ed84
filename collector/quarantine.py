"""Where messages and blocks go that can never be stored: one line of JSON each, with the reason, durable and bounded."""

from __future__ import annotations

import asyncio
import base64
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import msgspec

from collector.disk import OS_DISK, Disk, write_whole
from plant.ports import Clock, HealthBoard

PAYLOAD_BYTES_MAX = 512 * 2**10
RETRY_S = 1.0
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Rejected:
    """One thing put aside: where it came from (topic or meter), why, and its bytes."""

    source: str
    reason: str
    payload: bytes


class _Line(msgspec.Struct):
    t_ns: int
    source: str
    reason: str
    payload_bytes: int
    payload_base64: str


class Quarantine:
    """Two files, ``current.jsonl`` and ``older.jsonl``, of half the bound each; the oldest entries go first, counted."""

    def __init__(self, directory: Path, clock: Clock, health: HealthBoard, max_mib: float = 64, disk: Disk = OS_DISK) -> None:
        self._directory, self._clock, self._health, self._disk = directory, clock, health, disk
        self._file_bytes_max = int(max_mib * MIB) // 2
        self._current, self._older = directory / "current.jsonl", directory / "older.jsonl"
        self._lock = asyncio.Lock()

    async def put(self, items: Sequence[Rejected]) -> None:
        """Return when all items are durable; a failing disk makes the caller wait, with the reason in health."""
        if not items:
            return
        now_ns = self._clock.now_ns()
        lines = [_line(item, now_ns) for item in items]
        dropped_bytes = 0
        async with self._lock:
            while True:
                try:
                    while lines:
                        dropped_bytes += await asyncio.to_thread(self._write, lines)
                    break
                except OSError as error:
                    self._health.set(
                        "quarantine", "down", f"{self._directory}: {error}; messages are held until it can be written"
                    )
                    await self._clock.sleep(RETRY_S)
        self._health.count("quarantined", {}, len(items))
        self._health.count("quarantine_dropped_bytes", {}, dropped_bytes)
        last = items[-1]
        self._health.set("quarantine", "degraded", f"{self._current}: last from {last.source}: {last.reason}")

    def _write(self, lines: list[bytes]) -> int:
        """Write as many lines as one file takes and take them off the list; bytes of older entries that had to go."""
        self._disk.make_directory(self._directory)
        sizes = self._disk.sizes(self._directory)
        size = sizes.get(self._current.name, 0)
        dropped_bytes = 0
        if size and size + len(lines[0]) > self._file_bytes_max:
            dropped_bytes = sizes.get(self._older.name, 0)
            self._disk.rename(self._current, self._older)
            size = 0
        ends = list(accumulate(map(len, lines), initial=size))[1:]
        count = max(1, bisect_right(ends, self._file_bytes_max))
        self._append(b"".join(lines[:count]))
        del lines[:count]
        return dropped_bytes

    def _append(self, data: bytes) -> None:
        file = self._disk.open(self._current, "append")
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
        self._disk.sync_directory(self._directory)

    async def entries(self) -> list[dict[str, object]]:
        """Everything kept, oldest first; ``payload`` as bytes (its beginning where it was very large)."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        there = self._disk.sizes(self._directory)
        for path in (self._older, self._current):
            for text in self._disk.read(path).splitlines() if path.name in there else ():
                try:
                    line = msgspec.json.decode(text, type=_Line)
                except msgspec.MsgspecError:
                    continue  # half a line from a killed process; its message was never acknowledged
                found.append(
                    {
                        "t_ns": line.t_ns,
                        "source": line.source,
                        "reason": line.reason,
                        "payload": base64.b64decode(line.payload_base64),
                    }
                )
        return found


def _line(item: Rejected, t_ns: int) -> bytes:
    kept = base64.b64encode(item.payload[:PAYLOAD_BYTES_MAX]).decode()
    # a line of its own even behind the torn line of a killed process
    return b"\n" + msgspec.json.encode(_Line(t_ns, item.source, item.reason, len(item.payload), kept)) + b"\n"
