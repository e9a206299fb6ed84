"""The ``[modbus]`` part of a profile file: its faults and its map."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from devices.maps import (
    BIT_TABLES,
    BYTE_TYPES,
    REGISTER_TYPES,
    SECTION_SPAN,
    Description,
    Identity,
    ModbusMap,
    ModbusPoint,
    RegisterType,
    SunSpecSection,
)
from devices.plan import span_max, unsplittable, words_of
from devices.profile_file import DescribeText, ModbusText, RegisterText, known_types
from devices.sunspec_models import DefinitionOf, ModelDefinition, ModelPointText, points_of, section_of
from plant.quantities import QUANTITIES, Kind, factor_to_canonical

Say = Callable[[str, object, str], None]


def no_definitions(model: int) -> ModelDefinition:
    """For maps without SunSpec models. Raises KeyError."""
    raise KeyError(model)


def with_model_points(modbus: ModbusText, definition_of: DefinitionOf, say: Say) -> ModbusText:
    """The text with the points that its SunSpec models mean; every fault of these is told through ``say``."""
    made = [points_of(text, i, modbus.table, definition_of, say) for i, text in enumerate(modbus.models)]
    if not made:
        return modbus
    return modbus.model_copy(update={"points": [point for points in made for point in points], "sentinels": "sunspec"})


def modbus_map_of(m: ModbusText, definition_of: DefinitionOf) -> ModbusMap:
    """The map of a faultless ``[modbus]``."""
    sections = tuple(section_of(text, definition_of(text.any_of[0])) for text in m.models)
    if m.locate is not None:
        sections = (SunSpecSection((m.locate.model,), m.locate.length, m.locate.length),)
    return ModbusMap(
        tuple(_register(p, m) for p in m.points),
        m.read.span_max,
        m.read.gap_max,
        tuple((first, last) for first, last in m.read.forbid),
        _identity(m),
        sections,
        tuple(_description(d, m) for d in m.describe),
        m.read.bit_span_max,
        m.read.bit_gap_max,
        m.read.join,
    )


def _identity(m: ModbusText) -> Identity | None:
    asked = m.identify
    if asked is None:
        return None
    words = tuple(asked.equals or ())
    return Identity(asked.table or m.table, asked.at, asked.words or len(words), words, asked.starts_with or "")


def _description(d: DescribeText, m: ModbusText) -> Description:
    count = d.words or REGISTER_TYPES[d.type].words
    return Description(d.name, d.table or m.table, d.at, count, d.type, d.word_order or m.word_order)


def check_registers(modbus: ModbusText, say: Say) -> None:
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
        if point.sign < 0 and QUANTITIES[point.name].kind is not Kind.GAUGE:
            say(f"{key}.sign", point.sign, "-1 for a gauge alone: a counter counts up, and a state is a name")
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


def check_layout(map_: ModbusMap, say: Say) -> None:
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
        section, at = divmod(max(needed), SECTION_SPAN)
        if map_.sections and at > map_.sections[section].length + 1:
            say(f"{key}.at", point.address, f"inside of the model's {map_.sections[section].length} words after its header")
        if not map_.sections and section:
            say(f"{key}.at", point.address, "addresses up to 65535")
        for first, last in map_.forbid:
            if first <= max(needed) and min(needed) <= last:
                say(f"{key}.at", point.address, f"outside of the forbidden range {first}-{last}")
    for cell in unsplittable(map_):
        if cell.count > span_max(map_, cell.table):
            names = ", ".join(p.name for p in map_.points if cell.covers(p.table, p.address))
            allowed = (
                f"at most {span_max(map_, cell.table)} registers from the first to the last of {names} and their scale factor"
            )
            say("modbus.points.sf", f"{cell.count} registers from {cell.address}", allowed)
    if map_.identity is not None:
        _check_words("modbus.identify", map_.identity, map_, say)
    for said in map_.describe:
        _check_words(f"modbus.describe[{said.name}]", said, map_, say)


def _check_words(key: str, asked: Identity | Description, map_: ModbusMap, say: Say) -> None:
    """What is read beside the points is held to the same bounds."""
    last_word = asked.address + asked.count - 1
    if last_word > 65_535:
        say(f"{key}.at", asked.address, f"addresses up to 65535; its {asked.count} words end at {last_word}")
    for first, last in map_.forbid:
        if first <= last_word and asked.address <= last:
            say(f"{key}.at", asked.address, f"outside of the forbidden range {first}-{last}")


def _apart(one: ModbusPoint, other: ModbusPoint) -> bool:
    """Whether two points are different parts of one value of the wire."""
    if one.bits is None or other.bits is None:
        return False
    same_wire = (one.address, one.words, one.word_order) == (other.address, other.words, other.word_order)
    return same_wire and (one.bits[1] < other.bits[0] or other.bits[1] < one.bits[0])


def _register(p: RegisterText, m: ModbusText) -> ModbusPoint:
    kind = REGISTER_TYPES[p.type]
    unit = Fraction(str(factor_to_canonical(p.name, p.unit)))
    scale = p.sign * Fraction(str(p.scale)) * unit
    sentinels = tuple(p.sentinels or ())
    if p.sentinels is None and m.sentinels == "sunspec" and kind.sunspec_sentinel is not None and p.bits is None:
        sentinels = (kind.sunspec_sentinel,)
    wraps_at = None if p.wraps_at is None else scale * Fraction(10) ** (p.sf_nominal or 0) * kind.modulus
    if isinstance(p.wraps_at, float):
        wraps_at = Fraction(str(p.wraps_at)) * unit
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
        Fraction(str(p.offset)) * unit,
        p.sf_read if isinstance(p, ModelPointText) else "with",
        p.repetition if isinstance(p, ModelPointText) else 0,
    )
