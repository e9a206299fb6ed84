from collections.abc import AsyncIterator

import httpx
import pytest
from api_sample import Sample

from api.guard import BODY_MAX_BYTES

URL = "/api/v1/plants/demo/ledger/ingots"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8000", ""])
async def test_without_keys_only_this_machine_is_served(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/api/v1/plants", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["type"] == "urn:potwatt:problem:foreign-host"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "localhost:9", "[::1]:8000"])
async def test_this_machine_by_its_names(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:81"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "http://127.0.0.1"}, 422),  # passes the guard; the empty statement does not pass its schema
        ({"Content-Type": "application/json; charset=utf-8"}, 422),
    ],
)
async def test_a_browser_may_write_from_the_page_itself_alone(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await client.post(URL, content=b"{}", headers={"Content-Type": "application/json"} | headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"])
async def test_without_keys_nothing_comes_through_a_proxy(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get("/api/v1/plants", headers={name: "for=203.0.113.7"})
    assert answer.status_code == 403
    assert "potwatt keys add" in answer.json()["detail"]


async def test_a_defect_is_answered_as_a_problem(
    client: httpx.AsyncClient, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr(sample.store, "read_derived", broken)
    answer = await client.get("/api/v1/plants/demo/series", params={"node": "plant", "field": "load_energy"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in answer.text


async def test_a_body_that_announces_too_much_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, content=b" " * (BODY_MAX_BYTES + 1), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


async def test_a_body_that_grows_too_long_is_refused(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BODY_MAX_BYTES // 1024 + 1):
            yield b" " * 1024

    answer = await client.post(URL, content=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/", "/api/v1/plants", "/nope", "/web/app.js"])
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
