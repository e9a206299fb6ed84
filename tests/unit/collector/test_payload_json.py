"""JSON messages to readings: what is missing, what can never be read, and the shipped devices' own messages."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.payloads.decoder import PAYLOAD_BYTES_MAX
from collector.payloads.formats import decoder_of
from collector.payloads.json import JsonDecoder
from devices import profiles
from devices.catalog import shipped_profiles
from devices.maps import Profile
from devices.payload import message, write
from devices.payload_map import PayloadMap, PayloadPoint, PayloadTime
from plant.errors import PayloadError
from plant.quality import ABSENT

BASE = shipped_profiles()["sim_feeder_mqtt"]
T_MS = 1_795_000_000_123

SHIPPED = shipped_profiles()


def profile(
    time: PayloadTime | None = PayloadTime("/t", "unix_ms"), event_id: str = "", quantity: str = "active_power"
) -> Profile:
    points = (PayloadPoint(quantity, "/a/p", Fraction(1, 1000)), PayloadPoint("energy_import", "/list/1", Fraction(3)))
    return replace(BASE, id="x", mqtt=PayloadMap(points, time, event_id), limits={}, checks=())


def payload(**more: Any) -> bytes:
    return json.dumps({"t": T_MS, "a": {"p": 1500}, "list": [0, 2]} | more).encode()


def test_pointers_scales_and_instant() -> None:
    decoder = JsonDecoder(profile())
    (block,) = decoder.blocks("smelter", [*decoder.decode("m-1", payload(), 0), *decoder.decode("m-2", payload(t=T_MS + 1), 0)])
    assert block.value.tolist() == [[1.5, 6.0], [1.5, 6.0]]
    assert block.t_ns.tolist() == [T_MS * 10**6, (T_MS + 1) * 10**6]
    assert (block.plant, block.profile, block.meters, block.event_ids) == ("smelter", "x", ("m-1", "m-2"), ())
    assert not block.quality.any()


@pytest.mark.parametrize("found", [None, "NaN", "", " n/a "])
def test_what_is_not_there_is_absent(found: object) -> None:
    decoder = JsonDecoder(profile())
    (block,) = decoder.blocks(
        "smelter", [*decoder.decode("m", payload(a={"p": found}), 0), *decoder.decode("m", payload(a=7), 0)]
    )
    assert np.isnan(block.value[:, 0]).all()
    assert block.quality[:, 0].tolist() == [int(ABSENT)] * 2
    assert block.value[:, 1].tolist() == [6.0, 6.0]


def test_literals_that_json_does_not_know() -> None:
    decoder = JsonDecoder(profile())
    (row,) = decoder.decode("m", b'{"t": %d, "a": {"p": NaN}, "list": [0, Infinity]}' % T_MS, 0)
    assert np.isnan(row.raw[0])
    assert row.raw[1] == np.inf  # screening gives it its reason


@pytest.mark.parametrize(
    ("message_", "said"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b'{"t": 1', "no JSON"),
        (b"[" * 5000, "no JSON"),
        (payload(a={"p": "12 kW"}), "/a/p: found '12 kW', expected a number"),
        (payload(a={"p": True}), "/a/p: found True, expected a number"),
        (payload(a={"p": [1]}), "/a/p"),
        (payload(a={"p": 10**400}), "beyond every float"),
        (payload(t=None), "/t: found None"),
        (payload(t=True), "/t: found True"),
        (payload(t=10**30), "no instant of this era"),
        (payload(t=10**400), "no instant of this era"),
        (b'"text"', "/t: found None"),
        (b" " * (PAYLOAD_BYTES_MAX + 1), "at most"),
    ],
)
def test_what_can_never_be_read_says_why(message_: bytes, said: str) -> None:
    with pytest.raises(PayloadError) as raised:
        JsonDecoder(profile()).decode("m", message_, 0)
    assert said in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("format_", "found", "t_ms"),
    [
        ("iso8601", "2026-11-20T06:30:00.250+08:00", 1_795_127_400_250),
        ("iso8601", "2026-11-19T22:30:00Z", 1_795_127_400_000),
        ("iso8601", "1969-12-31T23:59:59.999Z", -1),
        ("unix_s", 1_795_127_400.123, 1_795_127_400_123),
        ("unix_s", 1_795_127_400, 1_795_127_400_000),
        ("unix_ms", 1_795_127_400_123.0, 1_795_127_400_123),
    ],
)
def test_times(format_: Any, found: object, t_ms: int) -> None:
    (row,) = JsonDecoder(profile(PayloadTime("/t", format_))).decode("m", payload(t=found), 0)
    assert row.t_ns == t_ms * 10**6


@pytest.mark.parametrize("found", ["2026-11-20T06:30:00", "yesterday", 12, None])
def test_time_that_names_no_instant(found: object) -> None:
    with pytest.raises(PayloadError, match=r"^/t: found"):
        JsonDecoder(profile(PayloadTime("/t", "iso8601"))).decode("m", payload(t=found), 0)


def test_receipt_dates_a_message_without_time() -> None:
    decoder = JsonDecoder(profile(None))
    assert not decoder.carries_time
    assert decoder.decode("m", payload(), T_MS * 10**6 + 999_999)[0].t_ns == T_MS * 10**6


@pytest.mark.parametrize(("found", "key"), [("tap-7", "tap-7"), (7, "7")])
def test_event_id(found: object, key: str) -> None:
    decoder = JsonDecoder(profile(event_id="/id", quantity="metal_tapped"))
    (block,) = decoder.blocks("smelter", [*decoder.decode("scale", payload(id=found), 0)])
    assert block.event_ids == (key,)


@pytest.mark.parametrize("format_", ["unix_s", "unix_ms"])
@pytest.mark.parametrize("found", ["1e308", "-1e308", "NaN", "Infinity", "9" * 401])
def test_times_beyond_every_instant(format_: Any, found: str) -> None:
    with pytest.raises(PayloadError, match=r"/t: found .* no instant of this era"):
        JsonDecoder(profile(PayloadTime("/t", format_))).decode("m", b'{"t": %s}' % found.encode(), 0)


@pytest.mark.parametrize("found", ["tap-\ud800", "tap-\0", "tap\n", "x" * 201, 10**300])
def test_an_id_that_nothing_can_keep_is_refused(found: object) -> None:
    with pytest.raises(PayloadError, match="all printable"):
        JsonDecoder(profile(event_id="/id", quantity="metal_tapped")).decode("scale", payload(id=found), 0)


@pytest.mark.parametrize("found", [None, "", True, [1]])
def test_event_without_an_id_is_refused(found: object) -> None:
    with pytest.raises(PayloadError, match="an event needs an id"):
        JsonDecoder(profile(event_id="/id", quantity="metal_tapped")).decode("scale", payload(id=found), 0)


@pytest.mark.parametrize("name", [p.id for p in SHIPPED.values() if p.mqtt is not None and p.mqtt.format == "json"])
@given(numbers=st.lists(st.integers(0, 10**6), min_size=16, max_size=16), t_ms=st.integers(10**12, 2 * 10**12))
def test_shipped_devices_messages_come_back(name: str, numbers: list[int], t_ms: int) -> None:
    shipped = SHIPPED[name]
    assert shipped.mqtt is not None
    assert len(shipped.mqtt.points) <= len(numbers)
    points = zip(shipped.mqtt.points, numbers, strict=False)
    values = {p.name: float(next(iter(p.states.values())) if p.states else number) for p, number in points}
    document = write(shipped.mqtt, message(shipped.mqtt, values, t_ms * 10**6, event_id="e-1"))
    decoder = JsonDecoder(shipped)
    (block,) = decoder.blocks("smelter", [*decoder.decode("m", json.dumps(document).encode(), 0)])
    assert block.value[0].tolist() == pytest.approx(list(values.values()), rel=1e-15)
    assert block.t_ns.tolist() == [t_ms * 10**6]


@pytest.mark.parametrize("name", [p.id for p in SHIPPED.values() if p.mqtt is not None])
def test_the_golden_messages_of_shipped_profiles_prove_this_decoder_too(name: str) -> None:
    shipped = SHIPPED[name]
    file = Path(profiles.__path__[0]) / f"{name}.toml"
    assert shipped.mqtt is not None
    for golden in tomllib.loads(file.read_text("utf-8"))["golden"] if shipped.mqtt.format != "sparkplug" else ():
        decoder = decoder_of(shipped)
        suffix = f"/{golden['topic']}" if "topic" in golden else ""
        (block,) = decoder.blocks("p", decoder.decode("m", golden["payload"].encode(), 0, suffix))
        row = golden.get("sample", 1) - 1
        got = dict(zip(block.quantities, block.value[row].tolist(), strict=True))
        words = {p.name: p.states for p in shipped.mqtt.points}
        expected = {q: words[q][v] if isinstance(v, str) else v for q, v in golden["expect"].items()}
        assert {q: got[q] for q in expected} == pytest.approx(expected, rel=1e-12)
        assert all(np.isnan(got[q]) for q in golden.get("missing", []))
        assert block.t_ns[row] == golden.get("expect_time_ns", 0)
        assert block.event_ids[row : row + 1] == ((golden["expect_event_id"],) if shipped.event else ())
