"""Slots that were computed before the next reading was there, and have to be computed anew when it comes."""

from __future__ import annotations

from collections.abc import Mapping

from plant.quality import usable
from plant.quantities import QUANTITIES, Kind
from plant.series import QUARTER_NS, Series, Span

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
        if name in kept and t_ns[-1] >= span.start_ns:
            stale.update(range(kept.pop(name), span.start_ns, QUARTER_NS)[-CARRIED_SLOTS:])
        if t_ns[-1] < span.end_ns:
            last = int(t_ns[-1])
            kept.setdefault(name, last - last % QUARTER_NS)
    return kept, sorted(stale)
