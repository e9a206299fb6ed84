"""Read plans against every possible plan: each value once, nothing forbidden, nothing too long, and never a request too many."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from devices.maps import SECTION_SPAN, ModbusMap, ModbusPoint, SunSpecSection, Table, WordOrder
from devices.plan import ReadRequest, clipped, guards, plan_reads, split_request, words_of

Forbidden = tuple[tuple[int, int], ...]


def point(address: int, type_: str, table: Table = "holding", sf_at: int | None = None) -> ModbusPoint:
    return ModbusPoint(f"p{address}", table, address, type_, Fraction(1), WordOrder.HIGH_FIRST, sf_at=sf_at)


@st.composite
def small_maps(draw: st.DrawFn) -> ModbusMap:
    """Up to nine points, registers and coils, some with a scale factor, around forbidden ranges."""
    places = sorted(draw(st.sets(st.integers(0, 24), min_size=1, max_size=9)))
    points: list[ModbusPoint] = []
    for place in places:
        table: Table = draw(st.sampled_from(["holding", "holding", "input", "coil"]))
        if table == "coil":
            points.append(point(3 * place, "bit", table))
        else:
            kind = draw(st.sampled_from(["uint16", "uint32", "sf"]))
            points.append(point(3 * place, "uint16" if kind == "sf" else kind, table, 3 * place + 1 if kind == "sf" else None))
    used = {a for p in points for a in words_of(p)}
    free = sorted(set(range(76)) - used)
    forbid = tuple((a, a) for a in draw(st.lists(st.sampled_from(free), max_size=4)))
    return ModbusMap(
        tuple(points),
        span_max=draw(st.integers(3, 30)),
        gap_max=draw(st.integers(0, 12)),
        forbid=forbid,
        bit_span_max=draw(st.integers(1, 60)),
        bit_gap_max=draw(st.integers(0, 20)),
        join=draw(st.sampled_from(["near", "near", "near", "none"])),
    )


def fewest(map_: ModbusMap) -> int:
    """The smallest number of requests, by trying every way to cut each table's cells into runs."""
    total = 0
    for table in {p.table for p in map_.points}:
        cells = sorted((min(words_of(p)), max(words_of(p)) + 1) for p in map_.points if p.table == table)
        bits = table == "coil"
        span, gap = (map_.bit_span_max, map_.bit_gap_max) if bits else (map_.span_max, map_.gap_max)

        def allowed(run: list[tuple[int, int]], span: int = span, gap: int = gap) -> bool:
            if len(run) > 1 and map_.join == "none":
                return False
            near = all(b[0] - a[1] <= gap for a, b in pairwise(run))
            clear = not any(run[0][0] <= first and last < run[-1][1] for first, last in map_.forbid)
            return near and clear and run[-1][1] - run[0][0] <= span

        best = [0] + [99] * len(cells)
        for end in range(1, len(cells) + 1):
            for start in range(end):
                if allowed(cells[start:end]):
                    best[end] = min(best[end], best[start] + 1)
        total += best[-1]
    return total


@given(small_maps())
def test_no_plan_has_fewer_requests_and_none_breaks_a_limit(map_: ModbusMap) -> None:
    planned = plan_reads(map_)
    assert len(planned) == fewest(map_)
    for p in map_.points:
        assert sum(all(r.covers(p.table, a) for a in words_of(p)) for r in planned) == 1
    for r in planned:
        assert r.count <= (map_.bit_span_max if r.table == "coil" else map_.span_max)
        assert not any(r.covers(r.table, a) for first, last in map_.forbid for a in range(first, last + 1))


@given(small_maps(), st.integers(0, 80))
def test_what_is_clipped_lies_before_the_end_and_loses_no_value_there(map_: ModbusMap, end: int) -> None:
    for request in plan_reads(map_):
        left = clipped(map_, request, end)
        assert left is None or left.end <= end
        for p in map_.points:
            inside = all(request.covers(p.table, a) and a < end for a in words_of(p))
            assert not inside or (left is not None and all(left.covers(p.table, a) for a in words_of(p)))


@given(small_maps())
def test_halving_ends_at_single_values_and_forgets_none(map_: ModbusMap) -> None:
    waiting, leaves = list(plan_reads(map_)), []
    while waiting:
        request = waiting.pop()
        halves = split_request(map_, request)
        if halves is None:
            leaves.append(request)
        else:
            assert sum(h.count for h in halves) <= request.count
            waiting += halves
    assert len(leaves) == len(map_.points)


@st.composite
def repeating_maps(draw: st.DrawFn) -> ModbusMap:
    """A model with scale factors in its head and a group behind it, after another section."""
    group, repeat = draw(st.integers(2, 20)), draw(st.integers(1, 30))
    heads = draw(st.lists(st.integers(2, 9), min_size=1, max_size=3, unique=True))
    points = [point(5, "uint16")]
    for i in range(repeat):
        for j, head in enumerate(heads[:group]):
            at = SECTION_SPAN + 10 + i * group + j
            points.append(
                ModbusPoint(
                    f"p{i}_{j}", "holding", at, "uint16", Fraction(1), WordOrder.HIGH_FIRST,
                    sf_at=SECTION_SPAN + head, sf_read="around", repetition=i + 1,
                )
            )  # fmt: skip
    sections = (SunSpecSection((103,), 50, 1), SunSpecSection((160,), 8 + group * repeat, 1, group))
    return ModbusMap(tuple(points), span_max=draw(st.integers(10, 125)), gap_max=20, sections=sections)


@given(repeating_maps())
def test_a_scale_factor_far_from_its_value_is_guarded(map_: ModbusMap) -> None:
    planned = plan_reads(map_)
    guarded = guards(map_, planned)
    for p in map_.points:
        homes = [r for r in planned if r.covers(p.table, p.address)]
        assert len(homes) == 1
        if p.sf_at is not None and not homes[0].covers(p.table, p.sf_at):
            assert sum(g.covers(p.table, p.sf_at) for g in guarded) == 1
            assert sum(r.covers(p.table, p.sf_at) for r in planned) == 1
    for g in guarded:
        assert any(r.covers(g.table, g.address) and r.covers(g.table, g.end - 1) for r in planned)
    assert all(r.address // SECTION_SPAN == (r.end - 1) // SECTION_SPAN for r in planned)


def test_coils_come_two_thousand_at_a_time() -> None:
    map_ = ModbusMap(tuple(point(a, "bit", "coil") for a in range(0, 4_000, 50)), span_max=10, gap_max=0)
    assert [r.count for r in plan_reads(map_)] == [1_951, 1_951]
    assert plan_reads(map_)[1] == ReadRequest("coil", 2_000, 1_951)
