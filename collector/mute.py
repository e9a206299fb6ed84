"""Whether a line is dead or only some of the meters on it: dead ones, however many, never cost the living their line."""

from __future__ import annotations

from plant.errors import TransportError

TURNS_MAX = 4  # turns in a row without any answer, below which nothing is thought of the line
WITNESSES = 3  # so many meters that answered and fell silent speak for the line
TRIED_MAX = 32  # where nobody has answered yet, so many stand for all


class LineMute(TransportError):
    """Nobody answers on a line that is open: it is opened anew, and what is known of its meters still holds."""


class Silence:
    """Of one connection: who has been read over it, and who has fallen silent since the last answer of anybody."""

    def __init__(self, meters: int) -> None:
        self._meters = meters
        self.connected()

    def connected(self) -> None:
        """The line is new."""
        self._read: set[str] = set()
        self._silent: set[str] = set()
        self._turns = self._answers = 0

    def read(self, meter: str) -> None:
        """A meter has been read."""
        self._read.add(meter)

    def is_of_the_line(self, meter: str, answers: int) -> bool:
        """Whether the line is suspect after a turn of this meter that failed; ``answers`` is what the line has counted so far."""
        if answers != self._answers:
            self._answers, self._turns = answers, 0
            self._silent.clear()
        self._turns += 1
        self._silent.add(meter)
        if self._turns < TURNS_MAX:
            return False
        if self._read:
            return len(self._silent & self._read) >= min(len(self._read), WITNESSES)
        return len(self._silent) >= min(self._meters, TRIED_MAX)
