"""No payload raises anything but PayloadError, and the typed reading of JSON never says anything else than the exact one."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.payloads.formats import decoder_of
from collector.payloads.json import JsonDecoder, of_sample
from collector.payloads.json_typed import typed_of
from devices.catalog import shipped_profiles
from devices.maps import Profile
from devices.payload import parse_json, samples
from devices.payload_map import PayloadFormat, PayloadMap, PayloadPoint, PayloadQuality, PayloadTime
from plant.errors import PayloadError

BASE = shipped_profiles()["sim_feeder_mqtt"]
NAMES = ("active_power", "energy_import", "voltage_l1_n", "voltage_l2_n")
PATHS = ("/p", "/a/e", "/u/0", "/u/2")
T_NS = 1_795_000_000_000 * 10**6


def profile(time: PayloadTime | None = None, **more: Any) -> Profile:
    points = tuple(PayloadPoint(name, path, Fraction(1)) for name, path in zip(NAMES, PATHS, strict=True))
    return replace(BASE, id="x", mqtt=PayloadMap(points, time, **more), limits={}, checks=())


FORMATS: list[PayloadFormat] = ["json", "value", "csv"]
TIMES = [PayloadTime("/t", f) for f in ("iso8601", "unix_s", "unix_ms", "unix_us", "unix_ns")]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.integers(10**12, 2 * 10**18),
    st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "20260101T000000+0800", "1795000000", "NaN"]),
    st.sampled_from([10**400, -(10**30)]),
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("paeut0"), inner), max_leaves=8
)
GOOD_TIMES = st.sampled_from(["2026-01-01T00:00:00Z", 1795000000, 1795000000.25, 1795000000123, 1795000000123456, 10**18 + 7])
NUMBERS = st.one_of(st.none(), st.integers(-(10**20), 10**20), st.floats())
DOCUMENTS = st.fixed_dictionaries(
    {"t": GOOD_TIMES | ANYTHING, "n": st.integers(0, 9) | ANYTHING, "id": st.integers(0, 9) | ANYTHING},
    optional={
        "p": NUMBERS | ANYTHING, "a": st.fixed_dictionaries({"e": NUMBERS}) | ANYTHING,
        "u": st.lists(NUMBERS, max_size=4) | ANYTHING,
    },
)  # fmt: skip


def outcome(read: Any) -> Any:
    try:
        return [
            (r.meter, r.t_ns, repr([math.nan if x is None else x for x in r.raw]), r.event_id, r.sequence, r.columns, r.quality)
            for r in read()
        ]
    except PayloadError as error:
        return str(error)


RAW_VALUES = st.sampled_from([
    b"1", b"-0", b"1e400", b"-1e400", b"1e-400", b"9" * 400, b"NaN", b"null", b'"5"', b'"\\ud800"', b'"\xff\xfe"', b"01", b"1e2",
    b"{}", b"[2]", b'{"e":3}', b"1795000000123", b"deep", b"9223372036854775808", b"1.0", b'"\xc3\xa9"',
])  # fmt: skip
RAW_MEMBERS = st.lists(st.tuples(st.sampled_from(["t", "n", "id", "p", "a", "u", "x", "\\u0070"]), RAW_VALUES), max_size=7)


@pytest.mark.parametrize("more", [{}, {"sequence": "/n"}, {"event_id": "/id"}], ids=str)
@given(members=RAW_MEMBERS)
def test_both_agree_on_keys_that_come_twice_and_on_bytes_that_no_document_makes(
    more: dict[str, str], members: list[tuple[str, bytes]]
) -> None:
    of = profile(TIMES[2], **more)
    assert of.mqtt is not None
    payload = b'{"t":1795000000123,' + b",".join(b'"%s":%s' % (k.encode(), v) for k, v in [*members, ("y", b"1")]) + b"}"
    payload = payload.replace(b"deep", b"[" * 5_000 + b"]" * 5_000)
    exact = outcome(lambda: [of_sample("m", s, T_NS) for s in samples(of.mqtt, parse_json(payload))])  # type: ignore[arg-type]
    assert outcome(lambda: JsonDecoder(of).decode("m", payload, T_NS)) == exact


@pytest.mark.parametrize("time", [None, *TIMES], ids=lambda t: t.format if t else "receipt")
@pytest.mark.parametrize("more", [{}, {"sequence": "/n"}, {"event_id": "/id"}], ids=str)
@given(document=DOCUMENTS | ANYTHING)
def test_the_typed_and_the_exact_reading_agree(time: PayloadTime | None, more: dict[str, str], document: Any) -> None:
    of = profile(time, **more)
    assert of.mqtt is not None and typed_of(of.mqtt) is not None
    payload = json.dumps(document).encode()
    exact = outcome(lambda: [of_sample("m", s, T_NS) for s in samples(of.mqtt, parse_json(payload))])  # type: ignore[arg-type]
    assert outcome(lambda: JsonDecoder(of).decode("m", payload, T_NS)) == exact


@given(elements=st.lists(DOCUMENTS, max_size=4) | ANYTHING)
def test_both_agree_on_arrays_of_samples(elements: Any) -> None:
    of = profile(TIMES[2], each="/s", sequence="/n")
    assert of.mqtt is not None and typed_of(of.mqtt) is not None
    payload = json.dumps({"n": 5, "s": elements}).encode()
    exact = outcome(lambda: [of_sample("m", s, T_NS) for s in samples(of.mqtt, parse_json(payload))])  # type: ignore[arg-type]
    assert outcome(lambda: JsonDecoder(of).decode("m", payload, T_NS)) == exact


@pytest.mark.parametrize("format_", FORMATS)
@given(payload=st.binary(max_size=60) | st.text('0123456789.,-e"{}[]:ptua \n\r\0', max_size=60).map(str.encode))
def test_no_bytes_raise_anything_else(format_: PayloadFormat, payload: bytes) -> None:
    decoder = decoder_of(profile(PayloadTime("0", "unix_s") if format_ == "csv" else None, format=format_))
    for suffix in decoder.suffixes:
        try:
            readings = decoder.decode("m", payload, T_NS, suffix)
        except PayloadError:
            continue
        assert sum(len(block) for block in decoder.blocks("p", readings)) == len(readings) > 0


@given(document=DOCUMENTS)
def test_no_document_raises_anything_else_with_states_qualities_and_text(document: Any) -> None:
    of = profile(TIMES[0], numbers="text", quality=PayloadQuality("/n", ("ok", "1")))
    assert of.mqtt is not None
    points = (replace(of.mqtt.points[0], states={"on": 1, "true": 1}, time="/t"), *of.mqtt.points[1:])
    decoder = decoder_of(replace(of, mqtt=replace(of.mqtt, points=points)))
    try:
        readings = decoder.decode("m", json.dumps(document).encode(), T_NS)
    except PayloadError:
        return
    assert sum(len(block) for block in decoder.blocks("p", readings)) == len(readings) > 0
