"""The agenda: due times spread, no bursts, and a dead meter never moves another's due time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.schedule import LIVING_TURNS_MAX, NS, Agenda, BackOff, first_turn

START_NS = 1_795_000_000 * NS
BACK_OFF = BackOff()
NAMES = st.lists(st.text("abcdefgh-0123456789", min_size=1, max_size=8), min_size=2, max_size=12, unique=True)


def due_times(names: list[str], interval_s: float, dead: frozenset[str], seconds: int, cost_ns: int) -> dict[str, list[int]]:
    """When each meter came due, as the agenda saw it, in a run of ``seconds``; a dead one costs a time-out of 100 ms."""
    now_ns = START_NS
    agenda = Agenda([first_turn(name, interval_s, now_ns) for name in names], BACK_OFF)
    due: dict[str, list[int]] = {name: [] for name in names}
    while now_ns < START_NS + seconds * NS:
        turn = agenda.first(now_ns)
        now_ns = max(now_ns, turn.due_ns)
        due[turn.name].append(turn.due_ns)
        now_ns += 100_000_000 if turn.name in dead else cost_ns
        agenda.done(turn.name, "failed" if turn.name in dead else "answered", now_ns)
    return due


@given(NAMES, st.integers(0, 11))
def test_a_dead_meter_never_delays_anothers_due_time(names: list[str], which: int) -> None:
    dead = names[which % len(names)]
    cost_ns = 1_000_000
    with_it = due_times(names, 1.0, frozenset([dead]), 20, cost_ns)
    without = due_times([n for n in names if n != dead], 1.0, frozenset(), 20, cost_ns)
    for name, due in without.items():
        common = min(len(due), len(with_it[name]))
        assert common >= 19
        assert with_it[name][:common] == due[:common]


@given(st.integers(2, 60), st.integers(1, 5), st.integers(20, 300))
def test_a_meter_that_failed_once_is_asked_again_on_a_line_that_is_never_idle(living: int, failing: int, cost_ms: int) -> None:
    names = [f"m-{i}" for i in range(living + failing)]
    agenda = Agenda([first_turn(name, cost_ms * living / 2_000, START_NS) for name in names], BACK_OFF)
    now_ns, due_ns = START_NS, dict.fromkeys(names[:failing], 0)
    passed_over, asked_again = 0, set()
    for _ in range(400 + 4 * living + round(5_000 / cost_ms)):
        turn = agenda.first(now_ns)
        now_ns = max(now_ns, turn.due_ns) + cost_ms * 1_000_000
        first_time = turn.name in due_ns and not due_ns[turn.name]
        if turn.failures:
            asked_again.add(turn.name)
            passed_over = 0
        elif any(due and due <= now_ns for name, due in due_ns.items() if name not in asked_again):
            passed_over += 1
        assert passed_over <= LIVING_TURNS_MAX + failing
        after = agenda.done(turn.name, "failed" if first_time else "answered", now_ns)
        if first_time:
            due_ns[turn.name] = after.due_ns
    assert asked_again == set(due_ns)


@given(NAMES, st.floats(0.1, 900))
def test_due_times_stay_on_a_grid_and_within_one_interval(names: list[str], interval_s: float) -> None:
    for name in names:
        first = first_turn(name, interval_s, START_NS)
        again = first_turn(name, interval_s, START_NS + 7 * first.interval_ns)
        assert 0 < first.due_ns - START_NS <= first.interval_ns
        assert (again.due_ns - first.due_ns) % first.interval_ns == 0


@given(NAMES, st.integers(2, 500))
def test_a_pause_is_not_caught_up_with(names: list[str], pause_s: int) -> None:
    agenda = Agenda([first_turn(name, 1.0, START_NS) for name in names], BACK_OFF)
    now_ns = START_NS + pause_s * NS
    polled = []
    while (turn := agenda.first(now_ns)).due_ns <= now_ns:
        polled.append(turn.name)
        after = agenda.done(turn.name, "answered", now_ns)
        assert after.missed >= pause_s - 1
    assert sorted(polled) == sorted(names)


@given(NAMES, st.integers(1, 10_000_000))
def test_a_clock_that_was_set_back_stops_nobody(names: list[str], back_s: int) -> None:
    agenda = Agenda([first_turn(name, 1.0, START_NS) for name in names], BACK_OFF)
    now_ns = START_NS - back_s * NS
    assert agenda.first(now_ns).due_ns <= now_ns + NS


@given(st.integers(1, 500), st.text(min_size=1, max_size=5))
def test_waits_grow_to_their_bound(failures: int, name: str) -> None:
    wait = BACK_OFF.wait_ns(name, failures)
    assert min(2.0 ** (failures - 1), 60) * NS <= wait <= BACK_OFF.longest_ns
    assert wait == BACK_OFF.wait_ns(name, failures)
