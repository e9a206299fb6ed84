"""DL/T 645-2007 on the wire: the two requests that are ever sent, frames out of a stream of bytes, and refusals in words.

A frame is 68H, address (6 bytes BCD, low byte first), 68H, control code, length, data (each byte + 33H), checksum
(sum of all before it, modulo 256), 16H. A request is preceded by four FEH that wake the meter's receiver.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

START, END, WAKE_UP = 0x68, 0x16, b"\xfe\xfe\xfe\xfe"
OFFSET = 0x33
HEAD, TAIL = 10, 2  # bytes before and after the data
DATA_MAX = 200  # what the standard allows in a reply to a read
DI_BYTES = 4
BROADCAST = "999999999999"

_FROM_METER, _REFUSED, _MORE, _FUNCTION = 0x80, 0x40, 0x20, 0x1F
_ADD = bytes((i + OFFSET) & 0xFF for i in range(256))
_SUBTRACT = bytes((i - OFFSET) & 0xFF for i in range(256))
_REASONS = (  # bits of the error byte, lowest first
    "another error",
    "no such data",
    "wrong password or no right",
    "the rate cannot be changed",
    "too many annual zones",
    "too many daily periods",
    "too many tariffs",
    "a reserved bit",
)


class Function(IntEnum):
    """What may be asked. These two read; the protocol's other functions change the meter and have no code here."""

    READ = 0x11
    READ_NEXT = 0x12


@dataclass(frozen=True, slots=True)
class DataRequest:
    """One question: data identifier as eight hex digits DI3..DI0; ``sequence`` from 1 on asks for the rest of a long
    answer, 0 for its beginning."""

    di: str
    sequence: int = 0

    @property
    def function(self) -> Function:
        """The control code it is sent with."""
        return Function.READ_NEXT if self.sequence else Function.READ

    def encode(self, address: str) -> bytes:
        """The bytes to send to a meter, wake-up included.

        Raises ValueError unless the address is twelve decimal digits: no wildcard, no broadcast.
        """
        if len(address) != 12 or not (address.isdecimal() and address.isascii()) or address == BROADCAST:
            raise ValueError(f"{address!r} is no meter's address; twelve decimal digits are, and not {BROADCAST}")
        data = bytes.fromhex(self.di)[::-1] + (bytes([self.sequence]) if self.sequence else b"")
        head = bytes([START]) + bytes.fromhex(address)[::-1] + bytes([START, self.function, len(data)])
        return WAKE_UP + _framed(head + data.translate(_ADD))

    def reply(self, address: str, answer: DataReply) -> bytes:
        """The frame that an answer came in, without wake-up."""
        control = _FROM_METER | self.function | (_MORE if answer.more else 0)
        data = bytes.fromhex(self.di)[::-1] + answer.data + (bytes([self.sequence]) if self.sequence else b"")
        head = bytes([START]) + bytes.fromhex(address)[::-1] + bytes([START, control, len(data)])
        return _framed(head + data.translate(_ADD))

    def answer(self, frame: Frame, address: str) -> DataReply | Denied | None:
        """What a frame answers to this request; None where it is not its answer (another meter, an echo, a late reply)."""
        if frame.address != address or not frame.is_reply or frame.control & _FUNCTION != self.function:
            return None
        if frame.control & _REFUSED:
            return Denied(frame.data[-1]) if frame.data else None
        if frame.data[:DI_BYTES][::-1] != bytes.fromhex(self.di):
            return None
        data, more = frame.data[DI_BYTES:], bool(frame.control & _MORE)
        if not self.sequence:
            return DataReply(data, more)
        return DataReply(data[:-1], more) if data[-1:] == bytes([self.sequence]) else None


def _framed(body: bytes) -> bytes:
    return body + bytes([sum(body) & 0xFF, END])


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose checksum is right: twelve digits of the address, control code, data without the offset."""

    address: str
    control: int
    data: bytes

    @property
    def is_reply(self) -> bool:
        """Whether a meter sent it; an echo of the own request is none."""
        return bool(self.control & _FROM_METER)


@dataclass(frozen=True, slots=True)
class DataReply:
    """Data of an answer without identifier and sequence number; ``more`` says that it goes on."""

    data: bytes
    more: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """An answer that refuses; ``error`` is its byte of reasons."""

    error: int

    @property
    def is_about_data(self) -> bool:
        """Whether the meter has no such data, rather than a trouble of its own."""
        return bool(self.error & 0b10)

    @property
    def name(self) -> str:
        """The reasons in words."""
        found = [reason for bit, reason in enumerate(_REASONS) if self.error >> bit & 1]
        return f"error {self.error:02X}H ({', '.join(found) or 'no reason given'})"


class FrameReader:
    """Frames out of a stream of bytes. ``skipped`` counts bytes that belonged to none, ``bad`` frames with a wrong end
    or checksum; after either it looks for the next start, so that noise costs the frame it hit and no other."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.skipped = 0
        self.bad = 0

    @property
    def in_frame(self) -> bool:
        """Whether what is there may be the beginning of a frame."""
        return bool(self._buffer)

    def clear(self) -> None:
        """Forget what is there, before a new request: a late answer must not be taken for the next one."""
        self._buffer.clear()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes as they come; yields the frames that are complete."""
        self._buffer += data
        while self._align() and (frame := self._next()) is not None:
            yield frame

    def _align(self) -> bool:
        """Drop everything before what may be the head of a frame. False where more bytes are needed to tell."""
        buffer = self._buffer
        while True:
            start = buffer.find(START)
            cut = len(buffer) if start < 0 else start
            self.skipped += sum(byte != WAKE_UP[0] for byte in buffer[:cut])
            del buffer[:cut]
            if len(buffer) < HEAD:
                return False
            if buffer[7] == START and buffer[9] <= DATA_MAX:
                return True
            self._drop_one()

    def _next(self) -> Frame | None:
        buffer = self._buffer
        while len(buffer) >= HEAD:
            size = HEAD + buffer[9] + TAIL
            if len(buffer) < size:
                return None
            if buffer[size - 1] == END and buffer[size - 2] == sum(buffer[: size - 2]) & 0xFF:
                frame = Frame(buffer[6:0:-1].hex(), buffer[8], bytes(buffer[HEAD : size - TAIL]).translate(_SUBTRACT))
                del buffer[:size]
                return frame
            self.bad += 1
            self._drop_one()
            if not self._align():
                return None
        return None

    def _drop_one(self) -> None:
        self.skipped += 1
        del self._buffer[0]


def one_frame(data: bytes) -> Frame:
    """The only frame in some bytes, wake-up allowed. Raises ValueError where there is none or anything else."""
    reader = FrameReader()
    frames = list(reader.feed(data))
    if len(frames) != 1 or reader.skipped:
        raise ValueError(f"{data.hex(' ')} is not one frame of DL/T 645 with a right checksum")
    return frames[0]
