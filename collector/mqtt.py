"""Meters that publish to a broker: every message is durable in the spool, or in quarantine, before it is acknowledged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from collector import session_memory
from collector.inbox import Inbox, Sorted
from collector.mqtt5_fast import FastLink
from collector.mqtt311_compat import CompatibleLink
from collector.mqtt_health import BrokerHealth
from collector.mqtt_link import BrokerSettings, Delivery, Link, Session
from collector.payloads.formats import sparkplug_host
from collector.quarantine import Quarantine, Rejected
from collector.session_memory import Remembered
from collector.stamps import Stamps
from devices.maps import Profile
from plant.errors import SpoolFull, TransportError
from plant.frame import FrameBlock
from plant.ports import Clock, HealthBoard
from plant.site import Endpoint, Meter
from plant.topics import covers

Sink = Callable[[list[FrameBlock]], Awaitable[None]]
HOLD_S = 1.0
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 30.0
REPORT_S = 1.0
SEEN_S = 60.0  # how often it is noted that the session is still ours
NS_PER_S = 1_000_000_000
_MQTT_5 = 5


class MqttSource:
    """One broker and the meters behind it: MQTT 5 on the fast path, 3.1.1 (``mqtt_version = 4``) through aiomqtt.

    ``await sink(blocks)`` returns when they are durable and raises SpoolFull to make the source hold. ``secrets``
    maps the names of environment variables to their values. ``state_dir`` keeps what outlives the process: that there was
    a session, and the instants given to messages that carry none. ``folder`` is where the paths of TLS files start.
    ``tell_gone`` is told of meters whose edge node says that they are off: what they said last holds no more.
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
        state_dir: Path,
        folder: Path = Path(),
        tell_gone: Callable[[Collection[str]], None] = lambda _: None,
    ) -> None:
        self._endpoint, self._plant, self._secrets, self._folder = endpoint, plant, secrets, folder
        self._stamps = Stamps(state_dir / f"{endpoint.id}.stamps")
        self._session_file = state_dir / f"{endpoint.id}.session"
        self._remembered: Remembered | None = None
        host = sparkplug_host(meters, profiles, endpoint.sparkplug_rebirth)
        shared = bool(endpoint.shared_group)
        self._inbox = Inbox(plant, meters, profiles, host=host, stamps=self._stamps, shared=shared)
        self._topics = topics_of(endpoint, self._inbox.topics)
        self._sink, self._quarantine, self._clock, self._tell_gone = sink, quarantine, clock, tell_gone
        self._health = BrokerHealth(endpoint, meters, clock, health)

    async def run(self) -> NoReturn:
        """Receive until cancelled; a broker that is away or refuses is tried again with growing pauses."""
        await self._until_written(asyncio.to_thread, self._recall)
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

    def _recall(self) -> None:
        self._stamps.load()
        self._remembered = session_memory.load(self._session_file)

    async def _report(self) -> NoReturn:
        while True:
            self._health.report()
            kept = self._remembered
            if self._health.was_up and kept is not None and self._clock.now_ns() - kept.seen_ns > SEEN_S * NS_PER_S:
                await self._remember(Session.RESUMED)
            await self._clock.sleep(REPORT_S)

    async def _remember(self, session: Session) -> None:
        kept = session_memory.connected(self._remembered, self._settings(), session, self._clock.now_ns())
        self._remembered = kept
        await self._until_written(asyncio.to_thread, session_memory.save, self._session_file, kept)

    def _settings(self) -> BrokerSettings:
        settings = BrokerSettings.of(self._endpoint, self._plant, self._topics, self._secrets, self._folder)
        return settings if self._remembered is None else replace(settings, withdrawn=self._withdrawn(settings))

    def _withdrawn(self, settings: BrokerSettings) -> tuple[str, ...]:
        # a minute after the connection the broker has long done it
        return () if self._remembered is None or self._health.was_up else self._remembered.withdrawn(settings)

    def _link(self) -> Link:
        made = FastLink if self._endpoint.mqtt_version == _MQTT_5 else CompatibleLink
        return made(self._settings(), self._clock)

    async def _serve(self) -> NoReturn:
        link = self._link()
        try:
            session = await link.open()
            had = self._remembered
            await self._remember(session)
            self._inbox.connected(session, self._clock.now_ns())
            self._health.up(session, had, self._remembered)
            while True:
                deliveries = await link.receive()
                batch = await self._keep(deliveries)
                link.acknowledge(deliveries)
                for topic, payload in batch.publish:
                    link.publish(topic, payload)
        finally:
            await link.close()

    async def _keep(self, deliveries: Sequence[Delivery]) -> Sorted:
        """Return when everything that can be kept is durable."""
        received_ns = self._clock.now_ns()
        batch = self._inbox.sort(deliveries)
        self._health.note(batch, received_ns)
        await self._quarantine.put(batch.rejected)
        if batch.stamps:
            await self._until_written(self._stamps.keep, batch.stamps)
        if batch.blocks or batch.historical:
            await self._offer([*batch.blocks, *batch.historical])
        self._tell_gone([meter for meter, offline in batch.offline.items() if offline])
        self._health.hold("")
        return batch

    async def _until_written(self, write: Callable[..., Awaitable[object]], *arguments: object) -> None:
        """A disk that fails makes messages wait at the broker."""
        while True:
            try:
                await write(*arguments)
            except OSError as error:
                self._health.hold(f"{error}; check the disk and its rights")
                await self._clock.sleep(HOLD_S)
            else:
                return

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


def topics_of(endpoint: Endpoint, owed: Sequence[str]) -> tuple[str, ...]:
    """What to subscribe to: what the site says, and what its meters need beyond that."""
    return (*endpoint.topics, *(t for t in dict.fromkeys(owed) if not any(covers(wide, t) for wide in endpoint.topics)))


def pause_s(failures: int, chance: float) -> float:
    """Pause before try ``failures`` + 1: doubling up to half a minute, of that a random half to whole (``chance`` 0..1)."""
    longest = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(max(failures - 1, 0), 16))
    return longest * (0.5 + 0.5 * chance)
