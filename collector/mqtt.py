"""Meters that publish to a broker: every message is durable in the spool, or in quarantine, before it is acknowledged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NoReturn

from collector.inbox import Inbox
from collector.mqtt5_fast import FastLink
from collector.mqtt311_compat import CompatibleLink
from collector.mqtt_health import BrokerHealth
from collector.mqtt_link import BrokerSettings, Delivery, Link
from collector.quarantine import Quarantine, Rejected
from devices.maps import Profile
from plant.errors import SpoolFull, TransportError
from plant.frame import FrameBlock
from plant.ports import Clock, HealthBoard
from plant.site import Endpoint, Meter

Sink = Callable[[list[FrameBlock]], Awaitable[None]]
HOLD_S = 1.0
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 30.0
REPORT_S = 1.0
_MQTT_5 = 5


class MqttSource:
    """One broker and the meters behind it: MQTT 5 on the fast path, 3.1.1 (``mqtt_version = 4``) through aiomqtt.

    ``await sink(blocks)`` returns when they are durable and raises SpoolFull to make the source hold. ``secrets``
    maps the names of environment variables to their values.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        meters: Sequence[Meter],
        profiles: Mapping[str, Profile],
        *,
        plant: str,
        sink: Sink,
        quarantine: Quarantine,
        clock: Clock,
        health: HealthBoard,
        secrets: Mapping[str, str],
    ) -> None:
        self._endpoint, self._plant, self._secrets = endpoint, plant, secrets
        self._topics = endpoint.topics or tuple(m.topic for m in meters)
        self._inbox = Inbox(plant, meters, profiles)
        self._sink, self._quarantine, self._clock = sink, quarantine, clock
        self._health = BrokerHealth(endpoint.id, meters, clock, health)

    async def run(self) -> NoReturn:
        """Receive until cancelled; a broker that is away or refuses is tried again with growing pauses."""
        report = asyncio.create_task(self._report())
        try:
            failures = 0
            while True:
                try:
                    await self._serve()
                except TransportError as error:
                    failures = 1 if self._health.was_up else failures + 1
                    self._health.down(str(error))
                await self._clock.sleep(pause_s(failures, random.random()))  # noqa: S311 - jitter, no secret
        finally:
            report.cancel()

    async def _report(self) -> NoReturn:
        while True:
            self._health.report()
            await self._clock.sleep(REPORT_S)

    def _link(self) -> Link:
        settings = BrokerSettings.of(self._endpoint, self._plant, self._topics, self._secrets)
        made = FastLink if self._endpoint.mqtt_version == _MQTT_5 else CompatibleLink
        return made(settings, self._clock)

    async def _serve(self) -> NoReturn:
        link = self._link()
        try:
            session = await link.open()
            self._inbox.connected(session, self._clock.now_ns())
            self._health.up(session)
            while True:
                deliveries = await link.receive()
                await self._keep(deliveries)
                link.acknowledge(deliveries)
        finally:
            await link.close()

    async def _keep(self, deliveries: Sequence[Delivery]) -> None:
        """Return when everything that can be kept is durable."""
        received_ns = self._clock.now_ns()
        batch = self._inbox.sort(deliveries)
        self._health.note(batch, received_ns)
        await self._quarantine.put(batch.rejected)
        if batch.blocks:
            await self._offer(batch.blocks)
        self._health.hold("")

    async def _offer(self, blocks: Sequence[FrameBlock]) -> None:
        """Return when the blocks are durable; a Frame that has no form as a record goes to quarantine, not the others."""
        try:
            await self._until_taken(blocks)
        except ValueError as error:
            if len(blocks) == len(blocks[0]) == 1:
                await self._quarantine.put([_unwritable(blocks[0], error)])
                return
            for half in _halves(blocks):
                await self._offer(half)

    async def _until_taken(self, blocks: Sequence[FrameBlock]) -> None:
        while True:
            try:
                await self._sink(list(blocks))
            except SpoolFull as error:
                self._health.hold(str(error))
                await self._clock.sleep(HOLD_S)
            else:
                return


def _unwritable(block: FrameBlock, error: ValueError) -> Rejected:
    said = f"{block.event_ids} {block.quantities} {block.value.tolist()}"
    return Rejected(block.meter_of(0), f"it has no form as a record: {error!r}", said.encode("utf-8", "backslashreplace"))


def _halves(blocks: Sequence[FrameBlock]) -> tuple[Sequence[FrameBlock], Sequence[FrameBlock]]:
    if len(blocks) > 1:
        return blocks[: len(blocks) // 2], blocks[len(blocks) // 2 :]
    middle = len(blocks[0]) // 2
    return [blocks[0].take(slice(0, middle))], [blocks[0].take(slice(middle, None))]


def pause_s(failures: int, chance: float) -> float:
    """Pause before try ``failures`` + 1: doubling up to half a minute, of that a random half to whole (``chance`` 0..1)."""
    longest = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(max(failures - 1, 0), 16))
    return longest * (0.5 + 0.5 * chance)
