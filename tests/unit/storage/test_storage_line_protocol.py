"""Line protocol, to the character."""

from __future__ import annotations

import math

import numpy as np

from plant.frame import FrameBlock
from plant.series import QUARTER, DerivedBlock, Span
from storage.influxql import identifier, literal, where
from storage.line_protocol import derived_lines, reading_lines, retired_line


def test_good_values_are_plain_and_others_carry_their_quality() -> None:
    block = FrameBlock(
        "p 1",
        "x",
        ("active_power", "energy_import", "interval_energy_import"),
        ("m,1", "m=2"),
        np.array([0, 1, 0], np.int32),
        np.array([1_000_000_000, 2_000_000_000, 3_000_000_000]),
        np.array([[0.1 + 0.2, 7.0, 1.0], [1e-7, math.nan, 1.0], [math.nan, math.nan, 1.0]]),
        np.array([[0, 0, 0], [1, 6, 0], [34, 0, 0]], np.int16),
    )
    assert sorted(reading_lines(block, "reading", ["active_power", "energy_import"])) == [
        r"reading,plant=p\ 1,meter=m\,1 active_power=0.30000000000000004,energy_import=7.0 1000",
        r"reading,plant=p\ 1,meter=m\,1 active_power_q=34i,energy_import_q=6i 3000",
        r"reading,plant=p\ 1,meter=m\=2 active_power=1e-7,active_power_q=1i,energy_import_q=6i 2000",
    ]
    assert (
        reading_lines(block, "interval", ["interval_energy_import"])[0]
        == r"interval,plant=p\ 1,meter=m\,1 interval_energy_import=1.0 1000"
    )
    assert reading_lines(block, "reading", []) == []
    assert reading_lines(block.take(slice(0, 0)), "reading", ["active_power"]) == []


def test_figures_are_floats_with_version_and_validity() -> None:
    block = DerivedBlock(
        "p",
        QUARTER,
        ("a", "b"),
        ("plant", "line:l 1"),
        np.array([1, 0, 1], np.int32),
        np.array([0, 900, 1800], np.int64) * 1_000_000_000,
        np.array([[1.0, 2.0], [math.nan, 3.0], [math.inf, math.nan]]),
        np.array([5, 6, 7]),
        np.array([True, True, False]),
    )
    assert derived_lines(block, "derived", np.array([0, 900_001, 1_800_000])) == [
        r"derived,plant=p,node=line:l\ 1 a=1.0,b=2.0,version=5i,valid=1i 0",
        r"derived,plant=p,node=plant b=3.0,version=6i,valid=1i 900001",
        r"derived,plant=p,node=line:l\ 1 version=7i,valid=0i 1800000",
    ]
    assert retired_line("p", "line:l 1", "derived", 900_000) == r"derived,plant=p,node=line:l\ 1 valid=0i 900000"


def test_influxql_names_cannot_break_out_of_their_quotes() -> None:
    assert literal("it's") == r"'it\'s'"
    assert literal("x\\' OR 1=1 --") == r"'x\\\' OR 1=1 --'"
    assert identifier('a"b\\') == r'"a\"b\\"'
    assert where("p", Span(1, 2_000_001), "meter", ["a", "b"]) == (
        "\"plant\" = 'p' AND time >= 1ms AND time < 3ms AND (\"meter\" = 'a' OR \"meter\" = 'b')"
    )
