"""Commands ask the running program where it holds the files, and open them where nobody does: the same answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from real_servers import free_port, listens, running

from potwatt.selftest.devices import CountingMeters

SITE = """
[plant]
id = "p"
name = {{ en = "Plant" }}
data_dir = "data"
[[bus]]
id = "b"
[api]
port = {api}
[spool]
segment_mib = 8
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
YESTERDAY = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()


@pytest.fixture
async def site(tmp_path: Path) -> Path:
    """A site whose one meter was read for a while; nobody runs."""
    api, gateway = free_port(), free_port()
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(api=api, gateway=gateway))
    with program(path, api, tmp_path):
        await polled(path)
    return path


async def polled(site: Path) -> None:
    """Return when the meter was read for a while and most of it is stored."""
    devices = CountingMeters(gateway_of(site))
    await devices.start()
    while len(devices.answered["dc-1"]) < 30:  # noqa: ASYNC110 - a plain list of the simulated meter
        await asyncio.sleep(0.1)
    await asyncio.sleep(2.0)  # the forwarder gathers for half a second
    await devices.stop()


@contextmanager
def program(site: Path, api: int, folder: Path) -> Iterator[None]:
    with running([*MAIN, "run", str(site)], lambda: listens(api), folder / "log"):
        yield


def potwatt(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MAIN, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def port_of(site: Path) -> int:
    return int(site.read_text().partition("port = ")[2].split()[0])


def gateway_of(site: Path) -> int:
    return int(site.read_text().rpartition("port = ")[2].split()[0])


def without_times(text: str) -> dict[str, object]:
    report: dict[str, object] = json.loads(text)
    return {k: v for k, v in report.items() if k not in ("made", "created", "data_until", "interval_hash")}


async def test_report_is_the_same_from_the_program_and_from_the_files(site: Path, tmp_path: Path) -> None:
    alone = potwatt("report", "day", YESTERDAY, "--site", site)
    assert alone.returncode == 0, alone.stderr
    with program(site, port_of(site), tmp_path):
        asked = potwatt("report", "day", YESTERDAY, "--site", site)
    assert asked.returncode == 0, asked.stderr
    assert json.loads(alone.stdout).keys() == json.loads(asked.stdout).keys()
    assert without_times(alone.stdout)["figures"] == without_times(asked.stdout)["figures"]


async def test_close_goes_through_the_running_program(site: Path, tmp_path: Path) -> None:
    command = ("close", "day", YESTERDAY, "--site", site, "--who", "engineer", "--early")
    with program(site, port_of(site), tmp_path):
        deadline = time.monotonic() + 30
        while (asked := potwatt(*command)).returncode and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.5)  # the period has to be settled first
    assert asked.returncode == 0, asked.stderr
    assert "closed as version 1" in asked.stdout
    alone = potwatt(*command, "--cause", "second look")
    assert "closed as version 2" in alone.stdout, alone.stderr


async def test_verify_finds_everything_then_what_was_taken_away(site: Path, tmp_path: Path) -> None:
    with program(site, port_of(site), tmp_path):
        await polled(site)
        asked = potwatt("verify", "1h", "--site", site)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "should have are there" in asked.stdout
    alone = potwatt("verify", "1h", "--site", site)
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert "should have are there" in alone.stdout
    with duckdb.connect(str(tmp_path / "data" / "series.duckdb")) as store:
        kept = "t_ms > (SELECT max(t_ms) FROM reading) - 1000"
        store.execute(f"DELETE FROM reading WHERE t_ms = (SELECT min(t_ms) FROM reading WHERE {kept})")
        store.execute(f"UPDATE reading SET value = value + 1 WHERE rowid = (SELECT min(rowid) FROM reading WHERE {kept})")
    damaged = potwatt("verify", "1h", "--site", site)
    assert damaged.returncode == 1, damaged.stdout + damaged.stderr
    assert "5 values are missing from the store, 1 differ" in damaged.stdout


def test_a_span_that_is_none_is_said_in_words(site: Path) -> None:
    wrong = potwatt("verify", "yesterday", "--site", site)
    assert wrong.returncode == 2
    assert "24h or 7d, or START/END" in wrong.stderr


WORKS = """
[[endpoint]]
id = "files"
protocol = "import"
[[meter]]
id = "works"
profile = "imported"
endpoint = "files"
poll_interval_s = 900
[[branch]]
id = "grid"
kind = "grid_tie"
bus = "b"
[[point]]
id = "tie"
branch = "grid"
mounting = [{ meter = "works" }]
"""
MAPPING = """
[time]
column = "time"
formats = ["%Y-%m-%d %H:%M"]
zone = "UTC"
stamp = "start"
interval_s = 900
[[column]]
name = "in"
meter = "works"
quantity = "interval_energy_import"
unit = "kWh"
"""


def test_history_reaches_a_running_program_and_is_computed(site: Path, tmp_path: Path) -> None:
    with site.open("a") as file:
        file.write(WORKS)
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=40)
    stamps = [begin + timedelta(minutes=15 * slot) for slot in range(30 * 96)]
    rows = [f"{at:%Y-%m-%d %H:%M},{1.5 + slot % 7}" for slot, at in enumerate(stamps)]
    rows[5] = rows[5].partition(",")[0] + ",?"
    table, mapping = tmp_path / "year.csv", tmp_path / "map.toml"
    table.write_text("\n".join(["time,in", *rows]) + "\n")
    mapping.write_text(MAPPING)
    command = ("import", table, "--mapping", mapping, "--site", site)
    day = (begin + timedelta(days=7)).date().isoformat()
    with program(site, port_of(site), tmp_path):
        asked = potwatt(*command)
        report = potwatt("report", "day", day, "--site", site)
        explain = ("explain", "grid_import", day, "--site", site)
        explained = potwatt(*explain, "--json")
        again = potwatt(*command)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "2880 rows read, 2880 taken" in asked.stdout
    assert "line 7:" in asked.stdout, "what was found odd is told as it is without a running program"
    assert "stored 2879 values; 0 were there already; 0 differ" in asked.stdout
    assert "computed: reports and figures of that span are up to date" in asked.stdout
    assert "stored 0 values; 2879 were there already" in again.stdout, again.stderr
    energy = sum(1.5 + slot % 7 for slot in range(7 * 96 - 32, 8 * 96 - 32))  # the plant's day begins at 16:00 UTC
    figures = json.loads(report.stdout)["figures"]["plant"]
    assert figures["grid_import_kwh"]["value"] == pytest.approx(energy), report.stdout
    tree = json.loads(explained.stdout)["tree"]
    assert (tree["value"], tree["causes"][0]["causes"][0]["name"]) == (pytest.approx(energy), "tie"), explained.stdout
    assert json.loads(potwatt(*explain, "--json").stdout)["tree"] == tree, "the same files, opened by the command"
    drawn = potwatt(*explain).stdout
    assert "point tie" in drawn, drawn
    assert "mounting works" in drawn, drawn
    alone = potwatt(*command)
    assert "stored 0 values; 2879 were there already" in alone.stdout, "the same files, opened by the command"
