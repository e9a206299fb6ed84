"""The simulated pots of a line: their voltages, effects and states fit the line's own truth."""

from __future__ import annotations

import json

import numpy as np
import pytest

from devices.catalog import shipped_profiles
from devices.payload import samples
from plant.series import Span
from plant.site import PotState
from simulators.lattice import day_of, day_start_ns
from simulators.noise import NS_PER_S
from simulators.pots import PotFeed, effect_publications, pot_publications
from simulators.smelter import EPOCH_NS, SmelterModel

DAY = 86_400 * NS_PER_S
MODEL = SmelterModel(3)
LINE = MODEL.parameters.lines[0]
FEED = PotFeed(MODEL, LINE)


def seconds(start_ns: int, count: int) -> np.ndarray:
    return start_ns + np.arange(count, dtype=np.int64) * NS_PER_S


def test_the_mean_of_the_pots_is_the_lines() -> None:
    t_ns = seconds(EPOCH_NS, 600)
    volts, states = FEED.voltages(t_ns), FEED.states(t_ns)
    assert volts.shape == states.shape == (600, FEED.pots)
    running = np.where(states == PotState.RUNNING, volts, np.nan)
    quiet = MODEL.state(t_ns)[f"effects-{LINE.number}"] == 0
    assert quiet.any()
    line_v = MODEL.state(t_ns)[f"voltage-{LINE.number}"][quiet]
    assert np.abs(np.nanmean(running, axis=1)[quiet] - line_v).max() < 0.01
    assert 0.01 < np.nanstd(running) < 0.2


def test_an_effect_creeps_jumps_and_falls_back() -> None:
    effect = FEED.ended_effects(Span(EPOCH_NS, EPOCH_NS + DAY))[0]
    t_ns = seconds(effect.start_ns - 900 * NS_PER_S, 900 + effect.duration_s + 900)
    volts = FEED.voltages(t_ns)[:, effect.pot - 1]
    during = volts[900 : 900 + effect.duration_s]
    assert (volts > 8.0).sum() == pytest.approx(effect.duration_s, abs=2)
    assert during.max() == pytest.approx(effect.peak_v, abs=0.2)
    assert volts[880:900].mean() > volts[:100].mean() + 0.2, "it announces itself"
    assert volts[-60:].max() < 4.3, "it is over"
    others = np.delete(FEED.voltages(t_ns), effect.pot - 1, axis=1)
    assert np.median(others) < 4.2


def test_effects_are_told_once_and_in_whatever_pieces_they_are_asked_for() -> None:
    whole = FEED.ended_effects(Span(EPOCH_NS, EPOCH_NS + 3 * DAY))
    pieces = [e for d in range(12) for e in FEED.ended_effects(Span(EPOCH_NS + d * DAY // 4, EPOCH_NS + (d + 1) * DAY // 4))]
    assert whole == pieces
    assert len(whole) == len({e.id for e in whole}) > 20
    assert all(15.0 <= e.peak_v <= 40.0 and e.duration_s >= 30 for e in whole)


def test_a_pot_that_comes_back_is_heated_and_started() -> None:
    hours = EPOCH_NS + np.arange(0, 60 * 24, dtype=np.int64) * 3600 * NS_PER_S
    states = FEED.states(hours)
    assert set(np.unique(states)) == {PotState.PREHEATING, PotState.STARTING, PotState.RUNNING, PotState.BYPASSED}
    row, pot = np.argwhere(states == PotState.BYPASSED)[0]
    back = int(np.argmax(states[row:, pot] == PotState.RUNNING)) + row
    path = [int(s) for s, before in zip(states[row:back, pot], [0, *states[row : back - 1, pot]], strict=True) if s != before]
    assert path == [PotState.BYPASSED, PotState.PREHEATING, PotState.STARTING]
    assert hours[back] == day_start_ns(int(day_of(hours[back : back + 1])[0]))
    assert FEED.voltages(hours[row : row + 1])[0, pot] < 0.2


def test_messages_are_those_of_the_profiles() -> None:
    profiles = shipped_profiles()
    pot, effects = profiles["sim_pot"].mqtt, profiles["sim_anode_effects"].mqtt
    assert pot is not None and effects is not None
    sent = pot_publications(FEED, "pots/{}".format, Span(EPOCH_NS, EPOCH_NS + 3 * NS_PER_S))
    assert len(sent) == 3 * FEED.pots
    assert [p.topic for p in sent[:2]] == ["pots/1", "pots/2"]
    [sample] = samples(pot, json.loads(sent[0].payload))
    assert (sample.t_ns, sample.sequence) == (EPOCH_NS, EPOCH_NS // NS_PER_S)
    assert sample.raw[0] == pytest.approx(1e3 * FEED.voltages(np.array([EPOCH_NS]))[0, 0], abs=0.5)
    told = effect_publications(FEED, "effects", Span(EPOCH_NS, EPOCH_NS + DAY))
    assert told
    [event] = samples(effects, json.loads(told[0].payload))
    assert event.event_id and event.t_ns is not None
    assert told[0].t_ns == event.t_ns + round(event.raw[0]) * NS_PER_S
