"""One register or power signal as a curve of energy over time, read off at the bounds of intervals.

The counter fixes the total between two of its readings; power fixes the shape in between. Where the register says
nothing (a reset, before its first and after its last reading) integrated power stands in; where power says nothing
either, time is unknown and stays unknown. Every interval is the difference of one curve, so intervals add up to
the register's own difference by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, I64, Mask, Register
from analytics.flags import IntervalFlag
from analytics.power import NS_PER_S, S_PER_H, PowerIntegral

COVERED_SHARE = 0.95  # power shapes a segment when its samples cover this share of it
FROZEN_H = 0.02  # a register that stands is frozen from this time of rated power on,
STEPS = 3.0  # from this many of its usual gains on,
CREEP = 0.01  # and above this share of rated power: below it a register may stand
COUNTED, SPREAD, POWERED = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Knots ``t_ns`` int64[n] with the energy so far; segment i between knots i and i + 1 is of ``kind`` int8[n - 1].

    ``energy`` is in the unit of the register (kWh or kAh); ``unknown_s`` is time of which nothing is known, ``doubt`` energy that
    power saw and a standing register may yet have missed: too little to call it frozen, and not in ``energy``.
    """

    t_ns: I64
    energy: F64
    unknown_s: F64
    doubt: F64
    kind: I64
    power: PowerIntegral
    wrapped: Mask
    reset: Mask
    frozen: Mask
    set_aside_ns: I64
    counted: bool


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """What passed in each of m intervals, one direction: arrays float64[m] in kWh (kAh), ``flags`` int64[m].

    ``energy`` is NaN where less than half of the interval is known; ``low`` and ``high`` hold the truth
    (``high`` is NaN where nothing bounds it). ``proven`` is the part that follows from readings without estimate.
    """

    energy: F64
    low: F64
    high: F64
    proven: F64
    unknown_s: F64
    flags: I64


def counter_curve(
    register: Register, power: PowerIntegral, span: tuple[int, int], gap_max_s: float, step: float, rated: float | None = None
) -> Curve:
    """Curve of a cleaned register; ``span`` (start, end in ns) is what will be asked for, ``step`` the register's step.

    With a coarse register (``step`` > 0) power fills up the count between its steps, by less than a step. Power also stands
    in where the register stands still although it flows, which only a ``rated`` power (kW) can tell from creep.
    """
    inner = _with_steps(register, power, step)
    first, last = (register.t_ns[0], register.t_ns[-1]) if len(register) else (span[1], span[1])
    before, after = [t for t in span[:1] if t < first], [t for t in span[1:] if t > last]
    t_ns = np.concatenate([np.array(before, np.int64), register.t_ns, np.array(after, np.int64)])
    if not len(register):
        t_ns = np.array(span, np.int64)
    dt_s, covered = np.diff(t_ns) / NS_PER_S, np.diff(power.covered_at(t_ns))
    shaped = covered >= COVERED_SHARE * dt_s
    lead = len(before)
    inside = slice(lead, lead + max(len(register) - 1, 0))
    flags = np.zeros((3, len(dt_s)), bool)
    flags[0, inside], flags[1, inside] = register.wrapped, register.boundary
    flags[2, inside], missed = _standing(register, power, step, rated)
    silent = flags[1, inside] | flags[2, inside]
    kind = np.full(len(dt_s), POWERED, np.int64)
    kind[inside] = np.where(silent, POWERED, np.where((dt_s[inside] <= gap_max_s) | shaped[inside], COUNTED, SPREAD))
    gained = np.diff(power.energy_at(t_ns))
    gained[inside] = np.where(silent, gained[inside], np.diff(inner))
    unknown = np.where(kind == POWERED, np.maximum(dt_s - covered, 0.0), 0.0)
    doubt = np.zeros(len(dt_s))
    doubt[inside] = np.where(silent, 0.0, np.maximum(missed - gained[inside], 0.0))
    wrapped, reset, frozen = flags
    counted, aside = len(register) > 0, register.set_aside_ns
    return Curve(t_ns, _running(gained), _running(unknown), _running(doubt), kind, power, wrapped, reset, frozen, aside, counted)


def _standing(register: Register, power: PowerIntegral, step: float, rated: float | None) -> tuple[Mask, F64]:
    """Segments [n - 1] in which the register stands still although more has passed than it steps by, and what power saw pass
    in each segment of a stand that the register did not catch up with, or has not yet."""
    gained = np.diff(register.count)
    if len(power.t_ns) == 0 or len(gained) == 0:
        return np.zeros(len(gained), bool), np.zeros(len(gained))
    moved = np.concatenate([[True], (gained > 0) | register.boundary])
    run = np.cumsum(moved) - 1
    start = np.flatnonzero(moved)
    end = np.append(start[1:] - 1, len(moved) - 1)
    passed = power.energy_at(register.t_ns[end]) - power.energy_at(register.t_ns[start])
    covered_h = (power.covered_at(register.t_ns[end]) - power.covered_at(register.t_ns[start])) / S_PER_H
    usual = float(np.median(gained[gained > 0])) if (gained > 0).any() else 0.0
    regained = np.append(gained[start[1:] - 1], 0.0)  # a register that was only late shows it when it moves
    behind = regained < passed / 2
    missed = np.where((behind[run] & ~moved)[1:], np.diff(power.energy_at(register.t_ns)), 0.0)
    if not rated:
        return np.zeros(len(gained), bool), missed
    frozen = (passed > max(step, STEPS * usual, FROZEN_H * rated)) & (passed > CREEP * rated * covered_h)
    still: Mask = (frozen & behind)[run[1:]] & ~moved[1:]
    return still, missed


def overlay(base: Curve, start_ns: I64, length_ns: I64, amount: F64) -> Curve:
    """``base`` with known amounts in place of it where they lie: ``amount`` [n] from ``start_ns`` [n] for ``length_ns`` [n]."""
    t_ns = np.unique(np.concatenate([base.t_ns, start_ns, start_ns + length_ns]))
    at = np.clip(t_ns, base.t_ns[0], base.t_ns[-1])
    energy, unknown_at, share = _evaluate(base, at, _segment(base, at))
    from_ns, dt_ns = t_ns[:-1], np.diff(t_ns)
    outside = (from_ns < base.t_ns[0]) | (t_ns[1:] > base.t_ns[-1])
    row = np.clip(np.searchsorted(start_ns, from_ns, "right") - 1, 0, len(start_ns) - 1)
    known = (from_ns >= start_ns[row]) & (from_ns < (start_ns + length_ns)[row])
    gained = np.where(known, amount[row] * dt_ns / np.maximum(length_ns[row], 1), np.diff(energy))
    unknown = np.where(known, 0.0, np.where(outside, dt_ns / NS_PER_S, np.diff(unknown_at)))
    doubt = np.where(known | outside, 0.0, np.diff(_along(base.doubt, _segment(base, at), share)))
    j = _segment(base, np.clip(from_ns, base.t_ns[0], base.t_ns[-1]))
    kind = np.where(known, COUNTED, np.where(outside, POWERED, base.kind[j]))
    wrapped, reset, frozen = (mask[j] & ~known & ~outside for mask in (base.wrapped, base.reset, base.frozen))
    aside = base.set_aside_ns
    return Curve(
        t_ns, _running(gained), _running(unknown), _running(doubt), kind, base.power, wrapped, reset, frozen, aside, base.counted
    )


def _segment(curve: Curve, at: I64) -> I64:
    """Segment in which each instant lies."""
    j: I64 = np.clip(np.searchsorted(curve.t_ns, at, "right") - 1, 0, len(curve.kind) - 1)
    return j


def _running(gained: F64) -> F64:
    return np.concatenate([[0.0], np.cumsum(gained)])


def _with_steps(register: Register, power: PowerIntegral, step: float) -> F64:
    count = register.count
    if step <= 0 or len(count) < 2 or len(power.t_ns) == 0:
        return count
    changed = np.concatenate([[True], np.diff(count) > 0])
    last_change = np.maximum.accumulate(np.where(changed, np.arange(len(count)), 0))
    at = power.energy_at(register.t_ns)
    since = at - at[last_change]
    known = _until_first_step(register, power, at)
    since[: len(known)] = np.where(np.isnan(known), since[: len(known)], known)
    return np.maximum.accumulate(count + np.clip(since, 0.0, step * (1 - 1e-9)))


def _until_first_step(register: Register, power: PowerIntegral, at: F64) -> F64:
    """What had passed since the step before at each reading up to the first step that is seen, as what passed until it tells;
    NaN where power does not cover that time. Else every span of readings would begin with a whole step to come."""
    gained = np.diff(register.count)
    first = int(np.argmax(gained > 0)) + 1
    if not gained[first - 1] > 0:
        return np.empty(0)
    lead, end = register.t_ns[:first], register.t_ns[first]
    covered = power.covered_at(register.t_ns[first : first + 1])[0] - power.covered_at(lead)
    seen = covered >= COVERED_SHARE * (end - lead) / NS_PER_S
    return np.where(seen, gained[first - 1] - (at[first] - at[:first]), np.nan)


def read_off(curve: Curve, bounds_ns: I64, rated: float | None, class_percent: float) -> Amounts:
    """Amounts between ascending ``bounds_ns`` int64[m + 1].

    ``rated`` (kW, kA) bounds what can have passed in unknown time: None where nothing is known, 0 where nothing can pass.
    """
    at = np.clip(bounds_ns, curve.t_ns[0], curve.t_ns[-1])
    j = _segment(curve, at)
    energy, unknown_at, share = _evaluate(curve, at, j)
    seconds = np.diff(bounds_ns) / NS_PER_S
    unknown = np.diff(unknown_at)
    unknown[unknown < 1e-6] = 0.0
    known = np.diff(energy)
    low, high, spread, flags = _spread_band(curve, at, known, rated)
    powered = np.diff(_part(curve, j, share, POWERED))
    best = _fill_small_holes(known, unknown, seconds)
    ceiling = np.nan if rated is None else rated / S_PER_H
    high = high + np.where(unknown > 0, unknown * ceiling, 0.0) + np.diff(_along(curve.doubt, j, share))
    flags |= _event_flags(curve, bounds_ns, unknown, powered, spread)
    tolerance = class_percent / 100
    low, high = low - tolerance * np.abs(low), high + tolerance * np.abs(high)
    proven = known - spread - np.where(curve.counted & _interrupted(curve, bounds_ns), powered, 0.0)
    low = np.fmin(low, best)
    high = np.where(np.isnan(high), np.nan, np.fmax(high, best))
    return Amounts(best, low, high, proven, unknown, flags)


def _evaluate(curve: Curve, at: I64, j: I64) -> tuple[F64, F64, F64]:
    """Energy and unknown seconds up to each instant, and the share of its segment's energy that has passed by then."""
    t0, t1 = curve.t_ns[j], curve.t_ns[j + 1]
    by_time = (at - t0) / np.maximum(t1 - t0, 1)
    p0, p1, p = curve.power.energy_at(t0), curve.power.energy_at(t1), curve.power.energy_at(at)
    c0, c1, c = curve.power.covered_at(t0), curve.power.covered_at(t1), curve.power.covered_at(at)
    shaped = (p1 > p0) & ((curve.kind[j] == POWERED) | (c1 - c0 >= COVERED_SHARE * (t1 - t0) / NS_PER_S))
    share = np.where(shaped, (p - p0) / np.where(p1 > p0, p1 - p0, 1.0), by_time)
    energy = curve.energy[j] + share * (curve.energy[j + 1] - curve.energy[j])
    total = curve.unknown_s[j + 1] - curve.unknown_s[j]
    here = np.where(curve.kind[j] == POWERED, np.minimum(np.maximum((at - t0) / NS_PER_S - (c - c0), 0.0), total), 0.0)
    return energy, curve.unknown_s[j] + here, share


def _part(curve: Curve, j: I64, share: F64, kind: int) -> F64:
    """Energy up to each instant that came by segments of one kind."""
    gained = np.where(curve.kind == kind, np.diff(curve.energy), 0.0)
    return _along(_running(gained), j, share)


def _along(at_knots: F64, j: I64, share: F64) -> F64:
    """A running sum, known at the knots, in segment ``j`` of which a share has passed."""
    found: F64 = at_knots[j] + share * (at_knots[j + 1] - at_knots[j])
    return found


def _fill_small_holes(known: F64, unknown: F64, seconds: F64) -> F64:
    """The mean of the known part stands for a hole of up to half an interval; beyond it the interval is missing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        filled = known * seconds / (seconds - unknown)
    small = (unknown <= 0.5 * seconds) | (seconds <= 0)
    return np.where(unknown == 0, known, np.where(small, filled, np.nan))


def _spread_band(curve: Curve, at: I64, known: F64, rated: float | None) -> tuple[F64, F64, F64, I64]:
    """Band, spread energy and flags of intervals that hold a part of a gap whose total alone is proven."""
    low, high = known.copy(), known.copy()
    spread, flags = np.zeros(len(known)), np.zeros(len(known), np.int64)
    touched = np.flatnonzero(curve.kind == SPREAD)
    touched = touched[(curve.t_ns[touched + 1] > at[0]) & (curve.t_ns[touched] < at[-1])]
    for i in touched:
        t0, t1 = int(curve.t_ns[i]), int(curve.t_ns[i + 1])
        overlap_s = np.maximum(np.minimum(at[1:], t1) - np.maximum(at[:-1], t0), 0) / NS_PER_S
        part = (overlap_s > 0) & (overlap_s < (t1 - t0) / NS_PER_S)
        total = curve.energy[i + 1] - curve.energy[i]
        most = np.full(len(known), total) if not rated else np.minimum(total, rated * overlap_s / S_PER_H)
        rest_s = (t1 - t0) / NS_PER_S - overlap_s
        least = np.zeros(len(known)) if not rated else np.maximum(total - rated * rest_s / S_PER_H, 0.0)
        mean = total * overlap_s * NS_PER_S / (t1 - t0)
        low[part] += np.minimum(least, mean)[part] - mean[part]
        high[part] += np.maximum(most, mean)[part] - mean[part]
        spread[part] += mean[part]
        flags[part] |= int(IntervalFlag.SPREAD | IntervalFlag.ESTIMATED)
    return low, high, spread, flags


def _interrupted(curve: Curve, bounds_ns: I64) -> Mask:
    """Intervals that touch a reset or a frozen register: there power stood in for a counter, which proves nothing."""
    return _touching(curve, bounds_ns, curve.reset | curve.frozen)


def _touching(curve: Curve, bounds_ns: I64, segments: Mask) -> Mask:
    found = np.zeros(len(bounds_ns) - 1, bool)
    for i in np.flatnonzero(segments):
        found |= (bounds_ns[1:] > curve.t_ns[i]) & (bounds_ns[:-1] < curve.t_ns[i + 1])
    return found


def _event_flags(curve: Curve, bounds_ns: I64, unknown: F64, powered: F64, spread: F64) -> I64:
    flags = np.zeros(len(unknown), np.int64)
    flags[unknown > 0] |= int(IntervalFlag.GAP | IntervalFlag.ESTIMATED)
    flags[_touching(curve, bounds_ns, curve.wrapped)] |= int(IntervalFlag.WRAP)
    reset = _touching(curve, bounds_ns, curve.reset)
    flags[reset] |= int(IntervalFlag.RESET | IntervalFlag.ESTIMATED)
    frozen = _touching(curve, bounds_ns, curve.frozen)
    flags[frozen] |= int(IntervalFlag.FROZEN | IntervalFlag.ESTIMATED)
    flags[(powered > 0) & (spread == 0) & ~reset & ~frozen] |= int(IntervalFlag.POWER_ONLY)
    if len(curve.set_aside_ns):
        rows = np.searchsorted(bounds_ns, curve.set_aside_ns, "right") - 1
        flags[rows[(rows >= 0) & (rows < len(flags))]] |= int(IntervalFlag.GLITCH)
    return flags
