"""SunSpec devices with several models, and devices that refuse or ignore single registers, played against register tables."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

import numpy as np
import pytest

from devices.catalog import shipped_profiles, sunspec_definition
from devices.codec import decode, encode
from devices.dialogue import SILENCES_MAX, Answer, Introduction, MeterAddress, Refused, introduce, poll
from devices.image import bases, fixed_words, plan_addresses
from devices.maps import REGISTER_TYPES, SECTION_SPAN, Profile, Table
from devices.plan import ReadRequest
from devices.profile import parse_profile
from plant.errors import ConfigError, DeviceNonsense, DeviceRefused, DeviceSilent

PROFILES = shipped_profiles()
INVERTER = PROFILES["sunspec_inverter"]
METER = MeterAddress("pv-1", "10.0.0.5:502 unit 3")
SILENCE = DeviceSilent("pv-1", METER.where, expected="an answer", got="none", next_step="wait")
T = TypeVar("T")
Registers = dict[tuple[Table, int], int]
Reply = Answer | DeviceSilent


def play(dialogue: Generator[ReadRequest, Answer, T], reply: Callable[[ReadRequest], Reply], asked: list[ReadRequest]) -> T:
    """Answer every request; a silence is thrown in, as the collector's driver may do."""
    try:
        request = next(dialogue)
        while True:
            asked.append(request)
            answer = reply(request)
            request = dialogue.throw(answer) if isinstance(answer, DeviceSilent) else dialogue.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


def device(registers: Registers, bad: Reply = Refused(2)) -> Callable[[ReadRequest], Reply]:
    """A device that serves these registers and answers ``bad`` where one of a request is not there."""

    def reply(request: ReadRequest) -> Reply:
        wanted = [(request.table, a) for a in range(request.address, request.end)]
        return [registers[key] for key in wanted] if all(key in registers for key in wanted) else bad

    return reply


def served(profile: Profile, values: dict[str, float], **texts: str) -> Registers:
    row = encode(profile, np.array([[values.get(q, np.nan) for q in profile.quantities]]))[0]
    return fixed_words(profile, **texts) | {key: int(w) for key, w in zip(plan_addresses(profile), row, strict=True)}


def meet(profile: Profile, registers: Registers, meter: MeterAddress = METER, bad: Reply = Refused(2)) -> Introduction:
    return play(introduce(profile, meter), device(registers, bad), [])


def read(profile: Profile, known: Introduction, registers: Registers) -> dict[str, float]:
    value, _ = decode(profile, play(poll(METER, profile, known), device(registers), [])[None])
    return {q: v for q, v, gone in zip(profile.quantities, value[0].tolist(), known.absent, strict=True) if not gone}


def shorter_chain(profile: Profile, registers: Registers, section: int, length: int) -> Registers:
    """The same device with one of its models cut (the last one, or the rest would move)."""
    base = bases(profile)[section]
    kept = {k: w for k, w in registers.items() if k[1] < base + 2 + length}
    kept["holding", base + 1] = length
    return kept | {("holding", base + 2 + length): 0xFFFF, ("holding", base + 3 + length): 0}


def test_a_device_with_two_models_is_read_and_says_what_it_is() -> None:
    values = {"active_power": 12.5, "frequency": 50.0, "mppt_dc_current_1": 8.0, "mppt_dc_power_12": 1.5}
    registers = served(INVERTER, values, maker="Maker", model="M 100", serial="S-1")
    known = meet(INVERTER, registers)
    assert known.description == {"maker": "Maker", "model": "M 100", "firmware": "1", "serial": "S-1"}
    assert not known.notes and not known.holes and not known.absent.any()
    assert all(request.count <= 125 for request, _ in known.requests)
    told = read(INVERTER, known, registers)
    assert {name: told[name] for name in values} == values
    assert np.isnan(told["mppt_dc_current_2"])


@pytest.mark.parametrize("modules", [1, 2, 5, 6, 11])
def test_modules_that_the_device_lacks_are_absent_and_never_asked_for(modules: int) -> None:
    values = {f"mppt_dc_current_{i}": float(i) for i in range(1, 13)}
    registers = shorter_chain(INVERTER, served(INVERTER, values), 1, 8 + 20 * modules)
    known = meet(INVERTER, registers)
    assert not known.holes
    told = read(INVERTER, known, registers)
    assert [name for name in told if name.startswith("mppt_dc_current")] == [
        f"mppt_dc_current_{i}" for i in range(1, modules + 1)
    ]
    assert told[f"mppt_dc_current_{modules}"] == float(modules)


def test_an_optional_model_may_be_missing_and_a_required_one_may_not() -> None:
    registers = served(INVERTER, {"active_power": 3.0})
    base = bases(INVERTER)[1]
    without = {k: w for k, w in registers.items() if k[1] < base} | {("holding", base): 0xFFFF, ("holding", base + 1): 0}
    known = meet(INVERTER, without)
    assert known.notes == ("has no SunSpec model 160",)
    assert read(INVERTER, known, without)["active_power"] == 3.0
    without["holding", bases(INVERTER)[0]] = 111
    with pytest.raises(DeviceNonsense, match="expected SunSpec model 103 or 102 or 101, got a list of models 1, 111"):
        meet(INVERTER, without)


@pytest.mark.parametrize("model", [101, 102, 103])
def test_each_model_of_a_family_is_taken(model: int) -> None:
    registers = served(INVERTER, {"active_power": 3.0})
    registers["holding", bases(INVERTER)[0]] = model
    assert read(INVERTER, meet(INVERTER, registers), registers)["active_power"] == 3.0


def test_a_model_of_an_older_edition_gives_what_it_has() -> None:
    profile = PROFILES["sunspec_inverter_float"]
    registers = shorter_chain(profile, served(profile, {"active_power": 3.0}), 0, 46)  # ends before the operating state
    known = meet(profile, registers)
    assert known.notes[0] == "SunSpec model 113 or 112 or 111 has 46 words of 60"
    told = read(profile, known, registers)
    assert told["active_power"] == 3.0
    assert "operating_state" not in told


def test_scale_factors_that_move_between_the_requests_spoil_the_reading() -> None:
    registers = served(INVERTER, {"mppt_dc_current_12": 4.0})
    known = meet(INVERTER, registers)
    assert [(request.count, request.address) for request, _ in known.guards] == [(4, bases(INVERTER)[1] + 2)]
    moving = ("holding", bases(INVERTER)[1] + 2)
    guard = known.guards[0][0]
    asked: list[ReadRequest] = []

    def once(request: ReadRequest) -> Reply:
        answer = device(registers)(request)
        if request == known.requests[-1][0] and not asked.count(guard):
            registers[moving] ^= 1
        return answer

    words = play(poll(METER, INVERTER, known), once, asked)
    assert asked.count(guard) == 2
    assert words[known.guards[0][1]] == registers[moving]

    def restless(request: ReadRequest) -> Reply:
        registers[moving] = (registers[moving] + 1) % 8
        return device(registers)(request)

    with pytest.raises(DeviceNonsense, match=r"scale factors at holding .* that stay while their values are read"):
        play(poll(METER, INVERTER, known), restless, [])


def test_a_serial_number_other_than_the_sites_is_an_error() -> None:
    registers = served(INVERTER, {"active_power": 3.0}, serial="S-2")
    assert meet(INVERTER, registers, MeterAddress("pv-1", METER.where, "S-2")).description["serial"] == "S-2"
    with pytest.raises(DeviceNonsense, match="expected serial number S-1, got S-2"):
        meet(INVERTER, registers, MeterAddress("pv-1", METER.where, "S-1"))


def made(keys: str, count: int = 16, at: int = 10) -> Profile:
    names = [name for name in PROFILES["sim_ac_meter"].quantities if not name.startswith("energy")][:count]
    units = {p.name: p for p in PROFILES["sim_ac_meter"].points}
    assert set(names) <= set(units)
    from plant.quantities import QUANTITIES

    points = ",\n".join(
        f'{{ name = "{n}", at = {at + 2 * i}, type = "int16", unit = "{QUANTITIES[n].unit}" }}' for i, n in enumerate(names)
    )
    expect = ", ".join(f"{n} = 7" for n in names)
    words = ", ".join(f"{at + 2 * i} = 7" for i in range(len(names)))
    return parse_profile(
        f"""
[profile]
id = "made"
title = "made"
kind = "meter"
source = "this test"
[modbus]
table = "holding"
{keys}
points = [{points}]
[[golden]]
origin = "by hand"
words = {{ {words} }}
expect = {{ {expect} }}
""",
        "made.toml",
    )


DESCRIBED = """identify = { at = 100, words = 8, starts_with = "SUN2000" }
describe = [
  { name = "model", at = 100, words = 8 },
  { name = "serial", at = 120, type = "uint32", word_order = "low_first" },
  { name = "firmware", at = 140, words = 4 },
]"""


def test_texts_identify_and_describe_a_device() -> None:
    profile = made(DESCRIBED)
    registers = served(profile, dict.fromkeys(profile.quantities, 7.0), model="SUN2000-100KTL")
    registers |= {("holding", 120): 0xE240, ("holding", 121): 1}
    assert meet(profile, registers).description == {"model": "SUN2000-100KTL", "serial": "123456"}
    registers["holding", 100] = 0x4142
    with pytest.raises(DeviceNonsense, match="expected identity a text that starts with 'SUN2000' at holding 100, got 'ABN2000"):
        meet(profile, registers)


@pytest.mark.parametrize("bad", [Refused(2), Refused(3), Refused(4), SILENCE], ids=["2", "3", "4", "silence"])
def test_one_bad_register_never_costs_the_others(bad: Reply) -> None:
    profile = made("read = { gap_max = 1 }")
    values = dict.fromkeys(profile.quantities, 7.0)
    registers = served(profile, values)
    del registers["holding", 14]
    known = meet(profile, registers, bad=bad)
    assert [(h.address, h.count) for h in known.holes] == [(14, 1)]
    assert list(read(profile, known, registers)) == [q for i, q in enumerate(profile.quantities) if i != 2]
    assert known.unanswered == (known.holes if bad is SILENCE else ())


@pytest.mark.parametrize("bad", [Refused(4), SILENCE], ids=["4", "silence"])
def test_what_happens_once_is_no_hole(bad: Reply) -> None:
    profile = made("read = { gap_max = 0, span_max = 1 }")
    whole = device(served(profile, dict.fromkeys(profile.quantities, 7.0)))
    troubled = [14]

    def reply(request: ReadRequest) -> Reply:
        return bad if request.address in troubled and troubled.pop() else whole(request)

    known = play(introduce(profile, METER), reply, [])
    assert not troubled
    assert not known.holes
    assert not known.absent.any()


def test_a_dead_device_is_asked_twice_and_no_more() -> None:
    asked: list[ReadRequest] = []
    with pytest.raises(DeviceSilent):
        play(introduce(made("read = { span_max = 4 }"), METER), lambda _: SILENCE, asked)
    assert len(asked) == 2
    asked.clear()
    with pytest.raises(DeviceSilent):
        play(introduce(INVERTER, METER), lambda _: SILENCE, asked)
    assert len(asked) == 2


def test_silences_are_counted_and_end_the_search() -> None:
    profile = made("read = { span_max = 1 }")
    registers = served(profile, dict.fromkeys(profile.quantities, 7.0))
    last = 10 + 2 * (len(profile.quantities) - 1)
    for address in range(12, last):
        registers.pop(("holding", address), None)
    asked: list[ReadRequest] = []
    known = play(introduce(profile, METER), device(registers, SILENCE), asked)
    assert [request.address for request, _ in known.requests] == [10, last]
    wide = made("read = { gap_max = 4, span_max = 24 }")
    asked.clear()
    play(introduce(wide, METER), device(registers, SILENCE), asked)
    silent = [request for request in asked if isinstance(device(registers, SILENCE)(request), DeviceSilent)]
    assert SILENCES_MAX < len(silent) < 2 * SILENCES_MAX


def test_a_table_that_the_device_does_not_know_is_left_out_whole() -> None:
    profile = made("read = { gap_max = 4 }")
    asked: list[ReadRequest] = []
    with pytest.raises(DeviceRefused, match=r"exception 1 \(illegal function\)"):
        play(introduce(profile, METER), lambda _: Refused(1), asked)
    assert len(asked) == 1


def test_a_device_that_fails_at_everything_is_not_asked_for_every_register() -> None:
    asked: list[ReadRequest] = []
    with pytest.raises(DeviceRefused, match=r"exception 4 \(server device failure\)"):
        play(introduce(made("read = { span_max = 1 }"), METER), lambda _: Refused(4), asked)
    assert len(asked) <= 17


@pytest.mark.parametrize(
    "profile",
    [p for p in PROFILES.values() if p.modbus and any(s.length_min == 1 for s in p.modbus.sections)],
    ids=lambda p: p.id,
)
def test_points_stand_where_the_models_of_the_standard_have_them(profile: Profile) -> None:
    """Types have the sizes that the standard gives them, scale factors are of its type, everything is inside of its model."""
    assert profile.modbus is not None
    for number, section in enumerate(profile.modbus.sections):
        mine = [p for p in profile.modbus.points if p.address // SECTION_SPAN == number]
        assert mine
        for model in section.models:
            definition = sunspec_definition(model)
            rows = {row.offset: row for row in definition.fixed.values()}
            inner = {row.offset: row for row in definition.group.values()}
            for p in mine:
                offset = p.address % SECTION_SPAN
                if p.repetition:
                    offset -= definition.fixed_words + (p.repetition - 1) * definition.group_words
                row = (inner if p.repetition else rows)[offset]
                assert REGISTER_TYPES[p.type].words == REGISTER_TYPES.get(row.type, REGISTER_TYPES["uint16"]).words
                if p.sf_at is not None:
                    assert rows[p.sf_at % SECTION_SPAN].type == "sunssf"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("any_of = [103, 102, 101]", "any_of = [103, 113]", "models of one layout"),
        ("any_of = [103, 102, 101]", "any_of = [103, 9999]", "ids of models that the standard defines"),
        ('W = "active_power"', 'Watt = "active_power"', "a number of model 103: ID, L, A, AphA"),
        ('W = "active_power"', 'Hz_SF = "active_power"', "unit '1' does not fit active_power"),
        ("repeat = 12", "repeat = 13", "a quantity of plant.quantities"),
        ("limits = { mppt_dc_voltage", "limits = { nothing", "quantities of this model"),
        ("any_of = [160]", "any_of = [160]\ninstance = 0", "greater than or equal to 1"),
    ],
)
def test_a_mistake_in_a_model_is_named(old: str, new: str, fault: str) -> None:
    from importlib import resources

    text = (resources.files("devices") / "profiles" / "sunspec_inverter.toml").read_text("utf-8")
    assert old in text
    with pytest.raises(ConfigError, match=fault):
        parse_profile(text.replace(old, new), "sunspec_inverter.toml", definition_of=sunspec_definition)


def test_without_definitions_a_model_is_unknown() -> None:
    from importlib import resources

    text = (resources.files("devices") / "profiles" / "sunspec_inverter.toml").read_text("utf-8")
    with pytest.raises(ConfigError, match="ids of models that the standard defines"):
        parse_profile(text, "sunspec_inverter.toml")
