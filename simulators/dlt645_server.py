"""Simulated DL/T 645-2007 meters on one bus, behind a TCP port (as a serial server shows it) or a serial port.

Frames are put together and taken apart here without the code of the collector, so that each checks the other.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from plant.errors import TransportError

Values = Callable[[str], bytes | None]  # data of an identifier, low byte first; None where the meter has none

NO_SUCH_DATA = 0x02
_READ, _READ_NEXT = 0x11, 0x12


class BusFault(Enum):
    """What goes wrong on the bus or with a meter."""

    NONE = "none"
    SILENT = "silent"  # never answers
    ECHO = "echo"  # the adapter hands back what was sent
    NOISE = "noise"  # bytes that are none of a frame before each answer
    BAD_CHECKSUM = "bad_checksum"  # a damaged copy of the answer comes first
    BROKEN = "broken"  # only a damaged answer comes
    FOREIGN = "foreign"  # another meter's answer to the same question comes first
    OTHER_DATA = "other_data"  # an answer with another identifier comes first
    HALF = "half"  # the answer breaks off
    SILENT_ON_UNKNOWN = "silent_on_unknown"  # says nothing instead of refusing
    IN_TROUBLE = "in_trouble"  # refuses everything with "another error"
    ENDLESS = "endless"  # says after every frame that more follow


@dataclass(slots=True)
class BusMeter:
    """One meter: its twelve digits, what it measures, how many bytes of data go into one frame, and its fault."""

    address: str
    values: Values
    frame_bytes: int = 200
    fault: BusFault = BusFault.NONE


@dataclass(slots=True)
class Bus:
    """Meters that share a line. ``heard`` keeps the control codes of all requests."""

    meters: Sequence[BusMeter]
    heard: list[int] = field(default_factory=list)
    _unread: bytes = b""

    def take(self, data: bytes) -> list[bytes]:
        """Bytes from the master; what goes back, piece by piece."""
        self._unread += data
        out: list[bytes] = []
        while True:
            at = self._unread.find(0x68)
            whole = self._unread[at:] if at >= 0 else b""
            if len(whole) < 12 or len(whole) < 12 + whole[9]:
                return out
            size = 12 + whole[9]
            request, self._unread = whole[:size], whole[size:]
            if whole[7] != 0x68 or sum(request[:-2]) % 256 != request[-2] or request[-1] != 0x16:
                raise AssertionError(f"the collector sent a broken frame: {request.hex(' ')}")
            self.heard.append(request[8])
            for meter in self.meters:
                if request[1:7] == _address(meter.address):
                    out += _react(meter, request)


def frame(address: str, control: int, data: bytes) -> bytes:
    """A frame as a meter sends it, behind two wake-up bytes."""
    shifted = bytes((byte + 0x33) % 256 for byte in data)
    body = b"\x68" + _address(address) + b"\x68" + bytes([control, len(data)]) + shifted
    return b"\xfe\xfe" + body + bytes([sum(body) % 256]) + b"\x16"


def number(value: float, digits: int, decimals: int, *, signed: bool = False) -> bytes:
    """A value as packed decimals, low byte first; FFH where there is none. Raises ValueError where it does not fit."""
    if math.isnan(value):
        return b"\xff" * (digits // 2)
    text = f"{abs(value):0{digits + (decimals > 0)}.{decimals}f}".replace(".", "")
    if len(text) > digits or (value < 0 and not signed):
        raise ValueError(f"{value} does not fit into {digits} digits with {decimals} decimals")
    packed = [int(text[i], 16) * 16 + int(text[i + 1], 16) for i in range(0, digits, 2)]
    if value < 0:
        packed[0] |= 0x80
    return bytes(reversed(packed))


def fixed(data: Mapping[str, bytes]) -> Values:
    """A meter whose values stand still."""
    return data.get


def _address(digits: str) -> bytes:
    return bytes(int(digits[i : i + 2], 16) for i in (10, 8, 6, 4, 2, 0))


def _react(meter: BusMeter, request: bytes) -> list[bytes]:
    answer = _answer(meter, request)
    match meter.fault:
        case BusFault.SILENT:
            return []
        case BusFault.SILENT_ON_UNKNOWN:
            return [] if answer[10] == 0xD1 else [answer]
        case BusFault.ECHO:
            return [request, answer]
        case BusFault.NOISE:
            return [b"\x00\x68\x11\xff\x68\x68", answer]
        case BusFault.BAD_CHECKSUM:
            return [_damaged(answer), answer]
        case BusFault.BROKEN:
            return [_damaged(answer)]
        case BusFault.FOREIGN:
            return [_answer(BusMeter("999999000001", lambda _: b"\x11\x11\x11\x11"), request), answer]
        case BusFault.OTHER_DATA:
            return [frame(meter.address, 0x91, bytes.fromhex("00000500") + b"\x22\x22\x22\x22"), answer]
        case BusFault.HALF:
            return [answer[: len(answer) // 2]]
        case BusFault.IN_TROUBLE:
            return [frame(meter.address, 0xD1, b"\x01")]
        case _:
            return [answer[:5], answer[5:]]


def _answer(meter: BusMeter, request: bytes) -> bytes:
    control, plain = request[8], bytes((byte - 0x33) % 256 for byte in request[10:-2])
    if control not in (_READ, _READ_NEXT):
        raise AssertionError(f"control code {control:02X}H is no read")
    di = "".join(f"{byte:02X}" for byte in reversed(plain[:4]))
    data = meter.values(di)
    if data is None:
        return frame(meter.address, control | 0xC0, bytes([NO_SUCH_DATA]))
    part = plain[4] if control == _READ_NEXT else 0
    piece = data[part * meter.frame_bytes : (part + 1) * meter.frame_bytes]
    more = len(data) > (part + 1) * meter.frame_bytes or meter.fault is BusFault.ENDLESS
    tail = bytes([part]) if control == _READ_NEXT else b""
    return frame(meter.address, control | (0xA0 if more else 0x80), plain[:4] + piece + tail)


def _damaged(answer: bytes) -> bytes:
    return answer[:-2] + bytes([(answer[-2] + 1) % 256]) + answer[-1:]


class BusOnTcp:
    """The bus behind a serial server on loopback."""

    def __init__(self, bus: Bus, port: int) -> None:
        self._bus, self._port = bus, port
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises TransportError when the port is taken."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Conversation(self._bus), "127.0.0.1", self._port)
        except OSError as error:
            raise TransportError(f"127.0.0.1:{self._port} is taken; stop what listens there") from error

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()
            self._server = None


class BusOnSerial:
    """The bus on a file descriptor, such as the master side of a pseudo-terminal."""

    def __init__(self, bus: Bus, file: int) -> None:
        self._bus, self._file = bus, file

    async def start(self) -> None:
        """Listen."""
        os.set_blocking(self._file, False)
        asyncio.get_running_loop().add_reader(self._file, self._readable)

    async def stop(self) -> None:
        """Listen no more; whoever opened the descriptor closes it."""
        asyncio.get_running_loop().remove_reader(self._file)

    def _readable(self) -> None:
        for piece in self._bus.take(os.read(self._file, 4096)):
            os.write(self._file, piece)


class _Conversation(asyncio.Protocol):
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for piece in self._bus.take(data):
            self._transport.write(piece)
