"""The sample plant behind an HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from api_sample import Sample, make_sample

BASE = "http://127.0.0.1"


@pytest.fixture
async def sample(tmp_path: Path) -> AsyncIterator[Sample]:
    made = await make_sample(tmp_path)
    yield made
    await made.ledger.close()


@pytest.fixture
async def client(sample: Sample) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sample.app), base_url=BASE) as http:
        yield http
