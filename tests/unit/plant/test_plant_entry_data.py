"""Entries of casthouse and pot rooms as they come in: what has to be said, and taps that cannot be."""

from __future__ import annotations

import pytest

from plant.config import parse_site
from plant.entry_data import IMPLAUSIBLE, counts, entry_data, plausible_entry
from plant.errors import ConfigError
from plant.ports import LedgerEntry
from plant.site import Site
from potwatt.ledger_csv import parse_entries

DAY_NS = 86_400 * 10**9
BALANCE = '{ year = 2026, t_per_t = 1.6, document = "platform" }'
HEADER = "kind,subject,start,end,amount,unit,who,document"


def _site(process: str = "") -> Site:
    return parse_site(
        f"""
        {process}
        [plant]
        id = "p"
        name = {{ en = "P" }}
        [[bus]]
        id = "bus-1"
        [[potline]]
        id = "line-1"
        pots = [{{ valid_from = 2026-01-01T00:00:00+08:00, running = 1 }}]
        """,
        "site.toml",
    )


def _tap(kg: int, days: float = 0.0) -> LedgerEntry:
    return LedgerEntry("p", "metal_tapped", "k", "s", "line-1", 0, round(days * DAY_NS), kg, "kg", "li")


def test_a_tap_beyond_a_ladle_is_refused() -> None:
    site = _site("process = { ladle_max_kg = 12000, line_day_max_t = 900 }")
    assert plausible_entry(site, _tap(12_000)) == _tap(12_000)
    with pytest.raises(ValueError, match="12001 kg in one tap; a ladle holds at most 12000 kg"):
        plausible_entry(site, _tap(12_001))
    assert plausible_entry(site, _tap(1_800_000, days=2)).amount == 1_800_000
    with pytest.raises(ValueError, match="at most 900000 kg a day"):
        plausible_entry(site, _tap(1_800_001, days=2))


def test_a_site_may_keep_it_apart_instead() -> None:
    site = _site('process = { ladle_max_kg = 12000, implausible_taps = "mark" }')
    marked = plausible_entry(site, _tap(99_000))
    assert marked.amount == 99_000
    assert "a ladle holds at most" in marked.data[IMPLAUSIBLE]
    assert not counts(marked)
    assert counts(plausible_entry(site, _tap(3_000)))


def test_fuel_names_what_is_burnt() -> None:
    with pytest.raises(ValueError, match=r"data\.fuel"):
        entry_data("fuel", {})
    assert entry_data("fuel", {"fuel": "natural_gas", "meter": 3}) == {"fuel": "natural_gas", "meter": 3}


def test_a_sheet_of_the_casthouse() -> None:
    day = "2026-11-01T08:00,2026-11-02T08:00"
    text = (
        f"{HEADER},fuel\ningots,plant,{day},1095,t,Li,S-1,\nmetal_cold,plant,{day},55,t,Li,S-1,\n"
        f"fuel,plant,{day},900,GJ,Li,G-1,natural_gas\nanode_net,line-1,{day},450,t,Li,C-1,\n"
    )
    found = parse_entries(text, "sheet.csv", _site())
    assert [(e.kind, e.amount, e.unit) for e in found] == [
        ("ingots", 1_095_000, "kg"),
        ("metal_cold", 55_000, "kg"),
        ("fuel", 900_000, "MJ"),
        ("anode_net", 450_000, "kg"),
    ]


def test_a_sheet_with_a_tap_that_cannot_be_is_not_taken() -> None:
    text = f"{HEADER}\nmetal_tapped,line-1,2026-11-01T08:00,2026-11-01T08:00,345,t,Li,W-1\n"
    with pytest.raises(ConfigError, match="345000 kg in one tap"):
        parse_entries(text, "taps.csv", _site())


@pytest.mark.parametrize(
    ("process", "word"),
    [
        ('process = { capacity = [{ potline = "line-9", t_per_y = 1 }] }', "line-9"),
        ('process = { capacity = [{ potline = "line-1", t_per_y = 1 }, { potline = "line-1", t_per_y = 2 }] }', "one capacity"),
        (f"carbon = {{ ets_balance = [{BALANCE}, {BALANCE}] }}", "one balance"),
    ],
)
def test_settings_that_do_not_fit(process: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        _site(process)
