"""What a broker says it dropped: messages that were published and never reached us, since a queue of it was full.

Mosquitto tells in ``$SYS``; a broker that tells nothing there (EMQX, or one whose access list bars it) is said to be unknown.
The count is of all its clients together, since it gives no other. The last count is kept in a file, so that what was
dropped while we were away is found out too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import msgspec

from collector.disk import OS_DISK, Disk, replace_durably
from collector.mqtt311_compat import CompatibleLink
from collector.mqtt_link import BrokerSettings
from plant.errors import TransportError
from plant.ports import Clock, HealthBoard
from plant.site import Endpoint

DROPPED = "$SYS/broker/publish/messages/dropped"
# what is told of the queues, by topic; bytes are not told by every version
QUEUED = {"$SYS/broker/store/messages/count": "stored_messages", "$SYS/broker/store/messages/bytes": "stored_bytes"}
STANDS_S = 3_600.0  # the alarm of a loss ends an hour later
RETRY_S, SILENT_S = 30.0, 60.0
NS_PER_S = 1_000_000_000


class Count(msgspec.Struct, frozen=True):
    """The broker's count when last heard, and the latest growth of it: how many, and when it was noticed (UTC ns)."""

    total: int
    grown: int = 0
    noticed_ns: int = 0

    def after(self, total: int, now_ns: int) -> Count:
        """The broker says ``total`` now; less than before means that it was started anew and counts from nothing."""
        grown = total - self.total if total >= self.total else total
        if not grown:
            return Count(total, self.grown, self.noticed_ns)
        fresh = 0 <= now_ns - self.noticed_ns < STANDS_S * NS_PER_S
        return Count(total, grown + (self.grown if fresh else 0), now_ns)

    def standing(self, now_ns: int) -> int:
        """Messages lost lately; a clock that was set back keeps the alarm up rather than hiding it."""
        return self.grown if now_ns - self.noticed_ns < STANDS_S * NS_PER_S else 0


class BrokerStats:
    """Reads the counts of one broker over a connection of its own, which the broker keeps nothing of."""

    def __init__(
        self,
        endpoint: Endpoint,
        plant: str,
        *,
        clock: Clock,
        health: HealthBoard,
        secrets: Mapping[str, str],
        state_dir: Path,
        folder: Path = Path(),
        disk: Disk = OS_DISK,
    ) -> None:
        self._endpoint, self._plant, self._secrets, self._folder = endpoint, plant, secrets, folder
        self._clock, self._health, self._disk = clock, health, disk
        self._file = state_dir / f"{endpoint.id}.dropped"
        self._part = f"broker-queues:{endpoint.id}"
        self._count: Count | None = None
        self._queued: dict[str, float] = {}

    async def run(self) -> NoReturn:
        """Listen until cancelled; a broker that is away is the business of whoever reads its meters."""
        self._count = await asyncio.to_thread(self._load)
        while True:
            try:
                await self._listen()
            except TransportError as error:
                self._report("unknown", f"not heard: {error}")
            await self._clock.sleep(RETRY_S)

    async def _listen(self) -> None:
        own = BrokerSettings.of(self._endpoint, self._plant, (DROPPED, *QUEUED), self._secrets, self._folder)
        link = CompatibleLink(
            replace(own, client_id=f"{own.client_id}-queues", qos=0, shared_group="", keeping="nothing"), self._clock
        )
        try:
            await link.open()
            while True:
                try:
                    async with asyncio.timeout(SILENT_S):
                        deliveries = await link.receive()
                except TimeoutError:
                    self._report(
                        "unknown",
                        "tells nothing of its queues in $SYS: what it drops goes unseen here; watch it by its own means",
                    )
                    continue
                for delivery in deliveries:
                    await self._take(delivery.topic, delivery.payload)
        finally:
            await link.close()

    async def _take(self, topic: str, payload: bytes) -> None:
        try:
            number = int(payload)
        except ValueError:
            return
        if topic in QUEUED:
            self._queued[QUEUED[topic]] = float(number)
            return
        now_ns = self._clock.now_ns()
        before = self._count
        # what a broker dropped before it was heard for the first time is nothing that was lost on us
        count = Count(number) if before is None else before.after(number, now_ns)
        if count != before:
            await asyncio.to_thread(self._save, count)  # kept before it is told
            grown = 0 if before is None or count.noticed_ns != now_ns else number - min(before.total, number)
            self._health.count("broker_dropped_messages", {"endpoint": self._endpoint.id}, grown)
        self._count = count
        lost = self._count.standing(now_ns)
        if lost:
            detail = (
                f"dropped {lost} messages lately, of all its clients: a queue of it was full; raise max_queued_messages and "
                "max_queued_bytes, give it room on the disk, and see that potwatt keeps up"
            )
            self._report("degraded", detail)
        else:
            self._report("ok", "drops nothing")

    def _report(self, state: str, detail: str) -> None:
        numbers = dict(self._queued)
        if self._count is not None:
            lost = self._count.standing(self._clock.now_ns())
            numbers |= {"dropped_total": float(self._count.total), "dropped_lately": float(lost)}
        self._health.set(self._part, state, detail, **numbers)

    def _load(self) -> Count | None:
        try:
            return msgspec.json.decode(self._disk.read(self._file), type=Count)
        except (OSError, msgspec.MsgspecError):
            return None

    def _save(self, count: Count) -> None:
        try:
            self._disk.make_directory(self._file.parent)
            replace_durably(self._disk, self._file, msgspec.json.encode(count))
        except OSError:
            return  # the count is told all the same, and saved with its next change
