"""What an MQTT source needs of a payload format: messages to readings, readings to blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from plant.frame import FrameBlock

PAYLOAD_BYTES_MAX = 256 * 2**10


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One Frame before its columns: instant (UTC ns, whole ms) and raw numbers, NaN or None where one was due and is
    missing.

    ``columns`` says which quantities of the profile the numbers belong to, empty for all of them: a device that reports
    by exception says nothing about the others, which are then not missing either. ``quality`` holds a quality word for
    each number, empty where the message gives none.
    """

    meter: str
    t_ns: int
    raw: Sequence[float | None]
    event_id: str = ""
    sequence: int | None = None
    columns: tuple[int, ...] = ()
    quality: tuple[int, ...] = ()


class PayloadDecoder(Protocol):
    """One profile's messages. ``collector.payloads.formats.decoder_of`` makes them."""

    @property
    def carries_time(self) -> bool:
        """Whether messages say when they were measured; a retained message that does not says nothing about now."""
        ...

    @property
    def carries_sequence(self) -> bool:
        """Whether messages are numbered, so that one that comes twice can be told."""
        ...

    @property
    def sequence_modulus(self) -> int:
        """What the sequence number wraps at, 0 where it is not known to wrap."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What follows a meter's topic, slash included: "" alone, unless each quantity has a topic of its own."""
        ...

    def decode(self, meter: str, payload: bytes, received_ns: int, suffix: str = "") -> Sequence[Reading]:
        """The Frames of one message, at least one. ``received_ns`` is their instant only where the message has none.

        Raises PayloadError, and nothing else, for a message that can never be read.
        """
        ...

    def blocks(self, plant: str, readings: Sequence[Reading]) -> list[FrameBlock]:
        """The readings in canonical units: one block, in order, and one more for each set of columns that came alone."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What one message of an edge node came to. Readings by profile, in order; ``publish`` is what the site file allows to
    be sent, as (topic, payload); ``notes`` are what a person has to know (a gap, an unknown alias), as (meter or edge node,
    text); ``offline`` and ``online`` name meters that the message shows to be dead or alive. ``historical`` are readings that
    the device kept while its line was broken.

    ``unread`` says by meter what of the message had no meaning, "" where a birth ends that. ``aside`` is that reason where
    the message belongs in quarantine for it: the first of an episode, which ends with the next birth."""

    readings: Mapping[str, Sequence[Reading]] = field(default_factory=dict)
    historical: Mapping[str, Sequence[Reading]] = field(default_factory=dict)
    publish: tuple[tuple[str, bytes], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    offline: tuple[str, ...] = ()
    online: tuple[str, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    aside: str = ""


class SparkplugHost(Protocol):
    """The edge nodes of one broker, whose messages have a meaning only after those before them."""

    def topics(self) -> tuple[str, ...]:
        """What to subscribe to: births, data and deaths of each edge node that a meter hangs on."""
        ...

    def owns(self, topic: str) -> bool:
        """Whether a message on that topic is for ``take``."""
        ...

    def take(self, topic: str, payload: bytes, received_ns: int) -> Taken:
        """One message, in order of arrival. Raises PayloadError, and nothing else, for one that can never be read."""
        ...

    def blocks(self, plant: str, profile: str, readings: Sequence[Reading]) -> list[FrameBlock]:
        """As of a PayloadDecoder, for readings of one profile."""
        ...

    def disconnected(self) -> None:
        """The line went: what comes next may have a hole before it."""
        ...
