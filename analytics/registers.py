"""A mounted meter's register out of what it sent and what people stated: readings across a gap, exchanges without a loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.counters import Register
from analytics.samples import Samples
from plant.register_statements import RegisterStatement
from plant.site import Mounting


@dataclass(frozen=True, slots=True)
class Stated:
    """What was stated of one register of a mounting, ratio applied: ``readings`` as (instant ns, value), ``closings`` at which
    the register ended, ``openings`` at which another began."""

    readings: tuple[tuple[int, float], ...] = ()
    closings: tuple[tuple[int, float], ...] = ()
    openings: tuple[tuple[int, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.readings or self.closings or self.openings)

    def touches(self, start_ns: int, end_ns: int) -> bool:
        """Whether the register ended or began within [start, end]."""
        return any(start_ns <= t <= end_ns for t, _ in (*self.closings, *self.openings))


def stated_of(
    statements: Sequence[RegisterStatement], point: str, mounting: Mounting, register: str, validity: tuple[int, int]
) -> Stated:
    """Statements about a register (its name on the meter, as ``energy_import``) while the meter was mounted."""
    start, until = validity
    readings, closings, openings = [], [], []
    for s in statements:
        if s.point != point or f"energy_{s.register}" != register:
            continue
        last, first = s.reading_kwh * mounting.ratio, (s.first_kwh or 0.0) * mounting.ratio
        if not s.exchange:
            if start <= s.start_ns <= until:
                readings.append((s.start_ns, last))
            continue
        if start < s.start_ns <= until and mounting.meter != s.meter:
            closings.append((s.start_ns, last))
        if start <= s.end_ns < until and s.meter in ("", mounting.meter):
            openings.append((s.end_ns, first))
    return Stated(tuple(readings), tuple(closings), tuple(openings))


def parts(samples: Samples, stated: Stated, gap_max_s: float) -> list[Samples]:
    """The samples of each register that was in place, one after the other, with what was stated of it.

    A reading by eye counts only where the meter itself left a gap: beside readings of its own a clock a minute off would
    bend the register.
    """
    whole = _with_readings(samples, stated.readings, gap_max_s)
    cuts = sorted([(t, 0, v) for t, v in stated.closings] + [(t, 1, v) for t, v in stated.openings])
    found: list[Samples] = []
    opened: tuple[int, float] | None = None
    since, closed = -(2**62), False
    for t, opening, value in cuts:
        if opening:
            if not closed:  # nobody stated how the one before ended: what it sent until now is all there is
                found.append(_between(whole, since, t, opened, None))
            since, opened, closed = t, (t, value), False
        else:
            if not closed:
                found.append(_between(whole, since, t, opened, (t, value)))
            since, opened, closed = t, None, True
    if not closed:
        found.append(_between(whole, since, 2**62, opened, None))
    return [part for part in found if len(part)]


def chained(registers: Sequence[Register]) -> Register:
    """Registers that followed one another as one count: each goes on where the one before ended."""
    whole = registers[0]
    for following in registers[1:]:
        whole = _chain(whole, following)
    return whole


def _chain(a: Register, b: Register) -> Register:
    met = bool(a.t_ns[-1] == b.t_ns[0])
    fresh = slice(1 if met else 0, None)
    between = [] if met else [True]
    return Register(
        np.concatenate([a.t_ns, b.t_ns[fresh]]),
        np.concatenate([a.count, a.count[-1] + b.count[fresh]]),
        np.concatenate([a.boundary, between, b.boundary]).astype(bool),
        np.concatenate([a.wrapped, [False] * len(between), b.wrapped]).astype(bool),
        np.concatenate([a.set_aside_ns, b.set_aside_ns]),
    )


def _with_readings(samples: Samples, readings: Sequence[tuple[int, float]], gap_max_s: float) -> Samples:
    used = [(t, v) for t, v in readings if _in_gap(samples, t, gap_max_s)]
    if not used:
        return samples
    t_ns = np.concatenate([samples.t_ns, np.array([t for t, _ in used], np.int64)])
    value = np.concatenate([samples.value, [v for _, v in used]])
    _, first = np.unique(t_ns, return_index=True)
    return Samples(t_ns[first], value[first])


def _in_gap(samples: Samples, t_ns: int, gap_max_s: float) -> bool:
    i = int(np.searchsorted(samples.t_ns, t_ns))
    before = int(samples.t_ns[i - 1]) if i > 0 else None
    after = int(samples.t_ns[i]) if i < len(samples) else None
    if before is None and after is None:
        return True
    start, end = before if before is not None else t_ns, after if after is not None else t_ns
    return (end - start) / 1e9 > gap_max_s


def _between(
    samples: Samples, start_ns: int, end_ns: int, first: tuple[int, float] | None, last: tuple[int, float] | None
) -> Samples:
    """Samples strictly inside (start, end), with the reading at either end where one was stated."""
    rows = slice(
        int(np.searchsorted(samples.t_ns, start_ns, "right" if first else "left")),
        int(np.searchsorted(samples.t_ns, end_ns, "left")),
    )
    t_ns, value = samples.t_ns[rows], samples.value[rows]
    if first is not None:
        t_ns, value = np.r_[first[0], t_ns], np.r_[first[1], value]
    if last is not None:
        t_ns, value = np.r_[t_ns, last[0]], np.r_[value, last[1]]
    return Samples(t_ns.astype(np.int64), value.astype(float))
