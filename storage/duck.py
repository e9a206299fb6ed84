"""One DuckDB file with one thread that owns it. Nothing of it runs on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np
import numpy.typing as npt

from plant.errors import StoreError, StoreMisconfigured, StoreUnavailable

FORMAT_VERSION = 1
MEMORY_LIMIT = "256MB"
THREADS = 2
CHECKPOINT = "128MiB"  # the log is folded into the file at this size: at the usual 16 MB a history spends its time doing it

Answer = TypeVar("Answer")
Columns = Mapping[str, npt.NDArray[Any]]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name VARCHAR PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS series (id INTEGER, plant VARCHAR, meter VARCHAR, quantity VARCHAR);
CREATE TABLE IF NOT EXISTS node (id INTEGER, plant VARCHAR, node VARCHAR);
CREATE TABLE IF NOT EXISTS spool_cursor (segment BIGINT, byte_offset BIGINT);
CREATE TABLE IF NOT EXISTS reading (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT);
CREATE TABLE IF NOT EXISTS interval_reading (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT);
CREATE TABLE IF NOT EXISTS conflict (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT);
CREATE TABLE IF NOT EXISTS derived_1m (node INTEGER, start_ms BIGINT, version BIGINT, valid BOOLEAN);
CREATE TABLE IF NOT EXISTS derived_15m (node INTEGER, start_ms BIGINT, version BIGINT, valid BOOLEAN);
"""


class Database:
    """The connection, used by its worker thread alone; ``run`` is the way in from the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedded-store")
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._closed = False

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """The answer of ``work`` from the worker thread. Raises StoreUnavailable for what DuckDB could not do."""
        if self._closed:
            raise StoreError(f"embedded store {self._path} is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        except duckdb.Error as error:
            raise StoreUnavailable(f"embedded store {self._path}: {error}; trying again") from error

    def open(self) -> None:
        """Open or create the file. Raises StoreMisconfigured where another process has it or it is not ours."""
        if self._connection is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(
                str(self._path), config={"memory_limit": MEMORY_LIMIT, "threads": THREADS, "checkpoint_threshold": CHECKPOINT}
            )
        except (duckdb.Error, OSError) as error:
            raise self._refusal(error) from error
        try:
            connection.execute(_SCHEMA)
            connection.execute("INSERT OR IGNORE INTO about VALUES ('format', ?)", [FORMAT_VERSION])
            found = connection.execute("SELECT value FROM about WHERE name = 'format'").fetchone()
            if found is None or found[0] != FORMAT_VERSION:
                raise StoreMisconfigured(
                    f"embedded store {self._path} has format {found and found[0]}, this potwatt reads {FORMAT_VERSION}; "
                    "use the potwatt that wrote it, or another data folder"
                )
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _refusal(self, error: Exception) -> StoreMisconfigured:
        told = " ".join(str(error).split())
        if "lock" in told:
            return StoreMisconfigured(
                f"embedded store {self._path} is held by another process ({told}); "
                "stop that one, or ask it through its API: this store serves one process at a time"
            )
        return StoreMisconfigured(
            f"embedded store {self._path} cannot be opened ({told}); check the path, its rights and its origin"
        )

    def execute(self, sql: str, parameters: Sequence[object] = (), **views: Columns) -> list[tuple[Any, ...]]:
        """The rows of one statement; ``views`` are arrays of one length each that it may read as relations by name."""
        with self._views(views) as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def arrays(self, sql: str, parameters: Sequence[object] = (), **views: Columns) -> dict[str, npt.NDArray[Any]]:
        """The same as ``execute``, column by column; a column with NULLs is a masked array."""
        with self._views(views) as connection:
            columns: dict[str, Any] = connection.execute(sql, list(parameters)).fetchnumpy()
            return columns

    @contextmanager
    def _views(self, views: Mapping[str, Columns]) -> Iterator[duckdb.DuckDBPyConnection]:
        if self._connection is None:
            raise StoreError(f"embedded store {self._path} is not open: setup() comes first")
        try:
            for name, columns in views.items():
                self._connection.register(name, {key: np.ascontiguousarray(column) for key, column in columns.items()})
            yield self._connection
        finally:
            for name in views:
                self._connection.unregister(name)

    def transaction(self, work: Callable[[], Answer]) -> Answer:
        """The answer of ``work``, committed durably, or nothing of it."""
        self.execute("BEGIN")
        try:
            answer = work()
            self.execute("COMMIT")
        except BaseException:
            # a commit that failed has ended the transaction already
            with suppress(duckdb.Error):
                self.execute("ROLLBACK")
            raise
        return answer

    async def close(self) -> None:
        """Write everything into the file and let go of it, for good; closing twice does no harm."""

        def work() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        if not self._closed:
            await self.run(work)
            self._closed = True
            self._worker.shutdown()


def floats(column: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A column of an answer as float64 with NaN for NULL."""
    filled: npt.NDArray[np.float64] = np.ma.filled(column.astype(np.float64), np.nan)
    return filled
