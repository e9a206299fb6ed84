"""From messages in order of arrival to blocks, rejects and counts. Pure, the stamps' file aside, which its caller writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from collector.mqtt_link import Delivery, Session
from collector.payloads.decoder import PayloadDecoder, Reading, SparkplugHost
from collector.payloads.formats import decoder_of
from collector.quarantine import Rejected
from collector.sequences import Sequences
from collector.stamps import Stamp, Stamps
from devices.maps import Profile
from plant.errors import PayloadError
from plant.frame import FRAMES_MAX, NS_PER_MS, FrameBlock
from plant.quantities import QUANTITIES, Kind
from plant.site import Meter

SET_BACK_NS = 1_000 * NS_PER_MS  # receipts that much before an earlier one: the clock was set, it did not just drift
AMOUNTS = frozenset({Kind.INTERVAL, Kind.EVENT})  # each of them counts, however late it comes
BURST_GAP_NS = 200 * NS_PER_MS  # what follows the connection, or the message before it, more closely was queued
BURST_MAX_NS = 60_000 * NS_PER_MS  # a broker that sends faster than that all the time is believed again


@dataclass(slots=True)
class Sorted:
    """What a batch of messages came to.

    ``strangers`` are topics no meter owns, ``stale`` counts messages without a time of their own that say nothing about
    now: retained, or queued at the broker while we were away. ``refused`` is why the last message of a meter is among the
    rejects. ``missing`` counts, by meter, the numbers that never came, ``steps_back`` those that came again or anew.
    ``set_back_s`` is how far the clock of the
    receipts went back. ``stamps`` have to be durable before the blocks. The rest is what edge nodes of Sparkplug B said;
    ``historical`` is kept as ``blocks`` are, though late without anybody's fault.
    """

    blocks: list[FrameBlock] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    stale: int = 0
    repeated: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    steps_back: dict[str, int] = field(default_factory=dict)
    set_back_s: float = 0.0
    stamps: list[Stamp] = field(default_factory=list)
    publish: list[tuple[str, bytes]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    offline: dict[str, bool] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    historical: list[FrameBlock] = field(default_factory=list)


@dataclass(slots=True)
class _Route:
    """Where the messages of one topic go. ``rows`` are shared by all meters of the profile."""

    meter: str
    profile: str
    suffix: str
    decode: Callable[[str, bytes, int, str], Sequence[Reading]]
    rows: list[Reading]
    carries_time: bool
    carries_sequence: bool
    modulus: int
    amounts: str


@dataclass(slots=True)
class _EdgeRows:
    """What edge nodes said in a batch, by profile."""

    readings: dict[str, list[Reading]]
    historical: dict[str, list[Reading]]


class Inbox:
    """Knows the meters of one broker by topic, and when each of those that send no time was last heard.

    ``stamps`` None: messages without a time are stamped each time they come. ``shared``: others read the same stream, so
    that numbers missing here are none lost.
    """

    def __init__(
        self,
        plant: str,
        meters: Sequence[Meter],
        profiles: Mapping[str, Profile],
        *,
        host: SparkplugHost | None = None,
        stamps: Stamps | None = None,
        shared: bool = False,
    ) -> None:
        self._plant, self._host, self._stamps = plant, host, stamps
        plain = [m for m in meters if host is None or not host.owns(m.topic)]
        self._decoders: dict[str, PayloadDecoder] = {
            name: decoder_of(profiles[name]) for name in dict.fromkeys(m.profile for m in plain)
        }
        self._rows: dict[str, list[Reading]] = {profile: [] for profile in self._decoders}
        self._amounts = {name: ", ".join(amounts(profiles[name])) for name in self._decoders}
        self._by_topic = {
            m.topic + suffix: self._route(m, suffix) for m in plain for suffix in self._decoders[m.profile].suffixes
        }
        self._numbered = () if shared else tuple(name for name, d in self._decoders.items() if d.carries_sequence)
        self._sequences = Sequences()
        self._stamped_ns: dict[str, int] = {}
        self._received_ns = 0  # the latest receipt of a message without a time
        self._connected_ns = 0
        self._burst_ns: int | None = None  # its last message; None once it is over
        self._queued_until_ns = 0

    def _route(self, meter: Meter, suffix: str) -> _Route:
        decoder = self._decoders[meter.profile]
        rows = self._rows[meter.profile]
        return _Route(
            meter.id,
            meter.profile,
            suffix,
            decoder.decode,
            rows,
            decoder.carries_time,
            decoder.carries_sequence,
            decoder.sequence_modulus,
            self._amounts[meter.profile],
        )

    @property
    def topics(self) -> tuple[str, ...]:
        """Everything its meters publish to."""
        return (*self._by_topic, *(self._host.topics() if self._host else ()))

    def connected(self, session: Session, t_ns: int) -> None:
        """A connection began. With a resumed session, the broker first sends what it queued."""
        self._connected_ns = t_ns
        self._burst_ns, self._queued_until_ns = (t_ns if session is Session.RESUMED else None), 0
        if self._host is not None:
            self._host.disconnected()  # edge nodes publish with QoS 0, which no broker keeps for us

    def sort(self, deliveries: Sequence[Delivery]) -> Sorted:
        """Blocks by profile in order of arrival; a message that no profile can read is a reject with its reason."""
        out, edge = Sorted(), _EdgeRows({}, {})
        if self._burst_ns is not None:
            self._follow_burst(deliveries)
        route_of = self._by_topic.get
        for delivery in deliveries:
            route = route_of(delivery.topic)
            if route is None:
                self._other(delivery, out, edge)
                continue
            try:
                if route.carries_time:
                    route.rows += route.decode(route.meter, delivery.payload, 0, route.suffix)
                else:
                    self._stamp(route, delivery, out)
            except Exception as error:  # whatever a message does to us, the next one has its turn
                reason = _reason(error)
                out.refused[route.meter] = reason
                out.rejected.append(Rejected(delivery.topic, f"{route.meter} ({route.profile}): {reason}", delivery.payload))
        for profile in self._numbered:
            self._follow(self._rows[profile], self._decoders[profile].sequence_modulus, out)
        for profile, shared in self._rows.items():
            rows = shared[:]
            shared.clear()
            for at in range(0, len(rows), FRAMES_MAX):
                out.blocks += self._decoders[profile].blocks(self._plant, rows[at : at + FRAMES_MAX])
        out.blocks += self._edge_blocks(edge.readings)
        out.historical += self._edge_blocks(edge.historical)
        return out

    def _follow(self, rows: Sequence[Reading], modulus: int, out: Sorted) -> None:
        missing = self._sequences.missing
        before: Reading | None = None
        for reading in rows:
            number = reading.sequence
            # Frames of one message have one number
            if number is None or (before is not None and number == before.sequence and reading.meter == before.meter):
                continue
            before = reading
            found = missing(reading.meter, number, modulus)
            if found > 0:
                out.missing[reading.meter] = out.missing.get(reading.meter, 0) + found
            elif found < 0:
                out.steps_back[reading.meter] = out.steps_back.get(reading.meter, 0) + 1

    # ---- messages without a time ----

    def _stamp(self, route: _Route, delivery: Delivery, out: Sorted) -> None:
        meter = route.meter
        known_ns: int | None = None
        self._mind_the_clock(delivery.received_ns, out)
        queued = delivery.received_ns <= self._queued_until_ns
        stamp_ns = max(delivery.received_ns, self._stamped_ns.get(meter, 0) + NS_PER_MS)
        if route.carries_sequence and self._stamps is not None:
            readings = route.decode(meter, delivery.payload, stamp_ns, route.suffix)
            number = readings[0].sequence
            known_ns = None if number is None else self._again(route, number, delivery, queued)
            if known_ns is not None:
                shift_ns = known_ns - readings[0].t_ns
                route.rows += [msgspec.structs.replace(r, t_ns=r.t_ns + shift_ns) for r in readings]
                out.repeated += 1
                return
        if delivery.retained or queued:
            if route.amounts and not delivery.retained:  # a retained one is a copy of what was sent to everybody
                raise PayloadError(f"it waited at the broker and says no time: nobody knows when its {route.amounts} belongs")
            out.stale += 1
            return
        readings = route.decode(meter, delivery.payload, stamp_ns, route.suffix)
        self._stamped_ns[meter] = readings[-1].t_ns
        number = readings[0].sequence
        if number is not None and self._stamps is not None:
            out.stamps.append(self._stamps.give(meter, number, delivery.payload, readings[0].t_ns, route.modulus))
        route.rows += readings

    def _again(self, route: _Route, number: int, delivery: Delivery, queued: bool) -> int | None:
        assert self._stamps is not None
        from_broker = queued or delivery.sent_again
        return self._stamps.find(route.meter, number, delivery.payload, route.modulus, from_broker=from_broker)

    def _follow_burst(self, deliveries: Sequence[Delivery]) -> None:
        """Find the end of the burst that began with the connection, whosever messages it holds: MQTT marks queued messages in
        no way, and the broker sends those of all meters in one queue."""
        assert self._burst_ns is not None
        for delivery in deliveries:
            received_ns = delivery.received_ns
            if received_ns - self._burst_ns > BURST_GAP_NS or received_ns - self._connected_ns > BURST_MAX_NS:
                self._burst_ns = None
                return
            self._burst_ns = self._queued_until_ns = received_ns

    def _mind_the_clock(self, received_ns: int, out: Sorted) -> None:
        back_ns = self._received_ns - received_ns
        if back_ns > SET_BACK_NS:
            # one millisecond after the other from the old time on would squeeze all that comes into a moment
            self._stamped_ns.clear()
            self._burst_ns, self._queued_until_ns = None, 0
            out.set_back_s = back_ns / 1e9
        if back_ns < 0 or out.set_back_s:
            self._received_ns = received_ns

    # ---- Sparkplug B ----

    def _other(self, delivery: Delivery, out: Sorted, edge: _EdgeRows) -> None:
        host = self._host
        if host is None or not host.owns(delivery.topic):
            out.strangers.append(delivery.topic)
            return
        if delivery.retained:
            out.stale += 1  # its place among the others is unknown, and a birth of long ago would name wrong
            return
        try:
            taken = host.take(delivery.topic, delivery.payload, delivery.received_ns)
        except Exception as error:  # as above
            out.rejected.append(Rejected(delivery.topic, _reason(error), delivery.payload))
            return
        if taken.aside:
            out.rejected.append(Rejected(delivery.topic, taken.aside, delivery.payload))
        out.publish += taken.publish
        out.notes += taken.notes
        out.offline |= dict.fromkeys(taken.offline, True) | dict.fromkeys(taken.online, False)
        out.unread |= taken.unread
        for said, rows in ((taken.readings, edge.readings), (taken.historical, edge.historical)):
            for profile, some in said.items():
                rows.setdefault(profile, []).extend(some)

    def _edge_blocks(self, of: Mapping[str, Sequence[Reading]]) -> list[FrameBlock]:
        """The readings of a whole batch: devices that report by exception make a few each time, of few kinds."""
        host, blocks = self._host, list[FrameBlock]()
        for profile, rows in of.items():
            assert host is not None, profile
            for at in range(0, len(rows), FRAMES_MAX):
                blocks += host.blocks(self._plant, profile, rows[at : at + FRAMES_MAX])
        return blocks


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, PayloadError) else f"decoding failed: {error!r}"


def amounts(profile: Profile) -> list[str]:
    """What of a profile belongs to an interval or happened once: each counts, so that none may be left out."""
    return [name for name in profile.quantities if QUANTITIES[name].kind in AMOUNTS]
