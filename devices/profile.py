"""From the text of a profile file to a Profile; every fault is listed at once, and the golden blocks are decoded."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from devices.dlt645_profile import check_dlt645, map_of
from devices.golden import golden_faults, proven_quantities
from devices.maps import (
    Check,
    Limits,
    ModbusMap,
    ModbusPoint,
    Profile,
    WordOrder,
)
from devices.modbus_profile import check_layout, check_registers, modbus_map_of, no_definitions, with_model_points
from devices.payload_map import PayloadMap, PayloadPoint, PayloadTime
from devices.payload_profile import check_payload, payload_map_of
from devices.profile_file import (
    Dlt645PointText,
    PathText,
    PointText,
    ProfileText,
    RegisterText,
    named,
)
from devices.sunspec_models import DefinitionOf
from plant.errors import ConfigError, Fault
from plant.quantities import QUANTITIES, Kind, factor_to_canonical

__all__ = [
    "Check",
    "Limits",
    "ModbusMap",
    "ModbusPoint",
    "PayloadMap",
    "PayloadPoint",
    "PayloadTime",
    "Profile",
    "WordOrder",
    "parse_profile",
]

Say = Callable[[str, object, str], None]


def parse_profile(
    text: str,
    file: str,
    proof: Literal["required", "waived"] = "required",
    definition_of: DefinitionOf = no_definitions,
) -> Profile:
    """Read one profile file, with SunSpec definitions by model id from ``definition_of`` (KeyError for an unknown one).

    Raises ConfigError with every fault found: key, what was found, what is allowed.

    With the proof waived its golden blocks are not held against it: a draft is read so from the device that is to prove it.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault(file, "TOML", str(error), "mend the syntax at that line")]) from error
    try:
        parsed = ProfileText.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([_fault(file, raw, e) for e in error.errors()]) from None
    faults: list[Fault] = []

    def say(key: str, found: object, allowed: str) -> None:
        faults.append(Fault(file, key, repr(found), allowed))

    if parsed.modbus is not None:
        parsed = parsed.model_copy(update={"modbus": with_model_points(parsed.modbus, definition_of, say)})
    _check_points(parsed, say)
    if parsed.modbus is not None and not faults:
        check_registers(parsed.modbus, say)
    if parsed.mqtt is not None:
        check_payload(parsed.mqtt, say)
    if parsed.dlt645 is not None and not faults:
        check_dlt645(parsed.dlt645, say)
    if faults:
        raise ConfigError(faults)
    profile = _build(parsed, definition_of)
    if profile.modbus is not None:
        check_layout(profile.modbus, say)
    profile = replace(profile, proven=proven_quantities(profile, parsed.golden))
    if profile.verified and not profile.proven and proof == "required":
        say("profile.verified", profile.verified, 'a [[golden]] block with evidence = "recorded" or "example"; false without one')
    if not faults and proof == "required":
        faults += golden_faults(profile, parsed.golden, file, parsed.modbus.table if parsed.modbus else "holding")
    if faults:
        raise ConfigError(faults)
    return profile


def _fault(file: str, raw: dict[str, Any], error: ErrorDetails) -> Fault:
    key = named(raw, error["loc"])
    if error["type"] == "missing":
        return Fault(file, key, "nothing", "this key is required")
    return Fault(file, key, repr(error["input"])[:200], error["msg"])


def _points(parsed: ProfileText) -> Sequence[RegisterText | PathText | Dlt645PointText]:
    if parsed.dlt645 is not None:
        return parsed.dlt645.points
    if parsed.modbus is not None:
        return parsed.modbus.points
    return parsed.mqtt.points if parsed.mqtt is not None else ()


def _check_points(parsed: ProfileText, say: Say) -> None:
    """Names, units, limits, checks: what holds for every protocol."""
    sections = [name for name in ("modbus", "mqtt", "dlt645") if getattr(parsed, name) is not None]
    if len(sections) != 1:
        say("modbus, mqtt, dlt645", ", ".join(sections) or "none", "exactly one of the tables [modbus], [mqtt] and [dlt645]")
        return
    section = sections[0]
    seen: set[str] = set()
    for point in _points(parsed):
        key = f"{section}.points[{point.name}]"
        if point.name not in QUANTITIES:
            say(f"{key}.name", point.name, "a quantity of plant.quantities")
            continue
        if point.name in seen:
            say(f"{key}.name", point.name, "each quantity once")
        seen.add(point.name)
        try:
            factor_to_canonical(point.name, point.unit)
        except ValueError as error:
            say(f"{key}.unit", point.unit, str(error))
        if point.limits and not point.limits[0] < point.limits[1]:
            say(f"{key}.limits", point.limits, "low below high, in the canonical unit")
    _check_kinds(parsed, seen, say)
    for number, check in enumerate(parsed.profile.checks, start=1):
        for name in (*check.of, check.equals):
            if name not in seen:
                say(f"profile.checks[{number}]", name, "quantities of this profile")


def _check_kinds(parsed: ProfileText, names: set[str], say: Say) -> None:
    events = sorted(n for n in names if QUANTITIES[n].kind is Kind.EVENT)
    if not events:
        return
    if len(events) < len(names):
        say("points", sorted(names - set(events)), "an event's profile has quantities of kind event alone")
    if parsed.mqtt is None or not parsed.mqtt.event_id:
        say("mqtt.event_id", "", "a path to the id that the source gives each event")
    if parsed.mqtt is not None and parsed.mqtt.time is None and parsed.mqtt.payload != "value":
        say("mqtt.time", None, "where an event says when it happened: with its id it tells events from repeats")


def _build(parsed: ProfileText, definition_of: DefinitionOf) -> Profile:
    head = parsed.profile
    return Profile(
        id=head.id,
        title=head.title,
        kind=head.kind,
        source=head.source,
        caveats=tuple(head.caveats),
        verified=head.verified,
        golden_origin=parsed.golden[0].origin,
        modbus=None if parsed.modbus is None else modbus_map_of(parsed.modbus, definition_of),
        mqtt=None if parsed.mqtt is None else payload_map_of(parsed.mqtt),
        limits={p.name: Limits(p.limits[0], p.limits[1]) for p in _points(parsed) if p.limits},
        checks=tuple(Check(c.kind, tuple(c.of), c.equals, c.within, c.floor) for c in head.checks),
        dlt645=None if parsed.dlt645 is None else map_of(parsed.dlt645),
    )


def _scale(point: PointText) -> Fraction:
    """The exact ratio that the decimal numbers of the file mean."""
    return Fraction(str(point.scale)) * Fraction(str(factor_to_canonical(point.name, point.unit)))
