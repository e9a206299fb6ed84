"""From the readings of a register to energy that only grows: wraps counted, resets opened, glitches set aside.

A register that falls has wrapped, was reset or exchanged, or lied for a while. Only a wrap continues the count. A
fall that is not confirmed by what follows never moves the baseline down: an inverter that shows 0 at wake-up and
its lifetime energy a minute later has produced nothing in that minute.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.turns import turns

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

PLAUSIBLE = 1.5  # a power beyond this times the rated one, or a register that gains more than that makes, measures nothing
ROUNDING = 2.0**-22  # a register sent as a 32-bit float falls by this share of its value without meaning it
RETURN_SHARE = 0.5  # a leap back by at least half of the fall says that the fall was no fall
FAR_FASTER = 100.0  # a gain this many times faster than any other of a register is none
FASTER = 10.0  # a gain this many times faster than usual is none where power contradicts it
COVERED_SHARE = 0.95  # of the time of a gain has to be covered by power that contradicts it, or tells how much it was
WRAP_FROM, WRAP_TO = 0.9, 0.1  # without a rated power a wrap is believed from the last tenth to the first tenth


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What power saw pass up to each of n readings: ``energy`` float64[n] in the register's unit, ``covered_s`` float64[n] the
    time it knows; ``peak`` is its largest sample, in the register's unit an hour."""

    energy: F64
    covered_s: F64
    peak: float

    def of(self, keep: Mask) -> Seen:
        """The same at some of the readings."""
        return Seen(self.energy[keep], self.covered_s[keep], self.peak)


@dataclass(frozen=True, slots=True, eq=False)
class Register:
    """n usable readings: ``t_ns`` int64[n]; ``count`` float64[n], growing, 0 at the first reading, in the register's unit.

    Segment i lies between readings i and i + 1: ``boundary`` bool[n - 1] where the register says nothing about it (its
    count stands still there), ``wrapped`` bool[n - 1]. ``set_aside_ns`` are the instants of readings that were glitches.
    """

    t_ns: I64
    count: F64
    boundary: Mask
    wrapped: Mask
    set_aside_ns: I64

    def __len__(self) -> int:
        return len(self.t_ns)


def clean_register(
    t_ns: I64,
    value: F64,
    *,
    wraps_at: float | None = None,
    most: F64 | None = None,
    slack: float = 0.0,
    power: Seen | None = None,
    gap_s: float = np.inf,
) -> Register:
    """Classify every fall and leap of finite readings ``value`` [n] at ascending ``t_ns`` [n].

    ``most`` [n] is the most that can have passed up to each reading (None where unknown): a gain is held against what can have
    passed since the register last moved, which was after the reading before the first that shows it, plus ``slack``. ``power``
    is what it is held against where ``most`` is unknown. ``wraps_at`` is the count at which the register starts again from 0,
    several times perhaps where it was not read for longer than ``gap_s``.
    """
    keep = _kept(value)
    keep &= ~_fallen_silent(value, keep, wraps_at)
    kept_t, kept = t_ns[keep], value[keep]
    step = np.diff(kept)
    fell = step < -ROUNDING * np.abs(kept[:-1])
    moved = np.concatenate([[True], fell | (step > 0)])[: len(kept)]
    since = np.maximum.accumulate(np.where(moved, np.arange(len(kept)), 0))[:-1]
    at_once, limit = np.full(len(step), np.nan), np.full(len(step), np.nan)
    if most is not None:
        total = most[keep]
        at_once, limit = np.diff(total) + slack, total[1:] - total[np.maximum(since - 1, 0)] + slack
    seen = None if power is None else power.of(keep)
    turned = turns(kept_t, kept, fell, wraps_at, limit, _passed(kept_t, seen), gap_s * 1e9)
    once = fell & _may_wrap(kept, step, wraps_at, limit) & ~turned.unsure
    times = np.where(turned.told, turned.count, once)
    wrapped = times > 0
    gain = step + times * (wraps_at or 0.0)
    leapt = gain > limit
    if most is None:
        leapt = (_from_nothing(kept_t, kept, seen, since) | _contradicted(kept_t, step, seen, since)) & ~fell
    boundary = (fell & ~wrapped) | (leapt & ~turned.told) | turned.unsure
    offset = np.where(boundary, -step, times * (wraps_at or 0.0))
    count = kept - kept[:1] + np.concatenate([[0.0], np.cumsum(offset)])[: len(kept)]
    fresh = ~_stale(kept_t, moved, (gain > at_once) & ~boundary)
    rows = np.flatnonzero(fresh)
    ends = rows[1:] - 1  # of segments that became one, the last holds the gain
    return Register(kept_t[rows], np.maximum.accumulate(count)[rows], boundary[ends], wrapped[ends], t_ns[~keep])


def _stale(t_ns: I64, moved: Mask, caught_up: Mask) -> Mask:
    """Mask of readings [n] that only repeat an older one: the gain after them cannot have passed since the last of them.

    ``moved`` [n] are readings that differ from the one before, ``caught_up`` [n - 1] gains too large for their segment. So it
    is with a register that is refreshed, or steps, more slowly than it is read: what passed in between shows later. Readings
    after its last move are stale too, as long as they have not stood for longer than it is known to stand.
    """
    if not caught_up.any():
        return np.zeros(len(t_ns), bool)
    run = np.cumsum(moved) - 1
    start = np.flatnonzero(moved)
    late = np.zeros(len(start), bool)
    late[run[np.flatnonzero(caught_up) + 1] - 1] = True
    stood = np.diff(t_ns[start])
    late[-1] = t_ns[-1] - t_ns[start[-1]] <= 2 * stood[late[:-1]].max()
    stale: Mask = ~moved & late[run]
    return stale


def _passed(t_ns: I64, power: Seen | None) -> F64:
    """What power saw pass in each segment [n - 1], NaN where it does not cover it."""
    if power is None:
        return np.full(max(len(t_ns) - 1, 0), np.nan)
    covered = np.diff(power.covered_s) >= COVERED_SHARE * np.diff(t_ns) / 1e9
    return np.where(covered, np.diff(power.energy), np.nan)


def _contradicted(t_ns: I64, step: F64, power: Seen | None, since: I64) -> Mask:
    """Segments [n - 1] in which a register gains far more, far faster than usual, and more than power explains even at its peak.

    Held against what passed since it moved before, as of a register that is refreshed more slowly than it is read; a first move
    tells nothing. ``since`` [n - 1] is the reading at which it last moved.
    """
    if power is None or not len(step):
        return np.zeros(len(step), bool)
    start = np.maximum(since - 1, 0)
    seconds = (t_ns[1:] - t_ns[start]) / 1e9
    moves = (step > 0) & (since > 0)
    rate = np.where(moves, step / seconds, 0.0)
    if not moves.any():
        return moves
    usual, usual_step = (np.sort(one[moves])[(np.count_nonzero(moves) - 1) // 2] for one in (rate, step))
    covered = power.covered_s[1:] - power.covered_s[start] >= COVERED_SHARE * seconds
    explained = PLAUSIBLE * np.maximum(power.energy[1:] - power.energy[start], power.peak * seconds / 3600)
    found: Mask = moves & covered & (rate > FASTER * usual) & (step > FASTER * usual_step) & (step > explained)
    return found


def _from_nothing(t_ns: I64, value: F64, power: Seen | None, since: I64) -> Mask:
    """Segments [n - 1] in which a register shows at least half of all it ever counted, far faster than it counts otherwise.

    Where no rated power limits a gain, this alone tells a lifetime's energy that comes back after zeros from energy: it
    is believed only where ``power`` explains it. ``since`` [n - 1] is the reading at which it last moved.
    """
    step, seconds = np.diff(value), np.diff(t_ns) / 1e9
    suspect = (step > 0) & (step >= RETURN_SHARE * np.abs(value[1:]))
    if not suspect.any():
        return suspect
    rate = step / seconds
    usual = max(float(rate[~suspect].max(initial=0.0)), 0.0)
    found: Mask = suspect & (rate > FAR_FASTER * usual)
    return found if power is None else found & (step > PLAUSIBLE * (power.energy[1:] - power.energy[since]))


def _may_wrap(value: F64, step: F64, wraps_at: float | None, limit: F64) -> Mask:
    if wraps_at is None:
        return np.zeros(len(step), bool)
    from_end = value[:-1] >= WRAP_FROM * wraps_at
    to_start = value[1:] <= WRAP_TO * wraps_at
    with np.errstate(invalid="ignore"):
        plausible = step + wraps_at <= limit
    believed: Mask = np.where(np.isnan(limit), from_end & to_start, plausible & (value[:-1] >= 0.5 * wraps_at))
    return believed & (step + wraps_at >= 0)


def _kept(value: F64) -> Mask:
    """Mask of readings that are no glitch: a dip that leaps back, or a spike that falls back, is set aside."""
    keep = np.ones(len(value), bool)
    for i in np.flatnonzero(np.diff(value) < -ROUNDING * np.abs(value[:-1])):
        if not keep[i] or not keep[i + 1]:
            continue
        fall = value[i] - value[i + 1]
        end = _dip_end(value, int(i), fall)
        if end is not None:
            keep[i + 1 : end] = False
            continue
        start = _spike_start(value, int(i), fall)
        if start is not None:
            keep[start : i + 1] = False
    return keep


def _fallen_silent(value: F64, keep: Mask, wraps_at: float | None) -> Mask:
    """Mask of readings of exactly 0 at the end of a register that had counted: until it moves it proves nothing, neither that
    it was reset nor that nothing flows."""
    silent = np.zeros(len(value), bool)
    counting = np.flatnonzero(keep & (value != 0))
    if len(counting) and counting[-1] + 1 < len(value):
        wraps = wraps_at is not None and value[counting[-1]] >= WRAP_FROM * wraps_at
        silent[counting[-1] + 1 :] = not wraps
    return silent


def _dip_end(value: F64, i: int, fall: float) -> int | None:
    back = np.flatnonzero(value[i + 1 :] >= value[i])
    if len(back) == 0:
        return None
    end = i + 1 + int(back[0])
    return end if value[end] - value[end - 1] >= RETURN_SHARE * fall else None


def _spike_start(value: F64, i: int, fall: float) -> int | None:
    before = np.flatnonzero(value[: i + 1] <= value[i + 1])
    if len(before) == 0:
        return None
    start = int(before[-1]) + 1
    return start if value[start] - value[start - 1] >= RETURN_SHARE * fall else None
