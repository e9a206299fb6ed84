"""Green shares of one site over four intervals, and the cases around them, through the shipped balance and figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from green_rows import NS, START_NS, contract_entry, period_of, site_of

from analytics.period import period_figures
from plant import nodes
from plant.indicators import Figure
from plant.ports import LedgerEntry
from plant.site import Site

TIE = 'id = "tie", kind = "grid_tie"'
PV = 'id = "pv", kind = "pv"'
COAL = 'id = "coal", kind = "generator", source = "captive_coal"'
BATTERY = 'id = "bat", kind = "storage", efficiency = 0.85'
CONTRACT = '[[green.contract]]\nid = "wind-farm"\nsource = "wind"\n'


def _cfe(*percent: float) -> str:
    """The grid's carbon-free share, one value a slot."""
    starts = [datetime.fromtimestamp(START_NS / NS, UTC) + timedelta(minutes=15 * i) for i in range(len(percent))]
    return "".join(
        f"[[green.grid_cfe]]\nvalid_from = {t.isoformat()}\npercent = {p}\n" for t, p in zip(starts, percent, strict=True)
    )


def _four() -> Site:
    return site_of([TIE, PV, BATTERY], CONTRACT + _cfe(30, 25, 40, 35))


# L = 10 each; G = 0, 6, 14, 4; C = 0, 0, 2, 0; D = 0, 0, 0, 1.7; X = 0, 0, 2, 0; so M = L + C + X - G - D = 10, 4, 0, 4.3
FOUR = {
    "tie": ([10.0, 4.0, 0.0, 4.3], [0.0, 0.0, 2.0, 0.0]),
    "pv": ([0.0] * 4, [0.0, 6.0, 14.0, 4.0]),
    "bat": ([0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.7]),
}


def _figures(site: Site, mwh: dict[str, tuple[list[float], list[float]]], entries: list[LedgerEntry]) -> dict[str, Figure]:
    return period_figures(period_of(site, mwh, entries)).figures[nodes.PLANT]


def _values(found: dict[str, Figure]) -> dict[str, float | None]:
    return {name: figure.value for name, figure in found.items()}


def test_the_shares_of_four_intervals_stand_side_by_side() -> None:
    # o = 0, 6, 10, 5.7 (21.7); c = min(3, grid to load) = 3, 3, 0, 3 (9); unmatched 7, 1, 0, 1.3 at g = 2.1 + .25 + 0 + .455
    found = _values(_figures(_four(), FOUR, [contract_entry("wind-farm", i, 1, 3.0) for i in range(4)]))
    expected = {
        "green_to_load": 21_700.0,
        "grid_import": 18_300.0,
        "grid_to_load": 18_300.0,
        "contracted_energy": 12_000.0,
        "contracted_matched": 9_000.0,
        "green_share_physical": 54.25,
        "contracted_share": 22.5,
        "green_share_matched": 76.75,
        "green_share_cfe": 83.7625,
        "green_share_volumetric": 84.25,
        "pv_self_consumption": 91.6667,
        "pv_feed_in": 8.3333,
        "non_hydro_share": 76.75,  # sun and wind
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=5e-5)
    # (G + W) / L = 90 % counts export and battery loss: it is no figure
    assert not [name for name, value in found.items() if value is not None and abs(value - 90.0) < 0.01]


def test_one_missing_statement_leaves_the_share_null_with_its_coverage_and_a_band() -> None:
    found = _figures(_four(), FOUR, [contract_entry("wind-farm", i, 1, 3.0) for i in (0, 1, 2)])
    for name in ("green_share_matched", "green_share_cfe", "green_share_volumetric", "contracted_share", "contracted_matched"):
        assert found[name].value is None
        assert found[name].completeness == 0.75
        assert found[name].reason == "known of 75.0% of the intervals, needed of all"
    # 3 + 3 + 0 is sure; the fourth interval may have matched all of its 4.3
    matched = found["green_share_matched"]
    assert (matched.low, matched.high) == pytest.approx((100 * (21.7 + 6) / 40, 100 * (21.7 + 10.3) / 40))
    assert found["green_share_physical"].value == pytest.approx(54.25)


def test_one_missing_interval_leaves_the_share_null() -> None:
    gone = {branch: ([*i[:3], np.nan], [*e[:3], np.nan]) for branch, (i, e) in FOUR.items()}
    found = _figures(_four(), gone, [contract_entry("wind-farm", i, 1, 3.0) for i in range(4)])
    assert found["green_share_matched"].value is None
    assert found["green_share_matched"].completeness == 0.75
    assert found["contracted_energy"].value == 12_000.0


@pytest.mark.parametrize(("rule", "share"), [("proportional", 30.0), ("renewable_first", 40.0)])
def test_captive_coal_takes_its_part_of_the_load(rule: str, share: float) -> None:
    # PV 6, grid 8, coal 6 into load 15, charge 2, export 3: 6 * 15 / 20 = 4.5 of 15, or all 6 of 15; grid 8 * 15 / 20 = 6
    site = site_of([TIE, PV, COAL, BATTERY], f'[accounting]\nattribution = "{rule}"\n')
    mwh = {"tie": ([8.0], [3.0]), "pv": ([0.0], [6.0]), "coal": ([0.0], [6.0]), "bat": ([2.0], [0.0])}
    found = _values(_figures(site, mwh, []))
    assert found["load_energy"] == pytest.approx(15_000)
    assert found["green_share_physical"] == pytest.approx(share)
    if rule == "proportional":
        assert found["grid_to_load"] == pytest.approx(6_000)


def test_contracts_and_the_grid_mix_reach_the_grid_part_alone() -> None:
    # L 10 from coal 8 and import 2; W 5: c = 2, CFE = 2 / 10. With L - o in place of the grid part it would be 5 and 65 %
    site = site_of([TIE, COAL], CONTRACT + _cfe(30))
    found = _values(_figures(site, {"tie": ([2.0], [0.0]), "coal": ([0.0], [8.0])}, [contract_entry("wind-farm", 0, 1, 5.0)]))
    assert found["contracted_matched"] == pytest.approx(2_000)
    assert found["green_share_cfe"] == pytest.approx(20.0)
    assert found["green_share_matched"] == pytest.approx(20.0)


def test_transit_between_ties_is_nobodys_green() -> None:
    # G 0, M 12, X 2, L 10: o = 0, not G - X = -2; the contract reaches the 10 that went into the load
    site = site_of([TIE, 'id = "tie-2", kind = "grid_tie"', PV], CONTRACT)
    mwh = {"tie": ([12.0], [0.0]), "tie-2": ([0.0], [2.0]), "pv": ([0.0], [0.0])}
    found = _values(_figures(site, mwh, [contract_entry("wind-farm", 0, 1, 50.0)]))
    assert found["green_to_load"] == 0.0
    assert found["grid_to_load"] == pytest.approx(10_000)
    assert found["green_share_matched"] == pytest.approx(100.0)


def test_waste_heat_is_a_source_and_not_renewable() -> None:
    site = site_of(
        [TIE, 'id = "heat", kind = "generator", source = "waste_heat"', 'id = "river", kind = "generator", source = "hydro"']
    )
    found = _values(_figures(site, {"tie": ([4.0], [0.0]), "heat": ([0.0], [4.0]), "river": ([0.0], [2.0])}, []))
    assert found["green_share_physical"] == pytest.approx(20.0)
    assert found["non_hydro_share"] == 0.0


def test_coarser_matching_never_lowers_the_share() -> None:
    # load 10 x 8 (Σ 80), W = 0, 6, 14, 4, 20, 16, 0, 0: by interval 0+6+10+4+10+10 = 40 (50 %); by pairs min(6, 20) +
    # min(18, 20) + min(36, 20) + 0 = 44 (55 %); over the two hours min(60, 80) = 60 (75 %)
    offered = [0.0, 6.0, 14.0, 4.0, 20.0, 16.0, 0.0, 0.0]
    entries = [contract_entry("wind-farm", i, 1, w) for i, w in enumerate(offered)]
    found = {}
    for minutes in (15, 30, 60):
        site = site_of([TIE], f"[green]\nmatch_minutes = {minutes}\n" + CONTRACT)
        found[minutes] = _values(_figures(site, {"tie": ([10.0] * 8, [0.0] * 8)}, entries))
    assert [found[n]["green_share_matched"] for n in (15, 30)] == pytest.approx([50.0, 55.0])
    # hours: min(24, 40) + min(36, 40) = 60
    assert found[60]["green_share_matched"] == pytest.approx(75.0)
    assert {round(f["green_share_volumetric"] or 0, 9) for f in found.values()} == {75.0}
