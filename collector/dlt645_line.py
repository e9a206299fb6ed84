"""Asking DL/T 645-2007 meters over a serial port or a serial server, one request at a time, errors in our own tree."""

from __future__ import annotations

import asyncio

from collector.polled import Station
from collector.wire import character_s, open_wire, where
from devices.dialogue import MeterAddress
from devices.dlt645_frame import DATA_MAX, HEAD, TAIL, DataReply, DataRequest, Denied, FrameReader
from plant.errors import DeviceSilent, TransportError
from plant.site import Endpoint

BYTE_GAP_S = 0.5  # the standard's longest pause between bytes of a frame
DRAIN_SHARE = 0.25  # of the time-out: so long the line has to be quiet after one
DRAIN_TRIES = 4


class Dlt645Line:
    """The connection to an endpoint (``collector.poller.Line``).

    ``counters`` has ``stale_answers`` (of another meter, to an earlier request), ``checksum_errors`` and
    ``garbage_bytes``. The echo of the own request, usual on two wires, is neither.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.where = where(endpoint)
        self._reader = FrameReader()
        self._stale = self.answers = 0
        self._transport: asyncio.WriteTransport | None = None
        self._asked: tuple[DataRequest, str] | None = None
        self._answer: asyncio.Future[DataReply | Denied] | None = None
        self._free_s = self._heard_s = 0.0
        self._character_s = character_s(endpoint)
        self._spacing_s = 1 / endpoint.requests_per_s_max if endpoint.requests_per_s_max else 0.0

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong on the wire so far, by kind."""
        reader = self._reader
        return {"stale_answers": self._stale, "checksum_errors": reader.bad, "garbage_bytes": reader.skipped}

    @property
    def is_numbered(self) -> bool:
        """Data come with their identifier, a refusal without."""
        return False

    def wait_s(self, station: Station) -> float:  # noqa: ARG002 (of any station)
        """None has to be left alone: ``ask`` itself lets a late answer go by."""
        return 0.0

    async def connect(self) -> None:
        """Open the connection anew. Raises TransportError."""
        self.close()
        self._reader.clear()
        self._loop = asyncio.get_running_loop()
        self._transport, _ = await open_wire(self._endpoint, lambda: _Ear(self))
        self._free_s = max(self._free_s, self._loop.time() + self._endpoint.pause_after_connect_s)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def ask(self, request: DataRequest, station: Station, timeout_s: float | None = None) -> DataReply | Denied:
        """Ask once; the time-out runs from when the request has left the port, and no frame that is coming in is cut off.

        Raises DeviceSilent, or TransportError where the line itself is lost.
        """
        if (wait_s := self._free_s - self._loop.time()) > 0:
            await asyncio.sleep(wait_s)
        if self._transport is None or self._transport.is_closing():
            raise self._lost()
        sent = request.encode(station.address)
        timeout_s = self._endpoint.timeout_s if timeout_s is None else timeout_s
        asked_s = self._loop.time()
        self._reader.clear()
        noise = self._noise
        self._asked, self._answer = (request, station.address), self._loop.create_future()
        self._transport.write(sent)
        try:
            answer = await self._wait(self._answer, asked_s + len(sent) * self._character_s + timeout_s)
        except TimeoutError:
            raise await self._unanswered(request, station.name, timeout_s, noise) from None
        finally:
            self._asked = self._answer = None
            self._free_s = max(self._loop.time() + self._endpoint.pause_between_s, asked_s + self._spacing_s)
        self.answers += 1
        return answer

    async def _wait(self, answer: asyncio.Future[DataReply | Denied], until_s: float) -> DataReply | Denied:
        """The answer, by ``until_s`` or, while bytes keep coming, by when the longest frame would have come."""
        latest_s = until_s + (HEAD + DATA_MAX + TAIL) * self._character_s
        while True:
            await asyncio.wait([answer], timeout=until_s - self._loop.time())
            if answer.done():
                return answer.result()
            until_s = min(latest_s, self._heard_s + BYTE_GAP_S)
            if until_s <= self._loop.time() or not self._reader.in_frame:
                raise TimeoutError

    def received(self, data: bytes) -> None:
        """Bytes from the wire."""
        self._heard_s = self._loop.time()
        for frame in self._reader.feed(data):
            if not frame.is_reply:
                continue
            request, address = self._asked or (None, "")
            answer = request.answer(frame, address) if request is not None else None
            if answer is None or self._answer is None or self._answer.done():
                self._stale += 1
            else:
                self._answer.set_result(answer)

    def ended(self, transport: asyncio.BaseTransport) -> None:
        """The connection is gone: whoever waits is told at once."""
        if transport is self._transport:
            self._transport = None
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(self._lost())

    @property
    def _noise(self) -> int:
        """Bytes so far that were no frame."""
        return self._reader.skipped + self._reader.bad

    async def _unanswered(self, request: DataRequest, name: MeterAddress, timeout_s: float, noise: int) -> DeviceSilent:
        self._asked = None
        is_noisy = self._noise > noise or self._reader.in_frame
        await self._drain(timeout_s * DRAIN_SHARE)
        checks = "baud rate, parity, protocol and wiring" if is_noisy else "power, wiring, baud rate, parity and address"
        return DeviceSilent(
            name.meter,
            name.where,
            expected=f"data {request.di}",
            got=f"{'only bytes that are no frame' if is_noisy else 'no answer'} within {timeout_s:g} s",
            next_step=f"check {checks}; it is asked again with growing pauses",
        )

    async def _drain(self, quiet_s: float) -> None:
        """Let a late answer go by: a refusal does not say what it refuses, and would pass for the next one's."""
        for _ in range(DRAIN_TRIES):  # a line that never falls silent is not waited for
            heard_s = self._heard_s
            await asyncio.sleep(quiet_s)
            if self._heard_s == heard_s:
                return

    def _lost(self) -> TransportError:
        return TransportError(f"the connection to {self.where} was closed from there; connecting anew")


class _Ear(asyncio.Protocol):
    """Passes on what asyncio tells of one connection."""

    def __init__(self, line: Dlt645Line) -> None:
        self._line = line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._line.received(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's name)
        self._line.ended(self._transport)
