"""Wall clock of many instants at once, in the plant's zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics.counters import I64
from plant.calendar import PlantCalendar

NS = 1_000_000_000
STRIDE = 96  # a zone changes its offset a few times a year: only where both ends of a stride differ is each instant asked
QUARTER_S, DAY_S = 900, 86_400


@dataclass(frozen=True, slots=True, eq=False)
class WallClock:
    """Of m instants: ``day`` int64[m] since 1970, ``month`` int64[m] 1..12, ``quarter`` int64[m] of an hour since midnight."""

    day: I64
    month: I64
    quarter: I64


def wall_clock(calendar: PlantCalendar, t_ns: I64) -> WallClock:
    """Wall clock of ascending instants int64[m]; in a repeated hour both have the same quarter."""
    local_s = t_ns // NS + _offsets_s(calendar, t_ns)
    day = local_s // DAY_S
    month = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    return WallClock(day, month, local_s % DAY_S // QUARTER_S)


def _offsets_s(calendar: PlantCalendar, t_ns: I64) -> I64:
    found = np.empty(len(t_ns), np.int64)
    for first in range(0, len(t_ns), STRIDE):
        part = t_ns[first : first + STRIDE]
        ends = {_offset_s(calendar, int(t)) for t in (part[0], part[-1])}
        found[first : first + STRIDE] = ends.pop() if len(ends) == 1 else [_offset_s(calendar, int(t)) for t in part]
    return found


def _offset_s(calendar: PlantCalendar, t_ns: int) -> int:
    offset = calendar.local(t_ns).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())
