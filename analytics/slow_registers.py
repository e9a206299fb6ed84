"""Registers that are refreshed more slowly than they are read, where no power says what passes meanwhile.

While such a register stands, what passes is not known; when it moves, it tells for the whole stand at once. The slots of
the stand are then computed anew, and as long as it is known to stand that long, its readings are read from so far around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, I64, PLAUSIBLE
from analytics.derive import PlantModel
from analytics.intervals import DIRECTIONS, POWERS
from analytics.power import NS_PER_S, S_PER_H
from analytics.samples import Readings, name_on
from plant.quality import usable
from plant.series import QUARTER_NS, Span

Pair = tuple[str, str]
STILL = "@still"  # behind "meter/quantity": the instant at which a register last moved, where that is long ago
SLOW = "@slow"  # behind "meter/quantity": for how long a register stood at most before it moved late, in ns
MOST_NS = 7 * 96 * QUARTER_NS  # a register is read from no further around than what stands this long needs
CARRIED_SLOTS = 45 * 96


@dataclass(frozen=True, slots=True)
class Limit:
    """What a register may gain, in its own unit: ``per_s`` for each second, and ``slack`` once."""

    per_s: float
    slack: float


def limits(model: PlantModel, t_ns: int) -> dict[Pair, Limit]:
    """Limits of the registers mounted at an instant, of points whose rated power is known."""
    found: dict[Pair, Limit] = {}
    for metered in model.points.values():
        mounting = metered.point.mounting_at(t_ns)
        for direction in DIRECTIONS if mounting is not None else ():
            rated = metered.rated_kw(direction)
            if mounting is None or not rated or not mounting.ratio:
                continue
            name = "dc_energy" if metered.point.side == "dc" and direction == "import" else f"energy_{direction}"
            per_s = PLAUSIBLE * rated / S_PER_H / mounting.ratio
            slack = (mounting.register_step_kwh + rated / S_PER_H) / mounting.ratio
            found[mounting.meter, name_on(mounting, name)] = Limit(per_s, slack)
    return found


def moved_late(
    noted: Mapping[str, int], model: PlantModel, readings: Readings, span: Span, margin_ns: int
) -> tuple[dict[str, int], list[int]]:
    """Notes after a span was settled from ``readings``, which reach ``margin_ns`` around it, and the slots to be done anew:
    those in which a register stood that has now moved by more than can have passed since its reading before."""
    kept, stale = dict(noted), set[int]()
    for pair, limit in limits(model, span.end_ns - 1).items():
        series = readings.get(pair)
        if series is None or any(len(readings.get((pair[0], power), ())) for power in POWERS):
            continue
        good = usable(series.value, series.quality)
        if np.count_nonzero(good) > 1:
            stale |= _watched(kept, "/".join(pair), limit, series.t_ns[good], series.value[good], span, margin_ns)
    return kept, sorted(stale)


def reaches(noted: Mapping[str, int]) -> dict[Pair, int]:
    """How far around a span the registers known to be slow are read, ns: over a whole stand before the present one, which
    shows that they are."""
    found: dict[Pair, int] = {}
    for name, stood_ns in noted.items():
        if name.endswith(SLOW):
            meter, _, quantity = name.removesuffix(SLOW).rpartition("/")
            found[meter, quantity] = 2 * min(stood_ns, MOST_NS)
    return found


def _watched(kept: dict[str, int], name: str, limit: Limit, t_ns: I64, value: F64, span: Span, margin_ns: int) -> set[int]:
    """Slots of one register to be done anew; ``kept`` is brought up to date."""
    seen = t_ns < span.end_ns
    t_ns, value = t_ns[seen], value[seen]
    moved = np.flatnonzero(np.diff(value)) + 1
    if not len(t_ns):
        return set()
    since = np.concatenate([[min(kept.get(name + STILL, t_ns[0]), t_ns[0])], t_ns[moved][:-1]])[: len(moved)]
    gain, before = value[moved] - value[moved - 1], t_ns[moved - 1]
    dt_s, stood_s = (t_ns[moved] - before) / NS_PER_S, (t_ns[moved] - since) / NS_PER_S
    # more than its whole stand explains is no late gain, but a glitch or another register
    late = (gain > limit.per_s * dt_s + limit.slack) & (gain <= limit.per_s * (stood_s + dt_s) + limit.slack)
    longest_ns = int((t_ns[moved] - since)[late].max(initial=0))
    if 2 * longest_ns > margin_ns:
        kept[name + SLOW] = max(kept.get(name + SLOW, 0), -(-longest_ns // QUARTER_NS) * QUARTER_NS)
    stale = set[int]()
    late &= t_ns[moved] >= span.start_ns  # those before were seen when their slot was settled
    if late.any():
        stale = _stood(int(since[late][0]), int(t_ns[moved][late][0]), int(t_ns[0]), span)
    last_ns = int(t_ns[moved[-1]]) if len(moved) else min(kept.get(name + STILL, int(t_ns[0])), int(t_ns[0]))
    if span.end_ns - last_ns > margin_ns:
        kept[name + STILL] = last_ns
    else:
        kept.pop(name + STILL, None)
    return stale


def _stood(since_ns: int, until_ns: int, read_from_ns: int, span: Span) -> set[int]:
    """Slots of a stand that began before the span; those of the span itself where its beginning had not been read."""
    if since_ns >= span.start_ns:
        return set()
    end_ns = until_ns if since_ns < read_from_ns else span.start_ns
    return set(range(since_ns // QUARTER_NS * QUARTER_NS, end_ns, QUARTER_NS)[-CARRIED_SLOTS:])
