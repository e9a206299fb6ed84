"""Which segments are kept, how many durable bytes each has, and how far every sink is. No files, no waiting."""

from __future__ import annotations

from collections.abc import Iterator

from plant.ports import SpoolCursor

START = SpoolCursor(-1, 0)


class Shelf:
    """Always holds at least the active segment once filled by ``put``; the active one is the highest."""

    def __init__(self, required: tuple[str, ...], best_effort: tuple[str, ...]) -> None:
        if not required or set(required) & set(best_effort):
            raise ValueError(f"sinks {required} required and {best_effort} at best effort: each once, at least one required")
        self.required, self.best_effort = required, best_effort
        self.sizes: dict[int, int] = {}
        self.begun_ns: dict[int, int] = {}  # when the first record of a segment was taken in, by the spool's running time
        self.aside_bytes = 0  # of unreadable segments kept for whoever can rescue them
        self.suspect: set[int] = set()  # segments with bytes that tell nothing and that somebody may want to look at
        self.cursors: dict[str, SpoolCursor | None] = dict.fromkeys((*required, *best_effort))

    @property
    def size_bytes(self) -> int:
        """Bytes of readings on the disk."""
        return sum(self.sizes.values()) + self.aside_bytes

    @property
    def durable(self) -> SpoolCursor:
        """The byte after the last durable record."""
        last = max(self.sizes)
        return SpoolCursor(last, self.sizes[last])

    @property
    def start(self) -> SpoolCursor:
        """The first byte kept."""
        return SpoolCursor(min(self.sizes), 0)

    @property
    def slowest(self) -> SpoolCursor:
        """How far every required sink is."""
        return min(self.cursor(sink) for sink in self.required)

    @property
    def passed(self) -> bool:
        """Whether there are segments that every required sink has passed."""
        return min(self.sizes) < self.slowest.segment

    def put(self, number: int, size: int, elapsed_ns: int) -> None:
        """A segment has this many durable bytes now."""
        self.begun_ns.setdefault(number, elapsed_ns)
        self.sizes = self.sizes | {number: size}

    def take(self, number: int) -> None:
        """A segment is kept no longer."""
        self.sizes = {n: size for n, size in self.sizes.items() if n != number}
        self.begun_ns.pop(number, None)
        self.suspect.discard(number)

    def cursor(self, sink: str) -> SpoolCursor:
        """Where a sink goes on; the start for one that never committed."""
        return self.resolve(self.cursors[sink])

    def resolve(self, cursor: SpoolCursor | None) -> SpoolCursor:
        """A cursor brought onto what is kept: one that names no byte kept here becomes the next byte kept, or the start."""
        if cursor is None or cursor < self.start or cursor > self.durable:
            return self.start
        if cursor.segment not in self.sizes or cursor.offset > self.sizes[cursor.segment]:
            return SpoolCursor(min(n for n in self.sizes if n > cursor.segment), 0)
        return cursor

    def next_record(self, at: SpoolCursor) -> SpoolCursor | None:
        """Where the first record behind a cursor stands, None when nothing is there."""
        if at.offset < self.sizes[at.segment]:
            return at
        return next((SpoolCursor(n, 0) for n, size in sorted(self.sizes.items()) if n > at.segment and size), None)

    def waiting_bytes(self, at: SpoolCursor) -> int:
        """Durable bytes behind a cursor."""
        return sum(size for n, size in self.sizes.items() if n >= at.segment) - at.offset

    def lacking(self, number: int) -> Iterator[tuple[str, int]]:
        """Sinks that have not passed a segment, and the offset in it from which they lack it."""
        for sink in self.cursors:
            at = self.cursor(sink)
            if at < SpoolCursor(number, self.sizes[number]):
                yield sink, at.offset if at.segment == number else 0

    def oldest_droppable(self) -> int | None:
        """The first segment, unless it is the active one."""
        oldest = min(self.sizes)
        return None if oldest == max(self.sizes) else oldest
