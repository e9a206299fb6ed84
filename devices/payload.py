"""Messages of a device to numbers and back, for every format: ``write`` is the mirror image of ``samples``. Pure and exact.

The collector's fast path for JSON (``collector.payloads.json``) takes only what it understands the same way, and leaves
everything else to this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from devices.payload_map import PayloadMap, PayloadPoint, PayloadTime
from devices.payload_scalar import (
    event_key,
    instant,
    instant_text,
    number,
    quality_word,
    sequence_number,
    shown,
)
from plant.errors import PayloadError

SAMPLES_MAX = 1_000
Find = Callable[[str], Any]  # what stands at a place of a sample, None where nothing does


@dataclass(frozen=True, slots=True)
class Sample:
    """One Frame of a message: raw numbers (NaN where missing) of the points ``columns`` (all of them where empty), instant
    (UTC ns, whole ms; None where the message has none), quality words (none where empty)."""

    raw: Sequence[float]
    t_ns: int | None
    event_id: str = ""
    sequence: int | None = None
    columns: tuple[int, ...] = ()
    quality: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What one message says: values in canonical units (NaN where absent), device time, event id, sequence number."""

    values: tuple[float, ...]
    t_ns: int | None
    event_id: str
    sequence: int | None


def samples(map_: PayloadMap, document: Any) -> list[Sample]:
    """The Frames of parsed JSON, at least one. A point that is absent or null is NaN. Raises PayloadError."""
    sequence = sequence_number(resolve(document, map_.sequence), map_) if map_.sequence else None
    if not map_.each:
        return sample(map_, partial(resolve, document), sequence)
    elements = resolve(document, map_.each)
    if not isinstance(elements, list) or not 0 < len(elements) <= SAMPLES_MAX:
        raise PayloadError(f"{map_.each}: found {shown(elements)}, expected an array of 1 to {SAMPLES_MAX} samples")
    return [one for element in elements for one in sample(map_, partial(resolve, element), sequence)]


def sample(map_: PayloadMap, find: Find, sequence: int | None) -> list[Sample]:
    """The Frames of one sample: several where points have instants of their own. Raises PayloadError."""
    raw = [number(find(point.path), point, map_) for point in map_.points]
    words = [_quality(map_, point, find) for point in map_.points]
    event_id = event_key(find(map_.event_id), map_.event_id) if map_.event_id else ""
    if any(point.time for point in map_.points):
        return _by_instant(map_, find, list(zip(raw, words, strict=True)), sequence)
    t_ns, doubt = (None, 0) if map_.time is None else instant(find(map_.time.path), map_.time)
    if doubt or any(words):
        return [Sample(raw, t_ns, event_id, sequence, (), tuple(quality | doubt for quality in words))]
    return [Sample(raw, t_ns, event_id, sequence)]


def _quality(map_: PayloadMap, point: PayloadPoint, find: Find) -> int:
    place = point.quality or (map_.quality.path if map_.quality else "")
    return quality_word(find(place), map_.quality) if place and map_.quality else 0


def _by_instant(map_: PayloadMap, find: Find, said: Sequence[tuple[float, int]], sequence: int | None) -> list[Sample]:
    """A Frame for each instant; a point that says neither what nor when belongs to none."""
    assert map_.time is not None
    frames: dict[int, list[tuple[int, float, int]]] = {}
    for column, (point, (raw, quality)) in enumerate(zip(map_.points, said, strict=True)):
        time = PayloadTime(point.time or map_.time.path, map_.time.format, map_.time.zone)
        found = find(time.path)
        if found is None and math.isnan(raw):
            continue
        t_ns, doubt = instant(found, time)
        frames.setdefault(t_ns, []).append((column, raw, quality | doubt))
    if not frames:
        raise PayloadError("found no point with a value and an instant, expected at least one")
    return [_partial(t_ns, frame, sequence) for t_ns, frame in sorted(frames.items())]


def _partial(t_ns: int, frame: Sequence[tuple[int, float, int]], sequence: int | None) -> Sample:
    columns, raw, quality = zip(*frame, strict=True)
    return Sample(raw, t_ns, "", sequence, columns, quality if any(quality) else ())


def parse_json(payload: bytes) -> Any:
    """The document of a JSON message; ``NaN`` and ``Infinity``, which JSON does not know, are read as some devices write
    them. Raises PayloadError."""
    try:
        # bytes that are no text hurt only what they stand in: an id of them is refused, a remark that nobody reads is not
        return json.loads(payload.decode(json.detect_encoding(payload), "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"no JSON: {error}; the message begins {payload[:40]!r}") from error


def canonical(map_: PayloadMap, sample_: Sample) -> dict[str, float]:
    """Values of a sample by quantity in canonical units; quantities that it does not speak of are not there."""
    columns = sample_.columns or range(len(map_.points))
    points = [map_.points[column] for column in columns]
    return {
        point.name: raw * float(point.scale.numerator) / float(point.scale.denominator) + float(point.offset)
        for point, raw in zip(points, sample_.raw, strict=True)
    }


def read(map_: PayloadMap, document: Any) -> Message:
    """The first Frame of parsed JSON, in canonical units. Raises PayloadError."""
    first = samples(map_, document)[0]
    values = canonical(map_, first)
    return Message(tuple(values.get(p.name, math.nan) for p in map_.points), first.t_ns, first.event_id, first.sequence)


def raw_of(point: PayloadPoint, value: float) -> float:
    """The raw number that stands for a canonical value."""
    return float((Fraction(value) - point.offset) / point.scale) if math.isfinite(value) else value


def write(map_: PayloadMap, message: Message) -> dict[str, Any]:
    """A JSON document as the device would publish it; NaN becomes null."""
    sample_: Any = {}
    for point, value in zip(map_.points, message.values, strict=True):
        _put(sample_, point.path, _said(map_, point, value))
        if point.time and map_.time is not None and message.t_ns is not None:
            _put(sample_, point.time, instant_text(message.t_ns, map_.time))
        if point.quality and map_.quality is not None:
            _put(sample_, point.quality, map_.quality.good[0])
    if map_.quality is not None and map_.quality.path:
        _put(sample_, map_.quality.path, map_.quality.good[0])
    if map_.time is not None and map_.time.path and message.t_ns is not None:
        _put(sample_, map_.time.path, instant_text(message.t_ns, map_.time))
    if map_.event_id:
        _put(sample_, map_.event_id, message.event_id)
    document: dict[str, Any] = sample_
    if map_.each:
        document = {}
        _put(document, map_.each, [sample_])
    if map_.sequence and message.sequence is not None:
        _put(document, map_.sequence, message.sequence)
    return document


def _said(map_: PayloadMap, point: PayloadPoint, value: float) -> Any:
    """A value as the device writes it in JSON."""
    if math.isnan(value):
        return None
    raw = raw_of(point, value)
    text = next((text for text, state in point.states.items() if state == raw), None)
    if text is not None:
        return {"true": True, "false": False}.get(text, text)
    return number_text(map_, point, raw) if map_.numbers == "text" else raw


def number_text(map_: PayloadMap, point: PayloadPoint, raw: float) -> str:
    """A raw number as text: shortest form, decimal mark and unit of the map."""
    text = next((text for text, state in point.states.items() if state == raw), None)
    if text is not None:
        return text
    text = "" if math.isnan(raw) else repr(raw)
    return (text.replace(".", ",") if map_.decimal == "comma" else text) + (f" {point.suffix}" if point.suffix and text else "")


def message(
    map_: PayloadMap, values: Mapping[str, float], t_ns: int | None, event_id: str = "", sequence: int | None = None
) -> Message:
    """A message from values by quantity; quantities left out are absent."""
    return Message(tuple(values.get(p.name, math.nan) for p in map_.points), t_ns, event_id, sequence)


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
        elif isinstance(here, list) and is_index(part) and int(part) < len(here):
            here = here[int(part)]
        else:
            return None
    return here


def is_index(part: str) -> bool:
    """Whether a part of a pointer can be the place of an array's element."""
    return part.isascii() and part.isdecimal() and len(part) < 7 and (part == "0" or part[0] != "0")


def _put(document: dict[str, Any], pointer: str, value: Any) -> None:
    """Write at a pointer, with arrays for parts that are numbers."""
    here: Any = document
    *path, last = parts = pointer_parts(pointer)
    for part, after in zip(path, parts[1:], strict=True):
        here = _step(here, part, [] if is_index(after) else {})
    _step(here, last, value)
    if isinstance(here, list):
        here[int(last)] = value
    else:
        here[last] = value


def _step(here: Any, part: str, fresh: Any) -> Any:
    """What stands at a part, ``fresh`` where nothing did."""
    if isinstance(here, dict):
        return here.setdefault(part, fresh)
    here += [None] * (int(part) + 1 - len(here))
    if here[int(part)] is None:
        here[int(part)] = fresh
    return here[int(part)]
