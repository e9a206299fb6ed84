"""Messages of MQTT devices, read and written."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.catalog import shipped_profiles
from devices.payload import message, pointer_parts, read, resolve, write
from devices.payload_map import PayloadMap, PayloadTime
from plant.errors import PayloadError

MAPS = {p.id: p.mqtt for p in shipped_profiles().values() if p.mqtt is not None and p.mqtt.format == "json"}
WEATHER, SCALE, POTS = MAPS["sim_weather_station"], MAPS["sim_ladle_scale"], MAPS["sim_pot_controller"]
MILLISECONDS = st.integers(0, 4_000_000_000_000)


@pytest.mark.parametrize("map_", MAPS.values(), ids=MAPS)
@given(data=st.data(), t_ms=MILLISECONDS)
def test_what_is_written_is_read(map_: PayloadMap, data: st.DataObject, t_ms: int) -> None:
    numbers = st.one_of(st.just(math.nan), st.floats(-1e9, 1e9))
    values = {p.name: data.draw(st.sampled_from([*map(float, p.states.values())]) if p.states else numbers) for p in map_.points}
    sent = message(map_, values, t_ms * 1_000_000, "tap-1" if map_.event_id else "", 3 if map_.sequence else None)
    got = read(map_, write(map_, sent))
    assert got.values == pytest.approx(sent.values, nan_ok=True, rel=1e-15)
    assert (got.event_id, got.sequence) == (sent.event_id, sent.sequence)
    assert got.t_ns is not None and abs(got.t_ns - t_ms * 1_000_000) < 1_000_000


def test_absent_and_null_are_missing_and_never_zero() -> None:
    got = read(WEATHER, {"time": "2026-01-01T00:00:00Z", "irradiance": {"poa": None}})
    assert all(math.isnan(v) for v in got.values)


@pytest.mark.parametrize("found", ["812", True, [1], {"a": 1}])
def test_a_value_that_is_no_number_is_refused(found: object) -> None:
    with pytest.raises(PayloadError, match="/wind_speed: found"):
        read(WEATHER, {"time": "2026-01-01T00:00:00Z", "wind_speed": found})


@pytest.mark.parametrize("found", [None, 5, "yesterday", "2026-01-01T00:00:00"])
def test_a_time_without_an_offset_is_refused(found: object) -> None:
    with pytest.raises(PayloadError, match="/time: found"):
        read(WEATHER, {"time": found})


@pytest.mark.parametrize("found", [None, "1795147200 s", True, math.inf])
def test_a_unix_time_is_a_number(found: object) -> None:
    with pytest.raises(PayloadError, match="/t: found"):
        read(POTS, {"t": found, "seq": 1})


@pytest.mark.parametrize("found", [1.5, "x7", False, -1])
def test_a_sequence_number_is_whole(found: object) -> None:
    with pytest.raises(PayloadError, match="/seq: found"):
        read(POTS, {"t": 1795147200, "seq": found})


def test_an_event_needs_its_id_which_may_be_a_number() -> None:
    document = {"time": "2026-01-01T00:00:00Z", "mass_kg": 5, "pot": 1}
    with pytest.raises(PayloadError, match="/id: found None"):
        read(SCALE, document)
    assert read(SCALE, document | {"id": 17}).event_id == "17"


def test_offsets_count() -> None:
    at = datetime(2026, 11, 19, 22, 30, tzinfo=UTC)
    got = read(SCALE, {"id": "a", "time": "2026-11-20T06:30:00+08:00"})
    assert got.t_ns == round(at.timestamp()) * 1_000_000_000


def test_unix_milliseconds_are_exact() -> None:
    map_ = PayloadMap((), PayloadTime("/t", "unix_ms"))
    assert read(map_, {"t": 1_795_147_200_123}).t_ns == 1_795_147_200_123_000_000


def test_pointers_after_rfc_6901() -> None:
    document = {"a/b": {"m~n": [10, {"": 20}]}}
    assert resolve(document, "/a~1b/m~0n/0") == 10
    assert resolve(document, "/a~1b/m~0n/1/") == 20
    assert resolve(document, "/a~1b/m~0n/2") is None
    assert resolve(document, "/a~1b/m~0n/x") is None
    assert resolve(document, "") is document
    with pytest.raises(ValueError, match="starts with a slash"):
        pointer_parts("a")
