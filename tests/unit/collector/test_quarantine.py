"""Quarantine: durable, bounded, readable behind a torn line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from collector_blocks import SteppedClock

from collector.quarantine import PAYLOAD_BYTES_MAX, Quarantine, Rejected
from potwatt.board import Board


def rejected(n: int, size: int = 10) -> Rejected:
    return Rejected(f"topic/{n}", f"reason {n}", bytes([n % 256]) * size)


def kept_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


async def test_entries_come_back_over_a_restart(tmp_path: Path) -> None:
    board = Board()
    await Quarantine(tmp_path / "q", SteppedClock(), board).put([rejected(1), rejected(2)])
    await Quarantine(tmp_path / "q", SteppedClock(), board).put([rejected(3)])
    found = await Quarantine(tmp_path / "q", SteppedClock(), board).entries()
    assert [(e["source"], e["reason"], e["payload"]) for e in found] == [
        (f"topic/{n}", f"reason {n}", bytes([n]) * 10) for n in (1, 2, 3)
    ]
    assert board.counters()["quarantined", ()] == 3
    assert "topic/3: reason 3" in board.all()[0].detail


async def test_nothing_makes_no_file(tmp_path: Path) -> None:
    await Quarantine(tmp_path / "q", SteppedClock(), Board()).put([])
    assert not (tmp_path / "q").exists()


async def test_bound_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    board = Board()
    quarantine = Quarantine(tmp_path, SteppedClock(), board, max_mib=0.02)
    for n in range(100):
        await quarantine.put([rejected(n, 500)])
        assert kept_bytes(tmp_path) <= 0.02 * 2**20
    found = await quarantine.entries()
    assert found[-1]["source"] == "topic/99"
    assert 5 < len(found) < 40
    assert board.counters()["quarantine_dropped_bytes", ()] > 0


async def test_torn_line_of_a_killed_process_costs_only_itself(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, SteppedClock(), Board())
    await quarantine.put([rejected(1)])
    with (tmp_path / "current.jsonl").open("ab") as file:
        file.write(b'\n{"t_ns": 17')
    await quarantine.put([rejected(2)])
    assert [e["source"] for e in await quarantine.entries()] == ["topic/1", "topic/2"]


async def test_very_large_payload_keeps_its_beginning(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, SteppedClock(), Board())
    await quarantine.put([rejected(1, PAYLOAD_BYTES_MAX + 5)])
    (entry,) = await quarantine.entries()
    assert entry["payload"] == b"\1" * PAYLOAD_BYTES_MAX


async def test_one_large_put_keeps_the_bound_and_the_newest(tmp_path: Path) -> None:
    board = Board()
    quarantine = Quarantine(tmp_path, SteppedClock(), board, max_mib=0.02)
    await quarantine.put([rejected(n, 1000) for n in range(100)])
    assert kept_bytes(tmp_path) <= 0.02 * 2**20
    found = [str(e["reason"]) for e in await quarantine.entries()]
    assert found == [f"reason {n}" for n in range(100 - len(found), 100)] and len(found) > 5


async def test_what_a_full_disk_took_in_part_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, left = os.write, iter([7, 0])

    def full(fd: int, data: memoryview) -> int:
        room = next(left, None)
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:room])

    board = Board()
    quarantine = Quarantine(tmp_path, SteppedClock(), board)
    await quarantine.put([rejected(1)])
    before = kept_bytes(tmp_path)
    monkeypatch.setattr(os, "write", full)
    await quarantine.put([rejected(2)])
    assert kept_bytes(tmp_path) == 2 * before
    assert [e["reason"] for e in await quarantine.entries()] == ["reason 1", "reason 2"]
