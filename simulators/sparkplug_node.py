"""A simulated Sparkplug B edge node: births with names and aliases, data by alias, its will. It numbers its messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from devices.payload_map import PayloadMap
from devices.sparkplug import BDSEQ, SEQ_MODULUS, DataType, Metric, Payload, Topic, metrics_of
from devices.sparkplug_wire import encode


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of the node."""

    topic: str
    payload: bytes


class EdgeNode:
    """``maps`` are the payload maps of its devices by name, "" for metrics of the node itself."""

    def __init__(self, group: str, node: str, maps: Mapping[str, PayloadMap]) -> None:
        self._topic, self._maps = Topic(group, "NDATA", node), maps
        self._bdseq, self._seq = -1, 0
        names = [(device, point.path) for device, map_ in maps.items() for point in map_.points]
        self._alias = {name: number for number, name in enumerate(names, start=1)}

    def connect(self) -> Sent:
        """The will to leave with the broker when connecting; the next births belong to it."""
        self._bdseq = (self._bdseq + 1) % SEQ_MODULUS
        return Sent(self._topic.of("NDEATH"), encode(Payload(None, None, (self._number(),))))

    def births(self, t_ms: int, values: Mapping[str, tuple[float, ...]]) -> list[Sent]:
        """Births of the node and of each device with their present canonical values."""
        own = self._metrics("", values.get("", ()), t_ms)
        node = Payload(t_ms, 0, (self._number(), *own))
        self._seq = 0
        sent = [Sent(self._topic.of("NBIRTH"), encode(node))]
        for device in self._maps:
            if device:
                metrics = self._metrics(device, values[device], t_ms)
                sent.append(Sent(self._of(device).of("DBIRTH"), encode(Payload(t_ms, self._next(), metrics))))
        return sent

    def data(self, device: str, t_ms: int, values: tuple[float, ...]) -> Sent:
        """Data by alias alone; quantities that are NaN are null."""
        metrics = tuple(replace(metric, name="", datatype=_untyped(metric)) for metric in self._metrics(device, values, t_ms))
        kind = "DDATA" if device else "NDATA"
        return Sent(self._of(device).of(kind), encode(Payload(t_ms, self._next(), metrics)))

    def death(self, device: str) -> Sent:
        """A device is gone."""
        return Sent(self._of(device).of("DDEATH"), encode(Payload(None, self._next())))

    def _metrics(self, device: str, values: tuple[float, ...], t_ms: int) -> tuple[Metric, ...]:
        if device not in self._maps:
            return ()
        found = metrics_of(self._maps[device], values, t_ms)
        return tuple(replace(metric, alias=self._alias[device, metric.name]) for metric in found)

    def _of(self, device: str) -> Topic:
        return replace(self._topic, device=device)

    def _next(self) -> int:
        self._seq = (self._seq + 1) % SEQ_MODULUS
        return self._seq

    def _number(self) -> Metric:
        return Metric(BDSEQ, self._bdseq, DataType.INT64)


def _untyped(metric: Metric) -> int:
    """Data leave the type to the birth; a null has none to leave."""
    return 0 if metric.value is not None else metric.datatype
