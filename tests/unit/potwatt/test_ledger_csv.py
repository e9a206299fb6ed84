"""A ledger CSV: what is taken, what is refused, and that every fault is named with its line."""

from __future__ import annotations

import pytest

from plant.config import parse_site
from plant.errors import ConfigError
from plant.site import Site
from potwatt.ledger_csv import parse_entries

HEADER = "kind,subject,time,amount,unit,who,document"


@pytest.fixture
def site() -> Site:
    return parse_site(
        """
        [plant]
        id = "p"
        name = { en = "P" }
        [[bus]]
        id = "bus-1"
        [[potline]]
        id = "line-1"
        pots = [{ valid_from = 2026-01-01T00:00:00+08:00, running = 1 }]
        """,
        "site.toml",
    )


def test_amounts_are_exact_and_times_are_the_plants(site: Site) -> None:
    text = f"{HEADER}\nmetal_tapped,line-1,2026-11-01T08:00,2.345,t,Li,W-17\n"
    (entry,) = parse_entries(text, "taps.csv", site)
    assert (entry.amount, entry.unit, entry.who, entry.document) == (2345, "kg", "Li", "W-17")
    assert entry.start_ns == entry.end_ns == 1_793_491_200_000_000_000  # 00:00 UTC
    assert parse_entries(text, "taps.csv", site)[0].key == entry.key


def test_certificates_keep_their_further_columns(site: Site) -> None:
    text = (
        "kind,subject,start,end,amount,unit,who,document,type,status,quota_year\n"
        "certificate,plant,2026-10-01T00:00+08:00,2026-11-01T00:00+08:00,1234,MWh,Li,GEC-1,bought,cancelled,2026\n"
    )
    (entry,) = parse_entries(text, "gec.csv", site)
    assert entry.data == {"type": "bought", "status": "cancelled", "quota_year": 2026}
    assert (entry.amount, entry.unit) == (1234, "MWh")
    assert entry.end_ns - entry.start_ns == 31 * 86_400 * 1_000_000_000


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("metal,line-1,2026-11-01T08:00,1,t,Li,W", "kind 'metal'"),
        ("metal_tapped,line-9,2026-11-01T08:00,1,t,Li,W", "subject 'line-9'"),
        ("metal_tapped,line-1,1 November,1,t,Li,W", "time '1 November'"),
        ("metal_tapped,line-1,2026-11-01T08:00,much,t,Li,W", "'much' is not a number"),
        ("metal_tapped,line-1,2026-11-01T08:00,1,MWh,Li,W", "unit 'MWh' does not fit"),
        ("metal_tapped,line-1,2026-11-01T08:00,0.0005,t,Li,W", "not a whole"),
        ("metal_tapped,line-1,2026-11-01T08:00,-1,t,Li,W", "non-negative"),
        ("metal_tapped,line-1,2026-11-01T08:00,NaN,t,Li,W", "not a whole"),
        ("metal_tapped,line-1,2026-11-01T08:00,1,t,,W", "who and document"),
        ("metal_tapped,line-1,2026-11-01T08:00,2,t,Li,W", "something else in line 2"),
        ("certificate,plant,2026-11-01T08:00,1,MWh,Li,G", "data.type"),
        ("metal_tapped,line-1,2026-11-01T08:00,1,t,Li", "more or fewer cells"),
    ],
)
def test_a_broken_line_is_named_and_nothing_is_taken(site: Site, line: str, word: str) -> None:
    good = "metal_tapped,line-1,2026-11-01T08:00,1,t,Li,W"
    with pytest.raises(ConfigError) as caught:
        parse_entries(f"{HEADER}\n{good}\n{line}\n", "taps.csv", site)
    (fault,) = caught.value.faults
    assert fault.key == "line 3"
    assert word in fault.found


def test_a_correction_needs_a_reason(site: Site) -> None:
    text = f"{HEADER},supersedes,reason\nmetal_tapped,line-1,2026-11-01T08:00,1,t,Li,W,4,\n"
    with pytest.raises(ConfigError, match="needs a reason"):
        parse_entries(text, "taps.csv", site)


def test_a_missing_column_is_named(site: Site) -> None:
    with pytest.raises(ConfigError, match="document"):
        parse_entries("kind,subject,time,amount,unit,who\n", "taps.csv", site)
