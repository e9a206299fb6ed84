"""Derived rows in memory: columns by node over common intervals, to and from the blocks that the store takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.balance import Banded
from analytics.counters import F64, I64
from plant.series import DerivedBlock, dense_block

Columns = dict[str, F64]
BLOCK_ROWS = 2**18  # a store may be held to a few hundred MB


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of one ``resolution`` ("1m", "15m") that start at ``start_ns`` int64[m] and last ``step_ns``: float64[m] by node
    and field, named as in docs/architecture.md. NaN is null; a node without a column has no such figure."""

    resolution: str
    start_ns: I64
    step_ns: int
    columns: dict[str, Columns]

    def column(self, node: str, field: str) -> F64:
        """One column, NaN where it is not there."""
        found = self.columns.get(node, {}).get(field)
        return np.full(len(self.start_ns), np.nan) if found is None else found

    def banded(self, node: str, field: str) -> Banded:
        """A column with its ``_low`` and ``_high``."""
        return Banded(self.column(node, field), self.column(node, f"{field}_low"), self.column(node, f"{field}_high"))

    def first_known_ns(self, nodes: Sequence[str], field: str) -> int:
        """Start of the first interval in which any of the nodes has a value; the end of all where none has."""
        known = np.any([np.isfinite(self.column(n, field)) for n in nodes], axis=0)
        if not known.any():
            return int(self.start_ns[-1]) + self.step_ns if len(self.start_ns) else 0
        return int(self.start_ns[np.argmax(known)])

    def blocks(self, plant: str, version: int) -> list[DerivedBlock]:
        """Blocks for the store: nodes of the same fields together, up to ``BLOCK_ROWS``."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for node, columns in self.columns.items():
            groups.setdefault(tuple(columns), []).append(node)
        found = []
        at_once = max(BLOCK_ROWS // max(len(self.start_ns), 1), 1)
        # few rows of many fields come first: a store adds a column the more cheaply the fewer rows it holds
        few_first = sorted(groups.items(), key=lambda g: len(g[1]))
        parts = [(f, n[i : i + at_once]) for f, n in few_first for i in range(0, len(n), at_once)]
        for fields, nodes in parts:
            cube = np.empty((len(nodes), len(self.start_ns), len(fields)))  # as the block holds it, so that it is filled once
            for rows, node in zip(cube, nodes, strict=True):
                for k, field in enumerate(fields):
                    rows[:, k] = self.columns[node][field]
            found.append(dense_block(plant, self.resolution, fields, tuple(nodes), self.start_ns, cube, version))
        return found

    def since(self, t_ns: int) -> Table:
        """The intervals that start at an instant or after it."""
        return self.take(slice(int(np.searchsorted(self.start_ns, t_ns)), None))

    def take(self, rows: slice) -> Table:
        """The same for some of the intervals."""
        columns = {n: {f: c[rows] for f, c in fields.items()} for n, fields in self.columns.items()}
        return Table(self.resolution, self.start_ns[rows], self.step_ns, columns)


def banded_columns(name: str, value: Banded) -> Columns:
    """Three columns of a banded quantity."""
    return {name: value.best, f"{name}_low": value.low, f"{name}_high": value.high}


def from_block(block: DerivedBlock, start_ns: I64, step_ns: int) -> Table:
    """Rows read from the store, laid over the intervals ``start_ns``; rows that are absent are NaN."""
    columns: dict[str, Columns] = {}
    rows = np.searchsorted(start_ns, block.start_ns)
    rows = np.minimum(rows, max(len(start_ns) - 1, 0))
    good = np.flatnonzero(block.valid & (start_ns[rows] == block.start_ns)) if len(start_ns) else np.zeros(0, np.intp)
    in_order = len(good) == len(block) and not np.any(np.diff(block.node_index) < 0)
    order = good if in_order else good[np.argsort(block.node_index[good], kind="stable")]
    ends = np.searchsorted(block.node_index[order], np.arange(len(block.nodes) + 1)).tolist()
    for i, node in enumerate(block.nodes):
        first, end = ends[i], ends[i + 1]
        if first == end:
            continue
        value = block.value[first:end] if in_order else block.value[order[first:end]]
        laid = np.full((len(block.fields), len(start_ns)), np.nan)
        laid[:, rows[order[first:end]]] = value.T
        known = np.isfinite(laid).any(axis=1).tolist()
        columns[node] = {field: column for field, column, any_known in zip(block.fields, laid, known, strict=True) if any_known}
    return Table(block.resolution, start_ns, step_ns, columns)


def interval_hash(tables: Sequence[Table] | Mapping[str, Table]) -> str:
    """SHA-256 over every value of the rows, so that a report names exactly what it rests on."""
    digest = hashlib.sha256()
    for table in tables.values() if isinstance(tables, Mapping) else tables:
        digest.update(table.start_ns.tobytes())
        for node in sorted(table.columns):
            for field in sorted(table.columns[node]):
                digest.update(f"{node}\0{field}\0".encode())
                digest.update(np.round(table.columns[node][field], 6).tobytes())
    return digest.hexdigest()
