"""Losses of unknown size, and what a record that was folded to its size still knows."""

from __future__ import annotations

from pathlib import Path

from collector_blocks import T0_NS, SteppedClock

from collector.disk import OS_DISK
from collector.spool_losses import SPANS_MAX, Cause, Losses, LossRecord, LostSpan, _folded, read_losses
from collector.spool_small import BYTES_MAX, SmallFiles
from potwatt.board import Board


def test_a_loss_of_unknown_size_is_not_folded_into_a_counted_one() -> None:
    counted = LostSpan(Cause.DROP_OLDEST, "store", 3, 10, 20, 100, 1)
    unknown = LostSpan(Cause.DROP_OLDEST, "store", None, None, None, 50, 2)
    assert _folded((counted,), unknown) == (counted, unknown)
    assert _folded((unknown,), counted) == (unknown, counted)


def rotten(places: int) -> list[LostSpan]:
    """Every fifth of unknown size."""
    return [LostSpan(Cause.ROT, "", 7 if n % 5 else None, 1, 2, 100, T0_NS, 5 + n // 100, n * 100) for n in range(places)]


def losses_of(directory: Path) -> Losses:
    return Losses(SmallFiles(directory, OS_DISK, 2**23), read_losses(OS_DISK, directory), SteppedClock(), Board())


async def test_folded_to_its_size_the_record_counts_the_known_and_keeps_the_unknown_apart(tmp_path: Path) -> None:
    losses = losses_of(tmp_path)
    for span in rotten(250):
        await losses.tell([span])
    assert len(losses.record.spans) == SPANS_MAX
    assert losses.record.frames() == 200 * 7
    assert sum(s.bytes for s in losses.record.spans if s.frames is None) == 50 * 100


async def test_rotten_places_that_were_folded_are_not_told_twice_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        losses = losses_of(tmp_path)
        for span in rotten(250):
            await losses.tell([span])
        assert losses.record.frames() == 200 * 7
    assert sum(s.bytes for s in losses.record.spans) == 250 * 100


async def test_however_much_rots_the_record_stays_small(tmp_path: Path) -> None:
    losses = losses_of(tmp_path)
    for span in rotten(900):
        await losses.tell([span])
    assert losses.record.frames() == 720 * 7
    assert OS_DISK.sizes(tmp_path)["losses.json"] < BYTES_MAX // 8


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "losses.json").write_text('{"spans":[],"gone_through":4,"version":1}')
    assert read_losses(OS_DISK, tmp_path) == LossRecord((), -1)  # without a checksum nothing is given up on its word


async def test_health_says_that_a_number_is_unknown(tmp_path: Path) -> None:
    board = Board()
    losses = Losses(SmallFiles(tmp_path, OS_DISK, 2**23), LossRecord(), SteppedClock(), board)
    await losses.tell([LostSpan(Cause.ROT, "", None, None, None, 10, T0_NS, 1, 0)])
    assert told(board).startswith("An unknown number of Frames were lost in 1 spans")
    await losses.tell([LostSpan(Cause.ROT, "", 5, 1, 2, 10, T0_NS, 1, 10)])
    assert told(board).startswith("5 Frames at most, and an unknown number in 1 spans, were lost in 2 spans")


def told(board: Board) -> str:
    return next(health.detail for health in board.all() if health.part == "spool:lost")
