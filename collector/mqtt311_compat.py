"""MQTT 3.1.1 over ``aiomqtt``, acknowledged by hand through the paho client that it wraps.

The one private attribute used is ``aiomqtt.Client._client``: the package has no public manual acknowledgement, and
its own acknowledges what only lies in memory. Its minor version is pinned for that reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.reasoncodes import ReasonCode

from collector.mqtt_link import KEEP_ALIVE_S, BrokerSettings, Delivery, Session
from plant.errors import TransportError
from plant.ports import Clock

BATCH_MAX = 5_000
QUEUE_MAX = 65_535  # as many as there are packet ids, so that no message to be acknowledged is ever dropped
_CREDENTIALS = frozenset({4, 5, 134, 135})  # bad user name or password, not authorised (3.1.1 and as paho renames them)
_REFUSED_FROM = 128


class CompatibleLink:
    """``collector.mqtt_link.Link`` for MQTT 3.1.1."""

    def __init__(self, settings: BrokerSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._arrivals_ns: deque[int] = deque()  # of what waits in aiomqtt's queue
        self._client: aiomqtt.Client | None = None
        self._paho: PahoClient | None = None
        self._session = Session.NEW

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
            clean_session=False,
            keepalive=KEEP_ALIVE_S,
            timeout=settings.timeout_s,
            tls_context=settings.tls_context(),
            max_queued_incoming_messages=QUEUE_MAX,
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
        await self._subscribe(client)
        return self._session

    def _by_hand(self, client: aiomqtt.Client) -> PahoClient:
        paho = client._client  # noqa: SLF001 - see the head of this file
        paho.manual_ack_set(True)  # noqa: FBT003
        inner: Any = paho.on_connect  # aiomqtt's own, which has no room for the session flag

        def on_connect(source: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
            self._session = Session.RESUMED if flags.session_present else Session.NEW
            inner(source, userdata, flags, reason, properties)

        paho.on_connect = on_connect
        take: Any = paho.on_message

        def on_message(source: Any, userdata: Any, message: Any) -> None:
            self._arrivals_ns.append(self._clock.now_ns())
            take(source, userdata, message)

        paho.on_message = on_message
        return paho

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        topics = self._settings.topics
        try:
            granted: Sequence[int | ReasonCode] = await client.subscribe([(topic, 1) for topic in topics])
        except aiomqtt.MqttError as error:
            raise self._gone(error) from error
        refused = [t for t, code in zip(topics, granted, strict=True) if _code(code) >= _REFUSED_FROM]
        if refused:
            raise self._settings.refused(f"no right to read {', '.join(refused[:5])}", credentials=True)

    async def receive(self) -> list[Delivery]:
        """The messages that have come, at least one. Raises TransportError when the line is gone."""
        assert self._client is not None
        messages = self._client.messages
        try:
            batch = [_delivery(await anext(messages), self._arrivals_ns.popleft())]
            while len(messages) and len(batch) < BATCH_MAX:
                batch.append(_delivery(await anext(messages), self._arrivals_ns.popleft()))
        except aiomqtt.MqttError as error:
            raise self._gone(error) from error
        if not len(messages):
            self._arrivals_ns.clear()  # aiomqtt drops what does not fit its queue
        return batch

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """One packet each, in order."""
        assert self._paho is not None
        for delivery in deliveries:
            if delivery.packet_id is not None:
                self._paho.ack(delivery.packet_id, 1)

    async def close(self) -> None:
        """Leave; the session stays at the broker."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(aiomqtt.MqttError):  # the line may be gone already
                await client.__aexit__(None, None, None)
        elif self._paho is not None:
            self._paho.disconnect()  # aiomqtt leaves the socket open where the broker did not answer in time

    def _gone(self, error: Exception) -> TransportError:
        return TransportError(f"{self._settings.where}: the connection ended: {error.__cause__ or error}")


def _code(reason: int | ReasonCode | None) -> int:
    return reason.value if isinstance(reason, ReasonCode) else reason or 0


def _delivery(message: aiomqtt.Message, received_ns: int) -> Delivery:
    payload = message.payload if isinstance(message.payload, bytes) else b""
    return Delivery(str(message.topic), payload, bool(message.retain), message.mid if message.qos else None, received_ns)
