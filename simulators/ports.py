"""TCP ports of the simulated plant that stay the same from run to run, as long as nobody else takes them."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack

from simulators.demo_site import Ports

LOOPBACK = "127.0.0.1"


def choose_ports(wanted: Mapping[str, int]) -> Ports:
    """The ports ``wanted`` by name where they are free, else free ones from the system."""
    with ExitStack() as stack:
        held: dict[str, int] = {}
        for name in Ports.names():
            sock = stack.enter_context(_socket())
            try:
                sock.bind((LOOPBACK, wanted.get(name, 0)))
            except OSError:
                sock.bind((LOOPBACK, 0))
            held[name] = sock.getsockname()[1]
    return Ports(**held)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on a port of loopback now."""
    with _socket() as sock:
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _socket() -> socket.socket:
    """A TCP socket for which lingering connections of an earlier run do not count as taken, as for the servers."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock
