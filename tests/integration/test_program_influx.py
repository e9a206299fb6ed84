"""The whole program on InfluxDB: one line of the site file differs. The server is away at the start and comes later."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import influxd
from real_servers import free_port

from potwatt.clock import SystemClock
from potwatt.load import load_text
from potwatt.program import Program
from simulators.plant import SimulatedPlant

pytestmark = pytest.mark.xdist_group("demo")


async def until(ask: Callable[[], Awaitable[Any]], limit_s: float = 60.0) -> Any:
    end_s = asyncio.get_running_loop().time() + limit_s
    while asyncio.get_running_loop().time() < end_s:
        found = await ask()
        if found:
            return found
        await asyncio.sleep(0.3)
    pytest.fail("nothing came in time")


async def test_program_on_influxdb_started_before_the_server(tmp_path: Path) -> None:
    clock = SystemClock()
    smelter = SimulatedPlant(seed=3, data_dir=tmp_path / "smelter", clock=clock)
    await smelter.start()
    api_port = free_port()
    (tmp_path / "influx").mkdir()
    try:
        with influxd(tmp_path / "influx") as influx_port:
            pass  # a port that is free again: nothing listens while the program starts
        text = smelter.site_toml(api_port=api_port, data_dir="plant")
        store = f'[store]\nkind = "influxdb"\nurl = "http://127.0.0.1:{influx_port}"\ndatabase = "d{uuid.uuid4().hex[:8]}"\n'
        program = Program(load_text(text + store, "site", tmp_path), {})
        await program.start()
        running = asyncio.create_task(program.run())
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{api_port}") as client:
                await without_store(program, client)
                with influxd(tmp_path / "influx", port=influx_port):
                    await with_store(program, client)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await program.stop()
    finally:
        await smelter.stop()


async def without_store(program: Program, client: httpx.AsyncClient) -> None:
    async def said() -> bool:
        return any(h.part == "store" and h.state == "down" for h in program.health.all())

    await until(said)

    async def live() -> Any:
        answer = await client.get("/api/v1/plants/demo/live")
        return answer.status_code == 200 and answer.json()["power_kw"]["load"]

    # the page lives on the bus: power is shown while the store is away, and readings wait in the spool
    assert await until(live) > 300_000
    assert program.spool is not None
    assert program.spool.size_bytes > 0
    ready = await client.get("/readyz")
    assert ready.status_code == 503


async def with_store(program: Program, client: httpx.AsyncClient) -> None:
    async def counted() -> Any:
        try:
            found = await program.store.count(["tie-1-main"])
        except Exception:  # the server is still starting
            return None
        return found.get("tie-1-main", 0) > 20

    await until(counted)

    async def ready() -> Any:
        return (await client.get("/readyz")).status_code == 200

    await until(ready)
    first = await program.store.extent()
    assert first is not None
    # what was read while the server was away carries its own times
    assert first.start_ns < program.clock.now_ns() - 3_000_000_000
