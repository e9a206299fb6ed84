"""What a broker and the meters behind it look like from here, in words: put on the health board once a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector.inbox import Sorted
from collector.mqtt_link import Session
from collector.screen import clock_offsets_s
from plant.ports import Clock, HealthBoard
from plant.site import Meter

CLOCK_OFFSET_MAX_S = 60.0
SESSION_ALARM_S = 3_600.0
STRANGERS_SHOWN = 5
NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class _Heard:
    at_ns: int
    offset_s: float | None
    rejected: str = ""


class BrokerHealth:
    """Parts ``broker:<endpoint>`` and ``meter:<meter>``; nothing here decides what is kept."""

    def __init__(self, endpoint: str, meters: Sequence[Meter], clock: Clock, board: HealthBoard) -> None:
        self._part, self._clock, self._board = f"broker:{endpoint}", clock, board
        self._labels = {"broker": endpoint}
        self._meters = {m.id: m for m in meters}
        self._topics = {m.topic: m.id for m in meters}
        self._heard: dict[str, _Heard] = {}
        self._strangers: set[str] = set()
        self._since_ns = clock.now_ns()
        self._fault, self._holding = "", ""
        self._lost_session_ns: int | None = None
        self._connections = 0
        self.was_up = False

    def up(self, session: Session) -> None:
        """Connected and subscribed. A session that is gone although we had one means messages that nobody kept."""
        if session is Session.NEW and self._connections:
            self._lost_session_ns = self._clock.now_ns()
            self._board.count("mqtt_sessions_lost", self._labels)
        self._connections += 1
        self.was_up, self._fault = True, ""
        self._board.count("mqtt_connections", self._labels)
        self.report()

    def down(self, reason: str) -> None:
        """No connection."""
        self.was_up, self._fault = False, reason
        self._board.count("mqtt_disconnections", self._labels)
        self.report()

    def hold(self, reason: str) -> None:
        """The spool is full: messages wait at the broker. An empty reason ends it."""
        self._holding = reason

    def note(self, batch: Sorted, received_ns: int) -> None:
        """Messages came."""
        for block in batch.blocks:
            self._board.count("mqtt_readings", self._labels, len(block))
            for position in np.unique(block.meter_index):
                self._heard[block.meters[position]] = _Heard(received_ns, None)
            for meter, offset_s in clock_offsets_s(block, received_ns).items():
                self._heard[meter].offset_s = offset_s
                if abs(offset_s) > CLOCK_OFFSET_MAX_S:
                    self._board.count("clock_offset_batches", {"meter": meter})
        for rejected in batch.rejected:
            meter = self._topics[rejected.source]
            self._heard[meter] = _Heard(received_ns, None, rejected.reason)
        if len(self._strangers) < STRANGERS_SHOWN:
            self._strangers.update(batch.strangers[:STRANGERS_SHOWN])
        self._board.count("mqtt_unknown_topics", self._labels, len(batch.strangers))
        self._board.count("mqtt_stale_retained", self._labels, batch.stale)

    def report(self) -> None:
        """Write the present state to the board."""
        self._board.set(self._part, *self._broker())
        now_ns = self._clock.now_ns()
        for meter in self._meters.values():
            self._board.set(f"meter:{meter.id}", *self._meter(meter, now_ns))

    def _broker(self) -> tuple[str, str]:
        if self._fault:
            return "down", self._fault
        if not self._connections:
            return "unknown", "connecting for the first time"
        if self._holding:
            return "degraded", f"messages wait at the broker: {self._holding}"
        if self._lost_session_ns is not None and self._clock.now_ns() - self._lost_session_ns < SESSION_ALARM_S * NS_PER_S:
            return "degraded", (
                "the broker had forgotten our session on reconnect: what was published meanwhile is lost; "
                "check its persistence and session expiry"
            )
        if self._strangers:
            return "ok", f"connected; topics of no meter: {', '.join(sorted(self._strangers))}"
        return "ok", "connected"

    def _meter(self, meter: Meter, now_ns: int) -> tuple[str, str]:
        heard = self._heard.get(meter.id)
        quiet_s = (now_ns - (self._since_ns if heard is None else heard.at_ns)) / NS_PER_S
        if quiet_s > meter.silent_after_s:
            return "down", f"nothing on {meter.topic} for {quiet_s:.0f} s; check the device and its topic"
        if heard is None:
            return "unknown", f"waiting for the first message on {meter.topic}"
        if heard.rejected:
            return "degraded", f"the last message is in quarantine: {heard.rejected}"
        if heard.offset_s is not None and abs(heard.offset_s) > CLOCK_OFFSET_MAX_S:
            side = "ahead of" if heard.offset_s > 0 else "behind"
            return "degraded", (
                f"its time is {abs(heard.offset_s):.0f} s {side} the receipt: set the device's clock"
                + ("" if heard.offset_s > 0 else ", or its messages waited on the way")
            )
        if heard.offset_s is None:
            return "degraded", "its clock was never set: readings have no instant; set the device's clock"
        return "ok", f"last message {quiet_s:.0f} s ago"
