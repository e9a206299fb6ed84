"""The meters of the simulated plant that publish JSON: QoS 1, own time stamps, reconnecting by themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import aiomqtt
import numpy as np
import orjson

from devices.payload import Message, message, write
from devices.payload_map import PayloadMap
from devices.payload_text import write_csv, write_values
from plant.ports import Clock
from plant.series import Span
from plant.site import Endpoint, Meter
from simulators.noise import NS_PER_S
from simulators.readings import Readings, payload_map, tap_columns

_LOG = logging.getLogger(__name__)
_RECONNECT_S = 1.0
_TICK_S = 0.25
_ANSWER_S = 3.0
_DAY_NS = 86_400 * NS_PER_S
_KEPT_S = 900  # what a device keeps while the broker is away; older readings are lost, as on a real one


@dataclass(frozen=True, slots=True)
class Publication:
    """One message: where to, what, and the instant it is about."""

    topic: str
    payload: bytes
    t_ns: int


class MqttPublisher:
    """Publishes readings from ``since_ns`` and taps from ``taps_since_ns`` on; what the broker acknowledged is not sent again."""

    def __init__(
        self,
        endpoint: Endpoint,
        meters: Sequence[Meter],
        readings: Readings,
        clock: Clock,
        *,
        since_ns: int,
        taps_since_ns: int,
    ) -> None:
        self._endpoint, self._readings, self._clock = endpoint, readings, clock
        self._scales = tuple(meter for meter in meters if readings.profile(meter.id).event)
        self._steady = tuple(meter for meter in meters if meter not in self._scales)
        self._told_until_ns = dict.fromkeys((m.id for m in self._steady), since_ns)
        self._told_until_ns |= dict.fromkeys((m.id for m in self._scales), taps_since_ns)
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def scales_told_until_ns(self) -> int:
        """Every tap up to this instant is with the broker."""
        return min(self._told_until_ns[scale.id] for scale in self._scales)

    async def start(self) -> None:
        """Begin to publish in the background."""
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name="simulated publisher")

    async def stop(self) -> None:
        """Stop publishing and disconnect."""
        if self._task is None:
            return
        # wait_for of Python 3.11, which aiomqtt uses, can swallow a cancellation; the flag cannot be lost
        self._stopping = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        connected = True
        while not self._stopping:
            try:
                async with aiomqtt.Client(
                    self._endpoint.host,
                    self._endpoint.port,
                    identifier="potwatt-simulator",
                    protocol=aiomqtt.ProtocolVersion.V311,
                    timeout=_ANSWER_S,
                ) as client:
                    connected = True
                    await self._publish_while_connected(client)
            except aiomqtt.MqttError as error:
                if connected and not self._stopping:
                    _LOG.warning("simulated publisher: no connection to %s: %s", self._endpoint.id, error)
                connected = False
                await self._clock.sleep(_RECONNECT_S)

    async def _publish_while_connected(self, client: aiomqtt.Client) -> None:
        """Publish until stopped; a lost connection is noticed at once, not after the wait for an acknowledgement."""
        tasks = [asyncio.create_task(self._publish_until_stopped(client)), asyncio.create_task(_until_lost(client))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish_until_stopped(self, client: aiomqtt.Client) -> None:
        while not self._stopping:
            now_ns = self._clock.now_ns()
            for meter in self._steady:
                start_ns = max(self._told_until_ns[meter.id], now_ns - _KEPT_S * NS_PER_S) + 1
                await self._publish(client, meter, reading_publications(self._readings, meter, _span(start_ns, now_ns + 1)))
            for scale in self._scales:
                # after a long pause a day at a time, so that the steady meters are not kept waiting
                start_ns = self._told_until_ns[scale.id] + 1
                end_ns = min(now_ns + 1, start_ns + _DAY_NS)
                await self._publish(client, scale, tap_publications(self._readings, scale, _span(start_ns, end_ns)))
                if not self._stopping:
                    self._told_until_ns[scale.id] = max(self._told_until_ns[scale.id], end_ns - 1)
            await self._clock.sleep(_TICK_S)

    async def _publish(self, client: aiomqtt.Client, meter: Meter, publications: Sequence[Publication]) -> None:
        for publication in publications:
            if self._stopping:
                return
            await client.publish(publication.topic, publication.payload, qos=1)
            self._told_until_ns[meter.id] = publication.t_ns


async def _until_lost(client: aiomqtt.Client) -> None:
    """Raises MqttError when the connection is lost; nothing is subscribed, so no message ever comes."""
    async for _ in client.messages:
        pass


def _span(start_ns: int, end_ns: int) -> Span:
    """Empty where the clock went back."""
    return Span(min(start_ns, end_ns), end_ns)


def reading_publications(readings: Readings, meter: Meter, span: Span) -> list[Publication]:
    """Messages of a meter at the multiples of its interval within a span; the sequence number counts these multiples."""
    period_ns = round(meter.poll_interval_s * NS_PER_S)
    first, last = -(-span.start_ns // period_ns), -(-span.end_ns // period_ns)
    numbers = np.arange(first, last, dtype=np.int64)
    if not len(numbers):
        return []
    profile = readings.profile(meter.id)
    map_ = payload_map(profile)
    rows = readings.reading_columns(meter.id, numbers * period_ns).tolist()
    found = []
    for number, row in zip(numbers.tolist(), rows, strict=True):
        t_ns = number * period_ns
        said = message(map_, dict(zip(profile.quantities, row, strict=True)), t_ns, sequence=number)
        found += [Publication(meter.topic + suffix, payload, t_ns) for suffix, payload in payloads(map_, said)]
    return found


def payloads(map_: PayloadMap, said: Message) -> list[tuple[str, bytes]]:
    """A message as its device writes it: what follows the meter's topic, and bytes. Raises ValueError for Sparkplug B,
    whose messages hang on those before them (``simulators.sparkplug_node``)."""
    if map_.format == "sparkplug":
        raise ValueError("Sparkplug B messages come from an edge node")
    if map_.format == "value":
        return [(suffix, text.encode()) for suffix, text in write_values(map_, said)]
    if map_.format == "csv":
        return [("", write_csv(map_, [said]).encode())]
    return [("", orjson.dumps(write(map_, said)))]


def tap_publications(readings: Readings, meter: Meter, span: Span) -> list[Publication]:
    """One message for each ladle that a scale weighs within a span."""
    profile = readings.profile(meter.id)
    map_ = payload_map(profile)
    taps = readings.taps(meter.id, span)
    found = []
    for t_ns, row, event_id in zip(taps.t_ns.tolist(), tap_columns(profile, taps).tolist(), taps.event_ids, strict=True):
        document = write(map_, message(map_, dict(zip(profile.quantities, row, strict=True)), t_ns, event_id))
        found.append(Publication(meter.topic, orjson.dumps(document), t_ns))
    return found
