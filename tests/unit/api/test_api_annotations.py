"""Verdicts by API and by command: what is refused, what is kept, what is marked to be computed anew."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from api_sample import Sample

ROOT = "/api/v1/plants/demo/annotations"
POST: dict[str, Any] = {
    "meter": "tie-meter",
    "start": "2026-05-28T00:00:00+08:00",
    "end": "2026-05-28T02:00:00+08:00",
    "verdict": "wrong_ratio x1.5",
    "who": "Wang Li",
    "cause": "current transformers 300/5 mounted, 200/5 entered",
}


@pytest.fixture
def post(sample: Sample) -> dict[str, Any]:
    return POST | {"meter": next(iter(sample.site.meters))}


async def test_a_verdict_is_kept_and_what_it_touches_marked(
    client: httpx.AsyncClient, sample: Sample, post: dict[str, Any]
) -> None:
    answer = await client.post(ROOT, json=post)
    assert answer.status_code == 201
    [found] = (await client.get(ROOT, params={"start": "2026-05-27T00:00:00Z", "end": "2026-05-29T00:00:00Z"})).json()[
        "annotations"
    ]
    assert (found["meter"], found["verdict"], found["who"]) == (post["meter"], post["verdict"], post["who"])
    assert (found["start"], found["end"]) == ("2026-05-27T16:00:00.000Z", "2026-05-27T18:00:00.000Z")
    slots = [d.slot_ns for d in await sample.ledger.dirty("demo", 100)]
    assert len(slots) >= 8  # the two hours, and what interpolates across their ends


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"meter": "nobody"}, "meter 'nobody' does not exist here"),
        ({"quantity": "colour"}, "quantity 'colour' does not exist here"),
        ({"verdict": "odd"}, "wrong_ratio x<factor>"),
        ({"verdict": "wrong_ratio x0"}, "wrong_ratio x<factor>"),
        ({"end": "2026-05-28T00:00:00+08:00"}, "is not after start"),
    ],
)
async def test_what_means_nothing_is_refused(
    client: httpx.AsyncClient, post: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    answer = await client.post(ROOT, json=post | change)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
