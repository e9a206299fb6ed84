"""The whole program started into trouble: no broker, a spool that was not left in order, a clock that jumped back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import orjson
import pytest
from mosquitto_server import MosquittoServer
from real_servers import free_port
from small_disk import fill_but, small_disk

from potwatt.clock import SystemClock
from potwatt.load import load_text
from potwatt.program import Program

S = 1_000_000_000
HOUR_NS = 3600 * S
NOW_NS = time.time_ns() // S * S
SITE = """
plant = {{ id = "p", name = {{ en = "P" }}, zone = "Asia/Shanghai", data_dir = "data" }}
bus = [{{ id = "b" }}]
branch = [{{ id = "mill", kind = "feeder", bus = "b" }}]
[[endpoint]]
id = "main"
protocol = "mqtt"
host = "127.0.0.1"
port = {broker}
[[meter]]
id = "mill"
profile = "sim_feeder_mqtt"
endpoint = "main"
topic = "plant/mill"
measures = {{ branch = "mill" }}
[api]
port = {api}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoServer]:
    server = MosquittoServer(tmp_path / "broker")
    server.start()
    yield server
    server.stop()


@asynccontextmanager
async def running(folder: Path, broker: MosquittoServer, clock: SystemClock | None = None) -> AsyncIterator[Program]:
    text = SITE.format(broker=broker.port, api=free_port())
    with pytest.MonkeyPatch.context() as patch:
        if clock is not None:
            patch.setattr("potwatt.program.SystemClock", lambda: clock)
        program = Program(load_text(text, "site", folder), {})
    await program.start()
    task = asyncio.create_task(program.run())
    try:
        yield program
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await program.stop()


async def publish(broker: MosquittoServer, numbers: Sequence[int], from_ns: int = NOW_NS) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port, identifier="meter") as client:
        for n in numbers:
            reading = {"ts": (from_ns + n * S) // 1_000_000, "seq": n, "p_kw": 800.0, "e_imp_kwh": float(n), "e_exp_kwh": 0.0}
            await client.publish("plant/mill", orjson.dumps(reading), qos=1)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def stored(program: Program, count: int) -> None:
    async with asyncio.timeout(40):
        while (await program.store.count()).get("mill", 0) < 3 * count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def state(program: Program, part: str) -> str:
    return next((h.state for h in program.health.all() if h.part == part), "")


async def energies(program: Program) -> list[tuple[int, float]]:
    extent = await program.store.extent()
    assert extent is not None
    series = await program.store.read("mill", "energy_import", extent)
    return list(zip(series.t_ns.tolist(), series.value.tolist(), strict=True))


def expected(numbers: Sequence[int], from_ns: int = NOW_NS) -> list[tuple[int, float]]:
    return [(from_ns + n * S, float(n)) for n in numbers]


async def test_a_broker_that_comes_later_is_read_from_then_on(tmp_path: Path, broker: MosquittoServer) -> None:
    broker.stop()
    async with running(tmp_path, broker) as program:
        await until(lambda: state(program, "broker:main") == "down")
        broker.start()
        await until(lambda: state(program, "broker:main") == "ok")
        await publish(broker, range(50))
        await stored(program, 50)
        assert await energies(program) == expected(range(50))


async def test_a_spool_left_torn_is_read_as_far_as_it_is_whole(tmp_path: Path, broker: MosquittoServer) -> None:
    async with running(tmp_path, broker) as program:
        await until(lambda: state(program, "broker:main") == "ok")
        await publish(broker, range(50))
        await stored(program, 50)
        assert program.spool is not None
        await program.store.close()  # what comes now stays in the spool
        await publish(broker, range(50, 60))
        size = program.spool.size_bytes
        await until(lambda: program.spool is not None and program.spool.size_bytes > size)
        await asyncio.sleep(0.5)
    newest = max((tmp_path / "data/spool").glob("*.seg"), key=lambda path: path.name)
    with newest.open("ab") as file:
        file.write(b"half a record that a power cut left behind")
    async with running(tmp_path, broker) as program:
        await stored(program, 60)
        await publish(broker, range(60, 80))
        await stored(program, 80)
        assert await energies(program) == expected(range(80))
        assert program.health.counters()["spool_torn_bytes", ()] > 0


class ClockSetBack(SystemClock):
    """An hour behind the clock that ran before."""

    def now_ns(self) -> int:
        return super().now_ns() - HOUR_NS


async def test_a_clock_that_jumped_back_loses_and_doubles_nothing(tmp_path: Path, broker: MosquittoServer) -> None:
    first = NOW_NS - 3 * HOUR_NS
    async with running(tmp_path, broker) as program:
        await until(lambda: state(program, "broker:main") == "ok")
        await publish(broker, range(40), first)
        await stored(program, 40)
        await publish(broker, range(10, 20), first)  # again
    async with running(tmp_path, broker, ClockSetBack()) as program:
        await until(lambda: state(program, "broker:main") == "ok")
        await publish(broker, range(30, 70), first)
        await stored(program, 70)
        assert await energies(program) == expected(range(70), first)
        await until(lambda: state(program, "store") == "ok")
        assert state(program, "spool") == "ok"
    async with running(tmp_path, broker) as program:  # and forward again
        await publish(broker, range(70, 80), first)
        await stored(program, 80)
        assert await energies(program) == expected(range(80), first)


async def test_a_start_on_a_full_disk_says_so_and_goes_on_when_there_is_room(tmp_path: Path, broker: MosquittoServer) -> None:
    (tmp_path / "data").mkdir()
    with small_disk(tmp_path / "data", 24) as disk:
        async with running(tmp_path, broker) as program:
            await until(lambda: state(program, "broker:main") == "ok")
            await publish(broker, range(50))
            await stored(program, 50)
        filler = fill_but(disk, 0)
        waiting = Program(load_text(SITE.format(broker=broker.port, api=free_port()), "site", tmp_path), {})
        starting = asyncio.create_task(waiting.start())
        try:
            await until(lambda: any(h.state == "down" for h in waiting.health.all()))
            [(told, words)] = [(h.part, h.detail) for h in waiting.health.all() if h.state == "down"]
            assert told in ("ledger", "store", "spool")
            assert "the start waits for it (0 KiB are free in data_dir)" in words
            await publish(broker, range(50, 80))  # they wait with the broker
            filler.unlink()
            await starting
            assert state(waiting, told) == "ok"
            await stored(waiting, 80)
            assert await energies(waiting) == expected(range(80))
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await waiting.stop()


async def test_a_start_with_little_room_keeps_what_it_takes_and_holds_the_rest(tmp_path: Path, broker: MosquittoServer) -> None:
    (tmp_path / "data").mkdir()
    with small_disk(tmp_path / "data", 24) as disk:
        async with running(tmp_path, broker) as program:
            await until(lambda: state(program, "broker:main") == "ok")
            await publish(broker, range(50))
            await stored(program, 50)
        filler = fill_but(disk, 256)
        async with running(tmp_path, broker) as program:
            await until(lambda: state(program, "broker:main") == "ok")
            publishing = asyncio.create_task(publish(broker, range(50, 6050)))
            await until(lambda: "down" in (state(program, "spool"), state(program, "store")))
            filler.unlink()
            await publishing
            await stored(program, 6050)
            assert await energies(program) == expected(range(6050))


def test_a_start_that_waits_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "site.toml").write_text(SITE.format(broker=free_port(), api=free_port()))
    command = [sys.executable, "-c", "from potwatt.cli import main; main()", "run", str(tmp_path / "site.toml")]
    with small_disk(tmp_path / "data", 1) as disk:
        fill_but(disk, 0)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running_program:
            assert running_program.stdout is not None
            said = ""
            while "the start waits for it" not in said:
                line = running_program.stdout.readline()
                assert line, said
                said += line
            running_program.terminate()
            assert running_program.wait(30) == 0


async def test_what_a_killed_program_left_half_made_goes_and_a_running_ones_stays(
    tmp_path: Path, broker: MosquittoServer
) -> None:
    data = tmp_path / "data"

    def leave(*names: str) -> list[Path]:
        for name in names:
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).write_bytes(b"half")
        return [data / name for name in names]

    half = leave("backups/a.unfinished/spool/1.seg", "exports/a.csv.scratch/scratch.duckdb", "series.duckdb.tmp/sorted-0")
    whole = leave("exports/b.csv", "backups/b/backup.json")
    async with running(tmp_path, broker):
        assert not [path for path in half if path.exists() or path.parent.exists()]
        assert all(path.exists() for path in whole)
        again = leave("backups/c.unfinished/1.seg", "exports/c.csv.scratch/scratch.duckdb")
        (tmp_path / "site.toml").write_text(SITE.format(broker=broker.port, api=free_port()))
        command = [sys.executable, "-c", "from potwatt.cli import main; main()", "run", str(tmp_path / "site.toml")]
        second = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 2
        assert "held by another process" in second.stderr
        assert all(path.exists() for path in again)
