"""Spans of time, series of readings and blocks of derived figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RAW, MINUTE, QUARTER = "raw", "1m", "15m"
MINUTE_NS = 60_000_000_000
QUARTER_NS = 15 * MINUTE_NS


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """[start_ns, end_ns), UTC nanoseconds."""

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        assert self.start_ns <= self.end_ns, self

    @property
    def seconds(self) -> float:
        """Length in s."""
        return (self.end_ns - self.start_ns) / 1e9

    def bounds(self, step_ns: int) -> npt.NDArray[np.int64]:
        """Bounds of the whole intervals of ``step_ns`` that touch the span, multiples of the UTC epoch; int64[m + 1]."""
        first = self.start_ns // step_ns
        last = -(-self.end_ns // step_ns)
        return np.arange(first, last + 1, dtype=np.int64) * step_ns


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Readings of one meter and quantity in ascending time: ``t_ns`` int64[n], ``value`` float64[n], ``quality`` int16[n]."""

    t_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.t_ns)

    @staticmethod
    def empty() -> Series:
        """A series without readings."""
        return Series(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int16))


@dataclass(frozen=True, slots=True, eq=False)
class DerivedBlock:
    """Figures of nodes per interval: the current version, every field written every time.

    ``resolution`` is ``"1m"`` or ``"15m"``; ``start_ns`` int64[n] the interval's start; ``value``
    float64[n, k], NaN where null; ``version`` int64[n]; ``valid`` bool[n] (readers ignore what is not valid).
    Node names are those of ``plant.nodes``; field names those of ``plant.indicators`` without unit.
    """

    plant: str
    resolution: str
    fields: tuple[str, ...]
    nodes: tuple[str, ...]
    node_index: npt.NDArray[np.int32]
    start_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    version: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        n, k = len(self.start_ns), len(self.fields)
        assert self.resolution in (MINUTE, QUARTER)
        assert self.node_index.shape == self.version.shape == self.valid.shape == (n,)
        assert self.value.shape == (n, k)

    def __len__(self) -> int:
        return len(self.start_ns)

    def column(self, node: str, field: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """(start_ns[m], value[m]) of one node and field, ascending in time; empty where absent."""
        if node not in self.nodes or field not in self.fields:
            return np.empty(0, np.int64), np.empty(0)
        rows = np.flatnonzero((self.node_index == self.nodes.index(node)) & self.valid)
        rows = rows[np.argsort(self.start_ns[rows], kind="stable")]
        return self.start_ns[rows], self.value[rows, self.fields.index(field)]


def dense_block(
    plant: str,
    resolution: str,
    fields: tuple[str, ...],
    nodes: tuple[str, ...],
    start_ns: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
    version: int,
) -> DerivedBlock:
    """A block from a full cube ``value`` float64[node, slot, field] over the slots ``start_ns`` int64[slot]."""
    n_nodes, n_slots, n_fields = value.shape
    rows = n_nodes * n_slots
    return DerivedBlock(
        plant,
        resolution,
        fields,
        nodes,
        np.repeat(np.arange(n_nodes, dtype=np.int32), n_slots),
        np.tile(start_ns, n_nodes),
        value.reshape(rows, n_fields),
        np.full(rows, version, np.int64),
        np.ones(rows, bool),
    )
