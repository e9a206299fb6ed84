"""Modbus TCP meters that change with every answer: each one sent carries the next number, so a repeated poll would show."""

from __future__ import annotations

import asyncio
import struct
import time
from dataclasses import dataclass, field

from potwatt.selftest.plant import counter_address, polled_meters, polled_words

_HEAD = struct.Struct(">HHHBBHH")
_INPUT, _BAD_ADDRESS = 4, 2


@dataclass(slots=True)
class CountingMeters:
    """All units behind one loopback port. ``answered`` has, by meter, the instants (monotonic s) of the numbers 1, 2, ...

    The first look at the registers behind a look at the identity belongs to the greeting: it is no poll and gets no number.
    """

    port: int
    answered: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in polled_meters()})
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words, counter, names = polled_words(), counter_address(), polled_meters()
        greeted: set[int] = set()
        try:
            while True:
                transaction, _, _, unit, function, address, count = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                wanted = range(address, address + count)
                if function != _INPUT or unit > len(names) or any(a not in words for a in wanted):
                    writer.write(struct.pack(">HHHBBB", transaction, 0, 3, unit, function | 0x80, _BAD_ADDRESS))
                    continue
                if counter not in wanted:
                    greeted.add(unit)
                elif unit in greeted:
                    greeted.remove(unit)
                else:
                    instants = self.answered[names[unit - 1]]
                    instants.append(time.monotonic())
                    words |= {counter + i: w for i, w in enumerate(struct.unpack(">4H", struct.pack(">Q", len(instants))))}
                body = struct.pack(f">{count}H", *(words[a] for a in wanted))
                writer.write(struct.pack(">HHHBBB", transaction, 0, 3 + len(body), unit, function, len(body)) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
