"""Claims on endpoints, held by this process and by others."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from collector.claim import claim, holder, names_of
from plant.site import Endpoint


def tcp(host: str, port: int, protocol: str = "modbus_tcp") -> Endpoint:
    return Endpoint("e", protocol, host, port)


async def test_one_endpoint_has_the_same_claim_whatever_its_host_is_called() -> None:
    assert set(await names_of(tcp("LOCALHOST", 1502))) & set(await names_of(tcp("127.0.0.1", 1502)))
    assert not set(await names_of(tcp("127.0.0.1", 1502))) & set(await names_of(tcp("127.0.0.1", 1503)))


async def test_a_host_without_an_address_still_has_a_name() -> None:
    assert await names_of(tcp("gateway.invalid", 502)) == ("gateway.invalid:502",)


async def test_links_to_one_serial_port_are_one_line(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    (tmp_path / "by-id").symlink_to(port)
    by_id = Endpoint("e", "modbus_rtu", "", 0, serial_port=str(tmp_path / "by-id"))
    assert await names_of(by_id) == (f"serial:{port}",)


async def test_brokers_and_files_are_not_claimed() -> None:
    assert await names_of(tcp("127.0.0.1", 1883, "mqtt")) == ()


def test_a_second_claim_names_the_process_that_has_the_first() -> None:
    name = f"test:{os.getpid()}"
    first = claim([name, name])
    assert not first.taken
    found = holder(name)
    assert found is not None
    assert found.pid == os.getpid()
    assert str(os.getpid()) in str(claim([name]).taken[name])
    first.release()
    assert holder(name) is None
    second = claim([name])
    assert not second.taken
    second.release()


def test_names_of_whatever_length_are_claimed() -> None:
    name = f"{os.getpid()}." + "a" * 60 + ".b" * 60 + ".works.example:502"
    first = claim([name, name + "1"])
    assert not first.taken
    assert not first.failed
    second = claim([name])
    assert list(second.taken) == [name]
    first.release()
    assert holder(name) is None


def test_a_claim_that_fails_is_told_and_ends_nothing() -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as files:
        used = max(int(file.name) for file in Path("/proc/self/fd").iterdir()) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, limit[1]))
        try:
            with suppress(OSError):
                while True:
                    files.enter_context(socket.socket())
            held = claim(["test-out-of-files"])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert list(held.failed) == ["test-out-of-files"]


def test_many_questions_leave_a_claim_standing() -> None:
    name = f"test-many:{os.getpid()}"
    held = claim([name])
    assert all(holder(name) is not None for _ in range(200))
    held.release()
    assert holder(name) is None


def test_a_claim_ends_with_its_process_however_it_dies() -> None:
    name = f"test-killed:{os.getpid()}"
    code = f"from collector.claim import claim; import time; c = claim([{name!r}]); print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    found = holder(name)
    assert found is not None
    assert found.pid == other.pid
    other.kill()
    other.wait()
    other.stdout.close()
    assert holder(name) is None
