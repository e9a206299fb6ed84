"""Numbers of messages: what is missing, what came again, and instants that outlive a process."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import stamps as stamps_module
from collector.mqtt_link import Session
from collector.sequences import TRUSTED_AFTER, Sequences
from collector.session_memory import Remembered, load, save
from collector.stamps import KEPT_MAX, Stamps
from plant.series import Span


def told(numbers: list[int], modulus: int = 0) -> list[int]:
    sequences = Sequences()
    return [sequences.missing("m", n, modulus) for n in numbers]


@pytest.mark.parametrize(
    ("numbers", "modulus", "expected"),
    [
        ([5, 6, 7], 0, [0, 0, 0]),
        ([5, 8], 0, [0, 2]),
        ([254, 255, 0, 1], 256, [0, 0, 0, 0]),
        ([254, 1], 256, [0, 2]),
        ([99, 100, 99, 100, 101], 0, [0, 0, -1, 0, 0]),  # sent again
        ([100, 90, 101], 0, [0, -1, 0]),  # one of them late
        ([100, 90, 103], 0, [0, -1, 2]),
        ([1000, 0, 1, 3], 0, [0, -1, 0, 0]),  # may still be what was sent before
        ([1, 5_000_000, 5_000_001], 0, [0, -1, 0]),  # another numbering
    ],
)
def test_what_is_missing_before_a_number(numbers: list[int], modulus: int, expected: list[int]) -> None:
    assert told(numbers, modulus) == expected


def test_a_device_that_started_anew_is_believed_after_a_while() -> None:
    again = list(range(TRUSTED_AFTER + 1))
    assert told([100_000, *again, TRUSTED_AFTER + 5])[-1] == 4


def test_meters_are_apart() -> None:
    sequences = Sequences()
    assert [sequences.missing(m, n, 0) for m, n in (("a", 1), ("b", 7), ("a", 2), ("b", 9))] == [0, 0, 0, 1]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40), st.sampled_from([0, 256]))
def test_a_stream_without_holes_has_none_however_often_parts_come_again(repeats: list[int], modulus: int) -> None:
    sequences = Sequences()
    found: list[int] = []
    for end, back in enumerate(repeats, start=1):
        first = end * 10 - 10
        sent = range(first - min(back, first, 100), end * 10)
        found += [sequences.missing("m", n % modulus if modulus else n, modulus) for n in sent]
    assert max(found) == 0


async def test_an_instant_outlives_the_process_and_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "state" / "b.stamps"
    first = Stamps(path)
    await first.keep([first.give("m", 7, b"x", 1_000_000)])
    with path.open("ab") as file:
        file.write(b'["m",8,12')
    again = Stamps(path)
    again.load()
    assert again.find("m", 7, b"x") == 1_000_000
    assert again.find("m", 7, b"y") is None, "another message of that number"
    assert again.find("m", 8, b"x") is None
    await again.keep([again.give("m", 9, b"z", 2_000_000)])
    third = Stamps(path)
    third.load()
    assert third.find("m", 9, b"z") == 2_000_000


async def test_what_is_kept_is_bounded_in_memory_and_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps_module, "_COMPACT_BYTES", 10_000)
    path = tmp_path / "b.stamps"
    kept = Stamps(path)
    for first in range(0, 5_000, 100):
        await kept.keep([kept.give("m", n, b"x", n) for n in range(first, first + 100)])
    assert path.stat().st_size < 10_000 + 64 * KEPT_MAX
    again = Stamps(path)
    again.load()
    for stamps in (kept, again):
        assert stamps.find("m", 4_999 - KEPT_MAX, b"x") is None
        assert stamps.find("m", 5_000 - KEPT_MAX, b"x") == 5_000 - KEPT_MAX


def test_a_session_is_remembered_with_its_last_loss(tmp_path: Path) -> None:
    path = tmp_path / "state" / "b.session"
    assert load(path) is None
    kept = Remembered("c", 10).after(Session.RESUMED, 20)
    assert kept == Remembered("c", 20)
    lost = kept.after(Session.NEW, 50)
    assert lost.lost == Span(20, 50)
    save(path, lost)
    assert load(path) == lost
    assert lost.after(Session.RESUMED, 60).lost == Span(20, 50)
    path.write_text("{")
    assert load(path) is None
