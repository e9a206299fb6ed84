"""Sparkplug B as values: topics, payloads, metrics, and what a profile reads from them. Pure.

After the Eclipse Sparkplug specification 3.0.0, chapters 4 (topics) and 6 (payloads). The bytes are in
``devices.sparkplug_wire``, the order of messages in ``collector.payloads.sparkplug``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from devices.payload import Sample, raw_of
from devices.payload_map import PayloadMap, PayloadPoint, PayloadTime
from devices.payload_scalar import instant, number
from plant.errors import PayloadError
from plant.quality import Quality

NAMESPACE = "spBv1.0"
MESSAGES = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")
BDSEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"
SEQ_MODULUS = 256
_TIME = PayloadTime("timestamp", "unix_ms")


class DataType(IntEnum):
    """Types of a metric that a monitor reads (specification 6.4.16)."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14


# the property "Quality" of a metric: good, stale, bad
_QUALITY = {192: 0, 500: int(Quality.QUESTIONABLE | Quality.OLD_DATA), 0: int(Quality.INVALID | Quality.FAILURE)}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a payload. ``name`` is empty and ``alias`` None where it is not said; ``datatype`` 0 likewise.

    ``value`` is None for null, and for a value of a kind that no quantity can be (bytes, data sets, templates) ``kind`` says
    so. ``quality`` is the number of its property "Quality", None where it has none. ``is_historical``: kept while the line was
    broken, and sent after.
    """

    name: str
    value: float | bool | str | None
    datatype: int = 0
    t_ms: int | None = None
    alias: int | None = None
    quality: int | None = None
    kind: str = ""
    is_historical: bool = False


@dataclass(frozen=True, slots=True)
class Payload:
    """A message: its own time stamp (ms), sequence number (0 to 255), metrics."""

    t_ms: int | None
    seq: int | None
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Topic:
    """``spBv1.0/<group>/<message>/<node>[/<device>]``; ``device`` is empty for the edge node itself."""

    group: str
    message: str
    node: str
    device: str = ""

    @property
    def edge(self) -> str:
        """The edge node that it belongs to."""
        return f"{self.group}/{self.node}"

    def of(self, message: str) -> str:
        """The topic of another message of the same edge node and device."""
        return "/".join([NAMESPACE, self.group, message, self.node, *([self.device] if self.device else [])])


def topic_of(text: str) -> Topic | None:
    """The parts of a topic, None where it is none of a birth, data or death."""
    parts = text.split("/")
    if len(parts) not in (4, 5) or parts[0] != NAMESPACE or parts[2] not in MESSAGES or not all(parts):
        return None
    if (len(parts) == 5) != parts[2].startswith("D"):
        return None
    return Topic(parts[1], parts[2], parts[3], parts[4] if len(parts) == 5 else "")


def metric_samples(
    map_: PayloadMap, metrics: Iterable[Metric], payload_ms: int | None
) -> tuple[list[Sample], dict[str, PayloadError]]:
    """A Frame for each instant that the named metrics speak of; none where a profile reads none of them. And by name, what
    cannot be read: the others of its message count all the same.

    A metric that is not there was not due: the device reports by exception.
    """
    refused: dict[str, PayloadError] = {}
    columns = _columns(map_)
    frames: dict[tuple[int, int], dict[int, tuple[float, int]]] = {}
    for metric in metrics:
        column = columns.get(metric.name)
        if column is None:
            continue
        try:
            t_ns, _ = instant(payload_ms if metric.t_ms is None else metric.t_ms, _TIME)
            said = _said(metric, map_.points[column], map_)
        except PayloadError as error:
            refused[metric.name] = error
            continue
        again = 0  # a second value for one instant is a Frame of its own, so that the store sees both
        while column in frames.get((t_ns, again), {}):
            again += 1
        frames.setdefault((t_ns, again), {})[column] = said
    return [_sample(t_ns, frame, len(columns)) for (t_ns, _), frame in sorted(frames.items())], refused


@lru_cache(maxsize=1_024)
def _columns(map_: PayloadMap) -> Mapping[str, int]:
    return {point.path: column for column, point in enumerate(map_.points)}


def _said(metric: Metric, point: PayloadPoint, map_: PayloadMap) -> tuple[float, int]:
    if metric.kind:
        raise PayloadError(f"{metric.name}: found {metric.kind}, expected a number")
    quality = 0 if metric.quality is None else _QUALITY.get(metric.quality, int(Quality.QUESTIONABLE))
    return number(metric.value, point, map_), quality


def _sample(t_ns: int, frame: Mapping[int, tuple[float, int]], points: int) -> Sample:
    columns = tuple(sorted(frame))
    quality = tuple(frame[column][1] for column in columns)
    return Sample(
        tuple(frame[column][0] for column in columns),
        t_ns,
        columns=() if len(columns) == points else columns,
        quality=quality if any(quality) else (),
    )


def metrics_of(map_: PayloadMap, values: Sequence[float], t_ms: int | None) -> tuple[Metric, ...]:
    """The metrics that a device with this map publishes for canonical values in the order of its points, as doubles."""
    return tuple(_metric(point, value, t_ms) for point, value in zip(map_.points, values, strict=True))


def _metric(point: PayloadPoint, value: float, t_ms: int | None) -> Metric:
    raw = raw_of(point, value)
    text = next((text for text, state in point.states.items() if state == raw), None)
    if text is not None:
        return Metric(point.path, text, DataType.STRING, t_ms)
    return Metric(point.path, None if math.isnan(raw) else raw, DataType.DOUBLE, t_ms)
