"""The HTTP server of the API inside our own event loop, on a socket that we bound ourselves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from plant.errors import ConfigError, Fault
from plant.site import ApiSettings


def bind(settings: ApiSettings) -> socket.socket:
    """Listen on the address of the site. Raises ConfigError saying what to do when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.host, settings.port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise ConfigError(
            [
                Fault(
                    "api",
                    "port",
                    f"{settings.host}:{settings.port} cannot be listened on ({error.strerror})",
                    "stop what holds it, or choose another port (--port, or [api] port in the site file)",
                )
            ]
        ) from error
    return sock


class Server(uvicorn.Server):
    """uvicorn without its own signal handling: the program stops it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program."""
        yield


def make_server(app: FastAPI, settings: ApiSettings, folder: Path) -> Server:
    """A server for the app; ``await server.serve(sockets=[...])`` runs it until ``should_exit``."""
    tls = {}
    if settings.tls_cert and settings.tls_key:
        tls = {"ssl_certfile": str(folder / settings.tls_cert), "ssl_keyfile": str(folder / settings.tls_key)}
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        lifespan="on",
        **tls,  # type: ignore[arg-type]
    )
    return Server(config)
