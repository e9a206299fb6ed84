"""Read plans: few requests, nothing torn, nothing forbidden; halving a refused request."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.catalog import shipped_profiles
from devices.maps import ModbusMap, ModbusPoint, Table, WordOrder
from devices.plan import ReadRequest, guards, plan_reads, split_request, words_of

SHIPPED = [p.modbus for p in shipped_profiles().values() if p.modbus is not None]


def point(address: int, type_: str = "uint16", *, table: Table = "holding", sf_at: int | None = None) -> ModbusPoint:
    return ModbusPoint(f"p{address}", table, address, type_, Fraction(1), WordOrder.HIGH_FIRST, sf_at=sf_at)


def map_of(*points: ModbusPoint, span_max: int = 100, gap_max: int = 8, forbid: tuple[tuple[int, int], ...] = ()) -> ModbusMap:
    return ModbusMap(points, span_max, gap_max, forbid)


def test_near_points_are_read_together_and_far_ones_apart() -> None:
    planned = plan_reads(map_of(point(0), point(9, "float32"), point(20), gap_max=8))
    assert planned == (ReadRequest("holding", 0, 11), ReadRequest("holding", 20, 1))


def test_base_address_moves_every_request() -> None:
    assert plan_reads(map_of(point(2), point(3)), base_address=40_070) == (ReadRequest("holding", 40_072, 2),)


def test_a_request_never_grows_beyond_the_span() -> None:
    planned = plan_reads(map_of(*(point(a) for a in range(30)), span_max=10))
    assert [r.count for r in planned] == [10, 10, 10]


def test_a_forbidden_range_is_never_read_over() -> None:
    planned = plan_reads(map_of(point(0), point(4), forbid=((2, 2),)))
    assert planned == (ReadRequest("holding", 0, 1), ReadRequest("holding", 4, 1))


def test_tables_are_never_mixed() -> None:
    planned = plan_reads(map_of(point(0), point(1, table="input"), point(2, "bit", table="coil")))
    assert [(r.table, r.address) for r in planned] == [("coil", 2), ("holding", 0), ("input", 1)]


def test_a_value_and_its_scale_factor_stay_together_though_the_span_is_tight() -> None:
    planned = plan_reads(map_of(point(0), point(1, sf_at=6), point(7), span_max=6, gap_max=100))
    assert ReadRequest("holding", 1, 6) in planned


def test_a_refused_request_is_halved_down_to_what_must_not_be_torn() -> None:
    map_ = map_of(point(0), point(1, sf_at=3), point(2, sf_at=3), point(5))
    (whole,) = plan_reads(map_)
    halves = split_request(map_, whole)
    assert halves == (ReadRequest("holding", 0, 1), ReadRequest("holding", 1, 5))
    right = split_request(map_, halves[1])
    assert right == (ReadRequest("holding", 1, 3), ReadRequest("holding", 5, 1))
    assert split_request(map_, right[0]) is None


@st.composite
def maps(draw: st.DrawFn) -> ModbusMap:
    addresses = draw(st.lists(st.integers(0, 300), min_size=1, max_size=25, unique=True))
    sizes = draw(st.lists(st.sampled_from(["uint16", "float32", "uint64"]), min_size=len(addresses), max_size=len(addresses)))
    points = tuple(point(a * 4, t) for a, t in zip(addresses, sizes, strict=True))
    return map_of(*points, span_max=draw(st.integers(4, 125)), gap_max=draw(st.integers(0, 50)))


@given(maps())
def test_every_word_is_read_exactly_once_within_the_span(map_: ModbusMap) -> None:
    planned = plan_reads(map_)
    read = [(r.table, a) for r in planned for a in range(r.address, r.end)]
    assert len(read) == len(set(read))
    assert all(r.count <= map_.span_max for r in planned)
    for p in map_.points:
        assert sum(all(r.covers(p.table, a) for a in words_of(p)) for r in planned) == 1


@given(maps())
def test_halves_read_every_point_of_the_whole(map_: ModbusMap) -> None:
    for request in plan_reads(map_):
        halves = split_request(map_, request)
        inside = [p for p in map_.points if request.covers(p.table, p.address)]
        if halves is None:
            assert len(inside) == 1
            continue
        for p in inside:
            assert sum(all(h.covers(p.table, a) for a in words_of(p)) for h in halves) == 1


@pytest.mark.parametrize("map_", SHIPPED)
def test_shipped_maps_read_each_value_with_its_scale_factor(map_: ModbusMap) -> None:
    planned = plan_reads(map_)
    guarded = guards(map_, planned)
    for p in map_.points:
        together = any(all(r.covers(p.table, a) for a in words_of(p)) for r in planned)
        assert together or (p.repetition and p.sf_at and any(g.covers(p.table, p.sf_at) for g in guarded)), p.name
