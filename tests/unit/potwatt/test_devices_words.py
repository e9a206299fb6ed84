"""What `potwatt devices show` says of a point, and which texts are one host."""

from __future__ import annotations

import pytest

from devices.catalog import shipped_profiles
from plant.errors import InputError
from potwatt.devices_cli import points_in_words
from potwatt.probe_cli import host_and_port

PROFILES = shipped_profiles()


@pytest.mark.parametrize(
    ("profile", "quantity", "where"),
    [
        ("sim_logger_csv", "active_power", "column P"),
        ("sim_edge_sparkplug", "active_power", "metric Power/Active"),
        ("sim_sub_meter_value", "frequency", "topic grid/frequency"),
        ("sim_feeder_mqtt", "active_power", "path /"),
        ("dlt645_2007_three_phase", "energy_import", "data 00010000  8 digits"),
        ("dlt645_2007_three_phase", "current_l2", "data 0202FF00, value 2  6 digits, signed"),
        ("solaredge_meter", "active_power", "holding 203/18"),
    ],
)
def test_every_point_says_where_it_stands(profile: str, quantity: str, where: str) -> None:
    lines = points_in_words(PROFILES[profile])
    line = next(line for line in lines if line.startswith(f"{quantity} "))
    assert where in "  ".join(cell.strip() for cell in line.split("  ") if cell.strip())


@pytest.mark.parametrize("profile", PROFILES)
def test_no_place_is_left_blank(profile: str) -> None:
    lines = points_in_words(PROFILES[profile])
    at = lines[0].index("where")
    assert all(line[at : at + 1].strip() for line in lines[1:])


@pytest.mark.parametrize(
    "text",
    [
        *("0x7f.1", "0x7f000001", "127.1", "gateway.7", "0X0A.1:502", "10.0.0.255", "10.0.0.0", "255.255.255.255", "240.0.0.1"),
        *("224.0.0.1", "[::ffff:255.255.255.255]", "[::ffff:10.0.0.255]", "[ff02::1]", "0.0.0.0", "10.0.0.1-9"),
    ],
)
def test_what_may_be_no_single_device_is_not_asked(text: str) -> None:
    with pytest.raises(InputError):
        host_and_port(text, 502)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.5", ("10.0.0.5", 502)),
        ("gateway-3:1502", ("gateway-3", 1502)),
        ("7.plant.example", ("7.plant.example", 502)),
        ("localhost", ("localhost", 502)),
        ("[fd00::5]:502", ("fd00::5", 502)),
    ],
)
def test_one_host_is_taken(text: str, expected: tuple[str, int]) -> None:
    assert host_and_port(text, 502) == expected
