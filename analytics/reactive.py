"""Reactive energy of the grid ties by interval: from registers, else from reactive power. What power factors rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analytics.counters import F64, I64, clean_register
from analytics.curve import counter_curve, read_off
from analytics.intervals import WrapsAt
from analytics.power import NO_POWER, integrate
from analytics.samples import Readings, mounted
from analytics.table import Columns
from plant import nodes
from plant.ports import Annotation
from plant.site import MeteringPoint, Mounting, Site

FIELDS = ("reactive_import", "reactive_export")  # kvarh
REGISTERS = {"reactive_import": "reactive_energy_import", "reactive_export": "reactive_energy_export"}
POWER = "reactive_power"
Pair = tuple[str, str]


def tie_points(site: Site) -> list[MeteringPoint]:
    """Metering points of the grid ties, best rank first."""
    return [p for b in site.branches_of("grid_tie") for p in site.points_of(b.id)]


def reactive_pairs(site: Site) -> Iterator[Pair]:
    """Every (meter, quantity) that a tie's reactive energy may follow from."""
    for point in tie_points(site):
        for mounting in point.mountings:
            yield from ((mounting.meter, quantity) for quantity in (*REGISTERS.values(), POWER))


def reactive_columns(
    site: Site, readings: Readings, bounds_ns: I64, wraps_at: WrapsAt, annotations: Sequence[Annotation] = ()
) -> dict[str, Columns]:
    """Kvarh of each of the m intervals between ``bounds_ns`` int64[m + 1] by point and field, plant's sign.

    NaN where less than half of an interval is known. A point whose meters have nothing of the kind is left out.
    """
    found: dict[str, Columns] = {}
    for point in tie_points(site):
        columns = {field: _point(site, point, field, readings, bounds_ns, wraps_at, annotations) for field in FIELDS}
        if any(np.isfinite(c).any() for c in columns.values()):
            found[nodes.point(point.id)] = columns
    return found


def _point(
    site: Site,
    point: MeteringPoint,
    field: str,
    readings: Readings,
    bounds_ns: I64,
    wraps_at: WrapsAt,
    annotations: Sequence[Annotation],
) -> F64:
    """One direction of a point: each mounting contributes the time it was in force."""
    total, known = np.zeros(len(bounds_ns) - 1), np.zeros(len(bounds_ns) - 1, bool)
    for mounting, end in point.mounted():
        validity = (mounting.valid_from_ns, end)
        inside = np.clip(bounds_ns, *validity)
        if inside[-1] > inside[0]:
            part = _mounted(site, mounting, field, validity, readings, inside, wraps_at, annotations)
            mine = np.diff(inside) > 0
            total[mine] += part[mine]
            known |= mine
    return np.where(known, total, np.nan)


def _mounted(
    site: Site,
    mounting: Mounting,
    field: str,
    validity: tuple[int, int],
    readings: Readings,
    bounds_ns: I64,
    wraps_at: WrapsAt,
    annotations: Sequence[Annotation],
) -> F64:
    gap_max_s, name = site.accounting.gap_max_s, REGISTERS[field]
    counter = mounted(readings, mounting, name, validity, annotations)
    power = mounted(readings, mounting, POWER, validity, annotations)
    if not len(counter) and not len(power):
        return np.full(len(bounds_ns) - 1, np.nan)
    sign = 1 if field == "reactive_import" else -1
    flow = integrate(power.t_ns, np.maximum(power.value * sign, 0.0), gap_max_s) if len(power) else NO_POWER
    read = name if mounting.direction > 0 else REGISTERS[next(f for f in FIELDS if f != field)]
    wraps = wraps_at(mounting.meter, read)
    ends_at = None if wraps is None else wraps * mounting.ratio
    register = clean_register(counter.t_ns, counter.value, wraps_at=ends_at)
    span = (int(bounds_ns[0]), int(bounds_ns[-1]))
    return read_off(counter_curve(register, flow, span, gap_max_s, 0.0), bounds_ns, None, 0.0).energy
