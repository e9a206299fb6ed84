"""A meter listens to one topic: the messages of a wildcard would be taken from the broker and belong to nobody."""

from __future__ import annotations

import pytest

from plant.config import parse_site
from plant.errors import ConfigError

SITE = """
[plant]
id = "works"
name = {{ en = "Works" }}
[[bus]]
id = "main"
[[endpoint]]
id = "broker"
protocol = "mqtt"
host = "127.0.0.1"
port = 1883
topics = ["plant/#"]
[[meter]]
id = "m1"
profile = "any"
endpoint = "broker"
topic = "{topic}"
"""


def test_wildcards_are_for_the_endpoint() -> None:
    assert parse_site(SITE.format(topic="plant/m1"), "site.toml").meters["m1"].topic == "plant/m1"


@pytest.mark.parametrize("topic", ["plant/#", "plant/+/power"])
def test_wildcards_of_a_meter_are_a_fault(topic: str) -> None:
    with pytest.raises(ConfigError, match=r"meter\[m1\]\.topic: found .*; one topic without wildcards"):
        parse_site(SITE.format(topic=topic), "site.toml")
