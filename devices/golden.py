"""Golden blocks of a profile file: recorded or derived words or messages with what they mean, decoded at every load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from devices.codec import Words, decode, encode, place_of, width
from devices.dlt645 import decode as decode_dlt645
from devices.dlt645_profile import golden_row
from devices.maps import SECTION_SPAN, Profile, Table
from devices.payload_golden import golden_sample
from devices.profile_file import GoldenText
from plant.errors import Fault, PayloadError

_TABLES: tuple[Table, ...] = ("holding", "input", "coil", "discrete")


def golden_faults(profile: Profile, blocks: Sequence[GoldenText], file: str, table: Table) -> list[Fault]:
    """Faults of the golden blocks: a value that decodes to something else, or a quantity that no block proves.

    ``table`` is the one that addresses without a name belong to.
    """
    faults: list[Fault] = []
    proven: set[str] = set()
    for number, block in enumerate(blocks, start=1):
        key = f"golden[{number}]"
        unknown = (set(block.expect) | set(block.missing)) - set(profile.quantities)
        faults += [Fault(file, f"{key}.expect", repr(name), "quantities of this profile") for name in sorted(unknown)]
        try:
            values = _decoded(profile, block, table, file, key, faults)
        except (PayloadError, ValueError) as error:
            faults.append(Fault(file, key, str(error), "a block that can be decoded"))
            continue
        for name, expected in block.expect.items():
            if name in values:
                proven.add(name)
                faults += _compare(profile, name, expected, values[name], file, key)
        for name in block.missing:
            if name in values and not math.isnan(values[name]):
                faults.append(Fault(file, f"{key}.missing", f"{name} = {values[name]}", "a value that is missing in this block"))
    proven |= _alike(profile, proven)
    unproven = [name for name in profile.quantities if name not in proven]
    if unproven and not faults:
        faults.append(Fault(file, "golden", f"nothing for {', '.join(unproven)}", "an expected value for every quantity"))
    return faults


def values_of_words(profile: Profile, words: Mapping[str, int], table: Table) -> dict[str, float]:
    """What a golden block of these words, by its labels, decodes to, NaN where missing. Raises ValueError for a wrong label."""
    decoded = decode(profile, _words(profile, words, table))[0][0].tolist()
    return dict(zip(profile.quantities, decoded, strict=True))


def proven_quantities(profile: Profile, blocks: Sequence[GoldenText]) -> tuple[str, ...]:
    """Quantities that a recording or an example of the maker proves. A value of 0 proves neither scale nor type."""
    seen = {name for block in blocks if block.evidence != "derived" for name, value in block.expect.items() if value != 0}
    seen |= _alike(profile, seen)
    return tuple(name for name in profile.quantities if name in seen)


def _alike(profile: Profile, proven: set[str]) -> set[str]:
    """Quantities of a repeating group of which one repetition is proven: all are read by the same definition."""
    repeated = [p.name for p in profile.modbus.points if p.repetition] if profile.modbus else []
    stems = {name.rpartition("_")[0] for name in repeated if name in proven}
    return {name for name in repeated if name.rpartition("_")[0] in stems}


def _words(profile: Profile, labelled: Mapping[str, int], default: Table) -> Words:
    """The words uint16[1, w] of a golden block. Raises ValueError for an address that the plan does not read."""
    words = _blank(profile)
    assert profile.modbus is not None
    for label, word in labelled.items():
        name, _, address = label.rpartition("/")
        table = next((t for t in _TABLES if t == name), default)
        section = next((i for i, s in enumerate(profile.modbus.sections) if name in map(str, s.models)), 0)
        try:
            words[0, place_of(profile, table, section * SECTION_SPAN + int(address))] = word
        except KeyError:
            raise ValueError(f"{label} is not read by any request of the plan") from None
    return words


def _blank(profile: Profile) -> Words:
    """Words of a device that measures nothing: sentinels, or 0 where a point has none."""
    assert profile.modbus is not None
    missing = np.array([[0.0 if not p.sentinels and not p.type.startswith("float") else np.nan for p in profile.modbus.points]])
    words = encode(profile, missing)
    assert words.shape == (1, width(profile))
    return words


def _decoded(profile: Profile, block: GoldenText, table: Table, file: str, key: str, faults: list[Fault]) -> dict[str, float]:
    if profile.modbus is not None:
        return values_of_words(profile, block.words, table)
    if profile.dlt645 is not None:
        numbers = decode_dlt645(profile.dlt645, [golden_row(profile.dlt645, block.frames)])[0][0].tolist()
        return dict(zip(profile.quantities, numbers, strict=True))
    assert profile.mqtt is not None
    values, sample = golden_sample(profile.mqtt, block)
    if sample.t_ns != block.expect_time_ns:
        faults.append(Fault(file, f"{key}.expect_time_ns", repr(sample.t_ns), f"{block.expect_time_ns} is expected"))
    if sample.event_id != block.expect_event_id:
        faults.append(Fault(file, f"{key}.expect_event_id", repr(sample.event_id), f"{block.expect_event_id!r} is expected"))
    return values


def _compare(profile: Profile, name: str, expected: float | str, got: float, file: str, key: str) -> list[Fault]:
    if isinstance(expected, str) and profile.mqtt is not None:
        words = next((dict(p.states) for p in profile.mqtt.points if p.name == name), {})
        expected = float(words.get(expected, math.inf))
    if isinstance(expected, str):
        states = next((p.states for p in profile.modbus.points if p.name == name), {}) if profile.modbus else {}
        found = states.get(int(got), f"{got}") if math.isfinite(got) else f"{got}"
        return [] if found == expected else [Fault(file, f"{key}.expect.{name}", found, f"{expected} is expected")]
    faults = []
    if not math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9):
        faults.append(Fault(file, f"{key}.expect.{name}", repr(got), f"{expected} is expected"))
    limits = profile.limits.get(name)
    if limits is not None and not limits.low <= expected <= limits.high:
        faults.append(
            Fault(file, f"{key}.expect.{name}", repr(expected), f"a value within the limits {limits.low} to {limits.high}")
        )
    return faults
