# ruff: noqa: S608 - what is put into statements are names of our own tables and files and whole numbers
"""Closed days of the embedded store: one Parquet file a day, sorted by series, that exists only by its row in ``part``.

A file is written and synced first; then, in one transaction, its row is added and what it replaces is removed: the rows of
that day in the table ``reading``, and the row of the day's earlier file. Files without a row are removed at the next open.
So a crash at any point leaves either the rows or the file, never both and never neither.

A file that cannot be read keeps nothing else from being stored: it is set aside under the ending ``.lost`` (an empty file
of that name stands for one that is gone) and leaves the catalog. Such names stay until somebody has taken note.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from plant.errors import StoreMisconfigured, StoreUnavailable
from storage.duck import NOT_THE_FILE, Database, Execute, Failure
from storage.long_rows import LongRows

DAY_MS = 86_400_000
CLOSED_AFTER_MS = 6 * 3_600_000  # a day is closed this long after its end: what comes later is merged into its file
LOG = logging.getLogger(__name__)
Answer = TypeVar("Answer")
Pick = Literal["min", "max"]

# encodings of the second version (differences of instants, bytes of values apart) are read in 0.6 of the time
_OPTIONS = "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION V2"
_SERIES_COLUMNS = {
    "series": np.int32,
    "first_ms": np.int64,
    "last_ms": np.int64,
    "value_count": np.int64,
    "early_ms": np.int64,
    "early_value": np.float64,
    "early_quality": np.int16,
    "late_ms": np.int64,
    "late_value": np.float64,
    "late_quality": np.int16,
}
_FINITE = "FILTER (WHERE value IS NOT NULL)"
_SUMMARY = "series, min(t_ms), max(t_ms), count(value), " + ", ".join(
    f"{pick}(t_ms) {_FINITE}, arg_{pick}(value, t_ms) {_FINITE}, arg_{pick}(quality, t_ms) {_FINITE}" for pick in ("min", "max")
)


@dataclass(frozen=True, slots=True)
class Part:
    """One file: the day since 1970, rows and bytes in it, its first and last instant in ms."""

    id: int
    day: int
    file: str
    row_count: int
    byte_count: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """A new file not yet adopted: ``series`` is what it holds by series, the columns of ``part_series`` by name;
    ``rows_from_table`` how many of its rows came from the table."""

    part: Part
    series: dict[str, npt.NDArray[Any]]
    rows_from_table: int


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """``rows`` as the catalog has them; ``untold`` int32[k]: the series of which the file has to be asked."""

    rows: LongRows
    untold: npt.NDArray[np.int32]


class Parts:
    """The catalog. ``load``, ``adopt`` and ``expire`` run in the store's worker thread, ``write`` beside it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self.folder = database, folder
        self._by_day: dict[int, Part] = {}
        self._last_id = 0
        self._asked: dict[int, Part] = {}
        self.lost: tuple[str, ...] = ()  # names of files that were set aside or given up, as long as they lie there

    def load(self) -> None:
        """Read the catalog and remove files that it does not name. Raises StoreMisconfigured for a file that is gone."""
        found = [Part(*row) for row in self._database.execute("SELECT * FROM part")]
        self._last_id = max((part.id for part in found), default=0)
        self._by_day = {part.day: part for part in found}
        for part in found:
            self._check(part)
        if self.folder.is_dir():
            named = {part.file for part in self._by_day.values()}
            for path in self.folder.glob("reading-*.parquet"):
                if path.name not in named:
                    path.unlink()
        self.look()

    def _check(self, part: Part) -> None:
        path = self.folder / part.file
        size = path.stat().st_size if path.is_file() else None
        if size == part.byte_count:
            return
        given_up = path.with_suffix(".lost")
        if not given_up.exists():
            found = "is not there" if size is None else f"has {size} bytes"
            raise StoreMisconfigured(
                f"embedded store: {path}, the readings of {date_of(part.day)} ({part.row_count} values), {found}, expected "
                f"{part.byte_count} bytes; put it back from a backup, or, where it is lost for good, create the empty file "
                f"{given_up.name} beside it and start again"
            )
        LOG.warning("the readings of %s (%d values) were given up: %s", date_of(part.day), part.row_count, given_up)
        self._database.transaction(lambda: self._forget(part))
        del self._by_day[part.day]

    def _forget(self, part: Part) -> None:
        self._database.execute("DELETE FROM part WHERE id = ?", [part.id])
        self._database.execute("DELETE FROM part_series WHERE part = ?", [part.id])

    def touching(self, first_ms: int, last_ms: int) -> list[Part]:
        """Parts that hold something within [first, last], oldest first."""
        found = [part for part in self._by_day.values() if part.first_ms <= last_ms and first_ms <= part.last_ms]
        self._asked |= {part.id: part for part in found}
        return sorted(found, key=lambda part: part.first_ms)

    def past_unreadable(self, work: Callable[[], Answer]) -> Answer:
        """The answer of ``work``; where a file that it asked for cannot be read, that is set aside and it begins anew."""
        self._asked = {}
        try:
            return work()
        except NOT_THE_FILE:
            raise
        except Failure:
            try:
                if not self.set_aside_unreadable(self._asked.values()):
                    raise
            except OSError as error:
                raise StoreUnavailable(f"files of closed days cannot be looked at: {error}; trying again") from error
            return work()

    def set_aside_unreadable(self, parts: Iterable[Part]) -> bool:
        """Whether any of some files could not be read; such ones leave the catalog. Raises OSError where nobody can tell."""
        unreadable = [(part, cause) for part in parts if (cause := self._unreadable(part))]
        for part, cause in unreadable:
            path = self.folder / part.file
            given_up = path.with_suffix(".lost")
            if path.exists():
                path.rename(given_up)
            else:
                given_up.touch()
            _sync(self.folder)
            LOG.error(
                "the readings of %s (%d values) are set aside as %s: %s", date_of(part.day), part.row_count, given_up, cause
            )
            self._database.transaction(lambda part=part: self._forget(part))  # type: ignore[misc]
            del self._by_day[part.day]
        self.look()
        return bool(unreadable)

    def _unreadable(self, part: Part) -> str:
        """Why a file cannot be read by anybody; empty where it can."""
        path = self.folder / part.file
        try:
            with path.open("rb") as file:
                while file.read(1 << 20):
                    pass
        except FileNotFoundError:
            return "is not there"
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return str(error)
        try:
            self._database.execute(f"SELECT bit_xor(hash(series, t_ms, value, quality)) FROM {self.relation([part])}")
        except NOT_THE_FILE:
            raise
        except Failure as error:
            return " ".join(str(error).split())
        return ""

    def look(self) -> None:
        """See which files lie there as lost."""
        self.lost = tuple(sorted(path.name for path in self.folder.glob("reading-*.lost")))

    def relation(self, parts: Sequence[Part]) -> str:
        """What to select (series, t_ms, value, quality) FROM for the rows in some files."""
        return f"read_parquet([{', '.join(_quoted(self.folder / part.file) for part in parts)}])"

    def ends(self, part: Part, series: npt.NDArray[np.int32], pick: Pick, within_ms: list[int]) -> Ends:
        """What the catalog alone knows of the last (max) or first (min) finite reading of ``series`` within [first, end) ms."""
        first_ms, end_ms = within_ms
        end, told = ("late", f"late_ms < {end_ms}") if pick == "max" else ("early", f"early_ms >= {first_ms}")
        sql = (
            f"SELECT series, coalesce({told}, false) AS told, {end}_ms AS t_ms, {end}_value AS value, {end}_quality AS quality "
            f"FROM part_series WHERE part = {part.id} AND value_count > 0 AND series IN (SELECT id FROM wanted)"
        )
        found = self._database.arrays(sql, wanted={"id": series})
        columns = {name: np.ma.filled(column, 0) for name, column in found.items()}
        rows = LongRows(columns["series"], columns["t_ms"], columns["value"], columns["quality"])
        within = (rows.t_ms >= first_ms) & (rows.t_ms < end_ms)
        return Ends(rows.take(columns["told"] & within), columns["series"][~columns["told"]])

    def closed_days(self, now_ms: int) -> list[int]:
        """Days that are over and have rows in the table, oldest first."""
        before_ms = (now_ms - CLOSED_AFTER_MS) // DAY_MS * DAY_MS
        # the quotient is rounded down: // goes towards 1970
        days = f"SELECT DISTINCT floor(t_ms / {DAY_MS})::BIGINT FROM reading WHERE t_ms < {before_ms} ORDER BY 1"
        return [int(day) for (day,) in self._database.execute(days)]

    def plan(self, day: int) -> tuple[Part | None, int]:
        """The file that a day has, and the number for a new one: a number is never given out twice."""
        self._last_id += 1
        return self._by_day.get(day), self._last_id

    def write(self, execute: Execute, day: int, old: Part | None, number: int) -> Written | None:
        """Write and sync the file of a day from the table and the file it has. Nothing of it counts before ``adopt``. None,
        and no file, where the day has gone meanwhile."""
        _make_folder(self.folder)
        path = self.folder / f"reading-{date_of(day)}-{number}.parquet"
        rows = f"SELECT series, t_ms, value, quality FROM reading WHERE t_ms >= {day * DAY_MS} AND t_ms < {(day + 1) * DAY_MS}"
        if old is not None:
            rows += f" UNION ALL SELECT series, t_ms, value, quality FROM {self.relation([old])}"
        copy = f"COPY ({rows} ORDER BY series, t_ms) TO {_quoted(path)} ({_OPTIONS})"
        try:
            [(row_count,)] = execute(copy)
            if not row_count:
                path.unlink()
                return None
            rows_of = execute(f"SELECT {_SUMMARY} FROM read_parquet({_quoted(path)}) GROUP BY series")
            columns = zip(_SERIES_COLUMNS.items(), zip(*rows_of, strict=True), strict=True)
            series = {name: np.array([0 if cell is None else cell for cell in cells], kind) for (name, kind), cells in columns}
            _sync(path)
            _sync(self.folder)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        first_ms, last_ms = int(series["first_ms"].min()), int(series["last_ms"].max())
        part = Part(number, day, path.name, row_count, path.stat().st_size, first_ms, last_ms)
        return Written(part, series, part.row_count - (0 if old is None else old.row_count))

    def adopt(self, new: Written, old: Part | None) -> bool:
        """Let a file take the place of what it was made from. False, and the file is removed, where more has come since."""
        part = new.part
        day = f"t_ms >= {part.day * DAY_MS} AND t_ms < {(part.day + 1) * DAY_MS}"
        [(rows,)] = self._database.execute(f"SELECT count(*) FROM reading WHERE {day}")
        if rows != new.rows_from_table:
            (self.folder / part.file).unlink()
            return False

        def replace() -> None:
            if old is not None:
                self._forget(old)
            fields = [part.id, part.day, part.file, part.row_count, part.byte_count, part.first_ms, part.last_ms]
            self._database.execute("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?)", fields)
            self._database.execute(f"INSERT INTO part_series SELECT {part.id}, * FROM incoming", incoming=new.series)
            self._database.execute(f"DELETE FROM reading WHERE {day}")

        self._database.transaction(replace)
        self._by_day[part.day] = part
        if old is not None:
            (self.folder / old.file).unlink(missing_ok=True)
        return True

    def copy_files(self, folder: Path) -> None:
        """Copy every file of the catalog."""
        _make_folder(folder)
        for part in self._by_day.values():
            shutil.copyfile(self.folder / part.file, folder / part.file)
            _sync(folder / part.file)
        _sync(folder)

    def expire(self, before_ms: int) -> None:
        """Remove the files of days that are over before an instant."""
        for part in [p for p in self._by_day.values() if p.last_ms < before_ms]:
            self._database.transaction(lambda part=part: self._forget(part))  # type: ignore[misc]
            del self._by_day[part.day]
            (self.folder / part.file).unlink(missing_ok=True)


def date_of(day: int) -> str:
    """ISO date of a day since 1970."""
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, mode=0o700)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
