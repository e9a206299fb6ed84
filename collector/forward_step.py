"""When to fetch, post, split, wait and advance: the forwarder as ``step(state, event, now) -> (state, actions)``. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from plant.frame import FrameBlock
from plant.ports import SpoolCursor

RETRY_FIRST_S, RETRY_MAX_S = 0.5, 60.0

Part = tuple[FrameBlock, ...]
Remainder = Literal["more", "nothing"]


@dataclass(frozen=True, slots=True)
class ForwardSettings:
    """Size and age of a batch: once the spool is empty, the next one waits ``gather_s`` for company."""

    frames_max: int = 20_000
    gather_s: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class ForwardState:
    """``committed`` is the sink's cursor; ``parts`` of the batch in hand still to be posted, ``behind`` the cursor after it."""

    committed: SpoolCursor
    parts: tuple[Part, ...] = ()
    behind: SpoolCursor | None = None
    failures: int = 0
    durable: Remainder = "more"


# ---- events ----


@dataclass(frozen=True, slots=True)
class Begun:
    """The program started."""


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """The spool gave blocks (none: nothing more is durable, or only rotten spans) and the cursor behind them; ``durable``
    says whether there was more behind it when it was read."""

    blocks: Part
    behind: SpoolCursor
    durable: Remainder


@dataclass(frozen=True, slots=True)
class Grown:
    """There is something behind the cursor, and it had time to gather company."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The part is stored."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The store did not take the part this time."""

    kind: Literal["unavailable", "misconfigured"]
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The store will never take the part, or only ``lines`` of it, with everything else stored."""

    reason: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waited:
    """The pause is over."""


Event = Begun | Fetched | Grown | Posted | Failed | Refused | Waited

# ---- actions: the last of a step brings the next event ----


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read from the spool; brings Fetched."""

    cursor: SpoolCursor
    frames_max: int


@dataclass(frozen=True, slots=True)
class AwaitGrowth:
    """Wait until there is something behind the cursor and ``gather_s`` more; brings Grown."""

    cursor: SpoolCursor
    gather_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Post:
    """Store a part, and with it the cursor where it is the last; brings Posted, Failed or Refused."""

    part: Part
    cursor: SpoolCursor | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait; brings Waited."""

    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class PutAside:
    """Write a block, or lines of one, to quarantine with the store's words."""

    reason: str
    block: FrameBlock | None
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advance:
    """The batch is stored up to here: the spool may let go of it."""

    cursor: SpoolCursor


@dataclass(frozen=True, slots=True)
class Report:
    """State of the store in words."""

    state: Literal["ok", "down"]
    detail: str


Action = Fetch | AwaitGrowth | Post | Pause | PutAside | Advance | Report
Step = tuple[ForwardState, tuple[Action, ...]]


def step(state: ForwardState, event: Event, now_ns: int, settings: ForwardSettings) -> Step:
    """The next state and what to do; ``now_ns`` spreads the pauses of several plants at one store."""
    match event:
        case Begun():
            return state, (Fetch(state.committed, settings.frames_max),)
        case Grown():
            return state, (Fetch(state.committed, settings.frames_max),)
        case Fetched(blocks, behind, durable):
            return _fetched(replace(state, durable=durable), blocks, behind, settings)
        case Posted():
            return _next(replace(state, parts=state.parts[1:], failures=0), settings, (Report("ok", "writes"),))
        case Failed(kind, reason):
            failures = state.failures + 1
            hint = "" if kind == "unavailable" else "; readings wait in the spool until that is mended"
            report = Report("down", f"{reason}{hint}")
            return replace(state, failures=failures), (report, Pause(pause_s(failures, now_ns)))
        case Refused(reason, lines):
            return _refused(state, reason, lines, settings)
        case Waited():
            return state, (_post(state),)


def pause_s(failures: int, now_ns: int) -> float:
    """Doubling from half a second to a minute, of that a half to the whole after the digits of the instant."""
    longest = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 16))
    return longest * (0.5 + 0.5 * (now_ns // 1_000 % 1_000) / 1_000)


def _fetched(state: ForwardState, blocks: Part, behind: SpoolCursor, settings: ForwardSettings) -> Step:
    if not blocks and behind == state.committed:
        return state, (AwaitGrowth(state.committed, settings.gather_s),)
    state = replace(state, parts=(blocks,), behind=behind)
    return state, (_post(state),)


def _post(state: ForwardState) -> Post:
    return Post(state.parts[0], state.behind if len(state.parts) == 1 else None)


def _next(state: ForwardState, settings: ForwardSettings, before: tuple[Action, ...]) -> Step:
    """Post the next part, or advance and go on at once with what else is durable; a batch behind an emptied spool gathers."""
    if state.parts:
        return state, (*before, _post(state))
    assert state.behind is not None
    advanced = replace(state, committed=state.behind, behind=None)
    go_on = (
        Fetch(advanced.committed, settings.frames_max)
        if state.durable == "more"
        else AwaitGrowth(advanced.committed, settings.gather_s)
    )
    return advanced, (*before, Advance(advanced.committed), go_on)


def _refused(state: ForwardState, reason: str, lines: tuple[str, ...], settings: ForwardSettings) -> Step:
    part, rest = state.parts[0], state.parts[1:]
    # the part that carries the cursor was not taken as it was: an empty one carries it instead
    rest = rest or ((),)
    if lines:
        return _next(replace(state, parts=rest, failures=0), settings, (PutAside(reason, None, lines),))
    assert part, "an empty part holds nothing to refuse"
    if len(part) > 1 or len(part[0]) > 1:
        state = replace(state, parts=(*_halves(part), *state.parts[1:]), failures=0)
        return state, (_post(state),)
    return _next(replace(state, parts=rest, failures=0), settings, (PutAside(reason, part[0], ()),))


def _halves(part: Part) -> tuple[Part, Part]:
    """Of the blocks, and of a single block by its Frames: one that is refused does not take others along."""
    if len(part) > 1:
        return part[: len(part) // 2], part[len(part) // 2 :]
    block = part[0]
    half = len(block) // 2
    return (block.take(slice(0, half)),), (block.take(slice(half, None)),)
