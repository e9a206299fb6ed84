"""JSON messages to readings, after a profile's payload map. Pure.

A quantity that is null, absent or not a number literal (``NaN``) is missing with its quality; a message whose shape
does not fit, or that names no instant, can never be decoded: PayloadError says what was found and where.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from collector.payloads.decoder import PAYLOAD_BYTES_MAX, Reading
from devices.maps import PayloadTime, Profile
from devices.payload import pointer_parts
from plant.errors import PayloadError
from plant.frame import NS_PER_MS, FrameBlock, floor_ms
from plant.quality import ABSENT

_NAN = float("nan")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_EVENT_ID_MAX = 200
_T_MS_MAX = 2**63 // NS_PER_MS - 1
_ABSENT_WORDS = frozenset({"nan", "null", "n/a", ""})

Pointer = tuple[str, ...]


class JsonDecoder:
    """Decodes the messages of one profile. The profile's protocol is ``mqtt``."""

    def __init__(self, profile: Profile) -> None:
        assert profile.mqtt is not None, profile.id
        self._profile, self._time = profile, profile.mqtt.time
        self._pointers = [pointer_parts(point.path) for point in profile.mqtt.points]
        self._paths = [point.path for point in profile.mqtt.points]
        self._numerator = np.array([float(point.scale.numerator) for point in profile.mqtt.points])
        self._denominator = np.array([float(point.scale.denominator) for point in profile.mqtt.points])
        self._time_pointer = pointer_parts(self._time.path) if self._time else ()
        self._event_path = profile.mqtt.event_id
        self._event_pointer = pointer_parts(self._event_path)
        self._sequence_path = profile.mqtt.sequence
        self._sequence_pointer = pointer_parts(self._sequence_path)

    @property
    def carries_time(self) -> bool:
        """Whether messages say when they were measured; a retained message that does not says nothing about now."""
        return self._time is not None

    @property
    def carries_sequence(self) -> bool:
        """Whether messages are numbered by their device."""
        return bool(self._sequence_path)

    @property
    def sequence_modulus(self) -> int:
        """What the sequence number wraps at, 0 where it is not known to wrap."""
        return 0

    @property
    def suffixes(self) -> tuple[str, ...]:
        """One topic a meter."""
        return ("",)

    def decode(self, meter: str, payload: bytes, received_ns: int, suffix: str = "") -> tuple[Reading]:
        """One message. ``received_ns`` is its instant only where the profile's messages carry none. Raises PayloadError."""
        message = _parse(payload)
        raw = [_number(_at(message, pointer), path) for pointer, path in zip(self._pointers, self._paths, strict=True)]
        t_ns = floor_ms(received_ns) if self._time is None else _instant(_at(message, self._time_pointer), self._time)
        event_id = self._event_id(message) if self._profile.event else ""
        return (Reading(meter, t_ns, raw, event_id, self._sequence(message)),)

    def _sequence(self, message: Any) -> int | None:
        if not self._sequence_path:
            return None
        found = _at(message, self._sequence_pointer)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**63:
            raise PayloadError(f"{self._sequence_path}: found {_shown(found)}, expected the message's number")
        return found

    def _event_id(self, message: Any) -> str:
        found = _at(message, self._event_pointer)
        if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "":
            raise PayloadError(f"{self._event_path}: found {found!r}, an event needs an id (text or whole number)")
        # what no database keeps (NUL, half a surrogate pair) or a record has no room for is no id
        if isinstance(found, int) and abs(found) < 10**_EVENT_ID_MAX:
            found = str(found)
        if not isinstance(found, str) or len(found) > _EVENT_ID_MAX or not found.isprintable():
            raise PayloadError(
                f"{self._event_path}: found {_shown(found)}, an event's id has at most {_EVENT_ID_MAX} characters, all printable"
            )
        return found

    def blocks(self, plant: str, readings: Sequence[Reading]) -> list[FrameBlock]:
        """The readings, in order, as one block in canonical units."""
        meters = tuple(dict.fromkeys(reading.meter for reading in readings))
        position = {meter: i for i, meter in enumerate(meters)}
        raw = np.array([reading.raw for reading in readings], np.float64).reshape(len(readings), len(self._pointers))
        block = FrameBlock(
            plant,
            self._profile.id,
            self._profile.quantities,
            meters,
            np.array([position[reading.meter] for reading in readings], np.int32),
            np.array([reading.t_ns for reading in readings], np.int64),
            raw * self._numerator / self._denominator,
            np.where(np.isnan(raw), int(ABSENT), 0).astype(np.int16),
            tuple(reading.event_id for reading in readings) if self._profile.event else (),
        )
        return [block]


def _parse(payload: bytes) -> Any:
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise PayloadError(f"a message of {len(payload)} bytes, at most {PAYLOAD_BYTES_MAX} are read")
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return json.loads(payload)  # some devices write NaN and Infinity, which JSON does not know
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"no JSON: {error}; the message begins {payload[:40]!r}") from error


def _at(message: Any, pointer: Pointer) -> Any:
    """What stands at a pointer, None where nothing does."""
    for part in pointer:
        if isinstance(message, dict):
            message = message.get(part)
        elif isinstance(message, list) and part.isdecimal() and int(part) < len(message):
            message = message[int(part)]
        else:
            return None
    return message


def _number(found: Any, path: str) -> float:
    if found is None:
        return _NAN
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        try:
            return float(found)
        except OverflowError as error:
            raise PayloadError(f"{path}: a whole number beyond every float") from error
    if isinstance(found, str) and found.strip().lower() in _ABSENT_WORDS:
        return _NAN
    raise PayloadError(f"{path}: found {_shown(found)}, expected a number")


def _instant(found: Any, time: PayloadTime) -> int:
    """UTC ns, whole ms."""
    if time.format == "iso8601":
        t_ms = _iso_ms(found, time.path)
    elif isinstance(found, bool) or not isinstance(found, (int, float)):
        raise PayloadError(f"{time.path}: found {_shown(found)}, expected a number ({time.format})")
    elif not abs(found) <= _T_MS_MAX:  # NaN is not either; before any arithmetic, which a number without bound breaks
        raise PayloadError(f"{time.path}: found {_shown(found)}, no instant of this era in {time.format}")
    elif time.format == "unix_s":
        t_ms = round(found * 1000)
    else:
        t_ms = int(found)
    if abs(t_ms) > _T_MS_MAX:
        raise PayloadError(f"{time.path}: found {_shown(found)}, no instant of this era in {time.format}")
    return t_ms * NS_PER_MS


def _iso_ms(found: Any, path: str) -> int:
    if not isinstance(found, str):
        raise PayloadError(f"{path}: found {_shown(found)}, expected a time such as 2026-01-31T08:00:00.000+08:00")
    try:
        instant = datetime.fromisoformat(found)
    except ValueError as error:
        raise PayloadError(f"{path}: found {_shown(found)}, expected a time such as 2026-01-31T08:00:00+08:00") from error
    if instant.tzinfo is None:
        raise PayloadError(f"{path}: found {_shown(found)}, a time without its offset from UTC names no instant")
    return (instant - _EPOCH) // _MS


def _shown(found: Any) -> str:
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."
