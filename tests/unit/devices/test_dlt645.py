"""Reading a DL/T 645-2007 meter: numbers, blocks, refusals, long answers; and the files that say so."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.catalog import shipped_profiles
from devices.dlt645 import FRAMES_MAX, Acquaintance, Dlt645Map, Dlt645Point, bcd, decode, format_of, introduce, poll
from devices.dlt645_frame import DataReply, DataRequest, Denied
from devices.profile import parse_profile
from plant.errors import ConfigError, DeviceNonsense, DeviceRefused, DeviceSilent
from plant.quality import ABSENT
from simulators.dlt645_server import number

PROFILE = shipped_profiles()["dlt645_2007_three_phase"]
assert PROFILE.dlt645 is not None
MAP = PROFILE.dlt645
NO_DATA = Denied(0b10)
SILENT = DeviceSilent("m", "line", expected="data", got="nothing", next_step="wait")


def drive(dialogue: Generator[DataRequest, Any, Any], answers: dict[str, Any]) -> tuple[Any, list[DataRequest]]:
    """Answer by identifier; an exception is raised at the request, a list is taken from."""
    asked: list[DataRequest] = []
    try:
        request = next(dialogue)
        while True:
            asked.append(request)
            answer = answers[request.di]
            if isinstance(answer, list):
                answer = answer.pop(0)
            request = dialogue.throw(answer) if isinstance(answer, Exception) else dialogue.send(answer)
    except StopIteration as end:
        return end.value, asked


def point(name: str, di: str, at: int = 0, digits: int = 4, *, signed: bool = False) -> Dlt645Point:
    return Dlt645Point(name, di, at, digits, Fraction(1, 10), signed)


TWO = Dlt645Map((point("voltage_l1_n", "0201FF00"), point("voltage_l2_n", "0201FF00", 1), point("frequency", "02800002")))


@pytest.mark.parametrize(
    ("data", "signed", "expected"),
    [
        ("56341200", False, 123456),
        ("56341280", False, 80123456),
        ("56341280", True, -123456),
        ("0090", True, -1000),
        ("0105", True, 501),
        ("FFFF", False, None),
        ("FFFF", True, None),
        ("3A12", False, None),
        ("120F", True, None),
        ("0080", True, 0),
    ],
)
def test_digits_come_low_byte_first_with_the_sign_on_top(data: str, signed: bool, expected: int | None) -> None:
    assert bcd(bytes.fromhex(data), signed=signed) == expected


@given(st.integers(-79_999_999, 79_999_999))
def test_what_a_meter_packs_is_unpacked(whole: int) -> None:
    assert bcd(number(whole, 8, 0, signed=True), signed=True) == whole


@given(st.decimals(0, 999_999, places=2, allow_nan=False))
def test_energies_are_exact_to_the_last_digit(kwh: Any) -> None:
    map_ = Dlt645Map((Dlt645Point("energy_import", "00010000", 0, 8, Fraction(1, 100), signed=False),))
    value, quality = decode(map_, [(number(float(kwh), 8, 2),)])
    assert (value[0, 0], quality[0, 0]) == (float(kwh), 0)


def test_formats_are_read_as_the_standard_writes_them() -> None:
    assert [format_of(text) for text in ("XXXXXX.XX", "XX.XXXX", "XXX.X", "X.XXX", "XXXX")] == [
        (8, 2),
        (6, 4),
        (4, 1),
        (4, 3),
        (4, 0),
    ]
    for wrong in ("XXX", "XX.X", "NN.NN", "", ".", "XX.X.X", "X" * 18):
        with pytest.raises(ValueError, match="is no format"):
            format_of(wrong)


def test_points_of_a_block_come_with_one_request() -> None:
    known, asked = drive(
        introduce(TWO, "m", "line"), {"0201FF00": DataReply(b"\x56\x22\xff\xff"), "02800002": DataReply(b"\x98\x49")}
    )
    assert [r.di for r in asked] == ["0201FF00", "02800002"]
    assert not known.refused
    assert not known.absent.any()
    row, _ = drive(poll(TWO, known, "m", "line"), {"0201FF00": DataReply(b"\x56\x22\xff\xff"), "02800002": DataReply(b"\x98")})
    value, quality = decode(TWO, [row])
    assert value[0, 0] == 225.6
    assert np.isnan(value[0, 1:]).all(), "bytes FFH, and a block that is too short"
    assert quality.tolist() == [[0, int(ABSENT), int(ABSENT)]]


def test_what_is_refused_is_found_out_once_and_left_out() -> None:
    known, _ = drive(introduce(TWO, "m", "line"), {"0201FF00": DataReply(b"\x56\x22\x57\x22"), "02800002": NO_DATA})
    assert known.refused == {"02800002"}
    assert known.absent.tolist() == [False, False, True]
    row, asked = drive(poll(TWO, known, "m", "line"), {"0201FF00": DataReply(b"\x56\x22\x57\x22")})
    assert [r.di for r in asked] == ["0201FF00"]
    assert decode(TWO, [row])[0][0, :2].tolist() == [225.6, 225.7]


def test_silence_about_one_identifier_counts_as_a_refusal_only_when_repeated() -> None:
    block = DataReply(b"\x56\x22\x57\x22")
    known, asked = drive(introduce(TWO, "m", "line"), {"0201FF00": block, "02800002": [SILENT, SILENT]})
    assert (known.refused, known.unanswered) == (frozenset(), {"02800002"})
    assert known.is_unsure
    assert known.absent.tolist() == [False, False, True]
    assert len(asked) == 3
    known, _ = drive(introduce(TWO, "m", "line"), {"0201FF00": block, "02800002": [SILENT, DataReply(b"\x98\x49")]})
    assert not known.unanswered
    with pytest.raises(DeviceSilent):
        drive(introduce(TWO, "m", "line"), {"0201FF00": SILENT, "02800002": SILENT})


def test_a_meter_that_is_silent_about_the_first_identifier_alone_is_not_dead() -> None:
    frequency = DataReply(b"\x98\x49")
    known, asked = drive(introduce(TWO, "m", "line"), {"0201FF00": SILENT, "02800002": frequency})
    assert known.unanswered == {"0201FF00"}
    assert [r.di for r in asked] == ["0201FF00", "02800002", "0201FF00"]
    row, asked = drive(poll(TWO, known, "m", "line"), {"02800002": frequency})
    assert row == (None, b"\x98\x49")
    block = DataReply(b"\x56\x22\x57\x22")
    known, _ = drive(introduce(TWO, "m", "line"), {"0201FF00": [SILENT, block], "02800002": frequency})
    assert not known.absent.any()


def test_a_frame_that_is_lost_does_not_cost_the_others() -> None:
    known = Acquaintance(frozenset(), np.zeros(3, bool))
    block = DataReply(b"\x56\x22\x57\x22")
    row, asked = drive(poll(TWO, known, "m", "line"), {"0201FF00": block, "02800002": [SILENT, DataReply(b"\x98\x49")]})
    assert row == (b"\x56\x22\x57\x22", b"\x98\x49")
    assert len(asked) == 3
    with pytest.raises(DeviceSilent):
        drive(poll(TWO, known, "m", "line"), {"0201FF00": block, "02800002": [SILENT, SILENT]})
    with pytest.raises(DeviceSilent):
        drive(poll(TWO, known, "m", "line"), {"0201FF00": [SILENT]})


def test_a_meter_without_any_of_it_or_in_trouble_is_refused() -> None:
    with pytest.raises(DeviceRefused, match=r"m at line: expected data 0201FF00, got error 02H \(no such data\); check that"):
        drive(introduce(TWO, "m", "line"), {"0201FF00": NO_DATA, "02800002": NO_DATA})
    with pytest.raises(DeviceRefused, match="another error"):
        drive(introduce(TWO, "m", "line"), {"0201FF00": Denied(1)})
    known = Acquaintance(frozenset(), np.zeros(3, bool))
    with pytest.raises(DeviceRefused, match="no such data"):
        drive(poll(TWO, known, "m", "line"), {"0201FF00": NO_DATA})


def test_a_long_answer_is_put_together_and_ends() -> None:
    known = Acquaintance(frozenset({"02800002"}), np.array([False, False, True]))
    parts = [DataReply(b"\x56\x22", more=True), DataReply(b"\x57", more=True), DataReply(b"\x22")]
    row, asked = drive(poll(TWO, known, "m", "line"), {"0201FF00": parts})
    assert [(r.function, r.sequence) for r in asked] == [(0x11, 0), (0x12, 1), (0x12, 2)]
    assert decode(TWO, [row])[0][0, :2].tolist() == [225.6, 225.7]
    with pytest.raises(DeviceNonsense, match=f"within {FRAMES_MAX}, got ever more frames"):
        drive(poll(TWO, known, "m", "line"), {"0201FF00": DataReply(b"\x01", more=True)})


def test_the_standards_meter_is_read_with_eleven_requests() -> None:
    energies, blocks = ["00010000", "00020000", "00030000", "00040000"], ["0201FF00", "0202FF00", "0203FF00"]
    assert MAP.requests == (*energies, *blocks, "02040000", "02050000", "02060000", "02800002")
    assert PROFILE.wraps_at("energy_import") == 1e6
    assert PROFILE.wraps_at("reactive_energy_import") is None
    assert PROFILE.protocol == "dlt645"


GOOD = """
[profile]
id = "made"
title = "made"
kind = "meter"
source = "made"

[dlt645]
points = [
  { name = "energy_import", di = "00010000", format = "XXXXXX.XX", unit = "MWh", wraps_at = 1000 },
  { name = "active_power", di = "0203FF00", at = 0, format = "XX.XXXX", unit = "kW", signed = true },
  { name = "active_power_l1", di = "0203FF00", at = 1, format = "XX.XXXX", unit = "kW", signed = true },
]

[[golden]]
origin = "by hand"
frames = [
  "68 01 00 00 00 00 00 68 91 08 33 33 34 33 89 67 45 33 9F 16",
  "68 01 00 00 00 00 00 68 91 0A 33 32 36 35 89 67 C5 85 44 B7 71 16",
]
expect = { energy_import = 1234560, active_power = -12.3456, active_power_l1 = -4.1152 }
"""


def test_a_file_is_read_with_unit_and_wrap() -> None:
    profile = parse_profile(GOOD, "made.toml")
    assert profile.wraps_at("energy_import") == 1e6
    assert profile.quantities == ("energy_import", "active_power", "active_power_l1")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('di = "00010000"', 'di = "1"', "dlt645.points[energy_import].di: found '1'"),
        ('"XXXXXX.XX"', '"XXXXX.XX"', "points[energy_import].format: found 'XXXXX.XX'; 'XXXXX.XX' is no format"),
        ('"00010000", format', '"00010000", at = 1, format', "points[energy_import].at: found 1; 0: 00010000 names one value"),
        ("at = 1,", "at = 0,", "points[active_power_l1].at: found 0; a place of its own; active_power is there"),
        (
            'at = 1, format = "XX.XXXX"',
            'at = 1, format = "XXX.XXX"',
            "points[active_power_l1].format: found 'XXX.XXX'; one format",
        ),
        ("at = 1, format", "wraps_at = 5, at = 1, format", "points[active_power_l1].wraps_at: found 5.0; only a counter wraps"),
        ("at = 1, format", "offset = 5, at = 1, format", "points[active_power_l1].offset: found 5.0; none"),
        ("9F 16", "9E 16", "golden[1]: found 68 01 00 00 00 00 00 68 91 08 33 33 34 33 89 67 45 33 9e 16 is not one frame"),
        ("33 33 34 33 89 67 45 33 9F", "33 33 35 33 89 67 45 33 A0", "data 00020000; a reply 91H to a request of this map"),
        (
            "energy_import = 1234560",
            "energy_import = 1234",
            "golden[1].expect.energy_import: found 1234560.0; 1234.0 is expected",
        ),
        (
            "[dlt645]",
            "[mqtt]\npoints = [{ name = 'current', path = '/a', unit = 'A' }]\n[dlt645]",
            "found 'mqtt, dlt645'; exactly one",
        ),
    ],
)
def test_each_mistake_is_named_with_its_key(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        parse_profile(GOOD.replace(old, new, 1), "made.toml")
    assert message in str(caught.value)
