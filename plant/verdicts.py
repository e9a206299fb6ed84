"""Verdicts on a meter's readings: what each does to them when they are read.

``wrong_ratio`` and ``reversed`` alone reject readings, as ``stuck``, ``spike`` and ``bad`` do. With what is right beside it, as
in ``wrong_ratio x1.5``, a verdict mends them: powers, and what registers gained within its span, are multiplied. ``reversed x-1``
swaps import and export.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from plant.errors import InputError

REJECTING = ("stuck", "spike", "bad", "wrong_ratio", "reversed")
PLAIN = (*REJECTING, "exchange", "good")
REVERSED = "reversed x-1"
_RATIO = re.compile(r"wrong_ratio x([0-9]+(?:\.[0-9]+)?)")
FACTORS = (1e-3, 1e3)


def wrong_ratio(factor: float) -> str:
    """Verdict on readings that become right when multiplied by ``factor``."""
    return f"wrong_ratio x{factor:.6f}".rstrip("0").rstrip(".")


def mending(verdict: str) -> float | None:
    """What readings under a verdict are multiplied by, -1 where import and export are swapped; None where it mends nothing."""
    if verdict == REVERSED:
        return -1.0
    found = _RATIO.fullmatch(verdict)
    factor = float(found[1]) if found else 0.0
    return factor if FACTORS[0] <= factor <= FACTORS[1] else None


def checked(verdict: str, known: Sequence[str] = PLAIN) -> str:
    """The verdict. Raises InputError for one that means nothing."""
    if verdict in known or mending(verdict) is not None:
        return verdict
    raise InputError(f"verdict {verdict!r}: expected one of {', '.join(known)}, wrong_ratio x<factor> or {REVERSED}")
