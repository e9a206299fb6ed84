"""Attribution that changes on a day, and batteries that give their oldest energy first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from green_rows import NS, START_NS, contract_entry, period_of, site_of
from hypothesis import example, given
from hypothesis import strategies as st

from analytics.checkpoints import Checkpoints
from analytics.green_contracts import settled_energy
from analytics.green_matching import Offer, coarser, firsts, matched
from analytics.period import period_figures
from analytics.storage_fifo import LAYERS_MAX, FifoPool, ordered
from analytics.storage_origin import ORIGINS, Pool
from plant import nodes
from plant.errors import ConfigError
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS
from plant.settings.green import Contract

TIE, PV, BATTERY = 'id = "tie", kind = "grid_tie"', 'id = "pv", kind = "pv"', 'id = "bat", kind = "storage", efficiency = 1.0'
GREEN, GRID = np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0])


def _at(slot: int) -> str:
    return datetime.fromtimestamp((START_NS + slot * QUARTER_NS) / NS, UTC).isoformat()


def test_each_interval_is_attributed_by_the_rule_of_its_day() -> None:
    # sun 6 and grid 4 into load 8 and export 2: 6 * 8 / 10 = 4.8, and from the second interval on all 6
    editions = (
        f'[accounting]\nattribution = [{{ rule = "proportional" }}, {{ valid_from = {_at(1)}, rule = "renewable_first" }}]\n'
    )
    mwh = {"tie": ([4.0] * 3, [2.0] * 3), "pv": ([0.0] * 3, [6.0] * 3)}
    period = period_of(site_of([TIE, PV], editions), mwh)
    assert period.rows.column(nodes.PLANT, "green_to_load").tolist() == pytest.approx([4_800, 6_000, 6_000])


@pytest.mark.parametrize(
    ("editions", "word"),
    [
        (f'{{ valid_from = {_at(1)}, rule = "proportional" }}, {{ rule = "renewable_first" }}', r"attribution\[2\].valid_from"),
        ('{ valid_from = 2026-01-01T00:00:00, rule = "proportional" }', "offset"),
        (
            f'{{ valid_from = {_at(1)}, rule = "proportional" }}, {{ valid_from = {_at(0)}, rule = "renewable_first" }}',
            "ascending",
        ),
        ("", "attribution"),
    ],
)
def test_editions_that_cannot_be_told_apart_are_faults(editions: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        site_of([TIE], f"[accounting]\nattribution = [{editions}]\n")


def test_the_oldest_energy_leaves_first() -> None:
    # sun 2 charged, then grid 2; of 2 discharged the pool gives half and half, the queue gives the sun
    mwh = {
        "tie": ([8.0, 12.0, 8.0], [0.0] * 3),
        "pv": ([0.0] * 3, [4.0, 0.0, 0.0]),
        "bat": ([2.0, 2.0, 0.0], [0.0, 0.0, 2.0]),
    }
    rule = '[accounting]\nattribution = "renewable_first"\n'
    for order, green in (("pooled", 0.0), ("fifo", 0.0)):
        site = site_of([TIE, PV, BATTERY], rule + f'[green]\nstorage = "{order}"\n')
        assert period_of(site, mwh).rows.column(nodes.PLANT, "green_to_load")[2] == pytest.approx(green)
    # with more sun than load the battery takes the surplus
    mwh["tie"], mwh["pv"] = ([0.0, 12.0, 8.0], [0.0] * 3), ([0.0] * 3, [12.0, 0.0, 0.0])
    for order, green in (("pooled", 1_000.0), ("fifo", 2_000.0)):
        site = site_of([TIE, PV, BATTERY], rule + f'[green]\nstorage = "{order}"\n')
        assert period_of(site, mwh).rows.column(nodes.PLANT, "green_to_load")[2] == pytest.approx(green)


def test_what_a_queue_does_not_hold_is_of_unknown_origin() -> None:
    pool = FifoPool((2.0, 0, 0, 0, 0, 2.0, 0, 0))
    assert pool.discharge_mix(3.0).tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert pool.discharge_mix(8.0).tolist() == pytest.approx([0.25, 0.25, 0, 0.5])
    assert pool.after(np.zeros(4), 3.0, 0.9, 0.0).content_kwh == pytest.approx((0.0, 1.0, 0.0, 0.0))
    assert FifoPool(()).discharge_mix(1.0).tolist() == [0, 0, 0, 1]
    assert pool.without_record(np.nan).content_kwh == (0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0)


def test_a_site_may_change_its_order() -> None:
    assert ordered(Pool((1.0, 2.0, 0.0, 0.0)), "fifo") == FifoPool((1.0, 2.0, 0.0, 0.0))
    assert ordered(FifoPool((1.0, 0, 0, 0, 0, 2.0, 0, 0)), "pooled") == Pool((1.0, 2.0, 0.0, 0.0))


def test_a_queue_survives_the_ledger() -> None:
    kept = Checkpoints(None)
    kept.put(QUARTER_NS, {"bat": FifoPool((1.0, 0, 0, 0, 0, 2.0, 0, 0))})
    again = Checkpoints(kept.state())
    assert ordered(again.before(QUARTER_NS)[1]["bat"], "fifo") == FifoPool((1.0, 0, 0, 0, 0, 2.0, 0, 0))
    assert not again.differs(QUARTER_NS, {"bat": FifoPool((1.0, 0, 0, 0, 0, 2.0, 0, 0))})
    assert again.differs(QUARTER_NS, {"bat": FifoPool((1.0, 0, 0, 0))})


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 150)), min_size=1, max_size=LAYERS_MAX + 20),
    st.floats(0.5, 1),
)
def test_a_queue_creates_no_green_energy(steps: list[tuple[float, float, float]], efficiency: float) -> None:
    pool: Pool = FifoPool(Pool.initial(50.0).content_kwh)
    charged = given = 0.0
    for green, grid, discharge in steps:
        mix = pool.discharge_mix(discharge)
        assert mix.sum() == pytest.approx(1.0)
        assert (mix >= -1e-9).all()
        given += float(mix[0]) * discharge
        assert given <= charged * efficiency + 1e-6
        before = pool.total_kwh
        pool = pool.after(green * GREEN + grid * GRID, discharge, efficiency, 0.0)
        charged += green
        assert pool.total_kwh == pytest.approx(max(before - discharge, 0.0) + (green + grid) * efficiency, abs=1e-6)
        assert len(pool.content_kwh) <= LAYERS_MAX * len(ORIGINS)


def test_final_replaces_provisional_and_long_spans_are_spread() -> None:
    entries = [
        contract_entry("w", 0, 4, 8.0, "provisional"),
        contract_entry("w", 1, 1, 5.0),
        contract_entry("w", 1, 1, 9.0, "provisional"),
        contract_entry("other", 0, 4, 99.0),
        contract_entry("w", 0, 1, 1.0, "sure"),
    ]
    found = settled_energy(Contract(id="w", source="wind"), entries, START_NS + np.arange(5, dtype=np.int64) * QUARTER_NS)
    assert found.energy_kwh.tolist() == pytest.approx([2_000, 5_000, 2_000, 2_000, np.nan], nan_ok=True)
    assert found.final.tolist() == [False, True, False, False, False]
    assert found.spread.tolist() == [True, False, True, True, False]
    assert found.unreadable == (None,)


def _sun(status: str = "provisional") -> list[LedgerEntry]:
    """A day of a field by the quarter of an hour: 1 MWh in each of 36 slots."""
    return [replace(contract_entry("w", i, 1, 1.0 if 30 <= i < 66 else 0.0, status), id=i + 1) for i in range(96)]


@pytest.mark.parametrize("status", ["provisional", "final"])
def test_a_total_keeps_the_shape_of_what_was_stated_by_the_quarter_of_an_hour(status: str) -> None:
    start_ns = START_NS + np.arange(96, dtype=np.int64) * QUARTER_NS
    total = replace(contract_entry("w", 0, 96, 45.0), id=500)
    found = settled_energy(Contract(id="w", source="pv"), [total, *_sun(status)], start_ns)
    assert (found.energy_kwh[0], found.energy_kwh[48], found.energy_kwh.sum()) == pytest.approx((0.0, 1_250.0, 45_000.0))
    assert found.final.all() and not found.spread.any()
    # a part of the same day has the same shape where all of it was read, and keeps what was stated where it was not
    part = settled_energy(Contract(id="w", source="pv"), [total, *_sun(status)], start_ns[28:32])
    assert part.energy_kwh.tolist() == found.energy_kwh[28:32].tolist()
    alone = settled_energy(Contract(id="w", source="pv"), [total, *_sun(status)[28:32]], start_ns[28:32])
    assert alone.energy_kwh.tolist() == [0.0, 0.0, 1_000.0, 1_000.0]
    assert (alone.final == (status == "final")).all()


def test_a_total_over_slots_without_a_shape_is_spread_evenly() -> None:
    start_ns = START_NS + np.arange(96, dtype=np.int64) * QUARTER_NS
    total = replace(contract_entry("w", 0, 96, 48.0), id=500)
    nothing = [replace(entry, amount=0) for entry in _sun()]
    for stated in ([], _sun()[:-1], nothing):
        found = settled_energy(Contract(id="w", source="pv"), [*stated, total], start_ns)
        assert found.energy_kwh.tolist() == pytest.approx([500.0] * 96)
        assert found.spread.all() and found.final.all()
    # a later total of the day replaces an earlier one of it, a total of a month is no shape of its days
    again = settled_energy(Contract(id="w", source="pv"), [total, replace(total, id=501, amount=96_000)], start_ns)
    assert again.energy_kwh.tolist() == pytest.approx([1_000.0] * 96)
    day = [contract_entry("w", -96, 960, 960.0, "provisional"), replace(contract_entry("w", -96, 960, 480.0), id=7)]
    found = settled_energy(Contract(id="w", source="pv"), day, start_ns)
    assert (found.energy_kwh.tolist(), found.final.all()) == (pytest.approx([500.0] * 96), True)


def test_the_settled_energy_may_be_the_least_of_what_is_stated() -> None:
    contract = Contract(id="w", source="wind", settled_by=("contract", "generator"))
    entries = [contract_entry("w", 0, 2, 8.0, basis="contract"), contract_entry("w", 0, 1, 3.0, basis="generator")]
    found = settled_energy(contract, entries, START_NS + np.arange(2, dtype=np.int64) * QUARTER_NS)
    assert found.energy_kwh.tolist() == pytest.approx([3_000, np.nan], nan_ok=True)


def test_a_kwh_of_a_tie_is_matched_once() -> None:
    grid = {"a": np.array([4.0]), "b": np.array([6.0])}
    offers = [Offer("any", ("a", "b"), np.array([20.0])), Offer("one", ("a",), np.array([3.0]))]
    found = matched(offers, grid)
    assert (found["one"][0], found["any"][0]) == (3.0, 7.0)


def test_contracts_on_different_ties_bring_together_what_the_ties_can_bring() -> None:
    # A over 1 and 2, B over 2 and 3: A takes tie 1 so that tie 2 is left for B; tie 3 brings nothing
    grid = {tie: np.array([energy]) for tie, energy in (("1", 10.0), ("2", 10.0), ("3", 0.0))}
    found = matched([Offer("A", ("1", "2"), np.array([10.0])), Offer("B", ("2", "3"), np.array([10.0]))], grid)
    assert (found["A"][0], found["B"][0]) == (10.0, 10.0)


def test_where_one_contract_is_unknown_what_it_may_take_is_not_known_either() -> None:
    grid = {"1": np.array([10.0, 10.0, np.nan])}
    found = matched([Offer("A", ("1",), np.array([np.nan, 4.0, 4.0])), Offer("B", ("1",), np.array([9.0, 9.0, 9.0]))], grid)
    assert found["A"].tolist() == pytest.approx([np.nan, 4.0, np.nan], nan_ok=True)
    assert found["B"].tolist() == pytest.approx([np.nan, 6.0, np.nan], nan_ok=True)
    endless = matched([Offer("A", ("1",), np.array([np.inf])), Offer("B", ("1",), np.array([9.0]))], {"1": np.array([np.inf])})
    assert (endless["A"][0], endless["B"][0]) == (np.inf, 9.0)


def test_transit_between_ties_changes_no_share() -> None:
    # 5 more come in over one tie and leave over the other
    contract = '[[green.contract]]\nid = "w"\nsource = "wind"\n'
    site = site_of([TIE, 'id = "tie-2", kind = "grid_tie"', PV], '[accounting]\nattribution = "renewable_first"\n' + contract)
    entries = [contract_entry("w", 0, 1, 3.0)]
    found = []
    for transit in (0.0, 5.0):
        mwh = {"tie": ([6.0 + transit], [0.0]), "tie-2": ([0.0], [transit]), "pv": ([0.0], [4.0])}
        figures = period_figures(period_of(site, mwh, entries)).figures[nodes.PLANT]
        found.append([figures[n].value for n in ("green_share_physical", "green_share_matched", "green_share_volumetric")])
    assert found[0] == pytest.approx([40.0, 70.0, 70.0])
    assert found[1] == pytest.approx(found[0])


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=40))
def test_coarser_matching_never_matches_less_and_splitting_changes_nothing(pairs: list[tuple[float, float]]) -> None:
    offered, load = (np.array(column) for column in zip(*pairs, strict=True))
    start_ns = START_NS + np.arange(len(pairs), dtype=np.int64) * QUARTER_NS
    sums = []
    for minutes in (15, 30, 60):
        first = firsts(start_ns, minutes)
        whole = matched([Offer("w", ("t",), coarser(offered, first))], {"t": coarser(load, first)})["w"]
        halves = [Offer(name, ("t", "u"), coarser(offered / 2, first)) for name in ("x", "y")]
        split = matched(halves, {"t": coarser(load * 0.3, first), "u": coarser(load * 0.7, first)})
        assert (split["x"] + split["y"]).tolist() == pytest.approx(whole.tolist(), abs=1e-9)
        assert (whole <= coarser(load, first) + 1e-9).all()
        sums.append(whole.sum())
    assert sums[0] <= sums[1] + 1e-9 <= sums[2] + 2e-9


TIES = ("a", "b", "c")
OFFERS = st.lists(
    st.tuples(st.lists(st.sampled_from(TIES), min_size=1, unique=True), st.lists(st.integers(0, 20), min_size=4, max_size=4)),
    min_size=1,
    max_size=4,
)


@given(OFFERS, st.lists(st.lists(st.integers(0, 12), min_size=4, max_size=4), min_size=3, max_size=3))
@example([(["b", "a"], [6, 0, 0, 0]), (["a", "c"], [6, 20, 0, 0])], [[1, 9, 0, 0], [9, 2, 0, 0], [4, 5, 0, 0]])
def test_contracts_bound_to_ties_of_their_own_are_matched_no_less_when_coarser(
    bound: list[tuple[list[str], list[int]]], grid: list[list[int]]
) -> None:
    totals = []
    for slots in (1, 2, 4):
        ties = {tie: np.array(row, float).reshape(-1, slots).sum(axis=1) for tie, row in zip(TIES, grid, strict=True)}
        offers = [
            Offer(str(i), tuple(over), np.array(energy, float).reshape(-1, slots).sum(axis=1))
            for i, (over, energy) in enumerate(bound)
        ]
        found = matched(offers, ties)
        assert all((found[o.name] <= o.energy_kwh + 1e-9).all() and (found[o.name] >= 0).all() for o in offers)
        assert _fits(offers, found, ties)
        totals.append(sum(energy.sum() for energy in found.values()))
    assert totals[0] <= totals[1] + 1e-9 <= totals[2] + 2e-9


def _fits(offers: list[Offer], found: dict[str, np.ndarray], ties: dict[str, np.ndarray]) -> bool:
    """Whether the ties can bring what was matched (Hall): no set of offers has more than its ties together."""
    for some in range(1, 1 << len(offers)):
        chosen = [o for i, o in enumerate(offers) if some >> i & 1]
        room = np.sum([ties[tie] for tie in {tie for o in chosen for tie in o.ties}], axis=0)
        if (np.sum([found[o.name] for o in chosen], axis=0) > room + 1e-9).any():
            return False
    return True
