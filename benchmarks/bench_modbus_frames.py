"""What encoding a Modbus request and decoding its answer costs, without any socket: ours beside pymodbus's own.

Run: python benchmarks/bench_modbus_frames.py
"""

from __future__ import annotations

import struct
import timeit
from collections.abc import Callable, Sequence

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from collector.modbus_frames import Framing, RtuFraming, TcpFraming, answer_of, crc16
from devices.plan import ReadRequest

WORDS = 60
REQUEST = ReadRequest("holding", 0, WORDS)
BODY = struct.pack(f">BBB{WORDS}H", 1, 3, 2 * WORDS, *range(1_000, 1_000 + WORDS))


def ours(framing: Framing, wrap: Callable[[bytes], bytes]) -> Sequence[int]:
    pdu = framing.feed(wrap(framing.ask(1, REQUEST)))
    assert pdu is not None
    words = answer_of(pdu, REQUEST)
    assert isinstance(words, Sequence)
    return words


def theirs(framer: FramerSocket | FramerRTU, wrap: Callable[[bytes], bytes], transaction: int) -> Sequence[int]:
    sent = framer.buildFrame(ReadHoldingRegistersRequest(address=0, count=WORDS, dev_id=1, transaction_id=transaction))
    _, pdu = framer.handleFrame(wrap(sent), 1, transaction)
    assert pdu is not None
    return pdu.registers


def on_tcp(request: bytes) -> bytes:
    return request[:4] + struct.pack(">H", len(BODY)) + BODY


def on_serial(_: bytes) -> bytes:
    return CHECKED


def each_us(run: Callable[[], object]) -> float:
    return min(timeit.repeat(run, number=5_000, repeat=7)) / 5_000 * 1e6


CHECKED = BODY + crc16(BODY)


def main() -> None:
    decoder = DecodePDU(is_server=False)
    for name, framing, framer, wrap, transaction in (
        ("TCP", TcpFraming(), FramerSocket(decoder), on_tcp, 5),
        ("serial", RtuFraming(), FramerRTU(decoder), on_serial, 0),
    ):
        assert list(ours(framing, wrap)) == list(theirs(framer, wrap, transaction)) == list(range(1_000, 1_000 + WORDS))
        mine = each_us(lambda framing=framing, wrap=wrap: ours(framing, wrap))
        other = each_us(lambda framer=framer, wrap=wrap, t=transaction: theirs(framer, wrap, t))
        print(f"{name:7} {WORDS} registers: ours {mine:5.1f} us, pymodbus {other:5.1f} us, {other / mine:.1f}x")


if __name__ == "__main__":
    main()
