"""Every type and order against words put together by hand: the letters of the documentation, not our own encoder."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from devices.codec import decode, encode
from devices.maps import REGISTER_TYPES, ModbusMap, ModbusPoint, Profile, WordOrder
from devices.profile import parse_profile
from plant.errors import ConfigError
from plant.quality import ABSENT

HIGH, LOW = WordOrder.HIGH_FIRST, WordOrder.LOW_FIRST
HIGH_SWAPPED, LOW_SWAPPED = WordOrder.HIGH_FIRST_BYTES_SWAPPED, WordOrder.LOW_FIRST_BYTES_SWAPPED
HALVES_LOW, HALVES_HIGH = WordOrder.HALVES_LOW_FIRST, WordOrder.HALVES_HIGH_FIRST_WORDS_LOW_FIRST

# the bytes A to H of each value, from the most significant one on
BIG_ENDIAN = {
    ("int8", -2): b"\x00\xfe",
    ("uint8", 254): b"\x00\xfe",
    ("int16", -12345): struct.pack(">h", -12345),
    ("uint16", 54321): struct.pack(">H", 54321),
    ("acc16", 77): b"\x00\x4d",
    ("enum16", 4): b"\x00\x04",
    ("bitfield16", 0x0105): b"\x01\x05",
    ("bcd16", 1234): b"\x12\x34",
    ("bit", 1): b"\x00\x01",
    ("float16", -0.15625): b"\xb1\x00",
    ("int32", -123456789): struct.pack(">i", -123456789),
    ("uint32", 3456789012): struct.pack(">I", 3456789012),
    ("acc32", 77160): b"\x00\x01\x2d\x68",
    ("enum32", 70000): b"\x00\x01\x11\x70",
    ("bitfield32", 0x00010002): b"\x00\x01\x00\x02",
    ("bcd32", 12345678): b"\x12\x34\x56\x78",
    ("float32", 350.25): b"\x43\xaf\x20\x00",
    ("int64", -1234567890123): struct.pack(">q", -1234567890123),
    ("uint64", 1234567890123): struct.pack(">Q", 1234567890123),
    ("acc64", 1234567890123): struct.pack(">Q", 1234567890123),
    ("bcd64", 123456789012345): b"\x01\x23\x45\x67\x89\x01\x23\x45",
    ("float64", -1013.125): struct.pack(">d", -1013.125),
}
WIRE = {  # how the letters stand on the wire
    2: {HIGH: "AB", LOW: "AB", HIGH_SWAPPED: "BA", LOW_SWAPPED: "BA", HALVES_LOW: "AB", HALVES_HIGH: "AB"},
    4: {HIGH: "ABCD", LOW: "CDAB", HIGH_SWAPPED: "BADC", LOW_SWAPPED: "DCBA", HALVES_LOW: "ABCD", HALVES_HIGH: "CDAB"},
    8: {
        HIGH: "ABCDEFGH",
        LOW: "GHEFCDAB",
        HIGH_SWAPPED: "BADCFEHG",
        LOW_SWAPPED: "HGFEDCBA",
        HALVES_LOW: "EFGHABCD",
        HALVES_HIGH: "CDABGHEF",
    },
}
HEAD = """
[profile]
id = "made"
title = "made"
kind = "meter"
source = "this test"
[modbus]
table = "holding"
"""


def parsed(points: str, golden: str) -> Profile:
    return parse_profile(f'{HEAD}points = [{points}]\n[[golden]]\norigin = "by hand"\n{golden}', "made.toml")


def profile_of(*points: ModbusPoint) -> Profile:
    map_ = ModbusMap(points, span_max=100, gap_max=8)
    return replace(BARE, modbus=map_)


def point(type_: str, order: WordOrder = HIGH, *, sentinels: tuple[int, ...] = ()) -> ModbusPoint:
    part = {"bit": (0, 0), "int8": (0, 7), "uint8": (0, 7)}.get(type_)
    return ModbusPoint("active_power", "holding", 0, type_, Fraction(1), order, bits=part, sentinels=sentinels)


def words(text: bytes) -> np.ndarray:
    return np.frombuffer(text, ">u2").astype(np.uint16)[None, :]


BARE = parsed('{ name = "frequency", at = 0, type = "uint16", unit = "Hz" }', "words = { 0 = 50 }\nexpect = { frequency = 50 }")


def test_every_type_has_a_vector() -> None:
    assert {type_ for type_, _ in BIG_ENDIAN} == set(REGISTER_TYPES)


@pytest.mark.parametrize("order", WordOrder)
@pytest.mark.parametrize(("type_", "number"), BIG_ENDIAN)
def test_a_value_is_read_from_and_written_to_its_letters(type_: str, number: float, order: WordOrder) -> None:
    letters = BIG_ENDIAN[type_, number]
    wire = bytes(letters["ABCDEFGH".index(letter)] for letter in WIRE[len(letters)][order])
    profile = profile_of(point(type_, order))
    value, quality = decode(profile, words(wire))
    assert value.tolist() == [[float(number)]]
    assert quality.tolist() == [[0]]
    np.testing.assert_array_equal(encode(profile, np.array([[float(number)]])), words(wire))


@pytest.mark.parametrize(("type_", "kind"), REGISTER_TYPES.items())
def test_the_sentinel_of_each_type_is_missing(type_: str, kind: object) -> None:
    sentinel = REGISTER_TYPES[type_].sunspec_sentinel
    if sentinel is None:
        return
    profile = profile_of(point(type_, sentinels=(sentinel,)))
    value, quality = decode(profile, words(sentinel.to_bytes(REGISTER_TYPES[type_].words * 2, "big")))
    assert np.isnan(value).all()
    assert quality.tolist() == [[int(ABSENT)]]


@pytest.mark.parametrize(("type_", "text"), [("bcd16", "123a"), ("bcd32", "f2345678"), ("bcd64", "01234567890123b5")])
def test_a_digit_above_nine_is_missing(type_: str, text: str) -> None:
    value, quality = decode(profile_of(point(type_)), words(bytes.fromhex(text)))
    assert np.isnan(value).all()
    assert quality.tolist() == [[int(ABSENT)]]


def test_bytes_and_bit_fields_share_a_register() -> None:
    profile = parsed(
        """
        { name = "ambient_temperature", at = 0, type = "int8", byte = "high", unit = "degC" },
        { name = "state_of_charge", at = 0, type = "uint8", byte = "low", unit = "%", sentinels = [255] },
        { name = "operating_state", at = 1, type = "uint16", bits = [4, 6], unit = "1", states = { 5 = "running" } },
        { name = "pots_running", at = 1, type = "bit", bit = 0, unit = "1" },
        { name = "module_temperature", at = 1, type = "int16", bits = [8, 15], unit = "degC" },
        """,
        """words = { 0 = 0xF632, 1 = 0xFE51 }
        [golden.expect]
        ambient_temperature = -10
        state_of_charge = 50
        operating_state = "running"
        pots_running = 1
        module_temperature = -2
        """,
    )
    value, _ = decode(profile, np.array([[0xF6FF, 0xFE51]], np.uint16))
    assert np.isnan(value[0, 1])
    row = encode(profile, np.array([[-10.0, np.nan, 5.0, 1.0, -2.0]]))
    assert row.tolist() == [[0xF6FF, 0xFE51]]
    saturated, _ = decode(profile, encode(profile, np.array([[-999.0, 999.0, 99.0, 0.0, 999.0]])))
    assert saturated.tolist() == [[-128.0, 254.0, 7.0, 0.0, 127.0]]


def test_an_offset_is_added_without_rounding_twice() -> None:
    profile = parsed(
        '{ name = "ambient_temperature", at = 0, type = "uint16", scale = 0.1, offset = -40, unit = "degC" }',
        "words = { 0 = 235 }\nexpect = { ambient_temperature = -16.5 }",
    )
    raw = np.arange(0, 1500, dtype=np.uint16)[:, None]
    value, _ = decode(profile, raw)
    assert value[:, 0].tolist() == [float(Fraction(r, 10) - 40) for r in range(1500)]
    np.testing.assert_array_equal(encode(profile, value), raw)


def test_an_offset_comes_after_a_moving_scale_factor() -> None:
    at = ModbusPoint(
        "ambient_temperature", "holding", 0, "int16", Fraction(1), HIGH, sf_at=1, sf_nominal=-1, offset=Fraction("-273.15")
    )
    value, _ = decode(profile_of(at), np.array([[2981, 0xFFFF]], np.uint16))
    assert value.tolist() == [[pytest.approx(24.95, abs=1e-12)]]
    assert encode(profile_of(at), value).tolist() == [[2981, 0xFFFF]]


def test_a_counter_of_decimal_digits_wraps_at_its_last_digit() -> None:
    counter = '{{ name = "energy_import", at = 0, type = "{}", scale = 0.01, unit = "kWh", wraps_at = {} }}'
    golden = "words = { 0 = 0x0012, 1 = 0x3456 }\nexpect = { energy_import = 1234.56 }"
    assert parsed(counter.format("bcd32", '"register"'), golden).wraps_at("energy_import") == 1e6
    golden = "words = { 0 = 1, 1 = 0xE240 }\nexpect = { energy_import = 1234.56 }"
    profile = parsed(counter.format("uint32", "1000000"), golden)
    assert profile.wraps_at("energy_import") == 1e6
    value, _ = decode(profile, encode(profile, np.array([[1_000_000.01]])))
    assert value[0, 0] == 0.01


@pytest.mark.parametrize(
    ("points", "fault"),
    [
        ('{ name = "frequency", at = 0, type = "uint8", unit = "Hz" }', '"high" or "low" for int8 and uint8'),
        ('{ name = "frequency", at = 0, type = "uint16", byte = "low", unit = "Hz" }', "and for no other type"),
        ('{ name = "frequency", at = 0, type = "float32", bits = [0, 3], unit = "Hz" }', "has no bits to choose from"),
        ('{ name = "frequency", at = 0, type = "uint16", bits = [3, 16], unit = "Hz" }', "0 the lowest and 15 the highest"),
        ('{ name = "frequency", at = 0, type = "bcd16", sf = 1, unit = "Hz" }', "have a scale factor register"),
        ('{ name = "energy_import", at = 0, type = "uint32", offset = 5, unit = "kWh" }', "none for a counter"),
        (
            """{ name = "frequency", at = 0, type = "uint16", bits = [0, 4], unit = "Hz" },
               { name = "power_factor", at = 0, type = "uint16", bits = [4, 7], unit = "1" }""",
            "addresses of its own",
        ),
        (
            """{ name = "frequency", at = 0, type = "uint16", unit = "Hz" },
               { name = "power_factor", at = 0, type = "bit", bit = 3, unit = "1" }""",
            "addresses of its own",
        ),
    ],
)
def test_a_part_of_a_register_that_makes_no_sense_is_named(points: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parsed(points, "words = { 0 = 1 }\nexpect = { frequency = 1 }")


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2,)])
def test_words_of_the_wrong_width_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"made is decoded from uint16\[n, 2\]"):
        decode(profile_of(point("float32")), np.zeros(shape, np.uint16))
