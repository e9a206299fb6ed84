"""Sparkplug B payloads from and to bytes: the one file that knows Protocol Buffers.

The messages are described here in code, by the field numbers of the Eclipse Sparkplug specification 3.0.0, section 6.3:
only the fields that a monitor reads. Protocol Buffers step over all others.
"""

from __future__ import annotations

import math
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from devices.sparkplug import DataType, Metric, Payload
from plant.errors import PayloadError

_PACKAGE = "potwatt.sparkplug"
_F = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "uint32": _F.TYPE_UINT32,
    "uint64": _F.TYPE_UINT64,
    "float": _F.TYPE_FLOAT,
    "double": _F.TYPE_DOUBLE,
    "bool": _F.TYPE_BOOL,
    "string": _F.TYPE_STRING,
    "bytes": _F.TYPE_BYTES,
}
# message: field: (number, type); "*" in front repeats, "|" makes the field one of the message's alternatives
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "PropertyValue": {"type": (1, "uint32"), "is_null": (2, "bool"), "int_value": (3, "|uint32"), "long_value": (4, "|uint64")},
    "PropertySet": {"keys": (1, "*string"), "values": (2, "*PropertyValue")},
    "Metric": {
        "name": (1, "string"),
        "alias": (2, "uint64"),
        "timestamp": (3, "uint64"),
        "datatype": (4, "uint32"),
        "is_historical": (5, "bool"),
        "is_null": (7, "bool"),
        "properties": (9, "PropertySet"),
        "int_value": (10, "|uint32"),
        "long_value": (11, "|uint64"),
        "float_value": (12, "|float"),
        "double_value": (13, "|double"),
        "boolean_value": (14, "|bool"),
        "string_value": (15, "|string"),
        "bytes_value": (16, "|bytes"),
        "dataset_value": (17, "|bytes"),
        "template_value": (18, "|bytes"),
    },
    "Payload": {"timestamp": (1, "uint64"), "metrics": (2, "*Metric"), "seq": (3, "uint64")},
}
_SIGNED = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_UNSIGNED = {DataType.UINT8: 8, DataType.UINT16: 16, DataType.UINT32: 32, DataType.UINT64: 64, DataType.DATETIME: 64}
_FIELD = {
    DataType.INT64: "long_value",
    DataType.UINT64: "long_value",
    DataType.DATETIME: "long_value",
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.TEXT: "string_value",
}
_UNTYPED: dict[type, str] = {bool: "boolean_value", int: "int_value", float: "double_value", str: "string_value"}
_QUALITY = "Quality"


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="potwatt_sparkplug.proto", package=_PACKAGE, syntax="proto2")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = described.field.add(name=name, number=number)
            field.label = _F.LABEL_REPEATED if kind[0] == "*" else _F.LABEL_OPTIONAL
            if kind[0] == "|":
                if not described.oneof_decl:
                    described.oneof_decl.add(name="value")
                field.oneof_index = 0
            kind = kind.lstrip("*|")  # noqa: PLW2901 - the mark is read
            if kind in _KINDS:
                field.type = _KINDS[kind]
            else:
                field.type, field.type_name = _F.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


_PAYLOAD = _payload_class()


def decode(payload: bytes) -> Payload:
    """A payload as it stands in the message; a metric's ``datatype`` is 0 where only its birth said it, and its whole
    numbers then are as the wire has them (see ``signed``). Raises PayloadError."""
    try:
        parsed = _PAYLOAD.FromString(payload)
    except DecodeError as error:
        raise PayloadError(f"no Sparkplug B payload: {error}; it begins {payload[:40]!r}") from error
    return Payload(
        parsed.timestamp if parsed.HasField("timestamp") else None,
        parsed.seq if parsed.HasField("seq") else None,
        tuple(_metric(metric) for metric in parsed.metrics),
    )


def _metric(metric: Any) -> Metric:
    which = metric.WhichOneof("value")
    value = None if which is None or metric.is_null else getattr(metric, which)
    kind = ""
    if isinstance(value, bytes):
        value, kind = None, f"a {which.removesuffix('_value')}"
    return Metric(
        metric.name,
        signed(value, metric.datatype),
        metric.datatype,
        metric.timestamp if metric.HasField("timestamp") else None,
        metric.alias if metric.HasField("alias") else None,
        _quality(metric.properties) if metric.HasField("properties") else None,
        kind,
        metric.is_historical,
    )


def _quality(properties: Any) -> int | None:
    for key, value in zip(properties.keys, properties.values, strict=False):
        if key == _QUALITY and not value.is_null:
            return int(value.long_value if value.WhichOneof("value") == "long_value" else value.int_value)
    return None


def signed(value: float | bool | str | None, datatype: int) -> float | bool | str | None:
    """A whole number of the wire, where negative ones stand as two's complement, after its type."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if datatype in _SIGNED:
        bits = _SIGNED[DataType(datatype)]
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value
    if datatype == DataType.BOOLEAN:
        return bool(value)
    return value & (1 << _UNSIGNED[DataType(datatype)]) - 1 if datatype in _UNSIGNED else value


def encode(payload: Payload) -> bytes:
    """The bytes of a payload; a metric without a name goes by its alias. Raises ValueError for a value its type cannot hold."""
    out = _PAYLOAD()
    if payload.t_ms is not None:
        out.timestamp = payload.t_ms
    if payload.seq is not None:
        out.seq = payload.seq
    for metric in payload.metrics:
        _write(out.metrics.add(), metric)
    made: bytes = out.SerializeToString()
    return made


def _write(out: Any, metric: Metric) -> None:
    if metric.name:
        out.name = metric.name
    if metric.alias is not None:
        out.alias = metric.alias
    if metric.t_ms is not None:
        out.timestamp = metric.t_ms
    if metric.datatype:
        out.datatype = metric.datatype
    if metric.is_historical:
        out.is_historical = True
    if metric.quality is not None:
        out.properties.keys.append(_QUALITY)
        out.properties.values.add(type=DataType.INT32, int_value=metric.quality)
    if metric.value is None:
        out.is_null = True
        return
    value = metric.value
    field = _FIELD.get(DataType(metric.datatype), "int_value") if metric.datatype else _UNTYPED[type(value)]
    if field in ("int_value", "long_value"):
        if isinstance(value, str) or not math.isfinite(value) or value != int(value):
            raise ValueError(f"{metric.name}: {value!r} is no whole number")
        value = int(value) & (0xFFFF_FFFF if field == "int_value" else 0xFFFF_FFFF_FFFF_FFFF)
    setattr(out, field, value)
