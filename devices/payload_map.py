"""What a profile says of the messages its device publishes, as values.

A *place* is where something stands in a message, by format: a JSON pointer (RFC 6901), the last part of a topic, a column
(its header's name, or its number from 0), the name of a Sparkplug metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

PayloadFormat = Literal["json", "value", "csv", "sparkplug"]
TimeFormat = Literal["iso8601", "unix_s", "unix_ms", "unix_us", "unix_ns"]


@dataclass(frozen=True, slots=True)
class PayloadPoint:
    """One quantity in a message: its place, and scale and offset from the raw number to the canonical unit.

    ``states`` are the numbers of a state by the device's word for it. ``time`` and ``quality`` are places of its own,
    empty where the message's hold. ``suffix`` is the unit that a text value ends in. ``wraps_at`` is in the canonical unit.
    """

    name: str
    path: str
    scale: Fraction
    wraps_at: float | None = None
    offset: Fraction = Fraction(0)
    states: Mapping[str, int] = field(default_factory=dict, hash=False)
    time: str = ""
    quality: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class PayloadTime:
    """Where a message says when it was measured; ``zone`` (IANA name) where its text has no offset from UTC."""

    path: str
    format: TimeFormat
    zone: str = ""


@dataclass(frozen=True, slots=True)
class PayloadQuality:
    """The device's own word on its values: what is listed is good or questionable, everything else invalid.

    ``path`` is empty where only points have places of their own.
    """

    path: str
    good: tuple[str, ...]
    questionable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PayloadMap:
    """Map of a message. ``event_id`` and ``sequence`` are places, empty where the message has none.

    ``each`` is the JSON pointer of an array whose elements are samples, to which all places but that of the sequence are
    then relative. ``numbers`` is "text" where JSON writes numbers in quotes; ``decimal`` is the mark in numbers that are
    text; ``header`` says whether the first line of a CSV message names its columns.
    """

    points: tuple[PayloadPoint, ...]
    time: PayloadTime | None
    event_id: str = ""
    sequence: str = ""
    format: PayloadFormat = "json"
    sequence_modulus: int = 0
    each: str = ""
    quality: PayloadQuality | None = None
    numbers: Literal["plain", "text"] = "plain"
    decimal: Literal["point", "comma"] = "point"
    separator: str = ","
    header: Literal["none", "first_line"] = "none"

    @property
    def places(self) -> tuple[str, ...]:
        """Every place that it names, once."""
        named = [place for point in self.points for place in (point.path, point.time, point.quality)]
        named += [self.event_id, self.sequence, self.time.path if self.time else "", self.quality.path if self.quality else ""]
        return tuple(dict.fromkeys(place for place in named if place))

    @property
    def carries_time(self) -> bool:
        """Whether its messages say when they were measured; those of Sparkplug B always do."""
        return self.time is not None or self.format == "sparkplug"
