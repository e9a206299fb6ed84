"""Backups and exports made by the program that holds the files. They are made within the data folder, the only place where
it may write; the command that asked for one moves it to where it is wanted."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

from plant.ports import Clock, SeriesStore
from plant.series import Span
from potwatt.backup import STAGED, back_up
from potwatt.export import What, export
from potwatt.load import Loaded
from storage.table_file import Format

EXPORTS = "exports"
UNFINISHED = (".unfinished", ".scratch")
# what nobody has fetched is removed before the next one is made
UNFETCHED_MAX = 2
UNFETCHED_NS = 24 * 3_600_000_000_000


class Copies:
    """See ``api.context.Copies``."""

    def __init__(self, loaded: Loaded, store: SeriesStore, clock: Clock) -> None:
        self._loaded, self.store, self.clock = loaded, store, clock
        self._one_backup, self._one_export = asyncio.Lock(), asyncio.Lock()

    async def back_up(self) -> tuple[Path, int, tuple[str, ...]]:
        """Folder, bytes and what is not in it."""
        async with self._one_backup:
            folder = self._place(STAGED)
            await asyncio.to_thread(_clear, folder.parent, self.clock.now_ns())
            done = await back_up(self._loaded, self.store, folder, self.clock.now_ns())
        return done.folder, done.byte_count, done.left_out

    async def export(self, what: What, span: Span, kind: Format) -> tuple[Path, int]:
        """File and rows."""
        async with self._one_export:
            path = self._place(EXPORTS).with_suffix(f".{kind}")
            await asyncio.to_thread(_clear, path.parent, self.clock.now_ns())
            return path, await export(self._loaded, self, what, span, path, kind)

    def _place(self, folder: str) -> Path:
        instant = datetime.fromtimestamp(self.clock.now_ns() / 1e9, UTC).strftime("%Y%m%dT%H%M%S%fZ")
        return self._loaded.data_dir / folder / instant


def clear_unfinished(data_dir: Path) -> None:
    """Remove what a killed process left unfinished. Only for whoever holds the files: nobody else makes copies there."""
    for name in (STAGED, EXPORTS):
        _drop_unfinished(data_dir / name)


def _drop_unfinished(folder: Path) -> None:
    for path in folder.glob("*"):
        if path.suffix in UNFINISHED:
            shutil.rmtree(path, ignore_errors=True)


def _clear(folder: Path, now_ns: int) -> None:
    """Make the folder, and remove what broke off there or nobody fetched."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _drop_unfinished(folder)
    newest_first = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for place, path in enumerate(newest_first):
        if place >= UNFETCHED_MAX or now_ns - path.stat().st_mtime_ns > UNFETCHED_NS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
