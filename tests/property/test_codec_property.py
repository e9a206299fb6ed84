"""Encoding and decoding are mirror images, for every type, word order, scale and scale factor."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from devices.catalog import shipped_profiles
from devices.codec import decode, encode, width
from devices.maps import BYTE_TYPES, REGISTER_TYPES, ModbusMap, ModbusPoint, Profile, WordOrder
from plant.quality import ABSENT, Quality

PROFILES = [p for p in shipped_profiles().values() if p.modbus is not None]
INTEGERS = sorted(
    name
    for name, kind in REGISTER_TYPES.items()
    if kind.numpy_kind != "f" and kind.coding == "binary" and name not in ("bit", *BYTE_TYPES)
)
INVALID = int(Quality.INVALID)


def profile_of(*points: ModbusPoint) -> Profile:
    map_ = ModbusMap(points, span_max=100, gap_max=8)
    return Profile(
        id="made",
        title="made",
        kind="meter",
        source="made",
        caveats=(),
        verified=False,
        golden_origin="made",
        modbus=map_,
        mqtt=None,
        limits={},
        checks=(),
    )


def bounds(type_: str) -> tuple[int, int]:
    """The whole numbers that a register holds and a float64 tells apart, divided by a scale too."""
    kind = REGISTER_TYPES[type_]
    exact = min(kind.bits - (kind.numpy_kind == "i"), 48)
    return (-(2**exact) + 1 if kind.numpy_kind == "i" else 0), 2**exact - 1


@st.composite
def integer_points(draw: st.DrawFn) -> tuple[ModbusPoint, list[int]]:
    type_ = draw(st.sampled_from(INTEGERS))
    scale = draw(st.sampled_from([Fraction(1), Fraction(1, 10), Fraction(1, 1000), Fraction(1000), Fraction(1, 100)]))
    point = ModbusPoint("active_power", "holding", 7, type_, scale, draw(st.sampled_from(WordOrder)))
    low, high = bounds(type_)
    return point, draw(st.lists(st.integers(low, high), min_size=1, max_size=8))


@given(integer_points())
def test_whole_numbers_come_back_exactly_through_every_word_order(made: tuple[ModbusPoint, list[int]]) -> None:
    point, raw = made
    profile = profile_of(point)
    expected = np.array([[float(r * point.scale)] for r in raw])
    value, quality = decode(profile, encode(profile, expected))
    np.testing.assert_allclose(value, expected, rtol=2e-16 * 4)
    assert not quality.any()


@given(integer_points())
def test_the_wire_holds_the_number_as_its_letters_say(made: tuple[ModbusPoint, list[int]]) -> None:
    point, raw = made
    words = encode(profile_of(point), np.array([[float(r * point.scale)] for r in raw]))
    size = 2 * point.words
    letters = {
        WordOrder.HIGH_FIRST: "ABCDEFGH",
        WordOrder.LOW_FIRST: {2: "AB", 4: "CDAB", 8: "GHEFCDAB"}[size],
        WordOrder.HIGH_FIRST_BYTES_SWAPPED: "BADCFEHG",
        WordOrder.LOW_FIRST_BYTES_SWAPPED: {2: "BA", 4: "DCBA", 8: "HGFEDCBA"}[size],
        WordOrder.HALVES_LOW_FIRST: {2: "AB", 4: "ABCD", 8: "EFGHABCD"}[size],
        WordOrder.HALVES_HIGH_FIRST_WORDS_LOW_FIRST: {2: "AB", 4: "CDAB", 8: "CDABGHEF"}[size],
    }[point.word_order][:size]
    for number, row in zip(raw, words, strict=True):
        big_endian = (number % (1 << (8 * size))).to_bytes(size, "big")
        assert row.astype(">u2").tobytes() == bytes(big_endian["ABCDEFGH".index(letter)] for letter in letters)


@given(st.sampled_from(["float16", "float32", "float64"]), st.sampled_from(WordOrder), st.data())
def test_floats_come_back_and_nan_is_missing(type_: str, order: WordOrder, data: st.DataObject) -> None:
    profile = profile_of(ModbusPoint("active_power", "input", 0, type_, Fraction(1), order))
    bits = REGISTER_TYPES[type_].bits
    numbers = data.draw(st.lists(st.floats(width=bits, allow_infinity=False), min_size=1, max_size=8))
    value, quality = decode(profile, encode(profile, np.array(numbers)[:, None]))
    np.testing.assert_array_equal(value[:, 0], numbers)
    np.testing.assert_array_equal(quality[:, 0] == int(ABSENT), np.isnan(numbers))


@given(st.sampled_from(["bcd16", "bcd32", "bcd64"]), st.sampled_from(WordOrder), st.data())
def test_decimal_digits_come_back_and_stand_in_their_nibbles(type_: str, order: WordOrder, data: st.DataObject) -> None:
    digits = 4 * REGISTER_TYPES[type_].words
    numbers = data.draw(st.lists(st.integers(0, min(10**digits, 2**53) - 1), min_size=1, max_size=6))
    profile = profile_of(ModbusPoint("active_power", "input", 0, type_, Fraction(1), order))
    row = encode(profile, np.array(numbers, np.float64)[:, None])
    value, quality = decode(profile, row)
    assert value[:, 0].tolist() == numbers
    assert not quality.any()
    in_order = row[:, list(order.positions(REGISTER_TYPES[type_].words)[::-1])]
    shown = in_order.byteswap() if order.swaps_bytes else in_order
    assert ["".join(f"{word:04x}" for word in words) for words in shown.tolist()] == [f"{n:0{digits}d}" for n in numbers]


@given(st.data())
def test_parts_of_one_value_come_back_side_by_side(data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(["int16", "uint16", "int32", "uint32", "int64", "uint64"]))
    order = data.draw(st.sampled_from(WordOrder))
    cuts = sorted(data.draw(st.sets(st.integers(1, REGISTER_TYPES[type_].bits - 1), min_size=1, max_size=5)))
    names = ["active_power", "reactive_power", "apparent_power", "power_factor", "frequency"]
    points = tuple(
        ModbusPoint(name, "holding", 3, type_, Fraction(1), order, bits=(first, end - 1))
        for name, first, end in zip(names, [0, *cuts], cuts, strict=False)
    )
    signed = type_.startswith("int")
    rows = [
        [data.draw(st.integers(-(2 ** (p.width - 1)) if signed else 0, 2 ** (p.width - signed) - 1)) for p in points]
        for _ in range(3)
    ]
    expected = np.array(rows, np.float64)
    largest = np.array([np.nextafter(2.0 ** (p.width - signed), 0) if p.width > 53 else np.inf for p in points])
    value, quality = decode(profile_of(*points), encode(profile_of(*points), expected))
    np.testing.assert_array_equal(value, np.minimum(expected, largest))
    assert not quality.any()


@pytest.mark.parametrize("pattern", [0x7F800001, 0xFFBFFFFF, 0x7FC00000, 0xFFFFFFFF])
def test_every_kind_of_nan_is_missing(pattern: int) -> None:
    profile = profile_of(ModbusPoint("active_power", "input", 0, "float32", Fraction(1), WordOrder.HIGH_FIRST))
    value, quality = decode(profile, np.array([[pattern >> 16, pattern & 0xFFFF]], np.uint16))
    assert np.isnan(value).all()
    assert quality.tolist() == [[int(ABSENT)]]


def test_a_float_too_large_for_its_register_saturates() -> None:
    profile = profile_of(ModbusPoint("active_power", "input", 0, "float32", Fraction(1), WordOrder.LOW_FIRST))
    value, _ = decode(profile, encode(profile, np.array([[1e300], [-1e300]])))
    np.testing.assert_array_equal(value[:, 0], [np.finfo(np.float32).max, np.finfo(np.float32).min])


@given(st.data())
def test_moving_scale_factors_keep_the_precision_of_the_register(data: st.DataObject) -> None:
    points = tuple(
        ModbusPoint(name, "holding", at, "int16", Fraction(1, 1000), WordOrder.HIGH_FIRST, sf_at=2, sentinels=(0x8000,))
        for at, name in enumerate(["active_power", "reactive_power"])
    )
    profile = profile_of(*points)
    finite = st.floats(-3e5, 3e5).filter(lambda x: x == 0 or abs(x) > 1e-3)
    numbers = np.array(data.draw(st.lists(st.tuples(finite, finite), min_size=1, max_size=6)))
    value, quality = decode(profile, encode(profile, numbers))
    largest = np.abs(numbers).max(axis=1, keepdims=True)
    assert np.all(np.abs(value - numbers) <= largest / 3_000 + 1e-12)
    assert not quality.any()


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.id)
@given(data=st.data())
def test_any_words_decode_to_a_number_or_to_missing(profile: Profile, data: st.DataObject) -> None:
    words = data.draw(hnp.arrays(np.uint16, (3, width(profile))))
    value, quality = decode(profile, words)
    assert value.shape == quality.shape == (3, len(profile.quantities))
    np.testing.assert_array_equal(np.isnan(value), (quality & INVALID) != 0)
    assert not np.isinf(value).any()


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.id)
@given(data=st.data())
def test_what_a_device_served_is_served_again_from_its_decoded_values(profile: Profile, data: st.DataObject) -> None:
    """After one round through the registers nothing changes any more."""
    numbers = data.draw(hnp.arrays(np.float64, (2, len(profile.quantities)), elements=st.floats(0, 1e6, width=32)))
    once, _ = decode(profile, encode(profile, numbers))
    if np.isnan(once).any():  # an accumulator at 0 reads as missing
        once = np.nan_to_num(once)
    twice, _ = decode(profile, encode(profile, once))
    np.testing.assert_allclose(np.nan_to_num(twice), once, rtol=2e-3, atol=1e-9)


@given(st.integers(0, 2**40), st.sampled_from(["uint32", "acc32"]))
def test_a_counter_wraps_at_the_registers_end(steps: int, type_: str) -> None:
    point = ModbusPoint("energy_import", "holding", 0, type_, Fraction(1, 10), WordOrder.LOW_FIRST, wraps_at=2**32 / 10)
    value, _ = decode(profile_of(point), encode(profile_of(point), np.array([[steps / 10]])))
    assert value[0, 0] == pytest.approx(steps % 2**32 / 10, abs=1e-6)
