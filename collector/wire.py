"""Opening what bytes go over: TCP, TLS or a serial port. The only file that knows pyserial. Failures are told in words."""

from __future__ import annotations

import asyncio
import os
import ssl
import termios
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import serial

from plant.errors import TransportError
from plant.site import Endpoint

P = TypeVar("P", bound=asyncio.Protocol)

SERIAL_PROTOCOLS = ("modbus_rtu", "dlt645")
READ_BYTES = 4096
_PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


def where(endpoint: Endpoint) -> str:
    """How messages name the endpoint: its serial port, or host and port."""
    return endpoint.serial_port if endpoint.protocol in SERIAL_PROTOCOLS else f"{endpoint.host}:{endpoint.port}"


async def open_wire(
    endpoint: Endpoint, protocol_factory: Callable[[], P], *, folder: Path = Path()
) -> tuple[asyncio.WriteTransport, P]:
    """Connect within ``timeout_s`` of the endpoint; TLS files are looked up in ``folder``. Raises TransportError."""
    if endpoint.protocol in SERIAL_PROTOCOLS:
        return _open_serial(endpoint, protocol_factory())
    context = tls_context(endpoint, folder) if endpoint.protocol == "modbus_tls" else None
    place, timeout_s = where(endpoint), endpoint.timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            loop = asyncio.get_running_loop()
            return await loop.create_connection(protocol_factory, endpoint.host, endpoint.port, ssl=context)
    except TimeoutError:
        raise TransportError(f"no connection to {place} within {timeout_s:g} s; check address, network and firewall") from None
    except ssl.SSLCertVerificationError as error:
        hint = "check ca_file, and that the certificate is valid and names that host"
        raise TransportError(f"the certificate of {place} is refused: {error.verify_message}; {hint}") from error
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        raise TransportError(f"no TLS with {place}: {reason}; check that it speaks TLS and takes cert_file") from error
    except OSError as error:
        reason = (error.strerror or str(error) or "it closed the connection at once").lower()
        hint = "check that the device is on and listens on that port"
        if context is not None:
            hint += ", and that it speaks TLS there"
        raise TransportError(f"no connection to {place}: {reason}; {hint}") from error


def tls_context(endpoint: Endpoint, folder: Path) -> ssl.SSLContext:
    """Certificates are checked always: by ``ca_file``, else by the system's authorities. Raises TransportError."""
    try:
        context = ssl.create_default_context(cafile=str(folder / endpoint.ca_file) if endpoint.ca_file else None)
        if endpoint.cert_file:
            context.load_cert_chain(folder / endpoint.cert_file, folder / endpoint.key_file if endpoint.key_file else None)
    except OSError as error:  # an unreadable file, or one that holds no certificate or key
        files = ", ".join(name for name in (endpoint.ca_file, endpoint.cert_file, endpoint.key_file) if name)
        raise TransportError(f"{where(endpoint)}: TLS files {files}: {error}; check ca_file, cert_file and key_file") from error
    return context


def character_s(endpoint: Endpoint) -> float:
    """How long one character takes on a serial line: start bit, eight data bits, parity and stop bits."""
    return (9 + (endpoint.parity != "none") + endpoint.stop_bits) / endpoint.baud_rate


def _open_serial(endpoint: Endpoint, protocol: P) -> tuple[asyncio.WriteTransport, P]:
    try:
        port = serial.Serial(
            endpoint.serial_port,
            baudrate=endpoint.baud_rate,
            parity=_PARITIES[endpoint.parity],
            stopbits=endpoint.stop_bits,
            timeout=0,
            exclusive=True,
        )
    except (OSError, ValueError, termios.error) as error:  # pyserial's own error is an OSError, a refused setting the last
        reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
        hint = "check that it exists, that this user may open it, and that nothing else has it open"
        raise TransportError(f"serial port {endpoint.serial_port} does not open: {reason}; {hint}") from error
    return SerialTransport(port, protocol), protocol


class SerialTransport(asyncio.WriteTransport):
    """A serial port as an asyncio transport. What does not fit into the port's buffer is written when there is room."""

    def __init__(self, port: serial.Serial, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._port, self._protocol, self._file = port, protocol, port.fileno()
        self._loop = asyncio.get_running_loop()
        self._unwritten = b""
        self._closing = False
        protocol.connection_made(self)
        self._loop.add_reader(self._file, self._readable)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send; a failure closes the port."""
        if self._closing:
            return
        if self._unwritten:
            self._unwritten += bytes(data)
            return
        self._unwritten = bytes(data)
        self._writable()
        if self._unwritten and not self._closing:
            self._loop.add_writer(self._file, self._writable)

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """Close the port now."""
        self._lost(None)

    def abort(self) -> None:
        """The same."""
        self._lost(None)

    def _writable(self) -> None:
        try:
            sent = os.write(self._file, self._unwritten)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        self._unwritten = self._unwritten[sent:]
        if not self._unwritten:
            self._loop.remove_writer(self._file)

    def _readable(self) -> None:
        try:
            data = os.read(self._file, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:  # an adapter that was pulled out
            self._lost(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._lost(None)

    def _lost(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._file)
        self._loop.remove_writer(self._file)
        self._port.close()
        self._loop.call_soon(self._protocol.connection_lost, error)
