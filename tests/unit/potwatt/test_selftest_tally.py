"""The self-test's counting: it fails where something is missing or twice, and excuses only what was under way at a kill."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from potwatt.selftest.outage import Outcome, show
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
    return {"dc": Stored([(n, n * 1000) for n in numbers])}


def test_the_last_polls_of_a_killed_life_may_be_absent() -> None:
    count = count_polled({"dc": [1.0, 2.0, 3.0, 4.0, 5.0]}, polled(1, 2, 4, 5), [3.1, 9.0], 0.0)
    assert (count.unfinished, count.killed, count.missing, count.duplicates) == (1, 1, 0, 0)
    assert count.holds


def test_a_hole_between_stored_polls_of_one_life_is_missing() -> None:
    count = count_polled({"dc": [1.0, 2.0, 3.0, 4.0]}, polled(1, 3, 4), [9.0], 0.0)
    assert (count.unfinished, count.missing) == (0, 1)
    assert not count.holds


def test_a_poll_answered_long_before_the_kill_is_missing() -> None:
    assert count_polled({"dc": [1.0, 2.0]}, polled(1), [60.0], 0.0).missing == 1
    assert count_polled({"dc": [1.0, 2.0, 9.0]}, polled(1), [4.0, 10.0], 0.0).missing == 1


def test_a_poll_under_two_instants_is_a_duplicate() -> None:
    count = count_polled({"dc": [1.0, 2.0]}, {"dc": Stored([(1, 1000), (2, 2000), (2, 2100)])}, [2.1], 0.0)
    assert count.duplicates == 1


def test_a_poll_under_an_instant_of_another_time_is_a_duplicate() -> None:
    epoch_s = 1_795_000_000.0
    rows = [(1, round(epoch_s * 1e3) + 1000), (2, 0)]
    count = count_polled({"dc": [1.0, 2.0]}, {"dc": Stored(rows)}, [2.1], epoch_s)
    assert (count.duplicates, count.missing) == (1, 0)
    assert "poll 2 of dc is stored at 0 ms" in count.examples[0]


def test_lives_of_which_nearly_everything_is_absent_prove_nothing() -> None:
    ends_s = [4.0 * (life + 1) for life in range(20)]
    instants = [4.0 * life + 0.05 + 0.09 * n for life in range(20) for n in range(40)]
    rows = [(n + 1, round(instants[n] * 1e3)) for n in range(0, 800, 40)]
    assert count_polled({"dc": instants}, {"dc": Stored(rows)}, ends_s, 0.0).missing > 400
    young = [4.0 * life + 3.5 + 0.04 * n for life in range(20) for n in range(10)]
    rows = [(n + 1, round(young[n] * 1e3)) for n in range(0, 200, 10)]
    count = count_polled({"dc": young}, {"dc": Stored(rows)}, ends_s, 0.0)
    assert (count.missing, count.duplicates) == (0, 0)
    assert not count.holds


@pytest.mark.parametrize("lacking", [[], ["kill"], ["broker silent", "store file held"]])
def test_a_run_without_a_kind_of_fault_proves_nothing(lacking: list[str]) -> None:
    count = count_published(SENT, {0, 1, 2}, WHOLE)
    outcome = Outcome(count, count, 1.0, 3, {}, 0, drained=True, lacking=lacking)
    said = io.StringIO()
    show(outcome, Console(file=said, width=200))
    assert outcome.holds is not bool(lacking)
    assert ("PASSED" in said.getvalue()) is not bool(lacking)
    assert all(kind in said.getvalue() for kind in lacking)
