"""SunSpec discovery and the dialogue with a meter, played against tables of registers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

import numpy as np
import pytest

from devices.catalog import shipped_profiles
from devices.codec import decode, encode
from devices.dialogue import Answer, MeterAddress, Refused, introduce, poll
from devices.image import base_address, fixed_words, plan_addresses
from devices.maps import Profile, Table
from devices.plan import ReadRequest
from devices.sunspec import END_MODEL, MARKER, MODELS_MAX, Chain, FoundModel, walk_models
from plant.errors import DeviceNonsense, DeviceRefused, DeviceSilent

PROFILES = shipped_profiles()
INVERTER = PROFILES["sunspec_inverter_103"]
METER = MeterAddress("meter-1", "10.0.0.5:502 unit 3")
T = TypeVar("T")
Registers = dict[tuple[Table, int], int]


def play(dialogue: Generator[ReadRequest, Answer, T], registers: Registers, asked: list[ReadRequest] | None = None) -> T:
    """Answer from a table of registers, exception 2 for any that is not there."""
    try:
        request = next(dialogue)
        while True:
            if asked is not None:
                asked.append(request)
            wanted = [(request.table, a) for a in range(request.address, request.end)]
            found = all(key in registers for key in wanted)
            request = dialogue.send([registers[key] for key in wanted] if found else Refused(2))
    except StopIteration as end:
        result: T = end.value
        return result


def served(profile: Profile, values: dict[str, float]) -> Registers:
    row = encode(profile, np.array([[values.get(q, np.nan) for q in profile.quantities]]))[0]
    return fixed_words(profile) | {key: int(w) for key, w in zip(plan_addresses(profile), row, strict=True)}


def walk(registers: dict[int, int]) -> Chain:
    search = walk_models()
    request = next(search)
    try:
        while True:
            words = [registers.get(a) for a in range(request.address, request.end)]
            request = search.send(None if None in words else [w for w in words if w is not None])
    except StopIteration as end:
        result: Chain = end.value
        return result


def chain(start: int, models: Sequence[tuple[int, int]]) -> dict[int, int]:
    registers = {start: MARKER[0], start + 1: MARKER[1]}
    address = start + 2
    for model, length in models:
        registers |= {address: model, address + 1: length}
        address += 2 + length
    return registers | {address: END_MODEL, address + 1: 0}


@pytest.mark.parametrize("start", [40_000, 50_000, 0])
def test_all_models_are_found_at_each_of_the_three_starts(start: int) -> None:
    found = walk(chain(start, [(1, 66), (120, 26), (103, 50)]))
    assert found.models == (FoundModel(1, start + 2, 66), FoundModel(120, start + 70, 26), FoundModel(103, start + 98, 50))
    assert found.in_words == "a list of models 1, 120, 103"


def test_common_models_of_65_words_shift_what_follows() -> None:
    assert walk(chain(40_000, [(1, 65), (103, 50)])).find([103]) == FoundModel(103, 40_069, 50)


def test_a_model_that_stands_there_twice_is_told_by_its_number() -> None:
    found = walk(chain(40_000, [(1, 66), (203, 105), (1, 66), (203, 105)]))
    assert [m and m.base_address for m in (found.find([201, 203]), found.find([201, 203], 2), found.find([203], 3))] == [
        40_070,
        40_245,
        None,
    ]


def test_no_marker_and_no_such_model_are_told_apart() -> None:
    assert walk({}) == Chain((), "no SunSpec marker at 40000, 50000, 0")
    assert walk(chain(0, [(1, 66), (101, 50)])).find([103]) is None


def test_a_broken_list_keeps_what_stands_before_the_break() -> None:
    registers = chain(40_000, [(1, 66), (103, 50), (120, 26)])
    del registers[40_122]
    found = walk(registers)
    assert found.find([103]) == FoundModel(103, 40_070, 50)
    assert found.trouble == "the list breaks off at 40122 after models 1, 103"


def test_a_list_without_an_end_is_left() -> None:
    outcome = walk({a: 7 if a % 2 == 0 else 0 for a in range(65_536)} | {40_000: MARKER[0], 40_001: MARKER[1]})
    assert len(outcome.models) == MODELS_MAX
    assert outcome.in_words.startswith("a list without an end")


@pytest.mark.parametrize("beyond", [1, 100, 40_000])
def test_a_list_never_leads_beyond_the_last_register(beyond: int) -> None:
    length = 65_536 - 40_072 + beyond
    found = walk(chain(40_000, [(1, 66), (103, length)]))
    assert found.find([103]) is None, "it cannot be read whole"
    assert found.in_words == f"model 103 at 40070 with {length} words, beyond the last register, after 1"


def test_a_list_may_end_with_the_last_register() -> None:
    found = walk(chain(40_000, [(1, 66), (103, 65_536 - 40_072)]))
    assert found.find([103]) == FoundModel(103, 40_070, 65_536 - 40_072)


def test_introduction_and_poll_of_a_sunspec_device() -> None:
    registers = served(INVERTER, {"active_power": 12.5, "energy_import": 77.16})
    known = play(introduce(INVERTER, METER), registers)
    assert not known.absent.any()
    assert known.requests[0][0].address == base_address(INVERTER) + 2
    value, _ = decode(INVERTER, play(poll(METER, INVERTER, known), registers)[None])
    assert dict(zip(INVERTER.quantities, value[0].tolist(), strict=True))["active_power"] == 12.5


def test_a_model_that_is_too_short_is_not_believed() -> None:
    registers = served(INVERTER, {"active_power": 12.5})
    registers["holding", base_address(INVERTER) + 1] = 48
    with pytest.raises(DeviceNonsense, match="expected SunSpec model 103 of 50 words, got that model with 48 words"):
        play(introduce(INVERTER, METER), registers)


def test_a_device_without_sunspec_is_nonsense_with_a_next_step() -> None:
    with pytest.raises(DeviceNonsense, match=r"meter-1 at 10\.0\.0\.5:502 unit 3.*no SunSpec marker.*choose the profile"):
        play(introduce(INVERTER, METER), {})


@pytest.mark.parametrize("profile", [p for p in PROFILES.values() if p.modbus and p.modbus.identity], ids=lambda p: p.id)
def test_the_wrong_identity_stops_the_introduction_before_anything_is_read(profile: Profile) -> None:
    registers = served(profile, dict.fromkeys(profile.quantities, 1.0))
    assert profile.modbus is not None and profile.modbus.identity is not None
    registers[profile.modbus.identity.table, profile.modbus.identity.address] ^= 1
    asked: list[ReadRequest] = []
    with pytest.raises(DeviceNonsense, match="expected identity"):
        play(introduce(profile, METER), registers, asked)
    assert len(asked) == 1


def test_refused_registers_are_holes_and_each_request_is_halved_only_once() -> None:
    profile = PROFILES["sim_ac_meter"]
    values = dict.fromkeys(profile.quantities, 50.0) | {"power_factor": 0.5}
    registers = served(profile, values)
    for address in (18, 19, 24, 25, 26, 27):
        del registers["input", address]
    asked: list[ReadRequest] = []
    known = play(introduce(profile, METER), registers, asked)
    assert [(h.address, h.count) for h in known.holes] == [(18, 2), (24, 4)]
    assert len(asked) == len(set(asked))
    missing = [q for q, absent in zip(profile.quantities, known.absent, strict=True) if absent]
    assert missing == ["power_factor", "energy_import"]
    value, _ = decode(profile, play(poll(METER, profile, known), registers)[None])
    for quantity, number in zip(profile.quantities, value[0], strict=True):
        assert quantity in missing or number == pytest.approx(values[quantity])


def test_refusing_everything_is_refused() -> None:
    profile = PROFILES["sim_bess"]
    with pytest.raises(DeviceRefused, match=r"exception 2 \(illegal data address\)"):
        play(introduce(profile, METER), fixed_words(profile))


def test_a_busy_device_is_not_taken_for_one_with_holes() -> None:
    profile = PROFILES["sim_bess"]
    dialogue = introduce(profile, METER)
    next(dialogue)
    dialogue.send([20567, 4])
    with pytest.raises(DeviceSilent, match=r"exception 6 \(server device busy\); it is asked again") as caught:
        dialogue.send(Refused(6))
    assert caught.value.transient


def test_what_is_refused_in_a_poll_is_an_error_for_that_poll() -> None:
    profile = PROFILES["sim_bess"]
    registers = served(profile, dict.fromkeys(profile.quantities, 1.0))
    known = play(introduce(profile, METER), registers)
    with pytest.raises(DeviceRefused):
        play(poll(METER, profile, known), {})
