"""Intervals of the many points whose readings need no judgement, as arrays of points x intervals in one pass.

Plain is a point whose meter was mounted throughout and sent usable registers that only grow, no faster than can be, read
at least every ``gap_max_s`` and beyond both ends, or amounts without a hole; without verdict or statement. What follows from
such readings is what ``analytics.intervals`` finds, operation by operation. Of any other point nothing is said here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analytics.counters import F64, I64, PLAUSIBLE, RETURN_SHARE, Mask
from analytics.intervals import AC_SIGNALS, AMOUNTS, DIRECTIONS, MeteredPoint, PointIntervals
from analytics.power import NS_PER_S, S_PER_H
from analytics.samples import AMOUNT_GRID_NS, Readings, completeness, factor_of, name_on
from plant.ports import Annotation
from plant.quality import usable
from plant.register_statements import RegisterStatement
from plant.series import Series
from plant.site import Mounting

Kind = Literal["register", "amount"]
CHUNK = 2**16  # values of one array at a time: what stays in the cache of a core
SAFE = 1 - 1e-9  # a limit that running sums reach by another way is kept away from by this


@dataclass(frozen=True, slots=True)
class _Point:
    """A point that may be plain: ``energy`` of either direction and ``power``, None where its meter has none."""

    name: str
    metered: MeteredPoint
    mounting: Mounting
    kind: Kind
    energy: tuple[Series | None, Series | None]
    power: Series | None

    @property
    def t_ns(self) -> I64:
        """Instants of the readings, which are the same for all its signals."""
        return next(s.t_ns for s in self.energy if s is not None)

    @property
    def poll_s(self) -> float:
        """How often the meter is read."""
        return self.metered.poll_interval_s.get(self.mounting.meter, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Instants ``t_ns`` int64[n] at which some meters were all read, or int64[n + 1] around n amounts, and where in it each
    set of bounds lies."""

    t_ns: I64
    bounds_ns: Sequence[I64]

    def places(self, bounds_ns: I64) -> tuple[I64, F64]:
        """Segment of each bound, and the share of it that has passed by then."""
        j = np.clip(np.searchsorted(self.t_ns, bounds_ns, "right") - 1, 0, len(self.t_ns) - 2)
        return j, (bounds_ns - self.t_ns[j]) / (self.t_ns[j + 1] - self.t_ns[j])

    def on_bounds(self) -> bool:
        """Whether every bound is an instant of the grid."""
        return all(bool(np.isin(self.places(b)[1], (0.0, 1.0)).all()) for b in self.bounds_ns)


def plain_intervals(
    points: Mapping[str, MeteredPoint],
    readings: Readings,
    bounds_ns: Sequence[I64],
    annotations: Sequence[Annotation] = (),
    statements: Sequence[RegisterStatement] = (),
) -> dict[str, list[PointIntervals]]:
    """Intervals of the plain among ``points`` by name, for each of several sets of ascending bounds with common ends: what
    ``point_intervals`` would give. Columns that are the same for many points are one array that cannot be written to."""
    judged = {a.meter for a in annotations}
    stated = {s.point for s in statements}
    span = (int(bounds_ns[0][0]), int(bounds_ns[0][-1]))
    assert all((int(b[0]), int(b[-1])) == span for b in bounds_ns), "sets of bounds with different ends"
    groups: dict[tuple[Kind, float, float, bool, int], list[_Point]] = {}
    grids = _Grids()
    for name, metered in points.items():
        point = None if name in stated else _candidate(name, metered, readings, span)
        if point is not None and point.mounting.meter not in judged:
            key = (point.kind, point.poll_s, metered.gap_max_s, point.power is not None, grids.index(point.t_ns))
            groups.setdefault(key, []).append(point)
    found: dict[str, list[PointIntervals]] = {}
    for (kind, poll_s, gap_max_s, powered, index), members in groups.items():
        t_ns = grids.every[index]
        grid = _grid(kind, t_ns, bounds_ns, gap_max_s)
        if grid is None or (powered and not grid.on_bounds()):
            continue
        records_ns = AMOUNT_GRID_NS if kind == "amount" else None
        complete = [_shared(completeness(t_ns, b, poll_s, records_ns)) for b in bounds_ns]
        for chunk in _chunks(members, len(grid.t_ns)):
            with np.errstate(invalid="ignore", over="ignore"):  # what is not plain may be not even a number
                found.update(_computed(kind, chunk, grid, complete))
    return found


def _candidate(name: str, metered: MeteredPoint, readings: Readings, span: tuple[int, int]) -> _Point | None:
    """What a point has to be computed from, None where that cannot be plain; its values are not looked at."""
    inside = [(m, until) for m, until in metered.point.mounted() if m.valid_from_ns < span[1] and until > span[0]]
    if len(inside) != 1 or metered.point.side == "dc":
        return None
    mounting, until = inside[0]
    series = {q: s for q in AC_SIGNALS if (s := readings.get((mounting.meter, name_on(mounting, q)))) is not None and len(s)}
    power = series.pop("active_power", None)
    kind: Kind = "amount" if any(q in AMOUNTS for q in series) else "register"
    names = AMOUNTS if kind == "amount" else tuple(f"energy_{d}" for d in DIRECTIONS)
    energy = (series.pop(names[0], None), series.pop(names[1], None))
    sent = [s for s in (*energy, power) if s is not None]
    missing = None in energy if power is not None else energy == (None, None)
    if series or missing or (power is not None and (kind == "amount" or mounting.register_step_kwh > 0)):
        return None
    t_ns = sent[0].t_ns
    if len(t_ns) < 2 or not mounting.valid_from_ns <= t_ns[0] <= t_ns[-1] <= until:
        return None
    same = all(s.t_ns is t_ns or np.array_equal(s.t_ns, t_ns) for s in sent[1:])
    return _Point(name, metered, mounting, kind, energy, power) if same else None


class _Grids:
    """Instants that several meters were read at, each set once."""

    def __init__(self) -> None:
        self.every: list[I64] = []
        self._alike: dict[tuple[int, ...], list[int]] = {}

    def index(self, t_ns: I64) -> int:
        """Place of a set of instants in ``every``."""
        alike = self._alike.setdefault((len(t_ns), *t_ns[[0, len(t_ns) // 2, -1]].tolist()), [])
        for i in alike:
            if self.every[i] is t_ns or np.array_equal(self.every[i], t_ns):
                return i
        alike.append(len(self.every))
        self.every.append(t_ns)
        return alike[-1]


def _grid(kind: Kind, t_ns: I64, bounds_ns: Sequence[I64], gap_max_s: float) -> _Grid | None:
    """The grid of readings at ``t_ns``, None where it has a hole or does not reach over the bounds."""
    gap = np.diff(t_ns)
    if kind == "amount":
        if np.any(gap != gap[0]):
            return None
        t_ns = np.append(t_ns, t_ns[-1] + gap[0])
        if not np.isin(bounds_ns[0][[0, -1]], t_ns).all():
            return None
    elif gap.max() / NS_PER_S > gap_max_s:
        return None
    return _Grid(t_ns, bounds_ns) if t_ns[0] <= bounds_ns[0][0] and t_ns[-1] >= bounds_ns[0][-1] else None


def _chunks(members: list[_Point], instants: int) -> Iterator[list[_Point]]:
    size = max(CHUNK // instants, 1)
    for first in range(0, len(members), size):
        yield members[first : first + size]


def _computed(kind: Kind, points: list[_Point], grid: _Grid, complete: Sequence[F64]) -> dict[str, list[PointIntervals]]:
    """Intervals of those of ``points`` whose values are plain."""
    plain, power = np.ones(len(points), bool), None
    if points[0].power is not None:
        power, fine = _values(points, [p.power for p in points], "active_power")
        plain &= fine & _within_rating(points, power)
    running: list[F64 | None] = []
    for i, direction in enumerate(DIRECTIONS):
        series = [p.energy[i] for p in points]
        if all(s is None for s in series):
            running.append(None)
            continue
        value, fine = _values(points, series, AMOUNTS[i] if kind == "amount" else f"energy_{direction}")
        plain &= fine
        if kind == "register":
            plain &= _grows(points, direction, value, grid.t_ns)
        gained = _gained(kind, value, grid.t_ns)
        if power is not None:
            flow = np.maximum(power if direction == "import" else -power, 0.0)
            plain &= _explained(gained, flow) & _below_peak(points, direction, value, flow, grid.t_ns)
        total = np.zeros((len(points), len(grid.t_ns)))
        np.cumsum(gained, axis=1, out=total[:, 1:])
        running.append(total)
    per_bounds: list[list[PointIntervals]] = []
    for i, bounds in enumerate(grid.bounds_ns):
        again = i > 0 and bounds is grid.bounds_ns[i - 1]
        per_bounds.append(per_bounds[-1] if again else _read_off(points, running, grid, bounds, complete[i]))
    return {points[r].name: [found[r] for found in per_bounds] for r in np.flatnonzero(plain)}


def _gained(kind: Kind, value: F64, t_ns: I64) -> F64:
    """What passed between the instants of a grid, rounded as the general path rounds it."""
    if kind == "register":
        return np.diff(value - value[:, :1])
    length = np.diff(t_ns)
    gained: F64 = value * length / length
    return gained


def _values(points: list[_Point], series: Sequence[Series | None], quantity: str) -> tuple[F64, Mask]:
    """Values [points, n] in the plant's sign, 0 where a meter has no such signal, and of which points all are usable."""
    length = max(len(s) for s in series if s is not None)
    none = np.zeros(length), np.zeros(length, np.int16)
    value = np.array([none[0] if s is None else s.value for s in series])
    quality = np.array([none[1] if s is None else s.quality for s in series])
    factor = np.array([factor_of(p.mounting, quantity) for p in points])
    return value * factor[:, None], _throughout(usable(value, quality))


def _within_rating(points: list[_Point], power: F64) -> Mask:
    most = np.array([PLAUSIBLE * p.metered.point.rated_power_kw or np.inf for p in points])
    return _throughout(np.abs(power) <= most[:, None])


def _grows(points: list[_Point], direction: str, value: F64, t_ns: I64) -> Mask:
    """Points whose register never falls nor gains what cannot have passed, and comes from nothing nowhere."""
    step = np.diff(value)
    rated = np.array([p.metered.rated_kw(direction) or np.nan for p in points])[:, None]
    slack = np.array([p.mounting.register_step_kwh for p in points])[:, None] + rated / S_PER_H
    most = PLAUSIBLE * rated * (np.diff(t_ns) / NS_PER_S / S_PER_H)
    with np.errstate(invalid="ignore"):
        possible = step <= (most + slack) * SAFE
    known = np.isnan(rated[:, 0])
    possible[known] = ~((step[known] > 0) & (step[known] >= RETURN_SHARE * np.abs(value[known, 1:])))
    return _throughout((step >= 0) & possible) & (value[:, 0] >= 0)


def _explained(gained: F64, power: F64) -> Mask:
    """Points whose register stands only where no power flows: one that stands although it does may be frozen."""
    flows = power > 0
    return _throughout((gained > 0) | ~(flows[:, 1:] | flows[:, :-1]))


def _below_peak(points: list[_Point], direction: str, value: F64, flow: F64, t_ns: I64) -> Mask:
    """Points that have a rated power in a direction, or whose register never gains more than the largest power makes."""
    rated = np.array([bool(p.metered.rated_kw(direction)) for p in points])
    most = PLAUSIBLE * flow.max(axis=1)[:, None] * (np.diff(t_ns) / NS_PER_S / S_PER_H)
    return rated | _throughout(np.diff(value) <= most * SAFE)


def _read_off(
    points: list[_Point], running: Sequence[F64 | None], grid: _Grid, bounds_ns: I64, complete: F64
) -> list[PointIntervals]:
    m = len(bounds_ns) - 1
    zero, one, nan = _shared(np.zeros(m)), _shared(np.ones(m)), _shared(np.full(m, np.nan))
    flags = np.zeros(m, np.int64)
    flags.flags.writeable = False
    seconds = np.diff(bounds_ns) / NS_PER_S
    tolerance = np.array([p.mounting.class_percent for p in points])[:, None] / 100
    j, share = grid.places(bounds_ns)
    energy: list[tuple[F64, F64, F64]] = []
    for total in running:
        if total is None:
            nothing = np.broadcast_to(zero, (len(points), m))
            energy.append((nothing, nothing, nothing))
            continue
        known = np.diff(total[:, j] + share * (total[:, j + 1] - total[:, j]))
        band = tolerance * np.abs(known)
        energy.append((known, known - band, known + band))
    (imported, import_low, import_high), (exported, export_low, export_high) = energy
    power = (imported - exported) / seconds * S_PER_H
    return [
        PointIntervals(
            imported[r],
            import_low[r],
            import_high[r],
            exported[r],
            export_low[r],
            export_high[r],
            power[r],
            complete,
            one,
            flags,
            nan,
        )
        for r in range(len(points))
    ]


def _throughout(mask: Mask) -> Mask:
    """Rows of a mask [points, n] that hold everywhere."""
    found: Mask = np.all(mask, axis=1)
    return found


def _shared(column: F64) -> F64:
    column.flags.writeable = False
    return column
