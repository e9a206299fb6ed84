"""From stored readings of a mounted meter to usable samples in the plant's sign, and how many of them were due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, I64, Mask
from analytics.mending import mended
from analytics.power import NS_PER_S
from plant.ports import Annotation
from plant.quality import usable
from plant.quantities import QUANTITIES
from plant.series import MINUTE_NS, QUARTER_NS, Series
from plant.site import Mounting
from plant.verdicts import REJECTING, mending

Readings = Mapping[tuple[str, str], Series]
FINE_S = 15.0  # of polls up to this far apart not all that arrive lie on whole minutes
AMOUNT_GRID_NS = MINUTE_NS  # amounts are of whole minutes, however often their meter is read
EXCLUDING = REJECTING  # verdicts after which a reading proves nothing


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Usable samples of one quantity: ``t_ns`` int64[n] ascending, ``value`` float64[n] with ratio and direction applied."""

    t_ns: I64
    value: F64

    def __len__(self) -> int:
        return len(self.t_ns)


NONE = Samples(np.empty(0, np.int64), np.empty(0))


def mounted(
    readings: Readings, mounting: Mounting, quantity: str, span: tuple[int, int], annotations: Sequence[Annotation] = ()
) -> Samples:
    """Samples of ``quantity`` on the metering point while the meter was mounted there, within ``span`` (start, end ns).

    A reversed mounting reads the mirrored register and flips powers. Readings that an annotation rejects are left out, those
    that it mends are mended.
    """
    name = name_on(mounting, quantity)
    series = readings.get((mounting.meter, name))
    if series is None or len(series) == 0:
        return NONE
    mask = usable(series.value, series.quality) & (series.t_ns >= span[0]) & (series.t_ns <= span[1])
    mask &= ~rejected(series.t_ns, mounting.meter, name, annotations)
    t_ns, value = series.t_ns[mask], series.value[mask]
    if annotations:
        value = mended(t_ns, value, mounting.meter, name, annotations, readings)
    return Samples(t_ns, value * factor_of(mounting, quantity))


def name_on(mounting: Mounting, quantity: str) -> str:
    """The name that a mounted meter gives a quantity of its point: reversed, that of the other direction."""
    mirror = QUANTITIES[quantity].mirror
    return mirror if mounting.direction < 0 and mirror else quantity


def factor_of(mounting: Mounting, quantity: str) -> float:
    """Factor from what the meter sends to the plant's sign and the primary side."""
    row = QUANTITIES[quantity]
    electrical = row.unit in ("kW", "kWh", "kvar", "kvarh")
    return (mounting.ratio if electrical else 1.0) * (mounting.direction if row.directional else 1)


def within_rating(samples: Samples, most: float) -> Samples:
    """Samples of a power, ratio applied, without those beyond ``most`` (kW): no reading is worth more than what can flow.

    Held against on reading, so that a ratio or a rating that is mended restates history too.
    """
    possible = np.abs(samples.value) <= most
    return Samples(samples.t_ns[possible], samples.value[possible])


def rejected(t_ns: I64, meter: str, quantity: str, annotations: Sequence[Annotation]) -> Mask:
    """Mask of readings under a verdict; later verdicts overrule earlier ones, ``good`` and what mends lift them."""
    mask = np.zeros(len(t_ns), bool)
    for note in sorted(annotations, key=lambda a: (a.recorded_ns or 0, a.id or 0)):
        if note.meter == meter and note.quantity in ("", quantity):
            inside = (t_ns >= note.start_ns) & (t_ns < note.end_ns)
            if note.verdict in EXCLUDING or note.verdict == "good" or mending(note.verdict) is not None:
                mask[inside] = note.verdict in EXCLUDING
    return mask


def exchanges(meter: str, annotations: Sequence[Annotation]) -> list[int]:
    """Instants at which the register of a meter began anew, by annotation."""
    return sorted(a.start_ns for a in annotations if a.meter == meter and a.verdict == "exchange")


def completeness(t_ns: I64, bounds_ns: I64, poll_interval_s: float, grid_ns: int | None = None) -> F64:
    """Samples received of samples due, 0..1, in each of the m intervals between ``bounds_ns`` int64[m + 1].

    Due follows from the poll interval. Records thinner than that (imported history, minute values) are known by their stamps:
    where all of a quarter of an hour lie on whole minutes, which polls of seconds do not, the spacing that prevails there is
    due. Where polls too may lie on whole minutes, only stamps on whole quarters of an hour tell: every second reading of such
    a meter is half of those due, in however good an order they are; ``grid_ns`` says on what records of another kind lie.
    An interval shorter than the spacing is complete when the sample that covers it came.
    """
    seconds = np.diff(bounds_ns) / NS_PER_S
    if len(t_ns) == 0:
        return np.zeros(len(seconds))
    if grid_ns is None:
        grid_ns = MINUTE_NS if poll_interval_s <= FINE_S else QUARTER_NS
    spacing_s = np.maximum(_recorded_s(t_ns, bounds_ns[:-1], grid_ns), poll_interval_s)
    reach = np.maximum(seconds, spacing_s)
    start = bounds_ns[1:] - (reach * NS_PER_S).astype(np.int64)
    received = np.searchsorted(t_ns, bounds_ns[1:]) - np.searchsorted(t_ns, start)
    due = np.maximum(np.floor(reach / spacing_s + 1e-6), 1.0)
    share: F64 = np.minimum(received / due, 1.0)
    return share


def _recorded_s(t_ns: I64, at_ns: I64, grid_ns: int) -> F64:
    """Spacing of the records around each instant, 0 where they are polls: stamps in their quarter that lie off the grid of
    records."""
    off_grid = np.unique(t_ns[t_ns % grid_ns != 0] // QUARTER_NS)
    quarter = at_ns // QUARTER_NS
    polled = np.isin(quarter, off_grid)
    if polled.all():
        return np.zeros(len(at_ns))
    empty = ~np.isin(quarter, t_ns // QUARTER_NS)
    # no stamp tells in a quarter without any: those of all others do
    return np.where(polled | (empty & (len(off_grid) > 0)), 0.0, _spacing_s(t_ns, at_ns))


def _spacing_s(t_ns: I64, at_ns: I64) -> F64:
    """Prevailing spacing of the samples around each instant: the median within its quarter of an hour, else of all."""
    gap = np.diff(t_ns)
    if len(gap) == 0:
        return np.full(len(at_ns), 0.0)
    group = t_ns[:-1] // QUARTER_NS
    order = np.lexsort((gap, group))
    names, first, count = np.unique(group[order], return_index=True, return_counts=True)
    median = gap[order][first + count // 2].astype(float)
    overall = float(np.median(gap))
    median[count < 3] = overall
    where = np.clip(np.searchsorted(names, at_ns // QUARTER_NS), 0, len(names) - 1)
    found = np.where(names[where] == at_ns // QUARTER_NS, median[where], overall)
    spacing: F64 = found / NS_PER_S
    return spacing
