"""Where the sections of a map start in a device: nothing to find for plain maps, the device's own list for SunSpec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.asking import PERHAPS_NOT_THERE, Answer, Asking, MeterAddress, Refused, ask, refusal
from devices.description import COMMON_WORDS
from devices.maps import SECTION_SPAN, ModbusMap, SunSpecSection, Table
from devices.plan import ReadRequest
from devices.sunspec import COMMON_MODEL, STARTS, Chain, FoundModel, walk_models
from plant.errors import DeviceNonsense, DeviceSilent

_HEADER_WORDS = 2


@dataclass(frozen=True, slots=True)
class Located:
    """By section its start (None where the device lacks it) and the number of words that it has there.

    ``common`` is where the device describes itself. ``answers`` says whether it has answered anything yet, ``notes`` what
    it lacks.
    """

    bases: tuple[int | None, ...]
    words: tuple[int, ...]
    common: ReadRequest | None = None
    answers: bool = False
    notes: tuple[str, ...] = ()

    def end_of(self, section: int) -> int:
        """The first address of the map that is beyond a section's end."""
        return section * SECTION_SPAN + self.words[section]


def locate(map_: ModbusMap, meter: MeterAddress) -> Asking[Located]:
    """Find every section. Raises DeviceNonsense where one that is required is not there."""
    if not map_.sections:
        return Located((0,), (SECTION_SPAN,))
    table = map_.points[0].table
    chain = yield from _chain(table, meter)
    bases: list[int | None] = []
    words: list[int] = []
    notes: list[str] = []
    for section in map_.sections:
        found = chain.find(section.models, section.instance)
        if found is None or found.length < section.length_min:
            _excuse(section, found, chain, meter)
            notes.append(f"has no {section.in_words}")
        elif found.length < section.length and not section.group:
            notes.append(f"{section.in_words} has {found.length} words of {section.length}")
        bases.append(None if found is None else found.base_address)
        words.append(0 if found is None else _HEADER_WORDS + found.length)
    first = min((base for base in bases if base is not None), default=0)
    return Located(tuple(bases), tuple(words), _common(chain.models, first, table), True, tuple(notes))  # noqa: FBT003


def _excuse(section: SunSpecSection, found: FoundModel | None, chain: Chain, meter: MeterAddress) -> None:
    if section.presence == "optional":
        return
    length = f" of {section.length_min} words" if section.length_min > 1 else ""
    raise DeviceNonsense(
        meter.meter,
        meter.where,
        expected=f"{section.in_words}{length}",
        got=chain.in_words if found is None else f"that model with {found.length} words",
        next_step="choose the profile of a model that the device lists, or switch SunSpec on in the device",
    )


def _common(models: Sequence[FoundModel], before: int, table: Table) -> ReadRequest | None:
    """The common model that describes what follows: the last one before the first section."""
    common = [m for m in models if m.model == COMMON_MODEL and m.base_address < before and m.length >= COMMON_WORDS]
    return ReadRequest(table, common[-1].base_address + _HEADER_WORDS, COMMON_WORDS) if common else None


def _chain(table: Table, meter: MeterAddress) -> Asking[Chain]:
    """The models that the device lists. One start address may stay unanswered, as it does where a device knows no refusal."""
    walk = walk_models(table)
    request = next(walk)
    silences = 0
    while True:
        answer: Answer | DeviceSilent = yield from ask(request)
        if isinstance(answer, DeviceSilent):
            silences += 1
            if silences > 1 or request.address not in STARTS:
                raise answer
        elif isinstance(answer, Refused) and answer.code not in PERHAPS_NOT_THERE:
            raise refusal(meter, request, answer)
        try:
            request = walk.send(None if isinstance(answer, Refused | DeviceSilent) else answer)
        except StopIteration as end:
            chain: Chain = end.value
            return chain
