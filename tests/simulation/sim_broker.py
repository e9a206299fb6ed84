"""A broker with one persistent session, and the link to it: QoS 1, a receive window, redelivery, lines that break."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from collector.mqtt_link import Delivery, Session
from plant.errors import TransportError

from .sim_loop import SimLoop


@dataclass(slots=True)
class BrokerFaults:
    """Chances of one connection attempt, of one batch of deliveries and of one batch of acknowledgements."""

    refuses: float = 0.0
    drops: float = 0.0
    loses_acks: float = 0.0
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Queued:
    number: int
    topic: str
    payload: bytes


class SimBroker:
    """The session outlives lines and processes: in flight in order, then the queue. ``queue_max`` drops the newest."""

    def __init__(self, rng: Random, loop: SimLoop, *, queue_max: int, window: int) -> None:
        self.rng, self.loop = rng, loop
        self.faults = BrokerFaults()
        self._queue: deque[Queued] = deque()
        self._in_flight: dict[int, Queued] = {}  # by packet id, in order
        self._queue_max, self.window = queue_max, window
        self._known = False
        self._packet = 0
        self.dropped: set[int] = set()
        self.link: SimLink | None = None

    @property
    def waiting(self) -> int:
        """Messages that nobody has acknowledged."""
        return len(self._queue) + len(self._in_flight)

    def publish(self, number: int, topic: str, payload: bytes) -> None:
        """A device's message; nobody subscribed yet, or a full queue, means that it is gone."""
        if not self._known or self.waiting >= self._queue_max:
            self.dropped.add(number)
            return
        self._queue.append(Queued(number, topic, payload))
        if self.link is not None:
            self.link.pump()

    def connect(self, link: SimLink) -> Session:
        """One line at a time: a second one takes the session over."""
        if self.link is not None:
            self.link.break_line("taken over")
        self.link = link
        known, self._known = self._known, True
        link.outgoing.extend(self._in_flight)
        return Session.RESUMED if known else Session.NEW

    def next_packets(self, room: int) -> list[int]:
        """Packet ids of messages taken from the queue into flight."""
        taken = []
        while self._queue and len(taken) < room:
            self._packet = self._packet % 65_535 + 1
            self._in_flight[self._packet] = self._queue.popleft()
            taken.append(self._packet)
        return taken

    def in_flight(self, packet: int) -> Queued | None:
        return self._in_flight.get(packet)

    def count_in_flight(self) -> int:
        return len(self._in_flight)

    def acknowledged(self, link: SimLink, packets: Sequence[int]) -> None:
        """Acknowledgements that came through, on the line that they belong to."""
        if self.link is not link or link.broken:
            return
        for packet in packets:
            self._in_flight.pop(packet, None)
        link.pump()


class SimLink:
    """collector.mqtt_link.Link. ``promised`` hears which messages the collector says it has."""

    def __init__(self, broker: SimBroker, clock_ns: Callable[[], int], promised: Callable[[Sequence[int]], None]) -> None:
        self._broker, self._clock_ns, self._promised = broker, clock_ns, promised
        self._epoch = broker.loop.epoch
        self.outgoing: deque[int] = deque()
        self._arrived: list[Delivery] = []
        self._number_of: dict[int, int] = {}
        self._sending = False
        self._acks_until_s = 0.0
        self._wake = asyncio.Event()
        self.broken = ""

    async def open(self) -> Session:
        broker = self._broker
        await asyncio.sleep(broker.rng.random() * broker.faults.delay_s)
        if broker.rng.random() < broker.faults.refuses:
            raise TransportError("broker refuses")
        session = broker.connect(self)
        self.pump()
        return session

    def pump(self) -> None:
        """Send what the window lets out, a little later."""
        if self._sending or self.broken:
            return
        self._sending = True
        self._broker.loop.call_later(self._broker.rng.random() * self._broker.faults.delay_s, self._send)

    def _send(self) -> None:
        self._sending = False
        broker = self._broker
        if self.broken or broker.link is not self:
            return
        if broker.rng.random() < broker.faults.drops:
            self.break_line("reset")
            return
        self.outgoing.extend(broker.next_packets(broker.window - broker.count_in_flight()))
        count = broker.rng.randint(1, len(self.outgoing)) if self.outgoing else 0
        for _ in range(count):
            packet = self.outgoing.popleft()
            queued = broker.in_flight(packet)
            if queued is not None:
                self._number_of[packet] = queued.number
                came_ns = self._clock_ns()
                self._arrived.append(
                    Delivery(queued.topic, queued.payload, retained=False, packet_id=packet, received_ns=came_ns)
                )
        if self._arrived:
            self._wake.set()
        if self.outgoing:
            self.pump()

    def break_line(self, why: str) -> None:
        """Both sides notice; the session stays."""
        self.broken = why
        self._wake.set()
        if self._broker.link is self:
            self._broker.link = None

    async def receive(self) -> list[Delivery]:
        await self._wake.wait()
        if self.broken and not self._arrived:
            raise TransportError(f"line {self.broken}")
        arrived, self._arrived = self._arrived, []
        if not self.broken:
            self._wake.clear()
        return arrived

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        broker = self._broker
        if self._epoch != broker.loop.epoch:
            return
        packets = [d.packet_id for d in deliveries if d.packet_id is not None]
        self._promised([self._number_of[packet] for packet in packets])
        if self.broken or broker.rng.random() < broker.faults.loses_acks:
            self.break_line(self.broken or "reset")
            return
        # on one line nothing overtakes
        self._acks_until_s = max(self._acks_until_s, broker.loop.time() + broker.rng.random() * broker.faults.delay_s)
        broker.loop.call_at(self._acks_until_s, broker.acknowledged, self, packets)

    def publish(self, topic: str, payload: bytes) -> None:
        """Nothing here asks for it."""

    async def close(self) -> None:
        self.break_line("closed")
