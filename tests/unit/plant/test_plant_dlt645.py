"""What the site file says of DL/T 645 meters."""

from __future__ import annotations

import pytest

from plant.config import parse_site
from plant.errors import ConfigError

SITE = """
[plant]
id = "works-1"
name = { en = "Works", zh = "一厂" }
zone = "Asia/Shanghai"
shift_starts = ["00:00:00", "08:00:00", "16:00:00"]

[[bus]]
id = "north"

[[branch]]
id = "tie-1"
kind = "grid_tie"
bus = "north"

[[potline]]
id = "l1"
[[potline.pots]]
valid_from = 2026-01-01T00:00:00+08:00
running = 200

[[endpoint]]
id = "hall"
protocol = "dlt645_over_tcp"
host = "127.0.0.1"
port = 8899

[[meter]]
id = "one"
profile = "dlt645_2007_three_phase"
endpoint = "hall"
address = "000000000001"

[[meter]]
id = "two"
profile = "dlt645_2007_three_phase"
endpoint = "hall"
address = "000000000002"
"""
KNOWN = {"dlt645_2007_three_phase": "dlt645", "sim_ac_meter": "modbus"}


def faults_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_site(text, "site.toml", known_profiles=KNOWN)
    return str(caught.value)


def test_meters_of_a_line_are_told_apart_by_their_digits() -> None:
    site = parse_site(SITE, "site.toml", known_profiles=KNOWN)
    assert [m.address for m in site.meters.values()] == ["000000000001", "000000000002"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"000000000002"',
            '"000000000001"',
            "meter[two].address: found '000000000001'; an address of its own; one has it on hall",
        ),
        ('address = "000000000002"', "", "meter[two].address: found ''; the twelve digits on the meter's plate"),
        ('"000000000002"', '"999999999999"', "meter[two].address: found '999999999999'; the twelve digits"),
        ('"000000000002"', '"AAAAAAAAAAAA"', "meter[two].address"),
        ('id = "two"\nprofile = "dlt645_2007_three_phase"', 'id = "two"\nprofile = "sim_ac_meter"', "this one speaks modbus"),
    ],
)
def test_each_mistake_is_named(old: str, new: str, message: str) -> None:
    assert old in SITE
    assert message in faults_of(SITE.replace(old, new, 1))
