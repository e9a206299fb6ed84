"""The promise under real faults: a full disk that is freed, a server that stands still, links that swallow bytes, kills.

A few seconds each; POTWATT_OUTAGE_SECONDS makes every one longer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from conftest import influxd
from real_servers import program
from small_disk import small_disk

from potwatt.selftest.faults import Faults
from potwatt.selftest.link import LinkMode
from potwatt.selftest.outage import Outcome, measure
from potwatt.selftest.stand import OutageSettings, Stand, stand

SECONDS = float(os.environ.get("POTWATT_OUTAGE_SECONDS", "4"))
RATE = 600.0
TMPFS_MIB = 96
MAIN = [sys.executable, "-c", "from potwatt.cli import main; main()"]


def proven(outcome: Outcome) -> None:
    assert outcome.drained, outcome
    assert outcome.published.holds, outcome.published
    assert outcome.polled.holds, outcome.polled


@pytest.mark.parametrize("store", ["embedded", "influxdb"])
def test_the_command_passes_with_kills_and_cuts(store: str, influxdb: str) -> None:
    program("mosquitto")
    command = [*MAIN, "selftest", "outage", "--rate", str(RATE), "--seconds", str(2 * SECONDS)]
    command += ["--store", influxdb] if store == "influxdb" else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=300 + 4 * SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED" in done.stdout


def test_ctrl_c_leaves_nothing_running_and_no_folder(tmp_path: Path) -> None:
    program("mosquitto")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [*MAIN, "selftest", "outage", "--rate", "100", "--seconds", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as running:
        assert running.stdout is not None
        while not list(tmp_path.glob("*/potwatt.log")):
            assert running.poll() is None, running.stdout.read()
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "nothing was proven" in said
    assert not list(tmp_path.iterdir())
    alive = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path) in _read(p)]
    assert not alive


async def test_a_stopped_store_server(tmp_path: Path) -> None:
    program("mosquitto")
    with influxd(_made(tmp_path / "influxdb")) as port:
        pid = _listener(port)
        async with stand(_settings(f"http://127.0.0.1:{port}"), _made(tmp_path / "run")) as at:

            async def stand_still() -> None:
                await asyncio.sleep(2)
                os.kill(pid, signal.SIGSTOP)
                try:
                    await asyncio.sleep(SECONDS)
                    await at.writer.kill()  # what it had accepted is in the spool alone
                    at.writer.start()
                    await asyncio.sleep(SECONDS / 2)
                finally:
                    os.kill(pid, signal.SIGCONT)

            proven(await measure(at, Faults(at, 0), stand_still(), lambda: None))


async def test_links_that_swallow_every_byte(tmp_path: Path, influxdb: str) -> None:
    program("mosquitto")
    async with stand(_settings(influxdb), _made(tmp_path / "run")) as at:

        async def dead_switch() -> None:
            await asyncio.sleep(2)
            assert at.store_link is not None
            for link in (at.store_link, at.broker_link):
                await link.set_mode(LinkMode.SWALLOWING)
            await asyncio.sleep(SECONDS)

        proven(await measure(at, Faults(at, 0), dead_switch(), lambda: None))


async def test_a_full_disk_that_is_freed_again(tmp_path: Path) -> None:
    program("mosquitto")
    folder = _made(tmp_path / "run")
    with small_disk(_made(folder / "data"), TMPFS_MIB) as disk:
        async with stand(_settings("embedded"), folder) as at:
            proven(await measure(at, Faults(at, 0), _fill(disk, at, "survives"), lambda: None))


async def test_a_kill_while_the_disk_is_full(tmp_path: Path, influxdb: str) -> None:
    program("mosquitto")
    folder = _made(tmp_path / "run")
    with small_disk(_made(folder / "data"), TMPFS_MIB) as disk:
        async with stand(_settings(influxdb), folder) as at:
            outcome = await measure(at, Faults(at, 0), _fill(disk, at, "killed"), lambda: None)
    assert outcome.drained
    assert outcome.published.holds, outcome.published
    assert outcome.polled.duplicates == 0  # polls of a full disk were never durable, so nobody was told that they are


async def _fill(disk: Path, at: Stand, fate: Literal["survives", "killed"]) -> None:
    await asyncio.sleep(2)
    with (disk / "filler").open("wb", 0) as filler:
        end = asyncio.get_running_loop().time() + SECONDS
        full = 0
        while asyncio.get_running_loop().time() < end:
            try:
                filler.write(bytes(1 << 16))
            except OSError:
                full += 1
                await asyncio.sleep(0.05)
    assert full
    if fate == "killed":
        await at.writer.kill()
    (disk / "filler").unlink()
    if fate == "killed":
        at.writer.start()


def _settings(store: str) -> OutageSettings:
    return OutageSettings(rate=RATE, seconds=SECONDS, store=store, seed=os.getpid() % 1_000)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _listener(port: int) -> int:
    """Process that listens on a loopback port."""
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.removeprefix("socket:[").removesuffix("]") in inodes:
            return int(link.parts[2])
    raise AssertionError(f"nobody listens on {port}")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
