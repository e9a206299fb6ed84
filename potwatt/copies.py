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


class Copies:
    """See ``api.context.Copies``."""

    def __init__(self, loaded: Loaded, store: SeriesStore, clock: Clock) -> None:
        self._loaded, self._store, self._clock = loaded, store, clock
        self._one_at_a_time = asyncio.Lock()

    async def back_up(self) -> tuple[Path, int, tuple[str, ...]]:
        """Folder, bytes and what is not in it."""
        async with self._one_at_a_time:
            folder = self._place(STAGED)
            await asyncio.to_thread(_clear, folder.parent)
            done = await back_up(self._loaded, self._store, folder, self._clock.now_ns())
        return done.folder, done.byte_count, done.left_out

    async def export(self, what: What, span: Span, kind: Format) -> tuple[Path, int]:
        """File and rows."""
        async with self._one_at_a_time:
            path = self._place(EXPORTS).with_suffix(f".{kind}")
            await asyncio.to_thread(_clear, path.parent)
            return path, await export(self._loaded, self._store, what, span, path, kind)

    def _place(self, folder: str) -> Path:
        instant = datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC).strftime("%Y%m%dT%H%M%S%fZ")
        return self._loaded.data_dir / folder / instant


def _clear(folder: Path) -> None:
    """Make the folder, and remove what a killed process left unfinished there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for pattern in ("*.unfinished", "*.scratch"):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
