"""Polling the Modbus meters behind one endpoint.

Meters fail one by one (``DeviceError``: the meter backs off, the others go on); the line fails for all
(``TransportError``: reconnect with back-off). Readings of a short while go to the sink together, and count only
once it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from collector.modbus_line import ModbusLine
from collector.schedule import Agenda, BackOff, Outcome, first_turn
from devices.codec import Words, decode
from devices.dialogue import Answer, Introduction, MeterAddress, introduce, poll
from devices.maps import Profile
from devices.plan import ReadRequest
from plant.errors import DeviceError, SpoolFull, TransportError
from plant.frame import FRAMES_MAX, FrameBlock, floor_ms
from plant.ports import Clock, HealthBoard
from plant.quality import ABSENT
from plant.site import Endpoint, Meter

Sink = Callable[[list[FrameBlock]], Awaitable[None]]
T = TypeVar("T")

GATHER_S = 0.05  # readings of so long make one block: one fsync for many meters
SPOOL_FULL_WAIT_S = 0.5
LAST_HAND_OVER_S = 2.0
CLOCK_CHECK_S = 1.0  # no sleep is longer, so that a clock that was set is noticed
STRANGER_AFTER = 3  # failures in a row after which a meter is introduced anew: it may have been exchanged
METER_BACK_OFF = BackOff(first_s=1.0, last_s=60.0)
LINE_BACK_OFF = BackOff(first_s=0.5, last_s=30.0)


@dataclass(slots=True, eq=False)
class _Device:
    """A meter with what is known of it and how its polls went."""

    meter: Meter
    profile: Profile
    address: MeterAddress
    known: Introduction | None = None
    good: int = 0
    failed: int = 0
    missed: int = 0
    last_good_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    device: _Device
    known: Introduction
    t_ns: int
    words: Words
    round_trip_s: float


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
            m.id: _Device(m, profiles[m.profile], MeterAddress(m.id, f"{endpoint.host}:{endpoint.port} unit {m.unit}"))
            for m in meters
        }
        self._readings: asyncio.Queue[_Reading] = asyncio.Queue(maxsize=FRAMES_MAX)
        self._in_hand: list[_Reading] = []
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
        for device in self._devices.values():
            self._report(device, self._silent_state(device), str(error))
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

    async def _poll(self, device: _Device) -> Outcome:
        loop = asyncio.get_running_loop()
        try:
            if device.known is None:
                device.known = await self._converse(introduce(device.profile, device.address), device)
            asked_s = loop.time()
            words = await self._converse(poll(device.address, device.profile, device.known), device)
        except DeviceError as error:
            self._failed(device, error)
            return "failed"
        reading = _Reading(device, device.known, floor_ms(self._clock.now_ns()), words, loop.time() - asked_s)
        if not self._line_answers:
            self._line_answers, self._line_failures = True, 0
            self._health.set(f"endpoint:{self._endpoint.id}", "ok", "answers")
        await self._readings.put(reading)
        return "answered"

    async def _converse(self, dialogue: Generator[ReadRequest, Answer, T], device: _Device) -> T:
        """Carry the requests of a dialogue to the meter and its answers back, until the dialogue has its result."""
        request = next(dialogue)
        while True:
            answer = await self._line.read(request, device.meter.unit, device.address)
            try:
                request = dialogue.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result

    def _failed(self, device: _Device, error: DeviceError) -> None:
        device.failed += 1
        if not error.transient:
            device.known = None
        self._health.count("polls_failed", {"meter": device.meter.id, "reason": type(error).__name__})
        self._report(device, self._silent_state(device), str(error))

    def _silent_state(self, device: _Device) -> str:
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
        await self._sink(_blocks(self._plant, self._in_hand))
        taken, self._in_hand = self._in_hand, []
        for reading in taken:
            device = reading.device
            device.good += 1
            device.last_good_ns = reading.t_ns
            self._health.count("polls_durable", {"meter": device.meter.id})
        for reading in {r.device.meter.id: r for r in taken}.values():
            state, detail = ("degraded", _holes(reading)) if reading.known.holes else ("ok", "answers")
            self._report(reading.device, state, detail, round_trip_ms=reading.round_trip_s * 1e3)

    def _report(self, device: _Device, state: str, detail: str, **numbers: float) -> None:
        polls = device.good + device.failed
        if polls:
            numbers["success_rate"] = device.good / polls
        if device.last_good_ns:
            numbers["last_good_unix_s"] = device.last_good_ns / 1e9
        self._health.set(f"meter:{device.meter.id}", state, detail, missed_polls=float(device.missed), **numbers)


def _blocks(plant: str, readings: Sequence[_Reading]) -> list[FrameBlock]:
    """One block a profile, in the order of the readings."""
    by_profile: dict[str, list[_Reading]] = {}
    for reading in readings:
        by_profile.setdefault(reading.device.profile.id, []).append(reading)
    return [_block(plant, same) for same in by_profile.values()]


def _block(plant: str, readings: Sequence[_Reading]) -> FrameBlock:
    profile = readings[0].device.profile
    value, quality = decode(profile, np.stack([r.words for r in readings]))
    absent = np.stack([r.known.absent for r in readings])
    value[absent], quality[absent] = np.nan, int(ABSENT)
    meters = tuple(dict.fromkeys(r.device.meter.id for r in readings))
    return FrameBlock(
        plant,
        profile.id,
        profile.quantities,
        meters,
        np.array([meters.index(r.device.meter.id) for r in readings], np.int32),
        np.array([r.t_ns for r in readings], np.int64),
        value,
        quality,
    )


def _holes(reading: _Reading) -> str:
    names = [n for n, absent in zip(reading.device.profile.quantities, reading.known.absent, strict=True) if absent]
    spans = ", ".join(f"{h.table} {h.address}-{h.end - 1}" for h in reading.known.holes)
    return f"refuses {spans}, so {', '.join(names)} is missing; check that the profile fits the firmware"
