"""The demo as a new user meets it: seconds to the first live figure and to full history, peak memory, figures beside the truth.

Run: python benchmarks/bench_demo.py [--days 30] [--seed 1]. Starts `potwatt demo` as a process of its own in a new folder.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from plant.series import Span
from potwatt.clock import SystemClock
from simulators.plant import SimulatedPlant


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--days", type=int, default=30)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), chosen.days, chosen.seed)


def measure(folder: Path, days: int, seed: int) -> None:
    port = free_port()
    command = [sys.executable, "-c", "from potwatt.cli import main; main()", "demo", f"--port={port}", f"--data={folder}"]
    started_s = time.monotonic()
    log = (folder / "log.txt").open("w")
    process = subprocess.Popen([*command, f"--days={days}", f"--seed={seed}"], stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}/api/v1/plants/demo"
    try:
        first = wait_for(lambda: live_share(base), 60)
        print(f"first live figure after {time.monotonic() - started_s:.1f} s: green share now {first:.2f} %")
        wait_for(lambda: history_done(folder), 600)
        print(f"{days} days of history read, stored and computed after {time.monotonic() - started_s:.1f} s")
        print(f"peak memory of the whole demo (simulated plant included): {peak_mib(process.pid):.0f} MiB")
        compare(base, folder, seed, days)
    finally:
        process.send_signal(signal.SIGINT)
        print(f"stopped with status {process.wait(30)}")
        log.close()


def compare(base: str, folder: Path, seed: int, days: int) -> None:
    smelter = SimulatedPlant(seed, folder / "smelter", SystemClock())
    report = settled(f"{base}/kpis?start=-{days - 1}d&end=now")
    span = Span(*(round(datetime.fromisoformat(report[edge]).timestamp()) * 1_000_000_000 for edge in ("start", "end")))
    print(f"figures of {report['start']} to {report['end']} ({report['status']}):")
    truth = smelter.truth
    wanted = {
        ("plant", "load_energy"): truth.load_kwh(span),
        ("plant", "green_share_physical"): truth.green_share_physical_percent(span),
    }
    for node, line in (("plant", "plant"), ("line:line-1", "line-1"), ("line:line-2", "line-2")):
        wanted[node, "metal_produced"] = truth.metal_produced_t(line, span)
        wanted[node, "specific_energy_e1"] = truth.specific_energy_e1_kwh_per_t(line, span)
        wanted[node, "specific_energy_e2"] = truth.specific_energy_e2_kwh_per_t(line, span)
        wanted[node, "specific_energy_e2_tariff"] = truth.specific_energy_e2_tariff_kwh_per_t(line, span)
    print(f"{'node':12} {'indicator':28} {'figure':>16} {'low':>16} {'high':>16} {'truth':>16} {'off':>9}")
    for (node, indicator), true in wanted.items():
        figure = next(f for f in report["figures"][node].values() if f["indicator"] == indicator)
        cells = [figure["value"], figure["low"], figure["high"], true]
        off = "" if figure["value"] is None else f"{100 * (figure['value'] / true - 1):+.3f} %"
        inside = figure["low"] is not None and figure["low"] <= true <= figure["high"]
        words = " ".join(f"{'null' if c is None else format(c, '.3f'):>16}" for c in cells)
        print(f"{node:12} {indicator:28} {words} {off:>9} {'' if inside else 'OUTSIDE THE BAND'}")


def settled(url: str) -> Any:
    """The answer once it rests on the same rows for ten seconds: weighed metal restates them after the last day is in."""
    found = get(url)
    while True:
        time.sleep(10)
        again = get(url)
        if again.get("interval_hash") == found.get("interval_hash"):
            return again
        found = again


def live_share(base: str) -> float | None:
    window = get(f"{base}/live").get("periods", {}).get("now") or {"figures": {}}
    figure = window["figures"].get("plant", {}).get("green_share_physical_percent")
    return figure["value"] if figure else None


def history_done(folder: Path) -> bool | None:
    """The demo says so itself, in the state that lets it go on after a stop."""
    with sqlite3.connect(f"file:{folder / 'plant' / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
        oldest_ns = ledger.execute("SELECT min(slot_ns) FROM ledger_dirty").fetchone()[0]
        row = ledger.execute("SELECT value FROM ledger_state WHERE name = 'demo_history'").fetchone()
    state = json.loads(row[0]) if row else None
    if not state or state["done_ns"] < state["end_ns"]:
        return None
    whole_ns = state["end_ns"] // 900_000_000_000 * 900_000_000_000  # the slot that history ends in is live
    return True if oldest_ns is None or oldest_ns >= whole_ns else None


def get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return {}


def wait_for(ask: Any, limit_s: float) -> Any:
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        found = ask()
        if found is not None:
            return found
        time.sleep(0.2)
    raise SystemExit("nothing came in time")


def peak_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


if __name__ == "__main__":
    main()
