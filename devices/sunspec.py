"""Finding a model in a SunSpec device, without input or output.

The device's list starts with the marker "SunS" at one of three addresses; then follow models, each an id, the
number of words that come after these two, and the words; an id of 0xFFFF ends it (SunSpec Device Information
Model Specification). ``locate`` yields what to read and is sent the words, or None where the device refused.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from devices.maps import Table
from devices.plan import ReadRequest

MARKER = (0x5375, 0x6E53)
STARTS = (40_000, 50_000, 0)
END_MODEL = 0xFFFF
COMMON_MODEL, COMMON_LENGTH = 1, 66
MODELS_MAX = 64  # a list that goes on longer is no list


@dataclass(frozen=True, slots=True)
class Located:
    """Address of the model's header and the number of words behind the header."""

    base_address: int
    length: int


@dataclass(frozen=True, slots=True)
class NotLocated:
    """What was found in place of the model, in words."""

    found: str


Walk = Generator[ReadRequest, Sequence[int] | None, Located | NotLocated]


def locate(model: int, table: Table = "holding") -> Walk:
    """Walk to the first model of that id; at most three starts and ``MODELS_MAX`` headers are read."""
    for start in STARTS:
        words = yield ReadRequest(table, start, len(MARKER))
        if words is not None and tuple(words) == MARKER:
            return (yield from _walk(model, table, start + len(MARKER)))
    return NotLocated(f"no SunSpec marker at {', '.join(map(str, STARTS))}")


def _walk(model: int, table: Table, address: int) -> Walk:
    seen: list[int] = []
    while len(seen) < MODELS_MAX and address <= 0xFFFE:
        header = yield ReadRequest(table, address, 2)
        if header is None:
            return NotLocated(f"the list breaks off at {address} after models {_names(seen)}")
        found, length = header
        if found == model:
            return Located(address, length)
        if found == END_MODEL:
            return NotLocated(f"a list of models {_names(seen)}")
        seen.append(found)
        address += 2 + length
    return NotLocated(f"a list without an end, starting with models {_names(seen[:8])}")


def _names(models: list[int]) -> str:
    return ", ".join(map(str, models)) or "none"
