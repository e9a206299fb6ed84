"""Finding the models of a SunSpec device, without input or output.

The device's list starts with the marker "SunS" at one of three addresses; then follow models, each an id, the
number of words that come after these two, and the words; an id of 0xFFFF ends it (SunSpec Device Information
Model Specification). ``walk_models`` yields what to read and is sent the words, or None where the device refused.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from devices.maps import Table
from devices.plan import ADDRESSES, ReadRequest

MARKER = (0x5375, 0x6E53)
STARTS = (40_000, 50_000, 0)
END_MODEL = 0xFFFF
COMMON_MODEL, COMMON_LENGTH = 1, 66
MODELS_MAX = 64  # a list that goes on longer is no list


@dataclass(frozen=True, slots=True)
class FoundModel:
    """One model of a device: its id, the address of its header and the number of words behind the header."""

    model: int
    base_address: int
    length: int


@dataclass(frozen=True, slots=True)
class Chain:
    """What a walk found: the models in their order, and in words what kept it from reaching the end of the list, if anything."""

    models: tuple[FoundModel, ...]
    trouble: str = ""

    def find(self, ids: Sequence[int], instance: int = 1) -> FoundModel | None:
        """The ``instance``-th model (from 1) whose id is one of ``ids``, None where the device has none."""
        found = [m for m in self.models if m.model in ids]
        return found[instance - 1] if len(found) >= instance else None

    @property
    def in_words(self) -> str:
        """What there is, for messages."""
        return self.trouble or f"a list of models {_names(self.models)}"


Walk = Generator[ReadRequest, Sequence[int] | None, Chain]


def walk_models(table: Table = "holding") -> Walk:
    """Walk the whole list; at most three starts and ``MODELS_MAX`` headers of two words are read."""
    for start in STARTS:
        words = yield ReadRequest(table, start, len(MARKER))
        if words is not None and tuple(words) == MARKER:
            return (yield from _walk(table, start + len(MARKER)))
    return Chain((), f"no SunSpec marker at {', '.join(map(str, STARTS))}")


def _walk(table: Table, address: int) -> Walk:
    seen: list[FoundModel] = []
    while len(seen) < MODELS_MAX and address + 2 <= ADDRESSES:
        header = yield ReadRequest(table, address, 2)
        if header is None:
            return Chain(tuple(seen), f"the list breaks off at {address} after models {_names(seen)}")
        model, length = header
        if model == END_MODEL:
            return Chain(tuple(seen))
        if address + 2 + length > ADDRESSES:
            return Chain(
                tuple(seen), f"model {model} at {address} with {length} words, beyond the last register, after {_names(seen)}"
            )
        seen.append(FoundModel(model, address, length))
        address += 2 + length
    return Chain(tuple(seen), f"a list without an end, starting with models {_names(seen[:8])}")


def _names(models: Sequence[FoundModel]) -> str:
    return ", ".join(str(m.model) for m in models) or "none"
