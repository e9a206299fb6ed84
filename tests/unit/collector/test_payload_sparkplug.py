"""Sparkplug B: bytes after the specification's field numbers, births and aliases, gaps, deaths, and what is never guessed."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.payloads.decoder import Taken
from collector.payloads.sparkplug import EdgeNodes
from devices.maps import Profile
from devices.profile import parse_profile
from devices.sparkplug import DataType, Metric, Payload, topic_of
from devices.sparkplug_wire import decode, encode
from plant.errors import ConfigError, PayloadError
from plant.quality import ABSENT, Quality
from plant.site import Meter

TEXT = """
[profile]
id = "edge"
title = "x"
kind = "meter"
source = "this test"
[mqtt]
payload = "sparkplug"
points = [
  { name = "active_power", metric = "P", unit = "kW" },
  { name = "energy_import", metric = "Energy/Import", unit = "kWh" },
  { name = "operating_state", metric = "State", unit = "1", states = { 1 = "off", 4 = ["run", "true"] } },
]
[[golden]]
origin = "written by hand"
metrics = [
  { name = "P", type = "Float", value = 12.5, t_ms = 1795000000123 },
  { name = "Energy/Import", type = "UInt64", value = 77, t_ms = 1795000000123 },
  { name = "State", type = "String", value = "run", t_ms = 1795000000123 },
]
expect = { active_power = 12.5, energy_import = 77, operating_state = "run" }
expect_time_ns = 1795000000123000000
"""
PROFILE: Profile = parse_profile(TEXT, "edge.toml")
T_MS = 1_795_000_000_000
NODE, DEVICE = "spBv1.0/G/{}/E", "spBv1.0/G/{}/E/D"
METERS = [Meter("m", "edge", "b", topic=DEVICE.format("DDATA")), Meter("own", "edge", "b", topic=NODE.format("NDATA"))]
S_NS = 10**9


def edge_nodes(rebirth: str = "never") -> EdgeNodes:
    return EdgeNodes(METERS, {"edge": PROFILE}, rebirth, chance=lambda: 0.0)


class Edge:
    """An edge node that numbers its messages."""

    def __init__(self, host: EdgeNodes) -> None:
        self.host, self.seq, self.now_ns = host, -1, T_MS * 10**6

    def send(self, topic: str, *metrics: Metric, t_ms: int | None = T_MS) -> Taken:
        self.seq = 0 if "NBIRTH" in topic else (self.seq + 1) % 256
        return self.host.take(topic, encode(Payload(t_ms, self.seq, metrics)), self.now_ns)

    def born(self) -> Edge:
        self.send(NODE.format("NBIRTH"), Metric("bdSeq", 3, DataType.INT64), Metric("P", 0.5, DataType.DOUBLE, T_MS, alias=9))
        self.send(
            DEVICE.format("DBIRTH"),
            Metric("P", -1.0, DataType.INT16, T_MS, alias=1),
            Metric("Energy/Import", 5, DataType.UINT32, T_MS, alias=2),
        )
        return self

    def data(self, *metrics: Metric) -> Taken:
        return self.send(DEVICE.format("DDATA"), *metrics)


def by_alias(alias: int, value: float, t_ms: int | None = None) -> Metric:
    return Metric("", value, DataType.UINT32 if isinstance(value, int) else DataType.DOUBLE, t_ms, alias)


# ---- bytes ----


def test_a_payload_written_by_hand_from_the_field_numbers() -> None:
    # metric: name "P" (1), timestamp (3), datatype 10 (4), double_value (13); payload: timestamp (1), metric (2), seq (3)
    metric = b"\x0a\x01P" + b"\x18\x07" + b"\x20\x0a" + b"\x69" + struct.pack("<d", 1.5)
    payload = b"\x08\x05" + b"\x12" + bytes([len(metric)]) + metric + b"\x18\x2a"
    expected = Payload(5, 42, (Metric("P", 1.5, DataType.DOUBLE, 7),))
    assert decode(payload) == expected
    assert encode(expected) == payload


@pytest.mark.parametrize(
    ("type_", "field", "wire", "value"),
    [
        (DataType.INT8, 10, 0xFF, -1),
        (DataType.INT8, 10, 0xFFFF_FF80, -128),
        (DataType.INT16, 10, 0x8000, -32768),
        (DataType.INT32, 10, 0xFFFF_FFFE, -2),
        (DataType.INT64, 11, 2**64 - 3, -3),
        (DataType.UINT8, 10, 0xFF, 255),
        (DataType.UINT32, 10, 0xFFFF_FFFF, 2**32 - 1),
        (DataType.UINT64, 11, 2**64 - 1, 2**64 - 1),
        (DataType.BOOLEAN, 14, 1, True),
    ],
)
def test_whole_numbers_are_two_s_complement(type_: DataType, field: int, wire: int, value: int) -> None:
    metric = b"\x20" + bytes([type_]) + _varint(field << 3) + _varint(wire)
    (got,) = decode(b"\x12" + bytes([len(metric)]) + metric).metrics
    assert got.value == value and type(got.value) is type(value)


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


_WHOLE = {
    1: (-128, 127),
    2: (-(2**15), 2**15 - 1),
    3: (-(2**31), 2**31 - 1),
    4: (-(2**63), 2**63 - 1),
    5: (0, 255),
    8: (0, 2**64 - 1),
}


@given(st.data(), st.sampled_from(sorted(_WHOLE)))
def test_whole_numbers_come_back(data: st.DataObject, type_: int) -> None:
    metric = Metric("x", data.draw(st.integers(*_WHOLE[type_])), type_, alias=data.draw(st.integers(0, 2**64 - 1)), quality=192)
    assert decode(encode(Payload(None, None, (metric,)))).metrics == (metric,)


# ---- births and data ----


def test_topics_cover_the_whole_edge_node() -> None:
    kinds = [f"spBv1.0/G/N{kind}/E" for kind in ("BIRTH", "DATA", "DEATH")] + [
        f"spBv1.0/G/D{kind}/E/+" for kind in ("BIRTH", "DATA", "DEATH")
    ]
    assert edge_nodes().topics() == tuple(kinds)


def test_a_birth_names_what_data_give_by_alias() -> None:
    edge = Edge(edge_nodes()).born()
    taken = edge.data(by_alias(1, 0xFFFE, T_MS + 1), by_alias(2, 7, T_MS + 1), Metric("State", "run", DataType.STRING, T_MS + 2))
    first, second = taken.readings["edge"]
    assert (first.meter, first.t_ns, first.columns, first.raw) == ("m", (T_MS + 1) * 10**6, (0, 1), (0xFFFE, 7.0))
    assert (second.columns, second.raw, taken.notes) == ((2,), (4.0,), ())


def test_the_type_of_the_birth_gives_the_sign() -> None:
    edge = Edge(edge_nodes()).born()
    (reading,) = edge.data(Metric("", 0xFFFE, 0, None, alias=1)).readings["edge"]
    assert reading.raw == (-2.0,)
    assert reading.t_ns == T_MS * 10**6  # of the payload


def test_births_are_readings_too_and_tell_who_is_there() -> None:
    edge = Edge(edge_nodes())
    assert edge.send(NODE.format("NBIRTH"), Metric("P", 0.5, DataType.DOUBLE, T_MS)).online == ("own",)
    taken = edge.send(DEVICE.format("DBIRTH"), Metric("P", None, DataType.DOUBLE, T_MS))
    assert taken.online == ("m",)
    (block,) = edge.host.blocks("p", "edge", taken.readings["edge"])
    assert block.quality.tolist() == [[int(ABSENT)]]  # null is said, so it was due


def test_qualities_and_two_values_of_one_instant() -> None:
    edge = Edge(edge_nodes()).born()
    stale = Metric("P", 1.0, DataType.DOUBLE, T_MS, quality=500)
    first, second = edge.data(stale, Metric("P", 2.0, DataType.DOUBLE, T_MS, quality=0)).readings["edge"]
    assert first.quality == (int(Quality.QUESTIONABLE | Quality.OLD_DATA),)
    assert second.quality == (int(Quality.INVALID | Quality.FAILURE),)


def test_other_nodes_and_commands_are_none_of_ours() -> None:
    for topic in ("spBv1.0/G/DDATA/other/D", "spBv1.0/G/NCMD/E", "spBv1.0/STATE/host", "spBv1.0/G/DDATA/E"):
        assert edge_nodes().take(topic, b"\xff", 0) == Taken()


# ---- what is in doubt ----


def test_before_a_birth_an_alias_means_nothing() -> None:
    taken = Edge(edge_nodes()).data(by_alias(1, 7), Metric("Energy/Import", 8, DataType.UINT32))
    assert [r.raw for r in taken.readings["edge"]] == [(8.0,)]
    assert "alias 1: no birth was seen" in taken.aside and taken.notes == (("m", taken.aside),)


def test_a_whole_number_without_a_type_may_be_negative() -> None:
    taken = Edge(edge_nodes()).data(Metric("P", 0xFFFE, 0), Metric("P", 2.5, 0))
    assert [r.raw for r in taken.readings["edge"]] == [(2.5,)]
    assert "'P': no birth was seen" in taken.aside


def test_after_a_gap_aliases_wait_for_the_next_birth() -> None:
    edge = Edge(edge_nodes()).born()
    edge.seq += 2
    taken = edge.data(by_alias(2, 7))
    assert taken.readings == {} and "2 messages are missing" in taken.notes[0][1] and "missing since its birth" in taken.aside
    again = edge.data(by_alias(2, 7))
    assert (again.aside, again.notes) == ("", ()) and "incomplete until the next birth" in again.unread["m"]
    assert "alias 3" in edge.data(by_alias(3, 7)).aside, "what was not yet put aside is"
    edge.send(DEVICE.format("DBIRTH"), Metric("Energy/Import", 9, DataType.UINT32, T_MS, alias=2))
    assert [r.raw for r in edge.data(by_alias(2, 10)).readings["edge"]] == [(10.0,)]
    assert edge.send(NODE.format("NDATA"), by_alias(9, 1)).aside, "the node itself was not born again"


def test_the_sequence_wraps_and_a_repeated_message_is_no_gap() -> None:
    edge = Edge(edge_nodes()).born()
    for _ in range(600):
        assert not edge.data(by_alias(2, 7)).notes
    edge.seq -= 1
    assert not edge.data(by_alias(2, 7)).notes


def test_a_birth_replaces_every_alias() -> None:
    edge = Edge(edge_nodes()).born()
    edge.send(NODE.format("NBIRTH"))
    assert "no birth was seen" in edge.data(by_alias(1, 7)).aside


# ---- rebirth ----


def test_a_birth_is_asked_for_only_where_allowed_and_once_a_minute() -> None:
    assert Edge(edge_nodes("never")).data(by_alias(1, 7)).publish == ()
    edge = Edge(edge_nodes("request"))
    ((topic, payload),) = edge.data(by_alias(1, 7)).publish
    (metric,) = decode(payload).metrics
    assert (topic, metric.name, metric.value, metric.datatype) == ("spBv1.0/G/NCMD/E", "Node Control/Rebirth", True, 11)
    edge.now_ns += 59 * S_NS
    assert edge.data(by_alias(1, 7)).publish == ()
    edge.now_ns += S_NS
    assert len(edge.data(by_alias(1, 7)).publish) == 1


@pytest.mark.parametrize("rebirth", ["never", "request"])
def test_a_lost_connection_doubts_births_though_the_numbers_go_on(rebirth: str) -> None:
    edge = Edge(edge_nodes(rebirth)).born()
    edge.host.disconnected()
    assert "the line was broken since its birth" in edge.data(by_alias(2, 7)).aside
    assert edge.data(Metric("P", 2.0, DataType.DOUBLE)).readings, "a name with its type needs no birth"


def test_an_alias_that_a_trusted_birth_does_not_name_is_said_to_be_that() -> None:
    taken = Edge(edge_nodes()).born().data(by_alias(77, 7), by_alias(2, 8))
    assert "alias 77: its birth does not name it" in taken.aside
    assert [r.raw for r in taken.readings["edge"]] == [(8.0,)]


def test_edge_nodes_of_a_broker_are_asked_one_after_the_other() -> None:
    meters = [Meter(f"m{i}", "edge", "b", topic=f"spBv1.0/G/DDATA/E{i}/D") for i in range(9)]
    host, now_ns = EdgeNodes(meters, {"edge": PROFILE}, "request", chance=lambda: 0.5), T_MS * 10**6

    def asked(at_ns: int) -> list[str]:
        payload = encode(Payload(T_MS, 7, (by_alias(1, 7),)))
        return [topic for m in meters for topic, _ in host.take(m.topic, payload, at_ns).publish]

    assert len(asked(now_ns)) == 1
    assert asked(now_ns + S_NS) == [], "they keep 1 s and a share of chance apart"
    found = [topic for i in range(1, 9) for topic in asked(now_ns + i * 3 * S_NS // 2)]
    assert len(found) == len(set(found)) == 8
    assert len(asked(now_ns - 3_600 * S_NS)) == 1, "a clock that was set back does not silence it"


def test_what_was_kept_while_the_line_was_broken_is_apart() -> None:
    late = Metric("P", 1.0, DataType.DOUBLE, T_MS - 3_600_000, is_historical=True)
    assert decode(encode(Payload(None, None, (late,)))).metrics == (late,)
    taken = Edge(edge_nodes()).born().data(late, Metric("P", 2.0, DataType.DOUBLE, T_MS))
    assert [r.raw for r in taken.historical["edge"]] == [(1.0,)]
    assert [r.raw for r in taken.readings["edge"]] == [(2.0,)]


# ---- deaths ----


def test_deaths_tell_who_is_gone_and_invent_no_value() -> None:
    edge = Edge(edge_nodes()).born()
    taken = edge.send(DEVICE.format("DDEATH"))
    assert (taken.offline, taken.readings) == (("m",), {})
    assert (back := edge.data(by_alias(2, 7))).aside and back.online == ("m",), "who sends is not dead"
    stale = edge.host.take(NODE.format("NDEATH"), encode(Payload(None, None, (Metric("bdSeq", 2, DataType.INT64),))), 0)
    assert stale.offline == () and "earlier birth" in stale.notes[0][1]
    dead = edge.host.take(NODE.format("NDEATH"), encode(Payload(None, None, (Metric("bdSeq", 3, DataType.INT64),))), 0)
    assert (set(dead.offline), dead.readings) == ({"m", "own"}, {})
    assert edge.data(by_alias(9, 1)).aside


# ---- nonsense ----


@pytest.mark.parametrize(
    "topic", ["plant/m", "spBv1.0/G/DBIRTH/E/D", "spBv1.0/G/DDATA/E", "spBv1.0/G/NDATA/E/D", "spBv1.0/G/DDATA//D"]
)
def test_a_meter_that_hangs_on_no_edge_node_is_a_fault_of_the_site(topic: str) -> None:
    with pytest.raises(ConfigError, match=r"meter\[m\].topic"):
        EdgeNodes([Meter("m", "edge", "b", topic=topic)], {"edge": PROFILE}, "never")


@pytest.mark.parametrize("metric", [Metric("P", "high", DataType.STRING), Metric("State", "sleeping", DataType.STRING)])
def test_a_metric_of_the_wrong_kind_says_so_and_the_stream_goes_on(metric: Metric) -> None:
    edge = Edge(edge_nodes()).born()
    taken = edge.data(metric, by_alias(2, 6))
    assert f"{metric.name}: found" in taken.aside and taken.unread == {"m": taken.aside.partition(": ")[2]}
    assert [r.raw for r in taken.readings["edge"]] == [(6.0,)], "the others of its message count"
    assert edge.data(metric).aside == "", "once an episode"
    assert [r.raw for r in edge.data(by_alias(2, 7)).readings["edge"]] == [(7.0,)]


def test_a_data_set_is_no_number() -> None:
    metric = b"\x0a\x01P" + b"\x8a\x01\x00"  # dataset_value (17), empty
    taken = edge_nodes().take(DEVICE.format("DDATA"), b"\x08\x05\x12" + bytes([len(metric)]) + metric, 0)
    assert "P: found a dataset" in taken.aside and taken.readings == {}


def test_data_without_any_time_are_refused() -> None:
    taken = Edge(edge_nodes()).send(DEVICE.format("DDATA"), Metric("P", 1.0, DataType.DOUBLE), t_ms=None)
    assert "timestamp" in taken.aside and taken.readings == {}


_KINDS = st.sampled_from(
    [NODE.format(k) for k in ("NBIRTH", "NDATA", "NDEATH")] + [DEVICE.format(k) for k in ("DBIRTH", "DDATA", "DDEATH")]
)
_METRICS = st.builds(
    Metric,
    st.sampled_from(["", "P", "Energy/Import", "State", "bdSeq"]),
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=3)),
    st.sampled_from([0, 9, 10, 11, 12]),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 3),
)


@given(st.lists(st.tuples(_KINDS, st.binary(max_size=40)), max_size=10))
def test_no_bytes_raise_anything_else(messages: list[tuple[str, bytes]]) -> None:
    host = edge_nodes("request")
    for topic, payload in messages:
        with suppress(PayloadError):
            host.take(topic, payload, T_MS * 10**6)


@given(st.lists(st.tuples(_KINDS, st.lists(_METRICS, max_size=3), st.integers(0, 3)), max_size=12))
def test_no_order_of_messages_raises_anything_else_and_blocks_fit(messages: list[tuple[str, list[Metric], int]]) -> None:
    host = edge_nodes("request")
    for topic, metrics, seq in messages:
        fitting = tuple(m for m in metrics if _fits(m))
        try:
            taken = host.take(topic, encode(Payload(T_MS, seq, fitting)), T_MS * 10**6)
        except PayloadError:
            continue
        for profile, readings in taken.readings.items():
            assert sum(len(block) for block in host.blocks("p", profile, readings)) == len(readings)


def _fits(metric: Metric) -> bool:
    kinds = {9: float, 10: float, 11: bool, 12: str, 0: type(None)}
    return metric.value is None or (metric.datatype != 0 and type(metric.value) is kinds[metric.datatype])


def test_topics_of_the_specification() -> None:
    topic = topic_of("spBv1.0/G/DDATA/E/D")
    assert topic is not None and (topic.edge, topic.device, topic.of("DBIRTH")) == ("G/E", "D", "spBv1.0/G/DBIRTH/E/D")
