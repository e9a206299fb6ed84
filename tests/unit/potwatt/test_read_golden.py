"""The reading as a golden block: what was refused is neither invented nor called missing; SunSpec profiles by their models."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from collector.look import Look
from collector.screen import ScreenRules, screen
from devices.codec import decode
from devices.draft import golden_lines, words_by_address, words_by_label
from devices.maps import Profile
from devices.plan import plan_reads
from devices.profile import parse_profile
from plant.frame import FrameBlock
from potwatt.devices_cli import points_in_words
from potwatt.read_cli import _show_look, _target, golden_block

TEXT = """
[profile]
id = "mine"
title = "Mine"
kind = "meter"
source = "a list"
verified = false
caveats = []

[modbus]
table = "holding"
word_order = "high_first"
read = { span_max = 50, gap_max = 4 }
points = [
  { name = "frequency", at = 0, type = "uint16", unit = "Hz", scale = 0.01 },
  { name = "energy_import", at = 100, type = "uint32", unit = "kWh" },
  { name = "active_power", at = 200, type = "float32", unit = "kW" },
]
"""


def look_at(profile: Profile, words: list[int], came: list[bool]) -> Look:
    value, quality = decode(profile, np.array([words], np.uint16))
    value[0, 1:] = np.nan
    names, t_ns = profile.quantities, np.array([10**18], np.int64)
    block = FrameBlock("look", profile.id, names, ("mine",), np.zeros(1, np.int32), t_ns, value, quality)
    return Look(screen(block, ScreenRules.of(profile)), np.array(words, np.uint16), (), "", np.array(came))


def test_refused_registers_are_shown_as_such_and_left_out_of_the_block(capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXT + "\n".join(golden_lines("empty", {}, {}, []))
    profile = parse_profile(text, "mine.toml", proof="waived")
    look = look_at(profile, [5001, 0, 0, 0, 0], [True, False, False, False, False])
    block = tomllib.loads("\n".join(golden_block(profile, look)))["golden"][0]
    assert block["words"] == {"0": 5001}
    assert block["expect"] == {"frequency": 50.01}
    assert block["missing"] == ["active_power"], "a float that is not given decodes as missing, a counter as 0"
    _show_look(profile, look, raw=False)
    shown = capsys.readouterr().out
    assert "---- ----  energy_import" in shown
    assert "0000 0000" not in shown


def test_words_in_sunspec_models_have_the_labels_that_profiles_give_them(tmp_path: Path) -> None:
    file = tmp_path / "sunspec_inverter_float.toml"
    file.write_text((resources.files("devices") / "profiles" / file.name).read_text("utf-8"))
    _, _, _, profile = _target(str(file), None, "127.0.0.1:502", "", 1)
    assert profile.modbus is not None
    count = sum(r.count for r in plan_reads(profile.modbus))
    labels = words_by_label(profile, [1] * count, "holding")
    assert len(labels) == len(words_by_address(profile, [1] * count))
    models = {str(section.models[0]) for section in profile.modbus.sections}
    assert {label.partition("/")[0] for label in labels} == models
    assert any(f"holding {model}/" in line for model in models for line in points_in_words(profile))
