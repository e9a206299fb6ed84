"""The numbers that devices give their messages: how many are missing, and which came before. Pure."""

from __future__ import annotations

STEP_MAX = 1_000_000  # a larger step is another numbering, no gap
TRUSTED_AFTER = 1_000  # messages in order after a step back: what was sent again is over, the device counts anew


class Sequences:
    """The last number of each meter. Numbers that come again (sent again by broker or device) are no gap, nor is a device
    that starts anew."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}  # counted on where the number wraps, so that distances are plain ones
        self._highest: dict[str, int] = {}  # of those that stepped back a short while ago
        self._in_order: dict[str, int] = {}

    def missing(self, meter: str, sequence: int, modulus: int) -> int:
        """How many messages are missing just before this one; -1 for a step back. ``modulus`` 0: not known to wrap."""
        last = self._last.get(meter)
        if last is None:
            self._last[meter] = sequence
            return 0
        step = sequence - last
        if modulus:
            step %= modulus
            if step > modulus // 2:
                step -= modulus
        self._last[meter] = last + step
        if step == 1 and meter not in self._highest:
            return 0
        return self._after_step(meter, last, step)

    def _after_step(self, meter: str, last: int, step: int) -> int:
        if step == 1:
            if meter in self._highest:
                self._in_order[meter] += 1
                if self._in_order[meter] >= TRUSTED_AFTER:
                    self._forget(meter)
            return 0
        if step <= 0 or step > STEP_MAX:
            # a second step back within what came again tells nothing new
            self._highest[meter] = max(last, self._highest.get(meter, last))
            self._in_order[meter] = 0
            return -1
        known = self._highest.get(meter)
        if known is None:
            return step - 1
        self._forget(meter)
        return max(0, last + step - 1 - max(last, known))

    def _forget(self, meter: str) -> None:
        del self._highest[meter], self._in_order[meter]
