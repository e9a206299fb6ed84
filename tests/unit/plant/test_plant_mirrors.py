"""[[mirror]] of the site file: what it becomes, and what is refused."""

from __future__ import annotations

import pytest

from plant.config import parse_site
from plant.errors import ConfigError
from plant.site import best_effort_sinks, required_sinks

HEAD = """
[plant]
id = "works"
name = { en = "Works" }
[[bus]]
id = "b"
[store]
kind = "influxdb"
url = "http://127.0.0.1:8086"
"""
GROUP = """
[[mirror]]
id = "group"
url = "https://influx.group.example:8086"
database = "works_1"
username = "potwatt"
password_env = "GROUP_PASSWORD"
raw_days = 30
"""
STANDBY = """
[[mirror]]
id = "standby"
need = "required"
url = "http://127.0.0.2:8086"
"""


def faults_of(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_site(text, "site.toml")
    return [(fault.key, fault.allowed) for fault in caught.value.faults]


def test_mirrors_become_sinks_of_the_spool() -> None:
    site = parse_site(HEAD + GROUP + STANDBY, "site.toml")
    group, standby = site.mirrors
    assert (group.sink, group.need, standby.need) == ("mirror-group", "best_effort", "required")
    assert (group.store.kind, group.store.database, group.store.password_env) == ("influxdb", "works_1", "GROUP_PASSWORD")
    assert (group.store.raw_days, standby.store.raw_days) == (30, 90)
    assert required_sinks(site) == ("store", "mirror-standby")
    assert best_effort_sinks(site) == ("mirror-group",)


def test_without_mirrors_the_store_is_the_only_sink() -> None:
    site = parse_site(HEAD, "site.toml")
    assert (site.mirrors, required_sinks(site), best_effort_sinks(site)) == ((), ("store",), ())


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        (GROUP.replace("https://", "https://me:secret@"), "mirror[group].url", "the address alone"),
        (STANDBY.replace("127.0.0.2", "127.0.0.1"), "mirror[standby].url", "another server or database"),
        (GROUP + GROUP, "mirror[group].id", "an id used once"),
        (GROUP.replace("https", "ftp"), "mirror[group].url", "^https?://"),
        (GROUP + 'need = "perhaps"\n', "mirror[group].need", "required"),
        (GROUP.replace("works_1", "works 1"), "mirror[group].database", "A-Za-z0-9_-"),
        (GROUP + "colour = 1\n", "mirror[group].colour", "remove it"),
        (STANDBY.replace("url", "# url"), "mirror[standby].url", "required"),
    ],
)
def test_fault_is_named_at_its_key(text: str, key: str, allowed: str) -> None:
    found = faults_of(HEAD + text)
    assert [(k, allowed in a) for k, a in found] == [(key, True)], found


def test_no_fault_quotes_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_site(HEAD + GROUP.replace("https://", "https://me:secret@"), "site.toml")
    assert "secret" not in str(caught.value)
