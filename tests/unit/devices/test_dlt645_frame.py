"""Frames of DL/T 645-2007: recorded ones, the two requests, and what comes through noise."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import dlt645_frame
from devices.dlt645_frame import DataReply, DataRequest, Denied, Frame, FrameReader, Function, one_frame
from simulators.dlt645_server import frame as meters_frame

ROOT = Path(__file__).parents[3]
VECTOR = bytes.fromhex("68 01 00 00 00 00 00 68 91 08 33 33 34 33 89 67 45 33 9F 16")
DIGITS = st.text("0123456789", min_size=12, max_size=12)


@pytest.mark.parametrize(
    ("recorded", "address", "control", "data"),
    [
        ("68 01 00 00 00 00 00 68 91 08 33 33 34 33 89 67 45 33 9F 16", "000000000001", 0x91, "00000100 56341200"),
        ("68 61 01 00 00 00 00 68 91 07 33 33 36 35 45 58 33 6B 16", "000000000161", 0x91, "00000302 122500"),
        ("FE FE 68 61 01 00 00 00 00 68 91 06 33 33 39 35 34 38 09 16", "000000000161", 0x91, "00000602 0105"),
        ("68 12 00 00 00 10 20 68 D1 01 35 19 16", "201000000012", 0xD1, "02"),
        ("68 59 50 82 12 34 00 68 91 06 33 33 39 35 33 C3 A2 16", "003412825059", 0x91, "00000602 0090"),
    ],
)
def test_recorded_frames(recorded: str, address: str, control: int, data: str) -> None:
    assert one_frame(bytes.fromhex(recorded)) == Frame(address, control, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("request_", "address", "recorded"),
    [
        (DataRequest("00010000"), "000000000161", "FE FE FE FE 68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16"),
        (DataRequest("02010100"), "000000000161", "FE FE FE FE 68 61 01 00 00 00 00 68 11 04 33 34 34 35 17 16"),
        (DataRequest("00010000"), "123456789012", "FE FE FE FE 68 12 90 78 56 34 12 68 11 04 33 33 34 33 68 16"),
        (DataRequest("0201FF00"), "201000000012", "FE FE FE FE 68 12 00 00 00 10 20 68 11 04 33 32 34 35 F5 16"),
    ],
)
def test_requests_are_those_recorded(request_: DataRequest, address: str, recorded: str) -> None:
    assert request_.encode(address) == bytes.fromhex(recorded)


def test_the_rest_of_an_answer_is_asked_for_by_number() -> None:
    sent = one_frame(DataRequest("0001FF00", 3).encode("000000000001"))
    assert (sent.control, sent.data) == (0x12, bytes.fromhex("00FF0100 03"))


@pytest.mark.parametrize(
    "address", ["", "1", "AAAAAAAAAAAA", "00000000000A", "999999999999", "０１２３４５６７８９０１", "0000000000001"]
)
def test_no_wildcard_no_broadcast_no_other_address_is_ever_asked(address: str) -> None:
    with pytest.raises(ValueError, match="twelve decimal digits"):
        DataRequest("00010000").encode(address)


def test_only_answers_to_the_request_are_taken() -> None:
    request, address = DataRequest("00010000"), "000000000001"
    data = bytes.fromhex("00000100 56341200")
    assert request.answer(Frame(address, 0x91, data), address) == DataReply(bytes.fromhex("56341200"))
    assert request.answer(Frame(address, 0xB1, data), address) == DataReply(bytes.fromhex("56341200"), more=True)
    assert request.answer(Frame(address, 0xD1, b"\x02"), address) == Denied(2)
    assert request.answer(Frame("000000000002", 0x91, data), address) is None
    assert request.answer(Frame("aaaaaaaaaaaa", 0x91, data), address) is None
    assert request.answer(Frame(address, 0x11, data), address) is None, "an echo"
    assert request.answer(Frame(address, 0x92, data), address) is None, "another function"
    assert request.answer(Frame(address, 0x91, bytes.fromhex("00000200 56341200")), address) is None, "other data"
    assert request.answer(Frame(address, 0x91, b"\x00"), address) is None
    assert request.answer(Frame(address, 0xD1, b""), address) is None
    second = DataRequest("00010000", 1)
    assert second.answer(Frame(address, 0x92, data + b"\x01"), address) == DataReply(bytes.fromhex("56341200"))
    assert second.answer(Frame(address, 0x92, data + b"\x02"), address) is None, "another part"


def test_a_refusal_tells_its_reasons() -> None:
    assert Denied(0b10).is_about_data
    assert not Denied(1).is_about_data
    assert Denied(0b110).name == "error 06H (no such data, wrong password or no right)"
    assert Denied(0).name == "error 00H (no reason given)"


@pytest.mark.parametrize("cut", range(len(VECTOR)))
def test_a_frame_comes_in_any_two_pieces(cut: int) -> None:
    reader = FrameReader()
    found = [*reader.feed(VECTOR[:cut]), *reader.feed(VECTOR[cut:])]
    assert found == [one_frame(VECTOR)]
    assert (reader.bad, reader.skipped, reader.in_frame) == (0, 0, False)


def test_a_damaged_frame_is_counted_and_costs_no_other() -> None:
    reader = FrameReader()
    damaged = VECTOR[:-2] + b"\x00\x16"
    assert list(reader.feed(damaged + VECTOR)) == [one_frame(VECTOR)]
    assert reader.bad == 1
    assert reader.skipped == len(damaged)
    with pytest.raises(ValueError, match="is not one frame"):
        one_frame(damaged)


@given(
    noise=st.binary(max_size=40).filter(lambda b: b"\x68" not in b),
    address=DIGITS,
    data=st.binary(max_size=200),
    cut=st.integers(0, 60),
)
def test_what_a_meter_sends_comes_through_noise(noise: bytes, address: str, data: bytes, cut: int) -> None:
    sent = noise + meters_frame(address, 0x91, data)
    reader = FrameReader()
    assert [*reader.feed(sent[:cut]), *reader.feed(sent[cut:])] == [Frame(address, 0x91, data)]
    assert reader.skipped == sum(byte != 0xFE for byte in noise)


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_any_bytes_are_taken_and_none_is_kept_for_ever(pieces: list[bytes]) -> None:
    reader = FrameReader()
    for piece in pieces:
        list(reader.feed(piece))
    reader.clear()
    assert list(reader.feed(VECTOR)) == [one_frame(VECTOR)]


def test_the_collector_has_the_two_reads_and_no_other_function() -> None:
    """11H and 12H read; 08H, 13H to 1CH set, freeze, clear, switch or address all. They have no number in the code."""
    assert {f.value for f in Function} == {0x11, 0x12}
    written = {0x08, *range(0x13, 0x16), *range(0x17, 0x20)}  # 16H is the end of a frame too
    looked_at = 0
    for file in ("devices/dlt645_frame.py", "devices/dlt645.py", "collector/dlt645.py", "collector/dlt645_line.py"):
        text = (ROOT / file).read_text("utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value in written:
                source = ast.get_source_segment(text, node) or ""
                assert not source.lower().startswith("0x") or source == "0x1F", f"{file}:{node.lineno} {source}"
        looked_at += 1
    assert looked_at == 4
    assert dlt645_frame.END == 0x16
