"""Policy ``thin`` by itself: what of a meter's Frames stays, and that nothing is compared that does not belong together."""

from __future__ import annotations

import numpy as np
import pytest
from collector_blocks import MS, T0_NS, block

from collector.spool_thin import SLOTS_S, Thinned, Thinner, slot_s
from plant.frame import FrameBlock

S = 1000 * MS
BOTH = ("active_power", "energy_import")
STATE = ("active_power", "pots_running")


def frames(quantities: tuple[str, ...], *rows: tuple[float, ...], meter: str = "m-1") -> FrameBlock:
    """Each row: seconds since T0, which begins a minute, and a value of each quantity."""
    t_ns = np.array([T0_NS - T0_NS % (60 * S) + round(row[0] * S) for row in rows], np.int64)
    value = np.array([row[1:] for row in rows], np.float64)
    return FrameBlock(
        "smelter", "meter", quantities, (meter,), np.zeros(len(rows), np.int32), t_ns, value, np.zeros(value.shape, np.int16)
    )


def kept_s(thinned: Thinned, quantity: str = "") -> list[float]:
    """Seconds since T0 of what is kept, in order; with a quantity only where it has a value."""
    start = T0_NS - T0_NS % (60 * S)
    found: list[float] = []
    for b in thinned.kept:
        known = np.ones(len(b), np.bool_)
        if quantity:
            known = ~np.isnan(b.value[:, b.quantities.index(quantity)]) if quantity in b.quantities else ~known
        found += [(int(t) - start) / S for t in b.t_ns[known]]
    return found


def thin(thinner: Thinner, width_s: int, *blocks: FrameBlock) -> Thinned:
    found = thinner.thin(blocks, width_s)
    thinner.accept(found)
    return found


def test_of_a_slot_the_first_frame_is_kept_and_the_rest_is_told() -> None:
    found = thin(Thinner(), 10, frames(BOTH, *((n, 5.0, n) for n in range(30))))
    assert kept_s(found) == [0, 10, 20]
    (left,) = found.left
    assert (left.frames, left.last_t_ns - left.first_t_ns) == (27, 28 * S)


def test_power_and_counter_in_frames_of_their_own_keep_both() -> None:
    thinner = Thinner()
    kept: dict[str, list[float]] = {"active_power": [], "energy_import": []}
    for n in range(0, 120, 2):
        found = thin(thinner, 60, frames(("active_power",), (n, 5.0)), frames(("energy_import",), (n + 1, n)))
        for quantity in kept:
            kept[quantity] += kept_s(found, quantity)
    assert kept == {"active_power": [0, 60], "energy_import": [1, 61]}


def test_partial_frames_of_one_layout_keep_both() -> None:
    rows = [(float(n), np.nan, n) if n % 10 == 5 else (float(n), 5.0, np.nan) for n in range(120)]
    found = thin(Thinner(), 60, frames(BOTH, *rows))
    assert kept_s(found, "energy_import") == [5, 65]
    assert kept_s(found, "active_power") == [0, 60]


def test_counters_of_other_columns_are_never_compared() -> None:
    imported, exported = ("energy_import",), ("energy_export",)
    rows = [frames(imported, (0, 9000)), frames(exported, (1, 3)), frames(imported, (2, 9000)), frames(exported, (3, 3))]
    assert kept_s(thin(Thinner(), 60, *rows)) == [0, 1], "3 kWh exported are no fall of 9000 kWh imported"


@pytest.mark.parametrize("calls", ["one", "each its own"])
def test_register_that_falls_keeps_what_it_showed_last(calls: str) -> None:
    rows = [(0.0, 5.0, 100.0), (1.0, 5.0, 101.0), (2.0, 5.0, 102.0), (3.0, 5.0, 0.0), (4.0, 5.0, 1.0)]
    thinner = Thinner()
    blocks = [frames(BOTH, *rows)] if calls == "one" else [frames(BOTH, row) for row in rows]
    assert [t for b in blocks for t in kept_s(thin(thinner, 60, b))] == [0, 2, 3]


def test_register_that_falls_keeps_its_own_last_value_behind_frames_without_it() -> None:
    rows = [(0.0, 5.0, 100.0), (1.0, np.nan, 101.0), (2.0, 5.0, np.nan), (3.0, np.nan, 0.0)]
    thinner = Thinner()
    kept = [t for row in rows for t in kept_s(thin(thinner, 60, frames(BOTH, row)), "energy_import")]
    assert kept == [0, 1, 3]


def test_silence_keeps_the_readings_on_both_sides_of_it() -> None:
    thinner = Thinner()
    thin(thinner, 10, frames(BOTH, *((n, 5.0, n) for n in range(8))))
    assert kept_s(thin(thinner, 10, frames(BOTH, (40, 5.0, 8), (41, 5.0, 8)))) == [7, 40]


def test_change_of_state_is_kept() -> None:
    found = thin(Thinner(), 60, frames(STATE, (0, 5.0, 280), (1, 5.0, 280), (2, 5.0, 279), (3, 5.0, 279)))
    assert kept_s(found) == [0, 2]


def test_events_amounts_and_late_readings_are_kept_whole() -> None:
    thinner = Thinner()
    events = block(5, event_ids=tuple("abcde"))
    amounts = frames(("interval_energy_import",), *((n, 1.0) for n in range(5)))
    found = thin(thinner, 60, events, amounts)
    assert found.kept == [events, amounts]
    assert not found.left
    thin(thinner, 60, frames(BOTH, (30, 5.0, 1)))
    assert kept_s(thin(thinner, 60, frames(BOTH, (10, 5.0, 1), (11, 5.0, 1)))) == [10, 11]


def test_what_is_held_back_comes_once_there_is_room_and_only_once() -> None:
    thinner = Thinner()
    thin(thinner, 60, frames(BOTH, (0, 5.0, 1), (1, 5.0, 2), (2, np.nan, 3), (3, 5.0, np.nan)))
    assert kept_s(thin(thinner, 0)) == [2, 3]
    assert kept_s(thin(thinner, 0)) == []


def test_frame_that_is_kept_for_one_quantity_does_not_come_again_for_another() -> None:
    thinner = Thinner()
    thin(thinner, 60, frames(BOTH, (0, 5.0, 100), (1, 5.0, 101)))
    assert kept_s(thin(thinner, 60, frames(BOTH, (2, np.nan, 0)))) == [1, 2]
    assert kept_s(thin(thinner, 0)) == []


def test_what_a_full_spool_refused_is_judged_anew() -> None:
    thinner = Thinner()
    thin(thinner, 60, frames(BOTH, (0, 5.0, 1), (1, 5.0, 2)))
    again = frames(BOTH, (61, 5.0, 3), (62, 5.0, 4))
    for _ in range(2):
        assert kept_s(thinner.thin([again], 60)) == [61]
    left_out = frames(BOTH, (2, 5.0, 3))
    thinner.thin([left_out], 60)
    assert kept_s(thin(thinner, 0, left_out)) == [1, 2], "what was held before is still held"


def test_meters_do_not_share_slots() -> None:
    assert kept_s(thin(Thinner(), 60, frames(BOTH, (0, 5.0, 1)), frames(BOTH, (1, 5.0, 2), meter="m-2"))) == [0, 1]


def test_slots_grow_with_the_filling_and_divide_a_minute() -> None:
    assert [slot_s(share) for share in (0.0, 0.49, 0.5, 0.65, 0.75, 0.85, 0.95)] == [0, 0, 2, 5, 10, 30, 60]
    assert all(60 % seconds == 0 for _, seconds in SLOTS_S)
