"""What was classified of a point's registers in a span: when, from which readings, and why. Nothing is changed by asking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from analytics.counters import I64, ROUNDING, Mask, Register
from analytics.intervals import DIRECTIONS, MeteredPoint, Signals, WrapsAt
from analytics.registers import Stated
from analytics.samples import Readings, Samples, exchanges, rejected
from plant.ports import Annotation
from plant.register_statements import RegisterStatement
from plant.series import Span


class IncidentKind(Enum):
    """What a difference, or a reading, turned out to be; the text says what followed from it."""

    WRAP = "the register passed its end and went on from 0: the difference counts"
    RESET = "the register fell and did not come back: nothing was taken from the difference"
    EXCHANGE = "another register took over"
    DIP = "readings below the register, which then came back: set aside"
    SPIKE = "readings above the register, which then fell back: set aside"
    LEAP = "the register gained more than could flow: nothing was taken from the difference"
    FROZEN = "the register stood while power flowed: power stands in"
    GAP = "no reading for longer than gap_max_s: the difference is spread"
    REJECTED = "readings under a verdict: they do not count"


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing classified, between two readings of a register: ``before`` and ``after`` in kWh with ratio and direction
    applied, None where there was none on that side; ``readings`` is how many lie within."""

    point: str
    meter: str
    direction: str
    kind: IncidentKind
    start_ns: int
    end_ns: int
    before: float | None
    after: float | None
    readings: int = 0

    @property
    def why(self) -> str:
        """What it is and what followed from it."""
        return self.kind.value


def classified(
    metered: MeteredPoint,
    readings: Readings,
    span: Span,
    wraps_at: WrapsAt,
    annotations: Sequence[Annotation] = (),
    statements: Sequence[RegisterStatement] = (),
) -> list[Incident]:
    """Incidents of a point that touch a span, by time. ``readings`` reach beyond it, as for ``point_intervals``."""
    found: list[Incident] = []
    for mounting, until in metered.point.mounted():
        validity = (mounting.valid_from_ns, until)
        if validity[0] >= span.end_ns or until <= span.start_ns:
            continue
        signals = Signals(metered, mounting, validity, readings, wraps_at, annotations, statements)
        for direction in DIRECTIONS:
            found += _of_register(signals, direction, span)
    inside = [i for i in found if i.start_ns < span.end_ns and i.end_ns >= span.start_ns]
    return sorted(inside, key=lambda i: (i.start_ns, i.end_ns, i.direction))


def _of_register(signals: Signals, direction: str, span: Span) -> Iterator[Incident]:
    point, meter = signals.metered.point.id, signals.mounting.meter
    counter, stated, register = signals.counted(direction)
    values = dict(zip(counter.t_ns.tolist(), counter.value.tolist(), strict=True))
    values |= dict((*stated.readings, *stated.closings))

    def incident(kind: IncidentKind, start_ns: int, end_ns: int, n: int = 0) -> Incident:
        return Incident(point, meter, direction, kind, start_ns, end_ns, values.get(start_ns), values.get(end_ns), n)

    for kind, i in _segments(signals, register, stated, values):
        yield incident(kind, int(register.t_ns[i]), int(register.t_ns[i + 1]))
    for start_ns, end_ns, n, below in _aside(counter, register):
        yield incident(IncidentKind.DIP if below else IncidentKind.SPIKE, start_ns, end_ns, n)
    for closing, last in stated.closings:
        opened = min((o for o in stated.openings if o[0] >= closing), default=(closing, None))
        yield Incident(point, meter, direction, IncidentKind.EXCHANGE, closing, opened[0], last, opened[1])
    curve = signals.energy_curve(direction, (span.start_ns, span.end_ns)) if len(register) else None
    if curve is not None:
        for a, b in _runs(curve.frozen):
            yield incident(IncidentKind.FROZEN, int(curve.t_ns[a]), int(curve.t_ns[b]))
    every = signals.stored(direction)
    for a, b in _runs(rejected(every.t_ns, meter, signals.name_on_meter(direction), signals.annotations)):
        yield incident(IncidentKind.REJECTED, int(every.t_ns[a]), int(every.t_ns[b - 1]), b - a)


def _segments(
    signals: Signals, register: Register, stated: Stated, values: dict[int, float]
) -> Iterator[tuple[IncidentKind, int]]:
    """Kind and index of every difference that is not plainly counted."""
    swapped = exchanges(signals.mounting.meter, signals.annotations)
    dt_s = np.diff(register.t_ns) / 1e9
    for i in np.flatnonzero(register.wrapped | register.boundary | (dt_s > signals.metered.gap_max_s)):
        start, end = int(register.t_ns[i]), int(register.t_ns[i + 1])
        if register.wrapped[i]:
            yield IncidentKind.WRAP, int(i)
        elif register.boundary[i] and not stated.touches(start, end):
            before, after = values.get(start, np.nan), values.get(end, np.nan)
            fell = after < before - ROUNDING * abs(before)
            verdict = any(start < t <= end for t in swapped)
            yield IncidentKind.EXCHANGE if verdict else IncidentKind.RESET if fell else IncidentKind.LEAP, int(i)
        elif dt_s[i] > signals.metered.gap_max_s:
            yield IncidentKind.GAP, int(i)


def _aside(counter: Samples, register: Register) -> Iterator[tuple[int, int, int, bool]]:
    """Runs of readings that were set aside: the good readings around them, how many, and whether they lay below."""
    aside = np.isin(counter.t_ns, register.set_aside_ns)
    for a, b in _runs(aside):
        before, after = max(a - 1, 0), min(b, len(counter) - 1)
        good = counter.value[before] if a > 0 else counter.value[after]
        yield int(counter.t_ns[before]), int(counter.t_ns[after]), b - a, bool(counter.value[a] < good)


def _runs(mask: Mask) -> list[tuple[int, int]]:
    """First index and the one past the last of every run of true."""
    edges: I64 = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
