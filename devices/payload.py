"""JSON messages of a device to numbers and back: ``write`` is the mirror image of ``read``. Takes parsed JSON, no bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from devices.maps import PayloadMap, PayloadTime
from plant.errors import PayloadError

_NS = 1_000_000_000
_PER_SECOND = {"unix_s": 1, "unix_ms": 1_000}


@dataclass(frozen=True, slots=True)
class Message:
    """What one message says: values in canonical units (NaN where absent), device time, event id, sequence number."""

    values: tuple[float, ...]
    t_ns: int | None
    event_id: str
    sequence: int | None


def read(map_: PayloadMap, document: Any) -> Message:
    """Read parsed JSON. An absent or null value is NaN.

    Raises PayloadError for a value that is no number, a time that cannot be read, or an event without its id.
    """
    values = tuple(_number(resolve(document, p.path), p.path, p.scale) for p in map_.points)
    t_ns = None if map_.time is None else _instant_ns(resolve(document, map_.time.path), map_.time)
    event_id = resolve(document, map_.event_id) if map_.event_id else ""
    if map_.event_id and (event_id is None or isinstance(event_id, dict | list)):
        raise PayloadError(f"{map_.event_id}: found {event_id!r}; an event needs the id that its source gave it")
    sequence = resolve(document, map_.sequence) if map_.sequence else None
    if sequence is not None and (not isinstance(sequence, int) or isinstance(sequence, bool)):
        raise PayloadError(f"{map_.sequence}: found {sequence!r}; the sequence number is an integer")
    return Message(values, t_ns, str(event_id), sequence)


def write(map_: PayloadMap, message: Message) -> dict[str, Any]:
    """A JSON document as the device would publish it; NaN becomes null."""
    document: dict[str, Any] = {}
    for point, value in zip(map_.points, message.values, strict=True):
        _put(document, point.path, None if math.isnan(value) else float(Fraction(value) / point.scale))
    if map_.time is not None and message.t_ns is not None:
        _put(document, map_.time.path, _time_text(message.t_ns, map_.time))
    if map_.event_id:
        _put(document, map_.event_id, message.event_id)
    if map_.sequence and message.sequence is not None:
        _put(document, map_.sequence, message.sequence)
    return document


def pointer_parts(pointer: str) -> tuple[str, ...]:
    """Keys of a JSON pointer (RFC 6901). Raises ValueError unless it is empty or starts with a slash."""
    if pointer and not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is no JSON pointer; it starts with a slash")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def resolve(document: Any, pointer: str) -> Any:
    """What a JSON pointer points at, None where there is nothing."""
    here = document
    for part in pointer_parts(pointer):
        if isinstance(here, dict):
            here = here.get(part)
        elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            return None
    return here


def _put(document: dict[str, Any], pointer: str, value: Any) -> None:
    *path, last = pointer_parts(pointer)
    here = document
    for part in path:
        here = here.setdefault(part, {})
    here[last] = value


def _number(found: Any, path: str, scale: Fraction) -> float:
    if found is None:
        return math.nan
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise PayloadError(f"{path}: found {found!r}; a finite number or null is allowed")
    return float(found) * float(scale.numerator) / float(scale.denominator)


def _instant_ns(found: Any, time: PayloadTime) -> int:
    if time.format == "iso8601":
        try:
            at = datetime.fromisoformat(found)
        except (TypeError, ValueError):
            at = None
        if at is None or at.tzinfo is None:
            raise PayloadError(f"{time.path}: found {found!r}; an ISO 8601 time with an offset is allowed")
        since = at - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * _NS + since.microseconds * 1_000
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise PayloadError(f"{time.path}: found {found!r}; a number of {time.format.removeprefix('unix_')} since 1970 is allowed")
    return int(Fraction(found) * _NS / _PER_SECOND[time.format])


def _time_text(t_ns: int, time: PayloadTime) -> str | float | int:
    if time.format == "iso8601":
        return (
            datetime.fromtimestamp(t_ns // _NS, UTC).replace(microsecond=t_ns % _NS // 1_000).isoformat(timespec="milliseconds")
        )
    return t_ns // 1_000_000 if time.format == "unix_ms" else t_ns / _NS


def message(
    map_: PayloadMap, values: Mapping[str, float], t_ns: int | None, event_id: str = "", sequence: int | None = None
) -> Message:
    """A message from values by quantity; quantities left out are absent."""
    return Message(tuple(values.get(p.name, math.nan) for p in map_.points), t_ns, event_id, sequence)
