"""The life of one alert: ``step(state, event, now) -> (state, notices)``. Pure; the caller brings the time.

A condition is looked at on the clock, not on change: a value that stands still over its limit raises and reminds, a value
that has vanished is *unknown*, which neither raises nor clears, counts for no duration, and is itself announced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

S_TO_NS = 1_000_000_000


class Condition(StrEnum):
    """What one look at a sample says."""

    BREACHED = "breached"  # proven beyond the raise level
    BETWEEN = "between"  # neither: within the band or between the two levels
    CLEAR = "clear"  # back within the clear level
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """Where an alert stands."""

    NORMAL = "normal"
    PENDING = "pending"  # breached, not yet for long enough
    RAISED = "raised"


@dataclass(frozen=True, slots=True)
class Sample:
    """A figure with the band [low, high] that holds the truth; None where it cannot be told."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Threshold:
    """Two levels of one limit in the sample's unit. ``above``: clear_level <= raise_level; ``below``: the other way round."""

    sense: Literal["above", "below"]
    raise_level: float
    clear_level: float

    def __post_init__(self) -> None:
        assert (self.clear_level <= self.raise_level) if self.sense == "above" else (self.clear_level >= self.raise_level), self

    def judge(self, sample: Sample) -> Condition:
        """Breached when the near edge of the band is beyond the raise level; clear when the value is within the clear level."""
        if sample.value is None or sample.low is None or sample.high is None:
            return Condition.UNKNOWN
        sign = 1.0 if self.sense == "above" else -1.0
        near_edge = sample.low if self.sense == "above" else sample.high
        if sign * near_edge > sign * self.raise_level:
            return Condition.BREACHED
        return Condition.CLEAR if sign * sample.value <= sign * self.clear_level else Condition.BETWEEN


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a condition must hold to raise and to clear, when to remind, and how much time one look can prove at most
    (so that hours in which nobody looked are not counted as hours in breach)."""

    raise_for_s: float
    clear_for_s: float
    remind_after_s: float
    look_max_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Looked:
    """An evaluation of the condition."""

    condition: Condition
    timing: Timing


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A person has taken note: no more reminders until the alert ends."""

    who: str


Event = Looked | Acknowledged


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell: what happened, when, and since when the present state of affairs holds."""

    kind: Literal["raised", "reminder", "cleared", "unknown", "known", "acknowledged"]
    t_ns: int
    since_ns: int
    who: str = ""


@dataclass(frozen=True, slots=True)
class AlertState:
    """Everything remembered of one alert. Durations are the time proven so far, in ns.

    ``since_ns`` is the first look in breach (pending, raised); ``held_ns`` counts towards raising, ``clear_ns`` towards
    clearing, ``unknown_ns`` how long nothing could be said; ``unknown`` tells that this has been announced.
    """

    phase: Phase = Phase.NORMAL
    condition: Condition = Condition.CLEAR
    looked_ns: int | None = None
    since_ns: int = 0
    held_ns: int = 0
    clear_ns: int = 0
    unknown_since_ns: int | None = None
    unknown_ns: int = 0
    sight: Literal["known", "unknown"] = "known"
    told_ns: int = 0
    acknowledged_by: str = ""


def step(state: AlertState, event: Event, now_ns: int) -> tuple[AlertState, tuple[Notice, ...]]:
    """The next state and what to tell. A clock that goes backwards proves no duration."""
    if isinstance(event, Acknowledged):
        return _acknowledge(state, event, now_ns)
    proven_ns = _proven(state, event, now_ns)
    looked = replace(state, condition=event.condition, looked_ns=now_ns)
    if event.condition is Condition.UNKNOWN:
        return _unknown(looked, event.timing, now_ns, proven_ns)
    seen, notices = _known(looked, now_ns)
    if state.phase is Phase.RAISED:
        after, more = _raised(seen, event, now_ns, proven_ns)
    else:
        after, more = _not_raised(seen, event, now_ns, proven_ns)
    return after, notices + more


def _proven(state: AlertState, event: Looked, now_ns: int) -> int:
    # only the time between two looks that said the same is proven
    if state.looked_ns is None or state.condition is not event.condition:
        return 0
    return min(max(now_ns - state.looked_ns, 0), _ns(event.timing.look_max_s))


def _not_raised(state: AlertState, event: Looked, now_ns: int, proven_ns: int) -> tuple[AlertState, tuple[Notice, ...]]:
    if event.condition is not Condition.BREACHED:
        return replace(state, phase=Phase.NORMAL, held_ns=0), ()
    since_ns = now_ns if state.phase is Phase.NORMAL else state.since_ns
    held_ns = state.held_ns + proven_ns
    if held_ns < _ns(event.timing.raise_for_s):
        return replace(state, phase=Phase.PENDING, since_ns=since_ns, held_ns=held_ns), ()
    raised = replace(
        state, phase=Phase.RAISED, since_ns=since_ns, held_ns=held_ns, clear_ns=0, told_ns=now_ns, acknowledged_by=""
    )
    return raised, (Notice("raised", now_ns, since_ns),)


def _raised(state: AlertState, event: Looked, now_ns: int, proven_ns: int) -> tuple[AlertState, tuple[Notice, ...]]:
    if event.condition is not Condition.CLEAR:
        return _remind(replace(state, clear_ns=0), event.timing, now_ns)
    clear_ns = state.clear_ns + proven_ns
    if clear_ns < _ns(event.timing.clear_for_s):
        return replace(state, clear_ns=clear_ns), ()
    ended = AlertState(condition=event.condition, looked_ns=now_ns)
    return ended, (Notice("cleared", now_ns, state.since_ns),)


def _remind(state: AlertState, timing: Timing, now_ns: int) -> tuple[AlertState, tuple[Notice, ...]]:
    if state.acknowledged_by or now_ns - state.told_ns < _ns(timing.remind_after_s):
        return state, ()
    return replace(state, told_ns=now_ns), (Notice("reminder", now_ns, state.since_ns),)


def _unknown(state: AlertState, timing: Timing, now_ns: int, proven_ns: int) -> tuple[AlertState, tuple[Notice, ...]]:
    since_ns = now_ns if state.unknown_since_ns is None else state.unknown_since_ns
    state = replace(state, unknown_since_ns=since_ns, unknown_ns=state.unknown_ns + proven_ns)
    if state.sight == "known" and state.unknown_ns >= _ns(timing.raise_for_s):
        return replace(state, sight="unknown"), (Notice("unknown", now_ns, since_ns),)
    return _remind(state, timing, now_ns) if state.phase is Phase.RAISED else (state, ())


def _known(state: AlertState, now_ns: int) -> tuple[AlertState, tuple[Notice, ...]]:
    since_ns = state.unknown_since_ns
    known = replace(state, sight="known", unknown_since_ns=None, unknown_ns=0)
    return known, (Notice("known", now_ns, since_ns),) if state.sight == "unknown" and since_ns is not None else ()


def _acknowledge(state: AlertState, event: Acknowledged, now_ns: int) -> tuple[AlertState, tuple[Notice, ...]]:
    if state.phase is not Phase.RAISED or state.acknowledged_by:
        return state, ()
    return replace(state, acknowledged_by=event.who), (Notice("acknowledged", now_ns, state.since_ns, event.who),)


def _ns(seconds: float) -> int:
    return round(seconds * S_TO_NS)
