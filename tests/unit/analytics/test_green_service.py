"""Green figures from readings and ledger to report and study: over the real loop, store and ledger."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import NS, entry, meter_toml, small_plant
from green_rows import contract_entry, period_of, site_of

from analytics.green_chapter import CHAPTER
from analytics.period import period_figures
from plant import nodes
from plant.config import parse_site
from plant.errors import ConfigError
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS, Span

START = 1_790_784_000 * NS  # 2026-10-01 00:00 in Shanghai
DAYS = 31
SITE = (
    """
branch = [{ id = "pv", kind = "pv", bus = "b", capacity_kw = 500 }, { id = "tie", kind = "grid_tie", bus = "b" }]
[accounting]
quota_target_percent = 38
[green]
report_energy = { tie = "statement" }
direct_connection = ["pv"]
[[green.contract]]
id = "w"
source = "wind"
[[green.grid_cfe]]
valid_from = 2026-01-01T00:00:00+08:00
percent = 30
"""
    + meter_toml("m-pv", 1, 'branch = "pv", direction = "reverse", rated_power_kw = 2000')
    + meter_toml("m-tie", 2, 'branch = "tie", rated_power_kw = 4000')
)
KNOWN = {"m-pv": ("active_power", "energy_import"), "m-tie": ("active_power", "energy_import", "energy_export")}


def _stated(kind: str, subject: str, kwh: int, **data: str) -> LedgerEntry:
    end_ns = START + DAYS * 96 * QUARTER_NS
    return LedgerEntry("p", kind, f"{kind} {subject} {data}", "grid", subject, START, end_ns, kwh, "kWh", "li", "bill", data=data)


async def test_a_month_with_contract_statement_and_certificates(tmp_path: Path) -> None:
    # each quarter of an hour: sun 25, tie 75 into the load of 100; the contract 20, spread from one statement of the month
    slots = DAYS * 96
    async with small_plant(tmp_path, SITE, START, KNOWN) as plant:
        t_ns = START + np.arange(slots, dtype=np.int64) * QUARTER_NS
        await plant.feed("m-pv", t_ns, interval_energy_import=np.full(slots, 25.0))
        await plant.feed("m-tie", t_ns, interval_energy_import=np.full(slots, 75.0))
        await plant.ledger.add(
            [
                _stated("contract_energy", "w", 20 * slots, status="provisional"),
                _stated("statement", "tie", 76 * slots, direction="import"),
                entry("certificate", "plant", START, 50, type="self_use", status="cancelled", quota_year=2026),
            ]
        )
        plant.clock.t_ns = START + (DAYS * 86_400 + 7_200) * NS
        await plant.work()
        report = (await plant.analytics.report("month", "2026-10")).body
        found = report["figures"]["plant"]
        expected = {
            "green_share_physical": 25.0,
            "contracted_share": 20.0,
            "green_share_matched": 45.0,
            "green_share_volumetric": 45.0,
            "green_share_cfe": 45.0 + 55.0 * 0.3,
            "non_hydro_share": 45.0,
            "direct_self_use_of_available": 100.0,
            "direct_self_use_of_use": 25.0,
        }
        assert {name: found[name]["value"] for name in expected} == pytest.approx(expected, abs=1e-6)
        assert f"provisional in {slots} of {slots}" in found["green_share_matched"]["reason"]
        assert f"spread evenly over {slots} of {slots}" in found["green_share_matched"]["reason"]
        (contract,) = report["details"]["green"]["contracts"]
        assert (contract["final_share"], contract["spread_share"], contract["known_share"]) == (0.0, 1.0, 1.0)
        statements = report["studies"]["statements"]["figures"]
        assert statements["plant"]["import_reported"]["value"] == 76 * slots
        assert statements["branch:tie"]["statement_difference"]["value"] == pytest.approx(100 / 76)
        year = await plant.analytics.study("certificates", "year", "2026")
        # nine months before the first reading: what was used in them is not known
        to_buy = year.figures["plant"]["certificates_to_buy"]
        assert to_buy.value is None
        assert to_buy.reason == "measured share 10.2% is below 50%; the year so far"
        assert year.body["issue"]["pv"][9] == {
            "month": "2026-10",
            "self_used_kwh": 25 * slots,
            "certificates": 74,
            "carried_kwh": 400,
        }
        # the final statement replaces the provisional one, without a row being restated
        await plant.ledger.add([_stated("contract_energy", "w", 10 * slots, status="final")])
        again = (await plant.analytics.report("month", "2026-10")).body["figures"]["plant"]["green_share_matched"]
        assert again["value"] == pytest.approx(35.0)
        assert "provisional" not in again["reason"]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ('[[green.contract]]\nid = "tie"\nsource = "wind"\n', "of no tie"),
        ('[[green.contract]]\nid = "w"\nsource = "wind"\n[[green.contract]]\nid = "w"\nsource = "pv"\n', "used once"),
        ('[[green.contract]]\nid = "w"\nsource = "wind"\nties = ["tie-9"]\n', "the id of a grid tie: tie"),
        ('[[green.contract]]\nid = "w"\nsource = "coal"\n', "source"),
        ('[green]\nreport_energy = { tie-9 = "statement" }\n', "grid tie"),
        ('[green]\ndirect_connection = ["tie"]\n', "renewable generator: pv"),
        ("[[green.grid_cfe]]\nvalid_from = 2026-01-01T00:00:00Z\npercent = 101\n", "percent"),
        ("[[green.grid_cfe]]\nvalid_from = 2026-01-01T00:00:00\npercent = 1\n", "valid_from"),
        (
            "[[green.certificate_price]]\nvalid_from = 2026-01-01T00:00:00Z\nlow_yuan = '7'\nhigh_yuan = '6'\n",
            "no more than high_yuan",
        ),
    ],
)
def test_settings_that_do_not_fit_are_faults(more: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        site_of(['id = "tie", kind = "grid_tie"', 'id = "pv", kind = "pv"'], more)


def test_hydro_counts_as_green_and_not_as_non_hydro() -> None:
    # pv 2, river 3, grid 5 into load 10; hydro power by contract does not count either
    branches = ['id = "tie", kind = "grid_tie"', 'id = "pv", kind = "pv"', 'id = "r", kind = "generator", source = "hydro"']
    contracts = '[[green.contract]]\nid = "w"\nsource = "wind"\n[[green.contract]]\nid = "h"\nsource = "hydro"\n'
    mwh = {"tie": ([5.0], [0.0]), "pv": ([0.0], [2.0]), "r": ([0.0], [3.0])}
    entries = [contract_entry("w", 0, 1, 1.0), contract_entry("h", 0, 1, 2.0)]
    for setting, share in (("matched", 30.0), ("volumetric", 30.0), ("none", 20.0)):
        site = site_of(branches, f'[green]\nnon_hydro_contracted = "{setting}"\n' + contracts)
        found = period_figures(period_of(site, mwh, entries)).figures[nodes.PLANT]
        assert found["non_hydro_share"].value == pytest.approx(share)
        assert found["green_share_matched"].value == pytest.approx(80.0)


def test_a_span_without_a_slot_has_no_green_chapter() -> None:
    period = period_of(
        site_of(['id = "tie", kind = "grid_tie"', 'id = "pv", kind = "pv"']), {"tie": ([1.0], [0.0]), "pv": ([0.0], [0.0])}
    )
    empty = period.part(Span(period.span.start_ns + 1, period.span.start_ns + 2), "interval")
    assert CHAPTER.compute(empty, {}).figures == {}


def test_the_examples_of_the_template_parse_once_their_marks_are_off() -> None:
    text = (resources.files("potwatt") / "site_template.toml").read_text("utf-8")
    first = text.index("# [green]\n")
    end = text.index("\n\n", first)
    block = "".join(line.removeprefix("# ") + "\n" for line in text[first:end].splitlines())
    found = parse_site(text[:first] + block + text[end:], "site.toml").green
    assert found.contract[0].settled_by == ("contract", "generator", "user")
    assert found.report_energy == {"tie-1": "statement"}
    dated = next(line for line in text.splitlines() if line.startswith("# attribution = ["))
    site = parse_site(text.replace('attribution = "proportional"', dated.removeprefix("# ")), "site.toml")
    assert [e.rule for e in site.accounting.attribution_editions] == ["renewable_first"]
