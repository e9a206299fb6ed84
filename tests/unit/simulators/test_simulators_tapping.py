"""Taps: each pot every 24 to 32 h, ids of their own that never change, masses a ladle can hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from plant.series import Span
from simulators.smelter import SmelterModel
from simulators.tapping import Tapping

T0 = 1_793_404_800_000_000_000
DAY = 86_400 * 10**9


def test_ids_are_unique_and_stable(model: SmelterModel) -> None:
    tapping = Tapping(model, model.parameters.lines[0])
    week = tapping.taps(Span(T0, T0 + 7 * DAY))
    again = Tapping(SmelterModel(11, T0), model.parameters.lines[0]).taps(Span(T0, T0 + 7 * DAY))
    other = Tapping(SmelterModel(12, T0), model.parameters.lines[0]).taps(Span(T0, T0 + 7 * DAY))
    assert len(set(week.event_ids)) == len(week)
    assert week.event_ids == again.event_ids
    assert not set(week.event_ids) & set(other.event_ids)
    second_line = Tapping(model, model.parameters.lines[1]).taps(Span(T0, T0 + 7 * DAY))
    assert not set(week.event_ids) & set(second_line.event_ids)


def test_a_span_in_parts_gives_the_same_taps(model: SmelterModel) -> None:
    tapping = Tapping(model, model.parameters.lines[1])
    whole = tapping.taps(Span(T0, T0 + 2 * DAY))
    edges = [T0, T0 + 3, int(whole.t_ns[40]), T0 + DAY, T0 + 2 * DAY]
    parts = [tapping.taps(Span(a, b)) for a, b in pairwise(edges)]
    assert sum((part.event_ids for part in parts), ()) == whole.event_ids
    np.testing.assert_array_equal(np.concatenate([part.weighed_kg for part in parts]), whole.weighed_kg)
    assert np.all(np.diff(whole.t_ns) > 0)


def test_every_pot_is_tapped_once_in_24_to_32_hours(model: SmelterModel) -> None:
    line = model.parameters.lines[0]
    taps = Tapping(model, line).taps(Span(T0, T0 + 6 * DAY))
    assert set(taps.pot.tolist()) == set(range(1, line.pots + 1))
    for pot in range(1, line.pots + 1):
        hours = np.diff(taps.t_ns[taps.pot == pot]) / 3.6e12
        assert np.all(hours > 23.99)
        assert np.median(hours) < 32.01
    assert 0.0 < np.max(np.abs(taps.weighed_kg / taps.true_kg - 1.0)) < 0.005
    assert taps.weighed_kg.max() < 4_000.0


def test_no_metal_is_lost_where_a_pot_is_out_for_days(model: SmelterModel) -> None:
    span = Span(T0, T0 + 60 * DAY)
    for line in model.parameters.lines:
        tapping = Tapping(model, line)
        taps = tapping.taps(span)
        integrals = model.integrals(np.array([span.start_ns, span.end_ns], np.int64))[0][f"production-{line.number}"]
        stock = tapping.metal_in_pots_kg(span.end_ns) - tapping.metal_in_pots_kg(span.start_ns)
        assert taps.true_kg.sum() + stock == pytest.approx(integrals[1] - integrals[0], abs=1.0)
        assert taps.true_kg.min() >= 500.0
        out = [np.diff(taps.t_ns[taps.pot == pot]).max() / DAY for pot in range(1, line.pots + 1)]
        assert max(out) > 2.0  # the span holds a pot that was not worth a ladle for days
