"""From messages in order of arrival to blocks, rejects and counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.mqtt_link import Delivery
from collector.payloads.json import JsonDecoder, Reading
from collector.quarantine import Rejected
from devices.maps import Profile
from plant.errors import PayloadError
from plant.frame import FRAMES_MAX, FrameBlock
from plant.site import Meter


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a batch of messages came to. ``strangers`` are topics no meter owns, ``stale`` counts retained messages
    without a time of their own."""

    blocks: list[FrameBlock]
    rejected: list[Rejected]
    strangers: list[str]
    stale: int


class Inbox:
    """Knows the meters of one broker by topic."""

    def __init__(self, plant: str, meters: Sequence[Meter], profiles: Mapping[str, Profile]) -> None:
        self._plant = plant
        self._decoders = {m.profile: JsonDecoder(profiles[m.profile]) for m in meters}
        self._by_topic = {m.topic: (m.id, m.profile) for m in meters}

    def sort(self, deliveries: Sequence[Delivery], received_ns: int) -> Sorted:
        """Blocks by profile in order of arrival; a message that no profile can read is a reject with its reason."""
        readings: dict[str, list[Reading]] = {}
        out = Sorted([], [], [], 0)
        stale = 0
        for delivery in deliveries:
            owner = self._by_topic.get(delivery.topic)
            if owner is None:
                out.strangers.append(delivery.topic)
                continue
            meter, profile = owner
            decoder = self._decoders[profile]
            if delivery.retained and not decoder.carries_time:
                stale += 1
                continue
            try:
                readings.setdefault(profile, []).append(decoder.decode(meter, delivery.payload, received_ns))
            except PayloadError as error:
                out.rejected.append(Rejected(delivery.topic, f"{meter} ({profile}): {error}", delivery.payload))
        for profile, rows in readings.items():
            for at in range(0, len(rows), FRAMES_MAX):
                out.blocks.append(self._decoders[profile].block(self._plant, rows[at : at + FRAMES_MAX]))
        return Sorted(out.blocks, out.rejected, out.strangers, stale)
