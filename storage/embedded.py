# ruff: noqa: S608 - what is put into statements are names of our own tables and whole numbers, never text from outside
"""The series store without a server: DuckDB inside the process.

Readings lie in long form, without a primary key: a key made ingest five times slower. Duplicates are found by comparing
only those Frames that reach into time already stored with what is stored there. Readings and the spool cursor are
committed in one transaction. Days that are over move into files of their own (``embedded_parts``); readers see both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from plant.errors import StoreError, StoreUnavailable
from plant.frame import NS_PER_MS, FrameBlock
from plant.ports import Clock, HealthBoard, SpoolCursor, Written
from plant.series import DerivedBlock, Series, Span
from plant.site import StoreSettings
from storage.duck import Database, floats
from storage.embedded_derived import DerivedTables
from storage.embedded_parts import DAY_MS, Parts, Pick, date_of
from storage.long_rows import LongRows, classify, join, nearest_of, series_of
from storage.readings import check_block, is_interval, normalised
from storage.series_index import SeriesIndex

Pair = tuple[str, str]
Answer = TypeVar("Answer")

LOG = logging.getLogger(__name__)
FILES = "store-files"
TRIM_EVERY_S = 3_600.0
HOUR_MS = 3_600_000
_TABLES = ("reading", "interval_reading")
_OF_TABLE = "SELECT series, min(t_ms) first_ms, max(t_ms) last_ms, count(value) value_count FROM {} GROUP BY series"
_SUMMARY = " UNION ALL ".join([*map(_OF_TABLE.format, _TABLES), "SELECT series, first_ms, last_ms, value_count FROM part_series"])


class EmbeddedStore:
    """SeriesStore of one plant in one file, held by one process at a time.

    With a ``clock`` what is older than the settings keep is deleted and closed days are compacted in the background, once
    an hour; where that fails it is said in ``health`` and tried again an hour later. Files of days that cannot be read are set
    aside and named there as long as they lie there.
    """

    def __init__(
        self,
        path: Path,
        plant: str,
        settings: StoreSettings,
        clock: Clock | None = None,
        health: HealthBoard | None = None,
    ) -> None:
        self._path, self._plant = path, plant
        self._settings = settings
        self._clock = clock
        self._health = health
        self._told, self._trouble = "", ""
        self._database = Database(path)
        self._derived = DerivedTables(self._database)
        self._parts = Parts(self._database, path.with_suffix(".parts"))
        self._keeping = asyncio.Lock()  # files come and go under it
        self._index = SeriesIndex()
        self._cursor: SpoolCursor | None = None
        self._trimming: asyncio.Task[None] | None = None

    async def setup(self) -> None:
        """See SeriesStore.setup. Raises StoreMisconfigured where another process holds the file or wrote another format."""
        await self._database.run(self._open)
        self._tell()
        if self._clock is not None and self._trimming is None:
            self._trimming = asyncio.create_task(self._keep_trimming(self._clock), name="embedded-store-retention")

    def _open(self) -> None:
        self._database.open()
        self._parts.load()
        self._index = SeriesIndex()
        self._index.load(
            self._database.execute(
                "SELECT id, plant, meter, quantity, min(first_ms), max(last_ms) FROM series "
                f"LEFT JOIN ({_SUMMARY}) ON series = id GROUP BY ALL"
            )
        )
        found = self._database.execute("SELECT segment, byte_offset FROM spool_cursor")
        self._cursor = SpoolCursor(*found[0]) if found else None
        self._derived.load()

    async def close(self) -> None:
        """See SeriesStore.close."""
        trimming, self._trimming = self._trimming, None
        try:
            if trimming is not None:
                trimming.cancel()
                await asyncio.gather(trimming, return_exceptions=True)
        finally:
            await self._database.close()

    async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
        """See SeriesStore.write. A second value for one identity goes to the table ``conflict``."""
        for block in blocks:
            check_block(block)
        return await self._asking_parts(lambda: self._write(blocks, sink_cursor))

    async def _asking_parts(self, work: Callable[[], Answer]) -> Answer:
        """The answer of ``work``, which a closed day's file that cannot be read does not stop."""
        try:
            return await self._database.run(lambda: self._parts.past_unreadable(work))
        finally:
            self._tell()

    def _tell(self) -> None:
        """Say on the health board what of the closed days is amiss, when it has changed."""
        lost, words = self._parts.lost, [self._trouble] if self._trouble else []
        if lost:
            words.append(
                f"readings of closed days are lost or cannot be read: {', '.join(lost[:5])}{' and more' * (len(lost) > 5)}; put "
                f"them back from a backup, or remove these names from {self._parts.folder} to say that it was noted"
            )
        told = "; ".join(words)
        if told != self._told and self._health is not None:
            self._health.set(FILES, "degraded" if told else "ok", told or "every closed day can be read", lost=float(len(lost)))
        self._told = told

    def _write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None) -> Written:
        try:
            written = self._database.transaction(lambda: self._store(blocks, sink_cursor))
        except BaseException:
            self._index.rollback()
            raise
        self._index.commit()
        self._cursor = sink_cursor or self._cursor
        return written

    def _store(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None) -> Written:
        counts = np.zeros(3, np.int64)
        if blocks:
            series = [self._index.numbers(block) for block in blocks]
            for row in self._index.new_series():
                self._database.execute("INSERT INTO series VALUES (?, ?, ?, ?)", row)
            parts = list(zip(blocks, series, self._index.suspects(blocks), strict=True))
            for table in _TABLES:
                certain = [_long(block, numbers, ~suspect, table) for block, numbers, suspect in parts]
                doubtful = [_long(block, numbers, suspect, table) for block, numbers, suspect in parts]
                counts += self._insert(table, join(certain), join(doubtful))
        if sink_cursor is not None:
            self._database.execute("DELETE FROM spool_cursor")
            self._database.execute("INSERT INTO spool_cursor VALUES (?, ?)", [sink_cursor.segment, sink_cursor.offset])
        return Written(*counts.tolist())

    def _insert(self, table: str, certain: LongRows, doubtful: LongRows) -> npt.NDArray[np.int64]:
        """Rows stored, repeated and conflicting; ``doubtful`` ones are compared with what is stored in their span."""
        rows, conflicts = certain, doubtful.take(slice(0, 0))
        if len(doubtful):
            fresh, conflicting = classify(self._stored_near(table, doubtful), doubtful)
            rows, conflicts = join([certain, doubtful.take(fresh)]), doubtful.take(conflicting)
        if len(rows):
            self._database.execute(f"INSERT INTO {table} SELECT * FROM incoming", incoming=rows.columns())
        if len(conflicts):
            aside = "INSERT INTO conflict SELECT * FROM incoming EXCEPT SELECT * FROM conflict"
            self._database.execute(aside, incoming=conflicts.columns())
        total = len(certain) + len(doubtful)
        return np.array([len(rows), total - len(rows) - len(conflicts), len(conflicts)])

    def _stored_near(self, table: str, rows: LongRows) -> LongRows:
        first_ms, last_ms = int(rows.t_ms.min()), int(rows.t_ms.max())
        return self._rows(table, np.unique(rows.series), "t_ms BETWEEN ? AND ?", [first_ms, last_ms])

    def _rows(self, table: str, series: npt.NDArray[np.int32], where: str, parameters: list[int]) -> LongRows:
        return self._rows_of(self._relation(table, *parameters), series, where, parameters)

    def _rows_of(self, relation: str, series: npt.NDArray[np.int32], where: str, parameters: list[int]) -> LongRows:
        if not len(series):
            return join([])
        # the bounds let DuckDB skip row groups of a file, which is sorted by series
        bounds = f"series BETWEEN {series.min()} AND {series.max()} AND series IN (SELECT id FROM wanted)"
        sql = f"SELECT series, t_ms, value, quality FROM {relation} WHERE {where} AND {bounds}"
        return _long_rows(self._database.arrays(sql, parameters, wanted={"id": series}))

    def _relation(self, table: str, first_ms: int, last_ms: int) -> str:
        """Where the rows of a table within a span lie: in itself, and in the files of closed days."""
        parts = self._parts.touching(first_ms, last_ms) if table == "reading" else []
        if not parts:
            return table
        columns = "SELECT series, t_ms, value, quality FROM"
        return f"({columns} {table} UNION ALL {columns} {self._parts.relation(parts)})"

    async def cursor(self) -> SpoolCursor | None:
        """See SeriesStore.cursor."""
        return self._cursor

    async def read(self, meter: str, quantity: str, span: Span) -> Series:
        """See SeriesStore.read."""
        return (await self.read_many([(meter, quantity)], span))[meter, quantity]

    async def read_many(self, pairs: Sequence[Pair], span: Span) -> dict[Pair, Series]:
        """See SeriesStore.read_many."""

        def rows(table: str, series: npt.NDArray[np.int32]) -> LongRows:
            return self._rows(table, series, "t_ms >= ? AND t_ms < ?", _bounds_ms(span))

        return await self._asking_parts(lambda: self._by_pair(pairs, rows))

    async def last_before(self, pairs: Sequence[Pair], t_ns: int, reach_s: float) -> dict[Pair, Series]:
        """See SeriesStore.last_before."""
        return await self._nearest(pairs, Span(t_ns - round(reach_s * 1e9), t_ns), "max")

    async def first_from(self, pairs: Sequence[Pair], t_ns: int, reach_s: float) -> dict[Pair, Series]:
        """See SeriesStore.first_from."""
        return await self._nearest(pairs, Span(t_ns, t_ns + round(reach_s * 1e9)), "min")

    async def _nearest(self, pairs: Sequence[Pair], span: Span, pick: Pick) -> dict[Pair, Series]:
        bounds_ms = _bounds_ms(span)
        first_ms, end_ms = bounds_ms

        def nearest_in(relation: str, series: npt.NDArray[np.int32], within_ms: list[int] = bounds_ms) -> LongRows:
            nearest = (
                f"(SELECT series, {pick}(t_ms) t_ms, arg_{pick}(value, t_ms) AS value, arg_{pick}(quality, t_ms) AS quality "
                f"FROM {relation} WHERE t_ms >= {within_ms[0]} AND t_ms < {within_ms[1]} AND value IS NOT NULL GROUP BY series)"
            )
            return self._rows_of(nearest, series, "true", [])

        def rows(table: str, series: npt.NDArray[np.int32]) -> LongRows:
            found = join([])
            for reach_ms in (HOUR_MS, DAY_MS, end_ms - first_ms):  # mostly it is near, and DuckDB skips what is far
                near = (
                    [max(first_ms, end_ms - reach_ms), end_ms] if pick == "max" else [first_ms, min(first_ms + reach_ms, end_ms)]
                )
                found = join([found, nearest_in(table, np.setdiff1d(series, found.series), near)])
            parts = self._parts.touching(bounds_ms[0], bounds_ms[1] - 1) if table == "reading" else []
            # file by file from near to far, only for series that may have something nearer there
            for part in parts[::-1] if pick == "max" else parts:
                beaten = found.t_ms >= part.last_ms if pick == "max" else found.t_ms <= part.first_ms
                asked = np.setdiff1d(series, found.series[beaten])
                ends = self._parts.ends(part, asked, pick, bounds_ms)
                within = nearest_in(self._parts.relation([part]), ends.untold)
                found = nearest_of(join([found, ends.rows, within]), pick)
            return found

        return await self._asking_parts(lambda: self._by_pair(pairs, rows))

    def _by_pair(self, pairs: Sequence[Pair], rows_of: Callable[[str, npt.NDArray[np.int32]], LongRows]) -> dict[Pair, Series]:
        found = {pair: Series.empty() for pair in pairs}
        for table in _TABLES:
            wanted = {
                number: (meter, quantity)
                for meter, quantity in found
                if (number := self._index.get((self._plant, meter, quantity))) is not None
                and is_interval(quantity) == (table == "interval_reading")
            }
            if wanted:
                rows = rows_of(table, np.array(sorted(wanted), np.int32))
                found |= {wanted[number]: series for number, series in series_of(rows)}
        return found

    async def write_derived(self, block: DerivedBlock) -> None:
        """See SeriesStore.write_derived."""
        await self._database.run(lambda: self._derived.write(block))

    async def read_derived(self, resolution: str, nodes: Sequence[str], fields: Sequence[str], span: Span) -> DerivedBlock:
        """See SeriesStore.read_derived."""
        return await self._database.run(lambda: self._derived.read(self._plant, resolution, nodes, fields, span))

    async def extent(self) -> Span | None:
        """See SeriesStore.extent."""

        def work() -> Span | None:
            mine = "series IN (SELECT id FROM series s WHERE s.plant = ?)"
            sql = f"SELECT min(first_ms), max(last_ms) FROM ({_SUMMARY}) WHERE {mine}"
            [(first_ms, last_ms)] = self._database.execute(sql, [self._plant])
            return None if first_ms is None else Span(first_ms * NS_PER_MS, (last_ms + 1) * NS_PER_MS)

        return await self._database.run(work)

    async def count(self, meters: Sequence[str] | None = None) -> dict[str, int]:
        """See SeriesStore.count."""

        def work() -> dict[str, int]:
            sql = (
                f"SELECT meter, sum(value_count)::BIGINT FROM ({_SUMMARY}) r JOIN series s ON s.id = r.series "
                "WHERE plant = ? GROUP BY meter HAVING sum(value_count) > 0"
            )
            return dict(self._database.execute(sql, [self._plant]))

        counts = await self._database.run(work)
        return counts if meters is None else {meter: counts[meter] for meter in meters if meter in counts}

    async def trim(self, now_ns: int) -> None:
        """Delete what is older than the settings keep, a table at a time so that writers wait for one deletion at most."""
        async with self._keeping:
            before_ms = now_ns // NS_PER_MS - self._settings.raw_days * DAY_MS
            await self._database.run(partial(self._parts.expire, before_ms))
        kept_days = {
            "reading": self._settings.raw_days,
            "conflict": self._settings.raw_days,
            "derived_1m": self._settings.minute_days,
            "derived_15m": self._settings.quarter_days,
            "interval_reading": self._settings.quarter_days,
        }
        for table, days in kept_days.items():
            column = "start_ms" if table.startswith("derived") else "t_ms"
            before_ms = now_ns // NS_PER_MS - days * DAY_MS
            await self._database.run(partial(self._database.execute, f"DELETE FROM {table} WHERE {column} < ?", [before_ms]))

    async def compact(self, now_ns: int) -> None:
        """Move the rows of closed days into their files, a day at a time, beside whatever else goes on. A day that fails keeps
        no other from it. Raises StoreError at the end for those that failed."""
        failed: list[tuple[int, Exception]] = []
        for day in await self._database.run(partial(self._parts.closed_days, now_ns // NS_PER_MS)):
            try:
                async with self._keeping:
                    await self._compact_day(day)
            except Exception as error:
                failed.append((day, error))
        if failed:
            raise StoreError(f"{len(failed)} closed days stay in the table, first {date_of(failed[0][0])}: {failed[0][1]}")

    async def _compact_day(self, day: int) -> None:
        old, number = await self._database.run(partial(self._parts.plan, day))
        try:
            written = await self._database.beside(lambda execute: self._parts.write(execute, day, old, number))
        except StoreUnavailable:
            if old is None or not await self._database.run(partial(self._parts.set_aside_unreadable, [old])):
                raise
            old = None
            written = await self._database.beside(lambda execute: self._parts.write(execute, day, None, number))
        if written is not None and await self._database.run(partial(self._parts.adopt, written, old)):
            await self._database.run(self._database.checkpoint)

    async def copy_to(self, folder: Path, at_its_instant: Callable[[], None]) -> None:
        """A copy of everything stored at one instant, in ``folder``, which exists. ``at_its_instant`` runs while nothing is
        written, in a thread: what it copies belongs to the same instant. Writers wait for that alone. Raises StoreError."""

        def begin() -> None:
            at_its_instant()
            self._database.pin()

        async with self._keeping:
            try:
                await self._database.run(begin)
                await self._database.beside(lambda _: self._database.copy_pinned(folder / self._path.name))
            except BaseException:
                self._database.interrupt_beside()
                await self._database.beside(lambda _: self._database.unpin())
                raise
            target = folder / self._parts.folder.name
            await self._database.beside(lambda _: self._parts.copy_files(target))

    async def _look(self, _now_ns: int) -> None:
        await self._database.run(self._parts.look)

    async def _keep_trimming(self, clock: Clock) -> None:
        while True:
            self._trouble = ""
            for name, work in (("retention", self.trim), ("compaction", self.compact), ("a look at lost files", self._look)):
                try:
                    await work(clock.now_ns())
                except Exception as error:  # whatever it is, the next hour tries again, and nobody would see a task that ended
                    self._trouble = f"{name} failed, trying again in {TRIM_EVERY_S:g} s: {error}"
                    LOG.warning("embedded store %s", self._trouble, exc_info=not isinstance(error, StoreError | OSError))
            self._tell()
            await clock.sleep(TRIM_EVERY_S)


def _long(block: FrameBlock, series: npt.NDArray[np.int32], rows: npt.NDArray[np.bool_], table: str) -> LongRows:
    """The values of the Frames ``rows`` that belong into ``table``."""
    columns = np.array([is_interval(quantity) == (table == "interval_reading") for quantity in block.quantities], bool)
    value, quality = normalised(block)
    return LongRows(
        series[block.meter_index[rows]][:, columns].ravel(),
        np.repeat(block.t_ns[rows] // NS_PER_MS, int(columns.sum())),
        value[rows][:, columns].ravel(),
        quality[rows][:, columns].ravel(),
    )


def _long_rows(columns: dict[str, npt.NDArray[Any]]) -> LongRows:
    return LongRows(columns["series"], columns["t_ms"], floats(columns["value"]), columns["quality"])


def _bounds_ms(span: Span) -> list[int]:
    """[first, end) in whole ms that picks the same stored instants as the span in ns."""
    return [-(-span.start_ns // NS_PER_MS), -(-span.end_ns // NS_PER_MS)]
