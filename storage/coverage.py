"""Where a series already has stored values, kept small: what lies outside needs no search for duplicates."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

SPANS_MAX = 64
GAP_MAX_MS = 3_600_000


class Coverage:
    """Closed spans of one series, in ms, that hold every stored instant: a superset, never less.

    Live data and a history that fills in beside them each extend a span of their own, so neither finds the other in its way.
    """

    __slots__ = ("_first_ms", "_last_ms")

    def __init__(self) -> None:
        self._first_ms: list[int] = []
        self._last_ms: list[int] = []

    def touches(self, first_ms: int, last_ms: int) -> bool:
        """True where something may be stored within [first, last]."""
        at = bisect_left(self._last_ms, first_ms)
        return at < len(self._last_ms) and self._first_ms[at] <= last_ms

    def add(self, first_ms: int, last_ms: int) -> None:
        """Take note of values stored within [first, last]."""
        low = bisect_left(self._last_ms, first_ms)
        if low and first_ms - self._last_ms[low - 1] <= GAP_MAX_MS:
            low -= 1  # goes on where that span ended
        high = bisect_right(self._first_ms, last_ms)
        if low < high:
            first_ms = min(first_ms, self._first_ms[low])
            last_ms = max(last_ms, self._last_ms[high - 1])
        self._first_ms[low:high] = [first_ms]
        self._last_ms[low:high] = [last_ms]
        if len(self._first_ms) > SPANS_MAX:
            self._close_smallest_gap()

    def _close_smallest_gap(self) -> None:
        gaps = [first - last for first, last in zip(self._first_ms[1:], self._last_ms[:-1], strict=True)]
        at = gaps.index(min(gaps))
        del self._first_ms[at + 1], self._last_ms[at]
