"""The connection of the ledger: SQLite with every commit on disk, or PostgreSQL, one statement sequence at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from plant.errors import StoreError, StoreMisconfigured, StoreRejected, StoreUnavailable

Answer = TypeVar("Answer")

# What someone has to mend, in the words of PostgreSQL and SQLite
_MISCONFIGURED = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "unable to open database file",
    "readonly database",
    "not a database",
    "disk image is malformed",
    "no such table",
    "no such column",
    "no column named",
)


class LedgerEngine:
    """Runs transactions in a worker thread, one after another, and speaks in plant.errors."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self._url = _checked_url(url)
        self._lock = asyncio.Lock()
        connect: dict[str, Any] = {"timeout": timeout_s}
        if self.is_postgresql:
            connect = {"connect_timeout": max(2, round(timeout_s)), "options": f"-c statement_timeout={round(timeout_s * 1e3)}"}
        self._engine = sa.create_engine(self._url, connect_args=connect, pool_pre_ping=self.is_postgresql)
        if not self.is_postgresql:
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        self._writer = self._engine.execution_options(writes=True)

    @property
    def is_postgresql(self) -> bool:
        """True for PostgreSQL, false for SQLite."""
        return self._url.get_backend_name() == "postgresql"

    @property
    def where(self) -> str:
        """The address without its password."""
        return self._url.render_as_string(hide_password=True)

    async def read(self, work: Callable[[Connection], Answer]) -> Answer:
        """The answer of ``work`` in one read transaction. Raises StoreError and what is below it."""
        return await self._run(self._engine, work)

    async def write(self, work: Callable[[Connection], Answer]) -> Answer:
        """The answer of ``work`` in one transaction that is durable on return and undone when ``work`` raises."""
        return await self._run(self._writer, work)

    async def _run(self, engine: sa.Engine, work: Callable[[Connection], Answer]) -> Answer:
        def transaction() -> Answer:
            with engine.begin() as connection:
                return work(connection)

        async with self._lock:
            try:
                return await asyncio.to_thread(transaction)
            except SQLAlchemyError as error:
                raise self._translated(error) from error

    def _translated(self, error: SQLAlchemyError) -> StoreError:
        told = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
        if isinstance(error, sa.exc.DataError | sa.exc.IntegrityError):
            return StoreRejected(f"ledger {self.where}: {told}; these very values can never be kept")
        if any(words in told for words in _MISCONFIGURED):
            return StoreMisconfigured(f"ledger {self.where}: {told}; check plant.ledger_url, its user and its rights")
        if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError):
            return StoreUnavailable(f"ledger {self.where}: {told}; trying again")
        return StoreError(f"ledger {self.where}: {told}")

    async def close(self) -> None:
        """Release every connection."""
        async with self._lock:
            await asyncio.to_thread(self._engine.dispose)


def _checked_url(text: str) -> URL:
    """``sqlite:///path`` or ``postgresql://user@host/database``; never echoes the text, which may hold a password."""
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        backend = ""
    if backend == "sqlite":
        return url.set(drivername="sqlite+pysqlite")
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    raise StoreMisconfigured(
        "plant.ledger_url is not an address of a ledger; use sqlite:///folder/ledger.sqlite or postgresql://user@host/database"
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # the driver must not open transactions by itself: BEGIN is ours, so that a writer takes its lock at once
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
