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
from collector.quarantine import Quarantine
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
        return FastLink(settings) if self._endpoint.mqtt_version == _MQTT_5 else CompatibleLink(settings)

    async def _serve(self) -> NoReturn:
        link = self._link()
        try:
            self._health.up(await link.open())
            while True:
                deliveries = await link.receive()
                await self._keep(deliveries)
                link.acknowledge(deliveries)
        finally:
            await link.close()

    async def _keep(self, deliveries: Sequence[Delivery]) -> None:
        """Return when everything that can be kept is durable."""
        received_ns = self._clock.now_ns()
        batch = self._inbox.sort(deliveries, received_ns)
        self._health.note(batch, received_ns)
        await self._quarantine.put(batch.rejected)
        while batch.blocks:
            try:
                await self._sink(batch.blocks)
                break
            except SpoolFull as error:
                self._health.hold(str(error))
                await self._clock.sleep(HOLD_S)
        self._health.hold("")


def pause_s(failures: int, chance: float) -> float:
    """Pause before try ``failures`` + 1: doubling up to half a minute, of that a random half to whole (``chance`` 0..1)."""
    longest = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(max(failures - 1, 0), 16))
    return longest * (0.5 + 0.5 * chance)
