"""MQTT 5 on an asyncio Protocol with the sans-IO codec ``mqtt5``: many messages a wake-up, one write for their acknowledgements.

A broker sends each message in a packet of its own, so that a reader that wakes for each of them spends its time waking.
After data with messages the transport stops reading for 5 ms, and what piled up meanwhile is read in one go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import mqtt5
import numpy as np

from collector.mqtt_link import (
    HELD_BYTES_MAX,
    HELD_MAX,
    KEEP_ALIVE_S,
    PACKET_BYTES_MAX,
    SESSION_EXPIRY_S,
    BrokerSettings,
    Delivery,
    Session,
    answered,
)
from plant.errors import TransportError
from plant.ports import Clock

NAP_S = 0.005
RECEIVE_MAX = 20_000  # unacknowledged messages that the broker may have under way
_CREDENTIALS = ("BAD_USER_NAME_OR_PASSWORD", "NOT_AUTHORIZED", "BANNED")  # the codec's enums have no hash
_SUBSCRIBE_ID, _UNSUBSCRIBE_ID = 1, 2
Answer = TypeVar("Answer")
Sent = mqtt5.ConnectPacket | mqtt5.SubscribePacket | mqtt5.UnsubscribePacket | mqtt5.PingReqPacket | mqtt5.DisconnectPacket
_REFUSED_FROM = 128
_PUBLISH = 3  # type of the packet


class FastLink:
    """``collector.mqtt_link.Link`` for MQTT 5."""

    def __init__(self, settings: BrokerSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._protocol: _Protocol | None = None

    async def open(self) -> Session:
        """Connect and subscribe. Raises TransportError."""
        settings, loop = self._settings, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(settings.timeout_s):
                _, self._protocol = await loop.create_connection(
                    lambda: _Protocol(settings, self._clock), settings.host, settings.port, ssl=settings.tls_context()
                )
                session = await self._greet(self._protocol)
            self._subscribe(self._protocol)
            await answered(self._protocol.granted, self._protocol.choked, self._protocol.count_held, settings.timeout_s)
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that IDNA has no form for
            raise settings.unreachable(error) from error
        return session

    async def _greet(self, protocol: _Protocol) -> Session:
        settings = self._settings
        protocol.send(
            mqtt5.ConnectPacket(
                settings.client_id,
                username=settings.username or None,
                password=settings.password.encode() if settings.password else None,
                clean_start=False,
                keep_alive=KEEP_ALIVE_S,
                session_expiry_interval=SESSION_EXPIRY_S,
                receive_max=RECEIVE_MAX,
                max_packet_size=PACKET_BYTES_MAX,
            )
        )
        answer = await protocol.connack
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            reason = answer.reason_code.name.lower().replace("_", " ")
            raise settings.refused(reason, credentials=answer.reason_code.name in _CREDENTIALS)
        protocol.keep_alive(answer.server_keep_alive or KEEP_ALIVE_S)
        return Session.RESUMED if answer.session_present else Session.NEW

    def _subscribe(self, protocol: _Protocol) -> None:
        settings = self._settings
        filters = [
            mqtt5.TopicFilter(
                topic,
                max_qos=mqtt5.QoS.AT_LEAST_ONCE if settings.qos else mqtt5.QoS.AT_MOST_ONCE,
                retain_as_published=False,  # the flag then marks old messages alone
                retain_handling=mqtt5.RetainHandling.SEND_NEVER,
            )
            for topic in settings.filters
        ]
        protocol.send(mqtt5.SubscribePacket(_SUBSCRIBE_ID, filters))
        if settings.withdrawn:  # after the new ones, so that what both cover never stops coming
            protocol.send(mqtt5.UnsubscribePacket(_UNSUBSCRIBE_ID, list(settings.withdrawn)))

    async def receive(self) -> list[Delivery]:
        """All messages that have come, at least one. Raises TransportError when the line is gone."""
        assert self._protocol is not None
        return await self._protocol.take()

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """One write for all of them."""
        assert self._protocol is not None
        self._protocol.write(acknowledgements([d.packet_id for d in deliveries if d.packet_id is not None]))

    def publish(self, topic: str, payload: bytes) -> None:
        """QoS 0."""
        assert self._protocol is not None
        self._protocol.write(mqtt5.PublishPacket(topic, payload).write())

    async def close(self) -> None:
        """Leave; the session stays at the broker."""
        if self._protocol is not None:
            self._protocol.leave()


def acknowledgements(packet_ids: Sequence[int]) -> bytes:
    """PUBACK packets in their short form, which says success, in order."""
    packets = np.empty((len(packet_ids), 2), ">u2")
    packets[:, 0] = 0x4002
    packets[:, 1] = packet_ids
    return packets.tobytes()


class _Protocol(asyncio.Protocol):
    """Bytes in, deliveries out. The line is over once ``_lost`` holds the reason."""

    def __init__(self, settings: BrokerSettings, clock: Clock) -> None:
        self._settings, self._clock, self._loop = settings, clock, asyncio.get_running_loop()
        self.connack: asyncio.Future[mqtt5.ConnAckPacket] = self._loop.create_future()
        self.granted: asyncio.Future[None] = self._loop.create_future()  # and withdrawn what is not wanted any more
        self.choked: asyncio.Future[None] = self._loop.create_future()  # the hold was full once
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._held: list[Delivery] = []
        self._held_bytes = 0
        self._arrived = asyncio.Event()
        self._lost: TransportError | None = None
        self._napping = False
        self._ping: asyncio.TimerHandle | None = None
        self._heard_s = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is none by name

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(TransportError(f"{self._settings.where}: the connection ended: {exc or 'closed by the broker'}"))

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        view = memoryview(self._rest + data if self._rest else data)
        before, received_ns = len(self._held), self._clock.now_ns()
        at, more = self._read(view, 0, received_ns)
        while more:
            at, more = self._read(view, at, received_ns)
        self._rest = bytes(view[at:])
        if len(self._held) > before:
            self._arrived.set()
            self._nap()

    def _read(self, view: memoryview, at: int, received_ns: int) -> tuple[int, bool]:
        """Take the packets from ``at`` on; where the next one begins, and whether there may be more of them."""
        # this runs for every message of the plant: one stamp a chunk, and nothing looked up twice
        end, read, keep, payload_bytes = len(view), mqtt5.read, self._held.append, 0
        try:
            while at < end:
                packet, used = read(view[at:])
                at += used
                if isinstance(packet, mqtt5.PublishPacket):
                    payload = packet.payload
                    payload_bytes += len(payload)
                    keep(Delivery(packet.topic, payload, packet.retain, packet.packet_id, received_ns, packet.duplicate))
                else:
                    self._take_packet(packet)
        except IndexError:
            pass  # the rest of the packet is still to come
        except ValueError as error:
            self._fail(
                TransportError(
                    f"{self._settings.where} breaks the MQTT 5 protocol: {error}; set mqtt_version = 4 if it speaks 3.1.1"
                )
            )
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # the codec's, of no module that can be imported
                raise
            return self._skip(view, at, received_ns)
        finally:
            self._held_bytes += payload_bytes
        return at, False

    def _skip(self, view: memoryview, at: int, received_ns: int) -> tuple[int, bool]:
        """Step over a packet that is more than the codec can take: a text in it is not UTF-8. A message is taken all the same:
        left alone, it would come again for ever."""
        length, body = _length(view, at + 1)
        end = body + length
        if view[at] >> 4 != _PUBLISH:
            self._fail(TransportError(f"{self._settings.where}: a packet of type {view[at] >> 4} has text that is not UTF-8"))
            return end, False
        self._held.append(_publication(view[at], bytes(view[body:end]), received_ns))
        self._held_bytes += length
        return end, True

    def _take_packet(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnAckPacket):
            _settle(self.connack, packet)
        elif isinstance(packet, mqtt5.SubAckPacket):
            self._take_grant(packet)
        elif isinstance(packet, mqtt5.UnsubAckPacket):
            _settle(self.granted, None)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            reason = packet.reason_code.name.lower().replace("_", " ")
            hint = (
                "; another program uses the same client id"
                if packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
                else ""
            )
            self._fail(TransportError(f"{self._settings.where} ended the connection: {reason}{hint}"))

    def _take_grant(self, packet: mqtt5.SubAckPacket) -> None:
        said = zip(self._settings.filters, packet.reason_codes, strict=True)
        refused = {topic: code.name.lower().replace("_", " ") for topic, code in said if int(code) >= _REFUSED_FROM}
        if refused:
            self._fail(self._settings.not_granted(refused))
        elif not self._settings.withdrawn:
            _settle(self.granted, None)

    def count_held(self) -> int:
        return len(self._held)

    def _nap(self) -> None:
        if self._transport is None or self._napping or self._transport.is_closing():
            return
        self._napping = True
        self._transport.pause_reading()
        if self._full:
            _settle(self.choked, None)
        else:
            self._loop.call_later(NAP_S, self._wake)

    @property
    def _full(self) -> bool:
        return len(self._held) >= HELD_MAX or self._held_bytes >= HELD_BYTES_MAX

    def _wake(self) -> None:
        if self._napping and self._transport is not None:
            self._napping = False
            self._heard_s = self._loop.time()
            self._transport.resume_reading()

    async def take(self) -> list[Delivery]:
        while not self._held:
            if self._lost is not None:
                raise self._lost
            self._arrived.clear()
            await self._arrived.wait()
        full, taken = self._full, self._held
        self._held, self._held_bytes = [], 0
        if full:
            self._wake()
        return taken

    def keep_alive(self, interval_s: float) -> None:
        """Say that we are there twice an interval, and expect to hear something in one and a half."""
        if self._lost is not None:
            return
        if not self._napping and self._loop.time() - self._heard_s > 1.5 * interval_s:
            self._fail(TransportError(f"{self._settings.where}: silent for {1.5 * interval_s:g} s"))
            return
        self.send(mqtt5.PingReqPacket())
        self._ping = self._loop.call_later(interval_s / 2, self.keep_alive, interval_s)

    def send(self, packet: Sent) -> None:
        self.write(packet.write())

    def write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def leave(self) -> None:
        if self._lost is None:
            self.send(mqtt5.DisconnectPacket())
        self._fail(TransportError(f"{self._settings.where}: left"))

    def _fail(self, reason: TransportError) -> None:
        if self._lost is None:
            self._lost = reason
        self._arrived.set()
        futures: tuple[asyncio.Future[Any], ...] = (self.connack, self.granted)
        for future in futures:
            if not future.done():
                future.set_exception(self._lost)
                future.exception()  # nobody may be waiting for it any more
        if self._ping is not None:
            self._ping.cancel()
        if self._transport is not None:
            self._transport.close()


def _settle(future: asyncio.Future[Answer], value: Answer) -> None:
    if not future.done():
        future.set_result(value)


def _publication(head: int, body: bytes, received_ns: int) -> Delivery:
    """A PUBLISH packet of MQTT 5 taken apart by hand (3.3); in its topic, bytes that are no UTF-8 are shown as such."""
    at = 2 + int.from_bytes(body[:2])
    topic, packet_id = body[2:at].decode("utf-8", "backslashreplace"), None
    if head & 0b0110:
        packet_id, at = int.from_bytes(body[at : at + 2]), at + 2
    properties_bytes, at = _length(body, at)
    return Delivery(topic, body[at + properties_bytes :], bool(head & 1), packet_id, received_ns, bool(head & 0b1000))


def _length(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A variable byte integer (1.5.5), and where what follows begins."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1
