"""Explanations over HTTP and on a terminal: which span is meant, both languages, the whole of a tree."""

from __future__ import annotations

import io
from typing import Any

import httpx
import orjson
import pytest
from explained_month import explained_month
from rich.console import Console

from api.render.table import Lang
from api.routes_explain import explained_json
from potwatt.explain_cli import drawn

URL = "/api/v1/plants/demo/explain"
E1 = {"indicator": "specific_energy_e1"}


@pytest.mark.parametrize(
    "asked",
    [{"period": "2026-05"}, {"period": "2026"}, {"span": "last_24h"}, {"start": "-24h"}, {"start": "-24h", "end": "-1h"}],
)
async def test_a_span_is_named_in_one_of_three_ways(client: httpx.AsyncClient, asked: dict[str, str]) -> None:
    answer = await client.get(URL, params=E1 | asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["tree"]["name"] == "specific_energy_e1"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (E1, "give one of"),
        (E1 | {"period": "2026-05", "span": "day"}, "give one of"),
        (E1 | {"period": "2026-13"}, "2026-13"),
        ({"indicator": "specific_energy_e9", "span": "day"}, "specific_energy_e1"),
        ({"indicator": "islandings", "span": "day"}, "no figure 'islandings'"),
    ],
)
async def test_what_cannot_be_explained_is_said(client: httpx.AsyncClient, asked: dict[str, str], said: str) -> None:
    answer = await client.get(URL, params=asked)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


async def test_a_figure_may_be_named_with_its_unit(client: httpx.AsyncClient) -> None:
    named = await client.get(URL, params={"indicator": "specific_energy_e1_kwh_per_t", "node": "line:line-1", "span": "day"})
    assert named.json()["tree"]["value"] == 12_962.1


def causes(cause: dict[str, Any]) -> list[dict[str, Any]]:
    return [cause, *(inner for below in cause["causes"] for inner in causes(below))]


def test_a_tree_is_plain_json_in_both_languages() -> None:
    whole = explained_month().whole["e1"]
    languages: tuple[Lang, ...] = ("en", "zh")
    told = {lang: explained_json("demo", "2026-11", whole, lang) for lang in languages}
    titles = {"en": "AC energy per tonne, molten (e1)", "zh": "铝液交流电耗"}
    for lang in languages:
        assert told[lang]["tree"]["title"] == titles[lang]
        assert orjson.loads(orjson.dumps(told[lang])) == orjson.loads(orjson.dumps(told[lang], option=orjson.OPT_SORT_KEYS))
    english, chinese = (causes(told[lang]["tree"]) for lang in languages)
    assert [c["name"] for c in english] == [c["name"] for c in chinese]
    assert {c["kind"] for c in english} >= {"figure", "branch", "point", "mounting", "gap", "incident", "ledger", "rule"}


def test_a_terminal_shows_formula_check_gap_and_wrap() -> None:
    console = Console(width=400, file=io.StringIO(), record=True)
    console.print(drawn(explained_json("demo", "2026-11", explained_month().whole["e1"], "en")["tree"]))
    text = console.export_text()
    assert "<- rectifier_energy / metal_produced  (worked out again: agrees)" in text
    assert "incident wrap" in text
    assert "the register passed its end" in text
    assert "rule faraday-yield  = 0.335573 kg/kAh" in text
