"""Numbers of messages: what is missing, what came again, and instants that outlive a process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from collector_blocks import SteppedClock
from hypothesis import given
from hypothesis import strategies as st

from collector import stamps as stamps_module
from collector.disk import DiskFile, How, OsDisk
from collector.mqtt5_fast import RECEIVE_MAX
from collector.mqtt_health import BrokerHealth
from collector.mqtt_link import HELD_MAX, BrokerSettings, Session
from collector.sequences import TRUSTED_AFTER, Sequences
from collector.session_memory import Remembered, connected, load, save
from collector.stamps import KEPT_MAX, Stamps
from plant.series import Span
from plant.site import Endpoint
from potwatt.board import Board


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
        ([250, 2, 252, 253, 5], 256, [0, 7, -1, 0, 2]),  # one late over the wrap: 254 to 1 are still counted as missing
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
    monkeypatch.setattr(stamps_module, "RECENT_MAX", KEPT_MAX)
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


class FailingDisk(OsDisk):
    """Takes what is written and fails to make it durable; counts the directories it is asked for."""

    fails, directories = True, 0

    def open(self, path: Path, how: How) -> DiskFile:
        file = super().open(path, how)
        if self.fails:
            file.sync = self._refuse  # type: ignore[method-assign]
        return file

    def _refuse(self) -> None:
        raise OSError(5, "I/O error")

    def sync_directory(self, directory: Path) -> None:
        self.directories += 1
        super().sync_directory(directory)


async def test_a_sync_that_fails_leaves_nothing_behind_and_the_name_is_made_durable_once(tmp_path: Path) -> None:
    path, disk = tmp_path / "b.stamps", FailingDisk()
    kept = Stamps(path, disk)
    stamps = [kept.give("m", n, b"x", n) for n in range(10)]
    for _ in range(3):
        with pytest.raises(OSError, match="I/O error"):
            await kept.keep(stamps)
    assert path.stat().st_size == 0
    disk.fails = False
    await kept.keep(stamps)
    await kept.keep(stamps)
    assert disk.directories == 1


def test_what_may_be_unacknowledged_is_remembered() -> None:
    assert stamps_module.RECENT_MAX >= RECEIVE_MAX + HELD_MAX


SETTINGS = BrokerSettings("h", 1883, "c", ("plant/#",), 5.0)


def test_filters_that_nobody_wants_any_more_are_known_until_they_are_gone() -> None:
    kept = connected(None, SETTINGS, Session.NEW, 10)
    narrow = replace(SETTINGS, topics=("plant/a",))
    assert kept.withdrawn(SETTINGS) == ()
    assert kept.withdrawn(narrow) == ("plant/#",)
    asked = connected(kept, replace(narrow, withdrawn=kept.withdrawn(narrow)), Session.RESUMED, 20)
    assert asked.withdrawn(narrow) == ("plant/#",), "it may not have come to that"
    assert connected(asked, narrow, Session.RESUMED, 30).withdrawn(narrow) == ()
    assert kept.withdrawn(replace(SETTINGS, client_id="d", topics=())) == (), "another session"


@pytest.mark.parametrize("change", [{"client_id": "d"}, {"host": "other"}, {"port": 8883}])
def test_a_session_that_we_left_is_none_that_the_broker_lost(tmp_path: Path, change: dict[str, object]) -> None:
    kept = connected(None, SETTINGS, Session.NEW, 10)
    moved = connected(kept, replace(SETTINGS, **change), Session.NEW, 50)  # type: ignore[arg-type]
    assert (moved.lost, moved.moved_from) == (Span(10, 50), "c at h:1883")
    save(tmp_path / "b.session", moved)
    assert load(tmp_path / "b.session") == moved
    board = Board()
    health = BrokerHealth(Endpoint("b", "mqtt", "h", 1), [], SteppedClock(100), board)
    health.up(Session.NEW, kept, moved)
    assert "another session than before, c at h:1883" in board.all()[0].detail
    assert board.counters().get(("mqtt_sessions_lost", (("broker", "b"),))) is None
    assert connected(moved, replace(SETTINGS, **change), Session.NEW, 90).moved_from == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(("changes", "said"), [({"qos": 0}, "qos = 0 keeps nothing"), ({"shared_group": "g"}, "out of group g")])
def test_what_a_lost_session_means_hangs_on_how_it_was_asked_for(changes: dict[str, object], said: str) -> None:
    board = Board()
    endpoint = replace(Endpoint("b", "mqtt", "h", 1), **changes)  # type: ignore[arg-type]
    health = BrokerHealth(endpoint, [], SteppedClock(100), board)
    health.up(Session.NEW, Remembered("c", 10), Remembered("c", 50, Span(10, 50)))
    assert said in board.all()[0].detail


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
