"""A loss of unknown size beside a counted one."""

from __future__ import annotations

from collector.spool_losses import Cause, LostSpan, _folded


def test_a_loss_of_unknown_size_is_not_folded_into_a_counted_one() -> None:
    counted = LostSpan(Cause.DROP_OLDEST, "store", 3, 10, 20, 100, 1)
    unknown = LostSpan(Cause.DROP_OLDEST, "store", None, None, None, 50, 2)
    assert _folded((counted,), unknown) == (counted, unknown)
    assert _folded((unknown,), counted) == (unknown, counted)
