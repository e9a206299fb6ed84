"""The dictionary of the embedded store: numbers of series, and which of a block's Frames may meet stored ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from plant.frame import NS_PER_MS, FrameBlock
from storage.coverage import Coverage

Meter = tuple[str, str]  # plant, meter
SeriesKey = tuple[str, str, str]  # plant, meter, quantity


class SeriesIndex:
    """Numbers given out and spans covered. What a transaction adds counts from ``commit`` on and is gone after ``rollback``."""

    def __init__(self) -> None:
        self._ids: dict[SeriesKey, int] = {}
        self._new: dict[SeriesKey, int] = {}
        self._coverage: defaultdict[Meter, Coverage] = defaultdict(Coverage)
        self._new_spans: list[tuple[Meter, int, int]] = []

    def load(self, known: Iterable[tuple[int, str, str, str, int | None, int | None]]) -> None:
        """Take (id, plant, meter, quantity, first_ms, last_ms) of everything stored."""
        for number, plant, meter, quantity, first_ms, last_ms in known:
            self._ids[plant, meter, quantity] = number
            if first_ms is not None and last_ms is not None:
                self._coverage[plant, meter].add(first_ms, last_ms)

    def get(self, key: SeriesKey) -> int | None:
        """Number of a series that is stored."""
        return self._ids.get(key)

    def numbers(self, block: FrameBlock) -> npt.NDArray[np.int32]:
        """Series numbers int32[meter, quantity] of a block, new ones given out."""
        table = [[self._number((block.plant, meter, q)) for q in block.quantities] for meter in block.meters]
        return np.array(table, np.int32).reshape(len(block.meters), len(block.quantities))

    def _number(self, key: SeriesKey) -> int:
        known = self._ids.get(key)
        return self._new.setdefault(key, len(self._ids) + len(self._new)) if known is None else known

    def new_series(self) -> list[tuple[int, str, str, str]]:
        """(id, plant, meter, quantity) given out since the last commit."""
        return [(number, *key) for key, number in self._new.items()]

    def suspects(self, blocks: Sequence[FrameBlock]) -> list[npt.NDArray[np.bool_]]:
        """Per block a mask of Frames that may meet a stored one or come twice within the blocks themselves."""
        names: dict[Meter, int] = {}
        meters = [self._meters(block, names) for block in blocks]
        meter = np.concatenate(meters)
        t_ms = np.concatenate([block.t_ns for block in blocks]) // NS_PER_MS
        suspect = _twice(meter, t_ms)
        if len(meter):
            suspect |= np.fromiter(self._note(names, meter, t_ms), bool, len(names))[meter]
        return np.split(suspect, np.cumsum([len(m) for m in meters])[:-1])

    def _meters(self, block: FrameBlock, names: dict[Meter, int]) -> npt.NDArray[np.int32]:
        numbers = [names.setdefault((block.plant, meter), len(names)) for meter in block.meters]
        return np.array(numbers, np.int32)[block.meter_index]

    def _note(self, names: dict[Meter, int], meter: npt.NDArray[np.int32], t_ms: npt.NDArray[np.int64]) -> Iterable[bool]:
        first = np.full(len(names), np.iinfo(np.int64).max)
        last = np.full(len(names), np.iinfo(np.int64).min)
        np.minimum.at(first, meter, t_ms)
        np.maximum.at(last, meter, t_ms)
        for name, first_ms, last_ms in zip(names, first.tolist(), last.tolist(), strict=True):
            if first_ms > last_ms:  # named by a block that holds no Frame of it
                yield False
                continue
            self._new_spans.append((name, first_ms, last_ms))
            yield self._coverage[name].touches(first_ms, last_ms)

    def commit(self) -> None:
        """What was given out and noted is stored now."""
        self._ids |= self._new
        for meter, first_ms, last_ms in self._new_spans:
            self._coverage[meter].add(first_ms, last_ms)
        self.rollback()

    def rollback(self) -> None:
        """Forget what was given out and noted since the last commit."""
        self._new, self._new_spans = {}, []


def _twice(meter: npt.NDArray[np.int32], t_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    order = np.lexsort((t_ms, meter))
    same = (np.diff(meter[order]) == 0) & (np.diff(t_ms[order]) == 0)
    mask = np.zeros(len(order), bool)
    mask[order[1:][same]] = True
    mask[order[:-1][same]] = True
    return mask
