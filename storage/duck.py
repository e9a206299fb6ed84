# ruff: noqa: S608 - what is put into statements are our own paths
"""One DuckDB file with one thread that owns it. Nothing of it runs on the event loop."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np
import numpy.typing as npt

from plant.errors import InputError, StoreError, StoreMisconfigured, StoreUnavailable

FORMAT_VERSION = 3
MEMORY_LIMIT = "256MB"
MEMORY_BYTES = 256_000_000
THREADS = 2
CHECKPOINT = "128MiB"  # the log is folded into the file at this size: at the usual 16 MB a history spends its time doing it

Failure = duckdb.Error
_DAMAGED = ("Corrupt", "checksum", "Could not read enough bytes", "replaying WAL")  # as DuckDB tells it
# what says nothing about the file that was read: a lack of memory, or the end of the program
NOT_THE_FILE = (duckdb.OutOfMemoryException, duckdb.InterruptException)
NO_SPACE = "No space left on device"
Answer = TypeVar("Answer")
Columns = Mapping[str, npt.NDArray[Any]]
Execute = Callable[[str], list[tuple[Any, ...]]]

_PARTS = """
CREATE TABLE part (id BIGINT, day INTEGER, file VARCHAR, row_count BIGINT, byte_count BIGINT, first_ms BIGINT, last_ms BIGINT);
CREATE TABLE part_series (part BIGINT, series INTEGER, first_ms BIGINT, last_ms BIGINT, value_count BIGINT);
"""
_FIRST = """
CREATE TABLE about (name VARCHAR PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE series (id INTEGER, plant VARCHAR, meter VARCHAR, quantity VARCHAR);
CREATE TABLE node (id INTEGER, plant VARCHAR, node VARCHAR);
CREATE TABLE spool_cursor (segment BIGINT, byte_offset BIGINT);
CREATE TABLE reading (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT);
CREATE TABLE interval_reading (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT);
CREATE TABLE conflict (series INTEGER, t_ms BIGINT, value DOUBLE, quality SMALLINT);
CREATE TABLE derived_1m (node INTEGER, start_ms BIGINT, version BIGINT, valid BOOLEAN);
CREATE TABLE derived_15m (node INTEGER, start_ms BIGINT, version BIGINT, valid BOOLEAN);
"""
# the first and last finite reading of each series in a file, so that most questions for a neighbour need not open it; NULL in
# what an earlier format wrote
_ENDS = "".join(
    f"ALTER TABLE part_series ADD COLUMN {end}_{name};"
    for end in ("early", "late")
    for name in ("ms BIGINT", "value DOUBLE", "quality SMALLINT")
)
# what brings a file of the format before to the format named
_STEPS = {2: _PARTS, 3: _ENDS}


class Database:
    """The connection, used by its worker thread alone; ``run`` is the way in from the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedded-store")
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="embedded-store-beside")
        self._second: duckdb.DuckDBPyConnection | None = None  # a connection to the same file, for what takes long
        self._closed = False

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """The answer of ``work`` from the worker thread. Raises StoreUnavailable for what DuckDB could not do."""
        return await self._in(self._worker, work)

    async def beside(self, work: Callable[[Execute], Answer]) -> Answer:
        """The answer of ``work``, which may take long: it has a connection of its own, and ``run`` does not wait for it.
        Each statement sees what was committed before it; after ``pin`` comes ``copy_pinned``."""
        return await self._in(self._beside, lambda: work(self._execute_beside))

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[[], Answer]) -> Answer:
        if self._closed:
            raise StoreError(f"embedded store {self._path} is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        except duckdb.Error as error:
            raise StoreUnavailable(f"embedded store {self._path}: {error}; trying again") from error

    def _execute_beside(self, sql: str) -> list[tuple[Any, ...]]:
        if self._second is None:
            raise StoreError(f"embedded store {self._path} is not open: setup() comes first")
        return self._second.execute(sql).fetchall()

    def pin(self) -> None:
        """From the worker thread: what ``copy_pinned`` will read is what is committed now."""
        with suppress(duckdb.Error):  # of a copy that was broken off
            self._execute_beside("ROLLBACK")
        self._execute_beside("BEGIN")
        self._execute_beside("SELECT count(*) FROM about")  # a transaction sees what there is at its first statement

    def unpin(self) -> None:
        """From ``beside``: let go of what ``pin`` fixed, where no copy was made of it."""
        with suppress(duckdb.Error):
            self._execute_beside("ROLLBACK")

    def copy_pinned(self, path: Path) -> None:
        """From ``beside``: write what ``pin`` fixed into a new file, and end that."""
        quoted = "'" + str(path).replace("'", "''") + "'"
        try:
            [(name,)] = self._execute_beside("SELECT current_database()")
            self._execute_beside(f"ATTACH {quoted} AS copied")
            self._execute_beside(f'COPY FROM DATABASE "{name}" TO copied')
            self._execute_beside("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):
                self._execute_beside("ROLLBACK")
            raise
        finally:
            with suppress(duckdb.Error):
                self._execute_beside("DETACH copied")

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
        shutil.rmtree(f"{self._path}.tmp", ignore_errors=True)  # what a killed process sorted there; nobody else has the file now
        try:
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._second = connection, connection.cursor()

    def _migrate(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Bring a new file or one of an older format to this one, in one transaction."""
        tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        found: int | None = None
        if "about" in tables:
            for (value,) in connection.execute("SELECT value FROM about WHERE name = 'format'").fetchall():
                found = int(value)
        if found == FORMAT_VERSION:
            return
        if (found is None and tables) or (found is not None and not 1 <= found < FORMAT_VERSION):
            raise StoreMisconfigured(
                f"embedded store {self._path} has format {found}, this potwatt reads 1 to {FORMAT_VERSION}; "
                "use the potwatt that wrote it, or another data folder"
            )
        connection.execute("BEGIN")
        if found is None:
            connection.execute(_FIRST)
        for version in range((found or 1) + 1, FORMAT_VERSION + 1):
            connection.execute(_STEPS[version])
        connection.execute("INSERT OR REPLACE INTO about VALUES ('format', ?)", [FORMAT_VERSION])
        connection.execute("COMMIT")

    def _refusal(self, error: Exception) -> StoreError:
        told = " ".join(str(error).split())
        if NO_SPACE in told:
            return StoreUnavailable(f"embedded store {self._path} cannot be opened ({told}); free some room on the disk")
        if any(words in told for words in _DAMAGED):
            return StoreMisconfigured(
                f"embedded store {self._path} is a damaged file ({told}); check its disk, move the data folder aside, and put it "
                "back with `potwatt restore` from a backup"
            )
        if "lock on file" in told:
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
                with suppress(duckdb.Error):  # within a transaction that failed it cannot, and the failure is what counts
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

    @contextmanager
    def memory(self, byte_count: int) -> Iterator[None]:
        """From the worker thread: for a while at least so much memory, where that is more than usual."""
        if byte_count <= MEMORY_BYTES // 2:
            yield
            return
        self.execute(f"SET memory_limit = '{(MEMORY_BYTES + byte_count) >> 20}MiB'")
        try:
            yield
        finally:
            self.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")

    def checkpoint(self) -> None:
        """From the worker thread: fold the log into the file, so that what was deleted can be written over."""
        with suppress(duckdb.TransactionException):  # while something reads beside, which an automatic one follows
            self.execute("CHECKPOINT")

    def interrupt(self) -> None:
        """End what goes on, with an error."""
        if self._connection is not None:
            self._connection.interrupt()

    def interrupt_beside(self) -> None:
        """The same of what goes on beside."""
        if self._second is not None:
            self._second.interrupt()

    async def close(self) -> None:
        """Write everything into the file and let go of it, for good; closing twice does no harm."""

        def work() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        if not self._closed:
            self.interrupt_beside()  # what was going on there is begun again after the next start
            await self.beside(self._close_second)
            await self.run(work)
            self._closed = True
            self._worker.shutdown()
            self._beside.shutdown()

    def _close_second(self, _execute: Execute) -> None:
        if self._second is not None:
            self._second.close()
            self._second = None


def readings_of_file(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Columns of an exported file of readings, by meter, quantity and time: ``meter``, ``quantity``, ``t_ms``, ``value``,
    ``quality``. Raises InputError for a file that is none."""
    read = (
        "SELECT meter, quantity, epoch_ms(time_utc) AS t_ms, value, quality::SMALLINT AS quality "
        "FROM read_parquet(?) ORDER BY meter, quantity, t_ms"
    )
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            columns: dict[str, Any] = connection.execute(read, [str(path)]).fetchnumpy()
            return columns
    except duckdb.Error as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: {told}; readings as `potwatt export` writes them to Parquet are wanted") from error


def write_readings(path: Path, series: Mapping[tuple[str, str], tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]) -> None:
    """Good readings, (t_ms, value) by meter and quantity, as a file that ``readings_of_file`` reads."""
    pairs, lengths = list(series), [len(t_ms) for t_ms, _ in series.values()]
    columns = {
        "pair": np.repeat(np.arange(len(pairs)), lengths),
        "t_ms": np.concatenate([t_ms for t_ms, _ in series.values()]),
        "value": np.concatenate([value for _, value in series.values()]),
    }
    named = {
        "id": np.arange(len(pairs)),
        "meter": np.array([m for m, _ in pairs], object),
        "quantity": np.array([q for _, q in pairs], object),
    }
    quoted = "'" + str(path).replace("'", "''") + "'"
    copy = (
        "COPY (SELECT meter, quantity, make_timestamp(t_ms * 1000) AS time_utc, value, 0 AS quality FROM rows JOIN names "
        f"ON id = pair ORDER BY meter, quantity, t_ms) TO {quoted} (FORMAT parquet, COMPRESSION zstd)"
    )
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("rows", columns)
        connection.register("names", named)
        connection.execute(copy)


def floats(column: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A column of an answer as float64 with NaN for NULL."""
    filled: npt.NDArray[np.float64] = np.ma.filled(column.astype(np.float64), np.nan)
    return filled
