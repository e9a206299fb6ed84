"""From the text of a profile file to a Profile; every fault is listed at once, and the golden blocks are decoded."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Literal

from pydantic import ValidationError

from devices.dlt645_profile import check_dlt645, map_of
from devices.golden import golden_faults
from devices.maps import (
    BIT_TABLES,
    BYTE_TYPES,
    REGISTER_TYPES,
    Check,
    Identity,
    Limits,
    ModbusMap,
    ModbusPoint,
    PayloadMap,
    PayloadPoint,
    PayloadTime,
    Profile,
    RegisterType,
    SunSpecModel,
    WordOrder,
)
from devices.payload import pointer_parts
from devices.plan import unsplittable, words_of
from devices.profile_file import (
    Dlt645PointText,
    ModbusText,
    MqttText,
    PathText,
    PointText,
    ProfileText,
    RegisterText,
    known_types,
    named,
)
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
    "SunSpecModel",
    "WordOrder",
    "parse_profile",
]

Say = Callable[[str, object, str], None]


def parse_profile(text: str, file: str, proof: Literal["required", "waived"] = "required") -> Profile:
    """Read one profile file. Raises ConfigError with every fault found: key, what was found, what is allowed.

    With the proof waived its golden blocks are not held against it: a draft is read so from the device that is to prove it.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault(file, "TOML", str(error), "mend the syntax at that line")]) from error
    try:
        parsed = ProfileText.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([Fault(file, named(raw, e["loc"]), repr(e["input"]), e["msg"]) for e in error.errors()]) from None
    faults: list[Fault] = []

    def say(key: str, found: object, allowed: str) -> None:
        faults.append(Fault(file, key, repr(found), allowed))

    _check_points(parsed, say)
    if parsed.modbus is not None and not faults:
        _check_registers(parsed.modbus, say)
    if parsed.mqtt is not None:
        _check_paths(parsed.mqtt, say)
    if parsed.dlt645 is not None and not faults:
        check_dlt645(parsed.dlt645, say)
    if faults:
        raise ConfigError(faults)
    profile = _build(parsed)
    if profile.modbus is not None:
        _check_layout(profile.modbus, say)
    if not faults and proof == "required":
        faults += golden_faults(profile, parsed.golden, file, parsed.modbus.table if parsed.modbus else "holding")
    if faults:
        raise ConfigError(faults)
    return profile


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
    if parsed.mqtt is not None and parsed.mqtt.time is None:
        say("mqtt.time", None, "where an event says when it happened: with its id it tells events from repeats")


def _check_registers(modbus: ModbusText, say: Say) -> None:
    """Types, sentinels and scale factors of the points of a register map."""
    for point in modbus.points:
        key = f"modbus.points[{point.name}]"
        kind = REGISTER_TYPES.get(point.type)
        if kind is None:
            say(f"{key}.type", point.type, f"one of {known_types()}")
            continue
        counter = QUANTITIES[point.name].kind is Kind.COUNTER
        if (point.table or modbus.table) in BIT_TABLES and point.type != "bit":
            say(f"{key}.type", point.type, "coils and discrete inputs hold bits")
        _check_part(point, key, kind, say)
        if point.sf is not None and (kind.numpy_kind == "f" or kind.coding == "bcd" or _part(point) is not None):
            say(f"{key}.sf", point.sf, "only whole numbers of whole registers have a scale factor register")
        if point.offset and counter:
            say(f"{key}.offset", point.offset, "none for a counter, whose zero is its own")
        if point.sf_nominal is not None and point.sf is None:
            say(f"{key}.sf_nominal", point.sf_nominal, "only with sf")
        if point.wraps_at is not None and not counter:
            say(f"{key}.wraps_at", point.wraps_at, "only a counter wraps")
        if point.wraps_at is not None and point.sf is not None and point.sf_nominal is None:
            say(f"{key}.sf_nominal", None, "the usual exponent, since the counter's end hangs on it")
        if point.wraps_at == "register" and (kind.numpy_kind != "u" or _part(point) is not None):
            say(f"{key}.wraps_at", point.wraps_at, "a number in the point's unit, unless the register is unsigned")
        for sentinel in point.sentinels or ():
            bits = _width(point, kind)
            if sentinel >= 1 << bits or point.type == "bit":
                say(f"{key}.sentinels", sentinel, f"bit patterns of {bits} bits, and none for a single bit")


def _check_part(point: RegisterText, key: str, kind: RegisterType, say: Say) -> None:
    """A part of a register lies within it and is named in one way alone."""
    if (point.byte is not None) != (point.type in BYTE_TYPES):
        say(f"{key}.byte", point.byte, '"high" or "low" for int8 and uint8, and for no other type')
    if point.bits is None:
        return
    if kind.numpy_kind == "f" or kind.coding == "bcd" or point.type == "bit" or point.type in BYTE_TYPES:
        say(f"{key}.bits", point.bits, f"a whole number of the whole register; {point.type} has no bits to choose from")
    elif not point.bits[0] <= point.bits[1] < kind.bits:
        say(f"{key}.bits", point.bits, f"first and last bit, 0 the lowest and {kind.bits - 1} the highest")


def _part(point: RegisterText) -> tuple[int, int] | None:
    """First and last bit of a value that is part of its register."""
    if point.type == "bit":
        return point.bit, point.bit
    if point.byte is not None:
        return (8, 15) if point.byte == "high" else (0, 7)
    return None if point.bits is None else (point.bits[0], point.bits[1])


def _width(point: RegisterText, kind: RegisterType) -> int:
    part = _part(point)
    return kind.bits if part is None else part[1] - part[0] + 1


def _check_paths(mqtt: MqttText, say: Say) -> None:
    for point in mqtt.points:
        quantity = QUANTITIES.get(point.name)
        if point.wraps_at is not None and quantity is not None and quantity.kind is not Kind.COUNTER:
            say(f"mqtt.points[{point.name}].wraps_at", point.wraps_at, "only a counter wraps")
    paths = [(f"mqtt.points[{p.name}].path", p.path) for p in mqtt.points]
    paths += [("mqtt.event_id", mqtt.event_id), ("mqtt.sequence", mqtt.sequence)]
    if mqtt.time is not None:
        paths.append(("mqtt.time.path", mqtt.time.path))
    for key, path in paths:
        try:
            pointer_parts(path)
        except ValueError as error:
            say(key, path, str(error))


def _check_layout(map_: ModbusMap, say: Say) -> None:
    """Nothing overlaps, everything fits into a request, nothing forbidden is needed."""
    owner: dict[tuple[str, int], ModbusPoint] = {}
    factors = {(p.table, p.sf_at) for p in map_.points if p.sf_at is not None}
    for point in map_.points:
        key = f"modbus.points[{point.name}]"
        for address in range(point.address, point.address + point.words):
            other = owner.setdefault((point.table, address), point)
            same_word = _apart(point, other)
            if (other is not point and not same_word) or (point.table, address) in factors:
                say(f"{key}.at", point.address, f"addresses of its own; {address} belongs to {other.name} or to a scale factor")
        needed = words_of(point)
        if map_.sunspec is not None and max(needed) > map_.sunspec.length + 1:
            say(f"{key}.at", point.address, f"inside of the model's {map_.sunspec.length} words after its header")
        if max(needed) > 65_535:
            say(f"{key}.at", point.address, "addresses up to 65535")
        for first, last in map_.forbid:
            if first <= max(needed) and min(needed) <= last:
                say(f"{key}.at", point.address, f"outside of the forbidden range {first}-{last}")
    for cell in unsplittable(map_):
        if cell.count > map_.span_max:
            names = ", ".join(p.name for p in map_.points if cell.covers(p.table, p.address))
            allowed = f"at most {map_.span_max} registers from the first to the last of {names} and their scale factor"
            say("modbus.points.sf", f"{cell.count} registers from {cell.address}", allowed)
    if map_.identity is not None:
        at, end = map_.identity.address, map_.identity.address + len(map_.identity.words)
        for first, last in map_.forbid:
            if first < end and at <= last:
                say("modbus.identify.at", at, f"outside of the forbidden range {first}-{last}")


def _apart(one: ModbusPoint, other: ModbusPoint) -> bool:
    """Whether two points are different parts of one value of the wire."""
    if one.bits is None or other.bits is None:
        return False
    same_wire = (one.address, one.words, one.word_order) == (other.address, other.words, other.word_order)
    return same_wire and (one.bits[1] < other.bits[0] or other.bits[1] < one.bits[0])


def _build(parsed: ProfileText) -> Profile:
    head = parsed.profile
    return Profile(
        id=head.id,
        title=head.title,
        kind=head.kind,
        source=head.source,
        caveats=tuple(head.caveats),
        verified=head.verified,
        golden_origin=parsed.golden[0].origin,
        modbus=None if parsed.modbus is None else _modbus(parsed.modbus),
        mqtt=None if parsed.mqtt is None else _mqtt(parsed.mqtt),
        limits={p.name: Limits(p.limits[0], p.limits[1]) for p in _points(parsed) if p.limits},
        checks=tuple(Check(c.kind, tuple(c.of), c.equals, c.within, c.floor) for c in head.checks),
        dlt645=None if parsed.dlt645 is None else map_of(parsed.dlt645),
    )


def _scale(point: PointText) -> Fraction:
    """The exact ratio that the decimal numbers of the file mean."""
    return Fraction(str(point.scale)) * Fraction(str(factor_to_canonical(point.name, point.unit)))


def _modbus(m: ModbusText) -> ModbusMap:
    identity = None if m.identify is None else Identity(m.identify.table or m.table, m.identify.at, tuple(m.identify.equals))
    return ModbusMap(
        tuple(_register(p, m) for p in m.points),
        m.read.span_max,
        m.read.gap_max,
        tuple((first, last) for first, last in m.read.forbid),
        identity,
        None if m.locate is None else SunSpecModel(m.locate.model, m.locate.length),
    )


def _register(p: RegisterText, m: ModbusText) -> ModbusPoint:
    kind = REGISTER_TYPES[p.type]
    scale = _scale(p)
    sentinels = tuple(p.sentinels or ())
    if p.sentinels is None and m.sentinels == "sunspec" and kind.sunspec_sentinel is not None and p.bits is None:
        sentinels = (kind.sunspec_sentinel,)
    wraps_at = None if p.wraps_at is None else scale * Fraction(10) ** (p.sf_nominal or 0) * kind.modulus
    if isinstance(p.wraps_at, float):
        wraps_at = Fraction(str(p.wraps_at)) * Fraction(str(factor_to_canonical(p.name, p.unit)))
    return ModbusPoint(
        p.name,
        p.table or m.table,
        p.at,
        p.type,
        scale,
        p.word_order or m.word_order,
        p.sf,
        p.sf_nominal,
        _part(p),
        sentinels,
        None if wraps_at is None else float(wraps_at),
        dict(p.states),
        Fraction(str(p.offset)) * Fraction(str(factor_to_canonical(p.name, p.unit))),
    )


def _mqtt(m: MqttText) -> PayloadMap:
    points = tuple(
        PayloadPoint(p.name, p.path, _scale(p), None if p.wraps_at is None else p.wraps_at * factor_to_canonical(p.name, p.unit))
        for p in m.points
    )
    return PayloadMap(points, None if m.time is None else PayloadTime(m.time.path, m.time.format), m.event_id, m.sequence)
