"""InfluxDB's line protocol, a block at a time: one template for all Frames that lack the same values.

Floats are written as the shortest text that reads back as the same number; a missing value is an absent field and its
quality; good quality is not written; times are ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from plant.frame import NS_PER_MS, FrameBlock
from plant.series import DerivedBlock
from storage.readings import normalised

QUALITY_SUFFIX = "_q"
_ESCAPED = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})


@lru_cache(maxsize=100_000)  # the same few names come with every block
def escape(name: str) -> str:
    """A tag value or field name that ``readings.check_names`` let pass, as it stands in a line."""
    return name.translate(_ESCAPED)


def reading_lines(
    block: FrameBlock, measurement: str, quantities: Sequence[str], again: npt.NDArray[np.bool_] | None = None
) -> list[str]:
    """One line a Frame with the quantities given, ``_q`` fields beside those that are not good; no line breaks.

    Frames of ``again`` bool[n] have every ``_q`` field: they may lie where a point is stored, whose ``_q`` would stay.
    Frames come grouped by what they lack, not in the order of the block.
    """
    columns = [block.quantities.index(name) for name in quantities]
    if not columns or len(block) == 0:
        return []
    value, quality = normalised(block)
    value, quality = value[:, columns], quality[:, columns]
    flagged_cells = quality != 0 if again is None else (quality != 0) | again[:, None]
    heads = [f"{measurement},plant={escape(block.plant)},meter={escape(meter)}" for meter in block.meters]
    names = [escape(name) for name in quantities]
    lines: list[str] = []
    for rows, present, flagged in _patterns(np.isfinite(value), flagged_cells):
        labels = [f"{name}=" for name, here in zip(names, present, strict=True) if here]
        flags = [f"{name}{QUALITY_SUFFIX}=" for name, here in zip(names, flagged, strict=True) if here]
        floats = _texts(value[rows][:, present])
        integers = _texts(quality[rows][:, flagged])
        pieces = _Pieces(len(rows))
        pieces.add([heads[i] for i in block.meter_index[rows].tolist()])
        for number, label in enumerate(labels):
            pieces.add(f"{',' if number else ' '}{label}", floats[number :: len(labels)])
        for number, flag in enumerate(flags):
            pieces.add(f"{'i,' if number else ',' if labels else ' '}{flag}", integers[number :: len(flags)])
        pieces.add("i " if flags else " ", _texts(block.t_ns[rows] // NS_PER_MS))
        lines += pieces.lines()
    return lines


class _Pieces:
    """Lines put together column by column: one join makes all of them, where a template would be filled for each."""

    def __init__(self, lines: int) -> None:
        self._count, self._columns = lines, list[list[str]]()

    def add(self, *columns: str | list[str]) -> None:
        """Columns behind those there are: a text that is the same in every line, or one for each."""
        self._columns += [[column] * self._count if isinstance(column, str) else column for column in columns]

    def lines(self) -> list[str]:
        self.add("\n")
        width = len(self._columns)
        every = [""] * (width * self._count)
        for place, column in enumerate(self._columns):
            every[place::width] = column
        return "".join(every).split("\n")[:-1]


def _texts(numbers: npt.NDArray[Any]) -> list[str]:
    """Each number as the shortest text that reads back as the same, in C order; orjson writes a thousand in one call."""
    if not numbers.size:
        return []
    text: str = orjson.dumps(np.ascontiguousarray(numbers).ravel(), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return text[1:-1].split(",")


def derived_lines(block: DerivedBlock, measurement: str, t_ms: npt.NDArray[np.int64]) -> list[str]:
    """One line a row of figures, in the order of the block: floats where not null, ``version`` and ``valid`` as integers.

    ``t_ms`` int64[n] is where each row lies.
    """
    heads = [f"{measurement},plant={escape(block.plant)},node={escape(node)}" for node in block.nodes]
    names = [escape(name) for name in block.fields]
    lines = [""] * len(block)
    present = np.isfinite(block.value)
    for rows, here, _ in _patterns(present, np.zeros((len(block), 0), bool)):
        floats = [f"{name}=%r" for name, there in zip(names, here, strict=True) if there]
        template = f"%s {','.join([*floats, 'version=%di', 'valid=%di'])} %d"
        cells = [column.tolist() for column in block.value[rows][:, here].T]
        head = [heads[i] for i in block.node_index[rows].tolist()]
        own = (block.version[rows].tolist(), block.valid[rows].astype(int).tolist(), t_ms[rows].tolist())
        for row, cell in zip(rows.tolist(), zip(head, *cells, *own, strict=True), strict=True):
            lines[row] = template % cell
    return lines


def line_t_ms(line: str) -> int:
    """Instant of a line made here."""
    return int(line.rpartition(" ")[2])


def retired_line(plant: str, node: str, measurement: str, t_ms: int) -> str:
    """The line that makes a stored row of figures invalid and leaves the rest of it."""
    return f"{measurement},plant={escape(plant)},node={escape(node)} valid=0i {t_ms}"


_Rows = npt.NDArray[np.intp]
_Mask = npt.NDArray[np.bool_]


def _patterns(present: _Mask, flagged: _Mask) -> Iterator[tuple[_Rows, _Mask, _Mask]]:
    """(rows, present[k], flagged[k]) for each way in which rows can be incomplete; both masks are [n, k]."""
    k = present.shape[1]
    if present.all() and not flagged.any():
        if len(present):
            yield np.arange(len(present)), np.ones(k, bool), np.zeros(flagged.shape[1], bool)
        return
    patterns, which = np.unique(np.hstack([present, flagged]), axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        yield np.flatnonzero(which.ravel() == number), pattern[:k], pattern[k:]
