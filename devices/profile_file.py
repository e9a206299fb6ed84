"""The shape of a profile file (TOML), key by key. Unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from devices.maps import BIT_SPAN_MAX, REGISTER_TYPES, DescriptionName, DeviceKind, Evidence, WordOrder
from devices.payload_map import PayloadFormat, TimeFormat

Text = Annotated[str, Field(min_length=1)]
Address = Annotated[int, Field(ge=0, le=65_535)]
Word = Annotated[int, Field(ge=0, le=65_535)]
TableName = Literal["holding", "input", "coil", "discrete"]
Ratio = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckText(_Strict):
    """A consistency check between quantities."""

    kind: Literal["product", "sum"]
    of: Annotated[list[str], Field(min_length=2)]
    equals: str
    within: Annotated[float, Field(gt=0, lt=1)]
    floor: Ratio


class Head(_Strict):
    """``[profile]``."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,62}$")]
    title: Text
    kind: DeviceKind
    source: Text
    caveats: list[Text] = []
    verified: bool = False
    checks: list[CheckText] = []


class PointText(_Strict):
    """What a point has in either protocol: ``offset`` is in ``unit``, ``limits`` are in the canonical unit."""

    name: str
    unit: str
    scale: Ratio = 1.0
    offset: float = 0.0
    limits: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None


class RegisterText(PointText):
    """A point of ``[modbus]``; ``wraps_at`` is "register" or a number in ``unit``, ``bits`` first and last, 0 the lowest.

    ``sign`` is -1 where the device's power has the other sign than its counters.
    """

    at: Address
    type: str
    table: TableName | None = None
    word_order: WordOrder | None = None
    sf: Address | None = None
    sf_nominal: Annotated[int, Field(ge=-10, le=10)] | None = None
    bit: Annotated[int, Field(ge=0, le=15)] = 0
    bits: Annotated[list[Annotated[int, Field(ge=0, le=63)]], Field(min_length=2, max_length=2)] | None = None
    byte: Literal["high", "low"] | None = None
    sentinels: list[Annotated[int, Field(ge=0, lt=1 << 64)]] | None = None
    wraps_at: Literal["register"] | Ratio | None = None
    states: dict[int, str] = {}
    sign: Literal[1, -1] = 1


class LocateText(_Strict):
    """Where a map starts when the device says so itself; ``length`` counts the words after the model's header."""

    how: Literal["sunspec"]
    model: Annotated[int, Field(ge=1, le=65_534)]
    length: Annotated[int, Field(ge=1, le=65_533)]


class ModelText(_Strict):
    """``[[modbus.models]]``: a SunSpec model of the device and the quantities that its points are.

    ``any_of`` are ids of models with the same points at the same places; ``points`` maps names of the standard, those of
    the repeating group as ``group.point``, to quantities. Of the group the first ``repeat`` repetitions are read; the n-th
    one is the quantity with ``_n`` behind its name.
    """

    any_of: Annotated[list[Annotated[int, Field(ge=1, le=65_534)]], Field(min_length=1)]
    instance: Annotated[int, Field(ge=1, le=64)] = 1
    presence: Literal["required", "optional"] = "required"
    repeat: Annotated[int, Field(ge=0, le=64)] = 0
    points: Annotated[dict[str, str], Field(min_length=1)]
    limits: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = {}


class IdentifyText(_Strict):
    """What has to stand somewhere before anything is believed: words, or a text in ``words`` registers."""

    at: Address
    equals: Annotated[list[Word], Field(min_length=1, max_length=16)] | None = None
    starts_with: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    words: Annotated[int, Field(ge=1, le=32)] | None = None
    table: TableName | None = None

    @model_validator(mode="after")
    def _one_way(self) -> IdentifyText:
        if (self.equals is None) == (self.starts_with is None) or (self.words is None) != (self.starts_with is None):
            raise ValueError("either equals, or starts_with together with words is allowed")
        return self


class DescribeText(_Strict):
    """Something that the device says of itself, read once: a text of ``words`` registers or a whole number."""

    name: DescriptionName
    at: Address
    words: Annotated[int, Field(ge=1, le=64)] | None = None
    type: Literal["string", "uint16", "uint32", "uint64", "int32", "bcd32", "bcd64"] = "string"
    table: TableName | None = None
    word_order: WordOrder | None = None

    @model_validator(mode="after")
    def _sized(self) -> DescribeText:
        if (self.words is None) == (self.type == "string"):
            raise ValueError("words is given for a string, and for nothing else")
        return self


class ReadText(_Strict):
    """What a request may look like."""

    span_max: Annotated[int, Field(ge=1, le=125)] = 100
    gap_max: Annotated[int, Field(ge=0, le=124)] = 8
    bit_span_max: Annotated[int, Field(ge=1, le=BIT_SPAN_MAX)] = BIT_SPAN_MAX
    bit_gap_max: Annotated[int, Field(ge=0, lt=BIT_SPAN_MAX)] = 128
    join: Literal["near", "none"] = "near"
    forbid: list[Annotated[list[Address], Field(min_length=2, max_length=2)]] = []


class ModbusText(_Strict):
    """``[modbus]``."""

    table: TableName
    word_order: WordOrder = WordOrder.HIGH_FIRST
    sentinels: Literal["sunspec", "none"] = "none"
    locate: LocateText | None = None
    identify: IdentifyText | None = None
    describe: list[DescribeText] = []
    read: ReadText = ReadText()
    points: list[RegisterText] = []
    models: list[ModelText] = []

    @model_validator(mode="after")
    def _points_or_models(self) -> ModbusText:
        if bool(self.points) == bool(self.models):
            raise ValueError("either points or models is needed")
        if self.models and (self.locate or self.identify or self.read.forbid):
            raise ValueError("models are located, identified and bounded by the device's own list: no locate, identify, forbid")
        return self


class PathText(PointText):
    """A point of ``[mqtt]``, its place by the name that the payload's format gives it; ``wraps_at`` is in ``unit``.

    ``states`` are the device's words, one or several, for each number of a state.
    """

    path: str = ""
    topic: str = ""
    column: str | int = ""
    metric: str = ""
    wraps_at: Ratio | None = None
    states: dict[int, Text | Annotated[list[Text], Field(min_length=1)]] = {}
    time: str = ""
    quality: str = ""
    suffix: str = ""


class TimeText(_Strict):
    """Where the message says when it was measured; ``path`` is left out where every point has an instant of its own."""

    path: str | int = ""
    format: TimeFormat
    zone: str = ""


class QualityText(_Strict):
    """The device's own words on its values; what is in neither list is invalid."""

    path: str | int = ""
    good: Annotated[list[str | int | bool], Field(min_length=1)]
    questionable: list[str | int | bool] = []


class MqttText(_Strict):
    """``[mqtt]``."""

    payload: PayloadFormat = "json"
    time: TimeText | None = None
    event_id: str | int = ""
    sequence: str | int = ""
    sequence_modulus: Annotated[int, Field(ge=0)] = 0
    each: str = ""
    quality: QualityText | None = None
    numbers: Literal["plain", "text"] = "plain"
    decimal: Literal["point", "comma"] = "point"
    separator: Literal[",", ";", "\t", "|", " "] = ","
    header: Literal["none", "first_line"] = "none"
    points: Annotated[list[PathText], Field(min_length=1)]


class Dlt645PointText(PointText):
    """A point of ``[dlt645]``: data identifier DI3..DI0, place in its block; ``wraps_at`` is "format" or a number in ``unit``."""

    di: Annotated[str, Field(pattern=r"^[0-9A-F]{8}$")]
    at: Annotated[int, Field(ge=0, le=99)] = 0
    format: Text
    signed: bool = False
    wraps_at: Literal["format"] | Ratio | None = None


class Dlt645Text(_Strict):
    """``[dlt645]``."""

    points: Annotated[list[Dlt645PointText], Field(min_length=1)]


class MetricText(_Strict):
    """A metric of a golden Sparkplug B message: name, type as the specification writes it, value (left out for null)."""

    name: Text
    type: Literal[
        "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float", "Double", "Boolean", "String"
    ]
    value: float | bool | str | None = None
    t_ms: Annotated[int, Field(ge=0)] | None = None


class GoldenText(_Strict):
    """``[[golden]]``: words (by address, ``"coil/3"`` for another table), a payload, or frames in hex, and what they mean.

    An address in a SunSpec model reads ``"103/14"``: model, word from its ID on. Words not listed are sentinels, or 0 where
    the point has none. ``missing`` names quantities that must be missing.

    Of a message, ``topic`` is the last part of the topic of a value, ``metrics`` stand for a Sparkplug B payload, and ``sample``
    is the Frame meant, from 1, where it holds several.

    ``evidence`` says whether a real device sent it (``recorded``), its maker prints it with its meaning (``example``), or
    somebody worked it out from the map that it is held against (``derived``).
    """

    origin: Text
    evidence: Evidence = "derived"
    words: dict[str, Word] = {}
    payload: str = ""
    topic: str = ""
    metrics: list[MetricText] = []
    sample: Annotated[int, Field(ge=1)] = 1
    frames: list[str] = []
    expect: dict[str, float | str] = {}
    missing: list[str] = []
    expect_time_ns: int | None = None
    expect_event_id: str = ""


class ProfileText(_Strict):
    """A whole file."""

    profile: Head
    modbus: ModbusText | None = None
    mqtt: MqttText | None = None
    dlt645: Dlt645Text | None = None
    golden: Annotated[list[GoldenText], Field(min_length=1)]


def known_types() -> str:
    """The register types a point may have, for messages."""
    return ", ".join(REGISTER_TYPES)


def named(raw: Any, loc: tuple[int | str, ...]) -> str:
    """The key of a fault as a person finds it: list items by their name where they have one."""
    key, here = "", raw
    for part in loc:
        if isinstance(part, int):
            here = here[part] if isinstance(here, list) and part < len(here) else None
            key += f"[{(here.get('name') if isinstance(here, dict) else None) or part + 1}]"
        else:
            here = here.get(part) if isinstance(here, dict) else None
            key += f".{part}" if key else part
    return key
