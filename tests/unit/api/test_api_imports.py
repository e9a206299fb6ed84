"""The route by which history reaches the program that holds the files, and what the command sends there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from api_sample import NOW_NS, RULES, Sample, make_sample

from api.app import create_app
from api.auth import Keys, add_key, parse_keys
from api.guard import BODY_MAX_BYTES
from plant.frame import FRAMES_MAX, FrameBlock
from plant.quantities import QUANTITIES
from plant.series import QUARTER_NS, Span
from plant.site import IMPORTED
from potwatt.history import HistoryImporter, bodies

ROOT = "/api/v1/plants/demo/imports"
START_MS = (NOW_NS // QUARTER_NS - 30) * QUARTER_NS // 1_000_000
SPAN = Span(START_MS * 1_000_000, START_MS * 1_000_000 + 2 * QUARTER_NS)
NAME = "interval_energy_import"
READINGS: dict[str, Any] = {
    "file": "year.csv",
    "meter": "tie-1-main",
    "interval_s": 900,
    "t_ms": [START_MS, START_MS + 900_000],
    "value": {NAME: [1.5, None]},
    "quality": {NAME: [1, 6]},
}


def app_of(sample: Sample, auth: Keys | None = None) -> httpx.ASGITransport:
    app = create_app(
        site=sample.site,
        analytics=sample.analytics,
        store=sample.store,
        ledger=sample.ledger,
        bus=sample.bus,
        health=sample.board,
        clock=sample.clock,
        auth=auth,
        version="0.0.test",
        rulebook=RULES,
        importer=HistoryImporter(sample.site, sample.store, sample.ledger, sample.clock),
    )
    return httpx.ASGITransport(app)


@pytest.fixture
async def importing(sample: Sample) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=app_of(sample), base_url="http://127.0.0.1") as http:
        yield http


async def test_what_is_sent_twice_is_stored_once_with_its_quality(importing: httpx.AsyncClient, sample: Sample) -> None:
    first = await importing.post(ROOT, json=READINGS)
    again = await importing.post(ROOT, json=READINGS)
    other = await importing.post(ROOT, json=READINGS | {"value": {NAME: [2.5, 4.0]}, "quality": {NAME: [0, 0]}})
    assert (first.status_code, first.json()) == (201, {"stored": 1, "repeated": 0, "conflicting": 0})
    assert again.json() == {"stored": 0, "repeated": 1, "conflicting": 0}
    assert other.json() == {"stored": 1, "repeated": 0, "conflicting": 1}, "a missing one is filled, a stored one stays"
    stored = await sample.store.read("tie-1-main", NAME, SPAN)
    assert (stored.value.tolist(), stored.quality.tolist()) == ([1.5, 4.0], [1, 0])


async def test_what_an_import_touches_is_open_until_it_is_computed(importing: httpx.AsyncClient, sample: Sample) -> None:
    span = {"start": "2026-05-27T00:00:00Z", "end": "2026-05-29T00:00:00Z"}
    assert (await importing.get(f"{ROOT}/open", params=span)).json()["open_nodes"] == 0
    await importing.post(ROOT, json=READINGS)
    assert (await importing.get(f"{ROOT}/open", params=span)).json()["open_nodes"] > 0
    await sample.ledger.clear_dirty_span("demo", Span(0, 2**62), 2**62)
    assert (await importing.get(f"{ROOT}/open", params=span)).json()["open_nodes"] == 0


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"meter": "nobody"}, "unknown-meter"),
        ({"value": {"colour": [1.0, 2.0]}, "quality": {"colour": [0, 0]}}, "unknown-quantity"),
        ({"value": {NAME: [1.5]}}, "uneven-columns"),
        ({"quality": {}}, "uneven-columns"),
        ({"t_ms": [START_MS, START_MS]}, "uneven-columns"),
        ({"t_ms": [START_MS + 1, START_MS]}, "uneven-columns"),
        ({"t_ms": list(range(FRAMES_MAX + 1))}, "invalid-request"),
        ({"quality": {NAME: [0, 2**15]}}, "invalid-request"),
    ],
)
async def test_what_cannot_be_readings_is_refused(
    importing: httpx.AsyncClient, sample: Sample, change: dict[str, Any], kind: str
) -> None:
    refused = await importing.post(ROOT, json=READINGS | change)
    assert refused.status_code == 422, refused.text
    assert refused.json()["type"].endswith(kind)
    assert not len(await sample.store.read("tie-1-main", NAME, SPAN))


async def test_what_the_store_would_not_keep_is_refused_in_words(importing: httpx.AsyncClient) -> None:
    refused = await importing.post(ROOT, json=READINGS | {"t_ms": [0, 1000]})
    assert refused.status_code == 422
    assert "raise store.quarter_days" in refused.json()["detail"]


async def test_a_process_without_files_says_so(client: httpx.AsyncClient) -> None:
    assert (await client.post(ROOT, json=READINGS)).json()["type"].endswith("no-imports")


def test_every_piece_fits_into_a_request() -> None:
    frames, rng = 2 * FRAMES_MAX + 1, np.random.default_rng(7)
    for count in (1, 2, 6, len(QUANTITIES)):
        names = tuple(QUANTITIES)[:count]
        value = -rng.random((frames, count)) * 1e-300  # as long as a number gets
        value[0, 0] = np.nan
        quality = np.full((frames, count), 2**15 - 1, np.int16)
        t_ns = (START_MS + np.arange(frames, dtype=np.int64) * 900_000) * 1_000_000
        block = FrameBlock("demo", IMPORTED, names, ("m" * 64,), np.zeros(frames, np.int32), t_ns, value, quality)
        blocks = [block.take(slice(at, at + FRAMES_MAX)) for at in range(0, frames, FRAMES_MAX)]
        sent = list(bodies(blocks, 900, "f" * 300))
        assert max(len(json.dumps(body)) for body in sent) <= BODY_MAX_BYTES
        assert [t_ms for body in sent for t_ms in body["t_ms"]] == (t_ns // 1_000_000).tolist()
        assert [v for body in sent for v in body["value"][names[-1]]][1:] == value[1:, -1].tolist()
        assert sent[0]["value"][names[0]][0] is None


async def test_only_an_editor_imports(tmp_path: Path) -> None:
    made = await make_sample(tmp_path)
    key = add_key(tmp_path / "keys.toml", "reader", "viewer")
    auth = parse_keys((tmp_path / "keys.toml").read_text("utf-8"), "keys.toml")
    async with httpx.AsyncClient(transport=app_of(made, auth), base_url="http://127.0.0.1") as http:
        assert (await http.post(ROOT, json=READINGS)).status_code == 401
        assert (await http.post(ROOT, json=READINGS, headers={"X-API-Key": key})).status_code == 403
    await made.ledger.close()
