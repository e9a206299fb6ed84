"""What polling Modbus meters yields: the record of each meter, its readings, and the blocks that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from devices.codec import Words, decode
from devices.dialogue import Introduction, MeterAddress
from devices.maps import Profile
from plant.frame import FrameBlock
from plant.quality import ABSENT
from plant.site import Meter

HOLES_AGAIN_NS = 300_000_000_000  # what a meter refused while it started, or before it was set up, may be there by then


@dataclass(slots=True, eq=False)
class PolledMeter:
    """A meter with what is known of it and how its polls went."""

    meter: Meter
    profile: Profile
    address: MeterAddress
    known: Introduction | None = None
    introduced_ns: int = 0
    good: int = 0
    failed: int = 0
    missed: int = 0
    last_good_ns: int = 0

    def is_stranger(self, now_ns: int) -> bool:
        """Whether it is to be introduced before it is polled: not known yet, or asked long ago for what it refused."""
        return self.known is None or (bool(self.known.holes) and abs(now_ns - self.introduced_ns) >= HOLES_AGAIN_NS)


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


def holes_in_words(reading: Reading) -> str:
    """Which registers the meter refuses and what is missing for that, as its health says it."""
    names = [n for n, absent in zip(reading.device.profile.quantities, reading.known.absent, strict=True) if absent]
    spans = ", ".join(f"{h.table} {h.address}-{h.end - 1}" for h in reading.known.holes)
    return f"refuses {spans}, so {', '.join(names)} is missing; check that the profile fits the firmware"
