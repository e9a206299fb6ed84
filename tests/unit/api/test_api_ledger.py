import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from api_sample import NOW_NS, Sample

from api.schemas import integer_amount
from plant.ports import LedgerEntry

ROOT = "/api/v1/plants/demo/ledger"
TAP: dict[str, Any] = {
    "key": "ladle-17",
    "source": "scale-1",
    "subject": "line-1",
    "start": "2026-05-28T08:00:00+08:00",
    "amount": "3.21",
    "unit": "t",
    "who": "Wang Li",
    "document": "shift sheet 3",
    "reason": "tapping",
    "data": {"pot": 17},
}


CERTIFICATE: dict[str, Any] = {"subject": "plant", "unit": "MWh", "amount": 1}


async def test_a_tap_that_arrives_twice_counts_once(client: httpx.AsyncClient) -> None:
    first = await client.post(f"{ROOT}/metal_tapped", json=TAP)
    again = await client.post(f"{ROOT}/metal_tapped", json=TAP)
    assert (first.status_code, first.json()["result"]) == (201, "recorded")
    assert (again.status_code, again.json()["result"]) == (200, "already recorded")
    entries = (await client.get(f"{ROOT}/metal_tapped")).json()["entries"]
    assert [(e["amount"], e["unit"], e["start"], e["data"]) for e in entries] == [
        (3210, "kg", "2026-05-28T00:00:00.000Z", {"pot": 17})
    ]


async def test_something_else_under_the_same_key_is_refused_with_what_to_correct(client: httpx.AsyncClient) -> None:
    first = (await client.post(f"{ROOT}/metal_tapped", json=TAP)).json()["id"]
    for change in ({"amount": "3.31"}, {"start": "2026-05-28T09:00:00+08:00"}, {"subject": "line-2"}):
        other = await client.post(f"{ROOT}/metal_tapped", json=TAP | change)
        assert (other.status_code, other.json()["supersedes"]) == (409, first), change
        assert f"supersedes = {first}" in other.json()["detail"]
    corrected = TAP | {"amount": "3.31", "supersedes": first, "reason": "typing error"}
    second = (await client.post(f"{ROOT}/metal_tapped", json=corrected)).json()["id"]
    again = await client.post(f"{ROOT}/metal_tapped", json=TAP | {"amount": "3.41"})
    assert (again.status_code, again.json()["supersedes"]) == (409, second)


async def test_a_correction_stands_in_for_what_it_names_and_both_are_kept(client: httpx.AsyncClient) -> None:
    first = (await client.post(f"{ROOT}/metal_tapped", json=TAP)).json()["id"]
    corrected = TAP | {"amount": "3.31", "supersedes": first, "reason": "typing error"}
    assert (await client.post(f"{ROOT}/metal_tapped", json=corrected)).status_code == 201
    current = (await client.get(f"{ROOT}/metal_tapped")).json()["entries"]
    everything = (await client.get(f"{ROOT}/metal_tapped", params={"history": "all"})).json()["entries"]
    assert [e["amount"] for e in current] == [3310]
    assert sorted(e["amount"] for e in everything) == [3210, 3310]
    other = await client.post(f"{ROOT}/metal_tapped", json=corrected | {"amount": "3.41"})
    assert other.status_code == 422
    assert "already corrected" in other.json()["detail"]


async def test_a_new_tap_makes_its_quarter_dirty(client: httpx.AsyncClient, sample: Sample) -> None:
    await client.post(f"{ROOT}/metal_tapped", json=TAP)
    assert [s.node for s in await sample.ledger.dirty("demo", 10)] == ["line:line-1"]


@pytest.mark.parametrize(
    ("kind", "change", "word"),
    [
        ("metal_tapped", {"subject": "line-9"}, "line-1"),
        ("metal_tapped", {"subject": "plant"}, "line-1"),
        ("meter_reading", {"subject": "line-1", "unit": "kWh"}, "tie-1-main"),
        ("metal_tapped", {"unit": "lb"}, "allowed: kg, g, t"),
        ("metal_tapped", {"amount": "3.2105", "unit": "kg"}, "whole kg"),
        ("metal_tapped", {"amount": "-1"}, "amount"),
        ("metal_tapped", {"start": "2026-05-28T08:00:00"}, "timezone"),
        ("metal_tapped", {"start": "2027-05-28T08:00:00+08:00"}, "more than a day ahead"),
        ("metal_tapped", {"end": "2026-05-27T08:00:00+08:00"}, "swap"),
        ("metal_tapped", {"who": ""}, "who"),
        ("metal_tapped", {"document": ""}, "document"),
        ("metal_tapped", {"reason": None}, "reason"),
        ("metal_tapped", {"colour": "red"}, "colour"),
        ("metal_tapped", {"supersedes": 99}, "99"),
        ("metal_tapped", {"supersedes": 10**30}, "supersedes"),
        ("metal_tapped", {"start": "0001-01-01T00:00:00+23:00"}, "start"),
        ("metal_tapped", {"start": "9999-12-31T23:59:59-23:00"}, "start"),
        ("metal_tapped", {"key": "\x00"}, "NUL"),
        ("certificate", {"subject": "plant", "unit": "MWh", "amount": 1, "data": {}}, "data.type"),
        ("certificate", CERTIFICATE | {"data": {"type": "given", "status": "cancelled", "quota_year": 2026}}, "bought"),
        ("certificate", CERTIFICATE | {"data": {"type": "bought", "status": "cancelled", "quota_year": None}}, "quota_year"),
        ("certificate", CERTIFICATE | {"data": {"type": "bought", "status": "valid", "generation_month": "May"}}, "month"),
    ],
)
async def test_what_does_not_fit_is_refused_with_what_would(
    client: httpx.AsyncClient, kind: str, change: dict[str, Any], word: str
) -> None:
    answer = await client.post(f"{ROOT}/{kind}", json=TAP | change)
    assert answer.status_code == 422, answer.text
    assert word in answer.json()["detail"]
    assert (await client.get(f"{ROOT}/{kind}", params={"history": "all"})).json()["entries"] == []


@pytest.mark.parametrize(
    ("kind", "subject", "amount", "unit", "stored"),
    [
        ("ingots", "plant", "12", "t", 12_000),
        ("metal_in_pots", "line-2", "3300000", "kg", 3_300_000),
        ("meter_reading", "tie-1-main", "880.5", "kWh", 880_500),
        ("certificate", "plant", "2", "GWh", 2_000),
    ],
)
async def test_every_kind_is_taken_in_its_units(
    client: httpx.AsyncClient, kind: str, subject: str, amount: str, unit: str, stored: int
) -> None:
    data = {"type": "bought", "status": "cancelled", "quota_year": 2026} if kind == "certificate" else {}
    post = TAP | {"subject": subject, "amount": amount, "unit": unit, "data": data}
    assert (await client.post(f"{ROOT}/{kind}", json=post)).status_code == 201
    assert [e["amount"] for e in (await client.get(f"{ROOT}/{kind}")).json()["entries"]] == [stored]


async def test_a_certificate_of_an_older_version_that_cannot_be_read_says_so(client: httpx.AsyncClient, sample: Sample) -> None:
    old = LedgerEntry("demo", "certificate", "g1", "gec", "plant", NOW_NS, NOW_NS, 5, "MWh", "Li", data={"type": "bought"})
    await sample.ledger.add([old])
    (entry,) = (await client.get(f"{ROOT}/certificate", params={"end": "2026-12-01T00:00:00Z"})).json()["entries"]
    assert "data.status: found nothing" in entry["fault"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_a_number_that_is_none_is_refused(client: httpx.AsyncClient, number: str) -> None:
    body = json.dumps(TAP | {"data": {"x": 0}}).replace('{"x": 0}', f'{{"x": {number}}}')
    answer = await client.post(f"{ROOT}/metal_tapped", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


async def test_half_a_character_is_refused(client: httpx.AsyncClient) -> None:
    for change in ({"subject": "\ud800"}, {"data": {"x": "\ud800"}}, {"data": {"\ud800": 1}}):
        body = json.dumps(TAP | change)
        answer = await client.post(f"{ROOT}/metal_tapped", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text


def test_amounts_are_converted_exactly() -> None:
    assert integer_amount(Decimal("0.001"), "t", "kg") == 1
    assert integer_amount(Decimal("9007199254740.992"), "t", "kg") == 2**53
    with pytest.raises(ValueError, match="whole kg"):
        integer_amount(Decimal("9007199254740.993"), "t", "kg")
