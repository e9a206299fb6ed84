"""The self-test's counting: it fails where something is missing or twice, and excuses only what was under way at a kill."""

from __future__ import annotations

from potwatt.selftest.tally import Stored, count_polled, count_published

SENT = [("a", 1000), ("b", 1000), ("a", 1020)]
WHOLE = {"a": Stored([(0, 1000), (2, 1020)]), "b": Stored([(1, 1000)])}


def test_everything_once_holds() -> None:
    count = count_published(SENT, {0, 1, 2}, WHOLE)
    assert (count.sent, count.stored, count.duplicates, count.missing) == (3, 3, 0, 0)
    assert count.holds


def test_an_acknowledged_reading_that_is_absent_is_missing() -> None:
    count = count_published(SENT, {0, 1, 2}, {**WHOLE, "b": Stored([])})
    assert count.missing == 1
    assert not count.holds
    assert "reading 1 of b" in count.examples[0]


def test_an_absent_reading_that_nobody_acknowledged_is_not_missing() -> None:
    assert count_published(SENT, {0, 2}, {**WHOLE, "b": Stored([])}).holds


def test_a_row_twice_or_under_another_instant_is_a_duplicate() -> None:
    twice = count_published(SENT, {0, 1, 2}, {**WHOLE, "b": Stored([(1, 1000), (1, 1000)])})
    moved = count_published(SENT, {0, 1, 2}, {**WHOLE, "b": Stored([(1, 1000), (1, 1001)])})
    assert twice.duplicates == moved.duplicates == 1
    assert not twice.holds


def test_nothing_sent_proves_nothing() -> None:
    assert not count_published([], set(), {}).holds


def polled(*numbers: int) -> dict[str, Stored]:
    return {"dc": Stored([(n, n) for n in numbers])}


def test_the_last_polls_of_a_killed_life_may_be_absent() -> None:
    count = count_polled({"dc": [1.0, 2.0, 3.0, 4.0, 5.0]}, polled(1, 2, 4, 5), [3.1, 9.0])
    assert (count.unfinished, count.missing, count.duplicates) == (1, 0, 0)
    assert count.holds


def test_a_hole_between_stored_polls_of_one_life_is_missing() -> None:
    count = count_polled({"dc": [1.0, 2.0, 3.0, 4.0]}, polled(1, 3, 4), [9.0])
    assert (count.unfinished, count.missing) == (0, 1)
    assert not count.holds


def test_a_poll_answered_long_before_the_kill_is_missing() -> None:
    assert count_polled({"dc": [1.0, 2.0]}, polled(1), [60.0]).missing == 1


def test_a_poll_under_two_instants_is_a_duplicate() -> None:
    count = count_polled({"dc": [1.0, 2.0]}, {"dc": Stored([(1, 1), (2, 2), (2, 3)])}, [2.1])
    assert count.duplicates == 1
