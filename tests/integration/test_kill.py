"""The promise of the collector: what was acknowledged or counted is in the store exactly once, whatever kills it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from kill_site import PLANT, T0_NS, TAP_EVERY
from mosquitto_server import MosquittoServer
from real_servers import free_port, listens

from plant.ports import LedgerEntry
from plant.series import Series, Span
from plant.site import StoreSettings
from potwatt.clock import SystemClock
from storage.embedded import EmbeddedStore
from storage.ledger import SqlLedger

KILLS, KILLS_WITHOUT_STORE = 20, 6
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ALWAYS = Span(0, 2**62)
HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(HERE / script), *map(str, arguments)]


@contextmanager
def process(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended with the test, whatever happens; its words are in ``log``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("ab") as out, subprocess.Popen(arguments, stdout=out, stderr=out, env=environment) as running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def store_held(path: Path) -> Iterator[None]:
    """Somebody else has the store's file open."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
    ) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.stdin.close()


async def stored(directory: Path) -> tuple[dict[str, Series], list[LedgerEntry]]:
    """The readings that tell apart the messages and polls, by meter, and the taps."""
    store = EmbeddedStore(directory / "store.duckdb", PLANT, StoreSettings())
    await store.setup()
    pairs = [("feeder", "energy_import"), ("dc-1", "dc_energy"), ("dc-2", "dc_energy")]
    series = await store.read_many(pairs, ALWAYS)
    await store.close()
    ledger = SqlLedger(f"sqlite:///{directory}/ledger.sqlite", SystemClock())
    taps = await ledger.entries(PLANT, ["metal_tapped"], ALWAYS)
    await ledger.close()
    return {meter: series[meter, quantity] for meter, quantity in pairs}, taps


def kill_at_random(arguments: list[str], directory: Path, dice: random.Random) -> None:
    with process(arguments, directory / "log") as collector:
        time.sleep(dice.uniform(0.2, 2.4))  # from before its first import is done to well under way
        assert collector.poll() is None, (directory / "log").read_text()[-3000:]
        collector.send_signal(signal.SIGKILL)
        collector.wait()


async def test_twenty_kills_lose_nothing_and_store_nothing_twice(tmp_path: Path, mosquitto: MosquittoServer) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice, gateway_port = random.Random(seed), free_port()
    collect = command("kill_collector.py", tmp_path, mosquitto.port, gateway_port)
    without_store = set(dice.sample(range(1, KILLS), KILLS_WITHOUT_STORE))
    with process(command("kill_devices.py", gateway_port), tmp_path / "log"):
        wait_for_port(gateway_port)
        first_session(collect, tmp_path)
        with process(command("kill_publisher.py", mosquitto.port, tmp_path / "acknowledged"), tmp_path / "log") as publisher:
            for kill in range(KILLS):
                if kill in without_store:
                    with store_held(tmp_path / "store.duckdb"):
                        kill_at_random(collect, tmp_path, dice)
                else:
                    kill_at_random(collect, tmp_path, dice)
            publisher.send_signal(signal.SIGTERM)
            assert publisher.wait(10) == 0
        with process([*collect, "drain"], tmp_path / "log") as last:
            assert last.wait(60) == 0, (tmp_path / "log").read_text()[-3000:]

    series, taps = await stored(tmp_path)
    acknowledged = [int(line) for line in (tmp_path / "acknowledged").read_text().split()]
    assert len(acknowledged) > 1000
    assert sorted(series["feeder"].value.tolist()) == sorted(acknowledged)
    assert series["feeder"].t_ns.tolist() == [T0_NS + n * 1_000_000 for n in sorted(acknowledged)]
    assert sorted(tap.key for tap in taps) == sorted(f"tap-{n}" for n in acknowledged if n % TAP_EVERY == 0)
    polls = [line.split() for line in (tmp_path / "polls").read_text().splitlines()]
    assert len(polls) > 50
    for meter in ("dc-1", "dc-2"):
        instants = series[meter].t_ns.tolist()
        assert len(instants) == len(set(instants)), "a poll is stored twice"
        assert len(instants) == len(set(series[meter].value.tolist())), "a poll is stored under two instants"
        assert {int(t_ns) for name, t_ns in polls if name == meter} <= set(instants)
    with duckdb.connect(str(tmp_path / "store.duckdb"), read_only=True) as database:
        assert database.execute("SELECT count(*) FROM conflict").fetchone() == (0,)


def wait_for_port(port: int) -> None:
    give_up = time.monotonic() + 20
    while not listens(port):
        assert time.monotonic() < give_up, f"nothing listens on {port}"
        time.sleep(0.05)


def first_session(collect: list[str], directory: Path) -> None:
    """Let the collector subscribe once: a broker keeps nothing for a client that it has never seen."""
    with process(collect, directory / "log") as collector:
        give_up = time.monotonic() + 20
        while "connected" not in (directory / "log").read_text():
            assert collector.poll() is None and time.monotonic() < give_up, (directory / "log").read_text()[-3000:]
            time.sleep(0.05)
        collector.kill()
        collector.wait()
