"""``potwatt selftest outage`` looks at the addresses it was given before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_servers import free_port

from plant.errors import InputError
from potwatt.selftest.stand import OutageSettings, stand


@pytest.mark.parametrize("option", ["store", "broker"])
async def test_an_address_where_nobody_answers_is_refused_at_once(tmp_path: Path, option: str) -> None:
    port = free_port()
    given = OutageSettings(store=f"http://127.0.0.1:{port}") if option == "store" else OutageSettings(broker=f"127.0.0.1:{port}")
    with pytest.raises(InputError, match=f"--{option}: nobody answers at 127.0.0.1:{port}"):
        async with stand(given, tmp_path):
            pass
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240  (of a test)
