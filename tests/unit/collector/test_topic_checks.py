"""Topics that `run` would refuse, never read, or read as another's are faults of the site file."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.mqtt_checks import broker_faults
from devices.catalog import shipped_profiles
from plant.config import parse_site

PROFILES = shipped_profiles()
VALUE = PROFILES["sim_sub_meter_value"].mqtt
assert VALUE is not None
SUFFIX = f"/{VALUE.points[0].path}"
EDGE, SUB, FEEDER = "sim_edge_sparkplug", "sim_sub_meter_value", "sim_feeder_mqtt"


def said(*meters: tuple[str, str], endpoint: str = "b") -> list[str]:
    rows = "".join(
        f'[[meter]]\nid = "m{i}"\nprofile = "{profile}"\nendpoint = "{endpoint if i else "b"}"\ntopic = "{topic}"\n'
        for i, (profile, topic) in enumerate(meters)
    )
    text = f"""
plant = {{ id = "p", name = {{ en = "P" }}, zone = "Asia/Shanghai" }}
bus = [{{ id = "x" }}]
[[endpoint]]
id = "b"
protocol = "mqtt"
host = "127.0.0.1"
port = 1883
[[endpoint]]
id = "c"
protocol = "mqtt"
host = "127.0.0.1"
port = 1884
{rows}"""
    return [str(fault) for fault in broker_faults(parse_site(text, "site.toml"), PROFILES, Path(), "site.toml")]


@pytest.mark.parametrize(
    "topic", ["spBv1.0/g/DBIRTH/n/d", "spBv1.0/g/DDATA/n", "spBv1.0/g/NDATA/n/d", "plant/m", "spBv1.0//DDATA/n/d"]
)
def test_a_sparkplug_topic_without_data_is_a_fault(topic: str) -> None:
    (fault,) = said((EDGE, topic))
    assert "meter[m0].topic" in fault
    assert "DDATA" in fault


def test_topics_of_data_are_none() -> None:
    assert not said((EDGE, "spBv1.0/g/DDATA/n/d"), (EDGE, "spBv1.0/g/NDATA/n"), (SUB, "plant/a"), (FEEDER, "plant/f"))


def test_a_topic_of_sparkplug_with_another_payload_is_never_read() -> None:
    assert "outside spBv1.0/" in said((FEEDER, "spBv1.0/g/DDATA/n/d"))[0]


def test_two_meters_on_one_topic_by_what_follows_it() -> None:
    (fault,) = said((SUB, "plant/a"), (FEEDER, f"plant/a{SUFFIX}"))
    assert "that of m0" in fault
    assert not said((SUB, "plant/a"), (FEEDER, f"plant/a{SUFFIX}"), endpoint="c"), "brokers have topics of their own"
