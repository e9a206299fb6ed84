"""Register lists as makers write them, in English and Chinese, and the drafts made of them."""

from __future__ import annotations

import random

import pytest

from devices.draft import PLACEHOLDER, DraftHead, draft_of_list, golden_lines, with_golden
from devices.profile import parse_profile
from devices.register_list import Numbering, quantity_of, read_list
from plant.errors import ConfigError, InputError
from potwatt.devices_cli import list_words

WORDS = list_words()
ENGLISH = [
    ["Modbus map of a meter", "", "", "", ""],
    ["Register", "Parameter", "Data type", "Unit", "Scale"],
    ["40001", "Voltage L1-N", "UINT16", "V", "0.1"],
    ["40002", "Voltage L1-L2", "UINT16", "V", "/10"],
    ["40003", "Total active power", "INT32", "kW", "10^-3"],
    ["40005", "Maximum demand", "INT32", "kW", ""],
    ["40007", "Active energy import", "UINT32", "kWh", ""],
    ["30001", "Frequency", "UINT16", "0.01Hz", ""],
    ["40010", "Serial number", "UINT32", "", ""],
]
CHINESE = [
    ["地址", "名称", "数据类型", "单位", "倍率"],
    ["0x0100", "A相电压", "无符号16位", "V", "0.1"],
    ["0101H", "总有功功率", "32位有符号整数", "千瓦", "0.001"],
    ["0x0103", "正向有功总电能", "浮点", "kWh", ""],
    ["0x0105", "功率因数", "int16", "", "0.001"],
]
HEAD = DraftHead("made_up", 'A "made-up" meter', "meter", "no document")


def test_a_list_in_english_with_modicon_numbers() -> None:
    found = read_list(ENGLISH, WORDS)
    assert [(p.name, p.table, p.address, p.type, p.unit, p.scale) for p in found.points] == [
        ("voltage_l1_n", "holding", 0, "uint16", "V", "0.1"),
        ("voltage_l1_l2", "holding", 1, "uint16", "V", "0.1"),
        ("active_power", "holding", 2, "int32", "kW", "0.001"),
        ("energy_import", "holding", 6, "uint32", "kWh", "1"),
        ("frequency", "input", 0, "uint16", "Hz", "0.01"),
    ]
    assert [row.row for row in found.left] == [6, 9]
    assert any("40001" in remark and "count from 1" in remark for remark in found.remarks)


def test_a_list_in_chinese_with_hexadecimal_addresses() -> None:
    found = read_list(CHINESE, WORDS)
    assert [(p.name, p.address, p.type, p.unit, p.scale) for p in found.points] == [
        ("voltage_l1_n", 256, "uint16", "V", "0.1"),
        ("active_power", 257, "int32", "kW", "0.001"),
        ("energy_import", 259, "float32", "kWh", "1"),
        ("power_factor", 261, "int16", "1", "0.001"),
    ]


@pytest.mark.parametrize(
    ("numbering", "cells", "expected"),
    [
        (None, ["0", "2"], [0, 2]),
        (None, ["1", "3"], [0, 2]),
        (Numbering.ZERO, ["1", "3"], [1, 3]),
        (None, ["4x0001", "4x0003"], [0, 2]),
        (None, ["400001", "400003"], [0, 2]),
        (None, ["40001-40002", "40003-40004"], [0, 2]),
        (None, ["000A", "000C"], [10, 12]),
        (None, ["10.0", "12.0"], [10, 12]),
    ],
)
def test_ways_to_count(numbering: Numbering | None, cells: list[str], expected: list[int]) -> None:
    rows = [["Address", "Name", "Type"], [cells[0], "Frequency", "float"], [cells[1], "Power factor", "float"]]
    assert [p.address for p in read_list(rows, WORDS, numbering).points] == expected


ENERGY_IMPORT = (
    *(
        "有功电度",
        "总有功电度",
        "有功总电能",
        "有功总电度",
        "组合有功总电能",
        "当前组合有功总电能",
        "正向有功总电能",
        "正向有功电度",
    ),
    *("吸收有功电度", "输入有功电能", "Total active energy import", "Total kWh", "Active energy delivered"),
)
NOT_PLAIN = (
    *(
        "A相电压上限",
        "电压下限",
        "过压定值",
        "A相电流定值",
        "A相电压报警",
        "A相失压",
        "电压变比",
        "额定电压",
        "额定电流",
        "电压不平衡度",
    ),
    *(
        "上月有功电度",
        "上月正向有功电度",
        "昨日有功电度",
        "日有功电度",
        "本月有功电度",
        "分时电度",
        "剩余电能",
        "费率1正向有功电能",
    ),
    *(
        "正向有功尖电能",
        "正向有功峰电能",
        "正向有功平电能",
        "正向有功谷电能",
        "正向有功最大需量",
        "有功功率需量",
        "有功功率最大值",
    ),
    *("A相电流最大值", "A相电压谐波", "零序电流", "中性线电流", "无功电度", "Phase angle", "Voltage angle L1", "Nominal voltage"),
    *("Max active power", "Min voltage L1", "Active power demand", "Voltage L1 alarm limit", "Over voltage L1 setpoint"),
    *("Rated frequency", "Frequency upper limit", "Active energy import last month", "Active energy import tariff 1"),
    *("Yesterday active energy import", "Active energy import of the day", "Average voltage", "CT primary current", "Current N"),
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ua", "voltage_l1_n"),
        ("Phase B current", "current_l2"),
        ("Current L3", "current_l3"),
        ("C相有功功率", "active_power_l3"),
        ("AB线电压", "voltage_l1_l2"),
        ("Export active energy", "energy_export"),
        ("反向有功总电能", "energy_export"),
        ("Neutral current", None),
        ("THD voltage L1", None),
        ("当前最大需量", None),
        ("Voltage", None),
        ("PT ratio", None),
        ("Baud rate", None),
        ("Nominal voltage L1", None),
        ("Partial active energy import", None),
        ("Active power phase angle L1", None),
        ("Voltage L1 sag counter", None),
        ("Current L1 peak", None),
        ("Active power direction L1", None),
        ("Active energy import T1", None),
        ("Active energy import L1", None),
        ("上月正向有功电能", None),
        ("A相电压相角", None),
        ("3-phase active power", "active_power"),
        ("Total active power (sum of phases)", "active_power"),
        ("Current L1 (A)", "current_l1"),
        ("Active power [kW]", "active_power"),
        ("Voltage (L2)", "voltage_l2_n"),
        ("Voltage between L1 and L2", "voltage_l1_l2"),
        ("Phase voltage A", "voltage_l1_n"),
        ("实时有功功率", "active_power"),
        *((name, "energy_import") for name in ENERGY_IMPORT),
        *((name, "energy_export") for name in ("反向有功电度", "释放有功电度", "输出有功电能", "当前反向有功总电能")),
        *((name, None) for name in NOT_PLAIN),
        ("合相有功功率", "active_power"),
        ("线电压Uab", "voltage_l1_l2"),
        ("相电压Ub", "voltage_l2_n"),
        ("Voltage C-N", "voltage_l3_n"),
        ("Line to line voltage L2-L3", "voltage_l2_l3"),
        ("正向无功电度", "reactive_energy_import"),
    ],
)
def test_names(text: str, name: str | None) -> None:
    assert quantity_of(text, WORDS) == name


def test_an_energy_without_direction_is_asked_about() -> None:
    rows = [["地址", "名称", "类型", "单位"], ["0", "组合有功总电能", "uint32", "kWh"], ["2", "反向有功总电能", "uint32", "kWh"]]
    found = read_list(rows, WORDS)
    assert [p.name for p in found.points] == ["energy_import", "energy_export"]
    assert [r for r in found.remarks if "no direction" in r] == [
        r for r in found.remarks if r.startswith("row 2, '组合有功总电能'")
    ]


def test_a_hexadecimal_row_does_not_change_how_the_others_count() -> None:
    rows = [["Address", "Name", "Type"], ["40001", "Ua", "uint16"], ["0x0010", "Ub", "uint16"], ["40003", "Uc", "uint16"]]
    assert [(p.address, p.table) for p in read_list(rows, WORDS).points] == [(0, "holding"), (16, None), (2, "holding")]
    mixed = read_list([*rows, ["7", "Ia", "uint16"]], WORDS)
    assert [p.address for p in mixed.points] == [40001, 16, 40003, 7]
    assert any("40001 may name a table, but 7 does not; --numbering modicon" in r for r in mixed.remarks)


def test_a_scale_above_one_that_may_be_a_divisor_is_remarked_on() -> None:
    rows = [["Address", "Name", "Type", "Gain"], ["0", "Ua", "uint16", "10"], ["1", "Frequency", "uint16", "100"]]
    remarks = read_list(rows, WORDS).remarks
    assert any("scale 10 in row 2 (2 such rows) is taken as a factor" in r and "1/10" in r for r in remarks)
    for plain in ("0.1", "1", "x10", "1/10", ""):
        listed = read_list([rows[0], ["0", "Ua", "uint16", plain]], WORDS)
        assert listed.points and not any("divisor" in r for r in listed.remarks)


def test_a_draft_is_refused_for_its_missing_proof_alone_and_taken_once_it_is_filled() -> None:
    text = draft_of_list(HEAD, read_list(ENGLISH, WORDS))
    with pytest.raises(ConfigError) as refused:
        parse_profile(text, "made_up.toml")
    assert [fault.key for fault in refused.value.faults] == ["golden"]
    profile = parse_profile(text, "made_up.toml", proof="waived")
    assert not profile.verified
    words = {"0": 2301, "1": 3990, "2": 0, "3": 7500, "6": 1, "7": 2, "input/0": 5001}
    expect = {"voltage_l1_n": 230.1, "voltage_l1_l2": 399.0, "active_power": 7.5, "energy_import": 65538.0, "frequency": 50.01}
    filled = with_golden(text, golden_lines("a reading", words, expect, []))
    proven = parse_profile(filled.replace("verified = false", "verified = true"), "made_up.toml")
    assert (proven.golden_origin, proven.proven) == ("a reading", proven.quantities)
    with pytest.raises(InputError, match="not overwritten"):
        with_golden(filled, golden_lines("another", words, expect, []))
    assert PLACEHOLDER not in filled


def test_text_of_a_list_never_becomes_toml() -> None:
    rows = [["Address", "Name", "Type"], ["0", "Frequency\n]\n[sum]", "float"], ["2", "Ua\n]\n[evil] # \x07", "float"]]
    text = draft_of_list(DraftHead("x", 'quote " and \\ back', "meter", "line\nbreak"), read_list(rows, WORDS))
    assert parse_profile(text, "x.toml", proof="waived").quantities == ("frequency",)


def test_rows_that_share_a_register_or_a_name_are_left_with_the_reason() -> None:
    rows = [["Address", "Name", "Type"], ["0", "Frequency", "float"], ["1", "Power factor", "float"], ["8", "Frequency", "float"]]
    found = read_list([*rows, ["65535", "Ua", "float"]], WORDS)
    assert [p.name for p in found.points] == ["frequency"]
    assert [("row 2" in row.why, "65535" in row.why) for row in found.left] == [(True, False), (True, False), (False, True)]


@pytest.mark.parametrize("seed", range(5))
def test_no_list_makes_a_draft_that_is_no_profile(seed: int) -> None:
    chance = random.Random(seed)
    letters = "0123456789xH-/.,中电压流频率abcABCkWV \t%\\\"'\n"
    usual = (["1", "7", "12", "40001"], ["Ua", "频率", "P"], ["float", "int16"], ["V", "Hz", "W", ""], ["", "0.1", "/10"])
    made = 0
    for _ in range(100):
        rows = [["Address", "Name", "Type", "Unit", "Scale"]]
        for _ in range(6):
            noise = ["".join(chance.choices(letters, k=chance.randrange(6))) for _ in usual]
            rows.append([n if chance.random() < 0.2 else chance.choice(u) for n, u in zip(noise, usual, strict=True)])
        try:
            text = draft_of_list(HEAD, read_list(rows, WORDS))
        except InputError:
            continue
        made += bool(parse_profile(text, "made_up.toml", proof="waived").points)
    assert made > 20


def test_lists_that_cannot_be_read_are_sentences() -> None:
    with pytest.raises(InputError, match="address"):
        read_list([["a", "b"], ["1", "2"]], WORDS)
    with pytest.raises(InputError, match="no row of the list is understood"):
        draft_of_list(HEAD, read_list([["Address", "Name"], ["1", "Frequency"]], WORDS))
    with pytest.raises(InputError, match="small letters"):
        draft_of_list(DraftHead("../x", "t", "meter", "s"), read_list(ENGLISH, WORDS))
