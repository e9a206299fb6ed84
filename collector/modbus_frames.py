"""The Modbus wire format, read functions 1 to 4 alone: requests to bytes, and bytes to the answer that fits. Pure.

Modbus Application Protocol V1.1b3 sections 4 and 6; Modbus Messaging on TCP/IP V1.0b section 3; Modbus over Serial Line V1.02
section 2.5. A framing remembers the one request that is under way and holds all that arrives against it: what belongs to
another request, unit or function is counted and dropped.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from struct import Struct
from typing import Protocol

from devices.dialogue import Answer, Refused
from devices.maps import BIT_TABLES
from devices.plan import ReadRequest

FUNCTION_OF = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
EXCEPTION_BIT = 0x80
BUFFER_MAX = 1024  # more than two answers of the largest kind

_ADU_TCP = Struct(">HHHBBHH")  # transaction, protocol 0, length, unit, function, address, count
_PDU_RTU = Struct(">BBHH")
_HEADER = Struct(">HHHBB")
_LENGTH_MAX = 254  # unit and PDU
_SWAPPED = sys.byteorder == "little"


class Framing(Protocol):
    """One way to put requests and answers on a wire. ``counters`` says what was dropped, by kind."""

    counters: dict[str, int]
    left: int  # bytes that arrived for the request under way and made no answer

    def ask(self, unit: int, request: ReadRequest) -> bytes:
        """The bytes of a request; what is fed from now on is held against it."""
        ...

    def feed(self, data: bytes) -> bytes | None:
        """The PDU that answers the request under way once it is whole, else None."""
        ...

    def give_up(self) -> None:
        """Nothing is awaited any more: what arrives is late."""
        ...


class TcpFraming:
    """MBAP header; an answer is known by transaction, unit and function."""

    def __init__(self) -> None:
        self.counters = {"stale_answers": 0, "mismatched_answers": 0, "garbage_bytes": 0}
        self.left = 0
        self._transaction = 0
        self._expected: tuple[int, int, int] | None = None
        self._buffer = b""

    def ask(self, unit: int, request: ReadRequest) -> bytes:
        """See ``Framing``."""
        self._transaction = transaction = self._transaction + 1 & 0xFFFF
        function = FUNCTION_OF[request.table]
        self._expected = (transaction, unit, function)
        self._buffer, self.left = b"", 0
        return _ADU_TCP.pack(transaction, 0, 6, unit, function, request.address, request.count)

    def feed(self, data: bytes) -> bytes | None:
        """See ``Framing``."""
        buffer = self._buffer + data if self._buffer else data
        while len(buffer) >= _HEADER.size:
            transaction, protocol, length, unit, function = _HEADER.unpack_from(buffer)
            if protocol or not 3 <= length <= _LENGTH_MAX:
                buffer = self._resync(buffer)
                continue
            end = 6 + length
            if len(buffer) < end:
                break
            if self._expected == (transaction, unit, function & ~EXCEPTION_BIT):
                self._expected, self._buffer = None, buffer[end:]
                return buffer[7:end]
            awaited = self._expected is not None and transaction == self._transaction
            self.counters["mismatched_answers" if awaited else "stale_answers"] += 1
            buffer = buffer[end:]
        self._buffer = buffer[-BUFFER_MAX:]
        self.left = len(self._buffer)
        return None

    def give_up(self) -> None:
        """See ``Framing``. A half answer is dropped with its request; its other half is garbage, should it still come."""
        self._expected, self._buffer = None, b""

    def _resync(self, buffer: bytes) -> bytes:
        """Cut to the next place where the awaited answer may begin; the stream has no other marks."""
        mark = self._transaction.to_bytes(2, "big") + b"\0\0"
        at = buffer.find(mark, 1) if self._expected is not None else -1
        at = len(buffer) if at < 0 else at
        self.counters["garbage_bytes"] += at
        return buffer[at:]


class RtuFraming:
    """Address, PDU, CRC; an answer is known by unit, function and checksum, since there is no transaction number."""

    def __init__(self) -> None:
        self.counters = {"stale_answers": 0, "mismatched_answers": 0, "garbage_bytes": 0, "crc_errors": 0}
        self.left = 0
        self._expected: tuple[int, int, int] | None = None
        self._buffer = b""

    def ask(self, unit: int, request: ReadRequest) -> bytes:
        """See ``Framing``."""
        function = FUNCTION_OF[request.table]
        self._expected = (unit, function, 5 + _data_bytes(request))
        self._buffer, self.left = b"", 0
        frame = _PDU_RTU.pack(unit, function, request.address, request.count)
        return frame + crc16(frame)

    def feed(self, data: bytes) -> bytes | None:
        """See ``Framing``."""
        if self._expected is None:
            self.counters["stale_answers"] += not self._buffer
            self._buffer = data  # what else comes before the next request belongs to the same late answer
            return None
        buffer = self._buffer = (self._buffer + data)[-BUFFER_MAX:]
        self.left = len(buffer)
        unit, function, length = self._expected
        if len(buffer) < length and bytes((unit, function, length - 5)).startswith(buffer[:3]):
            return None  # the answer, still under way
        for at in range(len(buffer) - 4):
            fits = (buffer[at], buffer[at + 1] & ~EXCEPTION_BIT) == (unit, function)
            end = _rtu_end(buffer, at) if fits or at == 0 else 0
            if not end or crc16(buffer[at : end - 2]) != buffer[end - 2 : end]:
                continue
            if fits:
                self.counters["garbage_bytes"] += at
                self._expected, self._buffer, self.left = None, b"", 0
                return buffer[at + 1 : end - 2]
            self.counters["mismatched_answers"] += 1
            self._buffer, self.left = b"", 0
            return self.feed(buffer[end:]) if end < len(buffer) else None
        return None

    def give_up(self) -> None:
        """See ``Framing``."""
        if self.left:
            self.counters["crc_errors"] += 1
        self._expected, self._buffer, self.left = None, b"", 0


def _rtu_end(buffer: bytes, at: int) -> int:
    """Where the answer that may begin at ``at`` ends; 0 where none does, or where it has not all arrived."""
    function = buffer[at + 1]
    if function in (1, 2, 3, 4):
        end = at + 5 + buffer[at + 2]
    elif function & EXCEPTION_BIT and function & ~EXCEPTION_BIT in (1, 2, 3, 4):
        end = at + 5
    else:
        return 0
    return end if end <= len(buffer) else 0


def answer_of(pdu: bytes, request: ReadRequest) -> Answer | None:
    """The words or bits of a PDU, or the exception in it; None where its length is not that of the request."""
    if pdu[0] & EXCEPTION_BIT:
        return Refused(pdu[1]) if len(pdu) == 2 else None
    expected = _data_bytes(request)
    if len(pdu) != 2 + expected or pdu[1] != expected:
        return None
    if request.table in BIT_TABLES:
        return _bits(pdu, request.count)
    words = array("H", pdu[2:])
    if _SWAPPED:
        words.byteswap()
    return words


def words_in(pdu: bytes, request: ReadRequest) -> str:
    """How much a PDU of the wrong length holds, in words for a message."""
    size = len(pdu) - 2
    return f"{size * 8} bits" if request.table in BIT_TABLES else str(size // 2) if size % 2 == 0 else f"{size} bytes"


def crc16(frame: bytes) -> bytes:
    """The checksum of a serial frame as it goes on the wire, low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC = tuple(_crc_of_byte(byte) for byte in range(256))


def _data_bytes(request: ReadRequest) -> int:
    return (request.count + 7) // 8 if request.table in BIT_TABLES else 2 * request.count


def _bits(pdu: bytes, count: int) -> Sequence[int]:
    """Bits come eight a byte, the lowest first, filled up to whole bytes."""
    return [pdu[2 + i // 8] >> i % 8 & 1 for i in range(count)]
