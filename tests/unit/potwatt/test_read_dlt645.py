"""A DL/T 645 meter looked at: the frames as they came, the bytes beside the values, and both as proof of the profile."""

from __future__ import annotations

import tomllib

import pytest
from real_servers import free_port

from collector.look import PolledLook
from devices.catalog import shipped_profiles
from devices.dlt645 import decode
from devices.dlt645_profile import golden_row
from plant.site import Endpoint, Meter
from potwatt.clock import SystemClock
from potwatt.read_cli import _show_look, golden_block
from simulators.dlt645_server import Bus, BusMeter, BusOnTcp, fixed, number

ADDRESS = "000000000001"
DATA = {"00010000": number(1234.56, 8, 2), "02800002": number(49.98, 4, 2)}


async def test_frames_are_shown_and_prove_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    profile = shipped_profiles()["dlt645_2007_three_phase"]
    assert profile.dlt645 is not None
    port = free_port()
    server = BusOnTcp(Bus([BusMeter(ADDRESS, fixed(DATA))]), port)
    await server.start()
    endpoint = Endpoint("line", "dlt645_over_tcp", "127.0.0.1", port, timeout_s=0.5)
    device = PolledLook(endpoint, Meter("m", profile.id, "line", 1, address=ADDRESS), profile, SystemClock())
    try:
        await device.open()
        look = await device.read()
    finally:
        device.close()
        await server.stop()
    _show_look(profile, look, raw=True)
    shown = capsys.readouterr().out
    assert "data 02800002: 68 01 00 00 00 00 00 68 91 06 35 33 B3 35 CB 7C FF 16" in shown
    assert "98 49" in shown, "the bytes of the frequency beside it"
    block = tomllib.loads("\n".join(golden_block(profile, look)))["golden"][0]
    assert block["evidence"] == "recorded"
    assert block["expect"]["frequency"] == 49.98
    again = decode(profile.dlt645, [golden_row(profile.dlt645, block["frames"])])[0][0]
    proven = dict(zip(profile.quantities, again.tolist(), strict=True))
    assert {name: proven[name] for name in block["expect"]} == block["expect"]
    assert set(block["missing"]) == set(profile.quantities) - set(block["expect"])
