"""Which meters of a trial plant get which fault, when: drawn from the seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from plant.series import Span
from simulators.faults import ClockDrift, Duplicate, Exchange, Fault, Frozen, Gap, Late, Reset, Spike, Wrap

HOUR_NS = 3_600_000_000_000
MINUTE_NS = 60_000_000_000
WRAPS_AT = 1e8
COARSE_H = 0.02  # a coarse register steps by what the rated power makes in this time: 8 MWh at a tie of 400 MW
LATE_H = 9.0
VICTIMS = {"gap": 4, "outage": 1, "failover": 1, "wrap": 3, "reset": 2, "exchange": 2, "frozen": 2, "spike": 4, "coarse": 3}
VICTIMS |= {"drift": 3, "duplicate": 3, "late": 4}
KINDS = tuple(VICTIMS)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Faults by meter, meters with coarse registers, and the exchanges that somebody registered, (meter, instant)."""

    by_meter: dict[str, list[Fault]] = field(default_factory=dict)
    coarse: set[str] = field(default_factory=set)
    wrapped: set[str] = field(default_factory=set)
    registered: list[tuple[str, int]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)  # (meter, kind), for the list of what was wrong


def draw_faults(
    seed: int, span: Span, meters: Sequence[str], checked: Sequence[str], kinds: Sequence[str], late_ns: int
) -> Drawn:
    """Faults of the ``kinds`` named for some of the ``meters``; those in ``checked`` have a check meter that takes over.

    What comes late comes after ``late_ns``.
    """
    drawn = Drawn()
    for kind in KINDS:  # every kind draws from its own stream, so that one alone hits as it does among all
        own = np.random.default_rng([seed, KINDS.index(kind)])
        if kind not in kinds:
            continue
        pool = list(checked) if kind == "failover" else [m for m in meters if m not in drawn.by_meter and m not in drawn.coarse]
        for meter in own.permutation(pool)[: VICTIMS[kind]].tolist():
            _put(drawn, kind, meter, own, span, late_ns)
    return drawn


@dataclass(frozen=True, slots=True)
class _Draw:
    """Where a fault may lie, and where it begins."""

    random: np.random.Generator
    at_ns: int
    span: Span
    late_ns: int

    def some(self, least_h: float, most_h: float) -> Span:
        return Span(self.at_ns, self.at_ns + int(self.random.uniform(least_h, most_h) * HOUR_NS))


def _put(drawn: Drawn, kind: str, meter: str, random: np.random.Generator, span: Span, late_ns: int) -> None:
    at = span.start_ns + int(random.uniform(0.05, 0.95) * (span.end_ns - span.start_ns)) // MINUTE_NS * MINUTE_NS
    drawn.told.append((meter, kind))
    if kind == "coarse":
        drawn.coarse.add(meter)
        return
    if kind == "wrap":
        drawn.wrapped.add(meter)
    if kind == "exchange":
        drawn.registered.append((meter, at))
    drawn.by_meter.setdefault(meter, []).extend(_MAKE[kind](_Draw(random, at, span, late_ns)))


def _spikes(draw: _Draw) -> list[Fault]:
    seed = int(draw.random.integers(2**31))
    of_power, of_register = (float(draw.random.choice(factors)) for factors in ([0.0, -1.0, 7.0], [0.0, 4.0]))
    return [Spike(draw.span, "power", of_power, 0.0005, seed), Spike(draw.span, "register", of_register, 0.0003, seed + 1)]


def _exchange(draw: _Draw) -> list[Fault]:
    work = Span(draw.at_ns - HOUR_NS // 3, draw.at_ns)
    return [Gap(work), Exchange(draw.at_ns, float(draw.random.uniform(0.0, 5_000.0)))]


_MAKE: dict[str, Callable[[_Draw], list[Fault]]] = {
    "gap": lambda draw: [Gap(draw.some(0.1, 6.0))],
    "outage": lambda draw: [Gap(draw.some(20.0, 60.0))],
    "failover": lambda draw: [Gap(draw.some(24.0, 120.0))],
    "wrap": lambda draw: [Wrap(draw.at_ns, WRAPS_AT)],
    "reset": lambda draw: [Reset(draw.at_ns)],
    "exchange": _exchange,
    "frozen": lambda draw: [Frozen(draw.some(0.5, 5.0))],
    "spike": _spikes,
    "drift": lambda draw: [ClockDrift(draw.span.start_ns, float(draw.random.uniform(-30.0, 30.0)))],
    "duplicate": lambda draw: [Duplicate(draw.some(1.0, 10.0))],
    "late": lambda draw: [Late(Span(draw.late_ns - int(draw.random.uniform(2.0, LATE_H) * HOUR_NS), draw.late_ns), 60.0)],
}
