"""From messages in order of arrival to blocks, rejects and counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.mqtt_link import Delivery, Session
from collector.payloads.decoder import Reading
from collector.payloads.formats import decoder_of
from collector.quarantine import Rejected
from devices.maps import Profile
from plant.errors import PayloadError
from plant.frame import FRAMES_MAX, NS_PER_MS, FrameBlock
from plant.site import Meter

BURST_GAP_NS = 200 * NS_PER_MS  # what follows the connection, or the message before it, more closely was queued
BURST_MAX_NS = 60_000 * NS_PER_MS  # a meter that sends faster than that all the time is believed again


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a batch of messages came to. ``strangers`` are topics no meter owns, ``stale`` counts messages without a time
    of their own that say nothing about now: retained, or queued at the broker while we were away."""

    blocks: list[FrameBlock]
    rejected: list[Rejected]
    strangers: list[str]
    stale: int


class Inbox:
    """Knows the meters of one broker by topic, and when each of those that send no time was last heard."""

    def __init__(self, plant: str, meters: Sequence[Meter], profiles: Mapping[str, Profile]) -> None:
        self._plant = plant
        self._decoders = {m.profile: decoder_of(profiles[m.profile]) for m in meters}
        self._by_topic = {m.topic: (m.id, m.profile) for m in meters}
        self._stamped_ns: dict[str, int] = {}
        self._connected_ns = 0
        self._burst_ns: dict[str, int] = {}

    def connected(self, session: Session, t_ns: int) -> None:
        """A connection began. With a resumed session, the broker first sends what it queued."""
        self._connected_ns = t_ns
        self._burst_ns = dict.fromkeys((m for m, _ in self._by_topic.values()), t_ns) if session is Session.RESUMED else {}

    def sort(self, deliveries: Sequence[Delivery]) -> Sorted:
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
            if not decoder.carries_time and (delivery.retained or self._was_queued(meter, delivery.received_ns)):
                stale += 1
                continue
            try:
                decoded = decoder.decode(meter, delivery.payload, self._stamp_ns(meter, delivery.received_ns))
            except Exception as error:  # whatever a message does to us, the next one has its turn
                reason = str(error) if isinstance(error, PayloadError) else f"decoding failed: {error!r}"
                out.rejected.append(Rejected(delivery.topic, f"{meter} ({profile}): {reason}", delivery.payload))
                continue
            if not decoder.carries_time:
                self._stamped_ns[meter] = decoded[-1].t_ns
            readings.setdefault(profile, []).extend(decoded)
        for profile, rows in readings.items():
            for at in range(0, len(rows), FRAMES_MAX):
                out.blocks.extend(self._decoders[profile].blocks(self._plant, rows[at : at + FRAMES_MAX]))
        return Sorted(out.blocks, out.rejected, out.strangers, stale)

    def _stamp_ns(self, meter: str, received_ns: int) -> int:
        """The receipt, or the next free millisecond: two messages of a meter are never one instant."""
        return max(received_ns, self._stamped_ns.get(meter, 0) + NS_PER_MS)

    def _was_queued(self, meter: str, received_ns: int) -> bool:
        """Whether the message belongs to the burst that began with the connection: MQTT marks queued messages in no way."""
        last_ns = self._burst_ns.get(meter)
        if last_ns is None:
            return False
        if received_ns - last_ns > BURST_GAP_NS or received_ns - self._connected_ns > BURST_MAX_NS:
            del self._burst_ns[meter]
            return False
        self._burst_ns[meter] = received_ns
        return True
