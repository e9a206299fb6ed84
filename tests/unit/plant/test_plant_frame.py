"""FrameBlocks, series, figures, quality, quantities: the shapes and rules that everything else counts on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.frame import FrameBlock, concatenate, floor_ms
from plant.indicators import INDICATORS, Figure
from plant.quality import ABSENT, Quality, usable
from plant.quantities import QUANTITIES, UNITS, Kind, factor_to_canonical
from plant.series import MINUTE, MINUTE_NS, QUARTER_NS, DerivedBlock, Series, Span, dense_block


def frames(meters: tuple[str, ...], rows: list[tuple[int, int, float]], **changes: object) -> FrameBlock:
    n = len(rows)
    fields: dict[str, object] = {
        "plant": "p",
        "profile": "x",
        "quantities": ("active_power",),
        "meters": meters,
        "meter_index": np.array([m for m, _, _ in rows], np.int32),
        "t_ns": np.array([t * 1_000_000 for _, t, _ in rows], np.int64),
        "value": np.array([v for _, _, v in rows], np.float64).reshape(n, 1),
        "quality": np.zeros((n, 1), np.int16),
    }
    return FrameBlock(**(fields | changes))  # type: ignore[arg-type]


ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 100), st.floats(-1e6, 1e6)), max_size=10)


@given(ROWS, ROWS)
def test_joined_blocks_hold_the_frames_of_both_in_order(a: list[tuple[int, int, float]], b: list[tuple[int, int, float]]) -> None:
    whole = concatenate([frames(("m1", "m2"), a), frames(("m2", "m3"), b)])
    names = [("m1", "m2")[m] for m, _, _ in a] + [("m2", "m3")[m] for m, _, _ in b]
    assert [whole.meter_of(row) for row in range(len(whole))] == names
    assert whole.value[:, 0].tolist() == [v for _, _, v in a + b]
    assert whole.meters == ("m1", "m2", "m3")


def test_blocks_of_different_profiles_do_not_join() -> None:
    with pytest.raises(ValueError, match="cannot be joined"):
        concatenate([frames(("m",), []), frames(("m",), [], profile="y")])


def test_taking_frames_keeps_their_meter_and_event() -> None:
    block = frames(("m1", "m2"), [(0, 1, 1.0), (1, 2, 2.0), (0, 3, 3.0)], event_ids=("a", "b", "c"))
    for rows in (np.array([2, 1]), slice(2, 0, -1), np.array([2, 1], np.intp)):
        taken = block.take(rows)
        assert (taken.t_ns // 1_000_000).tolist() == [3, 2]
        assert taken.event_ids == ("c", "b")
        assert [taken.meter_of(i) for i in range(2)] == ["m1", "m2"]
    assert len(block.take(np.array([False, True, False]))) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"t_ns": np.array([1], np.int64)},  # not a whole ms
        {"value": np.zeros((1, 2))},
        {"value": np.zeros((1, 1), np.float32)},
        {"quality": np.zeros((1, 1), np.int64)},
        {"meter_index": np.zeros(1, np.int64)},
        {"event_ids": ("a", "b")},
    ],
)
def test_a_block_of_wrong_shape_type_or_time_is_a_bug(wrong: dict[str, object]) -> None:
    with pytest.raises(AssertionError):
        frames(("m",), [(0, 1, 1.0)], **wrong)


def test_instants_are_cut_to_the_millisecond_before_1970_too() -> None:
    assert [floor_ms(t) for t in (1_999_999, 2_000_000, -1)] == [1_000_000, 2_000_000, -1_000_000]


def test_only_finite_values_that_are_not_invalid_are_usable() -> None:
    value = np.array([1.0, 1.0, 1.0, np.nan, np.inf])
    quality = np.array([0, Quality.QUESTIONABLE | Quality.ESTIMATED, ABSENT, 0, 0], np.int16)
    assert usable(value, quality).tolist() == [True, True, False, False, False]
    assert max(Quality) <= np.iinfo(np.int16).max


def test_bounds_of_a_span_are_multiples_of_the_epoch() -> None:
    assert Span(QUARTER_NS + 1, 2 * QUARTER_NS + 1).bounds(QUARTER_NS).tolist() == [QUARTER_NS, 2 * QUARTER_NS, 3 * QUARTER_NS]
    assert Span(0, QUARTER_NS).bounds(QUARTER_NS).tolist() == [0, QUARTER_NS]
    assert Span(QUARTER_NS, QUARTER_NS).bounds(QUARTER_NS).tolist() == [QUARTER_NS]
    assert Span(0, 1_500_000_000).seconds == 1.5
    with pytest.raises(AssertionError):
        Span(2, 1)


def test_a_cube_of_figures_is_found_again_by_node_and_field() -> None:
    cube = np.arange(12, dtype=np.float64).reshape(2, 3, 2)
    block = dense_block("p", MINUTE, ("a", "b"), ("n1", "n2"), np.arange(3) * MINUTE_NS, cube, 4)
    start, value = block.column("n2", "a")
    assert start.tolist() == [0, MINUTE_NS, 2 * MINUTE_NS]
    assert value.tolist() == cube[1, :, 0].tolist()
    assert len(block.column("n3", "a")[0]) == len(block.column("n1", "c")[1]) == 0


def test_a_column_is_in_order_and_without_rows_that_are_not_valid() -> None:
    block = DerivedBlock(
        "p",
        MINUTE,
        ("a",),
        ("n",),
        np.zeros(3, np.int32),
        np.array([2, 0, 1]) * MINUTE_NS,
        np.array([[2.0], [0.0], [1.0]]),
        np.ones(3, np.int64),
        np.array([True, True, False]),
    )
    assert block.column("n", "a")[1].tolist() == [0.0, 2.0]


def test_an_empty_series_has_the_types_of_a_full_one() -> None:
    empty = Series.empty()
    assert (len(empty), empty.t_ns.dtype, empty.value.dtype, empty.quality.dtype) == (0, np.int64, np.float64, np.int16)


def test_mirrors_point_at_each_other_and_share_unit_and_kind() -> None:
    mirrored = [q for q in QUANTITIES.values() if q.mirror]
    assert len(mirrored) >= 6
    for quantity in mirrored:
        other = QUANTITIES[quantity.mirror]
        assert (other.mirror, other.unit, other.kind) == (quantity.name, quantity.unit, quantity.kind)
        assert not quantity.directional  # a register is swapped, a power is flipped, never both


def test_every_quantity_has_a_unit_that_values_can_be_given_in_and_both_languages() -> None:
    assert {q.unit for q in QUANTITIES.values()} <= {unit for unit, _ in UNITS.values()}
    assert all(q.en and q.zh for q in QUANTITIES.values())
    assert {q.kind for q in QUANTITIES.values()} == set(Kind)


@pytest.mark.parametrize(
    ("quantity", "unit", "factor"),
    [
        ("active_power", "MW", 1e3),
        ("energy_import", "Wh", 1e-3),
        ("dc_current", "A", 1e-3),
        ("current", "kA", 1e3),
        ("metal_tapped", "t", 1e3),
    ],
)
def test_factors_to_the_canonical_unit(quantity: str, unit: str, factor: float) -> None:
    assert factor_to_canonical(quantity, unit) == factor


@pytest.mark.parametrize(
    ("quantity", "unit"), [("active_power", "kWh"), ("energy_import", "kvarh"), ("frequency", "furlong"), ("dc_charge", "A")]
)
def test_a_unit_of_another_dimension_is_refused_with_those_allowed(quantity: str, unit: str) -> None:
    with pytest.raises(ValueError, match=f"unit '{unit}' does not fit {quantity}; allowed: .*{QUANTITIES[quantity].unit}"):
        factor_to_canonical(quantity, unit)


def test_a_figure_names_an_indicator_of_the_table() -> None:
    assert Figure("specific_energy_e1", 13_000.0, 12_990.0, 13_010.0, 1.0, 1.0).status == {}
    with pytest.raises(AssertionError):
        Figure("energy", None, None, None, 0.0, 0.0)
    assert all(row.en and row.zh and row.unit and row.suffix for row in INDICATORS.values())
