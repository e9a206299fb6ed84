"""JSON messages to readings. The usual message is read by a typed decoder made from the profile's paths, in one go.

What that refuses - text for numbers, ``NaN``, an array of another length, any error - is read again by
``devices.payload``, which is exact, says what is wrong, and has the last word. So has it every message of a profile with
states, qualities, instants of points or numbers in quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from collector.payloads.columns import Columns
from collector.payloads.decoder import PAYLOAD_BYTES_MAX, Reading
from collector.payloads.json_typed import Typed, typed_of
from devices.maps import Profile
from devices.payload import Sample, parse_json, samples
from devices.payload_map import PayloadMap, PayloadTime
from devices.payload_scalar import event_key, instant, sequence_number
from plant.errors import PayloadError
from plant.frame import NS_PER_MS, FrameBlock, floor_ms

_SEQUENCE_END = 2**63
_UNIX_MS_MAX = 2**63 // NS_PER_MS - 1


class Decode(Protocol):
    """``PayloadDecoder.decode``."""

    def __call__(self, meter: str, payload: bytes, received_ns: int, suffix: str = "") -> Sequence[Reading]:
        """The Frames of one message. Raises PayloadError."""
        ...


class JsonDecoder:
    """Decodes the messages of one profile, whose payload is JSON."""

    suffixes = ("",)

    def __init__(self, profile: Profile) -> None:
        assert profile.mqtt is not None, profile.id
        self._map = profile.mqtt
        self._columns = Columns(profile)
        self._typed = typed_of(self._map)
        self._instant = _instant_reader(self._map.time)
        self.decode: Decode = _plain(self._typed, self._decode) if _is_plain(self._map) and self._typed else self._decode

    @property
    def carries_time(self) -> bool:
        """Whether messages say when they were measured."""
        return self._map.carries_time

    @property
    def carries_sequence(self) -> bool:
        """Whether messages are numbered by their device."""
        return bool(self._map.sequence)

    @property
    def sequence_modulus(self) -> int:
        """What the sequence number wraps at, 0 where it is not known to wrap."""
        return self._map.sequence_modulus

    def _decode(self, meter: str, payload: bytes, received_ns: int, suffix: str = "") -> Sequence[Reading]:  # noqa: ARG002 - one topic
        """The Frames of one message. Raises PayloadError."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise PayloadError(f"a message of {len(payload)} bytes, at most {PAYLOAD_BYTES_MAX} are read")
        typed = self._typed
        if typed is not None:
            try:
                return self._usual(typed, meter, payload, received_ns)
            except (msgspec.DecodeError, PayloadError, RecursionError, UnicodeDecodeError):
                pass  # the exact reading below says what is wrong, or takes it
        return [of_sample(meter, found, received_ns) for found in samples(self._map, parse_json(payload))]

    def _usual(self, typed: Typed, meter: str, payload: bytes, received_ns: int) -> Sequence[Reading]:
        document = typed.decode(payload)
        sequence = typed.sequence(document) if typed.sequence else None
        if typed.sequence and not (type(sequence) is int and 0 <= sequence < _SEQUENCE_END):
            sequence = sequence_number(sequence, self._map)
        if typed.samples is None:
            if typed.time is None or typed.event_id:
                return (self._reading(typed, meter, document, received_ns, sequence),)
            return (Reading(meter, self._instant(typed.time(document)), typed.values(document), "", sequence),)
        elements = typed.samples(document)
        if not elements:
            raise PayloadError(f"{self._map.each}: no sample")
        return [self._reading(typed, meter, element, received_ns, sequence) for element in elements]

    def _reading(self, typed: Typed, meter: str, sample: Any, received_ns: int, sequence: int | None) -> Reading:
        t_ns = floor_ms(received_ns) if typed.time is None else self._instant(typed.time(sample))
        event_id = event_key(typed.event_id(sample), self._map.event_id) if typed.event_id else ""
        return Reading(meter, t_ns, typed.values(sample), event_id, sequence)

    def blocks(self, plant: str, readings: Sequence[Reading]) -> list[FrameBlock]:
        """The readings in canonical units."""
        return self._columns.blocks(plant, readings)


def _is_plain(map_: PayloadMap) -> bool:
    """Whether a message is one Frame with its instant in ms and nothing else: what most meters send."""
    return map_.time is not None and map_.time.format == "unix_ms" and not (map_.each or map_.event_id or map_.sequence)


def _plain(typed: Typed, decode: Decode) -> Decode:
    """The same as ``decode``, to which it leaves all that is not usual, with every step of a usual message in one place:
    calls cost more than what they do."""
    parse, time, values = typed.decode, typed.time, typed.values
    assert time is not None

    def usual(meter: str, payload: bytes, received_ns: int, suffix: str = "") -> Sequence[Reading]:
        if len(payload) <= PAYLOAD_BYTES_MAX:
            try:
                document = parse(payload)
                t_ms = time(document)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                t_ms = None
            if type(t_ms) is int and 0 <= t_ms <= _UNIX_MS_MAX:
                return (Reading(meter, t_ms * NS_PER_MS, values(document)),)
        return decode(meter, payload, received_ns, suffix)

    return usual


def of_sample(meter: str, sample: Sample, received_ns: int) -> Reading:
    """A reading of a meter; a sample without an instant is of its receipt."""
    t_ns = floor_ms(received_ns) if sample.t_ns is None else sample.t_ns
    return Reading(meter, t_ns, sample.raw, sample.event_id, sample.sequence, sample.columns, sample.quality)


def _instant_reader(time: PayloadTime | None) -> Callable[[Any], int]:
    """Reads instants that are beyond doubt. Raises PayloadError for all others, which the exact reading then judges."""

    def read(found: Any) -> int:
        assert time is not None
        t_ns, doubt = instant(found, time)
        if doubt:
            raise PayloadError(f"{time.path}: an instant in doubt")
        return t_ns

    def read_ms(found: Any) -> int:
        if type(found) is int and 0 <= found <= _UNIX_MS_MAX:
            return found * NS_PER_MS
        return read(found)

    return read_ms if time is not None and time.format == "unix_ms" else read
