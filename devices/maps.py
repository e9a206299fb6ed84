"""What a device profile says, as values: register maps, payload maps, limits, checks.

Terms: a *point* is one quantity of a map; a *table* one of the four Modbus address spaces; ``scale`` an exact
ratio from the raw number to the canonical unit of ``plant.quantities``; ``sf_at`` the register of a SunSpec-like
moving power of ten. Addresses count from zero, as on the wire; those of a located map from its first word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import Literal

from devices.dlt645 import Dlt645Map, Dlt645Point
from devices.payload_map import PayloadMap, PayloadPoint
from plant.quantities import QUANTITIES, Kind

Table = Literal["holding", "input", "coil", "discrete"]
DeviceKind = Literal["meter", "pv_inverter", "storage", "rectifier", "weather", "pot_controller", "scale"]
BIT_TABLES: tuple[Table, ...] = ("coil", "discrete")
SECTION_SPAN = 0x1_0000
BIT_SPAN_MAX = 2000  # Modbus Application Protocol V1.1b3, 6.1 and 6.2
EXPONENT_MAX = 10  # SunSpec allows scale factors from -10 to 10


class WordOrder(Enum):
    """Order of the bytes of a value on the wire; letters from the most significant byte A, 32 and 64 bit.

    Swapped bytes hold for values of one word too.
    """

    HIGH_FIRST = "high_first"  # ABCD, ABCDEFGH: the Modbus convention
    LOW_FIRST = "low_first"  # CDAB, GHEFCDAB
    HIGH_FIRST_BYTES_SWAPPED = "high_first_bytes_swapped"  # BADC, BADCFEHG
    LOW_FIRST_BYTES_SWAPPED = "low_first_bytes_swapped"  # DCBA, HGFEDCBA
    HALVES_LOW_FIRST = "halves_low_first"  # ABCD, EFGHABCD
    HALVES_HIGH_FIRST_WORDS_LOW_FIRST = "halves_high_first_words_low_first"  # CDAB, CDABGHEF

    @property
    def swaps_bytes(self) -> bool:
        """Whether the low byte of each word comes first."""
        return self in (WordOrder.HIGH_FIRST_BYTES_SWAPPED, WordOrder.LOW_FIRST_BYTES_SWAPPED)

    def positions(self, words: int) -> tuple[int, ...]:
        """Places of a value's words on the wire, from the least significant word to the most; ``words`` is 1, 2 or 4."""
        ascending = tuple(range(words))
        if self in (WordOrder.LOW_FIRST, WordOrder.LOW_FIRST_BYTES_SWAPPED):
            return ascending
        if self is WordOrder.HALVES_LOW_FIRST and words == 4:
            return (1, 0, 3, 2)
        if self is WordOrder.HALVES_HIGH_FIRST_WORDS_LOW_FIRST and words > 1:
            return (2, 3, 0, 1) if words == 4 else ascending
        return ascending[::-1]


@dataclass(frozen=True, slots=True)
class RegisterType:
    """How the bits of a value are read: number of words, numpy kind (``i``, ``u``, ``f``), and what the bits stand for."""

    words: int
    numpy_kind: Literal["i", "u", "f"]
    sunspec_sentinel: int | None  # bit pattern of "not implemented"; every NaN counts for floats
    coding: Literal["binary", "bcd"] = "binary"

    @property
    def bits(self) -> int:
        """Width in bits."""
        return 16 * self.words

    @property
    def modulus(self) -> int:
        """How many different numbers the register counts through before it starts again."""
        return 10 ** (4 * self.words) if self.coding == "bcd" else 1 << self.bits


# Sentinels after the SunSpec Device Information Model Specification, as in sunspec/models.
REGISTER_TYPES: Mapping[str, RegisterType] = {
    "int8": RegisterType(1, "i", None),  # one byte of a register
    "uint8": RegisterType(1, "u", None),
    "int16": RegisterType(1, "i", 0x8000),
    "int32": RegisterType(2, "i", 0x8000_0000),
    "int64": RegisterType(4, "i", 0x8000_0000_0000_0000),
    "uint16": RegisterType(1, "u", 0xFFFF),
    "uint32": RegisterType(2, "u", 0xFFFF_FFFF),
    "uint64": RegisterType(4, "u", 0xFFFF_FFFF_FFFF_FFFF),
    "acc16": RegisterType(1, "u", 0),
    "acc32": RegisterType(2, "u", 0),
    "acc64": RegisterType(4, "u", 0),
    "enum16": RegisterType(1, "u", 0xFFFF),
    "enum32": RegisterType(2, "u", 0xFFFF_FFFF),
    "bitfield16": RegisterType(1, "u", 0xFFFF),
    "bitfield32": RegisterType(2, "u", 0xFFFF_FFFF),
    "bcd16": RegisterType(1, "u", None, "bcd"),
    "bcd32": RegisterType(2, "u", None, "bcd"),
    "bcd64": RegisterType(4, "u", None, "bcd"),
    "bit": RegisterType(1, "u", None),
    "float16": RegisterType(1, "f", None),
    "float32": RegisterType(2, "f", None),
    "float64": RegisterType(4, "f", None),
}
BYTE_TYPES = ("int8", "uint8")


@dataclass(frozen=True, slots=True)
class ModbusPoint:
    """One quantity in a register table.

    ``scale`` turns the raw number (after the moving power of ten at ``sf_at``) into the canonical unit, ``offset`` is then
    added. ``sf_nominal`` is the exponent a device normally serves there. ``bits`` are the first and the last bit (0 the
    lowest) of a value that is part of its register. ``sentinels`` are bit patterns of the value that mean "no value".
    ``wraps_at`` is in the canonical unit. ``states`` names the numbers of a state. The scale factor of a value stands in the
    same request (``sf_read = "with"``), or, in a repeating group that is too long for that, may be read before and again
    after it (``"around"``). ``repetition`` counts from 1 within such a group, 0 outside of one.
    """

    name: str
    table: Table
    address: int
    type: str
    scale: Fraction
    word_order: WordOrder
    sf_at: int | None = None
    sf_nominal: int | None = None
    bits: tuple[int, int] | None = None
    sentinels: tuple[int, ...] = ()
    wraps_at: float | None = None
    states: Mapping[int, str] = field(default_factory=dict)
    offset: Fraction = Fraction(0)
    sf_read: Literal["with", "around"] = "with"
    repetition: int = 0

    @property
    def words(self) -> int:
        """Number of registers (or coils) of the value."""
        return REGISTER_TYPES[self.type].words

    @property
    def width(self) -> int:
        """Width of the value in bits."""
        return REGISTER_TYPES[self.type].bits if self.bits is None else self.bits[1] - self.bits[0] + 1


@dataclass(frozen=True, slots=True)
class Identity:
    """What must stand at an address before anything is believed: ``words``, or a text that starts with ``text``.

    For SunSpec the model's header does this. ``count`` is the number of words to read.
    """

    table: Table
    address: int
    count: int
    words: tuple[int, ...] = ()
    text: str = ""


DescriptionName = Literal["maker", "model", "serial", "firmware", "hardware"]


@dataclass(frozen=True, slots=True)
class Description:
    """What a device says about itself, read once: a text (``type`` is ``string``) of ``count`` words, or a whole number."""

    name: DescriptionName
    table: Table
    address: int
    count: int
    type: str
    word_order: WordOrder


@dataclass(frozen=True, slots=True)
class SunSpecSection:
    """A part of a map that stands in a SunSpec model, to be found by walking the device's list.

    It is the ``instance``-th model there with one of the ids in ``models``. ``length`` counts the words behind the header
    that the map knows, with as many repetitions of the model's group (of ``group`` words) as it reads; a device may have
    fewer, down to ``length_min`` words, and what lies beyond its end is absent.
    """

    models: tuple[int, ...]
    length: int
    length_min: int
    group: int = 0
    instance: int = 1
    presence: Literal["required", "optional"] = "required"

    @property
    def in_words(self) -> str:
        """How messages name it."""
        which = "" if self.instance == 1 else f", number {self.instance} of these"
        return f"SunSpec model {' or '.join(map(str, self.models))}{which}"


@dataclass(frozen=True, slots=True, eq=False)
class ModbusMap:
    """Register map of a device with what a read may look like.

    A request covers at most ``span_max`` registers or ``bit_span_max`` coils or discrete inputs, reads over at most
    ``gap_max`` or ``bit_gap_max`` unused ones, and never touches a range of ``forbid`` (first, last). ``join = "none"`` is
    for devices that answer one value a request. Where there are ``sections``, the map has to be located first:
    addresses of the n-th count from the header of its model, plus n times ``SECTION_SPAN``.
    """

    points: tuple[ModbusPoint, ...]
    span_max: int
    gap_max: int
    forbid: tuple[tuple[int, int], ...] = ()
    identity: Identity | None = None
    sections: tuple[SunSpecSection, ...] = ()
    describe: tuple[Description, ...] = ()
    bit_span_max: int = BIT_SPAN_MAX
    bit_gap_max: int = 128
    join: Literal["near", "none"] = "near"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the meter can show, canonical unit, wherever it is mounted."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Check:
    """Quantities of one Frame that must agree: product or sum of ``of`` equals ``equals``.

    They may differ by the share ``within`` of ``equals`` or by ``floor`` in its canonical unit, whichever is more: near
    zero nothing but noise and resolution is left. kA times V is kW, so the product of canonical units needs no factor.
    """

    kind: Literal["product", "sum"]
    of: tuple[str, ...]
    equals: str
    within: float
    floor: float


Evidence = Literal["recorded", "example", "derived"]


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A product that potwatt can read. Exactly one of ``modbus``, ``mqtt``, ``dlt645`` is set. Compares by identity.

    ``verified`` says that its values were compared with a real device or its maker's words; ``golden_origin`` where its golden
    values come from; ``proven`` are the quantities with a recorded value or one of the maker's examples that is not 0.
    """

    id: str
    title: str
    kind: DeviceKind
    source: str
    caveats: tuple[str, ...]
    verified: bool
    golden_origin: str
    modbus: ModbusMap | None
    mqtt: PayloadMap | None
    limits: Mapping[str, Limits]
    checks: tuple[Check, ...]
    dlt645: Dlt645Map | None = None
    proven: tuple[str, ...] = ()

    @property
    def protocol(self) -> Literal["modbus", "mqtt", "dlt645"]:
        """How the device is reached."""
        if self.dlt645 is not None:
            return "dlt645"
        return "modbus" if self.modbus is not None else "mqtt"

    @property
    def points(self) -> tuple[ModbusPoint, ...] | tuple[PayloadPoint, ...] | tuple[Dlt645Point, ...]:
        """The points of whichever map there is."""
        if self.dlt645 is not None:
            return self.dlt645.points
        if self.modbus is not None:
            return self.modbus.points
        assert self.mqtt is not None
        return self.mqtt.points

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of ``plant.quantities`` in the column order of a FrameBlock."""
        return tuple(point.name for point in self.points)

    @property
    def event(self) -> bool:
        """Whether its Frames are things that happened once and go to the ledger."""
        return QUANTITIES[self.quantities[0]].kind is Kind.EVENT

    def wraps_at(self, quantity: str) -> float | None:
        """Modulus of a counter in the canonical unit, None where it is not known or the quantity is no counter."""
        return next((point.wraps_at for point in self.points if point.name == quantity), None)
