"""What `check` says of brokers: streams that cannot be shared, TLS files that are none, what QoS 0 gives up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from collector.mqtt_checks import broker_faults, losses
from devices.catalog import shipped_profiles
from plant.config import parse_site
from plant.site import Site

TEXT = """
[plant]
id = "works"
name = { en = "Works" }
[[bus]]
id = "b1"
[[endpoint]]
id = "broker"
protocol = "mqtt"
host = "h"
port = 8883
client_id = "one"
shared_group = "g"
[[meter]]
id = "m1"
profile = "sim_feeder_mqtt"
endpoint = "broker"
topic = "plant/m1"
"""
FEEDER = shipped_profiles()["sim_feeder_mqtt"]
assert FEEDER.mqtt is not None


def site(**changes: object) -> Site:
    parsed = parse_site(TEXT, "site.toml")
    broker = replace(parsed.endpoints["broker"], **changes)  # type: ignore[arg-type]
    return replace(parsed, endpoints={"broker": broker})


def test_a_group_is_for_messages_that_can_be_told_apart_by_anybody() -> None:
    assert FEEDER.mqtt is not None
    timeless = replace(FEEDER, mqtt=replace(FEEDER.mqtt, time=None))
    edge = replace(FEEDER, mqtt=replace(FEEDER.mqtt, format="sparkplug"))
    assert broker_faults(site(), {FEEDER.id: FEEDER}, Path(), "site.toml") == []
    assert broker_faults(site(shared_group=""), {FEEDER.id: timeless}, Path(), "site.toml") == []
    for profile, words in ((timeless, "without a time"), (edge, "Sparkplug B has a meaning only for")):
        faults = broker_faults(site(), {FEEDER.id: profile}, Path(), "site.toml")
        (fault,) = (fault for fault in faults if fault.key == "endpoint[broker].shared_group")
        assert words in fault.allowed


def test_amounts_need_a_time() -> None:
    assert FEEDER.mqtt is not None
    point = replace(FEEDER.mqtt.points[0], name="metal_tapped")
    events = replace(FEEDER, mqtt=replace(FEEDER.mqtt, time=None, points=(point,)))
    (fault,) = broker_faults(site(shared_group=""), {FEEDER.id: events}, Path(), "site.toml")
    assert (fault.key, "metal_tapped" in fault.allowed) == ("meter[m1].profile", True)


def test_tls_files_are_looked_at_beside_the_site_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "missing.pem"):
        (fault,) = broker_faults(site(tls=True, ca_file=name), {}, tmp_path, "site.toml")
        assert str(tmp_path / name) in fault.found
    assert broker_faults(site(tls=True), {}, tmp_path, "site.toml") == []


def test_quality_of_service_0_is_said_to_lose() -> None:
    assert losses(site()) == []
    assert "endpoint[broker].qos = 0" in losses(site(qos=0))[0]
