"""What the benchmarks stand on: peers built from `c/`, real servers on free loopback ports, the CPU and memory of a process.

Every figure is the process's own user and system time, so that it can be carried to another machine; a rate says as much
about the other processes on these cores as about us.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LIBRARIES = {"modbus_client": "modbus", "mqtt_count": "mosquitto"}
OURS, THEIRS = {1 % os.cpu_count()}, {0}  # what is measured has a core to itself where there are two


def need(program: str, package: str) -> str:
    """Path of a program. Ends the benchmark with a word where it is missing."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        sys.exit(f"{program} is missing: apt-get install {package}")
    return found


def built(name: str, folder: Path) -> Path:
    """A program of `c/`, compiled."""
    target = folder / name
    libraries = [f"-l{_LIBRARIES[name]}"] if name in _LIBRARIES else []
    command = [need("gcc", "gcc"), "-O2", "-Wall", "-o", str(target), str(HERE / "c" / f"{name}.c"), *libraries]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"{name}.c does not compile: apt-get install libmodbus-dev libmosquitto-dev")
    return target


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def process(command: Sequence[str | Path], cores: set[int], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running process on the cores given; stopped at the end."""
    with log.open("wb") as out:
        running = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out, env=os.environ | environment)
        os.sched_setaffinity(running.pid, cores & os.sched_getaffinity(0) or os.sched_getaffinity(0))
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def listening(port: int, within_s: float = 30.0) -> None:
    """Return when something listens."""
    give_up = time.monotonic() + within_s
    while time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


@contextmanager
def influxdb(folder: Path) -> Iterator[int]:
    """A real InfluxDB 1.x; not pinned, since it uses what is left of the machine."""
    folder.mkdir()
    port, backup = free_port(), free_port()
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{backup}"\n[meta]\ndir = "{folder}/meta"\n'
        f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n[monitor]\nstore-enabled = false\n[logging]\nlevel = "error"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\nflux-enabled = false\n'
    )
    with process([need("influxd", "influxdb"), "-config", config], os.sched_getaffinity(0), folder / "log"):
        listening(port)
        yield port


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """A real broker without limits on what it queues."""
    folder.mkdir()
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n")
    with process([need("mosquitto", "mosquitto"), "-c", config], THEIRS, folder / "log"):
        listening(port)
        yield port


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_mib(pid: int, what: str = "VmRSS") -> float:
    """Memory of a process: resident now, or VmHWM for its peak."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def query(port: int, database: str, statement: str) -> list[list[float]]:
    """Rows of one InfluxQL statement, all series together."""
    parameters = urllib.parse.urlencode({"db": database, "q": statement, "epoch": "ms"})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/query?{parameters}") as answer:
        result = json.load(answer)["results"][0]
    return [row for series in result.get("series", []) for row in series["values"]]


def collect(site: Path, cores: set[int] = OURS) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """`potwatt collect SITE` as the user starts it."""
    command = [sys.executable, "-c", "from potwatt.cli import main; main()", "collect", site]
    return process(command, cores, site.parent / "potwatt.log")
