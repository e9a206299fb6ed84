"""What polling Modbus meters yields: the record of each meter, its readings, and the blocks that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.screen import ScreenRules, screen
from devices.codec import Words, decode
from devices.dialogue import Introduction, MeterAddress
from devices.maps import Profile
from plant.frame import FrameBlock
from plant.quality import ABSENT, Quality
from plant.site import Meter

ASK_AGAIN_NS = 300_000_000_000  # what a meter refused while it started, or before it was set up, may be there by then


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


@dataclass(slots=True, eq=False)
class PolledMeter:
    """A meter with what is known of it and how its polls went."""

    meter: Meter
    profile: Profile
    address: MeterAddress
    known: Introduction | None = None
    doubt: Doubt | None = None
    introduced_ns: int = 0
    good: int = 0
    failed: int = 0
    missed: int = 0
    last_good_ns: int = 0

    def is_stranger(self, now_ns: int) -> bool:
        """Whether it is to be introduced before it is polled: not known yet, or asked long ago for what it refused or
        while its readings are in doubt."""
        if self.known is None:
            return True
        return bool(self.known.holes or self.doubt) and abs(now_ns - self.introduced_ns) >= ASK_AGAIN_NS

    def judge(self, doubt: Doubt | None) -> None:
        """Take note of what is to be thought of the newest reading; a meter that comes into doubt is to be introduced anew."""
        if doubt and not self.doubt:
            self.known = None
        self.doubt = doubt


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One poll: the words of the plan, when the last of them arrived and how long they took."""

    device: PolledMeter
    known: Introduction
    t_ns: int
    words: Words
    round_trip_s: float


def blocks_of(plant: str, readings: Sequence[Reading]) -> list[FrameBlock]:
    """One block a profile, in the order of the readings."""
    by_profile: dict[str, list[Reading]] = {}
    for reading in readings:
        by_profile.setdefault(reading.device.profile.id, []).append(reading)
    return [_block(plant, same) for same in by_profile.values()]


def _block(plant: str, readings: Sequence[Reading]) -> FrameBlock:
    profile = readings[0].device.profile
    value, quality = decode(profile, np.stack([r.words for r in readings]))
    absent = np.stack([r.known.absent for r in readings])
    value[absent], quality[absent] = np.nan, int(ABSENT)
    place = {name: i for i, name in enumerate(dict.fromkeys(r.device.meter.id for r in readings))}
    return FrameBlock(
        plant,
        profile.id,
        profile.quantities,
        tuple(place),
        np.array([place[r.device.meter.id] for r in readings], np.int32),
        np.array([r.t_ns for r in readings], np.int64),
        value,
        quality,
    )


def last_quality(blocks: Sequence[FrameBlock], rules: Mapping[str, ScreenRules]) -> dict[str, npt.NDArray[np.int16]]:
    """By meter the screened quality int16[k] of its last Frame; ``rules`` by profile."""
    screened = [screen(block, rules[block.profile]) for block in blocks]
    return {block.meter_of(row): block.quality[row] for block in screened for row in range(len(block))}


def doubt_of(reading: Reading, quality: npt.NDArray[np.int16]) -> Doubt | None:
    """The doubt that the screened quality int16[k] of a reading casts on it, if any.

    One value that no such meter can show is enough; missing ones, which many a device leaves out, only where they are
    most. Registers that the meter refuses are known, and left out.
    """
    asked = ~reading.known.absent
    invalid = asked & ((quality & int(Quality.INVALID)) != 0)
    if not invalid.any():
        return None
    first = reading.device.profile.quantities[int(np.argmax(invalid))]
    doubt = Doubt(int(invalid.sum()), int(asked.sum()), first)
    impossible = asked & ((quality & int(Quality.OUT_OF_RANGE | Quality.OVERFLOW)) != 0)
    return doubt if doubt.is_of_most or impossible.any() else None


def doubt_in_words(doubt: Doubt, address: MeterAddress) -> str:
    """What is wrong with the readings of a meter, as its health says it."""
    what = f"{doubt.invalid} of {doubt.asked} values are missing or outside limits (first: {doubt.first})"
    return f"{address.meter} at {address.where} answers, but {what}; check unit number, profile, word order"


def holes_in_words(reading: Reading) -> str:
    """Which registers the meter refuses and what is missing for that, as its health says it."""
    names = [n for n, absent in zip(reading.device.profile.quantities, reading.known.absent, strict=True) if absent]
    spans = ", ".join(f"{h.table} {h.address}-{h.end - 1}" for h in reading.known.holes)
    return f"refuses {spans}, so {', '.join(names)} is missing; check that the profile fits the firmware"
