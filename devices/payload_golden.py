"""Golden messages of a profile file: through the same bytes and the same reading as those of a device."""

from __future__ import annotations

from devices.payload import Sample, canonical
from devices.payload_map import PayloadMap
from devices.payload_text import frames
from devices.profile_file import GoldenText, MetricText
from devices.sparkplug import DataType, Metric, Payload, metric_samples
from devices.sparkplug_wire import decode, encode
from plant.errors import PayloadError


def golden_sample(map_: PayloadMap, block: GoldenText) -> tuple[dict[str, float], Sample]:
    """Canonical values by quantity, and the sample they come from. Raises PayloadError; ValueError for a block that no
    device could have sent."""
    found = _samples(map_, block)
    if len(found) < block.sample:
        raise PayloadError(f"found {len(found)} Frames in the message, expected at least {block.sample}")
    sample = found[block.sample - 1]
    return canonical(map_, sample), sample


def _samples(map_: PayloadMap, block: GoldenText) -> list[Sample]:
    if map_.format != "sparkplug":
        return frames(map_, block.payload.encode(), f"/{block.topic}" if block.topic else "")
    said = decode(encode(golden_payload(block)))
    found, refused = metric_samples(map_, said.metrics, said.t_ms)
    for error in refused.values():
        raise error
    return found


def golden_payload(block: GoldenText) -> Payload:
    """The Sparkplug B payload that a golden block's table of metrics stands for."""
    return Payload(None, 0, tuple(_metric(metric) for metric in block.metrics))


def _metric(metric: MetricText) -> Metric:
    return Metric(metric.name, metric.value, DataType[metric.type.upper()], metric.t_ms)
