"""The polling loop behind one line, for every protocol that asks and is answered.

Meters fail one by one (``DeviceError``: the meter backs off, the others go on); the line fails for all
(``TransportError``: reconnect with back-off). One request is in flight: many gateways take no second one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeVar

from collector.gather import Gatherer
from collector.lag import LineHealth
from collector.mute import LineMute, Silence
from collector.polled import Begun, Dialect, PolledMeter, Reading, Station
from collector.schedule import Agenda, BackOff, Outcome, Turn, first_turn
from plant.errors import DeviceError, PotwattError, TransportError
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

log = logging.getLogger(__name__)


class Line(Protocol):
    """The wire to an endpoint, on which one asks and one answers at a time."""

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong on the wire so far, by kind: ``stale_answers``, ``crc_errors``, ..."""
        ...

    @property
    def answers(self) -> int:
        """How many requests anything has come back for so far, be it a refusal or a gateway's word that a unit is silent."""
        ...

    @property
    def is_numbered(self) -> bool:
        """Whether an answer says which request it is to, so that a late one passes for no other."""
        ...

    def wait_s(self, station: Station) -> float:
        """How long the station is not to be asked yet, since its answer to an earlier request may still come."""
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
        self._silence = Silence(len(self._devices))

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
                self._silence.connected()
                while True:
                    await self._take_turn(agenda)
            except TransportError as error:
                self._line.close()
                for device in self._devices.values():
                    device.begun = None
                    if not isinstance(error, LineMute):
                        device.known = None
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
            outcome = await self._poll(device, turn)
        finally:
            # A meter at which the line breaks counts as failed too: else it could break it again before others have a turn.
            now_ns = self._clock.now_ns()
            resume_ns = now_ns + round(self._line.wait_s(device.station) * 1e9) if outcome == "paused" else 0
            turn = agenda.done(turn.name, outcome, now_ns, resume_ns)
            device.missed = turn.missed
            if outcome == "failed" and turn.failures >= STRANGER_AFTER:
                device.known = None

    def _patience_s(self, failures: int) -> float | None:
        """How long to wait for the answer of a meter that has failed so often: a dead one shall not take the time of the
        living, whose answers tell how quick this line is. Where a late answer could pass for that to the next request, none
        is given up early."""
        if failures < STRANGER_AFTER or failures % PATIENT_EVERY == 0 or not self._line.is_numbered:
            return None
        return self._tally.quick_timeout_s()

    async def _poll(self, device: PolledMeter, turn: Turn) -> Outcome:
        """One reading, or one request of an introduction: between two of those others have their turns."""
        if self._line.wait_s(device.station) > 0:
            return "paused"
        timeout_s = self._patience_s(turn.failures)
        try:
            known = device.known
            if known is None or device.is_stranger(self._clock.now_ns()):
                await self._introduce(device, timeout_s)
                return "paused"
            asked_s = time.perf_counter()
            raw = await self._converse(device.dialect.poll(device.profile, device.station.name, known), device, timeout_s)
        except TransportError as error:
            self._count_failure(device, error)
            raise
        except Exception as error:  # whatever a meter brings about is its own trouble, never its neighbours'
            self._failed(device, error)
            if isinstance(error, DeviceError) and self._silence.is_of_the_line(device.meter.id, self._line.answers):
                raise LineMute(
                    f"{self._endpoint.id} is connected, but nothing on it answers any more; connecting anew"
                ) from error
            return "failed"
        round_trip_s = time.perf_counter() - asked_s
        t_ns = self._clock.now_ns()
        self._tally.answered(t_ns, t_ns - turn.due_ns, round_trip_s)
        self._silence.read(device.meter.id)
        await self._gatherer.put(Reading(device, known, floor_ms(t_ns), raw, round_trip_s))
        return "answered"

    async def _introduce(self, device: PolledMeter, timeout_s: float | None) -> None:
        """The next request of the introduction, begun if none is under way."""
        begun, device.begun = device.begun, None  # whatever fails ends it
        try:
            if begun is None:
                dialogue = device.dialect.introduce(device.profile, device.station.name)
                begun = Begun(dialogue, next(dialogue))
            begun.request = _next(begun.dialogue, await self._ask(begun.request, device, timeout_s))
            device.begun = begun
        except StopIteration as end:
            device.introduced(end.value, self._clock.now_ns())

    async def _converse(self, dialogue: Generator[Any, Any, T], device: PolledMeter, timeout_s: float | None) -> T:
        """Carry the requests of a dialogue to the meter and its answers back, until the dialogue has its result."""
        try:
            request = next(dialogue)
            while True:
                request = _next(dialogue, await self._ask(request, device, timeout_s))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _ask(self, request: Any, device: PolledMeter, timeout_s: float | None) -> Any:
        """The answer, or the DeviceError that the line met."""
        try:
            return await self._line.ask(request, device.station, timeout_s)
        except DeviceError as error:
            return error

    def _failed(self, device: PolledMeter, error: Exception) -> None:
        if not isinstance(error, DeviceError) or not error.transient:
            device.known = None
        self._count_failure(device, error)
        detail = str(error)
        if not isinstance(error, PotwattError):
            log.error("meter %s failed in a way that nobody thought of", device.meter.id, exc_info=error)
            detail = (
                f"{device.station.name.meter} at {device.station.name.where}: {type(error).__name__}: {error}; please report it"
            )
        now_ns = self._clock.now_ns()
        device.tell(self._health, now_ns, device.silent_state(now_ns), detail)

    def _count_failure(self, device: PolledMeter, error: Exception) -> None:
        device.failed += 1
        self._health.count("polls_failed", {"meter": device.meter.id, "reason": type(error).__name__})


def _next(dialogue: Generator[Any, Any, Any], answer: Any) -> Any:
    """What a dialogue asks after an answer or a DeviceError."""
    return dialogue.throw(answer) if isinstance(answer, DeviceError) else dialogue.send(answer)
