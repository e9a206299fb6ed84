"""What both MQTT clients have in common: one connection to a broker with a persistent session and manual acknowledgement."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from collector.payloads.decoder import PAYLOAD_BYTES_MAX
from plant.errors import TransportError
from plant.site import Endpoint

KEEP_ALIVE_S = 30
SESSION_EXPIRY_S = 7 * 86_400  # an outage of the collector up to a week loses nothing while the broker has room
HELD_MAX = 20_000  # messages kept for the reader before the socket is left alone
HELD_BYTES_MAX = 64 * 2**20  # the same in bytes of payload
_NO_RIGHT = frozenset({"not authorized", "unspecified error"})
_NAMED_MAX = 5
PACKET_BYTES_MAX = PAYLOAD_BYTES_MAX + 2**17  # a payload just too large still comes and is named; topic and properties beside it


class Session(Enum):
    """What the broker knew of us when we connected."""

    RESUMED = "resumed"
    NEW = "new"


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message in order of arrival; ``packet_id`` is None where there is nothing to acknowledge (QoS 0).

    ``received_ns`` is the instant (UTC) at which it came from the socket, however long it waited behind others here.
    ``sent_again`` is the broker's word that it has sent the message before, on this line or an earlier one.
    """

    topic: str
    payload: bytes
    retained: bool
    packet_id: int | None
    received_ns: int
    sent_again: bool = False


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How to reach a broker and what to ask of it; the password never appears in a text."""

    host: str
    port: int
    client_id: str
    topics: tuple[str, ...]
    timeout_s: float
    username: str = ""
    password: str = field(default="", repr=False)
    password_env: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    qos: int = 1
    shared_group: str = ""
    keeping: Literal["session", "nothing"] = "session"  # what the broker keeps of us once we leave
    withdrawn: tuple[str, ...] = ()  # filters that the session may still have and that nobody wants any more

    @staticmethod
    def of(
        endpoint: Endpoint, plant: str, topics: Sequence[str], secrets: Mapping[str, str], folder: Path = Path()
    ) -> BrokerSettings:
        """Settings of a site's endpoint; the client id is stable, since the session hangs on it. Paths start in ``folder``.

        Raises TransportError where the password's environment variable is not set.
        """
        if endpoint.password_env and endpoint.password_env not in secrets:
            raise TransportError(
                f"broker {endpoint.id}: the environment variable {endpoint.password_env} is not set; set it to the password"
            )
        return BrokerSettings(
            endpoint.host,
            endpoint.port,
            endpoint.client_id or f"potwatt-{plant}-{endpoint.id}",
            tuple(topics),
            endpoint.timeout_s,
            endpoint.username,
            secrets.get(endpoint.password_env, ""),
            endpoint.password_env,
            endpoint.tls,
            qos=endpoint.qos,
            shared_group=endpoint.shared_group,
        ).with_files(endpoint, folder)

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to: the topics, in the group that shares their stream where there is one."""
        share = f"$share/{self.shared_group}/" if self.shared_group else ""
        return tuple(f"{share}{topic}" for topic in self.topics)

    def with_files(self, endpoint: Endpoint, folder: Path) -> BrokerSettings:
        """The same with the TLS files of an endpoint; relative paths start in ``folder``."""
        ca_file, cert_file, key_file = (_path(folder, n) for n in (endpoint.ca_file, endpoint.cert_file, endpoint.key_file))
        return replace(self, ca_file=ca_file, cert_file=cert_file, key_file=key_file)

    @property
    def where(self) -> str:
        """Address for texts."""
        return f"broker {self.host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Checked certificates always; the system's authorities unless ``ca_file`` names another. Raises TransportError."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file or None)
        except OSError as error:
            files = ", ".join(name for name in (self.ca_file, self.cert_file, self.key_file) if name)
            raise TransportError(f"{self.where}: TLS files {files}: {error}; check ca_file, cert_file and key_file") from error
        return context

    def unreachable(self, error: BaseException) -> TransportError:
        """No connection came about."""
        why = "certificate refused" if isinstance(error, ssl.SSLCertVerificationError) else "no connection"
        said = str(error) or f"no answer in {self.timeout_s:g} s"
        return TransportError(f"{self.where}: {why}: {said}; check that it runs, its address, port and tls")

    def not_granted(self, reasons: Mapping[str, str]) -> TransportError:
        """The broker takes us, but not these subscriptions; its reasons by filter."""
        told = ", ".join(f"{topic} ({reason})" for topic, reason in list(reasons.items())[:_NAMED_MAX])
        return self.refused(f"no subscription to {told}", credentials=not _NO_RIGHT.isdisjoint(reasons.values()))

    def refused(self, reason: str, *, credentials: bool) -> TransportError:
        """The broker answered, and said no."""
        if not credentials:
            return TransportError(f"{self.where} refuses client {self.client_id}: {reason}")
        password = f"the password in {self.password_env}" if self.password_env else "password_env, which is not set"
        return TransportError(
            f"{self.where} refuses user {self.username or '(none)'}: {reason}; "
            f"check username and {password}, or the broker's access list"
        )


def _path(folder: Path, name: str) -> str:
    return str(folder / name) if name else ""


class Link(Protocol):
    """One connection; a new object for each. After a TransportError it is dead and only ``close`` may follow."""

    async def open(self) -> Session:
        """Connect and subscribe. Raises TransportError.

        What waited at the broker comes before its word on the subscriptions. Where that is more than is held here, this
        returns without it, and a refusal ends the line later.
        """
        ...

    async def receive(self) -> list[Delivery]:
        """The messages that have come, at least one. Raises TransportError when the line is gone."""
        ...

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that these are safe, in this order; on a dead line the broker sends them again."""
        ...

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message that nobody has to answer for (QoS 0); on a dead line it is gone."""
        ...

    async def close(self) -> None:
        """Leave; the session stays at the broker."""
        ...


async def answered(answer: asyncio.Future[Any], enough: asyncio.Future[None], come: Callable[[], int], timeout_s: float) -> None:
    """Return once ``answer`` is there, or ``enough``: no more is read until what came is taken.

    Raises what ``answer`` raises, and TimeoutError where ``come``, the number of messages so far, stands still for ``timeout_s``:
    a long queue on a slow line is no silence.
    """
    while not (answer.done() or enough.done()):
        before = come()
        done, _ = await asyncio.wait({answer, enough}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not done and come() == before:
            raise TimeoutError
    if answer.done():
        answer.result()
