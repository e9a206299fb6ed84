"""MQTT 3.1.1 over ``aiomqtt``, acknowledged by hand through the paho client that it wraps.

Two private attributes are used. ``aiomqtt.Client._client``: the package has no public manual acknowledgement, its own
acknowledges what only lies in memory, and its queue is either without bound or drops. So messages are taken where paho
hands them over, and the socket is left alone while there are too many. ``paho.Client._ping_t``, when it asked the broker for
a sign of life: meanwhile it asks on, and does not end the line for want of an answer that nobody reads. The minor versions
are pinned for that reason.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from collector.mqtt_link import HELD_BYTES_MAX, HELD_MAX, KEEP_ALIVE_S, BrokerSettings, Delivery, Session, answered
from plant.errors import TransportError
from plant.ports import Clock

_CREDENTIALS = frozenset({4, 5, 134, 135})  # bad user name or password, not authorised (3.1.1 and as paho renames them)
_REFUSED_FROM = 128


class CompatibleLink:
    """``collector.mqtt_link.Link`` for MQTT 3.1.1."""

    def __init__(self, settings: BrokerSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._loop = asyncio.get_running_loop()
        self._client: aiomqtt.Client | None = None
        self._paho: PahoClient | None = None
        self._session = Session.NEW
        self._held: list[Delivery] = []
        self._held_bytes = 0
        self._resting: int | None = None  # the socket that is not read, since too much is held
        self._arrived = asyncio.Event()
        self._granted: asyncio.Task[None] | None = None
        self._enough: asyncio.Future[None] = self._loop.create_future()  # the hold was full once, or the line is over
        self._lost: TransportError | None = None

    async def open(self) -> Session:
        """Connect and subscribe. Raises TransportError."""
        settings = self._settings
        client = aiomqtt.Client(
            settings.host,
            settings.port,
            identifier=settings.client_id,
            username=settings.username or None,
            password=settings.password or None,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=settings.keeping == "nothing",
            keepalive=KEEP_ALIVE_S,
            timeout=settings.timeout_s,
            tls_context=settings.tls_context(),
        )
        self._paho = self._by_hand(client)
        try:
            await client.__aenter__()
        except MqttConnectError as error:
            raise settings.refused(str(error.rc).lower(), credentials=_code(error.rc) in _CREDENTIALS) from error
        except (aiomqtt.MqttError, OSError, UnicodeError) as error:  # UnicodeError: a host name that IDNA has no form for
            # aiomqtt keeps only the text of what the socket said; the exception itself is the context
            raise settings.unreachable(error.__context__ if isinstance(error.__context__, OSError) else error) from error
        self._client = client
        self._granted = asyncio.create_task(self._subscribe(client))
        self._granted.add_done_callback(self._judge)
        try:
            await answered(self._granted, self._enough, lambda: len(self._held), settings.timeout_s)
        except TimeoutError as error:
            raise settings.unreachable(error) from error
        if self._lost is not None:
            raise self._lost
        return self._session

    def _by_hand(self, client: aiomqtt.Client) -> PahoClient:
        paho = client._client  # noqa: SLF001 - see the head of this file
        paho.manual_ack_set(True)  # noqa: FBT003
        connected: Any = paho.on_connect  # aiomqtt's own, which has no room for the session flag
        ended: Any = paho.on_disconnect

        def on_connect(source: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
            self._session = Session.RESUMED if flags.session_present else Session.NEW
            connected(source, userdata, flags, reason, properties)

        def on_disconnect(source: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
            self._end(self._gone(f"{reason}".lower()))
            ended(source, userdata, flags, MQTTErrorCode.MQTT_ERR_SUCCESS, properties)  # ``receive`` tells why

        paho.on_connect = on_connect
        paho.on_disconnect = on_disconnect
        paho.on_message = self._take
        paho.loop_misc = partial(self._look_after, paho, paho.loop_misc)  # type: ignore[method-assign]
        return paho

    def _look_after(self, paho: Any, look_after: Callable[[], MQTTErrorCode]) -> MQTTErrorCode:
        if self._resting is not None:
            paho._ping_t = 0.0  # noqa: SLF001 - see the head of this file
        return look_after()

    def _take(self, _client: Any, _userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # the topic of no meter
        packet_id = message.mid if message.qos else None
        self._held.append(Delivery(topic, bytes(message.payload), message.retain, packet_id, self._clock.now_ns(), message.dup))
        self._held_bytes += len(message.payload)
        self._arrived.set()
        if self._resting is None and (len(self._held) >= HELD_MAX or self._held_bytes >= HELD_BYTES_MAX):
            self._rest()

    def _rest(self) -> None:
        assert self._paho is not None
        socket = self._paho.socket()
        if socket is not None:
            self._resting = socket.fileno()
            self._loop.remove_reader(self._resting)
        self._suffice()

    def _suffice(self) -> None:
        if not self._enough.done():
            self._enough.set_result(None)

    def _end(self, reason: TransportError) -> None:
        self._lost = self._lost or reason
        self._arrived.set()
        self._suffice()

    def _go_on(self) -> None:
        assert self._paho is not None
        socket = self._paho.socket()
        if socket is not None and socket.fileno() == self._resting:
            self._loop.add_reader(self._resting, self._read)
            self._loop.call_soon(self._read)  # TLS may hold bytes that the socket does not show
        self._resting = None

    def _read(self) -> None:
        """As aiomqtt reads, which gave its reader away when it was taken off."""
        paho = self._paho
        if paho is None or self._resting is not None:
            return
        paho.loop_read()
        socket: Any = paho.socket()
        if socket is not None and hasattr(socket, "pending") and socket.pending():
            self._loop.call_soon(self._read)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        settings, filters = self._settings, self._settings.filters
        wanted = [(topic, settings.qos) for topic in filters]
        try:
            granted: Sequence[int | ReasonCode] = await client.subscribe(wanted, timeout=math.inf)
            # 3.1.1 has one code for every reason
            refused = {t: "unspecified error" for t, code in zip(filters, granted, strict=True) if _code(code) >= _REFUSED_FROM}
            if refused:
                raise settings.not_granted(refused)
            if settings.withdrawn:  # after the new ones, so that what both cover never stops coming
                await client.unsubscribe(list(settings.withdrawn), timeout=math.inf)
        except aiomqtt.MqttError as error:
            raise self._gone(error.__cause__ or error) from error

    def _judge(self, granted: asyncio.Task[None]) -> None:
        error = None if granted.cancelled() else granted.exception()
        if isinstance(error, TransportError):
            self._end(error)

    async def receive(self) -> list[Delivery]:
        """The messages that have come, at least one. Raises TransportError when the line is gone."""
        while not self._held:
            if self._lost is not None:
                raise self._lost
            self._arrived.clear()
            await self._arrived.wait()
        taken = self._held
        self._held, self._held_bytes = [], 0
        if self._resting is not None:
            self._go_on()
        return taken

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """One packet each, in order."""
        assert self._paho is not None
        for delivery in deliveries:
            if delivery.packet_id is not None:
                self._paho.ack(delivery.packet_id, 1)

    def publish(self, topic: str, payload: bytes) -> None:
        """QoS 0."""
        assert self._paho is not None
        self._paho.publish(topic, payload)

    async def close(self) -> None:
        """Leave; the session stays at the broker."""
        client, self._client = self._client, None
        if self._granted is not None:
            self._granted.cancel()
        if client is not None:
            with suppress(aiomqtt.MqttError):  # the line may be gone already
                await client.__aexit__(None, None, None)
        elif self._paho is not None:
            self._paho.disconnect()  # aiomqtt leaves the socket open where the broker did not answer in time

    def _gone(self, why: object) -> TransportError:
        return TransportError(f"{self._settings.where}: the connection ended: {why}")


def _code(reason: int | ReasonCode | None) -> int:
    return reason.value if isinstance(reason, ReasonCode) else reason or 0
