"""The shipped polling loop on a simulated line and clock: a dead meter costs the living no poll and little time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.polled import Known, PolledMeter, Reading, Station
from collector.poller import Poller
from collector.schedule import first_turn
from devices.catalog import shipped_profiles
from devices.dialogue import Introduction, MeterAddress
from devices.maps import Profile
from plant.errors import DeviceSilent, TransportError
from plant.ports import Health
from plant.site import Endpoint, Meter

PROFILE = shipped_profiles()["sim_rectifier_dc_meter"]
START_NS = 1_795_000_000_000_000_000
WHOLE = Introduction((), np.zeros(len(PROFILE.quantities), bool), ())


class SimulationOver(BaseException):
    """The clock has reached its end."""


@dataclass
class SimulatedClock:
    """Time that passes only by sleeping and by answers."""

    end_ns: int
    t_ns: int = START_NS

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        self.t_ns += round(seconds * 1e9)
        if self.t_ns > self.end_ns:
            raise SimulationOver


@dataclass
class SimulatedLine:
    """Answers take ``answer_s``; units in ``dead`` cost the time-out, one in ``breaking`` costs the line.

    ``odd`` ones give answers that nobody thought of, ``half`` ones are silent at every question but the first. After so many
    answers the line falls silent until it is opened anew.
    """

    clock: SimulatedClock
    answer_s: float
    dead: frozenset[int]
    breaking: frozenset[int] = frozenset()
    odd: frozenset[int] = frozenset()
    mute_after: int = 1_000_000_000
    half: frozenset[int] = frozenset()
    dead_until_s: float = 1e9
    counters: dict[str, int] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    connects: int = 0
    answers: int = 0
    since_connect: int = 0
    is_numbered: bool = True

    def wait_s(self, station: Station) -> float:
        return 0.0

    async def connect(self) -> None:
        self.connects += 1
        self.since_connect = 0

    def close(self) -> None:
        pass

    async def ask(self, request: Any, station: Station, timeout_s: float | None = None) -> str:
        self.asked[station.unit] += 1
        if station.unit in self.breaking:
            raise TransportError("the line is gone")
        is_mute = self.since_connect >= self.mute_after and self.connects == 1
        is_off = station.unit in self.dead and self.clock.t_ns < START_NS + self.dead_until_s * 1e9
        if is_mute or is_off or (station.unit in self.half and request not in ("question 0", "how much")):
            self.clock.pass_by(1.0 if timeout_s is None else timeout_s)
            raise DeviceSilent("m", "unit", expected="an answer", got="none", next_step="wait")
        self.clock.pass_by(self.answer_s)
        self.answers += 1
        self.since_connect += 1
        return "odd" if station.unit in self.odd else "answer"


class OneQuestion:
    """A dialect whose introduction is so many requests, of which silence ends none but the first, and whose poll is one.

    An answer that cannot be is more than it expects.
    """

    def __init__(self, questions: int = 1) -> None:
        self._questions = questions
        self.introductions: dict[str, int] = defaultdict(int)

    def introduce(self, profile: Profile, address: MeterAddress) -> Generator[str, str, Known]:
        self.introductions[address.meter] += 1
        for number in range(self._questions):
            try:
                answer = yield f"question {number}"
            except DeviceSilent:
                if not number:
                    raise
            else:
                if answer != "answer":
                    raise ValueError("a fault in the dialogue")
        return WHOLE

    def poll(self, profile: Profile, address: MeterAddress, known: Known) -> Generator[str, str, str]:
        return (yield "how much")

    def decode(self, profile: Profile, raw: Sequence[Any]) -> NoReturn:
        raise AssertionError("nothing is decoded here")

    def refusals(self, profile: Profile, known: Known) -> str:
        return ""


@dataclass
class Taken:
    """A gatherer that keeps the instants by meter."""

    t_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    async def put(self, reading: Reading) -> None:
        self.t_ns[reading.device.meter.id].append(reading.t_ns)


class Board:
    """A health board that keeps the last of each part."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[str, str, dict[str, float]]] = {}
        self.failed: dict[tuple[str, str], float] = defaultdict(float)
        self.states: dict[str, set[str]] = defaultdict(set)

    def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
        self.states[part].add(state)
        self.parts[part] = (state, detail, numbers)

    def all(self) -> list[Health]:
        return []

    def count(self, name: str, labels: dict[str, str], by: float = 1.0) -> None:
        if name == "polls_failed":
            self.failed[labels["meter"], labels["reason"]] += by

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {}


def simulate(
    units: Sequence[int],
    seconds: float,
    answer_s: float,
    dialect: OneQuestion | None = None,
    interval_s: float = 1.0,
    **line: Any,
) -> tuple[Taken, SimulatedLine, Board]:
    """Poll so many units of one endpoint once an interval."""
    dialect = dialect or OneQuestion()
    clock = SimulatedClock(START_NS + round(seconds * 1e9))
    wire = SimulatedLine(clock, answer_s, **({"dead": frozenset()} | line))
    meters = [Meter(f"m{u}", PROFILE.id, "e", unit=u, poll_interval_s=interval_s) for u in units]
    devices = [PolledMeter(meter, PROFILE, f"unit {meter.unit}", dialect) for meter in meters]
    taken, board = Taken(), Board()
    endpoint = Endpoint("e", "modbus_tcp", "h", 502)
    poller = Poller(endpoint, wire, devices, gatherer=taken, clock=clock, health=board)  # type: ignore[arg-type]
    try:
        asyncio.run(poller.run())
    except SimulationOver:
        return taken, wire, board
    raise AssertionError("a poller ends only when it is made to")


def lags_ms(taken: Taken, units: Sequence[int], from_s: float) -> list[float]:
    """How long after the last instant of its own grid each reading came, once all have settled."""
    phases = {unit: first_turn(f"m{unit}", 1.0, START_NS).due_ns for unit in units}
    return [(t - phases[u]) % 1_000_000_000 / 1e6 for u in units for t in taken.t_ns[f"m{u}"] if t > START_NS + from_s * 1e9]


@given(st.integers(5, 40), st.data())
@settings(max_examples=25, deadline=None)
def test_the_living_miss_next_to_nothing_for_the_dead(units: int, data: st.DataObject) -> None:
    names = list(range(1, units + 1))
    dead = frozenset(data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=max(1, units // 5), unique=True)))
    living = [unit for unit in names if unit not in dead]
    taken, line, board = simulate(names, 600.0, 0.01, dead=dead)
    for unit in living:
        # only a whole time-out, as long as an interval here, passes over a turn: three at first and a few later
        assert len(taken.t_ns[f"m{unit}"]) >= 598 - 4 * len(dead)
    for unit in dead:
        assert not taken.t_ns[f"m{unit}"]
        assert 8 <= line.asked[unit] <= 20, "asked rarely, but asked"
        assert board.parts[f"meter:m{unit}"][0] == "down"
    assert line.connects == 1


def test_five_per_cent_dead_leave_the_lag_of_the_living_as_it_was() -> None:
    units = list(range(1, 41))
    dead = frozenset((7, 23))
    living = [unit for unit in units if unit not in dead]
    with_them, line, board = simulate(units, 1_800.0, 0.005, dead=dead)
    without, _, _ = simulate(living, 1_800.0, 0.005)
    p99 = float(np.percentile(lags_ms(with_them, living, 60.0), 99))
    p99_without = float(np.percentile(lags_ms(without, living, 60.0), 99))
    assert p99 <= 1.2 * p99_without
    numbers = board.parts["endpoint:e"][2]
    assert 0 <= numbers["lag_p50_ms"] <= numbers["lag_p99_ms"] <= numbers["lag_max_ms"]
    assert line.asked[7] >= 1_800 / 75


@given(st.integers(2, 12))
@settings(max_examples=10, deadline=None)
def test_a_meter_that_breaks_the_line_lets_the_others_have_their_turns(units: int) -> None:
    names = list(range(1, units + 1))
    taken, line, board = simulate(names, 600.0, 0.01, breaking=frozenset([1]))
    assert line.connects >= 5
    for unit in names[1:]:
        assert len(taken.t_ns[f"m{unit}"]) >= 400
    assert board.parts["endpoint:e"][2]["reconnects"] >= 4
    assert board.failed["m1", "TransportError"] >= 5


@given(st.integers(1, 12), st.sampled_from([1.0, 30.0]))
@settings(max_examples=10, deadline=None)
def test_dead_neighbours_never_cost_the_living_their_line(dead: int, interval_s: float) -> None:
    names = list(range(1, dead + 2))
    taken, line, board = simulate(names, 900.0, 0.01, interval_s=interval_s, dead=frozenset(names[1:]))
    assert line.connects == 1
    assert board.states["endpoint:e"] == {"ok"}
    assert len(taken.t_ns["m1"]) >= 900 / interval_s * 0.9


def test_an_introduction_full_of_silences_costs_a_neighbour_one_time_out_at_most() -> None:
    taken, line, _ = simulate([1, 2], 120.0, 0.01, OneQuestion(12), half=frozenset([2]))
    gaps_ns = np.diff(taken.t_ns["m1"])
    assert gaps_ns.max() <= 2.1e9, "an interval of a second and a time-out of a second"
    assert len(taken.t_ns["m2"]) >= 60
    assert line.connects == 1


def test_an_introduction_full_of_silences_never_costs_the_line_of_the_only_meter() -> None:
    taken, line, _ = simulate([1], 120.0, 0.01, OneQuestion(40), half=frozenset([1]))
    assert line.connects == 1
    assert taken.t_ns["m1"]


def test_a_line_that_falls_silent_is_opened_anew_and_its_meters_are_still_known() -> None:
    dialect = OneQuestion()
    taken, line, board = simulate(range(1, 9), 120.0, 0.01, dialect, mute_after=100)
    assert line.connects == 2
    assert "down" in board.states["endpoint:e"]
    assert all(taken.t_ns[f"m{unit}"][-1] > START_NS + 110e9 for unit in range(1, 9))
    assert sum(dialect.introductions.values()) == 8


def test_a_line_on_which_nobody_answers_at_all_is_opened_anew() -> None:
    _, line, board = simulate([1, 2], 300.0, 0.01, dead=frozenset([1, 2]))
    assert line.connects >= 2
    assert board.states["endpoint:e"] == {"down"}


def test_an_error_that_nobody_thought_of_is_its_meters_alone(caplog: pytest.LogCaptureFixture) -> None:
    taken, line, board = simulate([1, 2], 60.0, 0.01, odd=frozenset([2]))
    assert len(taken.t_ns["m1"]) >= 55
    assert not taken.t_ns["m2"]
    assert line.connects == 1
    state, detail, _ = board.parts["meter:m2"]
    assert (state, detail) == ("down", "m2 at unit 2: ValueError: a fault in the dialogue; please report it")
    assert board.failed["m2", "ValueError"] >= 3
    assert "meter m2 failed in a way that nobody thought of" in caplog.text


def test_a_meter_that_comes_back_is_met_once_and_read_again() -> None:
    dialect = OneQuestion(3)
    taken, _, board = simulate([1, 2], 300.0, 0.01, dialect, dead=frozenset([2]), dead_until_s=100.0)
    assert taken.t_ns["m2"][0] < START_NS + 200e9
    assert len(taken.t_ns["m2"]) >= 99
    assert dialect.introductions["m2"] == board.failed["m2", "DeviceSilent"] + 1
