"""A spool's state read from its files, while it is open and after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from collector_blocks import T0_NS, SteppedClock, block

from collector.disk import OS_DISK
from collector.spool import Spool
from collector.spool_status import SpoolStatus, read_status
from plant.site import SpoolSettings
from potwatt.board import Board

H_NS = 3600 * 10**9


def status(directory: Path) -> SpoolStatus:
    return read_status(
        OS_DISK, directory, required=("store",), best_effort=("mirror-a",), bytes_max=8 * 2**20, now_ns=T0_NS + 2 * H_NS
    )


async def test_files_tell_what_waits_for_each_sink(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SpoolSettings(max_mib=8), SteppedClock(), Board(), best_effort=("mirror-a",))
    await spool.open()
    await spool.append([block(3)])
    await spool.append([block(3, first=3600)])
    _, behind = await spool.read(spool.start, 1)
    await spool.commit("store", behind)
    for found in (status(tmp_path), await _after(spool, tmp_path)):
        store, mirror = found.sinks
        assert (store.name, store.need, store.oldest_t_ns, store.backlog_h) == ("store", "required", T0_NS + H_NS, 1.0)
        assert (mirror.need, mirror.oldest_t_ns, mirror.backlog_h) == ("best_effort", T0_NS, 2.0)
        assert mirror.backlog_bytes == 2 * store.backlog_bytes == spool.size_bytes
        assert found.bytes == sum(OS_DISK.sizes(tmp_path).values())
        assert found.lost == ()


async def _after(spool: Spool, directory: Path) -> SpoolStatus:
    await spool.close()
    return status(directory)


async def test_lost_spans_are_read_by_others(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SpoolSettings(max_mib=8, segment_mib=1, when_full="drop_newest"), SteppedClock(), Board())
    await spool.open()
    for n in range(330):
        await spool.append([block(1000, first=1000 * n)])
    await spool.close()
    assert status(tmp_path).lost == spool.lost.spans != ()


def test_directory_without_segments_has_no_sinks_to_tell_of(tmp_path: Path) -> None:
    assert status(tmp_path).sinks == ()


async def test_cursor_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SpoolSettings(max_mib=8), SteppedClock(), Board())
    await spool.open()
    await spool.close()
    (tmp_path / "store.cursor").write_text("half")
    with pytest.raises(Exception, match=r"store\.cursor"):
        status(tmp_path)
