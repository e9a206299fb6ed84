"""What the spool still keeps beside what the store, or a mirror, has, reading by reading.

The cursor is taken first, then the spool, then the store: what lies before the cursor was stored before we looked, so that
its absence is a loss and not a matter of time. Instants and values are compared; qualities are not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collector import segments
from collector.disk import OS_DISK
from plant.ports import SeriesStore
from plant.series import Series, Span
from plant.site import MAIN_SINK
from potwatt.verify_spool import Kept, Pair, SpoolReading, Unread, lost_spans
from storage.influx import InfluxStore

SLICE_NS = 3_600 * 10**9
KEEPS_LAST = (InfluxStore,)  # of two values of one instant; the others keep the first
Identity = tuple[Pair, int]  # with the instant (UTC ns)


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


@dataclass(slots=True)
class Verification:
    """``unread`` are places of the spool that cannot be read, ``lost`` what was told lost, in words, and may be of the span."""

    meters: dict[str, MeterCount] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SpoolVerifier:
    """See ``api.context.Verifier``."""

    spool: Path
    store: SeriesStore

    async def verify(self, span: Span) -> dict[str, Any]:
        """A Verification, ready for JSON."""
        return asdict(await verify(self.spool, self.store, span))


async def verify(spool: Path, store: SeriesStore, span: Span, sink: str = MAIN_SINK) -> Verification:
    """Counts by meter over [start, end), each instant once; meters without a reading in the spool are left out. Events are the
    ledger's and are not looked at. Raises StoreError, SpoolError."""
    cursor = await store.cursor() or await asyncio.to_thread(segments.load_cursor, OS_DISK, spool, sink)
    counts: dict[str, MeterCount] = {}
    others: dict[Identity, float] = {}
    seen: dict[Pair, list[npt.NDArray[np.int64]]] = {}
    reading = SpoolReading(spool, cursor, span)
    pieces: Iterator[dict[Pair, Kept]] = reading.pieces()
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        fresh = {pair: new for pair, kept in piece.items() if len((new := _unseen(kept, seen.setdefault(pair, []))).t_ns)}
        if not fresh:
            continue
        reach = Span(min(int(k.t_ns[0]) for k in fresh.values()), max(int(k.t_ns[-1]) for k in fresh.values()) + 1)
        found = await store.read_many(list(fresh), reach)
        for pair, kept in fresh.items():
            others |= _compare(counts.setdefault(pair[0], MeterCount()), kept, found[pair], pair)
    if others and isinstance(store, KEEPS_LAST):
        await asyncio.to_thread(_accept_later, SpoolReading(spool, cursor, span, "every"), counts, others)
    await _count_extra(
        store, counts, {pair: (int(min(t[0] for t in ts)), int(max(t[-1] for t in ts))) for pair, ts in seen.items()}
    )
    lost = await asyncio.to_thread(lost_spans, spool, span, reading.unread, sink)
    return Verification(dict(sorted(counts.items())), reading.unread, lost)


def _unseen(kept: Kept, seen: list[npt.NDArray[np.int64]]) -> Kept:
    """Without instants of earlier pieces: of one instant the store keeps the first value, as it was spooled first."""
    t_ns, new = kept.t_ns, np.ones(len(kept.t_ns), bool)
    for earlier in seen:
        if earlier[0] <= t_ns[-1] and t_ns[0] <= earlier[-1]:
            new &= ~np.isin(t_ns, earlier)
    if new.any():
        seen.append(t_ns[new])
    return Kept(t_ns[new], kept.value[new], kept.passed)


def _accept_later(every: SpoolReading, counts: dict[str, MeterCount], others: dict[Identity, float]) -> None:
    """Count as stored what the store has of an instant where any value that was spooled of it is the one."""
    for piece in every.pieces():
        for pair, kept in piece.items():
            for t_ns, value in zip(kept.t_ns.tolist(), kept.value.tolist(), strict=True):
                if others.get((pair, t_ns)) == value:
                    del others[pair, t_ns]
                    counts[pair[0]].conflicting -= 1
                    counts[pair[0]].stored += 1


def _compare(count: MeterCount, kept: Kept, found: Series, pair: Pair) -> dict[Identity, float]:
    """Count them; what the store has where it has another value than the first."""
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
    other = there & ~same
    return {(pair, t_ns): there_is for t_ns, there_is in zip(kept.t_ns[other].tolist(), value[other].tolist(), strict=True)}


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
