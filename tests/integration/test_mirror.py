"""A second store beside the embedded one: away at the start, away again, and in the end it has every reading.

`potwatt spool` is asked beside the running program all the while, and of the files after it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from conftest import influxd
from real_servers import free_port, listens, running

from potwatt.selftest.devices import CountingMeters

pytestmark = pytest.mark.xdist_group("demo")
SITE = """
[plant]
id = "p"
name = {{ en = "Plant" }}
data_dir = "data"
[[bus]]
id = "b"
[api]
port = {api}
[[mirror]]
id = "group"
need = "{need}"
url = "http://127.0.0.1:{influx}"
database = "{database}"
[[endpoint]]
id = "gateway"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = {gateway}
[[meter]]
id = "dc-1"
profile = "sim_rectifier_dc_meter"
endpoint = "gateway"
unit = 1
poll_interval_s = 0.1
"""
MAIN = [sys.executable, "-c", "from potwatt.cli import main; main()"]


async def status(site: Path) -> dict[str, Any]:
    """What `potwatt spool` tells, its sinks by name."""
    done = await asyncio.to_thread(subprocess.run, [*MAIN, "spool", str(site), "--json"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"sinks": {sink["name"]: sink for sink in found["sinks"]}}


async def until(site: Path, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(90):
        while not condition(found := await status(site)):  # noqa: ASYNC110 - another process is asked
            await asyncio.sleep(0.2)
    return found


async def verified(site: Path, code: int) -> str:
    """What `potwatt verify` tells of the mirror while the program runs."""
    command = [*MAIN, "verify", "1h", "--site", str(site), "--mirror", "group"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


async def forget(port: int, database: str, t_ms: int) -> None:
    """Take every value of one instant away from the mirror."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        query = {"db": f"{database}_raw", "q": f"DELETE WHERE time = {t_ms}ms"}
        answer = await client.post("/query", params=query)
    assert "error" not in answer.text, answer.text


def behind(found: dict[str, Any], sink: str) -> int:
    return int(found["sinks"][sink]["backlog_bytes"])


async def mirrored(port: int, database: str) -> set[int]:
    """Instants (ms) that the mirror holds."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.get("/query", params={"db": f"{database}_raw", "q": "SELECT * FROM /.*/", "epoch": "ms"})
    series = answer.json()["results"][0].get("series", [])
    return {int(row[0]) for one in series for row in one["values"]}


@pytest.mark.parametrize("need", ["required", "best_effort"])
async def test_mirror_that_is_away_twice_has_every_reading_in_the_end(tmp_path: Path, need: str) -> None:
    api, gateway, database = free_port(), free_port(), f"d{uuid.uuid4().hex[:8]}"
    (tmp_path / "influx").mkdir()
    with influxd(tmp_path / "influx") as influx:
        pass  # a port that is free again: nothing listens while the program starts
    site = tmp_path / "site.toml"
    site.write_text(SITE.format(api=api, gateway=gateway, influx=influx, database=database, need=need))
    devices = CountingMeters(gateway)
    await devices.start()
    with running([*MAIN, "run", str(site)], lambda: listens(api), tmp_path / "log"):
        found = await until(site, lambda s: behind(s, "store") < behind(s, "mirror-group") > 2000)
        assert found["told_by"] == "running program"
        assert found["sinks"]["mirror-group"]["need"] == need
        assert found["sinks"]["mirror-group"]["oldest_t_ns"] is not None
        with influxd(tmp_path / "influx", port=influx):
            await until(site, lambda s: behind(s, "mirror-group") < 2000)
            first = await mirrored(influx, database)
            assert first
            gone_ms = min(first)
            assert "values that the mirror group should have are there" in await verified(site, 0)
            await forget(influx, database, gone_ms)
            assert "5 values are missing from the mirror group, 0 differ" in await verified(site, 1)
        await until(site, lambda s: behind(s, "store") < behind(s, "mirror-group") > 2000)
    await devices.stop()  # nothing more comes, so that both can be compared once they are done
    with influxd(tmp_path / "influx", port=influx):
        with running([*MAIN, "run", str(site)], lambda: listens(api), tmp_path / "log"):
            await until(site, lambda s: behind(s, "mirror-group") == behind(s, "store") == 0)
        last = await mirrored(influx, database)
    found = await status(site)
    assert (found["told_by"], found["lost"], behind(found, "mirror-group")) == ("files", [], 0)
    with duckdb.connect(str(tmp_path / "data" / "series.duckdb"), read_only=True) as store:
        stored = {int(t_ms) for (t_ms,) in store.execute("SELECT DISTINCT t_ms FROM reading").fetchall()}
    assert first - {gone_ms} < last == stored - {gone_ms}
