"""How one line is doing: lag and round trips of the last polls, reconnects, what the wire counted."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from plant.errors import TransportError
from plant.ports import HealthBoard
from plant.site import Endpoint

if TYPE_CHECKING:
    from collector.poller import Line

LAGS_KEPT = 256
TELL_EVERY_NS = 10_000_000_000
QUICK_MIN_S = 0.05
QUICK_FACTOR = 4.0


class LineHealth:
    """The part ``endpoint:<id>`` of the health board. Lag is the instant of the reply minus the instant it was due."""

    def __init__(self, endpoint: Endpoint, line: Line, health: HealthBoard) -> None:
        self._part, self._timeout_s, self._line, self._health = f"endpoint:{endpoint.id}", endpoint.timeout_s, line, health
        self._lag_ms = array("f")
        self._place = 0
        self._failures = self._reconnects = 0
        self._told_ns: int | None = None
        self._slowest_s = 0.0

    def answered(self, now_ns: int, lag_ns: int, round_trip_s: float) -> None:
        """Take note of a reading; the board hears of it at once after trouble, else every ten seconds."""
        if len(self._lag_ms) < LAGS_KEPT:
            self._lag_ms.append(lag_ns / 1e6)
        else:
            self._lag_ms[self._place] = lag_ns / 1e6
            self._place = (self._place + 1) % LAGS_KEPT
        # The slowest of late: one slow answer is forgotten over the next hundred or so.
        self._slowest_s = max(round_trip_s, 0.99 * self._slowest_s)
        if self._told_ns is None or abs(now_ns - self._told_ns) >= TELL_EVERY_NS:
            self._told_ns, self._failures = now_ns, 0
            self._health.set(self._part, "ok", "answers", **self._numbers())

    def down(self, error: TransportError) -> int:
        """Take note that the line is lost. Returns how often in a row without a reading in between."""
        if self._told_ns is not None:
            self._reconnects += 1
        self._told_ns = None
        self._failures += 1
        self._health.set(self._part, "down", str(error), **self._numbers())
        return self._failures

    def quick_timeout_s(self) -> float | None:
        """A time-out that every answer of late would have met with room to spare; None where nothing has answered."""
        if not self._slowest_s:
            return None
        return min(self._timeout_s, max(QUICK_MIN_S, QUICK_FACTOR * self._slowest_s))

    def _numbers(self) -> dict[str, float]:
        numbers = {"reconnects": float(self._reconnects)} | {name: float(n) for name, n in self._line.counters.items()}
        if self._lag_ms:
            lags = sorted(self._lag_ms)
            numbers["lag_p50_ms"], numbers["lag_p99_ms"] = lags[len(lags) // 2], lags[len(lags) * 99 // 100]
            numbers["lag_max_ms"] = lags[-1]
        return numbers
