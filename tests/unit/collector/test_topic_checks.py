"""Topics that `run` would refuse, never read, or read as another's are faults of the site file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analytics.samples import completeness
from collector.mqtt_checks import broker_faults
from collector.topic_checks import unknown_spacing
from devices.catalog import shipped_profiles
from plant.config import parse_site
from plant.site import Site

PROFILES = shipped_profiles()
VALUE = PROFILES["sim_sub_meter_value"].mqtt
assert VALUE is not None
SUFFIX = f"/{VALUE.points[0].path}"
EDGE, SUB, FEEDER = "sim_edge_sparkplug", "sim_sub_meter_value", "sim_feeder_mqtt"


def parsed(*meters: tuple[str, str], endpoint: str = "b", more: str = "") -> Site:
    rows = "".join(
        f'[[meter]]\nid = "m{i}"\nprofile = "{profile}"\nendpoint = "{endpoint if i else "b"}"\ntopic = "{topic}"\n{more}'
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
    return parse_site(text, "site.toml")


def said(*meters: tuple[str, str], endpoint: str = "b") -> list[str]:
    return [str(fault) for fault in broker_faults(parsed(*meters, endpoint=endpoint), PROFILES, Path(), "site.toml")]


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


def test_a_device_that_reports_by_exception_has_to_say_how_often_at_the_least() -> None:
    meters = (EDGE, "spBv1.0/g/DDATA/n/d"), (SUB, "plant/a"), (FEEDER, "plant/f")
    notes = unknown_spacing(parsed(*meters), PROFILES)
    assert [note.partition(".")[0] for note in notes] == ["meter[m0]", "meter[m1]"]
    assert unknown_spacing(parsed(*meters, more="poll_interval_s = 300\n"), PROFILES) == []


def test_with_that_said_changes_now_and_then_are_complete() -> None:
    changes_ns = np.sort(np.random.default_rng(1).integers(0, 900_000, 12)) * 10**6
    assert completeness(changes_ns, np.array([0, 900]) * 10**9, 300.0).tolist() == [1.0]
