"""A publisher of numbered readings at QoS 1 that keeps what the broker has not acknowledged and sends it again."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from potwatt.selftest.plant import published_payload, topic

IN_FLIGHT_MAX = 500
_TICK_S = 0.02
_RECONNECT_S = 0.3
_ANSWER_S = 5.0
_CONNECT = b"\0\4MQTT\4\2\0\x3c"  # MQTT 3.1.1, clean session, 60 s
_IDS = 65_535


@dataclass(frozen=True, slots=True)
class Sent:
    """One reading: meter, its instant in ms, and when it was due to go (monotonic s)."""

    meter: str
    t_ms: int
    due_s: float


@dataclass(slots=True)
class Publisher:
    """``sent[n]`` is reading number n; ``acknowledged`` holds the numbers that the broker took over."""

    port: int
    meters: list[str]
    rate: float
    name: str
    sent: list[Sent] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    repeated: int = 0
    _waiting: OrderedDict[int, None] = field(default_factory=OrderedDict)
    _in_flight: OrderedDict[int, int] = field(default_factory=OrderedDict)  # packet id -> number
    _next_id: int = 0
    _grown: asyncio.Event = field(default_factory=asyncio.Event)

    async def make(self, stop: asyncio.Event) -> None:
        """Make readings at the rate until told to stop, whatever the broker does, as a meter would."""
        begun, last_ms = time.monotonic(), dict.fromkeys(self.meters, 0)
        while not stop.is_set():
            due = int((time.monotonic() - begun) * self.rate)
            now_ms = time.time_ns() // 1_000_000
            for number in range(len(self.sent), due):
                meter = self.meters[number % len(self.meters)]
                last_ms[meter] = max(now_ms, last_ms[meter] + 1)
                self.offer(meter, last_ms[meter])
            await asyncio.sleep(_TICK_S)

    def offer(self, meter: str, t_ms: int) -> None:
        """Make the next reading."""
        self._waiting[len(self.sent)] = None
        self.sent.append(Sent(meter, t_ms, time.monotonic()))
        self._grown.set()

    @property
    def all_acknowledged(self) -> bool:
        """Whether the broker has taken over everything made so far."""
        return len(self.acknowledged) == len(self.sent)

    async def deliver(self) -> None:
        """Publish until cancelled; after a lost connection what was not acknowledged goes again."""
        while True:
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), _ANSWER_S)
            except (OSError, TimeoutError):
                await asyncio.sleep(_RECONNECT_S)
                continue
            tasks: list[asyncio.Task[None]] = []
            try:
                await asyncio.wait_for(self._greet(reader, writer), _ANSWER_S)
                tasks = [asyncio.create_task(self._write(writer)), asyncio.create_task(self._acknowledge(reader))]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                pass
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                writer.close()
            self._again()
            await asyncio.sleep(_RECONNECT_S)

    def _again(self) -> None:
        for number in reversed(self._in_flight.values()):
            self._waiting[number] = None
            self._waiting.move_to_end(number, last=False)
        self.repeated += len(self._in_flight)
        self._in_flight.clear()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = self.name.encode()
        writer.write(_packet(0x10, _CONNECT + struct.pack(">H", len(name)) + name))
        answer = await reader.readexactly(4)
        if answer[0] != 0x20 or answer[3] != 0:
            raise ConnectionRefusedError(f"the broker refused the publisher with code {answer[3]}")

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        while True:
            self._grown.clear()  # before looking: what comes while the socket takes its time is not slept over
            while self._waiting and len(self._in_flight) < IN_FLIGHT_MAX:
                number, _ = self._waiting.popitem(last=False)
                self._next_id = self._next_id % _IDS + 1
                self._in_flight[self._next_id] = number
                one = self.sent[number]
                where = topic(one.meter).encode()
                head = struct.pack(">H", len(where)) + where + struct.pack(">H", self._next_id)
                writer.write(_packet(0x32, head + published_payload(number, one.t_ms)))
            await writer.drain()
            await self._grown.wait()

    async def _acknowledge(self, reader: asyncio.StreamReader) -> None:
        while True:
            (kind, _, packet_id) = struct.unpack(">BBH", await reader.readexactly(4))
            number = self._in_flight.pop(packet_id, None) if kind == 0x40 else None
            if number is not None:
                self.acknowledged.add(number)
            self._grown.set()


def _packet(first: int, rest: bytes) -> bytes:
    size, length = len(rest), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([first]) + bytes(length) + rest
