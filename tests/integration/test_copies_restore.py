"""A restore that was killed or failed half way: nothing goes on from there as if it were whole."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest
from test_copies import a_site, plant_of, some

from plant.errors import InputError
from potwatt.backup import back_up, restore
from potwatt.clock import SystemClock
from potwatt.imports import opened
from potwatt.load import Loaded
from potwatt.program import Program

BROKEN_OFF = "a restore broke off here; empty this folder and restore again"


@pytest.fixture
async def copy(tmp_path: Path) -> Path:
    old = a_site(tmp_path / "old")
    async with plant_of(old) as plant:
        await plant.spool.append([some(0)])
        await plant.drained()
        await back_up(old, plant.store, tmp_path / "copy", plant.clock.now_ns())
    return tmp_path / "copy"


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_restore_killed_half_way_is_refused_by_all(
    tmp_path: Path, copy: Path, renames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = a_site(tmp_path / "new")
    killed_after(renames, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        restore(new, copy)
    monkeypatch.undo()
    with pytest.raises(InputError, match=BROKEN_OFF):
        restore(new, copy)
    for use in (started, opened_here, backed_up):
        with pytest.raises(InputError, match=BROKEN_OFF):
            asyncio.run(use(new))


async def started(loaded: Loaded) -> None:
    program = Program(loaded, {})
    try:
        await program.start()
    finally:
        await program.stop()


async def opened_here(loaded: Loaded) -> None:
    async with opened(loaded, {}):
        pass


async def backed_up(loaded: Loaded) -> None:
    await back_up(loaded, None, loaded.folder / "other", SystemClock().now_ns())  # type: ignore[arg-type]


def killed_after(renames: int, patch: pytest.MonkeyPatch, error: BaseException | None = None) -> None:
    real, done = Path.rename, list[Path]()

    def rename(source: Path, target: Path) -> Path:
        if len(done) == renames:
            raise error or KeyboardInterrupt
        done.append(source)
        return real(source, target)

    patch.setattr(Path, "rename", rename)


def test_a_restore_that_fails_half_way_leaves_nothing(tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = a_site(tmp_path / "new")
    killed_after(1, monkeypatch, OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.raises(InputError, match="Input/output error"):
        restore(new, copy)
    monkeypatch.undo()
    assert not list(new.data_dir.iterdir())
    assert restore(new, copy) > 0
