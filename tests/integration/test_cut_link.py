"""A store behind a network link that is cut under load: a real server in a network namespace of its own.

POTWATT_OUTAGE_SECONDS makes the cut longer.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_servers import program, running

from potwatt.selftest.faults import Faults
from potwatt.selftest.outage import measure
from potwatt.selftest.stand import OutageSettings, stand

SECONDS = float(os.environ.get("POTWATT_OUTAGE_SECONDS", "4"))
HTTP_PORT, BACKUP_PORT = 8086, 8088


@dataclass(frozen=True, slots=True)
class Wire:
    """A pair of interfaces into the namespace ``name``; ``address`` is the far end."""

    name: str
    address: str

    def set(self, state: str) -> None:
        """``down`` takes the carrier away: what is sent meets nobody, and no answer says so."""
        _ip("netns", "exec", self.name, "ip", "link", "set", f"{self.name}b", state)


async def test_everything_acknowledged_is_there_once_after_a_cut_link(tmp_path: Path) -> None:
    program("mosquitto")
    with _wire() as wire, _influxd(tmp_path, wire):
        (tmp_path / "run").mkdir()
        settings = OutageSettings(
            rate=600.0, seconds=SECONDS, store=f"http://{wire.address}:{HTTP_PORT}", seed=os.getpid() % 1_000
        )
        async with stand(settings, tmp_path / "run") as at:

            async def cut() -> None:
                await asyncio.sleep(2)
                for seconds in (SECONDS, SECONDS / 2):
                    wire.set("down")
                    await asyncio.sleep(seconds)
                    assert not _answers(wire), "the link was not cut"
                    wire.set("up")
                    await asyncio.sleep(1)

            outcome = await measure(at, Faults(at, 0), cut(), lambda: None)
    assert outcome.drained, outcome
    assert outcome.published.holds, outcome.published
    assert outcome.polled.holds, outcome.polled


@contextmanager
def _wire() -> Iterator[Wire]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a link can be cut by root and with iproute2 alone")
    name, net = f"pw{os.getpid() % 100_000}", f"10.197.{os.getpid() % 250}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode != 0:
        pytest.skip("network namespaces are not allowed here")
    try:
        _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        _ip("addr", "add", f"{net}.1/30", "dev", f"{name}a")
        _ip("link", "set", f"{name}a", "up")
        _ip("netns", "exec", name, "ip", "addr", "add", f"{net}.2/30", "dev", f"{name}b")
        for device in ("lo", f"{name}b"):
            _ip("netns", "exec", name, "ip", "link", "set", device, "up")
        yield Wire(name, f"{net}.2")
    finally:
        _ip("netns", "del", name)  # the pair goes with it


@contextmanager
def _influxd(folder: Path, wire: Wire) -> Iterator[None]:
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{BACKUP_PORT}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        '[monitor]\nstore-enabled = false\n[logging]\nlevel = "error"\n'
        f'[http]\nbind-address = "{wire.address}:{HTTP_PORT}"\nlog-enabled = false\nflux-enabled = false\n'
    )
    command = ["ip", "netns", "exec", wire.name, program("influxd"), "-config", str(config)]
    with running(command, lambda: _answers(wire), folder / "influxd.log"):
        yield


def _answers(wire: Wire) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((wire.address, HTTP_PORT)) == 0


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
