"""From the readings of a register to energy that only grows: wraps counted, resets opened, glitches set aside.

A register that falls has wrapped, was reset or exchanged, or lied for a while. Only a wrap continues the count. A
fall that is not confirmed by what follows never moves the baseline down: an inverter that shows 0 at wake-up and
its lifetime energy a minute later has produced nothing in that minute.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

ROUNDING = 2.0**-22  # a register sent as a 32-bit float falls by this share of its value without meaning it
RETURN_SHARE = 0.5  # a leap back by at least half of the fall says that the fall was no fall
WRAP_FROM, WRAP_TO = 0.9, 0.1  # without a rated power a wrap is believed from the last tenth to the first tenth


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


def clean_register(t_ns: I64, value: F64, *, wraps_at: float | None = None, limit: F64 | None = None) -> Register:
    """Classify every fall and leap of finite readings ``value`` [n] at ascending ``t_ns`` [n].

    ``limit`` [n - 1] is the most that can have passed between two readings (NaN or None where unknown);
    ``wraps_at`` is the count at which the register starts again from 0.
    """
    limit = np.full(max(len(value) - 1, 0), np.nan) if limit is None else limit
    keep = _kept(value)
    if not keep.all():
        rows = np.flatnonzero(keep)
        total = np.concatenate([[0.0], np.cumsum(limit)])
        limit = np.diff(total[rows])
    kept_t, kept = t_ns[keep], value[keep]
    step = np.diff(kept)
    fell = step < -ROUNDING * np.abs(kept[:-1])
    wrapped = fell & _may_wrap(kept, step, wraps_at, limit)
    with np.errstate(invalid="ignore"):
        leapt = step > limit
    boundary = (fell & ~wrapped) | leapt
    offset = np.where(wrapped, wraps_at or 0.0, np.where(boundary, -step, 0.0))
    count = kept - kept[:1] + np.concatenate([[0.0], np.cumsum(offset)])[: len(kept)]
    return Register(kept_t, np.maximum.accumulate(count), boundary, wrapped, t_ns[~keep])


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
