"""Profile files: what is shipped, and what every kind of mistake is answered with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import sunspec2
from pydantic import BaseModel

from devices import profile_file
from devices.catalog import profiles_from_texts, shipped_profiles
from devices.maps import REGISTER_TYPES, Limits, Profile, WordOrder
from devices.profile import parse_profile
from plant.errors import ConfigError
from plant.quantities import QUANTITIES, Kind

SHIPPED = shipped_profiles()

GOOD = """
[profile]
id = "made"
title = "made"
kind = "meter"
source = "this test"
checks = [{ kind = "sum", of = ["active_power_l1", "active_power_l2"], equals = "active_power", within = 0.1, floor = 0.5 }]

[modbus]
table = "holding"
read = { span_max = 20, forbid = [[40, 49]] }
points = [
  { name = "active_power", at = 0, type = "int16", unit = "kW", limits = [-100, 100] },
  { name = "active_power_l1", at = 1, type = "int16", unit = "kW" },
  { name = "active_power_l2", at = 2, type = "int16", unit = "kW" },
  { name = "energy_import", at = 4, type = "uint32", unit = "MWh", scale = 0.001, wraps_at = "register" },
]

[[golden]]
origin = "written by hand"
words = { 0 = 30, 1 = 10, 2 = 20, 4 = 0, 5 = 1234 }
expect = { active_power = 30, active_power_l1 = 10, active_power_l2 = 20, energy_import = 1234 }
"""

SCALE = """
[profile]
id = "made"
title = "made"
kind = "scale"
source = "this test"

[mqtt]
event_id = "/id"
time = { path = "/t", format = "unix_s" }
points = [{ name = "metal_tapped", path = "/kg", unit = "t" }]

[[golden]]
origin = "written by hand"
payload = '{"id": 5, "t": 100.5, "kg": 2.5}'
expect = { metal_tapped = 2500 }
expect_time_ns = 100500000000
expect_event_id = "5"
"""


def faults(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_profile(text, "made.toml")
    return str(caught.value)


def test_the_good_file_is_read() -> None:
    profile = parse_profile(GOOD, "made.toml")
    assert profile.quantities == ("active_power", "active_power_l1", "active_power_l2", "energy_import")
    assert profile.wraps_at("energy_import") == 2**32
    assert profile.wraps_at("active_power") is None
    assert profile.limits["active_power"] == Limits(-100, 100)
    assert profile.checks[0].equals == "active_power"
    assert (profile.protocol, profile.event, profile.verified) == ("modbus", False, False)
    assert profile.golden_origin == "written by hand"
    assert parse_profile(SCALE, "made.toml").event


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[profile]", "[profile", "made.toml: TOML:"),
        ('title = "made"', 'title = "made"\ncolour = "red"', "profile.colour"),
        ('kind = "meter"', 'kind = "toaster"', "profile.kind: found 'toaster'"),
        (
            'name = "active_power_l2"',
            'name = "power"',
            "modbus.points[power].name: found 'power'; a quantity of plant.quantities",
        ),
        (
            'name = "active_power_l2"',
            'name = "active_power_l1"',
            "modbus.points[active_power_l1].name: found 'active_power_l1'; each",
        ),
        ('at = 0, type = "int16", unit = "kW"', 'at = 0, type = "int16", unit = "V"', "points[active_power].unit: found 'V'"),
        (
            'at = 0, type = "int16"',
            'at = 0, type = "int15"',
            "points[active_power].type: found 'int15'; one of int8, uint8, int16",
        ),
        ('at = 0, type = "int16"', 'at = 70000, type = "int16"', "modbus.points[active_power].at: found 70000"),
        ("limits = [-100, 100]", "limits = [100, -100]", "points[active_power].limits: found [100.0, -100.0]; low below high"),
        ("limits = [-100, 100]", "limits = [-10, 20]", "golden[1].expect.active_power: found 30.0; a value within the limits"),
        (
            "points = [",
            'describe = [{ name = "serial", at = 38, words = 4 }]\npoints = [',
            "modbus.describe[serial].at: found 38; outside of the forbidden range 40-49",
        ),
        (
            "points = [",
            'describe = [{ name = "serial", at = 65530, words = 8 }]\npoints = [',
            "modbus.describe[serial].at: found 65530; addresses up to 65535; its 8 words end at 65537",
        ),
        ('kind = "meter"\n', "", "profile.kind: found nothing; this key is required"),
        ('at = 1, type = "int16"', "at = 1", "modbus.points[active_power_l1].type: found nothing; this key is required"),
        ("at = 1,", "at = 0,", "points[active_power_l1].at: found 0; addresses of its own"),
        ("at = 1,", "at = 45,", "points[active_power_l1].at: found 45; outside of the forbidden range 40-49"),
        ("at = 1,", "at = 1, sf = 30,", "modbus.points.sf: found '30 registers from 1'; at most 20 registers"),
        (
            'at = 1, type = "int16", unit = "kW" },\n  { name = "active_power_l2", at = 2,',
            'at = 1, sf = 19, type = "int16", unit = "kW" },\n  { name = "active_power_l2", at = 38, sf = 19,',
            "38 registers from 1'; at most 20 registers from the first to the last of active_power_l1",
        ),
        (
            "[[golden]]",
            "identify = { at = 39, equals = [1, 2] }\n[[golden]]",
            "modbus.identify.at: found 39; outside of the forbidden",
        ),
        ("at = 1,", "at = 1, sf = 2,", "points[active_power_l2].at: found 2; addresses of its own"),
        ("at = 1,", "at = 1, wraps_at = 5,", "points[active_power_l1].wraps_at: found 5.0; only a counter wraps"),
        ("at = 4,", "at = 4, sign = -1,", "points[energy_import].sign: found -1; -1 for a gauge alone"),
        ("at = 4,", "at = 4, sf = 6,", "points[energy_import].sf_nominal: found None; the usual exponent"),
        ('at = 4, type = "uint32"', 'at = 4, type = "int32"', "points[energy_import].wraps_at: found 'register'; a number"),
        ('at = 1, type = "int16"', 'at = 1, type = "int16", sentinels = [65536]', "sentinels: found 65536; bit patterns of 16"),
        ('at = 1, type = "int16"', 'at = 1, type = "int16", table = "coil"', "type: found 'int16'; coils and discrete inputs"),
        ('equals = "active_power"', 'equals = "current"', "profile.checks[1]: found 'current'; quantities of this profile"),
        ("active_power = 30,", "active_power = 31,", "golden[1].expect.active_power: found 30.0; 31.0 is expected"),
        ("active_power = 30,", "", "golden: found nothing for active_power; an expected value for every quantity"),
        (
            "active_power = 30,",
            "active_power = 30, current = 5,",
            "golden[1].expect: found 'current'; quantities of this profile",
        ),
        ("words = { 0 = 30,", "words = { 0 = 30, 99 = 1,", "golden[1]: found 99 is not read by any request"),
        ("words = { 0", 'missing = ["active_power"]\nwords = { 0', "golden[1].missing: found active_power = 30.0"),
        (
            "[modbus]",
            "[mqtt]\npoints = [{ name = 'current', path = '/a', unit = 'A' }]\n[modbus]",
            "modbus, mqtt, dlt645: found 'modbus, mqtt",
        ),
    ],
)
def test_each_mistake_is_named_with_its_key(old: str, new: str, message: str) -> None:
    assert GOOD.count(old) >= 1
    assert message in faults(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('event_id = "/id"', "", "mqtt.event_id: found ''; a path to the id"),
        ('path = "/kg"', 'path = "kg"', "mqtt.points[metal_tapped].path: found 'kg'; 'kg' is no JSON pointer"),
        ("expect_time_ns = 100500000000", "expect_time_ns = 1", "golden[1].expect_time_ns: found 100500000000; 1 is expected"),
        ('expect_event_id = "5"', 'expect_event_id = "6"', "golden[1].expect_event_id: found '5'"),
        ('"kg": 2.5', '"kg": "2.5"', "golden[1]: found /kg: found '2.5'"),
        ('"kg": 2.5}', '"kg": 2.5', "golden[1]: found"),
        ('time = { path = "/t", format = "unix_s" }', "", "mqtt.time: found None; where an event says when it happened"),
        ('unit = "t" }', 'unit = "t", wraps_at = 9 }', "mqtt.points[metal_tapped].wraps_at: found 9.0; only a counter wraps"),
        ("points = [", "points = [{ name = 'current', path = '/a', unit = 'A' },", "quantities of kind event alone"),
    ],
)
def test_mistakes_in_message_maps(old: str, new: str, message: str) -> None:
    assert SCALE.count(old) == 1
    assert message in faults(SCALE.replace(old, new, 1))


def test_a_quantity_is_proven_by_what_was_seen_and_is_not_zero() -> None:
    assert parse_profile(GOOD, "made.toml").proven == (), "a block that says nothing is derived"
    seen = GOOD.replace('origin = "written by hand"', 'origin = "a reading"\nevidence = "recorded"')
    seen = seen.replace("2 = 20,", "2 = 0,").replace("active_power_l2 = 20", "active_power_l2 = 0")
    profile = parse_profile(seen.replace('source = "this test"', 'source = "this test"\nverified = true'), "made.toml")
    assert profile.proven == ("active_power", "active_power_l1", "energy_import")
    claimed = GOOD.replace('source = "this test"', 'source = "this test"\nverified = true')
    assert "profile.verified: found True; a [[golden]] block with evidence" in faults(claimed)


def test_all_faults_come_at_once() -> None:
    text = GOOD.replace('unit = "kW", limits', 'unit = "V", limits').replace('"active_power_l2", at', '"nothing", at')
    assert len(faults(text).splitlines()) == 3


def test_a_site_may_bring_its_own_profiles_and_file_names_are_ids() -> None:
    assert list(profiles_from_texts({"made.toml": GOOD})) == ["made"]
    with pytest.raises(ConfigError, match=r"other\.toml: profile\.id: found 'made'; the name of the file: 'other'"):
        profiles_from_texts({"other.toml": GOOD})
    with pytest.raises(ConfigError) as caught:
        profiles_from_texts({"a.toml": "[", "b.toml": "["})
    assert len(caught.value.faults) == 2


def test_shipped_profiles_name_their_source() -> None:
    """Own devices say that they are none of the market; a product names where its map can be read again."""
    assert len(SHIPPED) >= 10
    for profile in SHIPPED.values():
        if profile.id.startswith("sim_"):
            assert "no real product" in profile.title, profile.id
        elif not profile.source.startswith("SunSpec information model"):
            assert re.search(r"https?://|github\.com|@[0-9a-f]{7}", profile.source), profile.id


@pytest.mark.parametrize("profile", SHIPPED.values(), ids=lambda p: p.id)
def test_only_counters_wrap_and_own_devices_say_where(profile: Profile) -> None:
    """Where a product's counter ends is stated only if its maker documents it."""
    for name in profile.quantities:
        wraps = profile.wraps_at(name)
        counter = QUANTITIES[name].kind is Kind.COUNTER
        assert wraps is None or (counter and wraps > 0), name
        floats = profile.id.endswith("_float")  # of the standard's float counters nobody says where they end
        assert wraps is not None or not counter or floats or not profile.id.startswith(("sim_", "sunspec_")), name


@pytest.mark.parametrize("profile_id", ["sunspec_inverter_103", "sunspec_meter_203"])
def test_sunspec_profiles_agree_with_the_models_that_they_name(profile_id: str) -> None:
    """Address, type and scale factor register of every point against the model definition in the installed package."""
    map_ = SHIPPED[profile_id].modbus
    assert map_ is not None
    (section,) = map_.sections
    file = Path(sunspec2.__file__).parent / "models" / "json" / f"model_{section.models[0]}.json"
    rows: dict[str, tuple[int, dict[str, object]]] = {}
    at = 0
    for row in json.loads(file.read_text())["group"]["points"]:
        rows[row["name"]] = (at, row)
        at += row["size"]
    assert at - 2 == section.length
    by_address = dict(rows.values())
    for point in map_.points:
        row = by_address[point.address]
        assert row["type"] == point.type, point.name
        sf = row.get("sf")
        assert (rows[str(sf)][0] if sf else None) == point.sf_at, point.name
        if point.states:
            symbols = {s["value"]: s["name"].lower() for s in row["symbols"]}  # type: ignore[attr-defined]
            assert dict(point.states) == symbols


def test_every_key_type_and_order_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "devices.md").read_text("utf-8")
    words = set(re.findall(r"\w+", text))
    models = [m for m in vars(profile_file).values() if isinstance(m, type) and issubclass(m, BaseModel) and m is not BaseModel]
    keys = {key for m in models for key in m.model_fields}
    assert len(keys) > 30
    assert keys - words == set()
    assert {*REGISTER_TYPES, *(order.value for order in WordOrder)} - words == set()
