"""The month and the year at a glance: every row with what it rests on, in both languages."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from api_sample import NS, RULES, Sample

from api.overview import KEPT_S
from api.render.table import limit_word
from plant.errors import StoreUnavailable

PATH = "/api/v1/plants/demo/overview"


async def _asked(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get(PATH)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for group in document["groups"] for row in group["rows"]}


async def test_every_row_says_what_it_rests_on_in_both_languages(client: httpx.AsyncClient) -> None:
    document = await _asked(client)
    rows = _rows(document)
    assert (document["month"], document["year"], document["faults"]) == ("2026-05", "2026", {})
    assert {"green_share_physical_percent", "specific_energy_e1_kwh_per_t", "tariff_steps_steps"} <= rows.keys()
    for row in rows.values():
        assert {"value", "low", "high", "completeness", "measured_share"} <= row.keys()
        assert row["title"]["en"] != row["title"]["zh"]
    e1 = rows["specific_energy_e1_kwh_per_t"]
    benchmark = next(limit for limit in e1["limits"] if limit["id"] == "benchmark")
    assert (benchmark["title"]["zh"], benchmark["word"]["en"]) == ("标杆", benchmark["status"])
    assert rows["tariff_surcharge_year_yuan"]["period"] == "year"


async def test_a_factor_that_is_a_placeholder_is_named(client: httpx.AsyncClient) -> None:
    assert _rows(await _asked(client))["direct_emissions_intensity_tco2e_per_t"]["placeholders"]


async def test_the_certificate_ratio_of_a_year_hardly_measured_is_its_band_alone(client: httpx.AsyncClient) -> None:
    ratio = _rows(await _asked(client))["certificate_ratio_percent"]
    assert (ratio["value"], ratio["low"], ratio["high"]) == (None, 9.0, 44.0)
    assert ratio["note"] == {"en": "measured share 30.0% is below 50%", "zh": "实测占比 30.0% 低于 50%"}


async def test_what_must_happen_is_said_and_what_is_kept_of_a_line_is_not(client: httpx.AsyncClient) -> None:
    words = {group["id"]: group["words"] for group in (await _asked(client))["groups"]}
    assert [w["mood"] for w in words["outlook"]] == ["bad"]
    assert words["outlook"][0]["en"].count("cannot be reached") == 1
    assert "无法达到" in words["outlook"][0]["zh"]
    assert "无输出" in words["solar"][0]["zh"]
    assert words["suspects"][0]["en"] == "Casthouse, since 2026-05-20T08:00+08:00: look at its CT wiring"


async def test_a_study_that_fails_takes_no_other_figure_away(client: httpx.AsyncClient, sample: Sample) -> None:
    sample.analytics.study_error = StoreUnavailable("influxdb is away")
    document = await _asked(client)
    assert set(document["faults"]) == {"tariff", "certificates", "outlook", "solar", "suspects"}
    assert "green_share_physical_percent" in _rows(document)
    sample.analytics.study_error = None
    assert (await _asked(client))["faults"], "kept for a minute"
    sample.clock.t_ns += int(KEPT_S) * NS
    assert (await _asked(client))["faults"] == {}


@pytest.mark.parametrize("limit", sorted({r.id for r in RULES.rules if r.kind in ("upper_limit", "lower_limit")}))
def test_every_limit_has_its_name_in_both_languages(limit: str) -> None:
    assert limit_word(limit, "zh") != limit
    assert limit_word(limit, "en") != limit or "-" not in limit
