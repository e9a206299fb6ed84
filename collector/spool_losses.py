"""What the spool could not keep for a sink: counted, named as spans, durable before anything is let go.

``losses.json`` in the spool's directory is replaced in one step and carries a checksum. It also says up to which segment
everything was given up, so that a kill between telling and removing leaves nothing that is both told lost and delivered.
"""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from pathlib import Path

import msgspec

from collector.disk import Disk
from collector.spool_small import SmallFiles, sealed, unsealed
from plant.errors import SpoolError
from plant.ports import Clock, HealthBoard

VERSION = 1
FILE = "losses.json"
PART = "spool:lost"
SPANS_MAX = 200  # older ones are folded into one another: the counts stay, the spans become coarser
PLACES_MAX = 500  # of folded rot, by segment and offset: a reader may come to them again after a restart
FOLD_NS = 900 * 1_000_000_000  # what goes on being lost for one cause is one span
RECENT_NS = 24 * 3600 * 1_000_000_000
ANY_SINK = ""


class Cause(Enum):
    """Why Frames were lost."""

    DROP_OLDEST = "drop_oldest"  # spool.when_full: the oldest made room
    DROP_NEWEST = "drop_newest"  # spool.when_full: not taken in
    THIN = "thin"  # spool.when_full: left out between two that were kept
    FELL_BEHIND = "fell_behind"  # a best-effort sink that the required ones did not wait for
    ROT = "rot"  # the disk did not give back what was written to it
    RECORD = "record"  # this record was damaged and begun anew: what it told is unknown


@dataclass(frozen=True, slots=True)
class LostSpan:
    """Frames that will not reach ``sink`` (empty: any sink): at most ``frames`` of them, None where nobody can tell, with
    instants (UTC ns) within the span. ``segment`` and ``offset`` name a rotten place, so that it is told once."""

    cause: Cause
    sink: str
    frames: int | None
    first_t_ns: int | None
    last_t_ns: int | None
    bytes: int
    told_ns: int
    segment: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class LossRecord:
    """Everything told, oldest first; segments up to ``gone_through`` are given up. ``folded`` are, by segment, the offsets of
    rotten places whose spans were folded into others."""

    spans: tuple[LostSpan, ...] = ()
    gone_through: int = -1
    version: int = VERSION
    folded: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def frames(self, since_ns: int = 0) -> int:
        """Frames lost at most, of those spans that tell, told since an instant (UTC ns)."""
        return sum(span.frames or 0 for span in self.spans if span.told_ns >= since_ns)


class LossesDamaged(SpoolError):
    """The record's file is there and cannot be believed."""


def read_losses(disk: Disk, directory: Path) -> LossRecord:
    """The record in a spool's directory, empty where nothing was lost. Raises LossesDamaged, and SpoolError where it may not
    be read or is newer. Without a checksum, as earlier versions wrote it, ``gone_through`` is not believed: what is sent
    although it was told lost is no harm, what is removed by a wrong digit is."""
    path = directory / FILE
    try:
        body, is_sealed = unsealed(disk.read(path))
        found = msgspec.json.decode(body, type=LossRecord)
        unknown = set(msgspec.json.decode(body)) - {field.name for field in fields(LossRecord)}
    except FileNotFoundError:
        return LossRecord()
    except (OSError, ValueError) as error:
        may_be_sound = isinstance(error, OSError) and error.errno != errno.EIO
        kind = SpoolError if may_be_sound else LossesDamaged
        raise kind(f"{path}: {error}; the next start goes on without this record of earlier losses") from error
    if found.version != VERSION:
        raise SpoolError(f"{path} is of version {found.version}, this program reads {VERSION}: use the one that wrote it")
    if unknown and not is_sealed:
        raise LossesDamaged(f"{path}: found {', '.join(sorted(unknown))}; the next start goes on without this record of losses")
    return found if is_sealed else replace(found, gone_through=-1)


class Losses:
    """The durable record of one open spool."""

    def __init__(self, small: SmallFiles, record: LossRecord, clock: Clock, health: HealthBoard) -> None:
        self._small, self._clock, self._health = small, clock, health
        self.record = record
        self._lock = asyncio.Lock()

    async def tell(self, spans: Sequence[LostSpan], gone_through: int = -1) -> None:
        """Return when the spans are durable; one told before is left out. Raises OSError, having told nothing."""
        async with self._lock:
            new = [span for span in spans if span.segment is None or not self._knows(span)]
            if not new and gone_through <= self.record.gone_through:
                return
            told = self.record.spans
            for span in new:
                told = _folded(told, span)
            told, folded = _bounded(told)
            record = LossRecord(told, max(gone_through, self.record.gone_through), folded=_kept(self.record.folded, folded))
            await asyncio.to_thread(self.keep, record)
            self.record = record
        for span in new:
            self._health.count("spool_lost_frames", {"cause": span.cause.value, "sink": span.sink or "any"}, span.frames or 0)
        self.report()

    def keep(self, record: LossRecord) -> None:
        """Write a record down durably. Blocking. Raises OSError."""
        self._small.replace(FILE, sealed(msgspec.json.encode(record)))

    def _knows(self, span: LostSpan) -> bool:
        if span.segment is not None and span.offset in self.record.folded.get(span.segment, ()):
            return True
        return any((s.cause, s.segment, s.offset) == (span.cause, span.segment, span.offset) for s in self.record.spans)

    def report(self) -> None:
        """Put the losses into health: degraded for a day after the last one."""
        spans = self.record.spans
        if not spans:
            return
        since = self._clock.now_ns() - RECENT_NS
        recent = [span for span in spans if span.told_ns >= since]
        detail = f"{_number(self.record)} were lost in {len(spans)} spans; {in_words(spans[-1])}"
        self._health.set(
            PART,
            "degraded" if recent else "ok",
            detail,
            frames=float(self.record.frames()),
            spans=float(len(spans)),
            recent_frames=float(sum(span.frames or 0 for span in recent)),
            recent_spans=float(len(recent)),
        )


def _number(record: LossRecord) -> str:
    known, uncounted = record.frames(), sum(span.frames is None for span in record.spans)
    if not uncounted:
        return f"{known} Frames at most"
    return f"{known} Frames at most, and an unknown number in {uncounted} spans," if known else "An unknown number of Frames"


def in_words(span: LostSpan) -> str:
    """One span for a reader."""
    if span.cause is Cause.RECORD:
        return f"{span.cause.value}: {FILE} was damaged and is set aside beside it; losses that it told of are not known any more"
    frames = "an unknown number of" if span.frames is None else f"at most {span.frames}"
    reach = "" if span.first_t_ns is None else f" from {span.first_t_ns} to {span.last_t_ns} (UTC ns)"
    return f"{span.cause.value}: {frames} Frames{reach} do not reach {span.sink or 'any store'}"


def _folded(told: tuple[LostSpan, ...], span: LostSpan) -> tuple[LostSpan, ...]:
    for at in range(len(told) - 1, -1, -1):
        old = told[at]
        # one of unknown size stays apart: folded, it would pass for part of what was counted
        if (old.cause, old.sink) == (span.cause, span.sink) and span.segment is None and None not in (old.frames, span.frames):
            if abs(span.told_ns - old.told_ns) > FOLD_NS:
                break
            return (*told[:at], *told[at + 1 :], _joined(old, span))
    return (*told, span)


def _bounded(told: tuple[LostSpan, ...]) -> tuple[tuple[LostSpan, ...], list[LostSpan]]:
    """Fold the oldest spans of the commonest kind until the record has its size; also the spans that were folded."""
    folded: list[LostSpan] = []
    while len(told) > SPANS_MAX:
        kind, _ = Counter(map(_kind, told)).most_common(1)[0]
        first, second = [at for at, span in enumerate(told) if _kind(span) == kind][:2]
        folded += [told[first], told[second]]
        told = (*told[:first], _joined(told[first], told[second]), *told[first + 1 : second], *told[second + 1 :])
    return told, folded


def _kind(span: LostSpan) -> tuple[Cause, str, bool]:
    # an unknown number is in no sum
    return span.cause, span.sink, span.frames is None


def _kept(places: dict[int, tuple[int, ...]], folded: Sequence[LostSpan]) -> dict[int, tuple[int, ...]]:
    """Rotten places with those of ``folded``; the lowest segments, which go first, give way to the bound."""
    found = dict(places)
    for span in folded:
        if span.segment is not None and span.offset is not None:
            found[span.segment] = (*found.get(span.segment, ()), span.offset)
    while sum(map(len, found.values())) > PLACES_MAX:
        lowest = min(found)
        found[lowest] = found[lowest][1:]
        if not found[lowest]:
            del found[lowest]
    return found


def _joined(old: LostSpan, new: LostSpan) -> LostSpan:
    """Two of a kind as one."""
    frames = None if old.frames is None or new.frames is None else old.frames + new.frames
    firsts = [t for t in (old.first_t_ns, new.first_t_ns) if t is not None]
    lasts = [t for t in (old.last_t_ns, new.last_t_ns) if t is not None]
    first, last = min(firsts, default=None), max(lasts, default=None)
    return LostSpan(new.cause, new.sink, frames, first, last, old.bytes + new.bytes, new.told_ns)
