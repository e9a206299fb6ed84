"""Slots that were computed before the next reading was there, and have to be computed anew when it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from plant.quality import usable
from plant.quantities import QUANTITIES, Kind
from plant.series import QUARTER_NS, Series, Span

AT_ZERO = "@0"  # behind the name of a gap of a register that fell to 0
CARRIED_SLOTS = 45 * 96  # a register difference is carried over a silence of up to this long


def stale_slots(
    gaps: Mapping[str, int], readings: Mapping[tuple[str, str], Series], span: Span
) -> tuple[dict[str, int], list[int]]:
    """Gaps by "meter/quantity" after a span was settled from ``readings``, and the slots before it that are to be done anew.

    A gap starts with the slot of the last reading, since that one's end lies between two readings. Only registers and
    powers reach from one reading to the next.
    """
    kept, stale = dict(gaps), set[int]()
    for (meter, quantity), series in readings.items():
        if not (QUANTITIES[quantity].kind is Kind.COUNTER or QUANTITIES[quantity].unit == "kW"):
            continue
        t_ns, name = series.t_ns[usable(series.value, series.quality)], f"{meter}/{quantity}"
        if len(t_ns) == 0:
            continue
        if QUANTITIES[quantity].kind is Kind.COUNTER:
            stale.update(_back_from_zero(kept, f"{name}{AT_ZERO}", series, span))
        if name in kept and t_ns[-1] >= span.start_ns:
            stale.update(range(kept.pop(name), span.start_ns, QUARTER_NS)[-CARRIED_SLOTS:])
        if t_ns[-1] < span.end_ns:
            last = int(t_ns[-1])
            kept.setdefault(name, last - last % QUARTER_NS)
    return kept, sorted(stale)


def telling(gaps: Mapping[str, int], readings: Mapping[tuple[str, str], Series]) -> dict[tuple[str, str], Series]:
    """Readings, those missing (NaN) of registers that fell to 0 before them and have shown nothing else since."""
    fallen = {p for p in readings if f"{p[0]}/{p[1]}{AT_ZERO}" in gaps}
    return {
        pair: replace(series, value=np.full(len(series), np.nan))
        if pair in fallen and not np.nan_to_num(series.value).any()
        else series
        for pair, series in readings.items()
    }


def _back_from_zero(kept: dict[str, int], name: str, series: Series, span: Span) -> range:
    """Slots to be done anew since a register counts again that had shown 0; one that fell to 0 is noted in
    ``kept`` with the slot of its last count, as a silence is."""
    good = usable(series.value, series.quality)
    t_ns, value = series.t_ns[good], series.value[good]
    counting = np.flatnonzero(value)
    if len(counting) and value[-1] == 0:
        last = int(t_ns[counting[-1]])
        if last < span.end_ns:
            kept.setdefault(name, last - last % QUARTER_NS)
    elif len(counting) and name in kept:
        back_ns = int(t_ns[counting[0]])  # up to the slot that shows it, so that one computation sees both ends
        return range(kept.pop(name), max(span.start_ns, min(back_ns + 1, span.end_ns)), QUARTER_NS)[-CARRIED_SLOTS:]
    return range(0)
