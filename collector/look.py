"""Looking at one meter, apart from any collecting: what it sends beside what that means. Nothing is stored or acknowledged."""

from __future__ import annotations

import asyncio
import secrets as random_ids
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from collector.dlt645 import Dlt645Dialect
from collector.dlt645_line import Dlt645Line
from collector.inbox import Inbox
from collector.modbus import ModbusDialect
from collector.modbus_line import ModbusLine
from collector.mqtt311_compat import CompatibleLink
from collector.mqtt_link import BrokerSettings
from collector.payloads.formats import sparkplug_host
from collector.polled import Known, Station
from collector.screen import ScreenRules, screen
from collector.wire import where
from devices.dialogue import Answer, Introduction, MeterAddress, Refused
from devices.dlt645_frame import DataReply, DataRequest
from devices.maps import Profile
from plant.errors import DeviceError
from plant.frame import FrameBlock, floor_ms
from plant.ports import Clock
from plant.quality import ABSENT
from plant.site import Endpoint, Meter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, what came back and how long it took; ``frame`` is the whole answer of a DL/T 645 meter."""

    request: Any
    answer: Any
    took_ms: float
    frame: bytes = b""

    @property
    def in_words(self) -> str:
        """The answer as text: words or frame in hexadecimal, or the refusal."""
        if self.frame:
            return self.frame.hex(" ").upper()
        if isinstance(self.answer, Refused):
            return self.answer.name
        if isinstance(self.answer, bytes):
            return self.answer.hex(" ").upper()
        try:
            return " ".join(f"{int(word):04X}" for word in self.answer)
        except (TypeError, ValueError):
            return str(self.answer)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One reading: a screened block of one Frame, the raw reading behind it, and what was asked for it.

    ``came`` bool[w] marks the words of a Modbus reading that were read, None for other protocols.
    """

    block: FrameBlock
    raw: Any
    asked: tuple[Asked, ...]
    refusals: str
    came: npt.NDArray[np.bool_] | None = None


class PolledLook:
    """One meter that is asked: Modbus or DL/T 645. ``await open()`` once, then ``await read()`` as often as wanted."""

    def __init__(self, endpoint: Endpoint, meter: Meter, profile: Profile, clock: Clock, folder: Path = Path()) -> None:
        self._meter, self._profile, self._clock = meter, profile, clock
        spoken = endpoint.protocol.startswith("dlt645")
        self._line: Any = Dlt645Line(endpoint) if spoken else ModbusLine(endpoint, folder=folder)
        self._dialect: Any = Dlt645Dialect() if spoken else ModbusDialect()
        self._address = MeterAddress(meter.id, f"{where(endpoint)} {meter.address or f'unit {meter.unit}'}")
        self._station = Station(self._address, meter.unit, meter.address)
        self._rules = ScreenRules.of(profile)
        self._known: Known | None = None
        self.introduction: tuple[Asked, ...] = ()

    async def open(self) -> None:
        """Connect, check identity, find the map, ask for everything once. Raises TransportError and DeviceError."""
        await self._line.connect()
        self._known, self.introduction = await self._converse(self._dialect.introduce(self._profile, self._address))

    async def read(self) -> Look:
        """One reading. Raises TransportError and DeviceError."""
        assert self._known is not None, "opened"
        raw, asked = await self._converse(self._dialect.poll(self._profile, self._address, self._known))
        value, quality = self._dialect.decode(self._profile, [raw])
        value[:, self._known.absent], quality[:, self._known.absent] = np.nan, int(ABSENT)
        t_ns = np.array([floor_ms(self._clock.now_ns())], np.int64)
        names = self._profile.quantities
        block = FrameBlock("look", self._profile.id, names, (self._meter.id,), np.zeros(1, np.int32), t_ns, value, quality)
        refusals = self._dialect.refusals(self._profile, self._known)
        return Look(screen(block, self._rules), raw, asked, refusals, _came(self._known, raw))

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    async def _converse(self, dialogue: Generator[Any, Any, T]) -> tuple[T, tuple[Asked, ...]]:
        loop = asyncio.get_running_loop()
        asked: list[Asked] = []
        try:
            request = next(dialogue)
            while True:
                began_s = loop.time()
                try:
                    answer: Answer = await self._line.ask(request, self._station)
                except DeviceError as error:
                    asked.append(Asked(request, str(error), (loop.time() - began_s) * 1e3))
                    request = dialogue.throw(error)
                else:
                    asked.append(Asked(request, answer, (loop.time() - began_s) * 1e3, _frame(request, answer, self._station)))
                    request = dialogue.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result, tuple(asked)


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One message of a meter with the screened blocks that it makes; ``refused`` says why it makes none."""

    topic: str
    payload: bytes
    retained: bool
    received_ns: int
    blocks: tuple[FrameBlock, ...]
    refused: str


def _frame(request: Any, answer: Any, station: Station) -> bytes:
    is_data = isinstance(request, DataRequest) and isinstance(answer, DataReply)
    return request.reply(station.address, answer) if is_data else b""


def _came(known: Known, raw: Any) -> npt.NDArray[np.bool_] | None:
    if not isinstance(known, Introduction):
        return None
    came = np.zeros(len(raw), np.bool_)
    for request, place in known.requests:
        came[place : place + request.count] = True
    return came


async def messages(
    endpoint: Endpoint, meter: Meter, profile: Profile, *, plant: str, clock: Clock, secrets: Mapping[str, str], folder: Path
) -> AsyncGenerator[Message, None]:
    """What a meter publishes from now on, over a connection of our own that the broker forgets: QoS 0, a client id nobody
    else has, MQTT 3.1.1, which every broker speaks. Raises TransportError."""
    profiles = {profile.id: profile}
    host = sparkplug_host([meter], profiles)
    inbox = Inbox(plant, [meter], profiles, host=host)
    rules = ScreenRules.of(profile)
    settings = BrokerSettings.of(endpoint, plant, inbox.topics, secrets, folder)
    own_id = f"potwatt-look-{random_ids.token_hex(4)}"
    link = CompatibleLink(replace(settings, client_id=own_id, qos=0, shared_group="", keeping="nothing"), clock)
    try:
        await link.open()
        while True:
            for delivery in await link.receive():
                batch = inbox.sort([delivery])
                blocks = tuple(screen(block, rules) for block in batch.blocks)
                refused = "; ".join(dict.fromkeys([*(r.reason for r in batch.rejected), *(text for _, text in batch.notes)]))
                if host is not None and not (blocks or refused):
                    continue  # another device of its edge node, whose messages share one sequence
                yield Message(delivery.topic, delivery.payload, delivery.retained, delivery.received_ns, blocks, refused)
    finally:
        await link.close()
