"""A series store in arrays: what the analytics read and write of a trial plant, without a disk in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from plant.frame import NS_PER_MS, FrameBlock
from plant.ports import SpoolCursor, Written
from plant.series import MINUTE, MINUTE_NS, QUARTER_NS, DerivedBlock, Series, Span, dense_block

Pair = tuple[str, str]
Floats = npt.NDArray[np.float64]


class ArrayStore:
    """SeriesStore of one plant over one span. The first value of an instant stays, as in every store."""

    def __init__(self, plant: str, span: Span) -> None:
        self._plant, self._span = plant, span
        self._parts: defaultdict[Pair, list[Series]] = defaultdict(list)
        self._fields: defaultdict[tuple[str, str], dict[str, Floats]] = defaultdict(dict)

    async def setup(self) -> None:
        """Nothing to create."""

    async def close(self) -> None:
        """Nothing to release."""

    async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
        """Take blocks of one meter each; see SeriesStore.write. What is repeated is told apart on reading."""
        del sink_cursor
        for block in blocks:
            assert len(block.meters) == 1, block.meters
            for column, quantity in enumerate(block.quantities):
                self._parts[block.meters[0], quantity].append(
                    Series(block.t_ns, block.value[:, column].copy(), block.quality[:, column].copy())
                )
        return Written(sum(block.value.size for block in blocks), 0, 0)

    async def cursor(self) -> SpoolCursor | None:
        """None: there is no spool."""
        return None

    async def read(self, meter: str, quantity: str, span: Span) -> Series:
        """See SeriesStore.read."""
        whole = self._whole((meter, quantity))
        first, end = np.searchsorted(whole.t_ns, [span.start_ns, span.end_ns])
        return Series(whole.t_ns[first:end], whole.value[first:end], whole.quality[first:end])

    async def read_many(self, pairs: Sequence[Pair], span: Span) -> dict[Pair, Series]:
        """See SeriesStore.read_many."""
        return {pair: await self.read(*pair, span) for pair in pairs}

    async def last_before(self, pairs: Sequence[Pair], t_ns: int, reach_s: float) -> dict[Pair, Series]:
        """See SeriesStore.last_before."""
        return await self._nearest(pairs, Span(t_ns - round(reach_s * 1e9), t_ns), -1)

    async def first_from(self, pairs: Sequence[Pair], t_ns: int, reach_s: float) -> dict[Pair, Series]:
        """See SeriesStore.first_from."""
        return await self._nearest(pairs, Span(t_ns, t_ns + round(reach_s * 1e9)), 0)

    async def write_derived(self, block: DerivedBlock) -> None:
        """See SeriesStore.write_derived."""
        step_ns = MINUTE_NS if block.resolution == MINUTE else QUARTER_NS
        slots = (block.start_ns - self._span.start_ns // QUARTER_NS * QUARTER_NS) // step_ns
        length = (self._span.end_ns - self._span.start_ns) // step_ns + 2 * QUARTER_NS // step_ns
        kept = (slots >= 0) & (slots < length)
        for i, node in enumerate(block.nodes):
            rows = np.flatnonzero((block.node_index == i) & kept)
            columns = self._fields[block.resolution, node]
            for k, field in enumerate(block.fields):
                if field not in columns:
                    columns[field] = np.full(length, np.nan)
                columns[field][slots[rows]] = block.value[rows, k]

    async def read_derived(self, resolution: str, nodes: Sequence[str], fields: Sequence[str], span: Span) -> DerivedBlock:
        """See SeriesStore.read_derived."""
        step_ns = MINUTE_NS if resolution == MINUTE else QUARTER_NS
        start_ns = span.bounds(step_ns)[:-1]
        slots = (start_ns - self._span.start_ns // QUARTER_NS * QUARTER_NS) // step_ns
        cube = np.full((len(nodes), len(start_ns), len(fields)), np.nan)
        for i, node in enumerate(nodes):
            columns = self._fields.get((resolution, node), {})
            for k, field in enumerate(fields):
                if field in columns:
                    inside = (slots >= 0) & (slots < len(columns[field]))
                    cube[i, inside, k] = columns[field][slots[inside]]
        return dense_block(self._plant, resolution, tuple(fields), tuple(nodes), start_ns, cube, 1)

    async def extent(self) -> Span | None:
        """See SeriesStore.extent."""
        ends = [(s.t_ns.min(), s.t_ns.max()) for parts in self._parts.values() for s in parts if len(s)]
        return Span(int(min(a for a, _ in ends)), int(max(b for _, b in ends)) + NS_PER_MS) if ends else None

    async def count(self, meters: Sequence[str] | None = None) -> dict[str, int]:
        """See SeriesStore.count."""
        counts: defaultdict[str, int] = defaultdict(int)
        for meter, quantity in list(self._parts):
            if meters is None or meter in meters:
                counts[meter] += int(np.isfinite(self._whole((meter, quantity)).value).sum())
        return dict(counts)

    def _whole(self, pair: Pair) -> Series:
        parts = self._parts.get(pair)
        if not parts:
            return Series.empty()
        if len(parts) > 1 or not np.all(np.diff(parts[0].t_ns) > 0):
            t_ns, value, quality = (np.concatenate([getattr(s, name) for s in parts]) for name in ("t_ns", "value", "quality"))
            instants, first = np.unique(t_ns, return_index=True)
            self._parts[pair] = parts = [Series(instants, value[first], quality[first])]
        return parts[0]

    async def _nearest(self, pairs: Sequence[Pair], span: Span, pick: int) -> dict[Pair, Series]:
        found = {}
        for pair, series in (await self.read_many(pairs, span)).items():
            rows = np.flatnonzero(np.isfinite(series.value))
            one = rows[[pick]] if len(rows) else rows
            found[pair] = Series(series.t_ns[one], series.value[one], series.quality[one])
        return found
