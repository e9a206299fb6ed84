"""The energy dashboard: what it shows, which limits it names, and what it never does."""

from __future__ import annotations

import json
from datetime import date

import pytest

from dashboards.build import dashboards, queries, write_dashboards
from dashboards.panels import InfluxTargetBuilder, PanelText, time_panel
from dashboards.statements import Statement, derived_mean
from plant.config import parse_site
from plant.rulebook import parse_rules, shipped_rule_texts
from simulators.demo_site import Ports, demo_site_toml

RULEBOOK = parse_rules(shipped_rule_texts())
SITE = parse_site(demo_site_toml(Ports(*range(5020, 5020 + len(Ports.names()))), api_port=8000), "site.toml")
AT = date(2026, 9, 1)


def energy(site=SITE, at=AT):
    return dashboards(site, RULEBOOK, at)["potwatt-energy"]


def panels(dashboard, start):
    return [panel for panel in dashboard["panels"] if panel["title"].startswith(start)]


def steps(panel):
    return [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_each_line_has_its_energy_per_tonne_with_the_limits_of_the_rulebook():
    limits = sorted(float(RULEBOOK.in_force(name, AT).value) for name in ("benchmark", "baseline"))
    for line in SITE.potlines.values():
        over_time = panels(energy(), f"AC energy per tonne, molten (e1) 铝液交流电耗: {line.title_en}")
        for panel in (*over_time, *panels(energy(), f"e1 {line.title_en}")):
            assert steps(panel) == [None, *limits]
            assert "NDRC etc. 2021 No. 1609" in panel["description"]
        assert len(over_time) == 1


def test_limits_are_those_in_force_on_the_day():
    assert steps(panels(energy(at=date(2021, 6, 1)), "e1 ")[0]) == [None]


def test_the_green_share_is_drawn_against_the_plants_own_target_alone():
    assert steps(panels(energy(), "Green share")[0])[-1] == SITE.accounting.green_share_target_percent


def test_nothing_carries_a_value_over_a_gap_and_every_query_is_bounded_in_time():
    for query in queries(energy()):
        assert "$timeFilter" in query.text
        assert "fill(previous)" not in query.text
        assert "last(" not in query.text
        assert "INTO" not in query.text
    for panel in energy()["panels"]:
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False


def test_branches_and_meters_bear_the_names_people_know():
    names = {
        property_["value"]
        for panel in energy()["panels"]
        for override in panel["fieldConfig"]["overrides"]
        for property_ in override["properties"]
    }
    assert {f"{b.title_en} {b.title_zh}" for b in SITE.branches.values()} <= names


def test_it_is_shown_in_the_plants_zone_and_its_panels_do_not_overlap():
    dashboard = energy()
    assert dashboard["timezone"] == "Asia/Shanghai"
    cells = [
        (x, y)
        for position in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(position["x"], position["x"] + position["w"])
        for y in range(position["y"], position["y"] + position["h"])
    ]
    assert len(cells) == len(set(cells))


def test_a_plant_without_potlines_and_pv_has_no_empty_panels():
    text = """
    [plant]
    id = "works"
    name = { en = "Works" }
    [[bus]]
    id = "b"
    [[branch]]
    id = "tie"
    kind = "grid_tie"
    bus = "b"
    """
    dashboard = energy(parse_site(text, "site.toml"))
    assert all(panel["targets"] for panel in dashboard["panels"])
    assert not panels(dashboard, "PV and storage")


def test_files_for_provisioning_hold_the_same_dashboards(tmp_path):
    (path,) = write_dashboards(SITE, RULEBOOK, tmp_path / "new", AT)
    assert json.loads(path.read_text("utf-8")) == energy()


def test_more_than_26_queries_of_a_panel_have_names_of_their_own():
    statement = Statement("1m", "SELECT 1", "")
    panel = time_panel("p", PanelText("t", "", "short"), [statement] * 60, interval="1m").build()
    names = [target.ref_id for target in panel.targets]
    assert names[24:28] == ["Y", "Z", "AA", "AB"]
    assert len(set(names)) == 60


@pytest.mark.parametrize(("name", "quoted"), [("o'brien", r"'o\'brien'"), ("a\\", "'a\\\\'")])
def test_names_are_quoted(name, quoted):
    assert quoted in derived_mean(name, "1m", "active_power", ["plant"], "").text
    assert InfluxTargetBuilder("p", "A", Statement("1m", "x", "")).build().uid == "potwatt-p-1m"
