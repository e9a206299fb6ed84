"""`potwatt collect` as a process of its own: a million Frames over MQTT while its Modbus lines break five hundred times."""

from __future__ import annotations

import asyncio
import json
import signal
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

import aiomqtt
import httpx
import pytest
from mosquitto_server import MosquittoServer

pytestmark = pytest.mark.xdist_group("flat-memory")

FRAMES, METERS, FRAMES_A_MESSAGE = 1_000_000, 250, 100
RECONNECTS, LINES, ANSWERS_A_LINE = 500, 60, 3
GROWTH_MAX_MIB = 16.0  # a leak of 20 bytes a Frame, or of 30 KiB a connection, is more
WARM_SHARE = 0.3  # of the Frames: by then every buffer has had its largest load
GIVE_UP_S = 240.0

PROFILE_MQTT = """
[profile]
id = "burst_meter"
title = "Meter that sends a hundred readings a message"
kind = "meter"
source = "this test"
[mqtt]
each = "/s"
time = { path = "/t", format = "unix_ms" }
points = [{ name = "active_power", path = "/p", unit = "kW" }]
[[golden]]
origin = "by hand"
payload = '{"s": [{"t": 1795147200000, "p": 1.5}]}'
expect = { active_power = 1.5 }
expect_time_ns = 1795147200000000000
"""
PROFILE_MODBUS = """
[profile]
id = "rude_meter"
title = "Meter whose line breaks all the time"
kind = "meter"
source = "this test"
[modbus]
table = "holding"
points = [{ name = "active_power", at = 0, type = "uint16", unit = "kW" }]
[[golden]]
origin = "by hand"
words = { 0 = 7 }
expect = { active_power = 7.0 }
"""


class RudeDevices:
    """Every address of 127.3.0.x answers a few requests and hangs up."""

    def __init__(self) -> None:
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for _ in range(ANSWERS_A_LINE):
                request = await reader.readexactly(12)
                count = struct.unpack(">H", request[10:])[0]
                writer.write(request[:4] + struct.pack(">HBBB", 3 + 2 * count, request[6], request[7], 2 * count))
                writer.write(struct.pack(f">{count}H", *[7] * count))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def write_site(folder: Path, mqtt_port: int, modbus_port: int, store_url: str, database: str) -> Path:
    (folder / "profiles").mkdir()
    (folder / "profiles/burst_meter.toml").write_text(PROFILE_MQTT)
    (folder / "profiles/rude_meter.toml").write_text(PROFILE_MODBUS)
    parts = [
        f'[plant]\nid = "soak"\nname = {{ en = "Soak" }}\nprofiles_dir = "profiles"\n[[bus]]\nid = "b1"\n'
        f'[store]\nkind = "influxdb"\nurl = "{store_url}"\ndatabase = "{database}"\n'
        f'[[endpoint]]\nid = "broker"\nprotocol = "mqtt"\nhost = "127.0.0.1"\nport = {mqtt_port}\ntopics = ["soak/#"]\n'
        f'[[meter]]\nn = "1-{METERS}"\nid = "b{{n}}"\nprofile = "burst_meter"\nendpoint = "broker"\ntopic = "soak/{{n}}"\n'
    ]
    for n in range(1, LINES + 1):
        parts.append(f'[[endpoint]]\nid = "l{n}"\nprotocol = "modbus_tcp"\nhost = "127.3.0.{n}"\nport = {modbus_port}\n')
        parts.append(f'[[meter]]\nid = "r{n}"\nprofile = "rude_meter"\nendpoint = "l{n}"\npoll_interval_s = 0.1\n')
    site = folder / "site.toml"
    site.write_text("".join(parts))
    return site


async def publish(port: int, begin_ms: int) -> None:
    """Everything once, as many messages in flight as the client allows."""
    a_meter = FRAMES // METERS
    async with aiomqtt.Client("127.0.0.1", port, max_inflight_messages=500, max_queued_outgoing_messages=0) as client:
        for first in range(0, a_meter, FRAMES_A_MESSAGE):
            samples = [{"t": begin_ms + first + i, "p": (first + i) / 8} for i in range(FRAMES_A_MESSAGE)]
            payload = json.dumps({"s": samples}).encode()
            await asyncio.gather(*(client.publish(f"soak/{n}", payload, qos=1) for n in range(1, METERS + 1)))


def resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def stored(http: httpx.AsyncClient, database: str) -> int:
    """Frames of the bursts in the store."""
    statement = "SELECT count(active_power) FROM reading WHERE meter =~ /^b/"
    answer = await http.get("/query", params={"db": f"{database}_raw", "q": statement})
    series = answer.json()["results"][0].get("series")
    return int(series[0]["values"][0][1]) if series else 0


async def test_memory_stays_flat(tmp_path: Path, influxdb: str, mosquitto: MosquittoServer) -> None:
    rude, database = RudeDevices(), f"s{uuid.uuid4().hex[:8]}"
    server = await asyncio.start_server(rude.serve, "0.0.0.0", 0)
    site = write_site(tmp_path, mosquitto.port, server.sockets[0].getsockname()[1], influxdb, database)
    command = [sys.executable, "-c", "from potwatt.cli import main; main()", "collect", str(site)]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220 (nothing else runs yet)
    async with server, httpx.AsyncClient(base_url=influxdb, timeout=60.0) as http:
        try:
            while '"broker:broker", "state": "ok"' not in (tmp_path / "log").read_text():
                assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
                await asyncio.sleep(0.1)
            publishing = asyncio.create_task(publish(mosquitto.port, round(time.time() * 1000) - FRAMES // METERS))
            end_s = time.monotonic() + GIVE_UP_S
            warm_mib, warm_connections = 0.0, 0
            while (frames := await stored(http, database)) < FRAMES or rude.connections < warm_connections + RECONNECTS:
                if not warm_mib and frames >= WARM_SHARE * FRAMES:
                    warm_mib, warm_connections = resident_mib(process.pid), rude.connections
                assert time.monotonic() < end_s, f"{frames} Frames and {rude.connections} connections in {GIVE_UP_S:g} s"
                await asyncio.sleep(0.5)
            await publishing
            grown_mib = resident_mib(process.pid) - warm_mib
            assert warm_mib, "everything came before memory was looked at"
            assert frames == FRAMES
            assert grown_mib < GROWTH_MAX_MIB, f"{grown_mib:.1f} MiB more than the {warm_mib:.0f} of before"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            log.close()
