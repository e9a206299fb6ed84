"""The series store in plain dictionaries: the oracle that the others are held against. It keeps nothing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from plant.frame import NS_PER_MS, FrameBlock
from plant.ports import SpoolCursor, Written
from plant.series import DerivedBlock, Series, Span
from storage.memory_derived import DerivedRows
from storage.readings import check_block, normalised

Pair = tuple[str, str]
Reading = tuple[float, int]


class MemoryStore:
    """SeriesStore of one plant in RAM; a process that ends takes it along."""

    def __init__(self, plant: str) -> None:
        self._plant = plant
        self._readings: defaultdict[tuple[str, str, str], dict[int, Reading]] = defaultdict(dict)
        self._conflicts: list[tuple[str, str, str, int, float, int]] = []
        self._derived = DerivedRows()
        self._cursor: SpoolCursor | None = None

    async def setup(self) -> None:
        """Nothing to create."""

    async def close(self) -> None:
        """Nothing to release."""

    async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
        """See SeriesStore.write."""
        for block in blocks:
            check_block(block)
        counts = {"stored": 0, "repeated": 0, "conflicting": 0}
        for block in blocks:
            self._take(block, counts)
        if sink_cursor is not None:
            self._cursor = sink_cursor
        return Written(**counts)

    def _take(self, block: FrameBlock, counts: dict[str, int]) -> None:
        value, quality = normalised(block)
        for row, t_ns in enumerate(block.t_ns.tolist()):
            for column, quantity in enumerate(block.quantities):
                key = (block.plant, block.meter_of(row), quantity)
                new = (float(value[row, column]), int(quality[row, column]))
                old = self._readings[key].setdefault(t_ns, new)
                if old is new:
                    counts["stored"] += 1
                elif _same(old, new):
                    counts["repeated"] += 1
                else:
                    counts["conflicting"] += 1
                    self._conflicts.append((*key, t_ns, *new))

    async def cursor(self) -> SpoolCursor | None:
        """See SeriesStore.cursor."""
        return self._cursor

    async def read(self, meter: str, quantity: str, span: Span) -> Series:
        """See SeriesStore.read."""
        kept = self._readings.get((self._plant, meter, quantity), {})
        return _series({t: r for t, r in kept.items() if span.start_ns <= t < span.end_ns})

    async def read_many(self, pairs: Sequence[Pair], span: Span) -> dict[Pair, Series]:
        """See SeriesStore.read_many."""
        return {pair: await self.read(*pair, span) for pair in pairs}

    async def last_before(self, pairs: Sequence[Pair], t_ns: int, reach_s: float) -> dict[Pair, Series]:
        """See SeriesStore.last_before."""
        return await self._nearest(pairs, Span(t_ns - round(reach_s * 1e9), t_ns), -1)

    async def first_from(self, pairs: Sequence[Pair], t_ns: int, reach_s: float) -> dict[Pair, Series]:
        """See SeriesStore.first_from."""
        return await self._nearest(pairs, Span(t_ns, t_ns + round(reach_s * 1e9)), 0)

    async def _nearest(self, pairs: Sequence[Pair], span: Span, pick: int) -> dict[Pair, Series]:
        found = {}
        for pair, series in (await self.read_many(pairs, span)).items():
            rows = np.flatnonzero(np.isfinite(series.value))
            one = rows[[pick]] if len(rows) else rows
            found[pair] = Series(series.t_ns[one], series.value[one], series.quality[one])
        return found

    async def write_derived(self, block: DerivedBlock) -> None:
        """See SeriesStore.write_derived."""
        self._derived.write(block)

    async def read_derived(self, resolution: str, nodes: Sequence[str], fields: Sequence[str], span: Span) -> DerivedBlock:
        """See SeriesStore.read_derived."""
        return self._derived.read(self._plant, resolution, nodes, fields, span)

    async def extent(self) -> Span | None:
        """See SeriesStore.extent."""
        instants = [t for (plant, *_), kept in self._readings.items() if plant == self._plant for t in kept]
        return Span(min(instants), max(instants) + NS_PER_MS) if instants else None

    async def count(self, meters: Sequence[str] | None = None) -> dict[str, int]:
        """See SeriesStore.count."""
        counts: defaultdict[str, int] = defaultdict(int)
        for (plant, meter, _), kept in self._readings.items():
            if plant == self._plant and (meters is None or meter in meters):
                counts[meter] += sum(math.isfinite(value) for value, _ in kept.values())
        return {meter: number for meter, number in counts.items() if number}


def _same(old: Reading, new: Reading) -> bool:
    return old[1] == new[1] and (old[0] == new[0] or (math.isnan(old[0]) and math.isnan(new[0])))


def _series(readings: dict[int, Reading]) -> Series:
    if not readings:
        return Series.empty()
    t_ns = sorted(readings)
    value, quality = zip(*(readings[t] for t in t_ns), strict=True)
    return Series(np.array(t_ns, np.int64), np.array(value, np.float64), np.array(quality, np.int16))
