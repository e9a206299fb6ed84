"""Who reads an endpoint: a running program claims it for the whole machine, whoever its user is, so that nobody opens a
second connection to a gateway that takes only one.

A claim is a listening socket under an abstract name (Linux): it needs no file and no right, and ends with its process.
It holds within one network namespace; a container with its own does not see the claims of the host.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plant.site import Endpoint

RESOLVE_S = 2.0
_PREFIX = "\0potwatt/endpoint/"
_NAME_MAX = 107 - len(_PREFIX)  # sun_path has 108 bytes
_PEER = struct.Struct("3i")  # pid, uid, gid of SO_PEERCRED


@dataclass(slots=True)
class Claim:
    """The names held; ``taken`` are those that another process holds, ``failed`` says why others could not be held.
    ``release`` gives all back."""

    taken: dict[str, Holder] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    _sockets: list[socket.socket] = field(default_factory=list)

    def hold(self, name: str) -> None:
        """Take a name, or note who has it."""
        if not sys.platform.startswith("linux"):
            return
        held: socket.socket | None = None
        try:
            held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            held.bind(_address(name))
            held.listen(1)
        except OSError as error:
            if held is not None:
                held.close()
            if error.errno == errno.EADDRINUSE:
                self.taken[name] = holder(name) or Holder(0)
            else:
                self.failed[name] = error.strerror or str(error)
        else:
            self._sockets.append(held)

    def release(self) -> None:
        """Give every name back."""
        while self._sockets:
            self._sockets.pop().close()


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a name; 0 where it does not say."""

    pid: int

    def __str__(self) -> str:
        return f"process {self.pid}" if self.pid else "another process"


def holder(name: str) -> Holder | None:
    """Who holds a name, None where nobody does."""
    if not sys.platform.startswith("linux"):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(0)
        try:
            asking.connect(_address(name))
        except ConnectionRefusedError:
            return None
        except OSError:  # its queue of such questions is full, so it is there
            return Holder(0)
        pid, _, _ = _PEER.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return Holder(pid)


def _address(name: str) -> bytes:
    """The socket of a name; a long one, as host names may be, goes by its digest."""
    plain = name.encode()
    if len(plain) > _NAME_MAX:
        plain = hashlib.blake2b(plain, digest_size=16).hexdigest().encode()
    return _PREFIX.encode() + plain


def claim(names: Iterable[str]) -> Claim:
    """Hold all of the names that are free."""
    claimed = Claim()
    for name in dict.fromkeys(names):
        claimed.hold(name)
    return claimed


async def names_of(endpoint: Endpoint) -> tuple[str, ...]:
    """What an endpoint is called in claims: its host as written and every address behind it, or its serial line.

    Brokers and files take any number of readers and have no name here. A host that cannot be resolved has only the one.
    """
    if endpoint.protocol in ("mqtt", "import"):
        return ()
    if endpoint.serial_port:
        return await asyncio.to_thread(_serial_names, endpoint.serial_port)
    hosts = [endpoint.host.lower(), *await _addresses(endpoint.host)]
    return tuple(dict.fromkeys(f"{_plain(host)}:{endpoint.port}" for host in hosts))


def _plain(host: str) -> str:
    """One spelling of an address: an IPv4 address inside an IPv6 one is the IPv4 address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(getattr(address, "ipv4_mapped", None) or address)


def _serial_names(path: str) -> tuple[str, ...]:
    """The path behind all links: /dev/serial/by-id/... and /dev/ttyUSB0 are one line."""
    return (f"serial:{Path(path).resolve()}",)


async def _addresses(host: str) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return ()
    return sorted({str(address[0]) for *_, address in found})
