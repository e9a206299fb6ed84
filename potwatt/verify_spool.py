"""The spool's side of a verification: its readings piece by piece, and what of it cannot be read. Blocking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from collector import segments
from collector.disk import OS_DISK
from collector.spool_format import Rot
from collector.spool_losses import ANY_SINK, LostSpan, in_words, read_losses
from plant.frame import NS_PER_MS, FrameBlock
from plant.ports import SpoolCursor
from plant.series import Span
from plant.site import MAIN_SINK
from storage.readings import normalised

BLOCKS_AT_ONCE_FRAMES = 20_000
Pair = tuple[str, str]
Values = Literal["first", "every"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Readings of one pair in a piece of the spool, ascending: the first value of an instant, or every one as spooled."""

    t_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    passed: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """Bytes [start, end) of a segment that cannot be read, with so many Frames, None where nobody can tell."""

    segment: int
    start: int
    end: int
    frames: int | None
    reason: str


@dataclass(slots=True)
class SpoolReading:
    """The finite readings within ``span``; ``unread`` grows while the pieces are taken."""

    spool: Path
    cursor: SpoolCursor | None
    span: Span
    values: Values = "first"
    unread: list[Unread] = field(default_factory=list)

    def pieces(self) -> Iterator[dict[Pair, Kept]]:
        """Piece by piece. Raises SpoolError; a segment that goes meanwhile is passed over, since it went because it is stored."""
        if not self.spool.is_dir():
            return
        sizes = segments.existing_segments(OS_DISK, self.spool)
        gone_through = read_losses(OS_DISK, self.spool).gone_through
        for number, size in sizes.items():
            if number <= gone_through:
                continue  # told lost as a whole
            passed = self._passed(number, size)
            yield from self._stretch(number, 0, passed, passed=True)
            # what a running program has not written to its end yet is no damage
            yield from self._stretch(number, passed, size, passed=False, is_open=number == max(sizes))

    def _passed(self, number: int, size: int) -> int:
        # a cursor stands between two records: no piece reaches over it
        if self.cursor is None or number > self.cursor.segment:
            return 0
        return size if number < self.cursor.segment else min(self.cursor.offset, size)

    def _stretch(self, number: int, start: int, end: int, *, passed: bool, is_open: bool = False) -> Iterator[dict[Pair, Kept]]:
        offset = start
        while offset < end:
            try:
                chunk = segments.read_chunk(OS_DISK, self.spool, number, offset, end, BLOCKS_AT_ONCE_FRAMES)
            except segments.SegmentLost as error:
                if segments.segment_path(self.spool, number).exists():
                    self.unread.append(Unread(number, offset, end, None, str(error)))
                return
            for rot in chunk.rotten:
                if not (is_open and rot.end == end and rot.frames is None) and _overlaps(rot, self.span):
                    self.unread.append(Unread(number, rot.start, rot.end, rot.frames, rot.reason))
            piece = _by_pair(chunk.blocks, passed, self.span, self.values)
            if piece:
                yield piece
            if chunk.end <= offset:
                return
            offset = chunk.end


def lost_spans(spool: Path, span: Span, unread: Sequence[Unread], sink: str = MAIN_SINK) -> list[str]:
    """What was told lost for a sink and may be of ``span``, in words; places that are still ``unread`` are left out.
    Raises SpoolError."""
    here = {(place.segment, place.start) for place in unread}
    return [
        in_words(lost)
        for lost in read_losses(OS_DISK, spool).spans
        if lost.sink in (ANY_SINK, sink) and (lost.segment, lost.offset) not in here and _overlaps(lost, span)
    ]


def _overlaps(of: Rot | LostSpan, span: Span) -> bool:
    if of.first_t_ns is None or of.last_t_ns is None:
        return True
    return of.first_t_ns < span.end_ns and of.last_t_ns >= span.start_ns


def _by_pair(blocks: list[FrameBlock], passed: bool, span: Span, values: Values) -> dict[Pair, Kept]:
    columns: dict[Pair, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]] = {}
    for block in blocks:
        if block.event_ids:
            continue
        value, _ = normalised(block)
        within = (block.t_ns >= span.start_ns) & (block.t_ns < span.end_ns)
        for index, meter in enumerate(block.meters):
            rows = within & (block.meter_index == index)
            for column, quantity in enumerate(block.quantities):
                finite = rows & np.isfinite(value[:, column])
                if finite.any():
                    t_ns = block.t_ns[finite] // NS_PER_MS * NS_PER_MS
                    columns.setdefault((meter, quantity), []).append((t_ns, value[finite, column]))
    kept: dict[Pair, Kept] = {}
    for pair, parts in columns.items():
        t_ns, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.unique(t_ns, return_index=True)[1] if values == "first" else np.argsort(t_ns, kind="stable")
        kept[pair] = Kept(t_ns[order], value[order], passed)
    return kept
