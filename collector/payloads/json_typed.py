"""From the paths of a profile to one typed JSON decoder and the getters of what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec

from devices.payload import SAMPLES_MAX, is_index, pointer_parts
from devices.payload_map import PayloadMap

Get = Callable[[Any], Any]
_NAN = float("nan")
_INDEX_MAX = 1_000  # a place further on in an array is not worth a field for each one before it
_NUMBER: Any = float | None
_TIME: Any = int | float | str | None
_KEY: Any = int | str | None
_COUNT: Any = int | None


@dataclass(frozen=True, slots=True)
class Typed:
    """One decoder, and where its document, or each of its samples, has what. None where the map names no such thing."""

    decode: Callable[[bytes], Any]
    values: Callable[[Any], Sequence[float | None]]
    time: Get | None
    event_id: Get | None
    sequence: Get | None
    samples: Get | None


def typed_of(map_: PayloadMap) -> Typed | None:
    """The decoder of a map, None where only the exact reading will do."""
    if map_.quality or map_.numbers == "text" or any(p.states or p.time for p in map_.points):
        return None
    inner, outer = _Tree(), _Tree()
    try:
        places = [inner.field(p.path, _NUMBER, _NAN) for p in map_.points]
        time = inner.field(map_.time.path, _TIME, None) if map_.time else ""
        event_id = inner.field(map_.event_id, _KEY, None) if map_.event_id else ""
        if not map_.each:
            outer = inner
        sequence = outer.field(map_.sequence, _COUNT, None) if map_.sequence else ""
        array: Any = None if not map_.each else list[inner.type_of()]  # type: ignore[misc] # a type made here
        samples = outer.field(map_.each, array, ()) if map_.each else ""
    except ValueError:
        return None
    return Typed(
        msgspec.json.Decoder(outer.type_of()).decode,
        _all(places),
        attrgetter(time) if time else None,
        attrgetter(event_id) if event_id else None,
        attrgetter(sequence) if sequence else None,
        _bounded(attrgetter(samples)) if samples else None,
    )


def _all(places: Sequence[str]) -> Callable[[Any], Sequence[float | None]]:
    """All values of a sample; a getter of one name alone gives no tuple."""
    get: Get = attrgetter(*places)
    if len(places) > 1:
        return get
    return lambda sample: (get(sample),)


def _bounded(get: Get) -> Get:
    """Too many samples are left to the exact reading, which refuses them."""

    def samples(document: Any) -> Any:
        found = get(document)
        return found if len(found) <= SAMPLES_MAX else ()

    return samples


class _Tree:
    """Fields by JSON key, nested; a node whose keys are all numbers is an array."""

    def __init__(self) -> None:
        self._fields: dict[str, _Tree | tuple[Any, Any]] = {}

    def field(self, pointer: str, type_: Any, default: Any) -> str:
        """The dotted name of a field at a pointer. Raises ValueError for one that no typed decoder can hold."""
        *path, last = pointer_parts(pointer) or [""]
        here, names = self, list[str]()
        if not pointer:
            raise ValueError("the whole document is no field")
        for part in path:
            below = here._fields.setdefault(part, _Tree())
            if not isinstance(below, _Tree):
                raise ValueError(f"{pointer}: a value and an object at once")
            names.append(_name(part))
            here = below
        if last in here._fields:
            raise ValueError(f"{pointer}: named twice")
        here._fields[last] = (type_, default)
        return ".".join([*names, _name(last)])

    def type_of(self) -> Any:
        """The type that msgspec decodes. Raises ValueError where keys and places of an array are mixed."""
        numbers = [is_index(key) for key in self._fields]
        if any(numbers) and (not all(numbers) or max(map(int, self._fields)) >= _INDEX_MAX):
            raise ValueError("keys beside places of an array, or places too far on")
        if any(numbers):
            keys = [str(i) for i in range(max(map(int, self._fields)) + 1)]
            fields = [self._of(key) for key in keys]
            return msgspec.defstruct("Array", fields, array_like=True, frozen=True, gc=False)
        fields = [self._of(key) for key in self._fields]
        rename = {_name(key): key for key in self._fields}
        return msgspec.defstruct("Document", fields, rename=rename, frozen=True, gc=False)

    def _of(self, key: str) -> tuple[str, Any, Any]:
        """A field: its name, type and default. What a profile does not ask for may be anything."""
        below = self._fields.get(key, (Any, None))
        if isinstance(below, _Tree):
            type_ = below.type_of()
            return _name(key), type_, type_()
        return _name(key), below[0], below[1]


def _name(key: str) -> str:
    """An attribute's name for any key of JSON."""
    return "k" + key.encode().hex()
