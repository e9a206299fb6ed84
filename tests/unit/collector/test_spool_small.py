"""The spool's small files on a disk that is full: the reserve gives way, and what was there before stays."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from collector.disk import OsDisk, replace_durably
from collector.segments import load_cursor, save_cursor
from collector.spool_small import RESERVE, SmallFiles
from plant.ports import SpoolCursor

MIB = 2**20


class FullDisk(OsDisk):
    """Takes no byte more than ``room`` beside what is there; ``error`` is what it says then."""

    def __init__(self, directory: Path, room: int, error: int = errno.ENOSPC) -> None:
        self.directory, self.error = directory, error
        self.limit = self.used() + room

    def used(self) -> int:
        return sum(self.sizes(self.directory).values())

    def open(self, path, how):
        file, disk = super().open(path, how), self
        write = file.write

        def bounded(data: memoryview) -> int:
            room = disk.limit - disk.used()
            if room <= 0:
                raise OSError(disk.error, "No space left on device")
            return write(data[:room])

        file.write = bounded
        return file


@pytest.fixture
def small(tmp_path: Path) -> SmallFiles:
    found = SmallFiles(tmp_path, OsDisk(), 8 * MIB)
    found.keep_reserve()
    save_cursor(found, "store", SpoolCursor(1, 2))
    return found


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("room", [0, 5])
def test_cursor_is_replaced_on_a_full_disk_at_the_cost_of_the_reserve(
    small: SmallFiles, tmp_path: Path, error: int, room: int
) -> None:
    disk = FullDisk(tmp_path, room, error)
    assert (tmp_path / RESERVE).exists()
    save_cursor(SmallFiles(tmp_path, disk, 8 * MIB), "store", SpoolCursor(3, 4))
    assert load_cursor(disk, tmp_path, "store") == SpoolCursor(3, 4)
    assert not (tmp_path / RESERVE).exists()


def test_without_a_reserve_the_cursor_of_before_stays(small: SmallFiles, tmp_path: Path) -> None:
    (tmp_path / RESERVE).unlink()
    with pytest.raises(OSError, match="No space left"):
        save_cursor(SmallFiles(tmp_path, FullDisk(tmp_path, 5), 8 * MIB), "store", SpoolCursor(3, 4))
    assert load_cursor(OsDisk(), tmp_path, "store") == SpoolCursor(1, 2)


def test_another_error_costs_no_reserve(small: SmallFiles, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        save_cursor(SmallFiles(tmp_path, FullDisk(tmp_path, 0, errno.EIO), 8 * MIB), "store", SpoolCursor(3, 4))
    assert (tmp_path / RESERVE).exists()


def test_reserve_is_set_aside_anew_once_there_is_room(small: SmallFiles, tmp_path: Path) -> None:
    size = (tmp_path / RESERVE).stat().st_size
    assert 0 < size < small.bytes_max
    (tmp_path / RESERVE).unlink()
    full = FullDisk(tmp_path, size // 2)
    SmallFiles(tmp_path, full, 8 * MIB).keep_reserve()
    small.keep_reserve()
    assert (tmp_path / RESERVE).stat().st_size == size


@pytest.mark.parametrize("most_bytes", [1, 7])
def test_cursor_is_whole_on_a_disk_that_takes_few_bytes_at_a_time(tmp_path: Path, most_bytes: int) -> None:
    class Short(OsDisk):
        def open(self, path, how):
            file = super().open(path, how)
            write = file.write
            file.write = lambda data: write(data[:most_bytes])
            return file

    save_cursor(SmallFiles(tmp_path, Short(), 8 * MIB), "store", SpoolCursor(123_456, 789_012))
    assert load_cursor(OsDisk(), tmp_path, "store") == SpoolCursor(123_456, 789_012)


def test_files_of_one_stem_may_be_written_at_once(tmp_path: Path) -> None:
    for name in ("broker.session", "broker.dropped"):
        (tmp_path / name).write_bytes(b"before")
    drafts: set[str] = set()

    class Watched(OsDisk):
        def rename(self, source: Path, target: Path) -> None:
            drafts.add(source.name)
            super().rename(source, target)

    for name in ("broker.session", "broker.dropped"):
        replace_durably(Watched(), tmp_path / name, name.encode())
    assert len(drafts) == 2
    assert all((tmp_path / name).read_bytes() == name.encode() for name in ("broker.session", "broker.dropped"))


def test_drafts_of_a_killed_process_go(small: SmallFiles, tmp_path: Path) -> None:
    for name in ("store.draft", "store.cursor.draft"):
        (tmp_path / name).write_bytes(b"half")
    small.clean()
    assert not list(tmp_path.glob("*.draft"))
    assert load_cursor(OsDisk(), tmp_path, "store") == SpoolCursor(1, 2)
