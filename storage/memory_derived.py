"""Derived rows in RAM: columns of each node in runs of time, for the store that keeps nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from plant.series import DerivedBlock, Span
from storage.readings import check_derived, newest_of_each

RUN_ROWS = 1024  # a run shorter than this takes in the rows that follow it, so that rows written one by one stay few runs


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Rows of one node: ``start_ns`` int64[n] ascending, ``value`` float64[n, fields] with NaN for null."""

    fields: tuple[str, ...]
    start_ns: npt.NDArray[np.int64]
    version: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]
    value: npt.NDArray[np.float64]

    def columns(self, fields: Sequence[str]) -> npt.NDArray[np.float64]:
        """Values of chosen fields, NaN where the rows have no such field."""
        if tuple(fields) == self.fields:
            return self.value
        found = np.full((len(self.start_ns), len(fields)), np.nan)
        for k, field in enumerate(fields):
            if field in self.fields:
                found[:, k] = self.value[:, self.fields.index(field)]
        return found

    def take(self, rows: slice | npt.NDArray[np.intp]) -> _Run:
        """Some of the rows."""
        return _Run(self.fields, self.start_ns[rows], self.version[rows], self.valid[rows], self.value[rows])


class DerivedRows:
    """The newest row of each plant, resolution, node and start. A node's runs follow one another and do not overlap."""

    def __init__(self) -> None:
        self._runs: defaultdict[tuple[str, str, str], list[_Run]] = defaultdict(list)

    def write(self, block: DerivedBlock) -> None:
        """See SeriesStore.write_derived."""
        check_derived(block)
        node_index = block.node_index
        whole = _Run(block.fields, block.start_ns, block.version, block.valid, _finite(block.value))
        if not _in_order(block):
            newest = newest_of_each(block)
            order = np.lexsort((newest.start_ns, newest.node_index))
            node_index = newest.node_index[order]
            whole = _Run(
                block.fields, newest.start_ns[order], newest.version[order], newest.valid[order], _finite(newest.value)[order]
            )
        edges = np.searchsorted(node_index, np.arange(len(block.nodes) + 1)).tolist()
        for node, (first, end) in zip(block.nodes, pairwise(edges), strict=True):
            if end > first:
                _put(self._runs[block.plant, block.resolution, node], whole.take(slice(first, end)))

    def read(self, plant: str, resolution: str, nodes: Sequence[str], fields: Sequence[str], span: Span) -> DerivedBlock:
        """See SeriesStore.read_derived."""
        found: list[tuple[int, _Run]] = []
        for node in dict.fromkeys(nodes):
            for run in self._runs.get((plant, resolution, node), ()):
                first, end = np.searchsorted(run.start_ns, [span.start_ns, span.end_ns])
                part = run.take(slice(int(first), int(end)))
                found.append((nodes.index(node), part if part.valid.all() else part.take(np.flatnonzero(part.valid))))
        index = [np.full(len(run.start_ns), i, np.int32) for i, run in found]
        runs = [run for _, run in found]
        return DerivedBlock(
            plant,
            resolution,
            tuple(fields),
            tuple(nodes),
            np.concatenate([np.empty(0, np.int32), *index]),
            np.concatenate([np.empty(0, np.int64), *(r.start_ns for r in runs)]),
            np.concatenate([np.empty((0, len(fields))), *(r.columns(fields) for r in runs)]),
            np.concatenate([np.empty(0, np.int64), *(r.version for r in runs)]),
            np.ones(sum(len(r.start_ns) for r in runs), bool),
        )


def _in_order(block: DerivedBlock) -> bool:
    """Whether the rows are those of one node after the other, each in time and none twice."""
    node, start = np.diff(block.node_index), np.diff(block.start_ns)
    return bool(((node > 0) | ((node == 0) & (start > 0))).all())


def _finite(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A copy in which what is not finite is NaN."""
    copy = value.copy()
    copy[~np.isfinite(copy)] = np.nan
    return copy


def _put(runs: list[_Run], new: _Run) -> None:
    """Add rows to the runs of a node; of two rows with one start the one of the higher version stays, else the later one."""
    touched = [i for i, r in enumerate(runs) if r.start_ns[-1] >= new.start_ns[0] and r.start_ns[0] <= new.start_ns[-1]]
    first = touched[0] if touched else sum(r.start_ns[-1] < new.start_ns[0] for r in runs)
    end = touched[-1] + 1 if touched else first
    if not touched and 0 < first == len(runs) and len(runs[-1].start_ns) < RUN_ROWS:
        first -= 1
    runs[first:end] = [_merged([*runs[first:end], new])]


def _merged(runs: Sequence[_Run]) -> _Run:
    """One run of several, the later overruling the earlier."""
    if len(runs) == 1:
        return runs[0]
    fields = tuple(dict.fromkeys(f for r in runs for f in r.fields))
    start_ns, version = np.concatenate([r.start_ns for r in runs]), np.concatenate([r.version for r in runs])
    order = np.lexsort((np.arange(len(start_ns)), version, start_ns))
    last = order[np.append(np.diff(start_ns[order]) != 0, True)]
    valid, value = np.concatenate([r.valid for r in runs]), np.concatenate([r.columns(fields) for r in runs])
    return _Run(fields, start_ns, version, valid, value).take(last)
