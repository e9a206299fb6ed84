"""Readings under a verdict that says what is right: a ratio that was set wrong, a direction that was reversed.

Powers are multiplied. Registers go on where they stood: what they gained within the span of the verdict is multiplied, so that no
step appears at its ends; reversed, they gain what the register of the other direction did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analytics.counters import F64, I64
from plant.ports import Annotation
from plant.quality import usable
from plant.quantities import QUANTITIES, Kind
from plant.series import Series
from plant.verdicts import PLAIN, mending

MENDED_UNITS = ("kW", "kWh", "kvar", "kvarh", "kA", "kAh")


def factors(t_ns: I64, meter: str, quantity: str, annotations: Sequence[Annotation]) -> F64:
    """What readings are to be multiplied by, float64[n]; -1 where directions are swapped; later verdicts win."""
    found = np.ones(len(t_ns))
    for note in sorted(annotations, key=lambda a: (a.recorded_ns or 0, a.id or 0)):
        factor = mending(note.verdict)
        lifts = factor is not None or (note.verdict in PLAIN and note.verdict != "exchange")
        if lifts and note.meter == meter and note.quantity in ("", quantity):
            found[(t_ns >= note.start_ns) & (t_ns < note.end_ns)] = 1.0 if factor is None else factor
    return found


def mended(
    t_ns: I64,
    value: F64,
    meter: str,
    quantity: str,
    annotations: Sequence[Annotation],
    readings: Mapping[tuple[str, str], Series],
) -> F64:
    """Usable readings of a quantity of a meter, as it sends them, with what verdicts mend; float64[n]."""
    row = QUANTITIES[quantity]
    mine = [a for a in annotations if a.meter == meter and mending(a.verdict) is not None]
    if not mine or row.unit not in MENDED_UNITS or not len(value):
        return value
    if row.kind is not Kind.COUNTER:
        factor = factors(t_ns, meter, quantity, annotations)
        return value * (factor if row.directional else np.abs(factor))
    factor = factors((t_ns[:-1] + t_ns[1:]) // 2, meter, quantity, annotations)
    gained = np.diff(value)
    swapped = factor < 0
    if swapped.any() and row.mirror:
        other = readings.get((meter, row.mirror), Series.empty())
        good = usable(other.value, other.quality)
        if good.any():
            gained = np.where(swapped, np.diff(np.interp(t_ns, other.t_ns[good], other.value[good])), gained)
    result: F64 = value[0] + np.concatenate([[0.0], np.cumsum(gained * np.abs(factor))])
    return result
