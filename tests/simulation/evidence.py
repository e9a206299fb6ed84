"""What was sent and promised, and where it can be found: in the store, in the ledger, in quarantine, on the platter."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from collector.segments import SUFFIX
from collector.spool import Spool
from collector.spool_format import Record, next_record
from collector.spool_losses import FILE as LOSSES
from collector.spool_losses import Cause
from plant.frame import FrameBlock
from plant.ports import SpoolCursor

from .process import EVENT_METER, MIRROR, POLLED_METER, QUARANTINES, SPOOL
from .sim_store import numbers_of

if TYPE_CHECKING:
    from .world import World

T0_MS = 1_795_000_000_000
FRACTION = 0.33371  # makes the eight bytes of a reading's value unlike anything else in a file
METERS = ("f-1", "f-2")
Kind = Literal["reading", "poison", "unreadable", "event"]


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that a device said, once."""

    number: int
    kind: Kind
    by: Literal["mqtt", "poll"]


def meter_of(message: Message) -> str:
    if message.kind == "event":
        return EVENT_METER
    return METERS[message.number % len(METERS)] if message.by == "mqtt" else POLLED_METER


def t_ns_of(number: int) -> int:
    return (T0_MS + number * 100) * 1_000_000


def value_of(message: Message) -> float:
    return float(message.number) if message.kind == "event" else message.number + FRACTION


def topic_of(message: Message) -> str:
    return f"plant/{meter_of(message)}"


def payload_of(message: Message) -> bytes:
    if message.kind == "unreadable":
        return f"garbage {message.number} of a device".encode()
    return json.dumps({"ts": T0_MS + message.number * 100, "p_w": 1500, "e": {"imp": value_of(message)}}).encode()


class Evidence:
    """Holds the world against the promises."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.sent: dict[int, Message] = {}
        self.kept: set[int] = set()  # promised
        self.unheard: set[int] = set()  # polls that still wait to be taken by this process
        self._marked: set[int] = set()  # of the first meter, what was stored when its slots were marked
        self._cursor: SpoolCursor | None = None
        self._history: dict[str, list[int]] = {}  # of each meter, everything that the store was given, in order

    def begin_process(self) -> None:
        """Polls of an ended process were never promised."""
        self.unheard.clear()
        self._cursor = None

    def new(self, kind: Kind, by: Literal["mqtt", "poll"]) -> Message:
        message = Message(len(self.sent) + 1, kind, by)
        self.sent[message.number] = message
        return message

    def is_poison(self, number: int) -> bool:
        return number in self.sent and self.sent[number].kind == "poison"

    # ---- at every step ----

    def promise(self, numbers: Sequence[int]) -> None:
        """What is promised has to be found after a power cut at this very instant."""
        files = self._world.disk.durable_files()
        spooled = [data for path, data in files.items() if path.suffix == SUFFIX]
        aside = [data for path, data in files.items() if path.suffix == ".jsonl"]
        for number in numbers:
            message = self.sent[number]
            if message.kind == "unreadable":
                marker, where = base64.b64encode(payload_of(message)), aside
            else:
                marker, where = struct.pack("<d", value_of(message)), spooled
            if not any(marker in data for data in where) and number not in self._delivered() | self._told([number]):
                raise self._world.violation(f"message {number} ({message.kind}) is promised and not durable")
        self.kept.update(numbers)

    def check_spool(self, spool: Spool | None) -> None:
        """Committed <= durable <= appended, going forward only, within the bound."""
        if spool is None:
            return
        world = self._world
        committed, durable = spool.cursor("store"), spool.durable
        if committed > durable:
            raise world.violation(f"committed {committed} > durable {durable}")
        if self._cursor is not None and committed < self._cursor:
            raise world.violation(f"the cursor went back from {self._cursor} to {committed}")
        self._cursor = committed
        appended = world.disk.size_of(SPOOL / f"{durable.segment:012d}{SUFFIX}")
        if appended < durable.offset:
            raise world.violation(f"durable {durable} > appended {appended}")
        if spool.size_bytes > world.scenario.spool_bytes and self._names_are_sound():
            raise world.violation(f"the spool counts {spool.size_bytes} of {world.scenario.spool_bytes} bytes")

    def check_written(self, blocks: Sequence[FrameBlock]) -> None:
        """Nothing reaches the store that was not sent, and each with its own meter and instant."""
        for block in blocks:
            for row, value in enumerate(block.value[:, -1].tolist()):
                message = self.sent.get(int(value))
                found = (block.meter_of(row), int(block.t_ns[row]), value)
                self._history.setdefault(block.meter_of(row), []).append(int(value))
                if message is None or found != (meter_of(message), t_ns_of(message.number), value_of(message)):
                    raise self._world.violation(f"the store was given {found}, which nobody sent")

    # ---- at the end of a process ----

    def check_after_end(self) -> None:
        """From the files alone: what was promised is there, in its place or behind the cursor."""
        world = self._world
        files = world.disk.files()
        self._check_sink("store", world.store.own_cursor() or self._cursor_of("store", files), self._delivered(), files)
        if world.scenario.mirror != "none":
            self._check_sink(MIRROR, self._cursor_of(MIRROR, files), self._mirrored() | self._not_for_mirrors(), files)
        size, bound = world.disk.bytes_of(SPOOL, SUFFIX), world.scenario.spool_bytes
        # beside it a write that failed half-way, and a segment whose removal was not synced yet
        if size > bound + bound // 2 and self._names_are_sound():
            raise world.violation(f"the segments take {size} of {bound} bytes")

    def _check_sink(self, sink: str, at: SpoolCursor | None, delivered: set[int], files: dict[Path, bytes]) -> None:
        found: set[int] = set()
        for path in sorted(path for path in files if path.suffix == SUFFIX):
            for record in _records(files[path]):
                if at is None or SpoolCursor(int(path.stem), record.start) >= at:
                    found.update(numbers_of(record.block))
        missing = self.kept - delivered - found
        missing -= self._told(missing, sink)
        if missing:
            raise self._world.violation(f"promised and lost for {sink}: {sorted(missing)}; the next process goes on at {at}")

    def _mirrored(self) -> set[int]:
        return {int(value) for value in self._world.mirror.readings.values()}

    def _not_for_mirrors(self) -> set[int]:
        """What never was a reading, and events, which are the ledger's."""
        return {number for number, message in self.sent.items() if message.kind in ("unreadable", "event")}

    def _names_are_sound(self) -> bool:
        """Whether the disk always removed what it was told to."""
        faults = self._world.scenario.disk
        return not faults.names_fail and not faults.sync_fails and not self._world.disk.no_room_for_names

    def _cursor_of(self, sink: str, files: dict[Path, bytes]) -> SpoolCursor | None:
        kept = files.get(SPOOL / f"{sink}.cursor")
        if kept is None:
            return None
        try:
            found = json.loads(kept)
            return SpoolCursor(found["segment"], found["offset"])
        except (ValueError, TypeError) as error:
            raise self._world.violation(f"the cursor's file is damaged: {kept!r}") from error

    # ---- at the very end ----

    def check_end(self) -> None:
        """All that was promised, and all that the broker ever had, is in its place once, and nothing else is anywhere."""
        world = self._world
        stored, aside = self._stored(), self._aside()
        if world.store.conflicts:
            raise world.violation(f"{world.store.conflicts} second values for one reading")
        by_broker = {n for n, m in self.sent.items() if m.by == "mqtt"} - world.broker.dropped
        due = self.kept | by_broker
        missing = {n for n in due if n not in (aside if self.sent[n].kind in ("poison", "unreadable") else stored)}
        told = self._told(missing)
        if told and len(told) > _frames_of(self._losses()):
            raise world.violation(f"more is lost than was told: {sorted(told)} of {self._losses()}")
        missing -= told
        world.counts["lost and told"] += len(told)
        if missing:
            raise world.violation(f"not in their place at the end: {sorted(missing)}")
        wrong = {n for n in aside if self.sent[n].kind not in ("poison", "unreadable")} | {n for n in stored if self.is_poison(n)}
        if wrong:
            raise world.violation(f"in quarantine without being poison, or the other way round: {sorted(wrong)}")
        if world.scenario.when_full == "hold":  # else what was told as lost may come all the same, by a slow network or again
            self._check_order(self.kept & stored)
            self._check_marked()
        if world.scenario.mirror != "none":
            self._check_mirror(due)
        world.counts["stored"] += len(stored)
        world.counts["quarantined"] += len(aside)

    def _check_order(self, numbers: set[int]) -> None:
        """What comes again comes in order again: behind all repeats each meter's readings are one ascending series."""
        for meter, history in self._history.items():
            due = sorted(n for n in numbers if meter_of(self.sent[n]) == meter)
            given = iter(history)
            if not all(number in given for number in due):
                raise self._world.violation(f"{meter}'s order is lost: {due} came as {history}")

    def mark(self) -> None:
        """All slots of the first meter are dirty: analysis may compute them now, from what is stored."""
        self._marked |= self._of_first_meter()

    def _check_marked(self) -> None:
        """Each reading is stored before its slot is marked: else it would be left out of what is computed."""
        left_out = self._of_first_meter() - self._marked
        if left_out:
            raise self._world.violation(f"stored and not marked since: {sorted(left_out)}")

    def _of_first_meter(self) -> set[int]:
        return {int(value) for (meter, _), value in self._world.store.readings.items() if meter == METERS[0]}

    def _check_mirror(self, due: set[int]) -> None:
        """The second sink has everything, or what it lacks is told of it."""
        missing = due - self._mirrored() - self._not_for_mirrors()
        told = self._told(missing, MIRROR)
        if missing - told:
            raise self._world.violation(f"not in the mirror, nor told: {sorted(missing - told)}")
        if told and len(told) > _frames_of(self._losses(MIRROR)):
            raise self._world.violation(f"the mirror lacks more than was told: {sorted(told)} of {self._losses(MIRROR)}")
        self._world.counts["mirrored"] += len(self._mirrored())
        self._world.counts["mirror lacks and told"] += len(told)

    def _losses(self, sink: str = "store") -> list[dict[str, Any]]:
        """The spans that the spool durably says are lost for a sink; only a policy that drops loses any for a required one."""
        told = self._world.disk.durable_files().get(SPOOL / LOSSES)
        spans = [] if not told else [span for span in json.loads(told)["spans"] if span["cause"] != Cause.ROT.value]
        spans = [span for span in spans if span["sink"] in ("", sink)]
        required = sink == "store" or self._world.scenario.mirror == "required"
        if spans and required and self._world.scenario.when_full == "hold":
            raise self._world.violation(f"policy hold let go of {spans}")
        return spans

    def _told(self, numbers: Collection[int], sink: str = "store") -> set[int]:
        """Those that lie within a span told as lost."""
        reach = [(span["first_t_ns"], span["last_t_ns"]) for span in self._losses(sink)] if numbers else []
        return {n for n in numbers if any(first is None or first <= t_ns_of(n) <= last for first, last in reach)}

    def _delivered(self) -> set[int]:
        return self._stored() | self._aside()

    def _stored(self) -> set[int]:
        world = self._world
        events = {entry.amount for entry in world.ledger.entries.values()}
        return {int(value) for value in world.store.readings.values()} | events

    def _aside(self) -> set[int]:
        """Numbers in quarantine that a power cut leaves there."""
        files = self._world.disk.durable_files()
        return {n for path, data in files.items() if path.parent in QUARANTINES for n in _quarantined(data)}


def _frames_of(spans: list[dict[str, Any]]) -> float:
    """Frames told as lost; a segment that could not be read when it was dropped held nobody knows how many."""
    return math.inf if any(span["frames"] is None for span in spans) else sum(span["frames"] for span in spans)


def _records(data: bytes) -> Iterator[Record]:
    at, view = 0, memoryview(data)
    while at < len(view):
        found = next_record(view, at)
        if found is None:
            return
        if isinstance(found, Record):
            yield found
        at = found.end


def _quarantined(data: bytes) -> Iterator[int]:
    for text in data.splitlines():
        try:
            payload = base64.b64decode(json.loads(text)["payload_base64"])
        except (ValueError, KeyError, TypeError):
            continue
        if payload.startswith((b"garbage ", b"line ")):
            yield int(payload.split()[1])
        else:
            yield from (int(x) for record in _records(payload) for x in record.block.value[:, -1].tolist())
