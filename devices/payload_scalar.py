"""Single things of a message - a number, an instant, a quality, an id - whatever format they came in. One meaning each.

All raise PayloadError with the place, what was found and what is expected.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from devices.payload_map import PayloadMap, PayloadPoint, PayloadQuality, PayloadTime
from plant.errors import PayloadError
from plant.frame import NS_PER_MS
from plant.quality import Quality

NAN = float("nan")
_ABSENT_WORDS = frozenset({"nan", "null", "n/a", ""})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_T_MS_MAX = 2**63 // NS_PER_MS - 1
_PER_MS = {"unix_us": 1_000, "unix_ns": 1_000_000}
_ID_MAX = 200
AMBIGUOUS = int(Quality.QUESTIONABLE | Quality.CLOCK)
_DOUBTFUL, _FAILED = int(Quality.QUESTIONABLE), int(Quality.INVALID | Quality.FAILURE)


def number(found: Any, point: PayloadPoint, map_: PayloadMap) -> float:
    """The raw number of a point; NaN for what is null, absent or a device's word for "no value"; infinity as it is."""
    if found is None:
        return NAN
    if point.states:
        return _state(found, point)
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        try:
            return float(found)
        except OverflowError as error:
            raise PayloadError(f"{point.path}: a whole number beyond every float") from error
    if isinstance(found, str):
        if found.strip().lower() in _ABSENT_WORDS:
            return NAN
        if map_.numbers == "text" or map_.format in ("value", "csv"):
            return _text_number(found, point, map_)
    raise PayloadError(f"{point.path}: found {shown(found)}, expected a number")


def _state(found: Any, point: PayloadPoint) -> float:
    """A state by its word, or by its number where that is one the profile names."""
    text = word(found)
    if text in point.states:
        return float(point.states[text])
    if text.strip().lower() in _ABSENT_WORDS:
        return NAN
    if isinstance(found, float | int) and not isinstance(found, bool) and found in point.states.values():
        return float(found)
    if _NUMBER.fullmatch(text) and float(text) in point.states.values():
        return float(text)
    raise PayloadError(f"{point.path}: found {shown(found)}, expected one of {', '.join(sorted(point.states))}")


def _text_number(found: str, point: PayloadPoint, map_: PayloadMap) -> float:
    text = found.strip()
    if point.suffix and text.endswith(point.suffix):
        text = text[: -len(point.suffix)].rstrip()
    if map_.decimal == "comma":
        text = text.replace(",", ".") if "." not in text else ""
    if not _NUMBER.fullmatch(text):
        mark = ", with a decimal comma" if map_.decimal == "comma" else ""
        raise PayloadError(f"{point.path}: found {shown(found)}, expected a number{mark}")
    return float(text)


def word(found: Any) -> str:
    """A JSON value as the text that a profile names it by: ``true``, ``1``, ``running``."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float) and found.is_integer() and abs(found) < 2**53:
        return str(int(found))
    return found if isinstance(found, str) else repr(found)[:_ID_MAX] if not isinstance(found, int) else shown(found)


def quality_word(found: Any, quality: PayloadQuality) -> int:
    """Quality word from the device's own: a value it says nothing of is questionable."""
    if found is None:
        return _DOUBTFUL
    text = word(found)
    if text in quality.good:
        return 0
    return _DOUBTFUL if text in quality.questionable else _FAILED


def instant(found: Any, time: PayloadTime) -> tuple[int, int]:
    """UTC ns in whole ms, and a quality word: 0, or questionable where local time names two instants."""
    if time.format == "iso8601":
        return _iso(found, time)
    if isinstance(found, str) and _NUMBER.fullmatch(found.strip()):
        text = found.strip()
        found = int(text) if text.lstrip("+-").isdecimal() and len(text) < 40 else float(text)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise PayloadError(f"{time.path}: found {shown(found)}, expected a number ({time.format})")
    ms_max = _T_MS_MAX * _PER_MS.get(time.format, 1)
    if not -ms_max <= found <= ms_max:  # NaN is not either; before any arithmetic, which a number without bound breaks
        raise PayloadError(f"{time.path}: found {shown(found)}, no instant of this era in {time.format}")
    if time.format == "unix_s":
        t_ms = round(found * 1000)
    else:
        t_ms = int(found // _PER_MS.get(time.format, 1)) if time.format != "unix_ms" else int(found)
    return _ns(t_ms, found, time), 0


def _ns(t_ms: int, found: Any, time: PayloadTime) -> int:
    if abs(t_ms) > _T_MS_MAX:
        raise PayloadError(f"{time.path}: found {shown(found)}, no instant of this era in {time.format}")
    return t_ms * NS_PER_MS


def _iso(found: Any, time: PayloadTime) -> tuple[int, int]:
    example = "2026-01-31T08:00:00" if time.zone else "2026-01-31T08:00:00.000+08:00"
    if not isinstance(found, str):
        raise PayloadError(f"{time.path}: found {shown(found)}, expected a time such as {example}")
    try:
        at = datetime.fromisoformat(found.strip())
    except ValueError as error:
        raise PayloadError(f"{time.path}: found {shown(found)}, expected a time such as {example}") from error
    if _is_date(found.strip()):
        raise PayloadError(f"{time.path}: found {shown(found)}, a date without time of day, expected a time such as {example}")
    if at.tzinfo is not None:
        return _ns((at - _EPOCH) // _MS, found, time), 0
    if not time.zone:
        raise PayloadError(f"{time.path}: found {shown(found)}, a time without its offset from UTC names no instant")
    return _local(at, time)


def _is_date(text: str) -> bool:
    """Whether a day or week is all that a text names."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _local(at: datetime, time: PayloadTime) -> tuple[int, int]:
    """Local time of a zone. In the hour that comes twice the earlier instant stands, questionable; one that never was is
    taken with the offset before the gap, questionable too."""
    zone = ZoneInfo(time.zone)
    early, late = at.replace(tzinfo=zone, fold=0), at.replace(tzinfo=zone, fold=1)
    quality = AMBIGUOUS if early.utcoffset() != late.utcoffset() else 0
    return _ns((early - _EPOCH) // _MS, at.isoformat(), time), quality


def instant_text(t_ns: int, time: PayloadTime) -> str | float | int:
    """The mirror image of ``instant``, as the device would write it."""
    if time.format == "unix_s":
        return t_ns / 1e9
    if time.format != "iso8601":
        return t_ns // NS_PER_MS * _PER_MS.get(time.format, 1)
    at = _EPOCH + t_ns // NS_PER_MS * _MS
    if time.zone:
        return at.astimezone(ZoneInfo(time.zone)).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return at.isoformat(timespec="milliseconds")


def event_key(found: Any, place: str) -> str:
    """The id that the source gave an event: what no database keeps (NUL, half a surrogate pair) is no id."""
    if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "":
        raise PayloadError(f"{place}: found {shown(found)}, an event needs an id (text or whole number)")
    if isinstance(found, int) and abs(found) < 10**_ID_MAX:
        found = str(found)
    if not isinstance(found, str) or len(found) > _ID_MAX or not found.isprintable():
        raise PayloadError(f"{place}: found {shown(found)}, an event's id has at most {_ID_MAX} characters, all printable")
    return found


def sequence_number(found: Any, map_: PayloadMap) -> int | None:
    """The number of a message; None where it has none, though only where its time tells it from others."""
    place = map_.sequence
    if found is None and map_.time is not None:
        return None
    if isinstance(found, str) and found.strip().isdecimal() and found.isascii() and len(found) < 20:
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**63:
        raise PayloadError(f"{place}: found {shown(found)}, expected the message's number")
    return found


def shown(found: Any) -> str:
    """What was found, cut to what a message has room for."""
    if isinstance(found, int) and abs(found) >= 10**60:
        return f"a whole number of {found.bit_length()} bits"
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."
