"""Messages that are plain text to readings: one value a topic, or lines of columns."""

from __future__ import annotations

from collections.abc import Sequence

from collector.payloads.columns import Columns
from collector.payloads.decoder import PAYLOAD_BYTES_MAX, Reading
from collector.payloads.json import of_sample
from devices.maps import Profile
from devices.payload_text import frames
from plant.errors import PayloadError
from plant.frame import FrameBlock


class TextDecoder:
    """Decodes the messages of one profile, whose payload is ``value`` or ``csv``."""

    def __init__(self, profile: Profile) -> None:
        assert profile.mqtt is not None, profile.id
        self._map = profile.mqtt
        self._columns = Columns(profile)

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

    @property
    def suffixes(self) -> tuple[str, ...]:
        """A topic for each quantity where messages are plain values."""
        return tuple(f"/{point.path}" for point in self._map.points) if self._map.format == "value" else ("",)

    def decode(self, meter: str, payload: bytes, received_ns: int, suffix: str = "") -> Sequence[Reading]:
        """The Frames of one message. Raises PayloadError."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise PayloadError(f"a message of {len(payload)} bytes, at most {PAYLOAD_BYTES_MAX} are read")
        return [of_sample(meter, found, received_ns) for found in frames(self._map, payload, suffix)]

    def blocks(self, plant: str, readings: Sequence[Reading]) -> list[FrameBlock]:
        """The readings in canonical units."""
        return self._columns.blocks(plant, readings)
