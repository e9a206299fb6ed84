"""Anode effects on their way to the ledger, and which meters of a line watch its pots."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector.late import Owners, event_entries
from plant.calendar import PlantCalendar
from plant.config import parse_site
from plant.entry_data import counts
from plant.errors import ConfigError
from plant.frame import FrameBlock
from plant.quality import ABSENT
from plant.site import Potline, PotState, Site

LINE = Potline("p1", "", "", (), 0.93, 0.02, effect_meter="effects", pot_meter="pot-1-{pot}")
SITE = Site(
    id="smelter",
    title_en="",
    title_zh="",
    enterprise="",
    province="",
    calendar=PlantCalendar(ZoneInfo("Asia/Shanghai")),
    data_dir="",
    edition="1",
    buses=(),
    bus_voltage_kv={},
    branches={},
    points={},
    potlines={"p1": LINE},
    endpoints={},
    meters={},
)
T_NS = 1_795_147_200_000_000_000
QUANTITIES = ("anode_effect_duration", "anode_effect_peak_voltage", "pot_number")


def effects(*rows: tuple[float, float, float]) -> FrameBlock:
    value = np.array(rows)
    quality = np.where(np.isnan(value), np.int16(int(ABSENT)), np.int16(0))
    n = len(rows)
    t_ns = T_NS + np.arange(n, dtype=np.int64) * 10**9
    ids = tuple(f"e-{i}" for i in range(n))
    return FrameBlock("smelter", "sim_anode_effects", QUANTITIES, ("effects",), np.zeros(n, np.int32), t_ns, value, quality, ids)


def test_an_effect_lasts_from_its_start_and_says_which_pot() -> None:
    (entry,), rejected = event_entries(effects((95.0, 31.4, 117.0)), Owners.of(SITE))
    assert not rejected
    assert (entry.kind, entry.key, entry.source, entry.subject) == ("anode_effect", "e-0", "effects", "p1")
    assert (entry.start_ns, entry.end_ns, entry.amount, entry.unit) == (T_NS, T_NS + 95 * 10**9, 95, "s")
    assert entry.data == {"pot": 117, "peak_voltage_v": 31.4}


def test_what_an_effect_does_not_say_is_left_out_but_its_length_is_needed() -> None:
    entries, rejected = event_entries(effects((95.0, np.nan, np.nan), (np.nan, 20.0, 3.0)), Owners.of(SITE))
    assert [e.data for e in entries] == [{}]
    assert [r.reason for r in rejected] == ["event e-1 has no usable anode_effect_duration: nan"]


@pytest.mark.parametrize(
    ("pattern", "meter", "pot"),
    [
        ("pot-1-{pot}", "pot-1-17", 17),
        ("{pot}-controller", "208-controller", 208),
        ("pot-1-{pot}", "pot-2-17", None),
        ("pot-1-{pot}", "pot-1-", None),
        ("pot-1-{pot}", "pot-1-x", None),
        ("pot-1-{pot}a", "pot-1-17", None),
        ("", "pot-1-17", None),
        ("", "17", None),
    ],
)
def test_the_pot_of_a_meter(pattern: str, meter: str, pot: int | None) -> None:
    assert replace(LINE, pot_meter=pattern).pot_of(meter) == pot


SITE_TEXT = """
[plant]
id = "works-1"
name = { en = "Works", zh = "一厂" }
zone = "Asia/Shanghai"

[[bus]]
id = "north"
[[branch]]
id = "tie-1"
kind = "grid_tie"
bus = "north"

[[potline]]
id = "l1"
pot_meter = "pot-{pot}"
effect_meter = "effects"
[[potline.pots]]
valid_from = 2026-01-01T00:00:00+08:00
running = 2

[[endpoint]]
id = "broker"
protocol = "mqtt"
host = "127.0.0.1"
port = 1883

[[meter]]
n = "1-2"
id = "pot-{n}"
profile = "sim_pot"
endpoint = "broker"
topic = "pot/{n}"

[[meter]]
id = "effects"
profile = "sim_anode_effects"
endpoint = "broker"
topic = "effects"
"""


def test_a_line_names_the_meters_of_its_pots() -> None:
    line = parse_site(SITE_TEXT, "site.toml").potlines["l1"]
    assert [line.pot_of(meter) for meter in ("pot-1", "pot-2", "effects")] == [1, 2, None]
    assert [state.name for state in PotState] == ["PREHEATING", "STARTING", "RUNNING", "STOPPED", "BYPASSED"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'pot_meter = "pot-{pot}"',
            'pot_meter = "p-{pot}"',
            "potline[l1].pot_meter: found 'p-{pot}'; ids of [[meter]]s with {pot}",
        ),
        ('pot_meter = "pot-{pot}"', 'pot_meter = "pot-1"', "potline[l1].pot_meter"),
        ('effect_meter = "effects"', 'effect_meter = "other"', "potline[l1].effect_meter: found 'other'; the id of a [[meter]]"),
    ],
)
def test_a_line_that_names_others_is_told(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_site(SITE_TEXT.replace(old, new, 1), "site.toml")
    assert message in str(caught.value)


def test_a_tap_that_no_ladle_holds_is_kept_and_does_not_count() -> None:
    site = replace(SITE, potlines={"p1": replace(LINE, scale_meter="scale")})
    masses = np.array([[2_400.0], [240_000.0]])
    index, t_ns = np.zeros(2, np.int32), T_NS + np.arange(2, dtype=np.int64) * 10**9
    taps = FrameBlock("smelter", "x", ("metal_tapped",), ("scale",), index, t_ns, masses, np.zeros((2, 1), np.int16), ("a", "b"))
    entries, rejected = event_entries(taps, Owners.of(site))
    assert not rejected
    assert [(e.amount, counts(e)) for e in entries] == [(2_400, True), (240_000, False)]
