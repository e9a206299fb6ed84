"""The demo as a user meets it: a process of its own, the page's API, Ctrl-C, started again on the same folder."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from plant.series import Span
from potwatt.clock import SystemClock
from simulators.plant import SimulatedPlant

pytestmark = pytest.mark.xdist_group("demo")
LIMIT_S = 120.0
DAYS = 3


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def demo(folder: Path, port: int, seed: int = 5) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", "from potwatt.cli import main; main()", "demo", f"--port={port}", f"--data={folder}"]
    process = subprocess.Popen(
        [*command, f"--days={DAYS}", f"--seed={seed}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return json.load(answer)


def wait_for(process: subprocess.Popen[str], ask: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            pytest.fail(f"the demo ended with {process.returncode}: {process.stdout.read() if process.stdout else ''}")
        try:
            found = ask()
        except (urllib.error.URLError, OSError):
            found = None
        if found:
            return found
        time.sleep(0.3)
    pytest.fail("nothing came in time")


def live_load(port: int) -> float | None:
    found = get(port, "/api/v1/plants/demo/live")["power_kw"]["load"]
    return None if found is None else float(found)


def whole_day(port: int) -> dict[str, Any] | None:
    """Figures of the last 24 h once all their readings are in and no slot is left to compute."""
    found: dict[str, Any] = get(port, "/api/v1/plants/demo/kpis?start=-24h&end=now")
    load = found["figures"].get("plant", {}).get("load_energy_kwh")
    if not load or found["slots_missing"] or load["completeness"] < 0.98:
        return None
    time.sleep(3)  # days before it may still restate what the battery held
    return found if get(port, "/api/v1/plants/demo/kpis?start=-24h&end=now")["interval_hash"] == found["interval_hash"] else None


def test_demo_from_start_to_restart(tmp_path: Path) -> None:
    port = free_port()
    with demo(tmp_path, port) as process:
        load_kw = wait_for(process, lambda: live_load(port))
        assert 300_000 < load_kw < 500_000
        day = wait_for(process, lambda: whole_day(port))
        stop(process)
    smelter = SimulatedPlant(5, tmp_path / "smelter", SystemClock())
    beside_truth(day, smelter)
    time.sleep(3)
    with demo(tmp_path, port) as process:
        wait_for(process, lambda: live_load(port))
        # what was computed before the stop is there at once, and the edition of the site is the same
        again = get(port, "/api/v1/plants/demo/kpis?start=-24h&end=now")
        assert again["slots_missing"] == 0
        assert set(day["editions"]) <= set(again["editions"])
        stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "Traceback" not in output, output


def beside_truth(day: dict[str, Any], smelter: SimulatedPlant) -> None:
    start, end = (round(datetime.fromisoformat(day[edge]).timestamp()) * 1_000_000_000 for edge in ("start", "end"))
    span, truth = Span(start, end), smelter.truth
    wanted = {
        ("plant", "load_energy_kwh"): truth.load_kwh(span),
        ("plant", "green_share_physical_percent"): truth.green_share_physical_percent(span),
        ("plant", "specific_energy_e1_kwh_per_t"): truth.specific_energy_e1_kwh_per_t("plant", span),
        ("line:line-1", "specific_energy_e1_kwh_per_t"): truth.specific_energy_e1_kwh_per_t("line-1", span),
        ("line:line-2", "specific_energy_e2_kwh_per_t"): truth.specific_energy_e2_kwh_per_t("line-2", span),
    }
    for (node, name), true in wanted.items():
        figure = day["figures"][node][name]
        assert figure["value"] is not None, (node, name, figure)
        assert figure["low"] <= true <= figure["high"], (node, name, figure, true)
        assert abs(figure["value"] / true - 1) < 0.02, (node, name, figure, true)


def test_port_taken_is_said_in_words(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with demo(tmp_path, port) as process:
            output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in output
    assert "--port" in output
    assert "Traceback" not in output
