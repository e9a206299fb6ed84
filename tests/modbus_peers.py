"""Scripted Modbus peers on every wire, with a framing of their own, so that they are a check on the one in the collector."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import struct
import subprocess
import tty
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from plant.site import Endpoint

LOOPBACK = "127.0.0.1"
WIRES = ("modbus_tcp", "modbus_tls", "modbus_rtu_over_tcp", "modbus_rtu")


def crc(frame: bytes) -> bytes:
    """Bit by bit, as the serial line guide draws it."""
    register = 0xFFFF
    for byte in frame:
        register ^= byte
        for _ in range(8):
            register, carry = register >> 1, register & 1
            if carry:
                register ^= 0xA001
    return struct.pack("<H", register)


def words(*values: int) -> bytes:
    """The byte count and the words of an answer."""
    return struct.pack(f">B{len(values)}H", 2 * len(values), *values)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int


Handler = Callable[["Peer", Asked], Awaitable[None]]


class Peer:
    """One side of a wire that does what its handler says. ``asked`` has every request that came."""

    def __init__(self, protocol: str, handler: Handler) -> None:
        self._headed, self._handler = protocol in ("modbus_tcp", "modbus_tls"), handler
        self.asked: list[Asked] = []
        self.connections = 0
        self._send: Callable[[bytes], None] = lambda _: None
        self.hang_up: Callable[[], None] = lambda: None

    def frame(self, asked: Asked, data: bytes, *, function: int | None = None, unit: int | None = None, shift: int = 0) -> bytes:
        """An answer; ``shift`` makes its transaction another one."""
        unit = asked.unit if unit is None else unit
        body = bytes((unit, asked.function if function is None else function)) + data
        if self._headed:
            return struct.pack(">HHH", (asked.transaction + shift) & 0xFFFF, 0, len(body)) + body
        return body + crc(body)

    def endpoint(self, **more: object) -> Endpoint:
        """How the collector reaches it."""
        raise NotImplementedError

    def send(self, *pieces: bytes) -> None:
        """Put bytes on the wire."""
        for piece in pieces:
            self._send(piece)

    async def serve(
        self, read: Callable[[int], Awaitable[bytes]], send: Callable[[bytes], None], hang_up: Callable[[], None]
    ) -> None:
        """Take requests until the other side goes."""
        self.connections += 1
        self._send, self.hang_up = send, hang_up
        with suppress(asyncio.IncompleteReadError, ConnectionError, OSError):
            while True:
                head = await read(6) if self._headed else b""
                body = await read(6 if self._headed else 8)
                if not self._headed:
                    assert crc(body[:6]) == body[6:], "the request has no right checksum"
                transaction = struct.unpack(">H", head[:2])[0] if head else 0
                asked = Asked(transaction, *struct.unpack(">BBHH", body[:6]))
                self.asked.append(asked)
                await self._handler(self, asked)


class SocketPeer(Peer):
    """Behind a TCP port, with TLS where a context is given."""

    def __init__(self, protocol: str, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        super().__init__(protocol, handler)
        self._protocol, self._context = protocol, context
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[object]] = []
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and all connections."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def endpoint(self, **more: object) -> Endpoint:
        """How the collector reaches it."""
        return Endpoint("gateway", self._protocol, "localhost", self.port, **({"timeout_s": 0.3} | more))  # type: ignore[arg-type]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        await self.serve(reader.readexactly, writer.write, writer.transport.abort)
        writer.close()


class PtyPeer(Peer):
    """Behind a pseudo terminal; a link leads to it, so that it can be pulled out and put in again."""

    def __init__(self, link: Path, handler: Handler) -> None:
        super().__init__("modbus_rtu", handler)
        self._link = link
        self._stream = asyncio.StreamReader()
        self._task: asyncio.Task[None] | None = None
        self._master = -1

    async def start(self) -> None:
        """Put it in."""
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(slave))
        self._slave = slave  # held open, so that the terminal does not hang up between two clients
        self._stream = asyncio.StreamReader()
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._readable)
        self._task = asyncio.create_task(self.serve(self._stream.readexactly, self._write, self._pull_out))

    async def stop(self) -> None:
        """Pull it out."""
        self._pull_out()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def endpoint(self, **more: object) -> Endpoint:
        """How the collector reaches it."""
        settings: dict[str, object] = {"timeout_s": 0.3, "serial_port": str(self._link), "baud_rate": 115_200, "parity": "none"}
        return Endpoint("gateway", "modbus_rtu", "", 0, **(settings | more))  # type: ignore[arg-type]

    def _write(self, data: bytes) -> None:
        os.write(self._master, data)

    def _readable(self) -> None:
        try:
            self._stream.feed_data(os.read(self._master, 4096))
        except OSError:
            asyncio.get_running_loop().remove_reader(self._master)

    def _pull_out(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1
            self._stream.feed_eof()


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of a CA of our own, of a server on localhost and of a client, and of a CA that nobody trusts."""

    folder: Path

    def server_context(self) -> ssl.SSLContext:
        """A server that asks for a client's certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.folder / "ca.pem")
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_certificates(folder: Path) -> Certificates:
    """With the openssl of this machine; skipped where there is none, which under CI=true is a failure."""
    if shutil.which("openssl") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("openssl is not installed")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for name in ("ca", "stranger"):
        _openssl(folder, "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    for name in ("server", "client"):
        (folder / f"{name}.ext").write_text("subjectAltName=DNS:localhost\n")
        _openssl(folder, "req", *key[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext"]
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    return Certificates(folder)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
