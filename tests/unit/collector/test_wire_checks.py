"""TLS files that are none, and serial lines that cannot keep up, before anything runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from collector.wire import open_wire
from collector.wire_checks import poll_s, slow_lines, tls_faults
from devices.catalog import shipped_profiles
from plant.errors import TransportError
from plant.site import Endpoint, Meter, Site

PROFILES = shipped_profiles()


def site(endpoint: Endpoint, *meters: Meter) -> Site:
    return cast(Site, SimpleNamespace(endpoints={endpoint.id: endpoint}, meters={m.id: m for m in meters}))


@pytest.mark.parametrize("files", [{"ca_file": "missing.pem"}, {"cert_file": "empty.pem", "key_file": "empty.pem"}])
def test_tls_files_that_are_none_are_faults(files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    endpoint = Endpoint("e", "modbus_tls", "gateway", 802, **files)  # type: ignore[arg-type]
    (fault,) = tls_faults(site(endpoint), tmp_path, "site.toml")
    assert fault.key == "endpoint[e].ca_file, cert_file, key_file"
    assert next(iter(files.values())) in fault.found
    assert not list(tls_faults(site(Endpoint("e", "modbus_tls", "gateway", 802)), tmp_path, "site.toml"))


@pytest.mark.parametrize("name", ["eastron_sdm630", "dlt645_2007_three_phase"])
def test_a_serial_line_that_cannot_keep_up_is_told(name: str) -> None:
    protocol = "modbus_rtu" if PROFILES[name].modbus else "dlt645"
    line = Endpoint("e", protocol, "", 0, serial_port="/dev/ttyS9", baud_rate=9600)
    needs_s = poll_s(line, PROFILES[name])
    assert 0.05 < needs_s < 2.0, "a few hundred characters of a millisecond each"
    fast, slow = (Meter("m", name, "e", 1, poll_interval_s=needs_s * share) for share in (0.8, 1.25))
    (told,) = slow_lines(site(line, fast), PROFILES)
    assert "at 9600 baud its 1 meters keep the line busy for 125 %" in told
    assert not list(slow_lines(site(line, slow), PROFILES))
    over_tcp = Endpoint("e", f"{protocol}_over_tcp", "gateway", 4001)
    assert not list(slow_lines(site(over_tcp, fast), PROFILES)), "what the server's line can do is not known here"


async def test_a_port_without_tls_is_named_with_a_cause() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TransportError) as refused:
            await open_wire(Endpoint("e", "modbus_tls", "127.0.0.1", port), asyncio.Protocol)
    text = str(refused.value)
    assert ": ;" not in text
    assert "TLS" in text
