"""Polling the Modbus meters behind one endpoint. The only module of the collector that knows pymodbus.

Meters fail one by one (``DeviceError``: the meter backs off, the others go on); the line fails for all
(``TransportError``: reconnect with back-off). Readings of a short while go to the sink together, and count only
once it returns. One connection, one request in flight: many gateways take no second one. pymodbus never retries, never
reconnects by itself and never times out before we do, since its own ways of doing so hide lost lines and take late
answers for new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from collector.modbus_readings import (
    PolledMeter,
    Reading,
    blocks_of,
    doubt_in_words,
    doubt_of,
    holes_in_words,
    last_quality,
)
from collector.schedule import Agenda, BackOff, Outcome, first_turn
from collector.screen import ScreenRules
from devices.dialogue import Answer, MeterAddress, Refused, introduce, poll
from devices.maps import BIT_TABLES, Profile
from devices.plan import ReadRequest
from plant.errors import DeviceError, DeviceNonsense, DeviceSilent, PotwattError, SpoolFull, TransportError
from plant.frame import FRAMES_MAX, FrameBlock, floor_ms
from plant.ports import Clock, HealthBoard
from plant.site import Endpoint, Meter

Sink = Callable[[list[FrameBlock]], Awaitable[None]]
T = TypeVar("T")

GATHER_S = 0.05  # readings of so long make one block: one fsync for many meters
SPOOL_FULL_WAIT_S = 0.5
LAST_HAND_OVER_S = 2.0
CLOCK_CHECK_S = 1.0  # no sleep is longer, so that a clock that was set is noticed
STRANGER_AFTER = 3  # failures in a row after which a meter is introduced anew: it may have been exchanged
SILENCES_MAX = 8  # unanswered requests in a row, of whatever meters, after which the line itself is suspect
GATEWAY_TARGET_SILENT = 11  # exception code
METER_BACK_OFF = BackOff(first_s=1.0, last_s=60.0)
LINE_BACK_OFF = BackOff(first_s=0.5, last_s=30.0)


class ModbusCollector:
    """Polls the meters of one endpoint until cancelled.

    ``sink`` takes blocks and returns when they are durable; when it raises SpoolFull they are offered again and polling
    waits. ``health`` gets ``endpoint:<id>`` and ``meter:<id>``, and the counters ``polls_durable`` and ``polls_failed``.
    """

    def __init__(
        self,
        plant: str,
        endpoint: Endpoint,
        meters: Sequence[Meter],
        profiles: Mapping[str, Profile],
        *,
        clock: Clock,
        sink: Sink,
        health: HealthBoard,
    ) -> None:
        self._plant, self._endpoint, self._clock, self._sink, self._health = plant, endpoint, clock, sink, health
        self._line = ModbusLine(endpoint, clock)
        self._devices = {
            m.id: PolledMeter(m, profiles[m.profile], MeterAddress(m.id, f"{endpoint.host}:{endpoint.port} unit {m.unit}"))
            for m in meters
        }
        self._rules = {d.profile.id: ScreenRules.of(d.profile) for d in self._devices.values()}
        self._readings: asyncio.Queue[Reading] = asyncio.Queue(maxsize=FRAMES_MAX)
        self._in_hand: list[Reading] = []
        self._line_failures = 0
        self._line_answers = False

    async def run(self) -> None:
        """Poll until cancelled; then what was read is handed over once more. An error of the sink ends it."""
        if not self._devices:
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._poll_for_ever(), name=f"poll {self._endpoint.id}")
                tasks.create_task(self._hand_over_for_ever(), name=f"hand over {self._endpoint.id}")
        finally:
            self._line.close()

    async def _poll_for_ever(self) -> None:
        now_ns = self._clock.now_ns()
        turns = (first_turn(d.meter.id, d.meter.poll_interval_s, now_ns) for d in self._devices.values())
        agenda = Agenda(turns, METER_BACK_OFF)
        while True:
            try:
                await self._line.connect()
                for device in self._devices.values():
                    device.known = None
                while True:
                    await self._take_turn(agenda)
            except TransportError as error:
                self._line.close()
                await self._line_down(error)

    async def _line_down(self, error: TransportError) -> None:
        self._line_answers = False
        self._line_failures += 1
        self._health.set(f"endpoint:{self._endpoint.id}", "down", str(error))
        for device in self._devices.values():  # the cause is told once, at the endpoint
            self._report(device, self._silent_state(device), f"its endpoint {self._endpoint.id} does not answer")
        await self._clock.sleep(LINE_BACK_OFF.wait_ns(self._endpoint.id, self._line_failures) / 1e9)

    async def _take_turn(self, agenda: Agenda) -> None:
        now_ns = self._clock.now_ns()
        turn = agenda.first(now_ns)
        if turn.due_ns > now_ns:
            await self._clock.sleep(min((turn.due_ns - now_ns) / 1e9, CLOCK_CHECK_S))
            return
        device = self._devices[turn.name]
        outcome: Outcome = "failed"
        try:
            outcome = await self._poll(device)
        finally:
            # A meter at which the line breaks counts as failed too: else it could break it again before others have a turn.
            turn = agenda.done(turn.name, outcome, self._clock.now_ns())
            device.missed = turn.missed
            if turn.failures >= STRANGER_AFTER:
                device.known = None

    async def _poll(self, device: PolledMeter) -> Outcome:
        loop = asyncio.get_running_loop()
        try:
            if device.known is None or device.is_stranger(self._clock.now_ns()):
                device.known = await self._converse(introduce(device.profile, device.address), device)
                device.introduced_ns = self._clock.now_ns()
            known = device.known  # the reading before may cast doubt on the meter while this one is under way
            asked_s = loop.time()
            words = await self._converse(poll(device.address, device.profile, known), device)
        except DeviceError as error:
            self._failed(device, error)
            return "failed"
        reading = Reading(device, known, floor_ms(self._clock.now_ns()), words, loop.time() - asked_s)
        if not self._line_answers:
            self._line_answers, self._line_failures = True, 0
            self._health.set(f"endpoint:{self._endpoint.id}", "ok", "answers")
        await self._readings.put(reading)
        return "answered"

    async def _converse(self, dialogue: Generator[ReadRequest, Answer, T], device: PolledMeter) -> T:
        """Carry the requests of a dialogue to the meter and its answers back, until the dialogue has its result."""
        request = next(dialogue)
        while True:
            answer = await self._line.read(request, device.meter.unit, device.address)
            try:
                request = dialogue.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result

    def _failed(self, device: PolledMeter, error: DeviceError) -> None:
        device.failed += 1
        if not error.transient:
            device.known = None
        self._health.count("polls_failed", {"meter": device.meter.id, "reason": type(error).__name__})
        self._report(device, self._silent_state(device), str(error))

    def _silent_state(self, device: PolledMeter) -> str:
        """A meter is down once it has been without a durable reading for as long as its site file allows."""
        silent_ns = self._clock.now_ns() - device.last_good_ns
        return "down" if not device.last_good_ns or silent_ns > device.meter.silent_after_s * 1e9 else "degraded"

    async def _hand_over_for_ever(self) -> None:
        try:
            while True:
                self._in_hand.append(await self._readings.get())
                await self._clock.sleep(GATHER_S)
                self._gather()
                await self._deliver()
        except asyncio.CancelledError:
            self._gather()
            with suppress(TimeoutError, SpoolFull):
                async with asyncio.timeout(LAST_HAND_OVER_S):
                    await self._hand_over()
            raise

    def _gather(self) -> None:
        while len(self._in_hand) < FRAMES_MAX and not self._readings.empty():
            self._in_hand.append(self._readings.get_nowait())

    async def _deliver(self) -> None:
        """Offer what is in hand until it is taken."""
        while True:
            try:
                await self._hand_over()
            except SpoolFull as error:
                self._health.set(f"endpoint:{self._endpoint.id}", "degraded", f"polling waits: {error}")
                self._line_answers = False  # so that the next reading says that all is well again
                await self._clock.sleep(SPOOL_FULL_WAIT_S)
            else:
                return

    async def _hand_over(self) -> None:
        if not self._in_hand:
            return
        blocks = blocks_of(self._plant, self._in_hand)
        await self._sink(blocks)
        taken, self._in_hand = self._in_hand, []
        for reading in taken:
            device = reading.device
            device.good += 1
            device.last_good_ns = reading.t_ns
            self._health.count("polls_durable", {"meter": device.meter.id})
        quality = last_quality(blocks, self._rules)
        for meter, reading in {r.device.meter.id: r for r in taken}.items():
            reading.device.judge(doubt_of(reading, quality[meter]))
            state, detail = _state_of(reading)
            self._report(reading.device, state, detail, round_trip_ms=reading.round_trip_s * 1e3)

    def _report(self, device: PolledMeter, state: str, detail: str, **numbers: float) -> None:
        polls = device.good + device.failed
        if polls:
            numbers["success_rate"] = device.good / polls
        if device.last_good_ns:
            numbers["last_good_unix_s"] = device.last_good_ns / 1e9
        self._health.set(f"meter:{device.meter.id}", state, detail, missed_polls=float(device.missed), **numbers)


def _state_of(reading: Reading) -> tuple[str, str]:
    """State and detail of the meter whose newest reading this is."""
    device = reading.device
    if device.doubt and device.doubt.is_of_most:
        return "degraded", doubt_in_words(device.doubt, device.address)
    return ("degraded", holes_in_words(reading)) if reading.known.holes else ("ok", "answers")


class ModbusLine:
    """The connection to an endpoint: requests with our time-out, answers checked, errors in our own tree."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint, self._clock = endpoint, clock
        self._where = f"{endpoint.host}:{endpoint.port}"
        self._client: AsyncModbusTcpClient | None = None
        self._deadline: asyncio.Timeout | None = None
        self._silences = 0

    async def connect(self) -> None:
        """Open the connection. Raises TransportError."""
        self.close()
        self._silences = 0
        timeout_s = self._endpoint.timeout_s
        client = AsyncModbusTcpClient(
            self._endpoint.host,
            port=self._endpoint.port,
            name=self._endpoint.id,
            timeout=2 * timeout_s + 1,  # ours comes first
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
        )
        try:
            async with asyncio.timeout(timeout_s):
                connected = await client.connect()
        except TimeoutError:
            client.close()
            raise TransportError(
                f"no connection to {self._where} within {timeout_s:g} s; check address, network and firewall"
            ) from None
        if not connected:
            raise TransportError(f"no connection to {self._where}; check that the device is on and listens on that port")
        self._client = client
        await self._clock.sleep(self._endpoint.pause_after_connect_s)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, request: ReadRequest, unit: int, meter: MeterAddress) -> Answer:
        """Ask once. Raises DeviceSilent, DeviceNonsense (wrong length or kind of answer) or TransportError (line lost)."""
        client = self._client
        if client is None or not client.connected:
            raise self._lost()
        try:
            async with asyncio.timeout(self._endpoint.timeout_s) as self._deadline:
                response = await _ask(client, request, unit)
        except TimeoutError:
            raise self._unanswered(client, request, meter) from None
        except ModbusException as error:
            raise translated(error, request, meter) from error
        finally:
            self._deadline = None
        self._silences = 0
        if self._endpoint.pause_between_s:
            await self._clock.sleep(self._endpoint.pause_between_s)
        return _checked(response, request, meter)

    def _connection_changed(self, connected: bool) -> None:
        """End the wait for an answer at once when the line is lost: pymodbus itself would sit out the time-out."""
        if not connected and self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    def _unanswered(self, client: AsyncModbusTcpClient, request: ReadRequest, meter: MeterAddress) -> PotwattError:
        if not client.connected:
            return self._lost()
        self._silences += 1
        if self._silences >= SILENCES_MAX:
            return TransportError(f"{self._where} left {self._silences} requests in a row unanswered; connecting anew")
        return _silent(request, meter, f"no answer within {self._endpoint.timeout_s:g} s")

    def _lost(self) -> TransportError:
        return TransportError(f"the connection to {self._where} was closed from there; connecting anew")


async def _ask(client: AsyncModbusTcpClient, request: ReadRequest, unit: int) -> ModbusPDU:
    match request.table:
        case "holding":
            return await client.read_holding_registers(request.address, count=request.count, device_id=unit)
        case "input":
            return await client.read_input_registers(request.address, count=request.count, device_id=unit)
        case "coil":
            return await client.read_coils(request.address, count=request.count, device_id=unit)
        case "discrete":
            return await client.read_discrete_inputs(request.address, count=request.count, device_id=unit)


def _checked(response: ModbusPDU, request: ReadRequest, meter: MeterAddress) -> Answer:
    """The words of an answer, or the exception in it."""
    if response.isError():
        if response.exception_code == GATEWAY_TARGET_SILENT:
            raise _silent(request, meter, "the gateway's word that the unit does not answer it")
        return Refused(response.exception_code)
    # Bits come filled up to whole bytes.
    words = [int(bit) for bit in response.bits[: request.count]] if request.table in BIT_TABLES else response.registers
    if len(words) != request.count:
        raise DeviceNonsense(
            meter.meter,
            meter.where,
            expected=f"{request.count} words from {request.table} {request.address}",
            got=str(len(words)),
            next_step="the answer is thrown away; check the profile's largest request and the gateway",
        )
    return words


def _silent(request: ReadRequest, meter: MeterAddress, got: str) -> DeviceSilent:
    return DeviceSilent(
        meter.meter,
        meter.where,
        expected=f"{request.count} words from {request.table} {request.address}",
        got=got,
        next_step="check power, wiring and unit number; it is asked again with growing pauses",
    )


def translated(error: ModbusException, request: ReadRequest, meter: MeterAddress) -> PotwattError:
    """An exception of pymodbus as one of ours: lost lines are the line's, everything else is the meter's answer."""
    if isinstance(error, ConnectionException):
        return TransportError(f"the connection to {meter.where} failed: {error.string}; connecting anew")
    return DeviceNonsense(
        meter.meter,
        meter.where,
        expected=f"an answer of {request.count} words from {request.table} {request.address}",
        got=error.string,
        next_step="check that the device speaks Modbus TCP and not another protocol",
    )
