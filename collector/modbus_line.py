"""Asking Modbus units over a wire, one request at a time, errors in our own tree.

The transport and the wire format are ours (``docs/decisions/0004-modbus-client.md``): an answer is taken only when it is the
one to the request under way, a lost connection is noticed at once, and a time-out is one unit's and not the line's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from collector.modbus_frames import Framing, RtuFraming, TcpFraming, answer_of, words_in
from collector.polled import Station
from collector.wire import character_s, open_wire, where
from devices.dialogue import Answer, MeterAddress, Refused
from devices.plan import ADDRESSES, ReadRequest
from plant.errors import DeviceError, DeviceNonsense, DeviceSilent, TransportError
from plant.site import Endpoint

GATEWAY_TARGET_SILENT = 11  # exception code
SILENCE_CHARACTERS = 3.5  # between frames of a serial line
SILENCE_MIN_S = 0.00175  # above 19 200 baud
DRAIN_TRIES = 4
DRAIN_SHARE = 0.25  # of the time-out: so long a line without transaction numbers has to be quiet after one
QUIET_FIRST, QUIET_LAST = 3.0, 12.0  # time-outs that pass on such a line until the unit itself is asked again


@dataclass(slots=True)
class _Late:
    """A unit whose answer may still come: how often in a row it stayed away, and until when it is waited for."""

    times: int = 0
    until_s: float = 0.0
    latest_s: float = 0.0


class ModbusLine:
    """The connection to a Modbus endpoint: TCP, TLS, a serial port, or serial frames over TCP.

    ``counters`` has ``stale_answers`` (to an earlier request), ``mismatched_answers`` (another unit or function),
    ``garbage_bytes`` and, where frames have a checksum, ``crc_errors``.
    """

    def __init__(self, endpoint: Endpoint, *, folder: Path = Path()) -> None:
        self._endpoint, self._folder = endpoint, folder
        self.where = where(endpoint)
        self._framing: Framing = TcpFraming() if endpoint.protocol in ("modbus_tcp", "modbus_tls") else RtuFraming()
        self.counters = self._framing.counters
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline_s = 0.0
        self._why, self._has_answered, self.answers = "", False, 0
        self.is_numbered = isinstance(self._framing, TcpFraming)
        self._late: dict[int, _Late] = {}  # where answers have no numbers: one would pass for that to its unit's next request
        self._free_s = self._received_s = 0.0  # when the next request may go; when the last byte came
        self._pause_s = max(endpoint.pause_between_s, _silence_s(endpoint))
        self._spacing_s = 1 / endpoint.requests_per_s_max if endpoint.requests_per_s_max else 0.0

    async def connect(self) -> None:
        """Open the connection anew. Raises TransportError."""
        self.close()
        self._why, self._has_answered = "", False
        self._loop = asyncio.get_running_loop()
        self._framing.give_up()
        self._transport, _ = await open_wire(self._endpoint, lambda: _Ear(self), folder=self._folder)
        self._free_s = max(self._free_s, self._loop.time() + self._endpoint.pause_after_connect_s)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def wait_s(self, station: Station) -> float:
        """See ``collector.poller.Line``; 0 where answers have numbers."""
        if not self._late or station.unit not in self._late:
            return 0.0
        return max(0.0, self._late[station.unit].until_s - self._loop.time())

    def _pause_left_s(self, station: Station) -> float:
        return max(self._free_s - self._loop.time(), self.wait_s(station))

    async def ask(self, request: ReadRequest, station: Station, timeout_s: float | None = None) -> Answer:
        """Ask once. Raises DeviceSilent, DeviceNonsense (wrong length or kind of answer) or TransportError (line lost)."""
        if request.end > ADDRESSES:
            raise _nonsense(request, station.name, f"a request beyond register {ADDRESSES - 1}, which is not sent")
        while self._transport is not None and (pause_s := self._pause_left_s(station)) > 0:  # noqa: ASYNC110 (it may get longer)
            await asyncio.sleep(pause_s)
        transport = self._transport
        if transport is None or transport.is_closing():
            raise self._lost()
        asked_s = self._loop.time()
        timeout_s = self._endpoint.timeout_s if timeout_s is None else timeout_s
        self._answer = answer = self._loop.create_future()
        self._deadline_s = asked_s + timeout_s
        if self._timer is None or self._timer.when() > self._deadline_s:
            self._watch(timeout_s)
        transport.write(self._framing.ask(station.unit, request))
        try:
            pdu = await answer
        except TimeoutError:
            raise await self._unanswered(request, station, timeout_s) from None
        finally:
            self._answer = None
            self._framing.give_up()
            if self._pause_s or self._spacing_s:
                self._free_s = max(self._free_s, self._loop.time() + self._pause_s, asked_s + self._spacing_s)
        self._has_answered = True
        self.answers += 1
        words = answer_of(pdu, request)
        if words is None:
            self._await_late(station.unit)  # this may be the answer to an earlier request
            raise _nonsense(request, station.name, words_in(pdu, request))
        if isinstance(words, Refused) and words.code == GATEWAY_TARGET_SILENT:
            raise _silent(request, station.name, "the gateway's word that the unit does not answer it")
        if self._late:
            self._late.pop(station.unit, None)
        return words

    def _watch(self, wait_s: float) -> None:
        """One timer goes on from request to request, since making and cancelling one for each costs more than a request."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(wait_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._answer is None or self._answer.done():
            return
        left_s = self._deadline_s - self._loop.time()
        if left_s > 0:
            self._watch(left_s)
        else:
            self._answer.set_exception(TimeoutError())

    def received(self, data: bytes) -> None:
        """Bytes from the wire."""
        self._received_s = self._loop.time()
        if self._late and self._answer is None:
            self._heard_late()
        pdu = self._framing.feed(data)
        if pdu is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(pdu)

    def ended(self, transport: asyncio.BaseTransport, error: Exception | None) -> None:
        """The connection is gone: whoever waits is told at once."""
        if transport is self._transport:
            self._transport = None
            self._why = f" ({error})" if error is not None and str(error) else ""
            if self._endpoint.protocol == "modbus_tls" and not self._has_answered:
                self._why += " before it answered anything, as one does that wants another client certificate: check cert_file"
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(self._lost())

    async def _unanswered(self, request: ReadRequest, station: Station, timeout_s: float) -> DeviceError:
        left = self._framing.left
        self._framing.give_up()
        if not self.is_numbered:
            self._await_late(station.unit)
            await self._drain(timeout_s * DRAIN_SHARE)
        if left:
            return _nonsense(request, station.name, f"{left} bytes that are no whole Modbus answer")
        return _silent(request, station.name, f"no answer within {timeout_s:g} s")

    def _await_late(self, unit: int) -> None:
        """Leave a unit alone until its answer can hardly come any more: longer each time, since it may have become slow."""
        if self.is_numbered:
            return
        late = self._late.setdefault(unit, _Late())
        late.times += 1
        now_s, timeout_s = self._loop.time(), self._endpoint.timeout_s
        late.until_s = now_s + timeout_s * min(QUIET_FIRST * 2.0 ** (late.times - 1), QUIET_LAST)
        late.latest_s = now_s + timeout_s * 2 * QUIET_LAST

    def _heard_late(self) -> None:
        """Bytes that nobody waits for: whoever is late may have more to say, within bounds."""
        quiet_s = self._loop.time() + QUIET_FIRST * self._endpoint.timeout_s
        for late in self._late.values():
            late.until_s = min(late.latest_s, max(late.until_s, quiet_s))

    async def _drain(self, quiet_s: float) -> None:
        """Let a late answer go by, so that it does not run into the next request on the same pair of wires."""
        for _ in range(DRAIN_TRIES):  # a line that never falls silent is not waited for
            heard_s = self._received_s
            await asyncio.sleep(quiet_s)
            if self._received_s == heard_s:
                return

    def _lost(self) -> TransportError:
        return TransportError(f"the connection to {self.where} was closed from there{self._why}; connecting anew")


class _Ear(asyncio.Protocol):
    """Passes on what asyncio tells of one connection."""

    def __init__(self, line: ModbusLine) -> None:
        self._line = line
        self.data_received = line.received  # type: ignore[method-assign]  # one call less for every answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.ended(self._transport, exc)


def _silence_s(endpoint: Endpoint) -> float:
    if endpoint.protocol != "modbus_rtu":
        return 0.0
    return max(SILENCE_CHARACTERS * character_s(endpoint), SILENCE_MIN_S)


def _nonsense(request: ReadRequest, name: MeterAddress, got: str) -> DeviceNonsense:
    return DeviceNonsense(
        name.meter,
        name.where,
        expected=f"{request.count} words from {request.table} {request.address}",
        got=got,
        next_step="the answer is thrown away; check the profile's largest request, the protocol and the gateway",
    )


def _silent(request: ReadRequest, name: MeterAddress, got: str) -> DeviceSilent:
    return DeviceSilent(
        name.meter,
        name.where,
        expected=f"{request.count} words from {request.table} {request.address}",
        got=got,
        next_step="check power, wiring and unit number; it is asked again with growing pauses",
    )
