"""Vectors with their derivation: process energy, the indicators, green share, certificates, data quality."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from analytics.attribution import attribute
from analytics.balance import Banded
from analytics.counters import clean_register
from analytics.green import Certificates, certificate_ratio_percent
from analytics.intensity import allocate, per_tonne
from analytics.metal import efficiency_of, faraday_t
from analytics.samples import completeness
from analytics.storage_origin import Pool
from plant.rulebook import grade, parse_rules, shipped_rule_texts
from plant.site import Branch, Potline, PotRegister, Site

K = 0.335573  # kg/(kA h)
RULES = parse_rules(shipped_rule_texts())


def test_metal_by_faraday() -> None:
    # 500 kA for 24 h at 93.5 %: 0.335573 * 500 * 24 * 0.935 = 3765.13 kg a pot; 300 pots give 1129.538 t a day
    one = faraday_t(np.array([500.0 * 24]), np.array([1.0]), K) * 0.935
    assert one[0] * 1000 == pytest.approx(3765.13, abs=0.005)
    line = faraday_t(np.array([500.0 * 24]), np.array([300.0]), K) * 0.935
    assert line[0] == pytest.approx(1129.538, abs=0.001)
    assert line[0] * 365 / 1000 == pytest.approx(412.281, abs=0.001)


def test_dc_and_ac_energy_per_tonne() -> None:
    # 300 pots at 3.95 V and 500 kA: 592.5 MW DC; over 0.98: 604.592 MW AC; a day's energy over a day's metal.
    # The vectors carry k unrounded (0.3355727), hence 0.02
    dc_kw, metal = 300 * 3.95 * 500, faraday_t(np.array([12_000.0]), np.array([300.0]), K) * 0.935
    tonne = Banded(metal, metal, metal)
    for power_kw, expected in ((dc_kw, 12_589.22), (dc_kw / 0.98, 12_846.14)):
        energy = np.array([power_kw * 24.0])
        assert per_tonne(Banded(energy, energy, energy), tonne).best[0] == pytest.approx(expected, abs=0.02)


def test_ten_pots_out_change_the_metal() -> None:
    running, constant = (faraday_t(np.array([1.0]), np.array([n]), K)[0] for n in (290.0, 300.0))
    assert constant / running - 1 == pytest.approx(0.0345, abs=0.0005)


def test_current_efficiency_from_weighed_metal() -> None:
    # 90 400 kg tapped and 300 kg more in the pot after 24 d at 500 kA; the vector carries k unrounded
    assert efficiency_of(90_400.0, 300.0, K * 500 * 24 * 24) == pytest.approx(0.938487, abs=2e-6)


def _site() -> Site:
    branches = {
        "aux": Branch("aux", "feeder", "b", "", "", purpose="auxiliary", serves=("a", "b")),
        "desulph": Branch("desulph", "feeder", "b", "", "", purpose="desulphurisation", serves=("a", "b")),
    }
    pots = (PotRegister(0, 1),)
    lines = {name: Potline(name, "", "", pots, 0.93, 0.02) for name in ("a", "b")}
    empty: dict[str, object] = {}
    return Site("s", "", "", "", "", None, "", "", ("b",), {}, branches, {}, lines, empty, empty)  # type: ignore[arg-type]


def _exactly(value: float) -> Banded:
    return Banded(*(np.array([value]) for _ in range(3)))


def test_the_indicators_of_two_lines() -> None:
    # Import 668 000 less measured branches (640 000 + 14 000 + 2 500 + 9 000) is a loss of 2 500 MWh, shared by energy
    measured = 380_000.0 + 260_000 + 14_000 + 2_500 + 9_000
    assert 668_000 - measured == 2_500
    metal = {"a": _exactly(29_500.0), "b": _exactly(20_100.0)}
    found = allocate(
        _site(),
        np.zeros(1, np.int64),
        {"aux": _exactly(12_000e3), "desulph": _exactly(2_000e3)},
        {"a": _exactly(380_000e3), "b": _exactly(260_000e3)},
        {"a": _exactly(0.0), "b": _exactly(0.0)},
        metal,
        _exactly(2_500e3),
        np.array([measured * 1e3]),
    )
    found["plant"] = found["a"] + found["b"]
    expected = {
        "specific_energy_e1": (12_881.36, 12_935.32, 12_903.23),
        "specific_energy_e2": (13_213.06, 13_267.23, 13_235.02),
        "specific_energy_e2_tariff": (13_172.74, 13_226.91, 13_194.69),
    }
    for indicator, values in expected.items():
        for node, value in zip(("a", "b", "plant"), values, strict=True):
            energy = found[node].numerators()[indicator]
            assert per_tonne(energy, found[node].metal).best[0] == pytest.approx(value, abs=0.01), (indicator, node)


def test_ratio_of_sums() -> None:
    tonnes, energy = np.array([500.0, 400, 300]), np.array([12_980.0, 13_020, 13_360])
    whole = (tonnes * energy).sum() / tonnes.sum()
    assert whole == pytest.approx(13_088.33, abs=0.005)
    assert per_tonne(_exactly(float((tonnes * energy).sum())), _exactly(1200.0)).best[0] == pytest.approx(whole)


@pytest.mark.parametrize(
    ("e1", "expected"),
    [("12950", "1"), ("12950.01", "2"), ("13000", "2"), ("13350", "3"), ("13350.01", "over")],
)
def test_grades_of_e1(e1: str, expected: str) -> None:
    rules = RULES.for_indicator("specific_energy_e1", date(2026, 1, 1))
    assert grade([r for r in rules if r.kind == "grade"], "specific_energy_e1", Decimal(e1)) == expected


def test_green_share_of_four_intervals() -> None:
    # L 10; G 0, 6, 14, 4; charge 2 in the third (all from PV), 1.7 = 2 * 0.85 discharged in the fourth; M closes the balance
    load, sun, charge = np.full(4, 10.0), np.array([0.0, 6, 14, 4]), np.array([0.0, 0, 2, 0])
    discharge, export = np.array([0.0, 0, 0, 1.7]), np.array([0.0, 0, 2, 0])
    grid = load + charge + export - sun - discharge
    assert grid.tolist() == pytest.approx([10, 4, 0, 4.3])
    pool, to_load = Pool((0.0, 0.0, 0.0, 0.0)), np.zeros(4)
    for i in range(4):
        mix = pool.discharge_mix(float(discharge[i]))
        sources = np.array([[grid[i]], [sun[i]], *([s * discharge[i]] for s in mix)])
        green = np.array([False, True, True, False, False, False])
        flows = attribute(
            sources, green, np.array([[load[i]], [charge[i]], [export[i]]]), ("load", "charge", "export"), "proportional"
        )
        to_load[i] = flows[green, 0, 0].sum()
        into = flows[:, 1, 0]
        pool = pool.after(np.array([into[1] + into[2], into[0], 0.0, 0.0]), float(discharge[i]), 0.85, 0.0)
    assert to_load.tolist() == pytest.approx([0, 6, 10, 5.7])
    assert 100 * to_load.sum() / load.sum() == pytest.approx(54.25)
    assert 100 * (sun.sum() - export.sum()) / sun.sum() == pytest.approx(91.67, abs=0.005)
    assert 100 * export.sum() / sun.sum() == pytest.approx(8.33, abs=0.005)


@pytest.mark.parametrize(("rule", "share"), [("proportional", 30.0), ("renewable_first", 40.0)])
def test_three_sources_with_charge_and_export(rule: str, share: float) -> None:
    # PV 6, grid 8, captive coal 6 into load 15, charge 2, export 3: 6 * 15 / 20 = 4.5 of 15, or all 6 of 15
    sources, sinks = np.array([[6.0], [8], [6]]), np.array([[15.0], [2], [3]])
    tiers = ("load", "charge", "export")
    flows = attribute(sources, np.array([True, False, False]), sinks, tiers, rule)  # type: ignore[arg-type]
    assert 100 * flows[0, 0, 0] / 15 == pytest.approx(share)
    if rule == "proportional":
        assert flows[:, 0, 0].tolist() == pytest.approx([4.5, 6.0, 4.5])


def test_transit_between_ties_is_not_green() -> None:
    flows = attribute(
        np.array([[12.0], [0.0]]), np.array([False, True]), np.array([[10.0], [2.0]]), ("load", "export"), "proportional"
    )
    assert flows[1].sum() == 0.0
    assert flows[0, :, 0].tolist() == pytest.approx([10.0, 2.0])


def test_certificate_ratio() -> None:
    held = Certificates(180_000, 1_500_000, 800_000)
    assert certificate_ratio_percent(held, 6_700_000.0) == pytest.approx(37.0149, abs=5e-5)


@pytest.mark.parametrize(("received", "percent"), [(92, 95.83), (86, 89.58)])
def test_completeness_of_a_day(received: int, percent: float) -> None:
    step = 900 * 10**9
    kept = np.sort(np.random.default_rng(received).permutation(np.arange(1, 95))[: received - 2])
    t_ns = np.concatenate([[0], kept, [95]]).astype(np.int64) * step
    found = completeness(t_ns, np.arange(97, dtype=np.int64) * step, 900.0)
    assert 100 * found.mean() == pytest.approx(percent, abs=0.005)


def test_register_wraps_and_resets() -> None:
    # uint32: from 4 294 967 200 to 150 is 96 to the end and 150 beyond it
    t_ns = np.arange(3, dtype=np.int64) * 10**9
    wrap = clean_register(t_ns, np.array([4_294_967_100.0, 4_294_967_200, 150]), wraps_at=2.0**32)
    assert wrap.count.tolist() == [0, 100, 346]
    assert wrap.wrapped.tolist() == [False, True]
    reset = clean_register(t_ns, np.array([1_000_000.0, 1_000_100, 150]), wraps_at=2.0**32)
    assert reset.count.tolist() == [0, 100, 100]
    assert reset.boundary.tolist() == [False, True]
