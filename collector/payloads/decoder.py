"""What an MQTT source needs of a payload format: messages to readings, readings to blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from plant.frame import FrameBlock

PAYLOAD_BYTES_MAX = 256 * 2**10


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One Frame before its columns: instant (UTC ns, whole ms) and raw numbers, NaN where one was due and is missing.

    ``columns`` says which quantities of its decoder the numbers belong to, empty for all of them: a device that reports
    by exception says nothing about the others, which are then not missing either. ``quality`` holds a quality word for
    each number, empty where the message gives none.
    """

    meter: str
    t_ns: int
    raw: Sequence[float]
    event_id: str = ""
    sequence: int | None = None
    columns: tuple[int, ...] = ()
    quality: tuple[int, ...] = ()


class PayloadDecoder(Protocol):
    """One profile's messages on one kind of topic. ``collector.payloads.formats.decoders`` makes them."""

    @property
    def carries_time(self) -> bool:
        """Whether messages say when they were measured; a retained message that does not says nothing about now."""
        ...

    @property
    def carries_sequence(self) -> bool:
        """Whether messages are numbered, so that one that comes twice can be told."""
        ...

    def decode(self, meter: str, payload: bytes, received_ns: int) -> Sequence[Reading]:
        """The Frames of one message, at least one. ``received_ns`` is their instant only where the message has none.

        Raises PayloadError, and nothing else, for a message that can never be read.
        """
        ...

    def blocks(self, plant: str, readings: Sequence[Reading]) -> list[FrameBlock]:
        """The readings in canonical units: one block, in order, and one more for each set of columns that came alone."""
        ...
