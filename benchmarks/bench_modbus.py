"""Modbus: `potwatt collect` polling real sockets, decoded, screened, spooled and stored in a real InfluxDB, beside a C client
on libmodbus (which keeps nothing: the limit) and Debian's collectd with its modbus plugin.

Run: python benchmarks/bench_modbus.py [--seconds 20]. Devices are the addresses 127.1.x.y, 60 registers each, polled once a
second. The lag of a poll is the instant of its reply, as stored, after the instant of its turn.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rig import OURS, THEIRS, built, collect, cpu_s, free_port, influxdb, memory_mib, process, query

from collector.schedule import first_turn
from plant.quantities import QUANTITIES, Kind

WORDS = 60
SETTLE_S = 8.0
NAMES = [q.name for q in QUANTITIES.values() if q.kind is Kind.GAUGE][: WORDS // 2]


@dataclass(frozen=True, slots=True)
class Load:
    """So many devices, their registers in so many pieces, every so-manieth dead, polled at that interval."""

    devices: int
    requests: int = 1
    dead_every: int = 0
    interval_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """What polling so many devices cost. ``polls`` were stored of ``due``."""

    core_percent: float
    p99_lag_ms: float
    polls: int
    due: int
    memory_mib: float


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=20.0)
    seconds = arguments.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for program in ("modbus_server", "modbus_client"):
            built(program, folder)
        print(f"{'potwatt collect':44} {'of a core':>9} {'us/poll':>8} {'p99 lag':>9} {'stored':>8} {'memory':>8}")
        small = show(folder, "100 devices, contiguous", Load(100), seconds)
        large = show(folder, "1000 devices, contiguous", Load(1000), seconds)
        show(folder, "1000 devices, scattered over 6 requests", Load(1000, requests=6), seconds)
        dead = show(folder, "1000 devices, contiguous, 5 % dead", Load(1000, dead_every=20), seconds)
        fast = show(folder, "200 devices, contiguous, ten times a second", Load(200, interval_s=0.1), seconds)
        print(f"polls a second and core: {fast.polls / seconds / fast.core_percent * 100:.0f}")
        print(f"memory a connection: {(large.memory_mib - small.memory_mib) / 900 * 1024:.0f} KiB")
        print(f"p99 lag of the living with 5 % dead: {dead.p99_lag_ms / large.p99_lag_ms:.2f}x that without")
        beside(folder, large, seconds)


def show(folder: Path, title: str, load: Load, seconds: float) -> Run:
    run = potwatt(
        folder / f"{load.devices}-{load.requests}-{load.dead_every}-{load.interval_s}", folder / "modbus_server", load, seconds
    )
    a_poll_us = run.core_percent / 100 * seconds / max(run.polls, 1) * 1e6
    shares = f"{run.core_percent:7.1f} % {a_poll_us:8.0f} {run.p99_lag_ms:6.1f} ms {100 * run.polls / run.due:6.1f} %"
    print(f"{title:44} {shares} {run.memory_mib:5.0f} MiB", flush=True)
    return run


def potwatt(folder: Path, server: Path, load: Load, seconds: float) -> Run:
    folder.mkdir()
    port = free_port()
    with (
        influxdb(folder / "influxdb") as store,
        process([server, str(port), str(load.dead_every)], THEIRS, folder / "server.log"),
    ):
        site = write_site(folder, load, port, store)
        with collect(site) as running:
            time.sleep(SETTLE_S)
            begin_s, used_s = time.time(), cpu_s(running.pid)
            time.sleep(seconds)
            used_s, end_s = cpu_s(running.pid) - used_s, time.time()
            memory = memory_mib(running.pid)
            time.sleep(2.0)
            living = [n for n in range(1, load.devices + 1) if not load.dead_every or n % load.dead_every]
            lags = lags_ms(store, living, load.interval_s, begin_s, end_s)
    polls = round(len(living) * (end_s - begin_s) / load.interval_s)
    return Run(100 * used_s / (end_s - begin_s), float(np.percentile(lags, 99)), len(lags), polls, memory)


def lags_ms(store: int, living: Sequence[int], interval_s: float, begin_s: float, end_s: float) -> list[float]:
    """Of every turn in the span, how long after it its reply came; the turns are those of the schedule. A turn without a reply
    before the next one counts as a whole interval late, and so does the reply that came after that."""
    found: list[float] = []
    when = f"time >= {int(begin_s * 1e9)} AND time < {int(end_s * 1e9)}"
    interval_ms = 1000 * interval_s
    for n in living:
        name = f"m{n:04}"
        phase_ms = first_turn(name, interval_s, 0).due_ns / 1e6
        rows = query(store, "bench_raw", f"SELECT {NAMES[0]} FROM reading WHERE meter = '{name}' AND {when}")
        since_ms = [row[0] - phase_ms for row in rows]
        turns = {int(t // interval_ms) for t in since_ms}
        missed = int((end_s - begin_s) / interval_s) - 1 - len(turns)  # the first and the last may lie half outside
        found += [t % interval_ms for t in since_ms] + [interval_ms] * max(missed, 0)
    return found


def write_site(folder: Path, load: Load, port: int, store: int) -> Path:
    """A site whose every device is an endpoint of its own, with a profile of 60 registers in so many pieces."""
    profiles = folder / "profiles"
    profiles.mkdir()
    piece = len(NAMES) // load.requests
    places = [150 * (i // piece) + 2 * (i % piece) for i in range(len(NAMES))]
    points = "\n".join(
        f'  {{ name = "{name}", at = {at}, type = "float32", unit = "{QUANTITIES[name].unit}" }},'
        for name, at in zip(NAMES, places, strict=True)
    )
    high, low = struct.unpack(">HH", struct.pack(">f", 1.5))
    words = ", ".join(f"{at} = {high}, {at + 1} = {low}" for at in places)
    expect = ", ".join(f"{name} = 1.5" for name in NAMES)
    (profiles / "bench_device.toml").write_text(
        f'[profile]\nid = "bench_device"\ntitle = "Device of the benchmark"\nkind = "meter"\nsource = "this benchmark"\n'
        f'[modbus]\ntable = "holding"\nread = {{ span_max = 120, gap_max = 8 }}\npoints = [\n{points}\n]\n'
        f'[[golden]]\norigin = "1.5 as float32"\nwords = {{ {words} }}\nexpect = {{ {expect} }}\n'
    )
    numbers = range(1, load.devices + 1)
    text = [
        f'[plant]\nid = "bench"\nname = {{ en = "Bench" }}\nprofiles_dir = "profiles"\n[[bus]]\nid = "b1"\n'
        f'[store]\nkind = "influxdb"\nurl = "http://127.0.0.1:{store}"\ndatabase = "bench"\n'
    ]
    for n in numbers:
        host = f"127.1.{n >> 8}.{n & 255}"
        text.append(f'[[endpoint]]\nid = "e{n:04}"\nprotocol = "modbus_tcp"\nhost = "{host}"\nport = {port}\n')
        text.append(
            f'[[meter]]\nid = "m{n:04}"\nprofile = "bench_device"\nendpoint = "e{n:04}"\npoll_interval_s = {load.interval_s}\n'
        )
    site = folder / "site.toml"
    site.write_text("\n".join(text))
    return site


def beside(folder: Path, ours: Run, seconds: float) -> None:
    """The same 1 000 devices read by others."""
    port = free_port()
    with process([folder / "modbus_server", str(port), "0"], THEIRS, folder / "server.log"):
        time.sleep(0.5)
        polls, a_poll_us, lag_ms = c_client(folder, port, 1000, seconds, periodic=1)
        share = polls / seconds * a_poll_us / 1e4
        print(f"{'C, libmodbus, one thread, nothing kept':44} {share:7.1f} % {a_poll_us:8.0f} {lag_ms:6.1f} ms")
        ours_us = ours.core_percent / 100 * seconds / ours.polls * 1e6
        print(f"potwatt (stored) of the C client (nothing kept): {ours_us / a_poll_us:.1f}x its CPU a poll")
        rate, fast_us, _ = c_client(folder, port, 200, min(seconds, 5.0), periodic=0)
        print(
            f"{'C, libmodbus, 200 devices round after round':44} {rate / min(seconds, 5.0):.0f} polls/s, {fast_us:.1f} us a poll"
        )
        collectd(folder, port, ours, seconds)


def c_client(folder: Path, port: int, devices: int, seconds: float, *, periodic: int) -> tuple[float, float, float]:
    command = ["taskset", "-c", str(min(OURS)), folder / "modbus_client", port, devices, WORDS, 1, seconds, periodic]
    out = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
    polls, a_poll_us, lag_ms = map(float, out.split())
    return polls, a_poll_us, lag_ms


def collectd(folder: Path, port: int, ours: Run, seconds: float) -> None:
    """Debian's collectd; its plugin reads one value a request and hands it to a CSV file on the same disk."""
    found = shutil.which("collectd", path="/usr/sbin:/usr/bin")
    if found is None:
        print("collectd: not installed (apt-get install collectd-core libmodbus5), so not beside us in this run")
        return
    config = folder / "collectd.conf"
    config.write_text(collectd_config(folder, port))
    with process([found, "-f", "-C", config], OURS, folder / "collectd.log") as running:
        time.sleep(SETTLE_S)
        files = list((folder / "csv").rglob(f"*-{NAMES[0]}-2*"))
        before, used_s, begin_s = rows_of(files), cpu_s(running.pid), time.monotonic()
        time.sleep(seconds)
        used_s, elapsed_s = cpu_s(running.pid) - used_s, time.monotonic() - begin_s
        polls = rows_of(files) - before
    if not polls:
        print(f"collectd stored nothing: {(folder / 'collectd.log').read_text()[-300:]}")
        return
    ours_us = ours.core_percent / 100 * seconds / ours.polls * 1e6
    theirs_us = used_s / polls * 1e6
    share, stored = 100 * used_s / elapsed_s, 100 * polls / (1000 * elapsed_s)
    print(f"{'collectd, 1000 devices, CSV':44} {share:7.1f} % {theirs_us:8.0f} {'':9} {stored:6.1f} %")
    print(f"potwatt of collectd: {ours_us / theirs_us:.2f}x its CPU a poll of {len(NAMES)} values")


def collectd_config(folder: Path, port: int) -> str:
    """The same devices and values, each a gauge, on as many threads as help it."""
    data = "".join(
        f'<Data "d{i}">\nRegisterBase {2 * i}\nRegisterType float\nType gauge\nInstance "{name}"\n</Data>\n'
        for i, name in enumerate(NAMES)
    )
    collects = "".join(f'Collect "d{i}"\n' for i in range(len(NAMES)))
    hosts = "".join(
        f'<Host "m{n:04}">\nAddress "127.1.{n >> 8}.{n & 255}"\nPort "{port}"\nInterval 1\n'
        f'<Slave 1>\nInstance "s"\n{collects}</Slave>\n</Host>\n'
        for n in range(1, 1001)
    )
    return (
        f'Interval 1\nReadThreads 20\nBaseDir "{folder}"\nPIDFile "{folder}/collectd.pid"\n'
        f'TypesDB "/usr/share/collectd/types.db"\nLoadPlugin csv\n<Plugin csv>\nDataDir "{folder}/csv"\n</Plugin>\n'
        f"LoadPlugin modbus\n<Plugin modbus>\n{data}{hosts}</Plugin>\n"
    )


def rows_of(files: Sequence[Path]) -> int:
    """Lines in CSV files; collectd writes one a value."""
    return sum(file.read_bytes().count(b"\n") for file in files)


if __name__ == "__main__":
    main()
