# ruff: noqa: S608 - what is put into statements are our own tables, checked field names and whole numbers
"""Derived figures in the embedded store: a wide table a resolution, one row a node and start, a column a field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from plant.frame import NS_PER_MS
from plant.series import MINUTE, QUARTER, DerivedBlock, Span
from storage.coverage import Coverage
from storage.duck import Columns, Database, floats
from storage.readings import check_derived, newest_of_each

MANY_ROWS = 1_000_000
BYTES_A_CELL = 16  # of a new column while it is made
_KEYS = ("node", "start_ms", "version", "valid")


class DerivedTables:
    """Runs in the store's worker thread. A row is replaced as a whole: a field that the newer one lacks is null."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._nodes: dict[tuple[str, str], int] = {}
        self._fields: dict[str, set[str]] = {}
        self._coverage: defaultdict[tuple[str, int], Coverage] = defaultdict(Coverage)

    def load(self) -> None:
        """Take note of the nodes, fields and spans stored."""
        known = self._database.execute("SELECT id, plant, node FROM node")
        self._nodes = {(plant, node): number for number, plant, node in known}
        self._coverage.clear()
        for resolution in (MINUTE, QUARTER):
            described = self._database.execute(f"DESCRIBE derived_{resolution}")
            self._fields[resolution] = {name for name, *_ in described} - set(_KEYS)
            spans = f"SELECT node, min(start_ms), max(start_ms) FROM derived_{resolution} GROUP BY node"
            for node, first_ms, last_ms in self._database.execute(spans):
                self._coverage[resolution, node].add(first_ms, last_ms)

    def write(self, block: DerivedBlock) -> None:
        """Replace the rows of the block in one transaction; a row that is stored in a newer version stays."""
        check_derived(block)
        block = newest_of_each(block)
        if len(block) == 0:
            return
        self._add_fields(block)
        nodes = dict(self._nodes)
        try:
            touched = self._database.transaction(lambda: self._replace(block))
        except BaseException:
            self._nodes = nodes
            raise
        for node, first_ms, last_ms in touched:
            self._coverage[block.resolution, node].add(first_ms, last_ms)

    def _replace(self, block: DerivedBlock) -> list[tuple[int, int, int]]:
        node = self._numbers(block)[block.node_index]
        start_ms = block.start_ns // NS_PER_MS
        value = np.where(np.isinf(block.value), np.nan, block.value) if np.isinf(block.value).any() else block.value
        columns: dict[str, npt.NDArray[Any]] = {
            "node": node,
            "start_ms": start_ms,
            "version": block.version,
            "valid": block.valid,
            **{name: value[:, i] for i, name in enumerate(block.fields)},
        }
        touched = _spans(node, start_ms)
        if any(self._coverage[block.resolution, number].touches(a, b) for number, a, b in touched):
            self._upsert(block.resolution, columns, int(start_ms.min()), int(start_ms.max()))
        else:
            self._append(block.resolution, columns)
        return touched

    def _append(self, resolution: str, columns: Columns, where: str = "") -> None:
        names = ", ".join(f'"{name}"' for name in columns)
        self._database.execute(
            f"INSERT INTO derived_{resolution} ({names}) SELECT {names} FROM incoming {where}", incoming=columns
        )

    def _upsert(self, resolution: str, columns: Columns, first_ms: int, last_ms: int) -> None:
        # the bounds let DuckDB skip whole row groups
        same = f"old.start_ms BETWEEN {first_ms} AND {last_ms} AND old.node = incoming.node AND old.start_ms = incoming.start_ms"
        self._database.execute(
            f"DELETE FROM derived_{resolution} old USING incoming WHERE {same} AND old.version <= incoming.version",
            incoming=columns,
        )
        self._append(resolution, columns, f"WHERE NOT EXISTS (SELECT 1 FROM derived_{resolution} old WHERE {same})")

    def _add_fields(self, block: DerivedBlock) -> None:
        """Columns of fields that are new, each for itself: until it is in the file, one of a table of many rows fills memory,
        and several at once, as a new version of the program brings them, are more than there is."""
        missing = [name for name in block.fields if name not in self._fields[block.resolution]]
        if not missing:
            return
        table = f"derived_{block.resolution}"
        [(rows,)] = self._database.execute("SELECT estimated_size FROM duckdb_tables() WHERE table_name = ?", [table])
        with self._database.memory(rows * BYTES_A_CELL):
            for name in missing:
                self._database.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" DOUBLE')
                self._fields[block.resolution].add(name)
                if rows > MANY_ROWS:
                    self._database.checkpoint()

    def _numbers(self, block: DerivedBlock) -> npt.NDArray[np.int32]:
        for node in block.nodes:
            if (block.plant, node) not in self._nodes:
                number = len(self._nodes)
                self._database.execute("INSERT INTO node VALUES (?, ?, ?)", (number, block.plant, node))
                self._nodes[block.plant, node] = number
        return np.array([self._nodes[block.plant, node] for node in block.nodes], np.int32)

    def read(self, plant: str, resolution: str, nodes: Sequence[str], fields: Sequence[str], span: Span) -> DerivedBlock:
        """Valid rows that start in [start, end), by node and start; ``fields`` and ``nodes`` as asked for."""
        known = [name for name in fields if name in self._fields[resolution]]
        index = {self._nodes[plant, node]: i for i, node in enumerate(nodes) if (plant, node) in self._nodes}
        bounds = [-(-span.start_ns // NS_PER_MS), -(-span.end_ns // NS_PER_MS)]
        selected = "".join(f', "{name}"' for name in dict.fromkeys(known))
        sql = (
            f"SELECT place, start_ms, version{selected} FROM derived_{resolution} JOIN wanted ON node = id "
            "WHERE valid AND start_ms >= ? AND start_ms < ? ORDER BY place, start_ms"
        )
        wanted = {"id": np.array(list(index), np.int32), "place": np.array(list(index.values()), np.int32)}
        rows = self._database.arrays(sql, bounds, wanted=wanted)
        n = len(rows["start_ms"])
        value = np.full((n, len(fields)), np.nan)
        for i, name in enumerate(fields):
            if name in rows and name in known:
                value[:, i] = floats(rows[name])
        start_ns = rows["start_ms"].astype(np.int64) * NS_PER_MS
        version = rows["version"].astype(np.int64)
        return DerivedBlock(
            plant,
            resolution,
            tuple(fields),
            tuple(nodes),
            rows["place"].astype(np.int32),
            start_ns,
            value,
            version,
            np.ones(n, bool),
        )


def _spans(node: npt.NDArray[np.int32], start_ms: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(node, first start, last start) of each node of a block."""
    numbers, place = np.unique(node, return_inverse=True)
    first = np.full(len(numbers), np.iinfo(np.int64).max)
    last = np.full(len(numbers), np.iinfo(np.int64).min)
    np.minimum.at(first, place, start_ms)
    np.maximum.at(last, place, start_ms)
    return list(zip(numbers.tolist(), first.tolist(), last.tolist(), strict=True))
