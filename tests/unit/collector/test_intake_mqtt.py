"""The intake, the inbox, pauses and words of the MQTT source that need no broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from collector_blocks import SteppedClock, block, numbers
from hypothesis import given
from hypothesis import strategies as st

from collector.inbox import Inbox
from collector.intake import Intake
from collector.mqtt import pause_s
from collector.mqtt_health import BrokerHealth
from collector.mqtt_link import BrokerSettings, Delivery, Session
from collector.spool import Spool
from devices.catalog import shipped_profiles
from plant.errors import SpoolFull
from plant.quality import Quality
from plant.site import Endpoint, Meter, SpoolSettings
from potwatt.board import Board
from potwatt.live_bus import LiveBus

PROFILES = shipped_profiles()
METER = Meter("feeder", "sim_feeder_mqtt", "b", topic="plant/feeder", silent_after_s=30)
T_MS = 1_795_147_200_250


def delivery(topic: str = "plant/feeder", t_ms: int = T_MS) -> Delivery:
    return Delivery(topic, b'{"ts": %d, "seq": 7, "p_kw": 8, "e_imp_kwh": 9, "e_exp_kwh": 0}' % t_ms, retained=False, packet_id=1)


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
    out = inbox.sort([delivery(t_ms=T_MS + n) for n in range(2300)], 0)
    assert [len(b) for b in out.blocks] == [1000, 1000, 300]
    assert [t for b in out.blocks for t in b.t_ns.tolist()] == [(T_MS + n) * 10**6 for n in range(2300)]


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
        (0, "ok", "last message 5 s ago"),
        (3_600_000, "degraded", "3600 s ahead of the receipt: set the device's clock"),
        (-3_600_000, "degraded", "3600 s behind the receipt: set the device's clock, or its messages waited on the way"),
        (-T_MS, "degraded", "its clock was never set"),
    ],
)
def test_device_clock_is_told_and_changes_no_quality(offset_ms: int, state: str, said: str) -> None:
    clock, board = SteppedClock(T_MS * 10**6), Board()
    health = BrokerHealth("b", [METER], clock, board)
    health.up(Session.NEW)
    out = Inbox("smelter", [METER], PROFILES).sort([delivery(t_ms=T_MS + offset_ms)], clock.t_ns)
    health.note(out, clock.t_ns)
    clock.t_ns += 5 * 10**9
    health.report()
    found = next(h for h in board.all() if h.part == "meter:feeder")
    assert found.state == state
    assert said in found.detail
    assert not out.blocks[0].quality.any()


def test_silent_meter_is_told() -> None:
    clock, board = SteppedClock(), Board()
    health = BrokerHealth("b", [METER], clock, board)
    health.up(Session.RESUMED)
    clock.t_ns += 31 * 10**9
    health.report()
    found = next(h for h in board.all() if h.part == "meter:feeder")
    assert (found.state, found.detail) == ("down", "nothing on plant/feeder for 31 s; check the device and its topic")
