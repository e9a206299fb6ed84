"""The intake, the inbox, pauses and words of the MQTT source that need no broker."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from collector_blocks import SteppedClock, block, numbers
from hypothesis import given
from hypothesis import strategies as st

from collector.inbox import Inbox, Sorted
from collector.intake import LAYOUTS_MAX, Intake
from collector.mqtt import MqttSource, pause_s
from collector.mqtt5_fast import FastLink
from collector.mqtt311_compat import CompatibleLink
from collector.mqtt_health import BrokerHealth
from collector.mqtt_link import BrokerSettings, Delivery, Session
from collector.quarantine import Quarantine
from collector.spool import Spool
from collector.stamps import Stamps
from devices.catalog import shipped_profiles
from devices.payload_map import PayloadPoint
from plant.errors import SpoolFull, TransportError
from plant.quality import Quality
from plant.site import Endpoint, Meter, SpoolSettings
from potwatt.board import Board
from potwatt.live_bus import LiveBus

PROFILES = shipped_profiles()
METER = Meter("feeder", "sim_feeder_mqtt", "b", topic="plant/feeder", silent_after_s=30)
ENDPOINT = Endpoint("b", "mqtt", "h", 1)
T_MS = 1_795_147_200_250


def delivery(topic: str = "plant/feeder", t_ms: int = T_MS) -> Delivery:
    return Delivery(
        topic,
        b'{"ts": %d, "seq": 7, "p_kw": 8, "e_imp_kwh": 9, "e_exp_kwh": 0}' % t_ms,
        retained=False,
        packet_id=1,
        received_ns=0,
    )


async def test_durable_before_live(tmp_path: Path) -> None:
    bus, board = LiveBus(), Board()
    spool = Spool(tmp_path, SpoolSettings(max_mib=8, commit_ms=1), SteppedClock(), board)
    await spool.open()
    intake = Intake(spool, {}, bus, board)
    await intake([block(3), block(0)])
    assert bus.latest()["m-1"].value["energy_import"] == 2
    with pytest.raises(SpoolFull):
        await intake([block(1000, first=n) for n in range(0, 500_000, 1000)])
    assert bus.latest()["m-1"].value["energy_import"] == 2
    assert numbers((await spool.read(spool.start, 10))[0]) == [0, 1, 2]
    await spool.close()


async def test_intake_screens_by_the_profile(tmp_path: Path) -> None:
    bus, board = LiveBus(), Board()
    spool = Spool(tmp_path, SpoolSettings(commit_ms=1), SteppedClock(), board)
    await spool.open()
    rectifier = PROFILES["sim_rectifier_dc_meter"]
    given_block = block(1, profile=rectifier.id, quantities=rectifier.quantities)
    given_block.value[:] = [[700.0, 800.0, 560_000.0, 1.0, 1.0]]
    await Intake(spool, PROFILES, bus, board)([given_block])
    (stored,), _ = await spool.read(spool.start, 10)
    assert stored.quality[0].tolist() == [int(Quality.INVALID | Quality.OUT_OF_RANGE), 0, 0, 0, 0]
    assert board.counters()["screened_values", (("profile", rectifier.id),)] == 1
    await spool.close()


def test_inbox_keeps_the_order_and_the_bound_of_a_block() -> None:
    inbox = Inbox("smelter", [METER], PROFILES)
    out = inbox.sort([delivery(t_ms=T_MS + n) for n in range(2300)])
    assert [len(b) for b in out.blocks] == [1000, 1000, 300]
    assert [t for b in out.blocks for t in b.t_ns.tolist()] == [(T_MS + n) * 10**6 for n in range(2300)]


TIMELESS = replace(PROFILES["sim_feeder_mqtt"], id="timeless", mqtt=replace(PROFILES["sim_feeder_mqtt"].mqtt, time=None))
CLOCKLESS = replace(METER, profile="timeless")


def received(*seconds: float) -> list[Delivery]:
    return [msgspec.structs.replace(delivery(), received_ns=T_MS * 10**6 + round(s * 1e9)) for s in seconds]


def test_two_messages_without_time_are_never_one_instant() -> None:
    inbox = Inbox("smelter", [CLOCKLESS], {"timeless": TIMELESS})
    blocks = inbox.sort(received(0, 0, 0.0004, 5)).blocks + inbox.sort(received(5, 6)).blocks
    assert [t // 10**6 - T_MS for b in blocks for t in b.t_ns.tolist()] == [0, 1, 2, 5000, 5001, 6000]


def test_a_retained_message_counts_only_where_it_says_when_it_was_measured() -> None:
    retained = [msgspec.structs.replace(delivery(), retained=True)]
    assert Inbox("smelter", [CLOCKLESS], {"timeless": TIMELESS}).sort(retained) == Sorted(stale=1)
    assert len(Inbox("smelter", [METER], PROFILES).sort(retained).blocks) == 1


def test_what_was_queued_while_we_were_away_is_counted_and_not_taken_for_now() -> None:
    inbox = Inbox("smelter", [CLOCKLESS], {"timeless": TIMELESS})
    inbox.connected(Session.RESUMED, T_MS * 10**6)
    out = inbox.sort(received(0.01, 0.02, 0.1, 0.25, 1.25, 1.3))
    assert out.stale == 4
    assert [t // 10**6 - T_MS for b in out.blocks for t in b.t_ns.tolist()] == [1250, 1300]
    inbox.connected(Session.NEW, T_MS * 10**6)
    assert inbox.sort(received(2.0)).stale == 0, "a new session has no queue"


def test_the_queue_of_a_broker_is_one_for_all_its_meters() -> None:
    other = replace(CLOCKLESS, id="other", topic="plant/other")
    inbox = Inbox("smelter", [CLOCKLESS, other], {"timeless": TIMELESS})
    inbox.connected(Session.RESUMED, T_MS * 10**6)
    busy = received(*(n / 100 for n in range(50)))
    late = [msgspec.structs.replace(d, topic="plant/other") for d in received(0.5, 0.8)]
    out = inbox.sort([*busy, *late])
    assert out.stale == 51, "queued behind those of the other meter"
    assert [t // 10**6 - T_MS for b in out.blocks for t in b.t_ns.tolist()] == [800]


def test_a_clock_that_is_set_back_does_not_squeeze_what_comes_after_it() -> None:
    inbox = Inbox("smelter", [CLOCKLESS], {"timeless": TIMELESS})
    first, late = inbox.sort(received(0, 3600, 3599.5)), inbox.sort(received(10, 20, 30))
    stamped = [[t // 10**6 - T_MS for b in out.blocks for t in b.t_ns.tolist()] for out in (first, late)]
    assert stamped == [[0, 3_600_000, 3_600_001], [10_000, 20_000, 30_000]]
    assert (first.set_back_s, late.set_back_s) == (0.0, 3590.0)
    clock, board = SteppedClock(T_MS * 10**6), Board()
    health = BrokerHealth(ENDPOINT, [CLOCKLESS], clock, board)
    health.up(Session.NEW, None, None)
    health.note(late, clock.t_ns)
    health.report()
    assert "the clock of this computer went back 3590 s" in next(h for h in board.all() if h.part == "broker:b").detail


NUMBERED = replace(TIMELESS, id="numbered", mqtt=replace(TIMELESS.mqtt, sequence="/seq", sequence_modulus=256))


def numbered(*numbers: int, first_s: float = 0.0, sent_again: bool = False) -> list[Delivery]:
    payloads = [b'{"seq": %d, "p_kw": 8, "e_imp_kwh": 9, "e_exp_kwh": 0}' % (n % 256) for n in numbers]
    at_s = [first_s + n for n in range(len(numbers))]
    return [
        msgspec.structs.replace(d, payload=payload, sent_again=sent_again)
        for d, payload in zip(received(*at_s), payloads, strict=True)
    ]


def instants(out: Sorted) -> list[int]:
    return [t // 10**9 - T_MS // 1000 for b in out.blocks for t in b.t_ns.tolist()]


def test_a_meter_that_stands_still_goes_on_although_its_numbers_wrap(tmp_path: Path) -> None:
    inbox = Inbox("smelter", [replace(METER, profile="numbered")], {"numbered": NUMBERED}, stamps=Stamps(tmp_path / "s"))
    out = inbox.sort(numbered(*range(2_000)))
    assert out.repeated == 0
    assert instants(out) == list(range(2_000))


@pytest.mark.parametrize("sent_again", [True, False])
def test_more_than_a_meter_s_last_messages_come_again_and_keep_their_instants(tmp_path: Path, sent_again: bool) -> None:
    counts_on = replace(NUMBERED, mqtt=replace(NUMBERED.mqtt, sequence_modulus=0 if not sent_again else 256))  # type: ignore[type-var]
    inbox = Inbox("smelter", [replace(METER, profile="numbered")], {"numbered": counts_on}, stamps=Stamps(tmp_path / "s"))
    count = 5_000 if sent_again else 256
    first = inbox.sort(numbered(*range(count)))
    again = inbox.sort(numbered(*range(count), first_s=90_000, sent_again=sent_again))
    assert again.repeated == count
    assert set(instants(again)) <= set(instants(first))


def test_a_device_that_sends_again_is_known_once(tmp_path: Path) -> None:
    inbox = Inbox("smelter", [replace(METER, profile="numbered")], {"numbered": NUMBERED}, stamps=Stamps(tmp_path / "s"))
    out = inbox.sort(numbered(5, 6, 7, 6, 7, 8, 7))
    assert instants(out) == [0, 1, 2, 1, 2, 5, 6]
    assert out.repeated == 2, "a number that comes a third time is another message"


EVENTS = replace(
    TIMELESS,
    id="events",
    mqtt=replace(TIMELESS.mqtt, sequence="/seq", points=(PayloadPoint("metal_tapped", "/p_kw", Fraction(1)),)),
    limits={},
    checks=(),
)


def test_an_amount_without_time_that_was_queued_goes_to_quarantine() -> None:
    inbox = Inbox("smelter", [replace(METER, profile="events")], {"events": EVENTS})
    inbox.connected(Session.RESUMED, T_MS * 10**6)
    out = inbox.sort(received(0.1, 5))
    assert (out.stale, [len(b) for b in out.blocks]) == (0, [1])
    assert "nobody knows when its metal_tapped belongs" in out.rejected[0].reason


def test_a_meter_that_nobody_hears_is_not_put_on_the_board_again() -> None:
    class Counting(Board):
        sets = 0

        def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
            self.sets += part.startswith("meter:")
            super().set(part, state, detail, **numbers)

    clock, board = SteppedClock(T_MS * 10**6), Counting()
    health = BrokerHealth(ENDPOINT, [METER], clock, board)
    for _ in range(20):
        health.report()
        clock.t_ns += 10**9
    assert board.sets == 1
    clock.t_ns += 60 * 10**9
    health.report()
    assert board.sets == 2


def test_rules_of_devices_that_report_by_exception_are_bounded() -> None:
    intake = Intake(None, PROFILES, LiveBus(), Board())  # type: ignore[arg-type]
    names = PROFILES["sim_rectifier_dc_meter"].quantities
    for layout in range(LAYOUTS_MAX + 200):
        intake._rules("sim_rectifier_dc_meter", tuple(names[layout >> 3 * n & 3] for n in range(4)))
    assert intake._rules.cache_info().currsize <= LAYOUTS_MAX


def test_a_meter_that_never_pauses_is_believed_after_a_minute() -> None:
    inbox = Inbox("smelter", [CLOCKLESS], {"timeless": TIMELESS})
    inbox.connected(Session.RESUMED, T_MS * 10**6)
    assert inbox.sort(received(*(n / 10 for n in range(700)))).stale == 601


async def test_a_frame_that_no_record_holds_goes_to_quarantine_alone(tmp_path: Path) -> None:
    clock, board = SteppedClock(), Board()
    spool = Spool(tmp_path / "spool", SpoolSettings(commit_ms=1), clock, board)
    quarantine = Quarantine(tmp_path / "q", clock, board)
    await spool.open()
    source = MqttSource(
        Endpoint("b", "mqtt", "h", 1),
        [METER],
        PROFILES,
        plant="smelter",
        sink=Intake(spool, {}, LiveBus(), board),
        quarantine=quarantine,
        clock=clock,
        health=board,
        secrets={},
        state_dir=tmp_path,
    )
    events = block(5, event_ids=("a", "b", "\ud800", "d", "e"), quantities=("pot_number", "metal_tapped"))
    await source._offer([events, block(2, first=10)])
    assert sorted(numbers((await spool.read(spool.start, 100))[0])) == [0, 1, 3, 4, 10, 11]
    (entry,) = await quarantine.entries()
    assert "surrogates not allowed" in str(entry["reason"]) and b"ud800" in entry["payload"]
    await spool.close()


@pytest.mark.parametrize("link", [FastLink, CompatibleLink])
async def test_a_host_that_no_name_can_be_is_told(link: type[FastLink | CompatibleLink]) -> None:
    settings = BrokerSettings("a" * 64 + ".plant", 1883, "c", ("t",), 1.0)
    made = link(settings, SteppedClock())
    with pytest.raises(TransportError, match="check that it runs, its address, port and tls"):
        await made.open()
    await made.close()


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_pause_is_bounded(failures: int, chance: float) -> None:
    assert 0.25 <= pause_s(failures, chance) <= 30.0


def test_password_is_in_no_text() -> None:
    settings = BrokerSettings.of(Endpoint("b", "mqtt", "h", 1, password_env="P"), "smelter", ["t"], {"P": "very-secret"})
    assert settings.password == "very-secret"
    assert settings.client_id == "potwatt-smelter-b"
    assert "very-secret" not in repr(settings) + str(settings.refused("no", credentials=True))


@pytest.mark.parametrize(
    ("offset_ms", "state", "said"),
    [
        (0, "ok", "last message 2026-11-20 04:00:00 UTC"),
        (3_600_000, "degraded", "3600 s ahead of the receipt: set the device's clock"),
        (-3_600_000, "degraded", "3600 s behind the receipt: set the device's clock, or its messages waited on the way"),
        (-T_MS, "degraded", "its clock was never set"),
    ],
)
def test_device_clock_is_told_and_changes_no_quality(offset_ms: int, state: str, said: str) -> None:
    clock, board = SteppedClock(T_MS * 10**6), Board()
    health = BrokerHealth(ENDPOINT, [METER], clock, board)
    health.up(Session.NEW, None, None)
    out = Inbox("smelter", [METER], PROFILES).sort([delivery(t_ms=T_MS + offset_ms)])
    health.note(out, clock.t_ns)
    clock.t_ns += 5 * 10**9
    health.report()
    found = next(h for h in board.all() if h.part == "meter:feeder")
    assert found.state == state
    assert said in found.detail
    assert not out.blocks[0].quality.any()


def test_silent_meter_is_told() -> None:
    clock, board = SteppedClock(), Board()
    health = BrokerHealth(ENDPOINT, [METER], clock, board)
    health.up(Session.RESUMED, None, None)
    clock.t_ns += 31 * 10**9
    health.report()
    found = next(h for h in board.all() if h.part == "meter:feeder")
    assert (found.state, found.detail) == (
        "down",
        "nothing on plant/feeder since 2026-11-18 11:06:40 UTC; check the device and its topic",
    )
