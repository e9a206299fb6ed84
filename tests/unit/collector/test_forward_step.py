"""The forwarder's decisions, without any input or output."""

from __future__ import annotations

import pytest
from collector_blocks import block
from hypothesis import given
from hypothesis import strategies as st

from collector.forward_step import (
    Advance,
    AwaitGrowth,
    Begun,
    Event,
    Failed,
    Fetch,
    Fetched,
    ForwardSettings,
    ForwardState,
    Grown,
    Pause,
    Post,
    Posted,
    PutAside,
    Refused,
    Report,
    Waited,
    pause_s,
    step,
)
from plant.frame import FrameBlock
from plant.ports import SpoolCursor

AT, BEHIND = SpoolCursor(1, 0), SpoolCursor(1, 500)
SETTINGS = ForwardSettings(frames_max=10, gather_s=0.5)


def run(state: ForwardState, *events: Event) -> tuple[ForwardState, tuple[object, ...]]:
    actions: tuple[object, ...] = ()
    for event in events:
        state, actions = step(state, event, 0, SETTINGS)
    return state, actions


def test_begins_by_fetching_at_the_cursor() -> None:
    assert run(ForwardState(AT), Begun())[1] == (Fetch(AT, 10),)
    assert run(ForwardState(AT), Grown())[1] == (Fetch(AT, 10),)


def test_empty_spool_is_waited_for() -> None:
    assert run(ForwardState(AT), Fetched((), AT, "nothing"))[1] == (AwaitGrowth(AT, 0.5),)


def test_batch_is_posted_with_the_cursor_behind_it_and_then_advances() -> None:
    given_block = block(3)
    state, (post,) = run(ForwardState(AT), Fetched((given_block,), BEHIND, "nothing"))
    assert isinstance(post, Post)
    assert (post.part, post.cursor) == ((given_block,), BEHIND)
    state, actions = run(state, Posted())
    assert actions == (Report("ok", "writes"), Advance(BEHIND), AwaitGrowth(BEHIND, 0.5))
    assert state.committed == BEHIND


def test_batch_with_more_behind_it_is_followed_by_the_next_at_once() -> None:
    _, actions = run(ForwardState(AT), Fetched((block(3),), BEHIND, "more"), Posted())
    assert actions[-1] == Fetch(BEHIND, 10)


def test_rotten_spans_alone_move_the_cursor() -> None:
    _, (post,) = run(ForwardState(AT), Fetched((), BEHIND, "nothing"))
    assert isinstance(post, Post)
    assert (post.part, post.cursor) == ((), BEHIND)


@pytest.mark.parametrize("kind", ["unavailable", "misconfigured"])
def test_failing_store_is_tried_for_ever_with_the_same_part(kind: str) -> None:
    state, first = run(ForwardState(AT), Fetched((block(3),), BEHIND, "nothing"))
    pauses = []
    for _ in range(12):
        state, (report, pause) = run(state, Failed(kind, "no answer"))  # type: ignore[arg-type]
        assert isinstance(report, Report) and report.state == "down" and "no answer" in report.detail
        assert isinstance(pause, Pause)
        pauses.append(pause.seconds)
        state, again = run(state, Waited())
        assert isinstance(again[0], Post) and isinstance(first[0], Post)
        assert (again[0].part, again[0].cursor) == (first[0].part, first[0].cursor)
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30.0  # half of the longest at this instant
    assert run(state, Posted())[0].failures == 0


@given(st.integers(1, 10**6), st.integers(0, 2**62))
def test_pause_is_bounded_and_spread(failures: int, now_ns: int) -> None:
    assert 0.25 <= pause_s(failures, now_ns) <= 60.0


def test_named_lines_are_put_aside_and_the_rest_counts_as_stored() -> None:
    state, _ = run(ForwardState(AT), Fetched((block(3), block(2)), BEHIND, "nothing"))
    state, (aside, post) = run(state, Refused("beyond retention", ("line 1",)))
    assert isinstance(aside, PutAside)
    assert (aside.reason, aside.block, aside.lines) == ("beyond retention", None, ("line 1",))
    assert isinstance(post, Post) and (post.part, post.cursor) == ((), BEHIND)
    assert run(state, Posted())[1][1] == Advance(BEHIND)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_bisection_puts_aside_exactly_the_refused_blocks(bad: list[bool]) -> None:
    given_blocks = tuple(block(1, first=n) for n in range(len(bad)))
    state, actions = run(ForwardState(AT), Fetched(given_blocks, BEHIND, "nothing"))
    stored: list[FrameBlock] = []
    aside: list[FrameBlock] = []
    advanced: list[SpoolCursor] = []
    for _ in range(200):
        for action in actions:
            if isinstance(action, PutAside):
                assert action.block is not None
                aside.append(action.block)
            if isinstance(action, Advance):
                advanced.append(action.cursor)
        post = actions[-1]
        if not isinstance(post, Post):
            break
        refused = any(bad[int(b.value[0, -1])] for b in post.part)
        if not refused:
            stored += post.part
        state, actions = run(state, Refused("no", ()) if refused else Posted())
    numbers = [int(b.value[0, -1]) for b in stored]
    assert numbers == [n for n, is_bad in enumerate(bad) if not is_bad], "in order, each once"
    assert [int(b.value[0, -1]) for b in aside] == [n for n, is_bad in enumerate(bad) if is_bad]
    assert advanced == [BEHIND]
