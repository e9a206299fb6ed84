"""The codec at its edges; what holds in general is among the property tests."""

from __future__ import annotations

import numpy as np
import pytest

from devices.catalog import shipped_profiles
from devices.codec import columns_touching, decode, encode, place_of, width
from devices.maps import Profile
from devices.profile import parse_profile
from plant.quality import ABSENT, Quality

PROFILES = shipped_profiles()
INVERTER = PROFILES["sunspec_inverter_103"]

TABLES = """
[profile]
id = "made"
title = "made"
kind = "meter"
source = "this test"

[modbus]
table = "holding"
points = [
  { name = "operating_state", at = 3, table = "coil", type = "bit", unit = "1" },
  { name = "pots_running", at = 8, type = "bit", bit = 15, unit = "1" },
  { name = "anode_effects_active", at = 8, type = "bit", bit = 0, unit = "1" },
  { name = "frequency", at = 9, type = "uint16", scale = 0.01, unit = "Hz", sentinels = [0, 65535] },
]

[[golden]]
origin = "written by hand"
words = { "coil/3" = 1, "holding/8" = 0x8000, 9 = 5001 }
expect = { operating_state = 1, pots_running = 1, anode_effects_active = 0, frequency = 50.01 }
"""


def inverter_words(**words: int) -> np.ndarray:
    row = encode(INVERTER, np.full((1, len(INVERTER.quantities)), np.nan))
    for name, word in words.items():
        row[0, place_of(INVERTER, "holding", int(name.removeprefix("at")))] = word
    return row


def reading(profile: Profile, words: np.ndarray) -> dict[str, tuple[float, int]]:
    value, quality = decode(profile, words)
    return dict(zip(profile.quantities, zip(value[0].tolist(), quality[0].tolist(), strict=True), strict=True))


@pytest.mark.parametrize(
    ("power", "exponent", "kw"),
    [(12345, 0xFFFF, 1.2345), (12345, 0, 12.345), (2000, 1, 20.0), (0x10000 - 5, 2, -0.5), (7, 10, 7e7), (7, 0xFFF6, 7e-13)],
)
def test_the_scale_factor_that_came_with_the_value_counts(power: int, exponent: int, kw: float) -> None:
    assert reading(INVERTER, inverter_words(at14=power, at15=exponent))["active_power"] == (kw, 0)


@pytest.mark.parametrize("exponent", [0x8000, 11, 0xFFF5, 300])
def test_a_scale_factor_out_of_bounds_makes_its_value_missing(exponent: int) -> None:
    value, quality = reading(INVERTER, inverter_words(at14=2000, at15=exponent))["active_power"]
    assert np.isnan(value)
    assert quality == int(ABSENT)


def test_sentinels_of_each_type_are_missing_even_with_a_good_scale_factor() -> None:
    row = reading(INVERTER, inverter_words(at6=0, at15=0, at26=0, at2=0xFFFF, at14=0x8000, at24=0, at25=0, at38=0xFFFF))
    for name in ("current", "active_power", "energy_import", "operating_state"):
        assert np.isnan(row[name][0]) and row[name][1] == int(ABSENT), name


def test_an_infinite_float_is_an_overflow_and_no_number() -> None:
    profile = PROFILES["sim_rectifier_dc_meter"]
    words = encode(profile, np.ones((1, 5)))
    words[0, place_of(profile, "input", 200)] = 0x7F80
    words[0, place_of(profile, "input", 201)] = 0
    value, quality = reading(profile, words)["dc_current"]
    assert np.isnan(value)
    assert quality == int(Quality.INVALID | Quality.OVERFLOW)


def test_bits_coils_and_listed_sentinels() -> None:
    profile = parse_profile(TABLES, "made.toml")
    words = encode(profile, np.array([[1.0, 0.0, 1.0, np.nan], [0.0, 1.0, 0.0, 50.0]]))
    assert words[:, place_of(profile, "holding", 8)].tolist() == [0x0001, 0x8000]
    assert words[:, place_of(profile, "holding", 9)].tolist() == [0, 5000]
    value, quality = decode(profile, words)
    np.testing.assert_array_equal(value, [[1, 0, 1, np.nan], [0, 1, 0, 50]])
    assert quality[0, 3] == int(ABSENT)


def test_a_gauge_saturates_beside_its_sentinel() -> None:
    profile = PROFILES["sim_bess"]
    value, quality = decode(profile, encode(profile, np.array([[1e9, 1.0, 1.0, 1e9, 2.0], [-1e9, 1.0, 1.0, -5.0, 2.0]])))
    column = profile.quantities.index("state_of_charge")
    assert value[:, column].tolist() == [6553.4, 0.0]
    assert value[:, 0].tolist() == [2147483.647, -2147483.647]
    assert not quality.any()


def test_a_missing_value_without_a_sentinel_cannot_be_served() -> None:
    profile = PROFILES["sim_rectifier_dc_meter"]
    with pytest.raises(ValueError, match="dc_energy has no sentinel"):
        encode(profile, np.full((1, 5), np.nan))


def test_wrong_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"decoded from uint16\[n, 37\]"):
        decode(INVERTER, np.zeros((2, 36), np.uint16))
    with pytest.raises(ValueError, match=r"encoded from float64\[n, 15\]"):
        encode(INVERTER, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="read over MQTT"):
        width(PROFILES["sim_ladle_scale"])


def test_an_unread_scale_factor_takes_all_its_quantities_with_it() -> None:
    unread = np.zeros(width(INVERTER), bool)
    unread[place_of(INVERTER, "holding", 6)] = True
    touched = [q for q, hit in zip(INVERTER.quantities, columns_touching(INVERTER, unread), strict=True) if hit]
    assert touched == ["current", "current_l1", "current_l2", "current_l3"]


def test_no_rows_are_no_rows() -> None:
    value, quality = decode(INVERTER, np.zeros((0, width(INVERTER)), np.uint16))
    assert value.shape == quality.shape == (0, len(INVERTER.quantities))


@pytest.mark.parametrize("huge", [1.7e308, -1.7e308, float("inf")])
def test_a_number_that_its_unit_makes_infinite_is_told_without_a_warning(huge: float) -> None:
    text = """
[profile]
id = "made"
title = "made"
kind = "meter"
source = "this test"

[modbus]
table = "holding"
points = [{ name = "active_power", at = 0, type = "float64", unit = "MW" }]

[[golden]]
origin = "written by hand"
words = { 0 = 16368, 1 = 0, 2 = 0, 3 = 0 }
expect = { active_power = 1000 }
"""
    profile = parse_profile(text, "made.toml")
    words = np.frombuffer(np.array([huge], ">f8").tobytes(), ">u2").astype(np.uint16)[None, :]
    value, quality = decode(profile, words)
    assert np.isnan(value).all()
    assert quality.tolist() == [[int(Quality.INVALID | Quality.OVERFLOW)]]
