"""What the spool still keeps beside what the store has, reading by reading.

The cursor is taken first, then the spool, then the store: what lies before the cursor was stored before we looked, so that
its absence is a loss and not a matter of time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collector import segments
from collector.disk import OS_DISK
from plant.frame import NS_PER_MS, FrameBlock
from plant.ports import SeriesStore, SpoolCursor
from plant.series import Series, Span
from storage.readings import normalised

BLOCKS_AT_ONCE_FRAMES = 20_000
SLICE_NS = 3_600 * 10**9
Pair = tuple[str, str]


@dataclass(slots=True)
class MeterCount:
    """Values of one meter: in the spool within the span; stored of these; absent from the store behind the cursor
    (``missing``) or before it (``waiting``); stored with another value; and stored between the oldest and the newest kept
    reading without standing in the spool any more (``extra``: let go of, or never from it)."""

    spooled: int = 0
    stored: int = 0
    missing: int = 0
    waiting: int = 0
    conflicting: int = 0
    extra: int = 0

    @property
    def holds(self) -> bool:
        """Nothing that the store should have is absent or other."""
        return not self.missing and not self.conflicting


@dataclass(frozen=True, slots=True)
class _Kept:
    """Distinct readings of one pair in a piece of the spool, ascending; the first value of an instant, as stores keep it."""

    t_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    passed: bool


@dataclass(frozen=True, slots=True)
class SpoolVerifier:
    """See ``api.context.Verifier``."""

    spool: Path
    store: SeriesStore

    async def verify(self, span: Span) -> dict[str, dict[str, int]]:
        """Counts by meter."""
        return {meter: asdict(count) for meter, count in (await verify(self.spool, self.store, span)).items()}


async def verify(spool: Path, store: SeriesStore, span: Span) -> dict[str, MeterCount]:
    """Counts by meter over [start, end); meters without a reading in the spool are left out. Events are the ledger's and are
    not looked at. Raises StoreError, SpoolError."""
    cursor = await store.cursor() or await asyncio.to_thread(segments.load_cursor, OS_DISK, spool, "store")
    counts: dict[str, MeterCount] = {}
    bounds: dict[Pair, tuple[int, int]] = {}
    pieces = _pieces(spool, cursor, span)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        reach = Span(min(int(k.t_ns[0]) for k in piece.values()), max(int(k.t_ns[-1]) for k in piece.values()) + 1)
        found = await store.read_many(list(piece), reach)
        for pair, kept in piece.items():
            _compare(counts.setdefault(pair[0], MeterCount()), kept, found[pair])
            first, last = bounds.get(pair, (2**62, 0))
            bounds[pair] = min(first, int(kept.t_ns[0])), max(last, int(kept.t_ns[-1]))
    await _count_extra(store, counts, bounds)
    return dict(sorted(counts.items()))


def _compare(count: MeterCount, kept: _Kept, found: Series) -> None:
    at = np.searchsorted(found.t_ns, kept.t_ns)
    inside = at < len(found)
    there = np.zeros(len(kept.t_ns), bool)
    there[inside] = found.t_ns[at[inside]] == kept.t_ns[inside]
    value = np.full(len(kept.t_ns), np.nan)
    value[there] = found.value[at[there]]
    there &= np.isfinite(value)
    same = there & (value == kept.value)
    count.spooled += len(there)
    count.stored += int(same.sum())
    count.conflicting += int((there & ~same).sum())
    absent = int((~there).sum())
    if kept.passed:
        count.missing += absent
    else:
        count.waiting += absent


async def _count_extra(store: SeriesStore, counts: dict[str, MeterCount], bounds: dict[Pair, tuple[int, int]]) -> None:
    """An hour at a time: the store may have many times what the spool keeps."""
    if not bounds:
        return
    first, last = min(a for a, _ in bounds.values()), max(b for _, b in bounds.values())
    seen = dict.fromkeys(counts, 0)
    for start in range(first, last + 1, SLICE_NS):
        found = await store.read_many(list(bounds), Span(start, min(start + SLICE_NS, last + 1)))
        for pair, series in found.items():
            within = (series.t_ns >= bounds[pair][0]) & (series.t_ns <= bounds[pair][1])
            seen[pair[0]] += int(np.isfinite(series.value[within]).sum())
    for meter, count in counts.items():
        count.extra = max(0, seen[meter] - count.stored - count.conflicting)


def _pieces(spool: Path, cursor: SpoolCursor | None, span: Span) -> Iterator[dict[Pair, _Kept]]:
    """The spool's finite readings within the span, piece by piece. Raises SpoolError; a segment that goes meanwhile is passed
    over, since it went because it is stored."""
    if not spool.is_dir():
        return
    for number, size in segments.existing_segments(OS_DISK, spool).items():
        # a cursor stands between two records: no piece reaches over it
        passed = 0 if cursor is None or number > cursor.segment else size if number < cursor.segment else min(cursor.offset, size)
        for start, end in ((0, passed), (passed, size)):
            offset = start
            while offset < end:
                try:
                    chunk = segments.read_chunk(OS_DISK, spool, number, offset, end, BLOCKS_AT_ONCE_FRAMES)
                except segments.SegmentLost:
                    break
                piece = _by_pair(chunk.blocks, end <= passed, span)
                if piece:
                    yield piece
                if chunk.end <= offset:
                    break
                offset = chunk.end


def _by_pair(blocks: list[FrameBlock], behind: bool, span: Span) -> dict[Pair, _Kept]:
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
    kept: dict[Pair, _Kept] = {}
    for pair, parts in columns.items():
        t_ns, first = np.unique(np.concatenate([t for t, _ in parts]), return_index=True)
        kept[pair] = _Kept(t_ns, np.concatenate([v for _, v in parts])[first], behind)
    return kept
