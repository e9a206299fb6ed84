"""What a broker and the meters behind it look like from here, in words: put on the health board once a second."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from collector.inbox import Sorted
from collector.mqtt_link import Session
from collector.screen import clock_offsets_s
from collector.session_memory import Remembered
from plant.frame import FrameBlock
from plant.ports import Clock, HealthBoard
from plant.series import Span
from plant.site import Endpoint, Meter

CLOCK_OFFSET_MAX_S = 60.0
SESSION_ALARM_S = 3_600.0
GAP_ALARM_S = 3_600.0
SHOWN_MAX = 5
NS_PER_S = 1_000_000_000


class BrokerHealth:
    """Parts ``broker:<endpoint>`` and ``meter:<meter>``; nothing here decides what is kept."""

    def __init__(self, endpoint: Endpoint, meters: Sequence[Meter], clock: Clock, board: HealthBoard) -> None:
        self._part, self._clock, self._board = f"broker:{endpoint.id}", clock, board
        self._labels = {"broker": endpoint.id}
        self._qos, self._shared = endpoint.qos, endpoint.shared_group
        self._meters = {m.id: m for m in meters}
        self._heard_ns: dict[str, int] = {}
        self._offset_s: dict[str, float | None] = {}  # None: the clock was never set
        self._refused: dict[str, str] = {}
        self._missing: dict[str, int] = {}
        self._gap_ns: dict[str, int] = {}
        self._offline: set[str] = set()
        self._unread: dict[str, str] = {}
        self._strangers: set[str] = set()
        self._notes: dict[str, str] = {}
        self._since_ns = clock.now_ns()
        self._fault, self._holding = "", ""
        self._lost: Span | None = None
        self._moved_from = ""
        self._set_back = (0, 0.0)  # when the clock of the receipts went back, and how far in seconds
        self._examined: set[str] = set()  # meters whose clock was looked at since the last report
        self._shown: dict[str, tuple[str, str, float | None]] = {}
        self._connections = 0
        self.was_up = False

    def up(self, session: Session, had: Remembered | None, now: Remembered | None) -> None:
        """Connected and subscribed. A session that is gone although we had one means messages that nobody kept."""
        self._lost, self._moved_from = (None, "") if now is None else (now.lost, now.moved_from)
        if session is Session.NEW and had is not None and not self._moved_from:
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
        """The disk takes nothing: messages wait at the broker. An empty reason ends it."""
        self._holding = reason

    def note(self, batch: Sorted, received_ns: int) -> None:
        """Messages came."""
        for block in batch.blocks:
            self._board.count("mqtt_readings", self._labels, len(block))
            self._heard_ns.update(dict.fromkeys(block.meters, received_ns))
            for name in self._refused.keys() & block.meters:
                del self._refused[name]
            if not self._examined.issuperset(block.meters):
                self._examine_clocks(block, received_ns)
        for meter, reason in batch.refused.items():
            self._heard_ns[meter], self._refused[meter] = received_ns, reason
        for meter, count in batch.missing.items():
            self._board.count("mqtt_sequence_missing", {"meter": meter}, count)
            self._missing[meter] = self._missing.get(meter, 0) + count
            self._gap_ns[meter] = received_ns
        for meter, count in batch.steps_back.items():
            self._board.count("mqtt_sequence_steps_back", {"meter": meter}, count)
        if len(self._strangers) < SHOWN_MAX:
            self._strangers.update(batch.strangers[:SHOWN_MAX])
        self._board.count("mqtt_unknown_topics", self._labels, len(batch.strangers))
        self._board.count("mqtt_stale_retained", self._labels, batch.stale)
        self._board.count("mqtt_repeated", self._labels, batch.repeated)
        if batch.set_back_s:
            self._board.count("receipt_clock_set_back", self._labels)
            self._set_back = received_ns, batch.set_back_s
        self._note_edge_nodes(batch, received_ns)

    def _examine_clocks(self, block: FrameBlock, received_ns: int) -> None:
        offsets = clock_offsets_s(block, received_ns)
        self._offset_s.update(dict.fromkeys(block.meters, None) if len(offsets) < len(block.meters) else {})
        self._offset_s.update(offsets)
        self._examined.update(block.meters)
        for meter, offset_s in offsets.items():
            if abs(offset_s) > CLOCK_OFFSET_MAX_S:
                self._board.count("clock_offset_batches", {"meter": meter})

    def _note_edge_nodes(self, batch: Sorted, received_ns: int) -> None:
        for who, text in batch.notes:
            self._board.count("sparkplug_notes", {"node": who})
            self._notes.pop(who, None)
            self._notes[who] = text
        while len(self._notes) > SHOWN_MAX:
            del self._notes[next(iter(self._notes))]
        for block in batch.historical:
            self._board.count("mqtt_readings", self._labels, len(block))
        self._heard_ns |= {meter: received_ns for meter, offline in batch.offline.items() if not offline}
        for meter, reason in batch.unread.items():
            if reason:
                self._board.count("sparkplug_unread", {"meter": meter})
            self._unread[meter] = reason
        for meter, offline in batch.offline.items():
            (self._offline.add if offline else self._offline.discard)(meter)

    def report(self) -> None:
        """Write the present state to the board."""
        state, detail = self._broker()
        lost = self._lost_lately()
        numbers = {} if lost is None else {"session_lost_s": lost.seconds}
        self._board.set(self._part, state, detail, **numbers)
        now_ns = self._clock.now_ns()
        self._examined.clear()
        for meter in self._meters.values():
            offset_s = self._offset_s.get(meter.id)
            shown = (*self._meter(meter, now_ns), offset_s)
            if self._shown.get(meter.id) == shown:
                continue
            self._shown[meter.id] = shown
            numbers = {} if offset_s is None else {"clock_offset_s": offset_s}
            self._board.set(f"meter:{meter.id}", shown[0], shown[1], **numbers)

    def _lost_lately(self) -> Span | None:
        lost = self._lost
        return lost if lost is not None and self._clock.now_ns() - lost.end_ns < SESSION_ALARM_S * NS_PER_S else None

    def _broker(self) -> tuple[str, str]:
        if self._fault:
            return "down", self._fault
        if self._holding:
            return "degraded", f"messages wait at the broker: {self._holding}"
        if not self._connections:
            return "unknown", "connecting for the first time"
        lost = self._lost_lately()
        if lost is not None:
            return "degraded", self._loss(f"between {_utc(lost.start_ns)} and {_utc(lost.end_ns)}")
        set_back_ns, set_back_s = self._set_back
        if 0 <= self._clock.now_ns() - set_back_ns < SESSION_ALARM_S * NS_PER_S:
            return "degraded", (
                f"the clock of this computer went back {set_back_s:.0f} s, to {_utc(set_back_ns)}: readings of messages without "
                "a time may lie among earlier ones; check its time synchronisation"
            )
        words = ["connected"]
        if not self._qos:
            words.append("qos = 0: what is sent while the line is broken or we are away is lost")
        if self._shared:
            words.append(f"shares the stream of group {self._shared}")
        if self._strangers:
            words.append(f"topics of no meter: {', '.join(sorted(self._strangers))}")
        words += [f"{who}: {text}" for who, text in self._notes.items()]
        return "ok", "; ".join(words)

    def _loss(self, when: str) -> str:
        if self._moved_from:
            return (
                f"another session than before, {self._moved_from}: what was published meanwhile, {when}, may wait there and does "
                "not come here; collect it with the old client_id, host and port if it is needed"
            )
        if not self._qos:
            return f"qos = 0 keeps nothing: what was published while we were away, {when}, is lost"
        if self._shared:
            return (
                f"the broker had forgotten our session: what it had dealt to us out of group {self._shared}, {when}, is lost; "
                "check its persistence and session expiry"
            )
        return (
            f"the broker had forgotten our session: what was published while we were away, {when}, is lost; "
            "check its persistence and session expiry"
        )

    def _meter(self, meter: Meter, now_ns: int) -> tuple[str, str]:
        heard_ns = self._heard_ns.get(meter.id)
        since_ns = self._since_ns if heard_ns is None else heard_ns
        quiet_s, said = (now_ns - since_ns) / NS_PER_S, _utc(since_ns)
        if meter.id in self._offline:
            return "down", f"its edge node says that it is offline (last message {said})"
        if quiet_s > meter.silent_after_s:
            return "down", f"nothing on {meter.topic} since {said}; check the device and its topic"
        if heard_ns is None:
            return "unknown", f"waiting for the first message on {meter.topic}"
        if meter.id in self._refused:
            return "degraded", f"the last message is in quarantine: {self._refused[meter.id]}"
        if self._unread.get(meter.id):
            return "degraded", self._unread[meter.id]
        offset_s = self._offset_s.get(meter.id, 0.0)
        if offset_s is None:
            return "degraded", "its clock was never set: readings have no instant; set the device's clock"
        if abs(offset_s) > CLOCK_OFFSET_MAX_S:
            side = "ahead of" if offset_s > 0 else "behind"
            return "degraded", (
                f"its time is {abs(offset_s):.0f} s {side} the receipt: set the device's clock"
                + ("" if offset_s > 0 else ", or its messages waited on the way")
            )
        if now_ns - self._gap_ns.get(meter.id, -(10**18)) < GAP_ALARM_S * NS_PER_S:
            return "degraded", (
                f"by its own numbering {self._missing[meter.id]} messages never came, the last gap at "
                f"{_utc(self._gap_ns[meter.id])}; check the way to the broker and its queue limits"
            )
        return "ok", f"last message {said}"


def _utc(t_ns: int) -> str:
    return _words(t_ns // NS_PER_S)


@lru_cache(1_024)  # thousands of meters are heard in the same few seconds
def _words(t_s: int) -> str:
    return datetime.fromtimestamp(t_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
