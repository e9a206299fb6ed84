"""What a site file may say of its brokers, and which topics a filter covers."""

from __future__ import annotations

import pytest

from plant.config import parse_site
from plant.errors import ConfigError
from plant.topics import covers

HEAD = '[plant]\nid = "works"\nname = { en = "Works" }\n[[bus]]\nid = "b1"\n'
MQTT = 'protocol = "mqtt"\nhost = "h"\nport = 1883\n'


def faults(*endpoints: str) -> dict[str, str]:
    text = HEAD + "".join(f'[[endpoint]]\nid = "e{i}"\n{e}' for i, e in enumerate(endpoints, 1))
    try:
        parse_site(text, "site.toml")
    except ConfigError as error:
        return {fault.key: fault.allowed for fault in error.faults if fault.key.startswith("endpoint")}
    return {}


def test_one_client_id_for_each_session() -> None:
    assert faults(MQTT, MQTT) == {}
    assert faults(MQTT + 'client_id = "a"\n', MQTT + 'client_id = "b"\nshared_group = "g"\n') == {}
    assert "e1 has it" in faults(MQTT + 'client_id = "a"\n', MQTT + 'client_id = "a"\n')["endpoint[e2].client_id"]


def test_a_collector_of_a_group_has_a_name_of_its_own() -> None:
    assert "each collector of the group" in faults(MQTT + 'shared_group = "g"\n')["endpoint[e1].client_id"]


def test_groups_are_for_brokers() -> None:
    found = faults('protocol = "modbus_tcp"\nhost = "h"\nport = 502\nshared_group = "g"\n')
    assert "mqtt has" in found["endpoint[e1].shared_group"]


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("plant/#", "plant/a/b", True),
        ("plant/#", "plant", True),
        ("plant/+/p", "plant/a/p", True),
        ("plant/+", "plant/a/p", False),
        ("plant/a", "plant/a", True),
        ("plant/a", "plant/b", False),
        ("plant/+", "plant/#", False),
        ("#", "plant/#", True),
        ("#", "$SYS/load", False),
        ("plant/a/b", "plant/a", False),
    ],
)
def test_what_a_filter_covers(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected
