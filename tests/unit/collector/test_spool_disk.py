"""What the spool asks of the disk beside writing: names made durable, nothing gathered while it is full."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from collector_blocks import SteppedClock, block, numbers

from collector.disk import OsDisk
from collector.segments import existing_segments, segment_path
from collector.spool import Spool
from collector.spool_format import HEADER_BYTES
from plant.errors import SpoolError
from plant.ports import SpoolCursor
from plant.site import SpoolSettings
from potwatt.board import Board

SMALL = SpoolSettings(max_mib=8, segment_mib=1, commit_ms=1)


class NamesDisk(OsDisk):
    """Remembers which directories were synced; after ``cut_power`` files are back whose removal was not."""

    def __init__(self) -> None:
        self.synced: list[Path] = []
        self._removed: dict[Path, bytes] = {}

    def remove(self, path: Path) -> None:
        if path.exists():
            self._removed[path] = path.read_bytes()
        super().remove(path)

    def sync_directory(self, directory: Path) -> None:
        super().sync_directory(directory)
        self.synced.append(directory)
        self._removed = {path: data for path, data in self._removed.items() if path.parent != directory}

    def cut_power(self) -> None:
        for path, data in self._removed.items():
            path.write_bytes(data)
        self._removed = {}


class RefusingDisk(OsDisk):
    """Has no room for files whose name ends in ``refused``."""

    def __init__(self, refused: str = "") -> None:
        self.refused, self.tries = refused, 0

    def open(self, path, how):
        file, disk = super().open(path, how), self
        write = file.write

        def checked(data: memoryview) -> int:
            if disk.refused and path.name.endswith(disk.refused):
                disk.tries += 1
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(data)

        file.write = checked
        return file


async def opened(directory: Path, disk: OsDisk, board: Board | None = None) -> Spool:
    spool = Spool(directory, SMALL, SteppedClock(), board or Board(), disk=disk)
    await spool.open()
    return spool


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition is the disk's
            await asyncio.sleep(0.005)


async def test_removed_segments_do_not_come_back_after_a_power_cut(tmp_path: Path) -> None:
    disk = NamesDisk()
    spool = await opened(tmp_path, disk)
    for n in range(100):
        await spool.append([block(1000, first=1000 * n)])
    before = set(existing_segments(disk, tmp_path))
    await spool.commit("store", SpoolCursor(spool.durable.segment, 0))
    left = set(existing_segments(disk, tmp_path))
    assert left < before
    disk.cut_power()
    assert set(existing_segments(disk, tmp_path)) == left
    await spool.close()


async def test_new_data_directory_is_durable_up_to_what_was_there(tmp_path: Path) -> None:
    disk = NamesDisk()
    spool = await opened(tmp_path / "data" / "plant" / "spool", disk)
    assert {tmp_path, tmp_path / "data", tmp_path / "data" / "plant", tmp_path / "data" / "plant" / "spool"} <= set(disk.synced)
    await spool.close()


async def test_full_disk_gathers_no_empty_segments(tmp_path: Path) -> None:
    disk = RefusingDisk()
    spool = await opened(tmp_path, disk)
    await spool.append([block(3)])
    disk.refused = ".seg"
    waiting = asyncio.create_task(spool.append([block(3, first=3)]))
    await until(lambda: disk.tries > 20)
    assert len(existing_segments(disk, tmp_path)) <= 2
    assert not waiting.done()
    disk.refused = ""
    async with asyncio.timeout(20):
        await waiting
    first, behind = await spool.read(spool.start, 100)
    second, behind = await spool.read(behind, 100)
    assert numbers(first + second) == list(range(6))
    assert behind == spool.durable
    await spool.close()


async def test_rot_counts_as_untold_until_it_is_written_down(tmp_path: Path) -> None:
    disk, board = RefusingDisk(), Board()
    spool = await opened(tmp_path, disk)
    await spool.append([block(3)])
    await spool.append([block(3, first=3)])
    await spool.close()
    (path,) = (segment_path(tmp_path, number) for number in existing_segments(disk, tmp_path))
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 9] ^= 0x55
    path.write_bytes(data)
    spool = await opened(tmp_path, disk, board)
    (tmp_path / "reserve").unlink()
    disk.refused = "losses.json.draft"
    with pytest.raises(SpoolError, match="reading waits until the loss can be written down"):
        await spool.read(spool.start, 100)
    assert _untold(board) == 1.0
    disk.refused = ""
    blocks, _ = await spool.read(spool.start, 100)
    assert numbers(blocks) == [3, 4, 5]
    assert _untold(board) == 0.0
    assert any(h.part == "spool:lost" and h.numbers["recent_spans"] == 1.0 for h in board.all())
    await spool.close()


def _untold(board: Board) -> float:
    return next(h.numbers["untold"] for h in board.all() if h.part == "spool:rot")


class FailingDisk(OsDisk):
    """Every write of a segment fails with ``error``, as long as there is one."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.tries = 0

    def open(self, path, how):
        file, disk = super().open(path, how), self
        write = file.write

        def checked(data: memoryview) -> int:
            if disk.error is not None and path.suffix == ".seg":
                disk.tries += 1
                raise disk.error
            return write(data)

        file.write = checked
        return file


def told(board: Board, part: str) -> str:
    return next(f"{h.state}: {h.detail}" for h in board.all() if h.part == part)


async def test_error_that_is_none_of_the_disks_is_retried_and_told(tmp_path: Path) -> None:
    disk, board = FailingDisk(), Board()
    spool = await opened(tmp_path, disk, board)
    disk.error = MemoryError("no room for a view")
    waiting = asyncio.create_task(spool.append([block(3)]))
    await until(lambda: disk.tries > 2)
    await spool.report()
    assert told(board, "spool").startswith("down: ")
    assert "MemoryError" in told(board, "spool")
    disk.error = None
    async with asyncio.timeout(20):
        await waiting
    await spool.append([block(3, first=3)])
    await spool.report()
    assert told(board, "spool").startswith("ok: ")
    assert numbers((await spool.read(spool.start, 100))[0]) == list(range(6))
    await spool.close()


async def test_full_disk_is_told_until_a_write_succeeds(tmp_path: Path) -> None:
    disk, board = FailingDisk(), Board()
    spool = await opened(tmp_path, disk, board)
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    waiting = asyncio.create_task(spool.append([block(3)]))
    await until(lambda: disk.tries > 2)
    await spool.report()
    assert told(board, "spool").startswith("down: ")
    disk.error = None
    async with asyncio.timeout(20):
        await waiting
    await spool.report()
    assert told(board, "spool").startswith("ok: ")
    await spool.close()
