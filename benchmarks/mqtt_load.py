"""The load of the MQTT benchmark: messages made beforehand, a publisher, a broker that only blasts, an InfluxDB that only nods.

Run as a program: python mqtt_load.py publish PORT MESSAGES | blast PORT MESSAGES | nod PORT
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time

METERS = 2_000
FILTER = "plant/bench/feeder/#"
IN_FLIGHT_MAX = 60_000  # to a broker, which allows 65 535 unless it says otherwise
CHUNK = 400  # messages a write
START_MS = round(time.time()) * 1000  # now: history is a load of its own


def topic(meter: int) -> str:
    """26 bytes."""
    return f"plant/bench/feeder/mt-{meter:04}"


def payload(number: int) -> bytes:
    """One message of about 142 bytes with eight values; no two of a meter have one instant."""
    return json.dumps(
        {
            "ts": START_MS + number // METERS * 10,
            "device": f"m{number % METERS:04}",
            "p_kw": 1250.5 + number % 97 // 2,
            "e_kwh": 12345.5 + number // 64,
            "v": [230.1, 231.2, 229.8],
            "i": [1810.5, 1812.2, 1809.7],
            "pf": 0.98,
            "hz": 50.02,
        },
        separators=(",", ":"),
    ).encode()


def publish_packets(messages: int, *, version: int) -> list[bytes]:
    """PUBLISH packets of QoS 1, joined by ``CHUNK``."""
    joined: list[bytes] = []
    for first in range(0, messages, CHUNK):
        parts = []
        for number in range(first, min(first + CHUNK, messages)):
            name, body = topic(number % METERS).encode(), payload(number)
            packet_id = number % 65_535 + 1
            properties = b"\0" if version == 5 else b""
            rest = struct.pack(">H", len(name)) + name + struct.pack(">H", packet_id) + properties + body
            parts.append(b"\x32" + length(len(rest)) + rest)
        joined.append(b"".join(parts))
    return joined


def length(n: int) -> bytes:
    """Remaining length as MQTT writes it."""
    out = bytearray()
    while True:
        n, digit = divmod(n, 128)
        out.append(digit | (0x80 if n else 0))
        if not n:
            return bytes(out)


async def publish(port: int, messages: int) -> None:
    """Publish everything over MQTT 3.1.1 as fast as the broker acknowledges it."""
    packets = publish_packets(messages, version=4)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    rest = b"\0\4MQTT\4\2\0\x3c\0\5bench"
    writer.write(b"\x10" + length(len(rest)) + rest)
    await reader.readexactly(4)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await _send(packets, messages, reader, writer, IN_FLIGHT_MAX)
    print("done", time.time(), flush=True)


async def blast(port: int, messages: int) -> None:
    """A broker for one MQTT 5 client: greets it, grants what it asks for and sends everything."""
    packets = publish_packets(messages, version=5)
    finished = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        in_flight = receive_maximum(await _packet(reader, 0x10))
        writer.write(b"\x20\x03\0\0\0")
        subscribe = await _packet(reader, 0x82)
        writer.write(b"\x90\x04" + subscribe[:2] + b"\0\1")
        await asyncio.sleep(1.0)
        print("first", time.time(), flush=True)
        await _send(packets, messages, reader, writer, in_flight)
        print("last", time.time(), flush=True)
        finished.set()
        while await reader.read(1 << 16):
            pass

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        await finished.wait()
        await asyncio.sleep(3600)


def receive_maximum(connect: bytes) -> int:
    """What a CONNECT of MQTT 5 allows to be unacknowledged."""
    sizes = {0x11: 4, 0x21: 2, 0x27: 4}  # the properties before it that our client sends
    at, end = 11, 11 + connect[10]
    while at < end:
        if connect[at] == 0x21:
            return int.from_bytes(connect[at + 1 : at + 3])
        at += 1 + sizes[connect[at]]
    return 65_535


async def _send(
    packets: list[bytes], messages: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, in_flight_max: int
) -> None:
    """Write packets, never more of them unacknowledged than the receiver allows; return when all are acknowledged."""
    acknowledged = sent = 0
    have = 0
    for packet in packets:
        while sent - acknowledged > in_flight_max - CHUNK:
            have += len(await reader.read(1 << 16))
            acknowledged = have // 4
        writer.write(packet)
        await writer.drain()
        sent += CHUNK
    while acknowledged < messages:
        got = await reader.read(1 << 16)
        if not got:
            sys.exit(f"the connection ended after {acknowledged} of {messages} acknowledgements")
        have += len(got)
        acknowledged = have // 4


async def _packet(reader: asyncio.StreamReader, wanted: int) -> bytes:
    """The rest of the next packet of that first byte; others (pings) are passed over."""
    while True:
        (first,) = await reader.readexactly(1)
        size = shift = 0
        digit = 0x80
        while digit & 0x80:
            (digit,) = await reader.readexactly(1)
            size |= (digit & 0x7F) << shift
            shift += 7
        rest = await reader.readexactly(size)
        if first == wanted:
            return rest


async def nod(port: int) -> None:
    """An InfluxDB that takes everything and keeps nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            sizes = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if sizes:
                await reader.readexactly(int(sizes[0]))
            if b"/write" in head.split(b"\r\n", 1)[0]:
                writer.write(b"HTTP/1.1 204 No Content\r\nX-Influxdb-Version: 1.6.7\r\n\r\n")
            else:
                body = b'{"results":[{"statement_id":0}]}'
                writer.write(
                    b"HTTP/1.1 200 OK\r\nX-Influxdb-Version: 1.6.7\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=1 << 24)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    asyncio.run({"publish": publish, "blast": blast, "nod": nod}[what](*map(int, numbers)))
