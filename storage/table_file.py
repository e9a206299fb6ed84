# ruff: noqa: S608 - what is put into statements are names of our own columns
"""A table written to a Parquet or CSV file that may be larger than memory: gathered in a scratch file beside it first."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from storage.duck import Database

Format = Literal["parquet", "csv"]
_OPTIONS: Mapping[Format, str] = {
    "parquet": "FORMAT parquet, COMPRESSION zstd",
    "csv": "FORMAT csv, HEADER, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%gZ'",
}


class TableFile:
    """Rows of one value each: two names (of a meter and quantity, or a node and field), instant, value, an integer."""

    def __init__(self, database: Database, scratch: Path, columns: tuple[str, str, str]) -> None:
        self._database, self._scratch, self._columns = database, scratch, columns

    async def begin(self) -> None:
        """Make the empty table."""

        def work() -> None:
            self._database.open()
            self._database.execute("CREATE TABLE exported (name INTEGER, t_ms BIGINT, value DOUBLE, whole BIGINT)")
            self._database.execute("CREATE TABLE named (id INTEGER, first VARCHAR, second VARCHAR, unit VARCHAR)")

        await self._database.run(work)

    async def name(self, number: int, first: str, second: str, unit: str) -> None:
        """Say what the rows of a number are about."""
        statement = "INSERT INTO named VALUES (?, ?, ?, ?)"
        await self._database.run(lambda: self._database.execute(statement, [number, first, second, unit]))

    async def add(
        self, number: int, t_ms: npt.NDArray[np.int64], value: npt.NDArray[np.float64], whole: npt.NDArray[np.int64]
    ) -> None:
        """Add rows of a number; NaN becomes an empty cell."""
        columns: dict[str, npt.NDArray[Any]] = {
            "name": np.full(len(t_ms), number, np.int32),
            "t_ms": t_ms,
            "value": value,
            "whole": whole,
        }
        statement = "INSERT INTO exported SELECT * FROM incoming"
        await self._database.run(lambda: self._database.execute(statement, incoming=columns))

    async def finish(self, path: Path, kind: Format) -> int:
        """Make the file, by the names and then by time, in one step; the number of rows. Raises OSError."""
        first, second, whole = self._columns
        draft = self._scratch / path.name
        quoted = "'" + str(draft).replace("'", "''") + "'"
        copy = (
            f"COPY (SELECT first AS {first}, second AS {second}, unit, make_timestamp(t_ms * 1000) AS time_utc, value, "
            f"whole AS {whole} FROM exported JOIN named ON id = name ORDER BY first, second, t_ms) TO {quoted} ({_OPTIONS[kind]})"
        )
        [(rows,)] = await self._database.run(lambda: self._database.execute(copy))
        await asyncio.to_thread(draft.replace, path)
        return int(rows)


@asynccontextmanager
async def table_file(scratch: Path, columns: tuple[str, str, str]) -> AsyncIterator[TableFile]:
    """A table over the folder ``scratch``, which is made and removed again; ``columns`` names both names and the integer."""
    await asyncio.to_thread(scratch.mkdir, mode=0o700)
    database = Database(scratch / "scratch.duckdb")
    try:
        table = TableFile(database, scratch, columns)
        await table.begin()
        yield table
    except BaseException:
        database.interrupt()  # nobody waits for the file any more, and a long one must not keep the program from stopping
        raise
    finally:
        await database.close()
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
