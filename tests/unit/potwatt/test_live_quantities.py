"""What is newest of each quantity where a device does not speak of all of them at once: live, in the store, over the API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from devices.catalog import shipped_profiles
from plant.config import parse_site
from plant.frame import FrameBlock
from plant.quality import ABSENT
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.site import Meter
from potwatt.board import Board
from potwatt.live_bus import LiveBus
from potwatt.load import Loaded
from potwatt.running import last_reading
from potwatt.store_tail import follow_store
from storage.memory import MemoryStore

MS = 1_000_000
T_MS = 1_795_147_200_000
PROFILES = shipped_profiles()
SITE = parse_site(
    """
plant = { id = "p", name = { en = "P" }, zone = "Asia/Shanghai" }
bus = [{ id = "b" }]
endpoint = [{ id = "g", protocol = "mqtt", host = "127.0.0.1", port = 1883 }]
meter = [{ id = "feeder", profile = "sim_feeder_mqtt", endpoint = "g", topic = "plant/feeder", silent_after_s = 60 }]
""",
    "site.toml",
)


class RoundOver(Exception):
    """A loop went round once."""


class SetClock:
    """A clock that a test sets; sleeping ends the loop that sleeps."""

    def __init__(self, t_ms: int) -> None:
        self.t_ms = t_ms

    def now_ns(self) -> int:
        return self.t_ms * MS

    async def sleep(self, seconds: float) -> None:
        raise RoundOver


def said(t_ms: int, meter: str = "feeder", **values: float) -> FrameBlock:
    value = np.array([list(values.values())])
    quality = np.where(np.isnan(value), np.int16(int(ABSENT)), np.int16(0))
    index, t_ns = np.zeros(1, np.int32), np.array([t_ms], np.int64) * MS
    return FrameBlock("p", "sim_feeder_mqtt", tuple(values), (meter,), index, t_ns, value, quality)


def test_a_quantity_ages_by_its_own_last_word() -> None:
    clock = SetClock(1_000_000)
    bus = LiveBus(clock)
    bus.publish(said(1_000_000, active_power=5.0, voltage_l1_n=230.0))
    clock.t_ms = 1_050_000
    bus.publish(said(1_050_000, voltage_l1_n=231.0))
    frame = bus.latest()["feeder"]
    assert frame.is_fresh(1_070_000 * MS, 60.0)
    assert frame.fresh_part(1_060_000 * MS, 60.0).value == {"active_power": 5.0, "voltage_l1_n": 231.0}
    assert frame.fresh_part(1_060_001 * MS, 60.0).value == {"voltage_l1_n": 231.0}
    assert (frame.age_s(1_060_000 * MS, "active_power"), frame.age_s(1_060_000 * MS, "voltage_l1_n")) == (60.0, 10.0)
    assert (frame.instant_ns("active_power"), frame.instant_ns("voltage_l1_n")) == (1_000_000 * MS, 1_050_000 * MS)


def test_a_whole_frame_makes_all_quantities_its_own_again() -> None:
    bus = LiveBus(SetClock(1_000_000))
    for block in (said(1, active_power=1.0), said(2, voltage_l1_n=2.0), said(3, active_power=3.0, voltage_l1_n=3.0)):
        bus.publish(block)
        frame = bus.latest()["feeder"]
    assert frame.older == {}


def test_a_value_of_long_ago_that_comes_after_a_newer_one_is_as_old_as_it_says() -> None:
    clock = SetClock(T_MS)
    bus = LiveBus(clock)
    bus.publish(said(T_MS, active_power=5.0))
    bus.publish(said(T_MS - 3_600_000, voltage_l1_n=230.0))
    assert bus.latest()["feeder"].fresh_part(T_MS * MS, 60.0).value == {"active_power": 5.0}


NAMES = ("active_power", "voltage_l1_n", "frequency")


@given(st.lists(st.tuples(st.integers(0, 50), st.sets(st.sampled_from(NAMES), min_size=1)), min_size=1, max_size=12))
def test_each_quantity_is_the_newest_that_was_said_of_it(frames: list[tuple[int, set[str]]]) -> None:
    bus, newest = LiveBus(SetClock(1_000)), dict[str, int]()
    for t_ms, names in frames:
        bus.publish(said(t_ms, **{name: float(t_ms) for name in names}))
        newest |= {name: max(newest.get(name, 0), t_ms) for name in names}
    frame = bus.latest()["feeder"]
    assert frame.value == newest
    assert {name: frame.instant_ns(name) // MS for name in newest} == newest
    assert frame.t_ns // MS == max(newest.values())


def test_what_is_withdrawn_holds_no_more_until_the_next_frame() -> None:
    clock = SetClock(T_MS)
    bus = LiveBus(clock)
    bus.publish(said(T_MS, active_power=5.0))
    bus.withdraw(["feeder", "never heard"])
    frame = bus.latest()["feeder"]
    assert not frame.is_fresh(T_MS * MS, 60.0)
    assert (frame.value, frame.age_s(T_MS * MS)) == ({}, 0.0)
    bus.publish(said(T_MS + 1, active_power=6.0))
    assert bus.latest()["feeder"].value == {"active_power": 6.0}


async def tail(store: MemoryStore, t_ms: int) -> dict[str, float]:
    """What a role apart shows at ``t_ms`` of the meter."""
    clock = SetClock(t_ms)
    bus = LiveBus(clock)
    with suppress(RoundOver):
        await follow_store(SITE, PROFILES, store, bus, clock, Board())
    return bus.latest()["feeder"].fresh_part(t_ms * MS, 60.0).value


async def test_the_tail_of_a_store_keeps_what_was_not_due() -> None:
    store = MemoryStore("p")
    await store.write([said(T_MS, active_power=5.0, energy_import=9.0), said(T_MS + 1_000, active_power=6.0)])
    assert await tail(store, T_MS + 2_000) == {"active_power": 6.0, "energy_import": 9.0}
    assert await tail(store, T_MS + 60_001) == {"active_power": 6.0}


async def test_the_tail_of_a_store_shows_as_missing_what_was_due() -> None:
    store = MemoryStore("p")
    both = said(T_MS, active_power=5.0, energy_import=9.0)
    await store.write([both, replace(said(T_MS + 1_000, active_power=6.0, energy_import=np.nan))])
    found = await tail(store, T_MS + 2_000)
    assert found["active_power"] == 6.0
    assert np.isnan(found["energy_import"])


@contextmanager
def api(series: dict[str, dict[str, list[Any]]]) -> Iterator[int]:
    """A server that answers /series as the program does; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = series.get(parse_qs(urlsplit(self.path).query)["quantity"][0], {"t_ms": [], "value": [], "quality": []})
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_poll_between_two_requests_blanks_nothing() -> None:
    series = {
        "active_power": {"t_ms": [T_MS, T_MS + 1_000], "value": [5.0, None], "quality": [0, 1]},
        "energy_import": {"t_ms": [T_MS, T_MS + 1_000, T_MS + 2_000], "value": [7.0, 8.0, 9.0], "quality": [0, 0, 0]},
    }
    with api(series) as port:
        site = replace(SITE, api=replace(SITE.api, port=port))
        loaded = Loaded(site, PROFILES, parse_rules(shipped_rule_texts()), Path())
        found = last_reading(loaded, Meter("feeder", "sim_feeder_mqtt", "g"), PROFILES["sim_feeder_mqtt"])
    assert (found.value["energy_import"], found.value["active_power"], found.value["energy_export"]) == (9.0, None, None)
    assert found.t_ns == (T_MS + 2_000) * MS
    assert found.older == {"active_power": (T_MS + 1_000) * MS}
