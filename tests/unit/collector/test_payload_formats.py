"""Payload formats from profile text to blocks: plain values, CSV, arrays, qualities, states, instants of points."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from collector.payloads.formats import decoder_of
from devices.maps import Profile
from devices.profile import parse_profile
from plant.errors import ConfigError, PayloadError
from plant.frame import FrameBlock
from plant.quality import ABSENT, Quality

HEAD = '[profile]\nid = "x"\ntitle = "x"\nkind = "meter"\nsource = "this test"\n'
T_NS = 1_795_000_000_000 * 10**6
QUESTIONABLE, FAILED = int(Quality.QUESTIONABLE), int(Quality.INVALID | Quality.FAILURE)
POWER, VOLTAGE, ENERGY, STATE = "active_power", "voltage_l1_n", "energy_import", "operating_state"
UNITS = {POWER: "kW", VOLTAGE: "V", ENERGY: "kWh", STATE: "1"}


def profile(mqtt: str, **points: str) -> Profile:
    rows = ", ".join(f'{{ name = "{name}", unit = "{UNITS[name]}", {keys} }}' for name, keys in points.items())
    text = f'{HEAD}[mqtt]\n{mqtt}\npoints = [{rows}]\n[[golden]]\norigin = "none"\npayload = ""\n'
    return parse_profile(text, "x.toml", proof="waived")


def faults(mqtt: str, **points: str) -> str:
    with pytest.raises(ConfigError) as raised:
        profile(mqtt, **points)
    return str(raised.value)


def blocks(of: Profile, payload: bytes | str | dict[str, Any], suffix: str = "", received_ns: int = T_NS) -> list[FrameBlock]:
    sent = (
        payload if isinstance(payload, bytes) else payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    )
    decoder = decoder_of(of)
    return decoder.blocks("p", decoder.decode("m", sent, received_ns, suffix))


# ---- plain value ----

VALUE = profile('payload = "value"', active_power='topic = "power", suffix = "kW"', voltage_l1_n='topic = "u/1", scale = 0.1')


def test_a_plain_value_is_a_frame_of_its_own_quantity() -> None:
    assert decoder_of(VALUE).suffixes == ("/power", "/u/1")
    (block,) = blocks(VALUE, "2305", "/u/1", T_NS + 999_999)
    assert (block.quantities, block.value.tolist(), block.t_ns.tolist()) == ((VOLTAGE,), [[230.5]], [T_NS])


def test_values_of_a_batch_make_a_block_for_each_quantity() -> None:
    decoder = decoder_of(VALUE)
    sent = [("a", b"1", "/power"), ("a", b"2300", "/u/1"), ("b", b"2", "/power")]
    readings = [reading for meter, payload, suffix in sent for reading in decoder.decode(meter, payload, T_NS, suffix)]
    found = [(b.quantities, b.meters, b.value[:, 0].tolist()) for b in decoder.blocks("p", readings)]
    assert found == [((POWER,), ("a", "b"), [1.0, 2.0]), ((VOLTAGE,), ("a",), [230.0])]


@pytest.mark.parametrize(
    ("text", "value"), [("12.5 kW", 12.5), (" -3kW\n", -3.0), ("1e3", 1000.0), ("+.5", 0.5), ("\ufeff7", 7.0)]
)
def test_text_of_a_value(text: str, value: float) -> None:
    assert blocks(VALUE, text, "/power")[0].value.tolist() == [[value]]


@pytest.mark.parametrize("text", ["", "NaN", "null", "n/a"])
def test_a_value_that_is_none(text: str) -> None:
    (block,) = blocks(VALUE, text, "/power")
    assert np.isnan(block.value[0, 0]) and block.quality.tolist() == [[int(ABSENT)]]


@pytest.mark.parametrize("payload", [b"12 MW", b"12,5", b"0x10", b"1_000", b"\xff", b"{}", "\u0663".encode(), b"1 2", b"inf"])
def test_text_that_is_no_value(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        blocks(VALUE, payload, "/power")


def test_a_decimal_comma_is_one_only_where_it_is_said() -> None:
    comma = profile('payload = "value"\ndecimal = "comma"', active_power='topic = "p"')
    assert blocks(comma, "12,5", "/p")[0].value.tolist() == [[12.5]]
    with pytest.raises(PayloadError, match="decimal comma"):
        blocks(comma, "1.012,5", "/p")


# ---- CSV ----


def test_lines_of_columns_are_frames() -> None:
    of = profile(
        'payload = "csv"\nseparator = ";"\ndecimal = "comma"\ntime = { path = 0, format = "iso8601", zone = "Asia/Shanghai" }',
        active_power="column = 2",
        energy_import="column = 1",
    )
    (block,) = blocks(of, "2026-11-18 22:26:40;1,5;7\r\n20261118T222641;2,5;\r\n")
    assert block.t_ns.tolist() == [1_795_012_000 * 10**9, 1_795_012_001 * 10**9]
    assert block.value[:, 1].tolist() == [1.5, 2.5] and block.value[0, 0] == 7.0
    assert block.quality.tolist() == [[0, 0], [int(ABSENT), 0]]


def test_columns_by_the_name_in_the_header() -> None:
    of = profile(
        'payload = "csv"\nheader = "first_line"\nsequence = "n"\ntime = { path = "t", format = "unix_s" }',
        active_power='column = "P"',
        energy_import='column = "E"',
    )
    decoder = decoder_of(of)
    one, two = decoder.decode("m", b'E, t ,"P",n\n5,1795000000,1,8\n6,1795000001.5,2,9', 0)
    assert (one.raw, one.sequence, two.t_ns, two.sequence) == ([1.0, 5.0], 8, T_NS + 1_500_000_000, 9)


@pytest.mark.parametrize("payload", [b"", b"\n\n", b"1\n" * 1001, b'"1', b"x,y", b"1,1795000000,extra\nx"])
def test_csv_that_can_never_be_read(payload: bytes) -> None:
    of = profile('payload = "csv"\ntime = { path = 1, format = "unix_s" }', active_power="column = 0")
    with pytest.raises(PayloadError):
        decoder_of(of).decode("m", payload, 0)


HEADER = profile(
    'payload = "csv"\nheader = "first_line"\ntime = { path = "t", format = "unix_s" }',
    active_power='column = "P"',
    voltage_l1_n='column = "U"',
)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"t,P,U\n1795000000,5,230,1", "a line of 4 cells where 3 were expected"),
        (b"t,P,U\n1795000000,5,230\n1795000001,230", "a line of 2 cells"),
        (b"t,P,V\n1795000000,5,230", "no column U"),
        (b"t,P,U,P\n1795000000,5,230,6", "column P more than once"),
    ],
)
def test_cells_of_a_ragged_line_are_not_taken_for_other_columns(payload: bytes, said: str) -> None:
    with pytest.raises(PayloadError, match=said):
        decoder_of(HEADER).decode("m", payload, 0)


def test_several_lines_without_a_time_are_refused() -> None:
    of = profile('payload = "csv"', active_power="column = 0")
    assert blocks(of, "5")[0].value.tolist() == [[5.0]]
    with pytest.raises(PayloadError, match="found 2 lines of values, expected 1"):
        blocks(of, "5\n6")


@pytest.mark.parametrize("text", ["2026-01-31", "20260131", "2026-W05", "2026-W05-6"])
@pytest.mark.parametrize("zone", ["", ', zone = "Asia/Shanghai"'])
def test_a_day_or_week_alone_is_no_instant(text: str, zone: str) -> None:
    of = profile(f'time = {{ path = "/t", format = "iso8601"{zone} }}', active_power='path = "/p"')
    with pytest.raises(PayloadError, match="a date without time of day"):
        blocks(of, {"t": text, "p": 1})


# ---- JSON: arrays, instants of points, states, qualities, text ----


def test_an_array_of_samples_is_a_frame_each() -> None:
    of = profile('each = "/d/s"\nsequence = "/n"\ntime = { path = "/t", format = "unix_us" }', active_power='path = "/v/1"')
    sent = {"n": 7, "d": {"s": [{"t": 1_795_000_000_000_999, "v": [0, 5]}, {"t": 1_795_000_001_000_000, "v": []}]}}
    readings = decoder_of(of).decode("m", json.dumps(sent).encode(), 0)
    assert [(r.t_ns, r.sequence) for r in readings] == [(T_NS, 7), (T_NS + 10**9, 7)]
    assert readings[0].raw[0] == 5.0 and np.isnan(readings[1].raw[0])
    for wrong in ([], {}, None, [1] * 1001):
        with pytest.raises(PayloadError, match="/d/s: found"):
            blocks(of, {"n": 7, "d": {"s": wrong}})


def test_points_with_instants_of_their_own_share_a_frame_only_with_the_same() -> None:
    of = profile(
        'time = { format = "unix_ns" }',
        active_power='path = "/p/v", time = "/p/t"',
        voltage_l1_n='path = "/u/v", time = "/u/t"',
        energy_import='path = "/e/v", time = "/e/t"',
    )
    late = T_NS + 10**9
    found = blocks(of, {"p": {"v": 1, "t": T_NS}, "u": {"v": 2, "t": late}, "e": {"v": 3, "t": str(T_NS)}})
    assert [(b.quantities, b.t_ns.tolist(), b.value.tolist()) for b in found] == [
        ((POWER, ENERGY), [T_NS], [[1.0, 3.0]]),
        ((VOLTAGE,), [late], [[2.0]]),
    ]
    (alone,) = blocks(of, {"u": {"v": 2, "t": late}})
    assert alone.quantities == (VOLTAGE,)
    with pytest.raises(PayloadError, match="/p/t: found None"):
        blocks(of, {"p": {"v": 1}})
    with pytest.raises(PayloadError, match="no point"):
        blocks(of, {})


@pytest.mark.parametrize(("found", "state"), [("RUN", 4), ("run", 4), (True, 4), (False, 1), ("4", 4), (1, 1)])
def test_words_and_booleans_name_a_state(found: object, state: int) -> None:
    of = profile("", operating_state='path = "/s", states = { 4 = ["RUN", "run", "true"], 1 = ["OFF", "false"] }')
    assert blocks(of, {"s": found})[0].value.tolist() == [[float(state)]]


def test_a_word_that_names_no_state_is_no_state() -> None:
    of = profile("", operating_state='path = "/s", states = { 4 = "RUN", 1 = "OFF" }')
    for found in ("STOP", 7, True, [4], 1.5):
        with pytest.raises(PayloadError, match="expected one of OFF, RUN"):
            blocks(of, {"s": found})
    assert np.isnan(blocks(of, {"s": None})[0].value[0, 0])


def test_numbers_in_quotes_where_the_profile_says_so() -> None:
    text = profile('numbers = "text"\ntime = { path = "/t", format = "unix_ms" }', active_power='path = "/p"')
    assert blocks(text, {"t": str(T_NS // 10**6), "p": "-1.5"})[0].value.tolist() == [[-1.5]]
    assert blocks(text, {"t": T_NS // 10**6, "p": 2})[0].value.tolist() == [[2.0]]


def test_what_the_device_says_of_its_values() -> None:
    of = profile(
        'quality = { path = "/q", good = ["ok", 0], questionable = ["est"] }',
        active_power='path = "/p"',
        voltage_l1_n='path = "/u", quality = "/uq"',
    )
    said = [("ok", 0, 0, 0), (0, "est", 0, QUESTIONABLE), ("bad", "ok", FAILED, 0), ("ok", None, 0, QUESTIONABLE)]
    for q, uq, power, voltage in said:
        assert blocks(of, {"p": 1, "u": 2, "q": q, "uq": uq})[0].quality.tolist() == [[power, voltage]]


def test_the_hour_that_comes_twice_is_never_guessed_in_silence() -> None:
    of = profile('time = { path = "/t", format = "iso8601", zone = "Europe/Berlin" }', active_power='path = "/p"')
    doubtful = int(Quality.QUESTIONABLE | Quality.CLOCK)
    for text, t_s, quality in [
        ("2026-10-25T01:59:59", 1_792_886_399, 0),
        ("2026-10-25T02:30:00", 1_792_888_200, doubtful),
        ("2026-10-25T02:30:00+01:00", 1_792_891_800, 0),
        ("2026-10-25T03:00:00", 1_792_893_600, 0),
    ]:
        (block,) = blocks(of, {"t": text, "p": 1})
        assert (block.t_ns.tolist(), block.quality.tolist()) == ([t_s * 10**9], [[quality]]), text


def test_an_offset_is_added_in_the_points_unit() -> None:
    of = profile("", active_power='path = "/p", scale = 2, offset = -10')
    assert blocks(of, {"p": 7})[0].value.tolist() == [[4.0]]


# ---- what a profile may not say ----


@pytest.mark.parametrize(
    ("mqtt", "points", "said"),
    [
        ("", {ENERGY: 'path = "/e"'}, "would count energy_import twice"),
        ('payload = "value"', {ENERGY: 'topic = "e"'}, "would count energy_import twice"),
        ('payload = "value"\nsequence = "n"', {POWER: 'topic = "p"'}, "mqtt.sequence"),
        ('payload = "value"', {POWER: 'topic = "a/#"'}, "without wildcards"),
        ('payload = "value"', {POWER: 'path = "/p"'}, "points[active_power].topic"),
        ('payload = "csv"', {POWER: 'column = "P"'}, "first_line"),
        ('payload = "csv"\ndecimal = "comma"', {POWER: "column = 0"}, "another than the decimal mark"),
        ('payload = "csv"\neach = "/x"', {POWER: "column = 0"}, "only for JSON"),
        ('payload = "sparkplug"\ntime = { path = "/t", format = "unix_s" }', {POWER: 'metric = "P"'}, "in every message"),
        ('time = { path = "/t", format = "unix_s", zone = "Asia/Shanghai" }', {POWER: 'path = "/p"'}, "only for iso8601"),
        ('time = { path = "/t", format = "iso8601", zone = "Asia/Nowhere" }', {POWER: 'path = "/p"'}, "IANA"),
        ('each = "/s"', {POWER: 'path = "/p"'}, "where each sample says when"),
        ('time = { format = "iso8601" }', {POWER: 'path = "/p"'}, "mqtt.time.path"),
        ("", {POWER: 'path = "/p", states = { 1 = "on" }'}, "only a state"),
        ("", {POWER: 'path = "/p", quality = "/q"'}, "only with mqtt.quality"),
        ("", {POWER: 'path = "/p", time = "/t"'}, "only with mqtt.time"),
        ("", {POWER: 'path = "p"'}, "starts with a slash"),
    ],
)
def test_faults_of_a_profile_are_named(mqtt: str, points: dict[str, str], said: str) -> None:
    assert said in faults(mqtt, **points)


def test_a_number_is_enough_to_tell_a_repeated_counter() -> None:
    assert decoder_of(profile('sequence = "/n"\nsequence_modulus = 256', energy_import='path = "/e"')).sequence_modulus == 256
