"""MQTT: messages received, decoded, screened, durable and acknowledged by `potwatt collect`, and stored in a real InfluxDB;
beside a C subscriber on libmosquitto that only counts (the limit) and Node-RED doing MQTT -> JSON -> InfluxDB.

Run: python benchmarks/bench_mqtt.py [--messages 300000] [--node-red FOLDER]. QoS 1, 142 bytes of JSON, 8 values, 2 000 topics.
FOLDER is where `npm install node-red node-red-contrib-influxdb` was run; without it Node-RED is left out.
CPU is that of the process measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from mqtt_load import FILTER, METERS, topic
from rig import HERE, OURS, THEIRS, built, collect, cpu_s, free_port, influxdb, listening, memory_mib, mosquitto, process, query

POINTS = {
    "active_power": ("/p_kw", "kW"),
    "energy_import": ("/e_kwh", "kWh"),
    "voltage_l1_n": ("/v/0", "V"),
    "voltage_l2_n": ("/v/1", "V"),
    "voltage_l3_n": ("/v/2", "V"),
    "current_l1": ("/i/0", "A"),
    "current_l2": ("/i/1", "A"),
    "current_l3": ("/i/2", "A"),
}
GIVE_UP_S = 180.0


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--messages", type=int, default=300_000)
    arguments.add_argument("--node-red", type=Path)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limit_us = counting(folder, chosen.messages)
        ours_us = sustained(folder / "sustained", chosen.messages)
        print(f"potwatt of the C subscriber: {ours_us / limit_us:.2f}x its CPU a message")
        blasted(folder / "blasted", chosen.messages)
        if chosen.node_red:
            theirs_us = node_red(folder / "node-red", chosen.node_red.resolve(), chosen.messages)
            print(
                f"Node-RED of potwatt: {theirs_us / ours_us:.1f}x its CPU a message, and nothing durable before it acknowledges"
            )
        else:
            print("Node-RED: left out (--node-red FOLDER)")


def counting(folder: Path, messages: int) -> float:
    """CPU in us a message of the C subscriber."""
    counter = built("mqtt_count", folder)
    with mosquitto(folder / "count-broker") as port:
        command = ["taskset", "-c", str(min(OURS)), str(counter), str(port), FILTER, str(messages)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            with publisher(port, messages):
                _, a_message_us, elapsed_s = map(float, running.stdout.read().split())
    print(f"{'C, libmosquitto, counts':40} {a_message_us:6.2f} us/msg {messages / elapsed_s:9.0f} msg/s")
    return a_message_us


def sustained(folder: Path, messages: int) -> float:
    """CPU in us a message with a real broker and a real InfluxDB on the same cores."""
    folder.mkdir()
    with (
        influxdb(folder / "influxdb") as store,
        mosquitto(folder / "broker") as port,
        collect(write_site(folder, port, store)) as running,
    ):
        wait_until_subscribed(folder)
        warm = warm_up(port, lambda: stored(store), messages)
        with publisher(port, messages):
            used_s, begun_s = cpu_s(running.pid), time.monotonic()
            elapsed_s = until(lambda: stored(store), warm + messages, begun_s)
            used_s = cpu_s(running.pid) - used_s
            peak = memory_mib(running.pid, "VmHWM")
    return told("potwatt: durable, acknowledged, stored", used_s, messages, elapsed_s, peak)


def blasted(folder: Path, messages: int) -> None:
    """The rate of one core: a broker that only blasts and an InfluxDB that only nods, on the other one."""
    folder.mkdir()
    port, store = free_port(), free_port()
    load = [sys.executable, HERE / "mqtt_load.py"]
    with process([*load, "nod", str(store)], THEIRS, folder / "nod.log"):
        listening(store)
        with process([*load, "blast", str(port), str(messages)], THEIRS, folder / "blast.log"):
            listening(port, 120.0)
            with collect(write_site(folder, port, store)) as running:
                idle_s = wait_for_line(folder / "blast.log", "first 1", running.pid)
                begun_s = time.monotonic()
                used_s = wait_for_line(folder / "blast.log", "last 1", running.pid) - idle_s
                elapsed_s = time.monotonic() - begun_s
                settled_s = settle(running.pid)
                peak = memory_mib(running.pid, "VmHWM")
    told("potwatt: null broker and store, to the last ack", used_s, messages, elapsed_s, peak)
    print(f"{'':40} {(settled_s - idle_s) / messages * 1e6:6.2f} us/msg until everything is forwarded too")


def node_red(folder: Path, installed: Path, messages: int) -> float:
    """CPU in us a message of a flow as its users draw it: JSON, a function, batches of 1 000."""
    folder.mkdir()
    with influxdb(folder / "influxdb") as store, mosquitto(folder / "broker") as port:
        create(store)
        page = free_port()
        (folder / "flows.json").write_text(json.dumps(flow(port, store)))
        (folder / "settings.js").write_text(f"module.exports = {{uiPort: {page}, uiHost: '127.0.0.1', flowFile: 'flows.json'}};")
        (folder / "node_modules").symlink_to(installed / "node_modules")
        (folder / "package.json").write_text((installed / "package.json").read_text())
        with process(["node", installed / "node_modules/node-red/red.js", "-u", folder], OURS, folder / "log") as running:
            listening(page, 60.0)
            time.sleep(5.0)
            warm = warm_up(port, lambda: counted(store, "bench", "p_kw", "power"), messages)
            with publisher(port, messages):
                used_s, begun_s = cpu_s(running.pid), time.monotonic()
                elapsed_s = until(lambda: counted(store, "bench", "p_kw", "power"), warm + messages, begun_s)
                used_s = cpu_s(running.pid) - used_s
                peak = memory_mib(running.pid, "VmHWM")
    return told("Node-RED: acknowledged, then stored", used_s, messages, elapsed_s, peak)


def flow(port: int, store: int) -> list[dict[str, object]]:
    """MQTT in -> function -> join 1 000 -> InfluxDB batch."""
    function = (
        "const p = msg.payload; msg.payload = {measurement: 'power', tags: {meter: p.device}, timestamp: p.ts, "
        "fields: {p_kw: p.p_kw, e_kwh: p.e_kwh, v1: p.v[0], v2: p.v[1], v3: p.v[2], i1: p.i[0], i2: p.i[1], i3: p.i[2]}}; "
        "return msg;"
    )
    broker = {"broker": "127.0.0.1", "port": str(port), "clientid": "node-red", "keepalive": "60", "cleansession": True}
    server = {"hostname": "127.0.0.1", "port": str(store), "protocol": "http", "database": "bench", "influxdbVersion": "1.x"}
    join = {"mode": "custom", "build": "array", "property": "payload", "propertyType": "msg", "count": "1000", "timeout": "1"}
    return [
        {"id": "n1", "type": "tab", "label": "bench"},
        {"id": "n2", "type": "mqtt-broker", **broker},
        {"id": "n3", "type": "influxdb", **server},
        {
            "id": "n4",
            "type": "mqtt in",
            "z": "n1",
            "topic": FILTER,
            "qos": "1",
            "datatype": "json",
            "broker": "n2",
            "wires": [["n5"]],
        },
        {"id": "n5", "type": "function", "z": "n1", "func": function, "outputs": 1, "wires": [["n6"]]},
        {"id": "n6", "type": "join", "z": "n1", **join, "wires": [["n7"]]},
        {"id": "n7", "type": "influxdb batch", "z": "n1", "influxdb": "n3", "precision": "ms", "wires": []},
    ]


def write_site(folder: Path, port: int, store: int) -> Path:
    profiles = folder / "profiles"
    profiles.mkdir()
    points = "\n".join(f'  {{ name = "{name}", path = "{path}", unit = "{unit}" }},' for name, (path, unit) in POINTS.items())
    message = '{"ts": 1795000000000, "p_kw": 1.5, "e_kwh": 1.5, "v": [1.5, 1.5, 1.5], "i": [1.5, 1.5, 1.5]}'
    expect = ", ".join(f"{name} = 1.5" for name in POINTS)
    (profiles / "bench_feeder.toml").write_text(
        f'[profile]\nid = "bench_feeder"\ntitle = "Feeder of the benchmark"\nkind = "meter"\nsource = "this benchmark"\n'
        f'[mqtt]\ntime = {{ path = "/ts", format = "unix_ms" }}\npoints = [\n{points}\n]\n'
        f"[[golden]]\norigin = \"by hand\"\npayload = '{message}'\nexpect = {{ {expect} }}\n"
        "expect_time_ns = 1795000000000000000\n"
    )
    site = folder / "site.toml"
    meters = "".join(
        f'[[meter]]\nid = "m{n:04}"\nprofile = "bench_feeder"\nendpoint = "broker"\ntopic = "{topic(n)}"\n' for n in range(METERS)
    )
    site.write_text(
        f'[plant]\nid = "bench"\nname = {{ en = "Bench" }}\nprofiles_dir = "profiles"\n[[bus]]\nid = "b1"\n'
        f'[store]\nkind = "influxdb"\nurl = "http://127.0.0.1:{store}"\ndatabase = "bench"\n'
        f'[[endpoint]]\nid = "broker"\nprotocol = "mqtt"\nhost = "127.0.0.1"\nport = {port}\ntopics = ["{FILTER}"]\n{meters}'
    )
    return site


class publisher:  # noqa: N801 (used as a context alone)
    """A publisher in a process of its own that begins when the context is entered."""

    def __init__(self, port: int, messages: int) -> None:
        command = [
            "taskset",
            "-c",
            str(min(THEIRS)),
            sys.executable,
            str(HERE / "mqtt_load.py"),
            "publish",
            str(port),
            str(messages),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def __enter__(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def __exit__(self, *_: object) -> None:
        self._process.wait(60)


def warm_up(port: int, count: Callable[[], int], messages: int) -> int:
    """A tenth of the load first, so that nobody's start is measured. Returns how many that was."""
    warm = messages // 10 // 1000 * 1000
    with publisher(port, warm):
        until(count, warm, time.monotonic())
    time.sleep(1.1)  # the next messages are of another second
    return warm


def wait_until_subscribed(folder: Path) -> None:
    """The broker's log says when a client has subscribed."""
    wait_for_text(folder / "potwatt.log", '"broker:broker", "state": "ok"', 60.0)


def wait_for_text(file: Path, text: str, within_s: float) -> None:
    give_up = time.monotonic() + within_s
    while text not in file.read_text():
        if time.monotonic() > give_up:
            sys.exit(f"{file.name} never says {text}: {file.read_text()[-800:]}")
        time.sleep(0.02)


def wait_for_line(log: Path, word: str, pid: int) -> float:
    """CPU of the process when the load's log says that word."""
    wait_for_text(log, word, GIVE_UP_S)
    return cpu_s(pid)


def settle(pid: int) -> float:
    """CPU of the process once it rests: everything in the spool is forwarded."""
    before = cpu_s(pid)
    while True:
        time.sleep(1.0)
        after = cpu_s(pid)
        if after - before < 0.05:
            return after
        before = after


def until(count: Callable[[], int], messages: int, begun_s: float) -> float:
    """Seconds until so many are stored."""
    while (have := count()) < messages:
        if time.monotonic() - begun_s > GIVE_UP_S:
            sys.exit(f"only {have} of {messages} were stored in {GIVE_UP_S:g} s")
        time.sleep(0.5)  # each look has InfluxDB count, on the same two cores
    return time.monotonic() - begun_s


def stored(port: int) -> int:
    return counted(port, "bench_raw", "active_power", "reading")


def counted(port: int, database: str, field: str, measurement: str) -> int:
    rows = query(port, database, f"SELECT count({field}) FROM {measurement}")
    return int(rows[0][1]) if rows else 0


def create(port: int) -> None:
    body = urllib.parse.urlencode({"q": "CREATE DATABASE bench"}).encode()
    urllib.request.urlopen(f"http://127.0.0.1:{port}/query", body).close()


def told(title: str, used_s: float, messages: int, elapsed_s: float, peak_mib: float) -> float:
    """Prints a run, returns its CPU in us a message."""
    a_message_us = used_s / messages * 1e6
    print(f"{title:48} {a_message_us:6.2f} us/msg {messages / elapsed_s:9.0f} msg/s, peak {peak_mib:.0f} MiB", flush=True)
    return a_message_us


if __name__ == "__main__":
    main()
