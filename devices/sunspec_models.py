"""SunSpec model definitions: from the standard's own JSON to the points of a register map. Reads no files.

A definition places its points one after the other from the model's ID word on; after the fixed ones a group may follow
that a device repeats as often as its model is long. Scale factors of a group stand in the fixed part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from devices.maps import REGISTER_TYPES, SECTION_SPAN, SunSpecSection
from devices.profile_file import ModelText, RegisterText, TableName
from plant.quantities import QUANTITIES, Kind

HEADER_WORDS = 2
_TYPES = {"count": "uint16", "sunssf": "int16", "bitfield64": "uint64"}  # of the standard, by the type they are read as
_UNITS = {
    "": "1",
    "C": "degC",
    "Var": "var",
    "Varh": "varh",
    "WH": "Wh",
    "%WHRtg": "%",
    "%": "%",
    "Pct": "%",
    "cos()": "1",
    "PF": "1",
}

Say = Callable[[str, object, str], None]


@dataclass(frozen=True, slots=True)
class ModelPoint:
    """A point of a model: words from the model's start (or its group's), register type, unit, scale factor, states."""

    name: str
    offset: int
    type: str
    unit: str
    sf: str | int | None
    states: Mapping[int, str]


@dataclass(frozen=True, slots=True, eq=False)
class ModelDefinition:
    """One model: its fixed points and those of its repeating group, by name; lengths in words, header included."""

    id: int
    label: str
    fixed: Mapping[str, ModelPoint]
    fixed_words: int
    group_name: str
    group: Mapping[str, ModelPoint]
    group_words: int

    def point(self, name: str) -> ModelPoint | None:
        """A point by its name, one of the group as ``group.point``; None where there is no such point."""
        group, dot, own = name.rpartition(".")
        return (self.group.get(own) if group == self.group_name else None) if dot else self.fixed.get(name)


DefinitionOf = Callable[[int], ModelDefinition]


class ModelPointText(RegisterText):
    """A point of a map as it follows from a definition; addresses count through the sections."""

    repetition: int = 0
    sf_read: Literal["with", "around"] = "with"


def parse_definition(document: Mapping[str, Any]) -> ModelDefinition:
    """A definition from its JSON (sunspec/models, ``json/model_<id>.json``); groups within groups are left out."""
    top = document["group"]
    fixed, fixed_words = _points(top["points"])
    first = next(iter(top.get("groups", [])), None)
    group, group_words = _points(first["points"]) if first else ({}, 0)
    return ModelDefinition(
        int(document["id"]),
        str(top.get("label", top["name"])),
        fixed,
        fixed_words,
        str(first["name"]) if first else "",
        group,
        0 if first is None or first.get("groups") else group_words,
    )


def section_of(text: ModelText, definition: ModelDefinition) -> SunSpecSection:
    """What has to be found in a device's list for the points of ``text``."""
    length = definition.fixed_words + text.repeat * definition.group_words - HEADER_WORDS
    return SunSpecSection(
        tuple(text.any_of), length, 1, definition.group_words if text.repeat else 0, text.instance, text.presence
    )


def points_of(text: ModelText, section: int, table: TableName, definition_of: DefinitionOf, say: Say) -> list[ModelPointText]:
    """The points of ``[[modbus.models]]`` number ``section`` (from 0); every fault is told through ``say``."""
    key = f"modbus.models[{section + 1}]"
    try:
        definitions = [definition_of(number) for number in text.any_of]
    except KeyError as error:
        say(f"{key}.any_of", error.args[0], "ids of models that the standard defines")
        return []
    first = definitions[0]
    if text.repeat and not first.group_words:
        say(f"{key}.repeat", text.repeat, f"0: model {first.id} has no repeating group")
    points: list[ModelPointText] = []
    for name, quantity in text.points.items():
        point = first.point(name)
        if point is None or _read_as(point.type) not in REGISTER_TYPES:
            say(f"{key}.points", name, f"a number of model {first.id}: {', '.join([*first.fixed, *_group_names(first)])}")
            continue
        for other in definitions[1:]:
            if not _alike(point, first, other, "group" if "." in name else "fixed"):
                say(f"{key}.any_of", other.id, f"models of one layout: {name} is not what it is in {first.id}")
        if "." in name:
            points += [_repeated(point, quantity, i, text, section, table, first) for i in range(1, text.repeat + 1)]
        else:
            points.append(_text(point, quantity, point.offset, text, section, table, first))
    for name in text.limits:
        if name not in text.points.values():
            say(f"{key}.limits", name, "quantities of this model")
    return points


def _alike(point: ModelPoint, model: ModelDefinition, other: ModelDefinition, part: Literal["fixed", "group"]) -> bool:
    """Whether another model has the same thing at the same place; names of points and states vary, theirs are the first's."""
    there = {p.offset: p for p in (other.fixed if part == "fixed" else other.group).values()}.get(point.offset)
    if there is None or (there.type, there.unit) != (point.type, point.unit) or model.fixed_words != other.fixed_words:
        return False
    return _scale_factor(point, model) == _scale_factor(there, other)


def _repeated(
    point: ModelPoint, stem: str, number: int, text: ModelText, section: int, table: TableName, model: ModelDefinition
) -> ModelPointText:
    offset = model.fixed_words + (number - 1) * model.group_words + point.offset
    made = _text(point, f"{stem}_{number}", offset, text, section, table, model, text.limits.get(stem))
    return made.model_copy(update={"repetition": number, "sf_read": "around"})


def _text(
    point: ModelPoint,
    quantity: str,
    offset: int,
    text: ModelText,
    section: int,
    table: TableName,
    model: ModelDefinition,
    limits: list[float] | None = None,
) -> ModelPointText:
    start = section * SECTION_SPAN
    sf_at = _scale_factor(point, model)
    counts = quantity in QUANTITIES and QUANTITIES[quantity].kind is Kind.COUNTER
    return ModelPointText.model_construct(
        name=quantity,
        unit=_UNITS.get(point.unit, point.unit),
        scale=10.0**point.sf if isinstance(point.sf, int) else 1.0,
        limits=limits or text.limits.get(quantity),
        at=start + offset,
        type=_read_as(point.type),
        table=table,
        sf=None if sf_at is None else start + sf_at,
        sf_nominal=0 if counts and sf_at is not None else None,
        wraps_at="register" if counts and not point.type.startswith("float") else None,
        states=dict(point.states),
    )


def _scale_factor(point: ModelPoint, model: ModelDefinition) -> int | None:
    """Where the scale factor of a point stands: the definitions name it, in the fixed part of the model."""
    return model.fixed[point.sf].offset if isinstance(point.sf, str) else None


def _points(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, ModelPoint], int]:
    points: dict[str, ModelPoint] = {}
    offset = 0
    for row in rows:
        states = {
            int(s["value"]): str(s["name"]).lower().replace(" ", "_")
            for s in row.get("symbols", [])
            if row["type"].startswith("enum")
        }
        points[row["name"]] = ModelPoint(row["name"], offset, row["type"], row.get("units", ""), row.get("sf"), states)
        offset += int(row["size"])
    return points, offset


def _read_as(type_: str) -> str:
    return _TYPES.get(type_, type_)


def _group_names(definition: ModelDefinition) -> list[str]:
    return [f"{definition.group_name}.{name}" for name in definition.group]
