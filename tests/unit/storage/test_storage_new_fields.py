"""A store of many rows takes fields that a newer version of the program brings, within its memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plant.series import QUARTER, QUARTER_NS, Span, dense_block
from storage.duck import Database
from storage.embedded_derived import MANY_ROWS, DerivedTables

ROWS = 20_000_000  # eight new columns of as many numbers are five times the memory there is


async def test_many_new_fields_over_many_rows(tmp_path: Path) -> None:
    database = Database(tmp_path / "series.duckdb")
    start_ns = np.arange(4, dtype=np.int64) * QUARTER_NS
    fields = tuple(f"new_{i}" for i in range(8))

    def work() -> list[float]:
        database.open()
        tables = DerivedTables(database)
        tables.load()
        tables.write(dense_block("p", QUARTER, ("old",), ("plant",), start_ns, np.ones((1, 4, 1)), 1))
        for first in range(0, ROWS, MANY_ROWS):
            many = f"SELECT 7, {QUARTER_NS} + i, 1, true, i FROM range({first}, {first + MANY_ROWS}) t(i)"
            database.execute(f"INSERT INTO derived_15m (node, start_ms, version, valid, old) {many}")
        tables.write(dense_block("p", QUARTER, fields, ("plant",), start_ns, np.full((1, 4, 8), 2.0), 2))
        found = tables.read("p", QUARTER, ("plant",), ("old", *fields), Span(0, 4 * QUARTER_NS))
        return found.value[0].tolist()

    try:
        first = await database.run(work)
        [(limit,)] = await database.run(lambda: database.execute("SELECT current_setting('memory_limit')"))
    finally:
        await database.close()
    assert np.isnan(first[0])
    assert first[1:] == [2.0] * 8
    assert limit == "244.1 MiB"
