"""The life of one alert, step by step, and what must hold for any sequence of looks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.engine import Acknowledged, AlertState, Condition, Looked, Phase, Sample, Threshold, Timing, step

S = 1_000_000_000
T0 = 1_766_000_000 * S
TIMING = Timing(raise_for_s=60, clear_for_s=30, remind_after_s=600)
B, H, C, U = Condition.BREACHED, Condition.BETWEEN, Condition.CLEAR, Condition.UNKNOWN


def play(conditions, every_s=10, state=None, start_ns=T0, timing=TIMING):
    """Looks at a fixed pace: the final state and (second, kind) of each notice."""
    state = state or AlertState()
    told = []
    for i, condition in enumerate(conditions):
        now_ns = start_ns + i * every_s * S
        state, notices = step(state, Looked(condition, timing), now_ns)
        told += [((n.t_ns - T0) // S, n.kind) for n in notices]
    return state, told


def test_raises_once_the_breach_has_held_and_says_since_when():
    state, told = play([B] * 7)
    assert told == [(60, "raised")]
    assert (state.phase, state.since_ns) == (Phase.RAISED, T0)


def test_a_breach_shorter_than_its_duration_says_nothing():
    state, told = play([B] * 6 + [C] + [B] * 6)
    assert told == []
    assert state.phase is Phase.PENDING


def test_between_the_levels_a_pending_alert_falls_back_and_a_raised_one_stays():
    assert play([B, B, H])[0].phase is Phase.NORMAL
    state, told = play([B] * 7 + [H] * 50, timing=Timing(60, 30, 1e6))
    assert (state.phase, told) == (Phase.RAISED, [(60, "raised")])


def test_clears_only_after_the_clear_condition_has_held():
    _, told = play([B] * 7 + [C, C, C, B] + [C] * 4)
    assert told == [(60, "raised"), (140, "cleared")]


def test_a_standing_value_reminds_on_the_clock_until_acknowledged():
    state, told = play([B] * 130)
    assert told == [(60, "raised"), (660, "reminder"), (1260, "reminder")]
    state, notices = step(state, Acknowledged("li.wei"), T0 + 1300 * S)
    assert [(n.kind, n.who) for n in notices] == [("acknowledged", "li.wei")]
    state, told = play([B] * 200, state=state, start_ns=T0 + 1310 * S)
    assert told == []
    assert play([C] * 5, state=state, start_ns=T0 + 3320 * S)[1] == [(3350, "cleared")]


def test_acknowledging_what_is_not_raised_changes_nothing():
    assert step(AlertState(), Acknowledged("li.wei"), T0) == (AlertState(), ())


def test_a_vanished_value_is_announced_and_neither_raises_nor_clears():
    state, told = play([B] * 7 + [U] * 20 + [B])
    assert told == [(60, "raised"), (130, "unknown"), (270, "known")]
    assert state.phase is Phase.RAISED
    assert play([B] * 3 + [U] * 100)[0].phase is Phase.PENDING


def test_unknown_time_proves_neither_breach_nor_recovery():
    _, told = play([B] * 4 + [U] * 3 + [B] * 4)
    assert told == [(100, "raised")]
    state, _ = play([B] * 7 + [C, C] + [U] * 40, timing=Timing(60, 30, 1e6))
    assert state.phase is Phase.RAISED


def test_hours_in_which_nobody_looked_are_not_hours_in_breach():
    state, _ = play([B])
    state, notices = step(state, Looked(B, Timing(3600, 30, 600, look_max_s=60)), T0 + 7200 * S)
    assert (state.phase, state.held_ns, notices) == (Phase.PENDING, 60 * S, ())


def test_a_clock_set_back_proves_nothing():
    state, _ = play([B] * 3)
    state, notices = step(state, Looked(B, TIMING), T0 - 3600 * S)
    assert (state.held_ns, notices) == (20 * S, ())


@pytest.mark.parametrize(
    ("sense", "sample", "expected"),
    [
        ("above", (13_100.0, 13_001.0, 13_200.0), B),
        ("above", (13_100.0, 13_000.0, 13_200.0), H),  # the limit itself is met
        ("above", (12_990.0, 12_900.0, 13_100.0), H),  # under the limit, not yet by the margin
        ("above", (12_980.0, 12_900.0, 13_100.0), C),
        ("above", (None, 12_900.0, 13_100.0), U),
        ("above", (13_100.0, None, None), U),
        ("below", (29.0, 28.0, 29.9), B),
        ("below", (29.0, 28.0, 30.0), H),
        ("below", (30.2, 29.0, 31.0), H),
        ("below", (30.5, 29.0, 31.0), C),
    ],
)
def test_judging_a_band_by_its_near_edge(sense, sample, expected):
    threshold = Threshold("above", 13_000, 12_980) if sense == "above" else Threshold("below", 30, 30.5)
    assert threshold.judge(Sample(*sample)) is expected


looks = st.lists(st.tuples(st.sampled_from(Condition), st.integers(1, 90)), min_size=1, max_size=80)


@given(looks)
def test_raised_and_cleared_alternate_and_only_follow_what_was_seen(sequence):
    state, now_ns, ends = AlertState(), T0, []
    for condition, pause_s in sequence:
        now_ns += pause_s * S
        state, notices = step(state, Looked(condition, TIMING), now_ns)
        kinds = [n.kind for n in notices]
        assert "raised" not in kinds or condition is B
        assert "cleared" not in kinds or condition is C
        assert "unknown" not in kinds or condition is U
        assert all(n.since_ns <= n.t_ns == now_ns for n in notices)
        ends += [k for k in kinds if k in ("raised", "cleared")]
    assert all(a != b for a, b in pairwise(ends))
    assert (state.phase is Phase.RAISED) == (bool(ends) and ends[-1] == "raised")


@given(looks)
def test_looking_twice_at_one_instant_changes_nothing_more(sequence):
    state, now_ns = AlertState(), T0
    for condition, pause_s in sequence:
        now_ns += pause_s * S
        state, _ = step(state, Looked(condition, TIMING), now_ns)
        again, notices = step(state, Looked(condition, TIMING), now_ns)
        assert (again, notices) == (state, ())


@given(looks.filter(lambda sequence: all(condition is not B for condition, _ in sequence)))
def test_without_a_breach_nothing_is_ever_raised(sequence):
    state, now_ns = AlertState(), T0
    for condition, pause_s in sequence:
        now_ns += pause_s * S
        state, notices = step(state, Looked(condition, TIMING), now_ns)
        assert state.phase is Phase.NORMAL
        assert {n.kind for n in notices} <= {"unknown", "known"}
