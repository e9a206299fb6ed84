"""Derived figures in InfluxDB, where a point can be written over but a field of it cannot be taken back.

A row lies at the start of its interval. When a newer version has a field null that the stored row has not, writing over it
would leave the old value standing: the stored row is made ``valid=0`` and the new one lies one millisecond later, inside
the same interval. Whoever selects ``valid = 1`` therefore sees exactly the current figures, and every ``GROUP BY time``
of a minute or more puts them where they belong. DELETE is not needed, which not every server of the dialect has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plant.frame import NS_PER_MS
from plant.series import MINUTE, MINUTE_NS, QUARTER_NS, DerivedBlock, Span
from storage.influx_http import Table
from storage.influxql import identifier, select, where
from storage.line_protocol import derived_lines, retired_line

MEASUREMENT = "derived"


def step_ns(resolution: str) -> int:
    """Length of an interval in ns."""
    return MINUTE_NS if resolution == MINUTE else QUARTER_NS


def stored_statement(block: DerivedBlock, nodes: Sequence[str], span: Span) -> str:
    """The SELECT for whatever is stored of some nodes within a span, all fields, retired rows too."""
    return select(["*"], MEASUREMENT, where(block.plant, span, "node", nodes), "node")


def valid_statement(plant: str, nodes: Sequence[str], fields: Sequence[str], span: Span) -> str:
    """The SELECT for the version and some fields of valid rows within a span."""
    condition = where(plant, span, "node", nodes) + ' AND "valid" = 1'
    return select(['"version"', *map(identifier, fields)], MEASUREMENT, condition, "node")


def touched_span(block: DerivedBlock) -> Span:
    """From the first start to the end of the last interval of a block that is not empty."""
    return Span(int(block.start_ns.min()), int(block.start_ns.max()) + step_ns(block.resolution))


def slots_of(span: Span, resolution: str) -> Span:
    """The intervals that start in [start, end), as one span of all their instants."""
    step = step_ns(resolution)
    return Span(-(-span.start_ns // step) * step, -(-span.end_ns // step) * step)


def replacing_lines(block: DerivedBlock, stored: Sequence[Table]) -> list[str]:
    """Lines that put the block in the place of what is stored; rows that are stored in a newer version are left out."""
    t_ms = block.start_ns // NS_PER_MS
    keep = np.ones(len(block), bool)
    retired: dict[int, str] = {}
    rows = _row_numbers(block) if stored else {}
    for (node, start_ms), (old_ms, version, present) in _current(stored, step_ns(block.resolution) // NS_PER_MS).items():
        row = rows.get((node, start_ms))
        if row is None:
            continue
        keep[row] = version <= int(block.version[row])
        still_there = {name for name, value in zip(block.fields, block.value[row], strict=True) if np.isfinite(value)}
        t_ms[row] = old_ms
        if keep[row] and not present <= still_there:
            retired[row] = retired_line(block.plant, node, MEASUREMENT, old_ms)
            t_ms[row] = old_ms + 1
    lines = derived_lines(block, MEASUREMENT, t_ms)
    return [line for row in np.flatnonzero(keep).tolist() for line in (retired.get(row), lines[row]) if line is not None]


def _row_numbers(block: DerivedBlock) -> dict[tuple[str, int], int]:
    nodes = [block.nodes[i] for i in block.node_index.tolist()]
    starts_ms = (block.start_ns // NS_PER_MS).tolist()
    return {key: row for row, key in enumerate(zip(nodes, starts_ms, strict=True))}


def _current(stored: Sequence[Table], step_ms: int) -> dict[tuple[str, int], tuple[int, int, set[str]]]:
    """(time, version, fields present) of the last row in each interval of each node: the one that counts."""
    current: dict[tuple[str, int], tuple[int, int, set[str]]] = {}
    for table in stored:
        names = list(table.columns)
        version = names.index("version")
        fields = [i for i, name in enumerate(names) if name not in ("time", "plant", "version", "valid")]
        for row in table.rows:
            t_ms = int(row[0])
            present = {names[i] for i in fields if row[i] is not None}
            current[table.tags["node"], t_ms - t_ms % step_ms] = (t_ms, int(row[version] or 0), present)
    return current


def block_of(plant: str, resolution: str, nodes: Sequence[str], fields: Sequence[str], stored: Sequence[Table]) -> DerivedBlock:
    """The valid rows as a block, by node and start; of two in one interval the later written, that is the later lying."""
    place = {node: i for i, node in enumerate(nodes)}
    node = np.array([place[t.tags["node"]] for t in stored for _ in t.rows], np.int32)
    t_ns = np.array([row[0] for t in stored for row in t.rows], np.int64) * NS_PER_MS
    version = np.array([row[1] for t in stored for row in t.rows], np.int64)
    value = np.full((len(node), len(fields)), np.nan)
    if len(node):
        value[:] = np.concatenate([t.cells()[:, 2:] for t in stored])
    start_ns = t_ns - t_ns % step_ns(resolution)
    order = np.lexsort((t_ns, node))
    last = np.ones(len(order), bool)
    last[:-1] = (np.diff(node[order]) != 0) | (np.diff(start_ns[order]) != 0)
    rows = order[last]
    return DerivedBlock(
        plant,
        resolution,
        tuple(fields),
        tuple(nodes),
        node[rows],
        start_ns[rows],
        value[rows],
        version[rows],
        np.ones(len(rows), bool),
    )
