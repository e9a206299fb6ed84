"""devices, devices add, probe and read as a plant engineer types them, against real servers on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openpyxl
import pytest

ROOT = Path(__file__).parents[3]
LIST = """地址,参数名称,数据类型,单位,倍率
0x0000,A相电压,uint16,V,0.1
0x0001,B相电压,uint16,V,0.1
0x0002,C相电压,uint16,V,0.1
0x0003,总有功功率,int32,W,
0x0005,频率,uint16,0.01Hz,
0x0006,最大需量,uint32,kW,0.01
"""
SERVER = """
import asyncio, sys
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from devices.catalog import shipped_profiles
from devices.codec import encode
from devices.image import fixed_words, plan_addresses
import numpy as np
profile = shipped_profiles()["sim_ac_meter"]
values = {"power_factor": 0.9, "frequency": 50.0}
row = encode(profile, np.array([[values.get(q, 400.0) for q in profile.quantities]]))[0]
words = {a: w for (_, a), w in fixed_words(profile).items()} | {a: int(w) for (_, a), w in zip(plan_addresses(profile), row)}
known = SimDevice(1, [SimData(a, values=[w], datatype=DataType.REGISTERS) for a, w in sorted(words.items())])
listed = SimDevice(7, [SimData(0, values=[2301, 2312, 2298, 0, 7500, 5001], datatype=DataType.REGISTERS)])
async def main():
    server = ModbusTcpServer([known, listed], address=("127.0.0.1", int(sys.argv[1])))
    await server.serve_forever(background=True)
    print("up", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def potwatt(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from potwatt.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    env = os.environ | {"COLUMNS": "200", "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=90, check=False, env=env)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(*command: str, cwd: Path, until: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *command], cwd=cwd, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    try:
        assert any(until in line for line in iter(process.stdout.readline, ""))
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def meter_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with running("-c", SERVER, str(port), cwd=tmp_path_factory.mktemp("server"), until="up"):
        yield port


def site_with(folder: Path, meter_port: int, api_port: int) -> Path:
    assert potwatt("init", "site.toml", cwd=folder).returncode == 0
    text = (folder / "site.toml").read_text("utf-8").replace("port = 1502", f"port = {meter_port}")
    text = text.replace("port = 8000", f"port = {api_port}").replace('# profiles_dir = "profiles"', 'profiles_dir = "profiles"')
    (folder / "site.toml").write_text(text, "utf-8")
    (folder / "profiles").mkdir()
    return folder / "site.toml"


def test_the_list_and_one_profile(tmp_path: Path) -> None:
    listed = potwatt("devices", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "sunspec_meter_203" in listed.stdout
    rows = json.loads(potwatt("devices", "--json", cwd=tmp_path).stdout)
    assert {"id", "verified", "proven", "golden_origin", "source", "quantities"} <= set(rows[0])
    shown = potwatt("devices", "show", "sim_ac_meter", cwd=tmp_path).stdout
    assert "input 24-27" in shown
    assert "1 request a reading: input 2-31" in shown
    unknown = potwatt("devices", "show", "sim_nothing", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "sim_ac_meter" in unknown.stderr


def test_from_a_list_to_a_proven_profile_in_four_commands(tmp_path: Path, meter_port: int) -> None:
    site = site_with(tmp_path, meter_port, free_port())
    (tmp_path / "list.csv").write_bytes(LIST.encode("gb18030"))
    added = potwatt("devices", "add", "list.csv", "--id", "my_meter", "--site", "site.toml", cwd=tmp_path)
    assert added.returncode == 0, added.stderr
    assert "5 quantities; 1 rows" in added.stdout
    noted = potwatt("check", str(site), cwd=tmp_path)
    assert noted.returncode == 0, "no meter uses the draft"
    assert "Note: no meter uses this profile" in noted.stdout
    assert "my_meter.toml: golden: found nothing for voltage_l1_n" in noted.stdout
    again = potwatt("devices", "add", "list.csv", "--id", "my_meter", "--site", "site.toml", cwd=tmp_path)
    assert again.returncode == 2 and "left as it is" in again.stderr

    device = ("--host", f"127.0.0.1:{meter_port}", "--unit", "7")
    seen = potwatt("read", "profiles/my_meter.toml", *device, "--once", "--raw", cwd=tmp_path)
    assert seen.returncode == 0, seen.stderr
    for text in ("holding 0-5: 08FD 0908 08FA 0000 1D4C 1389", "08FD", "230.1 V", "7.5 kW", "50.01 Hz"):
        assert text in seen.stdout
    filled = potwatt("read", "profiles/my_meter.toml", *device, "--golden", "--write", cwd=tmp_path)
    assert filled.returncode == 0, filled.stderr
    assert potwatt("check", str(site), cwd=tmp_path).returncode == 0
    assert "my_meter" in potwatt("devices", "--site", "site.toml", cwd=tmp_path).stdout
    before = (tmp_path / "profiles" / "my_meter.toml").read_text("utf-8")
    twice = potwatt("read", "profiles/my_meter.toml", *device, "--golden", "--write", cwd=tmp_path)
    assert twice.returncode == 2
    assert (tmp_path / "profiles" / "my_meter.toml").read_text("utf-8") == before


def test_a_reading_that_proves_too_little_is_not_written(tmp_path: Path, meter_port: int) -> None:
    (tmp_path / "list.csv").write_text(LIST + "0x0064,正向有功总电能,uint32,kWh,\n", "utf-8")
    assert potwatt("devices", "add", "list.csv", "--id", "my_meter", cwd=tmp_path).returncode == 0
    before = (tmp_path / "my_meter.toml").read_text("utf-8")
    device = ("--host", f"127.0.0.1:{meter_port}", "--unit", "7")
    refused = potwatt("read", "my_meter.toml", *device, "--golden", "--write", cwd=tmp_path)
    assert refused.returncode == 2
    assert "nothing for energy_import" in refused.stderr
    assert (tmp_path / "my_meter.toml").read_text("utf-8") == before


def test_a_list_as_xlsx(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in LIST.splitlines():
        book.active.append(line.split(","))
    book.save(tmp_path / "list.xlsx")
    added = potwatt("devices", "add", "list.xlsx", "--id", "my_meter", cwd=tmp_path)
    assert added.returncode == 0, added.stderr
    assert 'name = "frequency", at = 5' in (tmp_path / "my_meter.toml").read_text("utf-8")
    assert potwatt("devices", "add", "list.xlsx", "--id", "other", "--sheet", "nowhere", cwd=tmp_path).returncode == 2


def test_probe_names_a_known_device_says_before_what_it_sends_and_writes_a_draft_once(tmp_path: Path, meter_port: int) -> None:
    where = f"127.0.0.1:{meter_port}"
    found = potwatt("probe", where, "--addresses", "0-40", "--table", "input", "--skip-sunspec", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "at most 2 a second" in found.stdout
    assert "Profile sim_ac_meter fits (the device says so itself)" in found.stdout
    (tmp_path / "taken.toml").touch()
    refused = potwatt("probe", where, "--addresses", "0-40", "--draft", "taken.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "left as it is" in refused.stderr


def test_what_a_running_program_reads_is_not_probed_and_its_readings_are_shown(tmp_path: Path, meter_port: int) -> None:
    site_with(tmp_path, meter_port, free_port())
    code = "import sys; sys.argv[1:] = ['run', 'site.toml']; from potwatt.cli import main; main()"
    with running("-c", code, cwd=tmp_path, until="http") as program:
        where = f"127.0.0.1:{meter_port}"
        refused = potwatt("probe", where, cwd=tmp_path)
        assert refused.returncode == 2
        assert f"process {program.pid}" in refused.stderr
        refused = potwatt("probe", where, "--site", "site.toml", cwd=tmp_path)
        assert refused.returncode == 2
        deadline_s = time.monotonic() + 40
        while True:
            shown = potwatt("read", "tie-1-main", "--site", "site.toml", "--once", cwd=tmp_path)
            if shown.returncode == 0 or time.monotonic() > deadline_s:
                break
        assert shown.returncode == 0, shown.stderr
        assert "not a second connection" in shown.stdout
        assert "50 Hz" in shown.stdout
    alone = potwatt("read", "tie-1-main", "--site", "site.toml", "--once", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert "4248 0000" in alone.stdout, "the words of 50 Hz"


def test_a_meter_of_a_program_whose_claims_are_not_seen_is_left_alone(tmp_path: Path, meter_port: int) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as api:  # as from within a container
        threading.Thread(target=api.serve_forever, daemon=True).start()
        site_with(tmp_path, meter_port, api.server_port)
        shown = potwatt("read", "tie-1-main", "--site", "site.toml", "--once", cwd=tmp_path)
        api.shutdown()
    assert shown.returncode != 0, "there is no program that could say anything"
    assert "read by the running program" in shown.stdout
    assert "4248 0000" not in shown.stdout, "the meter was not asked"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("probe", "10.0.0.0/24"), "no single host"),
        (("probe", "10.0.0.1-20"), "no address"),
        (("probe", "255.255.255.255"), "not the address of one device"),
        (("probe", "224.0.0.1"), "not the address of one device"),
        (("probe", "10.0.0.1:70000"), "no single host"),
        (("probe", "127.0.0.1", "--units", "0-3"), "broadcast"),
        (("probe", "127.0.0.1", "--units", "9-3"), "backwards"),
        (("probe", "127.0.0.1", "--units", "300"), "is no unit"),
        (("probe", "127.0.0.1", "--units", "one"), "cannot be read"),
        (("probe", "127.0.0.1", "--addresses", "9-2"), "cannot be read"),
        (("probe", "127.0.0.1", "--skip-sunspec"), "nothing to ask"),
        (("probe", "127.0.0.1", "--units", "1-247"), "requests at the least, and a probe sends 400 at most"),
        (("probe", "127.0.0.1:1"), "no connection"),
        (("probe",), "one host"),
        (("probe", "--serial", "/dev/no-such-port"), "does not open"),
        (("read", "x.toml"), "name a meter"),
        (("read", "missing.toml", "--host", "127.0.0.1"), "missing.toml"),
        (("devices", "add", "missing.csv", "--id", "x"), "missing.csv"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    found = potwatt(*arguments, cwd=tmp_path)
    assert found.returncode == 2, found.stdout
    assert words in found.stderr
    assert "Traceback" not in found.stderr


def test_a_serial_port_that_is_silent_or_not_permitted_is_a_sentence(tmp_path: Path) -> None:
    master, slave = os.openpty()
    name = os.ttyname(slave)
    Path(name).chmod(0o000)
    try:
        found = potwatt("probe", "--serial", name, cwd=tmp_path)
        assert found.returncode == 2
        assert "Traceback" not in found.stderr
        if os.geteuid():
            assert "permission denied" in found.stderr
    finally:
        os.close(master)
        os.close(slave)


def test_a_merged_cell_holds_for_each_of_its_rows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (["地址", "名称", "类型", "单位"], ["0", "A相电压", "U16", "V"], ["1", "B相电压"], ["2", "C相电压"]):
        book.active.append(row)
    for cells in ("C2:C4", "D2:D4"):
        book.active.merge_cells(cells)
    book.save(tmp_path / "list.xlsx")
    added = potwatt("devices", "add", "list.xlsx", "--id", "my_meter", cwd=tmp_path)
    assert added.returncode == 0 and "3 quantities; 0 rows are left" in added.stdout


def test_what_is_no_xlsx_and_the_id_of_a_shipped_profile_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "list.xlsx").write_text("<html><table></table></html>")
    refused = potwatt("devices", "add", "list.xlsx", "--id", "my_meter", cwd=tmp_path)
    assert refused.returncode != 0 and "list.xlsx cannot be read as XLSX" in refused.stderr and "Traceback" not in refused.stderr
    taken = potwatt("devices", "add", "list.xlsx", "--id", "eastron_sdm630", cwd=tmp_path)
    assert taken.returncode != 0 and "is a profile of the package" in taken.stderr and not list(tmp_path.glob("*.toml"))
