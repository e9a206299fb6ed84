"""How often a register turned over while nobody read it.

Over a gap a register shows its gain only up to whole turns: where it can have turned more than once, the reading alone does not
tell 880 from 10 880. Power that covers the gap tells, else the pace at which the register ran before and after it; where neither
leaves a single count, the register says nothing of the gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

PACE_NS = 3600 * 10**9  # the pace of a register beside a gap is that of so long
CLOSE = 1 / 8  # of a turn: what may lie between what passed and what power or pace makes of it
FASTER = 1.5  # than its usual pace a register may have run


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """Of each segment [n - 1] the ``count`` of turns, ``told`` where something tells it, ``unsure`` where there may be more turns
    than the reading shows and nothing tells how many."""

    count: F64
    told: Mask
    unsure: Mask


def turns(t_ns: I64, value: F64, fell: Mask, wraps_at: float | None, limit: F64, passed: F64, gap_ns: float) -> Turns:
    """Turns of a register at ``wraps_at`` within segments longer than ``gap_ns``; in shorter ones none are looked for.

    ``value`` [n] at ``t_ns`` [n]; ``fell`` [n - 1]; ``limit`` [n - 1] is the most that can have passed in each segment and
    ``passed`` [n - 1] what power saw pass, in the register's unit, NaN where unknown.
    """
    step, dt_ns = np.maximum(np.diff(value), np.where(fell, -np.inf, 0.0)), np.diff(t_ns)
    found = Turns(np.zeros(len(step)), np.zeros(len(step), bool), np.zeros(len(step), bool))
    if wraps_at is None:
        return found
    for i in np.flatnonzero(dt_ns > gap_ns):
        expected = [float(passed[i])] if np.isfinite(passed[i]) else _at_pace(t_ns, step, int(i), gap_ns)
        most = float(limit[i]) if np.isfinite(limit[i]) else FASTER * max(expected, default=0.0)
        least = float(step[i]) + (wraps_at if fell[i] else 0.0)
        # a gain without a turn needs no reason; a turn needs one
        if least < 0 or most < least + (0.0 if fell[i] else wraps_at):
            continue
        if expected:
            low, high = min(expected) - CLOSE * wraps_at, max(expected) + CLOSE * wraps_at
            first = max(np.ceil((low - least) / wraps_at), 0.0)
            if first == np.floor((min(high, most) - least) / wraps_at):
                found.count[i], found.told[i] = first + fell[i], True
                continue
        found.unsure[i] = most >= least + wraps_at
    return found


def _at_pace(t_ns: I64, step: F64, i: int, gap_ns: float) -> list[float]:
    """What would have passed in a gap at the pace before it, and at the one after it, of those that are known."""
    paces = (_pace(t_ns, step, i - 1, -1, gap_ns), _pace(t_ns, step, i + 1, 1, gap_ns))
    return [pace * float(t_ns[i + 1] - t_ns[i]) for pace in paces if pace is not None]


def _pace(t_ns: I64, step: F64, start: int, way: int, gap_ns: float) -> float | None:
    """Gain per nanosecond in the readings beside a gap, from segment ``start`` on; None where there are none in a row."""
    gained, passed_ns, i = 0.0, 0, start
    while 0 <= i < len(step) and passed_ns < PACE_NS and step[i] >= 0 and t_ns[i + 1] - t_ns[i] <= gap_ns:
        gained += float(step[i])
        passed_ns += int(t_ns[i + 1] - t_ns[i])
        i += way
    return gained / passed_ns if passed_ns else None
