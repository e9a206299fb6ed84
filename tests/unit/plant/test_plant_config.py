"""Site files: what a good one becomes, and that a bad one shows every fault at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.config import neighbours, parse_site
from plant.errors import ConfigError

GOOD = """
[plant]
id = "works-1"
name = { en = "Works", zh = "一厂" }
zone = "Asia/Shanghai"
shift_starts = ["00:00:00", "08:00:00", "16:00:00"]

[[bus]]
id = "north"
voltage_kv = 220

[[bus]]
id = "south"

[[potline]]
id = "l1"
[[potline.pots]]
valid_from = 2026-01-01T00:00:00+08:00
running = 200
[[potline.pots]]
valid_from = 2025-01-01T00:00:00+08:00
running = 190

[[branch]]
id = "tie-1"
kind = "grid_tie"
bus = "north"

[[branch]]
n = "1-3"
id = "rect-{n:02}"
kind = "rectifier_group"
bus = "north"
potline = "l1"

[[endpoint]]
id = "gateway"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = 1502

[[meter]]
n = "1-3"
id = "rect-meter-{n}"
profile = "generic"
endpoint = "gateway"
unit = "{n}"
measures = { branch = "rect-{n:02}", ct_ratio = 2.0, vt_ratio = 5.0, direction = "reverse" }

[[meter]]
id = "tie-meter"
profile = "generic"
endpoint = "gateway"
unit = 9

[[meter]]
id = "old-meter"
profile = "generic"
endpoint = "gateway"
unit = 10

[[point]]
id = "tie"
branch = "tie-1"
[[point.mounting]]
meter = "tie-meter"
valid_from = 2026-03-01T00:00:00+08:00
[[point.mounting]]
meter = "old-meter"
valid_to = 2026-02-28T00:00:00+08:00
"""


def faults_of(text: str, **more: object) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_site(text, "site.toml", **more)  # type: ignore[arg-type]
    assert {fault.file for fault in caught.value.faults} <= {"site.toml", "meters.csv"}
    return [(fault.key, fault.found, fault.allowed) for fault in caught.value.faults]


def test_a_good_file_becomes_a_site() -> None:
    site = parse_site(GOOD, "site.toml", known_profiles={"generic": "modbus"})
    assert (site.id, site.title_en, site.title_zh) == ("works-1", "Works", "一厂")
    assert list(site.branches) == ["tie-1", "rect-01", "rect-02", "rect-03"]
    assert [m.unit for m in site.meters.values()] == [1, 2, 3, 9, 10]
    [mounting] = site.points["rect-meter-2"].mountings
    assert (mounting.meter, mounting.direction, mounting.ratio) == ("rect-meter-2", -1, 10.0)
    assert site.bus_voltage_kv == {"north": 220.0, "south": 10.0}


def test_dated_blocks_are_in_force_by_their_dates_whatever_their_order() -> None:
    site = parse_site(GOOD, "site.toml")
    changed_ns = 1_772_294_400 * 10**9  # 2026-03-01 in China
    point, line = site.points["tie"], site.potlines["l1"]
    at = [point.mounting_at(changed_ns + shift * 10**9) for shift in (-2 * 86_400, -1, 0)]
    assert [m and m.meter for m in at] == ["old-meter", None, "tie-meter"]
    registers = [line.pots_at(t * 10**9) for t in (0, 1_750_000_000, 1_790_000_000)]
    assert [r and r.running for r in registers] == [None, 190, 200]


def test_the_edition_is_the_text() -> None:
    assert parse_site(GOOD, "a").edition == parse_site(GOOD, "b").edition
    assert parse_site(GOOD + "# a comment\n", "a").edition != parse_site(GOOD, "a").edition


def test_every_fault_is_listed_at_once() -> None:
    wrong = (
        GOOD.replace('zone = "Asia/Shanghai"', 'zone = "Mars/Olympus"')
        .replace('bus = "north"\n\n[[branch]]\nn', 'bus = "west"\n\n[[branch]]\nn')
        .replace('potline = "l1"', 'potline = "l7"')
        .replace("unit = 9", "unit = 2\ncolour = 3")
        .replace("port = 1502", "port = 99999")
        .replace("valid_from = 2026-03-01T00:00:00+08:00", "valid_from = 2026-03-01T00:00:00")
    )
    found = faults_of(wrong, known_profiles={"other": "modbus"})
    keys = [key for key, *_ in found]
    assert {
        "plant.zone",
        "branch[tie-1].bus",
        "branch[rect-01].potline",
        "branch[rect-03].potline",
        "meter[tie-meter].colour",
        "meter[tie-meter].unit",
        "meter[rect-meter-1].profile",
        "endpoint[gateway].port",
        "point[tie].mounting.valid_from",
    } <= set(keys)
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ('kind = "grid_tie"', 'kind = "tie"', "branch[tie-1].kind", "'grid_tie'"),
        ('kind = "grid_tie"', 'kind = "grid_tie"\nto_bus = "south"', "branch[tie-1].to_bus", "only a coupler"),
        ('kind = "grid_tie"', 'kind = "coupler"', "branch[tie-1].to_bus", "north, south"),
        ('kind = "grid_tie"', 'kind = "generator"', "branch[tie-1].source", "captive_coal"),
        ('id = "south"', 'id = "north"', "bus[north].id", "used once"),
        ('id = "south"', 'id = "South Bus"', "bus[South Bus].id", "pattern"),
        ('n = "1-3"\nid = "rect-{n:02}"', 'n = "1-x"\nid = "rect-{n:02}"', "branch[rect-{n:02}].n", '"1-36"'),
        ('id = "works-1"', 'id = "works-1"\nprovince = "Inner Mongolia"', "plant.province", "'inner_mongolia'"),
        ("running = 200", "running = -1", "potline[l1].pots[1].running", "greater than or equal to 0"),
        ('shift_starts = ["00:00:00", "08:00:00"', 'shift_starts = ["09:00:00", "08:00:00"', "plant.shift_starts", "ascending"),
        ('host = "127.0.0.1"', "", "endpoint[gateway].host", "address of the gateway"),
        ('id = "works-1"', "", "plant.id", "required"),
        ('branch = "tie-1"', 'branch = "rect-01"', "point[tie].rank", "rect-meter-1 is it on rect-01"),
        ('n = "1-3"\nid = "rect-{n:02}"', 'n = "3-1"\nid = "rect-{n:02}"', "branch[rect-{n:02}].n", "ascending"),
        ('n = "1-3"\nid = "rect-{n:02}"', 'n = "1-10001"\nid = "rect-{n:02}"', "branch[rect-{n:02}].n", "at most 10000"),
        ('n = "1-3"\nid = "rect-{n:02}"', 'n = "1-9999999999"\nid = "rect-{n:02}"', "branch[rect-{n:02}].n", "at most 10000"),
    ],
)
def test_a_fault_names_key_and_what_is_allowed(old: str, new: str, key: str, words: str) -> None:
    assert old in GOOD
    found = {k: allowed for k, _, allowed in faults_of(GOOD.replace(old, new, 1))}
    assert key in found
    assert words in found[key]


def test_an_address_of_the_store_never_holds_a_secret_nor_does_the_fault() -> None:
    store = '[store]\nkind = "influxdb"\nurl = "http://admin:hush@127.0.0.1:8086"\n'
    [(key, found, allowed)] = faults_of(GOOD + store)
    assert key == "store.url"
    assert "hush" not in found + allowed
    assert "store.password_env" in allowed


def test_a_broken_file_names_the_line() -> None:
    [(key, found, _)] = faults_of("[plant\nid = 1")
    assert key == "TOML"
    assert "line 1" in found


SECOND = """
[[branch]]
id = "tie-2"
kind = "grid_tie"
bus = "south"
[[point]]
id = "tie2"
branch = "tie-2"
[[point.mounting]]
meter = "tie-meter"
"""


def test_a_meter_that_moved_supplies_one_point_at_a_time() -> None:
    moved = GOOD + SECOND + "valid_to = 2026-03-01T00:00:00+08:00\n"
    assert [m.meter for m in parse_site(moved, "site.toml").points["tie2"].mountings] == ["tie-meter"]


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (GOOD + SECOND, "point[tie].mounting", "point[tie2].mounting has it"),
        (GOOD + SECOND + "valid_to = 2026-03-01T00:00:01+08:00\n", "point[tie].mounting", "free from 2026-03-01 00:00:00+08:00"),
        (GOOD.replace("old-meter", "rect-meter-1"), "point[tie].mounting", "meter[rect-meter-1].measures has it"),
        (
            GOOD.replace("valid_to = 2026-02-28", "valid_to = 2026-03-02"),
            "point[tie].mounting.valid_from",
            "is not on the point",
        ),
        (GOOD.replace("valid_from = 2026-03-01T00:00:00+08:00", ""), "point[tie].mounting.valid_from", "is not on the point"),
        (
            GOOD.replace("valid_from = 2026-03-01", "valid_to = 2026-02-27T00:00:00+08:00\nvalid_from = 2026-03-01"),
            "point[tie].mounting.valid_to",
            "after valid_from",
        ),
    ],
)
def test_a_kwh_cannot_be_counted_twice(text: str, key: str, words: str) -> None:
    assert any(k == key and words in allowed for k, _, allowed in faults_of(text)), faults_of(text)


def test_a_mounting_without_offset_is_one_fault() -> None:
    wrong = GOOD.replace("valid_from = 2026-03-01T00:00:00+08:00", "valid_from = 2026-03-01T00:00:00")
    assert [key for key, *_ in faults_of(wrong)] == ["point[tie].mounting.valid_from"]


SHARES = """
[[branch]]
id = "air"
kind = "feeder"
bus = "north"
serves = ["l1"]
[[branch.allocation]]
valid_from = 2026-01-01T00:00:00+08:00
shares = { l1 = 0.7, l2 = 0.2 }
"""


def test_shares_name_potlines_and_add_up() -> None:
    found = [(key, allowed) for key, _, allowed in faults_of(GOOD + SHARES)]
    assert ("branch[air].allocation.shares", "shares that add up to 1") in found
    assert any(key == "branch[air].allocation.shares" and "[[potline]]" in allowed for key, allowed in found)


TABLE = '\n[[table]]\nfile = "meters.csv"\n'


def test_a_table_adds_meters() -> None:
    rows = "id,profile,endpoint,unit,measures.branch,measures.rank,measures.ct_ratio\n"
    rows += "t-1,generic,gateway,41,tie-1,check,3\nt-2,generic,gateway,42,,,\n"
    site = parse_site(GOOD + TABLE, "site.toml", tables={"meters.csv": rows})
    assert neighbours(GOOD + TABLE).tables == ("meters.csv",)
    assert [site.meters[m].unit for m in ("t-1", "t-2")] == [41, 42]
    assert (site.points["t-1"].rank, site.points["t-1"].mountings[0].ratio) == ("check", 3.0)
    assert "t-2" not in site.points
    assert [p.id for p in site.points_of("tie-1")] == ["tie", "t-1"]


def test_a_table_that_is_missing_or_broken_is_named() -> None:
    assert "table.file" in [key for key, *_ in faults_of(GOOD + TABLE)]
    rows = "id,profile,endpoint,unit\nt-1,generic,gateway\nt-2,generic,gateway,2\n"
    keys = [key for key, *_ in faults_of(GOOD + TABLE, tables={"meters.csv": rows})]
    assert keys == ["line 2", "meter[t-2].unit"]  # the broken line, and the address that rect-meter-2 has


def test_a_table_from_a_spreadsheet_may_begin_with_a_mark() -> None:
    rows = "\ufeffid,profile,endpoint,unit\r\nt-1,generic,gateway,41\r\n"
    assert parse_site(GOOD + TABLE, "site.toml", tables={"meters.csv": rows}).meters["t-1"].unit == 41


@pytest.mark.parametrize("columns", ["measures,measures.branch", "measures.branch,measures", "unit,unit", "unit,unit "])
def test_columns_that_clash_are_a_fault(columns: str) -> None:
    rows = f"id,profile,endpoint,{columns}\nt-1,generic,gateway,tie-1,tie-1\n"
    [(key, found, _)] = faults_of(GOOD + TABLE, tables={"meters.csv": rows})
    assert (key, found.split(",")[0]) == ("line 1", columns.replace(".branch", "").split(",")[0])


def test_a_cell_beyond_what_csv_takes_is_a_fault() -> None:
    rows = f"id,profile\n{'x' * 200_000},generic\n"
    assert [key for key, *_ in faults_of(GOOD + TABLE, tables={"meters.csv": rows})] == ["line 1"]


@pytest.mark.parametrize(
    ("text", "key"), [("table = 3", "table"), ("meter = 3\n" + TABLE, "meter"), ("table = [3]", "table.file")]
)
def test_blocks_that_are_none_are_faults(text: str, key: str) -> None:
    plant = '[plant]\nid = "p"\nname = { en = "P" }\n[[bus]]\nid = "b"\n'
    found = faults_of(f"{text}\n{plant}", tables={"meters.csv": "id,profile,endpoint\n"})
    assert key in [k for k, *_ in found]


@given(st.text(max_size=200))
def test_any_text_is_a_site_or_a_list_of_faults(text: str) -> None:
    assert isinstance(neighbours(text).tables, tuple)
    with pytest.raises(ConfigError) as caught:
        parse_site(text, "site.toml")
    assert caught.value.faults


LINES = GOOD.splitlines()


def outcome(text: str) -> object:
    """What a text became: the id of a site, or its faults."""
    try:
        return parse_site(text, "site.toml").id
    except ConfigError as error:
        return error.faults


@given(st.sets(st.integers(0, len(LINES) - 1), max_size=4))
def test_a_file_with_lines_lost_is_a_site_or_a_list_of_faults(lost: set[int]) -> None:
    assert outcome("\n".join(line for i, line in enumerate(LINES) if i not in lost))


def test_a_profile_of_another_protocol_is_a_fault() -> None:
    found = faults_of(GOOD, known_profiles={"generic": "mqtt"})
    assert found
    assert all("speaks mqtt" in allowed for *_, allowed in found)
