"""When to poll which meter behind one line: pure, so that a simulation runs the shipped code.

Each meter is due on a grid of its own: its interval, shifted by a hash of its name, so that hundreds of meters with one
interval spread over it and stay there after a restart. The shifts are multiples of 10 ms: meters on lines of their own that
are due together wake the process once. A meter that fails is asked again after a back-off, and is back on
its grid once it answers; missed instants are left out, never caught up with. One meter's state never enters another's
due times.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

NS = 1_000_000_000
LIVING_TURNS_MAX = 20
RASTER_NS = 10_000_000
Outcome = Literal["answered", "failed", "paused"]


@dataclass(frozen=True, slots=True)
class BackOff:
    """Waits after failures: the first, doubled each time up to the last, each longer by up to ``jitter`` of itself."""

    first_s: float = 1.0
    last_s: float = 60.0
    jitter: float = 0.25

    @property
    def longest_ns(self) -> int:
        """No wait is longer."""
        return round(self.last_s * (1 + self.jitter) * NS)

    def wait_ns(self, name: str, failures: int) -> int:
        """Wait after the ``failures``-th failure in a row; the jitter hangs on the name, so it is the same everywhere."""
        plain_s = min(self.first_s * 2.0 ** min(failures - 1, 32), self.last_s)
        return round(plain_s * (1 + self.jitter * _unit_interval(f"{name}#{failures}")) * NS)


@dataclass(frozen=True, slots=True)
class Turn:
    """When a meter is due next. ``missed`` counts the instants of its grid that passed without a poll; ``resume_ns`` is when
    a turn that was given back in the middle goes on, else 0."""

    name: str
    interval_ns: int
    due_ns: int
    phase_ns: int
    failures: int = 0
    missed: int = 0
    resume_ns: int = 0

    @property
    def place(self) -> tuple[int, str]:
        """Its place in the order of turns."""
        return self.resume_ns or self.due_ns, self.name

    def next_on_grid_ns(self, now_ns: int) -> int:
        """The first instant of the grid after ``now_ns``."""
        return now_ns - (now_ns - self.phase_ns) % self.interval_ns + self.interval_ns


def first_turn(name: str, interval_s: float, now_ns: int) -> Turn:
    """The first instant of the meter's grid after ``now_ns``."""
    interval_ns = round(interval_s * NS)
    phase_ns = int(_unit_interval(name) * interval_ns)
    turn = Turn(name, interval_ns, now_ns, phase_ns - phase_ns % RASTER_NS)
    return replace(turn, due_ns=turn.next_on_grid_ns(now_ns))


def step(turn: Turn, outcome: Outcome, now_ns: int, back_off: BackOff) -> Turn:
    """The turn after a poll that ended at ``now_ns``."""
    failures = 0 if outcome == "answered" else turn.failures + 1
    due_ns = now_ns + back_off.wait_ns(turn.name, failures) if failures else turn.next_on_grid_ns(now_ns)
    missed = max(0, (due_ns - turn.due_ns - 1) // turn.interval_ns)
    return Turn(turn.name, turn.interval_ns, due_ns, turn.phase_ns, failures, turn.missed + missed)


class Agenda:
    """The turns of all meters behind one line, of which one is taken at a time.

    ``first`` shows whose turn it is, ``done`` says how it went. A meter that did not answer last time, or that is just being
    met and gives its turn back in the middle, may cost a time-out, so those that are due and alive go before it; on a line
    that is never idle it still has a turn after ``LIVING_TURNS_MAX`` of theirs, or it would never be asked again.
    """

    def __init__(self, turns: Iterable[Turn], back_off: BackOff) -> None:
        self._turns = {turn.name: turn for turn in turns}
        self._back_off = back_off
        self._passed_over = 0  # turns of the living since a meter that failed is due
        self._fill()

    def first(self, now_ns: int) -> Turn:
        """The most overdue of the living, else of those that failed (before them at its bounded turn), else who is due first.

        Due times that lie further ahead than they ever can mean that the clock was set back: they are set anew.
        """
        if self._is_far(self._living, now_ns) or self._is_far(self._failed, now_ns):
            self._turns = {t.name: replace(t, due_ns=t.next_on_grid_ns(now_ns), resume_ns=0) for t in self._turns.values()}
            self._fill()
        living, failed = self._living, self._failed
        if not failed or not living:
            _, name = (living or failed)[0]
        elif self._passed_over < LIVING_TURNS_MAX:
            _, name = living[0] if living[0][0] <= now_ns or living[0] < failed[0] else failed[0]
        else:
            _, name = failed[0] if failed[0][0] <= now_ns or failed[0] < living[0] else living[0]
        return self._turns[name]

    def done(self, name: str, outcome: Outcome, now_ns: int, resume_ns: int = 0) -> Turn:
        """The next turn of the meter that ``first`` showed and that was polled until ``now_ns``; a paused one goes on at
        ``resume_ns``."""
        before = self._turns[name]
        heap = self._heap_of(before)
        assert heap[0] == before.place, "only the meter that was shown can be done"
        heapq.heappop(heap)
        waits = heap is self._living and bool(self._failed) and self._failed[0][0] <= now_ns
        self._passed_over = self._passed_over + 1 if waits else 0
        if outcome == "paused":
            turn = replace(before, resume_ns=max(now_ns, resume_ns))
        else:
            turn = step(before, outcome, now_ns, self._back_off)
        self._turns[name] = turn
        heapq.heappush(self._heap_of(turn), turn.place)
        return turn

    def _heap_of(self, turn: Turn) -> list[tuple[int, str]]:
        return self._failed if turn.failures or turn.resume_ns else self._living

    def _fill(self) -> None:
        self._living = sorted(t.place for t in self._turns.values() if not (t.failures or t.resume_ns))
        self._failed = sorted(t.place for t in self._turns.values() if t.failures or t.resume_ns)

    def _is_far(self, heap: list[tuple[int, str]], now_ns: int) -> bool:
        if not heap or heap[0][0] <= now_ns:
            return False
        due_ns, name = heap[0]
        wait_ns = self._turns[name].interval_ns if heap is self._living else self._back_off.longest_ns
        return due_ns - now_ns > wait_ns


def _unit_interval(name: str) -> float:
    """A number in [0, 1) that hangs on the name alone, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big") / (1 << 48)
