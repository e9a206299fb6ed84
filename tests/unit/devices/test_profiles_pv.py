"""Profiles of PV, storage and weather against replies that others published, cut into words here and not by the profile."""

from __future__ import annotations

import math

import numpy as np
import pytest

from devices.catalog import shipped_profiles
from devices.codec import decode, encode, place_of, width
from devices.image import plan_addresses
from devices.layout import modbus_map
from devices.maps import Profile

PROFILES = shipped_profiles()
OURS = [
    "goodwe_mt",
    "huawei_luna2000",
    "huawei_sun2000",
    "hukseflux_sr05_pv",
    "hukseflux_sr20",
    "imt_si_rs485",
    "kipp_zonen_smp",
    "kipp_zonen_smp12",
    "lufft_ws600",
    "sma_sunny_central_us",
    "sma_sunny_sensorbox",
    "solaredge_meter",
    "solis_s5_gr3p",
    "sungrow_sg110cx",
    "sungrow_sg_rs",
    "sungrow_sg_rt",
]

# Bytes of registers as published, without the frame around them; the address of the first; what the source says of them.
REPLIES = {
    "goodwe GW50KS-MT: marcelblijleven/goodwe, 30100": (
        "goodwe_mt",
        30100,
        "1a031d0c153a1ba800a41c4100911cea00b31d2700af000000000c3600030fe60fd40fd8092e092d09190326032703261389138a13890000bb5f"
        "00010000000000000000dc90ffff8b700000c4a40351000001560179017901ab00014e4100000521000200002e70000029890000367800003612"
        "000000000000008000421d180e84000001000000019b0000017900a80025",
        {"voltage_l1_n": 235.0, "voltage_l2_n": 234.9, "voltage_l3_n": 232.9, "active_power": 47.967, "frequency": 50.01},
    ),
    "huawei SUN2000L: wlcrs/huawei_solar issue 307, 32064": (
        "huawei_sun2000",
        32064,
        "000012c4097b0000000004c500020000000004b9000000000000000000000de1000001150000000103e813882710016a0bb802000000645df650"
        "ffffffff000001160000000000000000000000000000000010fc0001dfad00020f41645e5ec30000001c00000218",
        {
            "dc_power": 4.804,
            "voltage_l1_n": 122.1,
            "current_l1": 1.209,
            "active_power": 0.277,
            "frequency": 50.0,
            "energy_import": 1227.97,
        },
    ),
    "kipp & zonen SMP: manual, page 46": (
        "kipp_zonen_smp",
        2,
        "00010000000003e503e5000000f800ea",
        {"irradiance": 997.0, "sensor_temperature": 24.8, "operating_state": 1.0},
    ),
    "hukseflux SR05: manual, page 54": ("hukseflux_sr05_pv", 0x1000, "0040000500017c4f", {"irradiance": 973.59}),
    "solaredge meter: evcc issue 15445, 40190": (
        "solaredge_meter",
        2,
        "006700300008002effff5bfd5bfd5c4f5a690000000000000000fffe1385fffeffc6043fff85fc02000001e804560094040d0000fe1bff1effaf"
        "ff4f0000080fdae519462403fffe01448402015e60540000000000000000011408200028f5e80053b62200b13867000000000000000000000000"
        "000000000000000000000000000000000000000000008000",
        {
            "active_power": 0.058,
            "current_l1": 4.8,
            "frequency": 49.97,
            "voltage_l1_n": 235.49,
            "energy_export": 21267.458,
            "energy_import": 18090.016,
        },
    ),
    "sungrow SG8.0RS: SunGather issue 111, 5000": (
        "sungrow_sg_rs",
        5000,
        "0050000001a9002b0000000d00000162037e000008d200040b9f00020935000201070000098100000000002c"
        + "0000" * 8
        + "0103000003580000010001f400000000",
        {"active_power": 0.259, "reactive_power": 0.856, "apparent_power": 0.894, "frequency": 50.0, "cabinet_temperature": 35.4},
    ),
    "sungrow: the maker's example of a total yield, 4999": (
        "sungrow_sg_rs",
        4999,
        "0132002800000000000500000026000000000000",
        {"energy_import": 5.0, "cabinet_temperature": 0.0},
    ),
    "sungrow: the maker's example of a state, 5037": (
        "sungrow_sg_rs",
        5037,
        "550007df000c00150004000c003b000a",
        {"operating_state": 21760.0},
    ),
}


def reading(profile: Profile, first: int, published: str) -> dict[str, float]:
    """What the profile makes of a reply; words that its plan reads and the reply lacks stay 0 and are not asserted."""
    row = np.zeros((1, width(profile)), np.uint16)
    content = bytes.fromhex(published)
    for i in range(len(content) // 2):
        try:
            row[0, place_of(profile, modbus_map(profile).points[0].table, first + i)] = int.from_bytes(
                content[2 * i : 2 * i + 2], "big"
            )
        except KeyError:
            continue  # a register that the plan does not read
    return dict(zip(profile.quantities, decode(profile, row)[0][0].tolist(), strict=True))


@pytest.mark.parametrize("case", REPLIES)
def test_a_published_reply_reads_as_its_source_says(case: str) -> None:
    profile, first, published, expected = REPLIES[case]
    got = reading(PROFILES[profile], first, published)
    assert {name: got[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_power_of_the_recorded_inverter_closes_the_triangle() -> None:
    profile, first, published, _ = REPLIES["sungrow SG8.0RS: SunGather issue 111, 5000"]
    got = reading(PROFILES[profile], first, published)
    assert math.hypot(got["active_power"], got["reactive_power"]) == pytest.approx(got["apparent_power"], abs=0.001)


def test_phases_of_the_recorded_meter_add_up() -> None:
    profile, first, published, _ = REPLIES["solaredge meter: evcc issue 15445, 40190"]
    got = reading(PROFILES[profile], first, published)
    assert sum(got[f"active_power_l{i}"] for i in (1, 2, 3)) == pytest.approx(got["active_power"], abs=0.001)


def test_power_of_the_recorded_meter_has_the_sign_of_its_counters() -> None:
    """On the wire -58 W while the site imports (sources in the profile): import is positive, as energy_import counts."""
    profile, first, published, _ = REPLIES["solaredge meter: evcc issue 15445, 40190"]
    got = reading(PROFILES[profile], first, published)
    assert (got["active_power"], got["active_power_l1"], got["reactive_power"]) == pytest.approx((0.058, -1.087, 0.485))
    assert all(p.scale < 0 for p in modbus_map(PROFILES[profile]).points if p.name.startswith(("active", "reactive")))


@pytest.mark.parametrize("name", OURS)
def test_a_simulated_device_is_read_back(name: str) -> None:
    profile = PROFILES[name]
    value = np.arange(1, len(profile.quantities) + 1)[None, :] / 10  # a number for each that its register can hold, or nearly
    served = dict(zip(plan_addresses(profile), encode(profile, value)[0].tolist(), strict=True))
    first = decode(profile, np.array([[served[key] for key in plan_addresses(profile)]], np.uint16))[0]
    again = decode(profile, encode(profile, first))[0]
    assert not np.isnan(first).any()
    np.testing.assert_array_equal(again, first)
    np.testing.assert_allclose(first, value, atol=0.5)  # the coarsest register has steps of one
