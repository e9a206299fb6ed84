"""The same scenarios over TCP, TLS, serial frames over TCP, and a serial line: what is an answer is taken, nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest
import uvloop
from modbus_peers import WIRES, Asked, Certificates, Handler, Peer, PtyPeer, SocketPeer, make_certificates, words

from collector.modbus_line import ModbusLine
from collector.polled import Station
from devices.dialogue import Answer, MeterAddress, Refused
from devices.plan import ReadRequest
from plant.errors import DeviceNonsense, DeviceSilent, TransportError

ONE, TWO = (Station(MeterAddress(f"m{unit}", f"unit {unit}"), unit) for unit in (1, 2))
PAIR = ReadRequest("holding", 10, 2)
OTHER = ReadRequest("holding", 20, 2)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


class Open(Protocol):
    """Opens a peer that does what the handler says, and the line to it."""

    def __call__(self, handler: Handler, **settings: object) -> AbstractAsyncContextManager[tuple[Peer, ModbusLine]]: ...


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(wire: str, tmp_path: Path, request: pytest.FixtureRequest) -> Open:
    @asynccontextmanager
    async def open_(handler: Handler, **settings: object) -> AsyncIterator[tuple[Peer, ModbusLine]]:
        peer: SocketPeer | PtyPeer
        folder = tmp_path
        if wire == "modbus_rtu":
            peer = PtyPeer(tmp_path / "ttyS0", handler)
        elif wire == "modbus_tls":
            made: Certificates = request.getfixturevalue("certificates")
            folder, peer = made.folder, SocketPeer(wire, handler, made.server_context())
            settings = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"} | settings
        else:
            peer = SocketPeer(wire, handler)
        await peer.start()
        line = ModbusLine(peer.endpoint(**settings), folder=folder)
        try:
            await line.connect()
            yield peer, line
        finally:
            line.close()
            await peer.stop()

    return open_


def scripted(*steps: Callable[[Peer, Asked], Awaitable[None] | None]) -> Handler:
    """One step a request, the last one for all further ones."""
    left = list(steps)

    async def handle(peer: Peer, asked: Asked) -> None:
        done = (left.pop(0) if len(left) > 1 else left[0])(peer, asked)
        if done is not None:
            await done

    return handle


def words_of(answer: Answer) -> list[int]:
    """The words of an answer that is no refusal."""
    assert not isinstance(answer, Refused)
    return list(answer)


def good(peer: Peer, asked: Asked) -> None:
    """Serve each register's own address."""
    peer.send(peer.frame(asked, words(*range(asked.address, asked.address + asked.count))))


def silent(peer: Peer, asked: Asked) -> None:
    """Do nothing."""


async def test_words_are_taken(opened: Open) -> None:
    async with opened(scripted(good)) as (peer, line):
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]
        assert words_of(await line.ask(ReadRequest("input", 65_000, 125), TWO)) == list(range(65_000, 65_125))
    first, second = peer.asked
    assert (first.unit, first.function, first.address, first.count) == (1, 3, 10, 2)
    assert (second.unit, second.function, second.address, second.count) == (2, 4, 65_000, 125)


async def test_bits_are_taken_lowest_first(opened: Open) -> None:
    async with opened(scripted(lambda peer, asked: peer.send(peer.frame(asked, b"\x02\xcd\x01")))) as (peer, line):
        assert words_of(await line.ask(ReadRequest("coil", 19, 9), ONE)) == [1, 0, 1, 1, 0, 0, 1, 1, 1]
        assert words_of(await line.ask(ReadRequest("discrete", 19, 10), ONE)) == [1, 0, 1, 1, 0, 0, 1, 1, 1, 0]
    assert [asked.function for asked in peer.asked] == [1, 2]


async def test_an_exception_is_a_refusal_and_the_line_goes_on(opened: Open) -> None:
    def refuse(peer: Peer, asked: Asked) -> None:
        peer.send(peer.frame(asked, b"\x02", function=asked.function | 0x80))

    async with opened(scripted(refuse, good)) as (_, line):
        assert await line.ask(PAIR, ONE) == Refused(2)
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]


async def test_a_gateway_that_speaks_for_a_silent_unit_is_believed(opened: Open) -> None:
    def absent(peer: Peer, asked: Asked) -> None:
        peer.send(peer.frame(asked, b"\x0b", function=asked.function | 0x80))

    async with opened(scripted(absent, good)) as (_, line):
        with pytest.raises(DeviceSilent, match="gateway's word"):
            await line.ask(PAIR, ONE)
        assert words_of(await line.ask(PAIR, TWO)) == [10, 11]


async def test_silence_costs_its_unit_alone(opened: Open) -> None:
    async with opened(scripted(silent, good)) as (peer, line):
        with pytest.raises(DeviceSilent, match=r"no answer within 0\.05 s"):
            await line.ask(PAIR, ONE, 0.05)
        assert words_of(await line.ask(PAIR, TWO)) == [10, 11]
    assert peer.connections == 1


async def test_silences_alone_never_close_the_line(opened: Open) -> None:
    async with opened(scripted(*[silent] * 12, good), timeout_s=0.01) as (peer, line):
        for _ in range(12):
            with pytest.raises(DeviceSilent):
                await line.ask(PAIR, ONE)
        assert line.answers == 0
        assert words_of(await line.ask(PAIR, TWO, 5.0)) == [10, 11]
        assert line.answers == 1
    assert peer.connections == 1


async def test_a_request_beyond_the_last_register_is_not_sent(opened: Open) -> None:
    async with opened(scripted(good)) as (peer, line):
        with pytest.raises(DeviceNonsense, match="a request beyond register 65535, which is not sent"):
            await line.ask(ReadRequest("holding", 65_530, 7), ONE)
        assert words_of(await line.ask(ReadRequest("holding", 65_530, 6), ONE)) == list(range(65_530, 65_536))
    assert len(peer.asked) == 1


async def test_the_cap_on_requests_holds_over_reconnects(opened: Open) -> None:
    arrivals: list[float] = []

    def note(peer: Peer, asked: Asked) -> None:
        arrivals.append(asyncio.get_running_loop().time())
        good(peer, asked)

    async with opened(scripted(note), requests_per_s_max=10.0) as (_, line):
        for _ in range(3):
            await line.ask(PAIR, ONE)
            await line.connect()
    assert arrivals[2] - arrivals[0] >= 2 * 0.1 - 0.005


@pytest.mark.parametrize("wire", ["modbus_rtu_over_tcp", "modbus_rtu"], indirect=True)
@pytest.mark.parametrize("late_s", [0.1, 0.19, 0.25])
async def test_an_answer_of_whatever_delay_is_never_taken_for_another_register(opened: Open, late_s: float) -> None:
    def slow(peer: Peer, asked: Asked) -> None:
        asyncio.get_running_loop().call_later(late_s, good, peer, asked)

    async with opened(scripted(slow, slow, slow, good), timeout_s=0.1) as (_, line):
        for address in (100, 200, 300):
            try:
                assert words_of(await line.ask(ReadRequest("holding", address, 1), ONE, 0.05)) == [address]
            except DeviceSilent:
                assert line.wait_s(ONE) > 0.1
                assert line.wait_s(TWO) == 0
        assert words_of(await line.ask(ReadRequest("holding", 400, 1), ONE)) == [400]
        assert line.counters["stale_answers"] >= 1
        assert line.wait_s(ONE) == 0


@pytest.mark.parametrize("wire", ["modbus_rtu_over_tcp", "modbus_rtu"], indirect=True)
async def test_the_late_answer_of_one_unit_is_not_taken_for_its_neighbours(opened: Open) -> None:
    kept: list[bytes] = []

    def keep(peer: Peer, asked: Asked) -> None:
        kept.append(peer.frame(asked, words(666, 667)))

    def late_and_good(peer: Peer, asked: Asked) -> None:
        peer.send(kept.pop())
        good(peer, asked)

    async with opened(scripted(keep, late_and_good)) as (_, line):
        with pytest.raises(DeviceSilent):
            await line.ask(PAIR, ONE, 0.05)
        assert words_of(await line.ask(PAIR, TWO)) == [10, 11]
        assert line.counters["mismatched_answers"] == 1


async def test_bytes_may_come_one_by_one(opened: Open) -> None:
    async def dribble(peer: Peer, asked: Asked) -> None:
        for byte in peer.frame(asked, words(7, 8)):
            peer.send(bytes([byte]))
            await asyncio.sleep(0.001)

    async with opened(dribble, timeout_s=5.0) as (_, line):
        assert words_of(await line.ask(PAIR, ONE)) == [7, 8]


async def test_half_an_answer_is_none_and_its_other_half_harms_nobody(opened: Open) -> None:
    rest = b""

    def half(peer: Peer, asked: Asked) -> None:
        nonlocal rest
        whole = peer.frame(asked, words(1, 2))
        rest = whole[6:]
        peer.send(whole[:6])

    def rest_and_good(peer: Peer, asked: Asked) -> None:
        peer.send(rest + peer.frame(asked, words(20, 21)))

    async with opened(scripted(half, rest_and_good)) as (_, line):
        with pytest.raises(DeviceNonsense, match="got 6 bytes that are no whole Modbus answer"):
            await line.ask(PAIR, ONE, 0.05)
        assert words_of(await line.ask(OTHER, ONE)) == [20, 21]


async def test_garbage_before_an_answer_is_stepped_over(opened: Open) -> None:
    def noisy(peer: Peer, asked: Asked) -> None:
        peer.send(b"\x00\xff\xff\x13\x37\xff\xaa\xbb\xcc" + peer.frame(asked, words(1, 2)))

    async with opened(scripted(noisy, good)) as (_, line):
        assert words_of(await line.ask(PAIR, ONE)) == [1, 2]
        assert line.counters["garbage_bytes"] == 9
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]


async def test_garbage_alone_is_no_answer(opened: Open) -> None:
    async with opened(scripted(lambda peer, _: peer.send(b"HTTP/1.1 400 Bad Request\r\n"), good)) as (_, line):
        with pytest.raises((DeviceNonsense, DeviceSilent)):
            await line.ask(PAIR, ONE, 0.05)
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]


async def test_a_late_answer_is_dropped_and_counted(opened: Open) -> None:
    async def late(peer: Peer, asked: Asked) -> None:
        await asyncio.sleep(0.35)
        peer.send(peer.frame(asked, words(666, 667)))

    async with opened(scripted(late, good)) as (_, line):
        with pytest.raises(DeviceSilent):
            await line.ask(PAIR, ONE, 0.3)
        assert words_of(await line.ask(OTHER, ONE)) == [20, 21]
        assert line.counters["stale_answers"] == 1


async def test_a_second_answer_to_one_request_is_dropped(opened: Open) -> None:
    def twice(peer: Peer, asked: Asked) -> None:
        good(peer, asked)
        good(peer, asked)

    async with opened(scripted(twice, good)) as (_, line):
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]
        await asyncio.sleep(0.02)
        assert words_of(await line.ask(OTHER, ONE)) == [20, 21]


@pytest.mark.parametrize("wrong", [{"unit": 2}, {"function": 4}])
async def test_the_answer_of_another_unit_or_function_is_never_taken(opened: Open, wrong: dict[str, int]) -> None:
    def mistaken(peer: Peer, asked: Asked) -> None:
        peer.send(peer.frame(asked, words(666, 667), **wrong))

    def mistaken_then_good(peer: Peer, asked: Asked) -> None:
        mistaken(peer, asked)
        good(peer, asked)

    async with opened(scripted(mistaken, mistaken_then_good)) as (_, line):
        with pytest.raises(DeviceSilent):
            await line.ask(PAIR, ONE, 0.05)
        assert line.counters["mismatched_answers"] == 1
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]
        assert line.counters["mismatched_answers"] == 2


async def test_a_short_answer_is_nonsense_at_once(opened: Open) -> None:
    def short(peer: Peer, asked: Asked) -> None:
        peer.send(peer.frame(asked, words(1)))

    async with opened(scripted(short, good), timeout_s=300.0) as (_, line):
        with pytest.raises(DeviceNonsense, match="expected 2 words from holding 10, got 1;"):
            await line.ask(PAIR, ONE)
        assert words_of(await line.ask(PAIR, TWO)) == [10, 11]


async def test_a_lost_line_is_noticed_in_mid_answer_and_can_be_opened_again(opened: Open) -> None:
    def leave(peer: Peer, asked: Asked) -> None:
        peer.send(peer.frame(asked, words(1, 2))[:4])
        peer.hang_up()

    # with this time-out the test ends only if the loss itself is noticed
    async with opened(scripted(leave, good), timeout_s=300.0) as (peer, line):
        with pytest.raises(TransportError, match="was closed from there"):
            await line.ask(PAIR, ONE)
        with pytest.raises(TransportError, match="connecting anew"):
            await line.ask(PAIR, ONE)
        if isinstance(peer, PtyPeer):
            with pytest.raises(TransportError, match="does not open: no such file"):
                await line.connect()
            await peer.start()
        await line.connect()
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]
    assert peer.connections == 2


async def test_pauses_and_the_cap_on_requests_are_kept(opened: Open) -> None:
    arrivals: list[float] = []

    def note(peer: Peer, asked: Asked) -> None:
        arrivals.append(asyncio.get_running_loop().time())
        good(peer, asked)

    async with opened(scripted(note), pause_between_s=0.03, requests_per_s_max=50.0, pause_after_connect_s=0.04) as (_, line):
        begun = asyncio.get_running_loop().time()
        for _ in range(4):
            await line.ask(PAIR, ONE)
    assert arrivals[0] - begun >= 0.03
    assert arrivals[3] - arrivals[0] >= 3 * 0.03 - 0.005


async def test_asking_before_connecting_is_a_fault_of_the_line(opened: Open) -> None:
    async with opened(scripted(good)) as (_, line):
        line.close()
        with pytest.raises(TransportError, match="connecting anew"):
            await line.ask(PAIR, ONE)


@pytest.mark.parametrize("wire", ["modbus_tcp", "modbus_tls"], indirect=True)
async def test_the_answer_to_another_transaction_is_never_taken(opened: Open) -> None:
    def mistaken(peer: Peer, asked: Asked) -> None:
        peer.send(peer.frame(asked, words(666, 667), shift=-1), peer.frame(asked, words(666, 667), shift=7))
        good(peer, asked)

    async with opened(scripted(mistaken)) as (_, line):
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]
        assert line.counters["stale_answers"] == 2


@pytest.mark.parametrize("wire", ["modbus_rtu_over_tcp", "modbus_rtu"], indirect=True)
async def test_a_wrong_checksum_is_counted_and_never_taken(opened: Open) -> None:
    def spoilt(peer: Peer, asked: Asked) -> None:
        whole = bytearray(peer.frame(asked, words(1, 2)))
        whole[4] ^= 0x10
        peer.send(bytes(whole))

    async with opened(scripted(spoilt, good)) as (_, line):
        with pytest.raises(DeviceNonsense, match="got 9 bytes that are no whole Modbus answer"):
            await line.ask(PAIR, ONE, 0.05)
        assert line.counters["crc_errors"] == 1
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]


@pytest.mark.parametrize("wire", ["modbus_rtu"], indirect=True)
async def test_a_serial_port_is_opened_once(opened: Open) -> None:
    async with opened(scripted(good)) as (peer, line):
        second = ModbusLine(peer.endpoint())
        with pytest.raises(TransportError, match=r"does not open: .*nothing else has it open"):
            await second.connect()
        assert words_of(await line.ask(PAIR, ONE)) == [10, 11]


@pytest.mark.parametrize("wire", ["modbus_tls"], indirect=True)
async def test_a_server_of_another_authority_is_refused(opened: Open, certificates: Certificates) -> None:
    async with opened(scripted(good)) as (peer, _):
        settings = {"ca_file": "stranger.pem", "cert_file": "client.pem", "key_file": "client.key"}
        for chosen in (settings, settings | {"ca_file": ""}):
            with pytest.raises(TransportError, match=r"certificate of localhost:[0-9]+ is refused"):
                await ModbusLine(peer.endpoint(**chosen), folder=certificates.folder).connect()


@pytest.mark.parametrize("wire", ["modbus_tls"], indirect=True)
async def test_a_client_without_certificate_is_told_so(opened: Open, certificates: Certificates) -> None:
    async with opened(scripted(good)) as (peer, _):
        line = ModbusLine(peer.endpoint(ca_file="ca.pem", timeout_s=300.0), folder=certificates.folder)
        await line.connect()  # TLS 1.3 refuses it after the handshake
        with pytest.raises(TransportError, match="wants another client certificate: check cert_file"):
            await line.ask(PAIR, ONE)
        assert peer.asked == []


@pytest.mark.parametrize("wire", ["modbus_tls"], indirect=True)
async def test_tls_files_that_are_none_are_named(opened: Open, certificates: Certificates) -> None:
    async with opened(scripted(good)) as (peer, _):
        for files in ({"ca_file": "missing.pem"}, {"ca_file": "ca.pem", "cert_file": "ca.key"}):
            with pytest.raises(TransportError, match=r"TLS files .*check ca_file, cert_file and key_file"):
                await ModbusLine(peer.endpoint(**files), folder=certificates.folder).connect()


def test_a_serial_line_works_on_the_loop_that_the_program_uses(tmp_path: Path) -> None:
    async def talk() -> list[int]:
        peer = PtyPeer(tmp_path / "ttyS0", scripted(good))
        await peer.start()
        line = ModbusLine(peer.endpoint())
        try:
            await line.connect()
            return words_of(await line.ask(PAIR, ONE))
        finally:
            line.close()
            await peer.stop()

    assert uvloop.run(talk()) == [10, 11]
