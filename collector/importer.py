"""Historical tables of any column layout to FrameBlocks. Pure: text in, plan out; nothing found is hidden.

A power that is kept as interval energy splits by sign: above zero it is import in the meter's own arrow, below zero
export, so that a PV plant's night-time consumption stays visible. Energies made of power are marked estimated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.import_mapping import ImportMapping, ValueColumn
from collector.import_report import ColumnReport, ImportReport, LineProblem
from collector.import_table import Table, numbers, read_table
from collector.import_times import NO_TIME, Stamps, interval_starts
from plant.errors import InputError
from plant.frame import FRAMES_MAX, FrameBlock
from plant.quality import ABSENT, Quality
from plant.quantities import QUANTITIES, Kind, factor_to_canonical
from plant.series import Span
from plant.site import IMPORTED

GAPS_MAX = 1_000
PROBLEMS_MAX = 1_000
NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class ImportPlan:
    """Blocks of at most ``FRAMES_MAX`` Frames in ascending time, meter by meter, and what was found on the way. A Frame
    stands for the ``interval_s`` from its instant on."""

    blocks: tuple[FrameBlock, ...]
    interval_s: int
    report: ImportReport


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """One column in ascending time: ``value`` float64[n] in the canonical unit of ``mapping.quantity``, NaN where missing."""

    mapping: ValueColumn
    value: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _SecondRows:
    repeated: int
    conflicting: int


def parse_table(text: str, mapping: ImportMapping, plant: str) -> ImportPlan:
    """Read a table. Raises InputError when it has not the columns that the mapping names or no row with a readable time, or
    when its midnights lie a day off and the mapping does not say how they are meant; a bad line or cell is reported and the
    rest goes on."""
    table = read_table(text, mapping.file)
    position = table.position(mapping.time.column)
    stamps = interval_starts([row[position] for row in table.cells], mapping.time, mapping.zone)
    values, problems = _values(table, mapping)
    problems += [table.problem(row, reason) for row, reason in stamps.reasons.items()]
    timed = np.flatnonzero(stamps.start_ns != NO_TIME)
    if not len(timed):
        first = f"line {problems[0].line}: {problems[0].reason}" if problems else "there is no row below the headings"
        raise InputError(f"none of the {table.rows} rows has a readable time; {first}; mend the file, or [time] of the mapping")
    hints = _hints(stamps)
    if hints and not mapping.time.states_midnight:  # a stored reading is immutable: one on the wrong day would stay there
        raise InputError(f"{hints[0]}; nothing was written")
    order = timed[np.argsort(stamps.start_ns[timed], kind="stable")]
    start_ns, values = stamps.start_ns[order], values[order]
    starts, values, conflicting = _merged(start_ns, values)
    problems += [table.problem(int(order[row]), "differs from an earlier row of the same instant") for row in conflicting]
    columns = [_Column(column, values[:, i]) for i, column in enumerate(mapping.column)]
    blocks = tuple(_blocks(plant, starts, columns, mapping.time.interval_s))
    seconds = _SecondRows(len(order) - len(starts) - len(conflicting), len(conflicting))
    return ImportPlan(blocks, mapping.time.interval_s, _report(mapping, table.rows, problems, stamps, starts, columns, seconds))


def _values(table: Table, mapping: ImportMapping) -> tuple[npt.NDArray[np.float64], list[LineProblem]]:
    """float64[rows, columns] in canonical units, and everything wrong so far."""
    problems = list(table.problems)
    read: list[npt.NDArray[np.float64]] = []
    for column in mapping.column:
        value, bad_cells = numbers(table, column.name, mapping.file)
        read.append(value * factor_to_canonical(column.quantity, column.unit))
        problems += bad_cells
    return np.column_stack(read), problems


def _merged(
    start_ns: npt.NDArray[np.int64], matrix: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """(instants, the first value of each instant and column, rows that hold another value than that).

    An empty cell says nothing, so that a later row of the instant fills it.
    """
    is_first = np.concatenate(([True], np.diff(start_ns) > 0))
    instant = np.cumsum(is_first) - 1
    merged = np.full((int(instant[-1]) + 1, matrix.shape[1]), math.nan)
    for column in range(matrix.shape[1]):
        known = np.flatnonzero(~np.isnan(matrix[:, column]))
        instants, firsts = np.unique(instant[known], return_index=True)
        merged[instants, column] = matrix[known[firsts], column]
    differs = ~np.isnan(matrix) & (matrix != merged[instant])
    return start_ns[is_first], merged, np.flatnonzero(differs.any(axis=1))


def _blocks(plant: str, start_ns: npt.NDArray[np.int64], columns: Sequence[_Column], interval_s: int) -> Iterator[FrameBlock]:
    for meter in dict.fromkeys(column.mapping.meter for column in columns):
        parts = [part for column in columns if column.mapping.meter == meter for part in _stored(column, interval_s)]
        quantities = tuple(name for name, _, _ in parts)
        value = np.column_stack([v for _, v, _ in parts])
        quality = np.column_stack([q for _, _, q in parts])
        for at in range(0, len(start_ns), FRAMES_MAX):
            rows = slice(at, at + FRAMES_MAX)
            index = np.zeros(len(start_ns[rows]), np.int32)
            yield FrameBlock(plant, IMPORTED, quantities, (meter,), index, start_ns[rows], value[rows], quality[rows])


def _stored(column: _Column, interval_s: int) -> Iterator[tuple[str, npt.NDArray[np.float64], npt.NDArray[np.int16]]]:
    value = column.value
    quality = np.where(np.isnan(value), int(ABSENT), 0).astype(np.int16)
    quality[value < 0] |= np.int16(int(column.mapping.negative_quality))
    if len(column.mapping.stored) == 1:
        yield column.mapping.quantity, value, quality
        return
    # no register stands behind an energy made of power
    quality = np.where(np.isnan(value), quality, quality | np.int16(int(Quality.ESTIMATED)))
    energy_kwh = value * (interval_s / 3600.0)
    for name, sign in zip(column.mapping.stored, (1.0, -1.0), strict=True):
        yield name, np.where(np.isnan(value), math.nan, np.maximum(sign * energy_kwh, 0.0)), quality


def _report(
    mapping: ImportMapping,
    rows: int,
    problems: Sequence[LineProblem],
    stamps: Stamps,
    starts: npt.NDArray[np.int64],
    columns: Sequence[_Column],
    seconds: _SecondRows,
) -> ImportReport:
    interval_ns = mapping.time.interval_s * NS
    steps = np.diff(starts)
    holes = np.flatnonzero(steps > interval_ns)
    gaps = tuple(Span(int(starts[i]) + interval_ns, int(starts[i + 1])) for i in holes[:GAPS_MAX])
    timed = stamps.start_ns[stamps.start_ns != NO_TIME]
    out_of_order = int(np.count_nonzero(timed < np.maximum.accumulate(timed)))
    return ImportReport(
        rows=rows,
        taken=len(starts),
        span=Span(int(starts[0]), int(starts[-1]) + interval_ns),
        repeated=seconds.repeated,
        conflicting=seconds.conflicting,
        out_of_order=out_of_order,
        overlapping=int(np.count_nonzero(steps < interval_ns)),
        gaps=gaps,
        gap_count=len(holes),
        gap_s=float(np.sum(steps[holes] - interval_ns)) / NS,
        problems=tuple(sorted(problems, key=lambda problem: problem.line)[:PROBLEMS_MAX]),
        problem_count=len(problems),
        columns=tuple(_column_report(column, mapping.time.interval_s) for column in columns),
        hints=_hints(stamps),
    )


def _hints(stamps: Stamps) -> tuple[str, ...]:
    if not stamps.midnight_jumps:
        return ()
    text = f"{stamps.midnight_jumps} stamps of 00:00 lie a day before the rows around them: this file gives midnight the date of "
    closed = 'the day it closes; set time.midnight = "day_closed" (with stamp = "end") in the mapping and import again, '
    return (text + closed + 'or state "day_begun" where the stamps are right as they are',)


def _column_report(column: _Column, interval_s: int) -> ColumnReport:
    mapping, value = column.mapping, column.value
    known = value[np.isfinite(value)]
    below = known[known < 0]
    power_as_energy = len(mapping.stored) > 1
    summable = power_as_energy or QUANTITIES[mapping.quantity].kind is Kind.INTERVAL
    scale = interval_s / 3600.0 if power_as_energy else 1.0
    return ColumnReport(
        name=str(mapping.name),
        meter=mapping.meter,
        quantity=mapping.quantity,
        unit="kWh" if power_as_energy else QUANTITIES[mapping.quantity].unit,
        values=len(known),
        missing=len(value) - len(known),
        total=math.fsum(known) * scale if summable else None,
        negative=len(below),
        lowest=float(below.min()) * scale if len(below) else None,
        negative_total=math.fsum(below) * scale if summable and len(below) else None,
    )
