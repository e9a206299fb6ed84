"""What polling yields: the record of each meter, its readings, and what is to be thought of them. Knows no protocol."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from devices.dialogue import MeterAddress
from devices.maps import Profile
from plant.ports import HealthBoard
from plant.quality import Quality
from plant.site import Meter

ASK_SOON_NS = 10_000_000_000  # what a meter left unanswered may have been lost on the way; then ever later
ASK_AGAIN_NS = 300_000_000_000  # what a meter refused while it started, or before it was set up, may be there by then
TELL_AGAIN_NS = 1_000_000_000  # a state that stays is put on the health board no more often

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.int16]
Mask = npt.NDArray[np.bool_]


class Known(Protocol):
    """What an introduction found out. ``absent`` bool[k] marks the quantities that the meter refuses to tell; ``is_unsure``
    says that it was silent about some of them, ``serial`` is the number that it gave, "" where it gives none."""

    @property
    def absent(self) -> Mask: ...

    @property
    def is_unsure(self) -> bool: ...

    @property
    def serial(self) -> str: ...


class Dialect(Protocol):
    """How to speak to the meters of one protocol. All of it is pure: the generators yield requests and are sent answers.

    A DeviceError of the line is thrown into the generator at the request that caused it; one that does not catch it ends.
    """

    def introduce(self, profile: Profile, address: MeterAddress) -> Generator[Any, Any, Known]:
        """Find out whether the meter is what its profile says, and what it refuses."""
        ...

    def poll(self, profile: Profile, address: MeterAddress, known: Known) -> Generator[Any, Any, Any]:
        """One reading, raw."""
        ...

    def decode(self, profile: Profile, raw: Sequence[Any]) -> tuple[Floats, Flags]:
        """Values float64[n, k] and qualities int16[n, k] of n raw readings of one profile."""
        ...

    def refusals(self, profile: Profile, known: Known) -> str:
        """What the meter refuses, in words for its health; "" where it refuses nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Station:
    """Whom a request goes to. ``unit`` (Modbus) or ``address`` (DL/T 645) goes on the wire, ``name`` into messages."""

    name: MeterAddress
    unit: int = 1
    address: str = ""


@dataclass(slots=True)
class Begun:
    """An introduction under way, and what it wants to ask next."""

    dialogue: Generator[Any, Any, Known]
    request: Any


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a reading may not be that of its meter: so many of the quantities asked for are missing or outside limits."""

    invalid: int
    asked: int
    first: str

    @property
    def is_of_most(self) -> bool:
        """Whether more than half of the reading is worthless, so that the meter itself counts as degraded."""
        return 2 * self.invalid > self.asked


class PolledMeter:
    """A meter with what is known of it and how its polls went."""

    __slots__ = (
        "_again_ns", "_doubted_ns", "_exchanged", "_lacks", "_serial", "_told", "_told_ns", "begun", "dialect", "doubt", "failed",
        "good", "introduced_ns", "known", "labels", "last_good_ns", "meter", "missed", "part", "profile", "station",
    )  # fmt: skip

    def __init__(self, meter: Meter, profile: Profile, where: str, dialect: Dialect) -> None:
        self.meter, self.profile, self.dialect = meter, profile, dialect
        self.station = Station(MeterAddress(meter.id, where, meter.serial), meter.unit, meter.address)
        self.known: Known | None = None
        self.doubt: Doubt | None = None
        self.introduced_ns = self.last_good_ns = self._told_ns = 0
        self.good = self.failed = self.missed = 0
        self.part, self.labels, self._told = f"meter:{meter.id}", {"meter": meter.id}, ("", "")
        self._lacks = False
        self._again_ns, self._serial, self._exchanged = ASK_AGAIN_NS, meter.serial, ""
        self.begun: Begun | None = None
        self._doubted_ns: int | None = None

    def is_stranger(self, now_ns: int) -> bool:
        """Whether it is to be introduced before it is polled: not known yet, or asked a while ago for what it refused or left
        unanswered, or in doubt and not long ago met for that."""
        if self.known is None or self.begun is not None:
            return True
        if self._lacks and abs(now_ns - self.introduced_ns) >= self._again_ns:
            return True
        return self.doubt is not None and (self._doubted_ns is None or abs(now_ns - self._doubted_ns) >= ASK_AGAIN_NS)

    def introduced(self, known: Known, now_ns: int) -> None:
        """Take note of what the introduction found out."""
        was_unsure = self.known is not None and self.known.is_unsure
        later_ns = min(2 * self._again_ns, ASK_AGAIN_NS) if was_unsure else ASK_SOON_NS
        self._again_ns = later_ns if known.is_unsure else ASK_AGAIN_NS
        self.known, self.introduced_ns, self._lacks, self.begun = known, now_ns, bool(known.absent.any()), None
        if known.serial and self._serial and known.serial != self._serial:
            self._exchanged = f"serial number {known.serial} answers where {self._serial} did before"
        self._serial = known.serial or self._serial
        if self.doubt is not None:
            self._doubted_ns = now_ns

    def judge(self, doubt: Doubt | None) -> None:
        """Take note of what is to be thought of the newest reading."""
        self.doubt = doubt

    def silent_state(self, now_ns: int) -> str:
        """A meter is down once it has been without a durable reading for as long as its site file allows."""
        silent_ns = now_ns - self.last_good_ns
        return "down" if not self.last_good_ns or silent_ns > self.meter.silent_after_s * 1e9 else "degraded"

    def state(self) -> tuple[str, str]:
        """State and detail of a meter that answers."""
        if self.doubt is not None and self.doubt.is_of_most:
            return "degraded", _doubt_in_words(self.doubt, self.station.name)
        if self._exchanged:
            return "degraded", f"{self._exchanged}; if the meter was exchanged, give its mounting and `serial` in the site file"
        refused = self.dialect.refusals(self.profile, self.known) if self.known is not None else ""
        return ("degraded", refused) if refused else ("ok", "answers")

    def tell(self, health: HealthBoard, now_ns: int, state: str, detail: str, **numbers: float) -> None:
        """Put the state on the health board; the same words again at most once a second."""
        if self._told == (state, detail) and 0 <= now_ns - self._told_ns < TELL_AGAIN_NS:
            return
        self._told_ns, self._told = now_ns, (state, detail)
        polls = self.good + self.failed
        if polls:
            numbers["success_rate"] = self.good / polls
        if self.last_good_ns:
            numbers["last_good_unix_s"] = self.last_good_ns / 1e9
        health.set(self.part, state, detail, missed_polls=float(self.missed), **numbers)


class Reading:
    """One poll: what was read, when the last of it arrived and how long it took."""

    __slots__ = ("device", "known", "raw", "round_trip_s", "t_ns")

    def __init__(self, device: PolledMeter, known: Known, t_ns: int, raw: Any, round_trip_s: float) -> None:
        self.device, self.known, self.t_ns, self.raw, self.round_trip_s = device, known, t_ns, raw, round_trip_s


def doubt_of(quantities: Sequence[str], absent: Mask, quality: Flags) -> Doubt | None:
    """The doubt that the screened quality int16[k] of a reading casts on it, if any.

    One value that no such meter can show is enough; missing ones, which many a device leaves out, only where they are
    most. Quantities that the meter refuses are known, and left out.
    """
    asked = ~absent
    invalid = asked & ((quality & int(Quality.INVALID)) != 0)
    if not invalid.any():
        return None
    doubt = Doubt(int(invalid.sum()), int(asked.sum()), quantities[int(np.argmax(invalid))])
    impossible = asked & ((quality & int(Quality.OUT_OF_RANGE | Quality.OVERFLOW)) != 0)
    return doubt if doubt.is_of_most or impossible.any() else None


def _doubt_in_words(doubt: Doubt, name: MeterAddress) -> str:
    what = f"{doubt.invalid} of {doubt.asked} values are missing or outside limits (first: {doubt.first})"
    return f"{name.meter} at {name.where} answers, but {what}; check unit number, profile, word order"
