"""The demo's site file: what the issue lists, and nothing of the hidden truth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from devices.catalog import shipped_profiles
from plant.config import parse_site
from plant.site import Site
from simulators.demo_site import Ports, demo_site_toml
from simulators.parameters import BUS_OF
from simulators.ports import choose_ports


def test_branches_are_those_of_the_model(site: Site) -> None:
    assert set(site.branches) == {*BUS_OF, "coupler"}
    assert all(site.branches[name].bus == f"bus-{bus}" for name, bus in BUS_OF.items())
    kinds = Counter(branch.kind for branch in site.branches.values())
    assert kinds["grid_tie"] == 2 and kinds["coupler"] == 1 and kinds["generator"] == 1 and kinds["pv"] == 3
    assert kinds["storage"] == 1 and kinds["rectifier_group"] == 5
    purposes = {branch.purpose for branch in site.branches.values()}
    assert {"fume_treatment", "desulphurisation", "compressed_air", "casthouse", "auxiliary"} <= purposes


def test_every_branch_has_a_main_meter_and_ties_a_check_meter(site: Site) -> None:
    for branch in site.branches.values():
        assert site.points_of(branch.id)[0].rank == "main"
    for tie in ("tie-1", "tie-2"):
        assert [p.rank for p in site.points_of(tie)] == ["main", "check"]
    for group in site.branches_of("rectifier_group"):
        assert len(site.points_of(group.id, "dc")) == 1


def test_equal_arguments_give_the_same_edition(tmp_path: Path, ports: Ports) -> None:
    folder = str(tmp_path / "a 'quoted' \"name\"")
    editions = {parse_site(demo_site_toml(ports, api_port=8000, data_dir=folder), "a").edition for _ in range(2)}
    assert len(editions) == 1
    assert parse_site(demo_site_toml(ports, api_port=8000, data_dir=folder), "a").data_dir == folder
    assert parse_site(demo_site_toml(ports, api_port=8001), "a").edition not in editions


def test_profiles_are_shipped(ports: Ports) -> None:
    parse_site(
        demo_site_toml(ports, api_port=8000, mqtt_version=4),
        "a",
        known_profiles={p.id: p.protocol for p in shipped_profiles().values()},
    )


def test_ports_stay_unless_they_are_taken() -> None:
    first = choose_ports({})
    wanted = {name: getattr(first, name) for name in Ports.names()}
    assert choose_ports(wanted) == first
    assert len(set(wanted.values())) == len(Ports.names())
    with pytest.raises(OverflowError):
        choose_ports({"broker": 70_000})
