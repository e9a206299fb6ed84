"""Faults of meters and their lines, put over what a sound meter reports. Pure: readings in, readings out.

Each fault acts within a span and takes ``Reported`` readings of one meter; faults are put one over the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from plant.quantities import QUANTITIES, Kind
from plant.series import Span
from simulators.noise import NS_PER_S, Floats, Times, stream, uniform


@dataclass(frozen=True, slots=True, eq=False)
class Reported:
    """Readings in the order of arrival: ``t_ns`` as the device stamps them, ``value`` float64[n, k] by ``quantities``."""

    quantities: tuple[str, ...]
    t_ns: Times
    arrival_ns: Times
    value: Floats


class Fault(Protocol):
    """A change to what a meter reports."""

    def apply(self, reported: Reported) -> Reported:
        """Readings as they arrive with the fault."""
        ...


def sound(quantities: tuple[str, ...], t_ns: Times, value: Floats) -> Reported:
    """Readings that arrive when they are measured."""
    return Reported(quantities, t_ns, t_ns.copy(), value)


def with_faults(reported: Reported, faults: Sequence[Fault]) -> Reported:
    """All faults, first to last."""
    for fault in faults:
        reported = fault.apply(reported)
    return reported


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing arrives of a span."""

    span: Span

    def apply(self, reported: Reported) -> Reported:
        """Drop the readings of the span."""
        return _rows(reported, np.flatnonzero(~_within(reported, self.span)))


@dataclass(frozen=True, slots=True)
class Frozen:
    """The device goes on reporting what it measured last before the span."""

    span: Span

    def apply(self, reported: Reported) -> Reported:
        """Hold the values of the last reading before the span, or of its first."""
        inside = np.flatnonzero(_within(reported, self.span))
        if not len(inside):
            return reported
        value = reported.value.copy()
        value[inside] = value[max(inside[0] - 1, 0)]
        return replace(reported, value=value)


@dataclass(frozen=True, slots=True)
class Reset:
    """Every counter starts again from zero at an instant."""

    at_ns: int

    def apply(self, reported: Reported) -> Reported:
        """Take the reading at the instant from all later ones."""
        return _counters_from_zero(reported, self.at_ns)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Another meter takes over at an instant; its registers start at ``first_reading_kwh`` and it reads ``gain`` as much."""

    at_ns: int
    first_reading_kwh: float
    gain: float = 1.0

    def apply(self, reported: Reported) -> Reported:
        """Registers from the new meter's first reading on, gauges and increments times its gain."""
        fresh = _counters_from_zero(reported, self.at_ns)
        after = fresh.t_ns >= self.at_ns
        value = fresh.value.copy()
        value[after] *= self.gain
        counters = _counters(fresh.quantities)
        value[np.ix_(np.flatnonzero(after), counters)] += self.first_reading_kwh
        return replace(fresh, value=value)


@dataclass(frozen=True, slots=True)
class Wrap:
    """Every counter that moves passes its end ``wraps_at`` at an instant."""

    at_ns: int
    wraps_at: float

    def apply(self, reported: Reported) -> Reported:
        """Counters that read 0 again from the instant on, and what they lacked of their end before it."""
        row = min(int(np.searchsorted(reported.t_ns, self.at_ns)), len(reported.t_ns) - 1)
        value = reported.value.copy()
        for column in _counters(reported.quantities):
            counter = value[:, column]
            if counter[-1] > counter[0]:
                value[:, column] = np.mod(counter - counter[row], self.wraps_at)
        return replace(reported, value=value)


@dataclass(frozen=True, slots=True)
class Spike:
    """Single readings of one quantity are wrong by a factor; ``share`` of those in the span, chosen by the seed."""

    span: Span
    quantity: str
    factor: float
    share: float
    seed: int

    def apply(self, reported: Reported) -> Reported:
        """Multiply the readings that are hit."""
        chance = uniform(stream(self.seed, f"spike/{self.quantity}"), reported.t_ns // NS_PER_S)
        value = reported.value.copy()
        value[_within(reported, self.span) & (chance < self.share), reported.quantities.index(self.quantity)] *= self.factor
        return replace(reported, value=value)


@dataclass(frozen=True, slots=True)
class CoarseRegister:
    """Counters show whole steps alone."""

    step: float

    def apply(self, reported: Reported) -> Reported:
        """Cut counters to whole steps."""
        value = reported.value.copy()
        counters = _counters(reported.quantities)
        value[:, counters] = np.floor(value[:, counters] / self.step) * self.step
        return replace(reported, value=value)


@dataclass(frozen=True, slots=True)
class ClockDrift:
    """The device's clock is right at an instant and wrong by more and more ever after."""

    from_ns: int
    ppm: float

    def apply(self, reported: Reported) -> Reported:
        """Move the stamps, not the arrival."""
        ahead = np.maximum(reported.t_ns - self.from_ns, 0) * (self.ppm * 1e-6)
        return replace(reported, t_ns=reported.t_ns + np.round(ahead).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Readings of a span are delivered twice, as after a lost acknowledgement."""

    span: Span

    def apply(self, reported: Reported) -> Reported:
        """Repeat each reading of the span right behind itself."""
        return _rows(reported, np.repeat(np.arange(len(reported.t_ns)), 1 + _within(reported, self.span)))


@dataclass(frozen=True, slots=True)
class Late:
    """Readings of a span arrive only after it, in one go, behind those that came in time."""

    span: Span
    delay_s: float

    def apply(self, reported: Reported) -> Reported:
        """Put the readings of the span where they arrive."""
        arrival = reported.arrival_ns.copy()
        arrival[_within(reported, self.span)] = self.span.end_ns + round(self.delay_s * NS_PER_S)
        return _rows(replace(reported, arrival_ns=arrival), np.argsort(arrival, kind="stable"))


def _within(reported: Reported, span: Span) -> npt.NDArray[np.bool_]:
    return (reported.t_ns >= span.start_ns) & (reported.t_ns < span.end_ns)


def _rows(reported: Reported, rows: npt.NDArray[np.intp]) -> Reported:
    return replace(reported, t_ns=reported.t_ns[rows], arrival_ns=reported.arrival_ns[rows], value=reported.value[rows])


def _counters(quantities: tuple[str, ...]) -> npt.NDArray[np.intp]:
    return np.flatnonzero([QUANTITIES[name].kind is Kind.COUNTER for name in quantities])


def _counters_from_zero(reported: Reported, at_ns: int) -> Reported:
    """Counters that read zero in the first reading from an instant on."""
    after = np.flatnonzero(reported.t_ns >= at_ns)
    if not len(after):
        return reported
    value = reported.value.copy()
    counters = _counters(reported.quantities)
    value[np.ix_(after, counters)] -= value[after[0], counters]
    return replace(reported, value=value)
