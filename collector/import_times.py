"""From the stamps of a table to interval starts in UTC. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.import_mapping import ISO_8601, TimeColumn

NO_TIME: Final = np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """``start_ns`` int64[n] in file order, ``NO_TIME`` where the stamp could not be read; ``reasons`` by row says why.

    ``midnight_jumps`` counts stamps of 00:00 that lie a whole day before their neighbours: the sign of a file whose
    midnight carries the date of the day it closes.
    """

    start_ns: npt.NDArray[np.int64]
    reasons: dict[int, str]
    midnight_jumps: int


def interval_starts(texts: Sequence[str], time: TimeColumn, zone: tzinfo | None) -> Stamps:
    """Starts of the intervals that ``texts`` stamp. ``zone`` applies to stamps without an offset."""
    start_ns = np.full(len(texts), NO_TIME, np.int64)
    reasons: dict[int, str] = {}
    interval_ns = time.interval_s * 1_000_000_000
    shift_ns = interval_ns if time.stamp == "end" else 0
    before_ns = NO_TIME
    jumps = 0
    for row, text in enumerate(texts):
        try:
            wall = _read(text.strip(), time.formats)
            at_midnight = (wall.hour, wall.minute, wall.second) == (0, 0, 0)
            if time.midnight == "day_closed" and at_midnight:
                wall += timedelta(days=1)
            stamp_ns = _utc_ns(wall, zone, before_ns)
        except ValueError as error:
            reasons[row] = str(error)
            continue
        # in a file of whole days a second row of the same midnight is no jump
        jumps += at_midnight and stamp_ns < before_ns and stamp_ns + _DAY_NS == before_ns + interval_ns
        start_ns[row] = stamp_ns - shift_ns
        before_ns = stamp_ns
    return Stamps(start_ns, reasons, jumps)


_DAY_NS = 86_400_000_000_000


def _read(text: str, formats: Sequence[str]) -> datetime:
    for pattern in formats:
        try:
            return datetime.fromisoformat(text) if pattern == ISO_8601 else datetime.strptime(text, pattern)  # noqa: DTZ007
        except ValueError:
            continue
    raise ValueError(f"time {text[:40]!r} does not fit {' or '.join(formats)}")


def _utc_ns(wall: datetime, zone: tzinfo | None, before_ns: int) -> int:
    if wall.tzinfo is None:
        if zone is None:
            raise ValueError(f"time {wall} has no offset, and the mapping says that each stamp has one")
        wall = _placed(wall, zone, before_ns)
    return _ns(wall)


def _placed(wall: datetime, zone: tzinfo, before_ns: int) -> datetime:
    first, second = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    if isinstance(zone, timezone) or first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
        raise ValueError(f"time {wall} does not exist in {zone}: the clock was put forward over it")
    # in the hour that comes twice, a stamp that does not come after the one before it belongs to the second pass
    return second if before_ns != NO_TIME and _ns(first) <= before_ns else first


def _ns(moment: datetime) -> int:
    # every store keeps whole milliseconds
    return (moment - _EPOCH) // _MILLISECOND * 1_000_000
