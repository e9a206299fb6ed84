"""The polling loop behind one line, for every protocol that asks and is answered.

Meters fail one by one (``DeviceError``: the meter backs off, the others go on); the line fails for all
(``TransportError``: reconnect with back-off). One request is in flight: many gateways take no second one.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeVar

from collector.gather import Gatherer
from collector.lag import LineHealth
from collector.polled import Dialect, PolledMeter, Reading, Station
from collector.schedule import Agenda, BackOff, Outcome, first_turn
from plant.errors import DeviceError, TransportError
from plant.frame import floor_ms
from plant.ports import Clock, HealthBoard
from plant.site import Endpoint

T = TypeVar("T")

__all__ = ["Dialect", "Line", "Poller", "Station"]

CLOCK_CHECK_S = 1.0  # no sleep is longer, so that a clock that was set is noticed
TIMER_STEP_S = 0.001  # timers are as coarse as this; waking before the time would only mean to sleep again
STRANGER_AFTER = 3  # failures in a row after which a meter is introduced anew: it may have been exchanged
PATIENT_EVERY = 4  # of the failures of a dead meter, one in so many waits the whole time-out: it may have become slow
METER_BACK_OFF = BackOff(first_s=1.0, last_s=60.0)
LINE_BACK_OFF = BackOff(first_s=0.5, last_s=30.0)


class Line(Protocol):
    """The wire to an endpoint, on which one asks and one answers at a time."""

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong on the wire so far, by kind: ``stale_answers``, ``crc_errors``, ..."""
        ...

    async def connect(self) -> None:
        """Open the connection anew. Raises TransportError."""
        ...

    def close(self) -> None:
        """Close the connection, if there is one."""
        ...

    async def ask(self, request: Any, station: Station, timeout_s: float | None = None) -> Any:
        """Ask once and wait ``timeout_s`` at most, None for the endpoint's own. Raises DeviceSilent, DeviceNonsense, or
        TransportError where the line itself is lost."""
        ...


class Poller:
    """Polls the meters of one endpoint over ``line`` until cancelled.

    ``health`` gets ``endpoint:<id>`` with lag and the line's counters, ``meter:<id>`` of those that fail, and the counter
    ``polls_failed``; those that answer are told by ``gatherer`` once their readings are durable.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        line: Line,
        devices: Sequence[PolledMeter],
        *,
        gatherer: Gatherer,
        clock: Clock,
        health: HealthBoard,
    ) -> None:
        self._endpoint, self._line, self._gatherer = endpoint, line, gatherer
        self._clock, self._health = clock, health
        self._devices = {device.meter.id: device for device in devices}
        self._tally = LineHealth(endpoint, line, health)

    async def run(self) -> None:
        """Poll until cancelled."""
        if not self._devices:
            return
        try:
            await self._poll_for_ever()
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
        failures = self._tally.down(error)
        now_ns = self._clock.now_ns()
        for device in self._devices.values():  # the cause is told once, at the endpoint
            device.tell(self._health, now_ns, device.silent_state(now_ns), f"its endpoint {self._endpoint.id} does not answer")
        await self._clock.sleep(LINE_BACK_OFF.wait_ns(self._endpoint.id, failures) / 1e9)

    async def _take_turn(self, agenda: Agenda) -> None:
        now_ns = self._clock.now_ns()
        turn = agenda.first(now_ns)
        if turn.due_ns > now_ns:
            await self._clock.sleep(min((turn.due_ns - now_ns) / 1e9 + TIMER_STEP_S, CLOCK_CHECK_S))
            return
        device = self._devices[turn.name]
        outcome: Outcome = "failed"
        try:
            outcome = await self._poll(device, turn.due_ns, self._patience_s(turn.failures))
        finally:
            # A meter at which the line breaks counts as failed too: else it could break it again before others have a turn.
            turn = agenda.done(turn.name, outcome, self._clock.now_ns())
            device.missed = turn.missed
            if turn.failures >= STRANGER_AFTER:
                device.known = None

    def _patience_s(self, failures: int) -> float | None:
        """How long to wait for the answer of a meter that has failed so often: a dead one shall not take the time of the
        living, whose answers tell how quick this line is."""
        if failures < STRANGER_AFTER or failures % PATIENT_EVERY == 0:
            return None
        return self._tally.quick_timeout_s()

    async def _poll(self, device: PolledMeter, due_ns: int, timeout_s: float | None) -> Outcome:
        name = device.station.name
        try:
            known = device.known  # the reading before may cast doubt on the meter while this one is under way
            if known is None or device.is_stranger(self._clock.now_ns()):
                known = await self._converse(device.dialect.introduce(device.profile, name), device, timeout_s)
                device.introduced(known, self._clock.now_ns())
            asked_s = time.perf_counter()
            raw = await self._converse(device.dialect.poll(device.profile, name, known), device, timeout_s)
        except DeviceError as error:
            self._failed(device, error)
            return "failed"
        round_trip_s = time.perf_counter() - asked_s
        t_ns = self._clock.now_ns()
        self._tally.answered(t_ns, t_ns - due_ns, round_trip_s)
        await self._gatherer.put(Reading(device, known, floor_ms(t_ns), raw, round_trip_s))
        return "answered"

    async def _converse(self, dialogue: Generator[Any, Any, T], device: PolledMeter, timeout_s: float | None) -> T:
        """Carry the requests of a dialogue to the meter and its answers back, until the dialogue has its result."""
        try:
            request = next(dialogue)
            while True:
                try:
                    answer = await self._line.ask(request, device.station, timeout_s)
                except DeviceError as error:
                    request = dialogue.throw(error)
                else:
                    request = dialogue.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _failed(self, device: PolledMeter, error: DeviceError) -> None:
        device.failed += 1
        if not error.transient:
            device.known = None
        self._health.count("polls_failed", {"meter": device.meter.id, "reason": type(error).__name__})
        now_ns = self._clock.now_ns()
        device.tell(self._health, now_ns, device.silent_state(now_ns), str(error))
