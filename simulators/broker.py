"""An MQTT broker on loopback for the demo: Mosquitto where it is installed, else an embedded one."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

from amqtt.broker import Broker as AmqttBroker
from amqtt.errors import BrokerError

from plant.errors import TransportError
from simulators.ports import LOOPBACK, port_is_free

_START_S, _STOP_S = 5.0, 5.0
_PATH = "/usr/local/sbin:/usr/sbin:/sbin"  # Debian keeps mosquitto out of an ordinary user's path

_CONFIGURATION = """\
per_listener_settings true
listener {port} {host}
allow_anonymous true
persistence true
persistence_location {directory}/
autosave_interval 30
persistent_client_expiration 7d
max_queued_messages 200000
max_queued_bytes 268435456
max_inflight_messages 1000
log_dest file {directory}/mosquitto.log
log_type error
log_type warning
connection_messages false
"""


class Broker(Protocol):
    """A broker that this process started. ``mqtt_version`` is the newest it speaks."""

    mqtt_version: Literal[4, 5]

    async def start(self) -> None:
        """Listen. Raises TransportError when it cannot."""
        ...

    async def stop(self) -> None:
        """End it; sessions are kept where the broker can keep them."""
        ...


def mosquitto_path() -> str | None:
    """Where Mosquitto is installed, None where it is not."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_PATH)


def broker_for(port: int, directory: Path) -> Broker:
    """The best broker of this machine; ``directory`` holds its sessions."""
    path = mosquitto_path()
    return MosquittoBroker(path, port, directory) if path else EmbeddedBroker(port)


def _libc() -> ctypes.CDLL | None:
    """The C library where it has ``prctl``, which Linux alone does."""
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


_LIBC = _libc()  # loaded before any fork: the child may do no more than call it
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _end_with_parent() -> None:
    """In the child, before it becomes the broker: be asked to end when the thread that started it dies."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class MosquittoBroker:
    """Mosquitto as a child process."""

    mqtt_version: Literal[4, 5] = 5

    def __init__(self, path: str, port: int, directory: Path) -> None:
        self._path, self._port, self._directory = path, port, directory
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until its port answers. Raises TransportError where it does not."""
        # what holds the port would answer in mosquitto's place
        if not port_is_free(self._port):
            raise TransportError(f"mosquitto: {LOOPBACK}:{self._port} is taken; stop what listens there")
        self._directory.mkdir(parents=True, exist_ok=True)
        file = self._directory / "mosquitto.conf"
        text = _CONFIGURATION.format(port=self._port, host=LOOPBACK, directory=self._directory.resolve())
        # started by root it would drop to a user of its own, who may not write here
        file.write_text(text + ("user root\n" if os.geteuid() == 0 else ""), "utf-8")
        # a session of its own keeps the terminal's Ctrl-C from ending it before its clients; killed with no time to stop it,
        # we take it along: it would keep the port and the folder that the next run of this plant needs
        self._process = await asyncio.create_subprocess_exec(
            self._path,
            "-c",
            str(file),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        try:
            async with asyncio.timeout(_START_S):
                await self._answers()
        except TimeoutError:
            await self.stop()
            raise TransportError(
                f"mosquitto does not listen on {LOOPBACK}:{self._port} within {_START_S:g} s; see {self._directory}/mosquitto.log"
            ) from None

    async def stop(self) -> None:
        """Ask it to end, which makes it write its sessions; end it by force after a while."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _answers(self) -> None:
        assert self._process is not None
        while True:
            if self._process.returncode is not None:
                raise TransportError(
                    f"mosquitto on {LOOPBACK}:{self._port} ended at once (code {self._process.returncode}); "
                    f"see {self._directory}/mosquitto.log"
                )
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, self._port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            return


class EmbeddedBroker:
    """The broker of ``amqtt`` inside this process: MQTT 3.1.1, sessions end with it. Good for the demo alone."""

    mqtt_version: Literal[4, 5] = 4

    def __init__(self, port: int) -> None:
        self._port = port
        self._broker: AmqttBroker | None = None

    async def start(self) -> None:
        """Listen. Raises TransportError when the port is taken."""
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.ERROR)
        broker = AmqttBroker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{self._port}", "max_connections": 64}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        try:
            await broker.start()
        except (BrokerError, OSError) as error:
            raise TransportError(f"the embedded broker cannot listen on {LOOPBACK}:{self._port}: {error}") from error
        self._broker = broker

    async def stop(self) -> None:
        """Close the port and every connection."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.shutdown()
