"""Sparkplug B from deliveries to blocks, quarantine and words: batches, episodes, deaths, what was kept by the device."""

from __future__ import annotations

from pathlib import Path

import pytest
from collector_blocks import SteppedClock

from collector.inbox import Inbox, Sorted
from collector.mqtt_health import BrokerHealth
from collector.mqtt_link import Delivery, Session
from collector.payloads.formats import sparkplug_host
from collector.quarantine import Quarantine
from devices.catalog import shipped_profiles
from devices.sparkplug import DataType, Metric, Payload
from devices.sparkplug_wire import encode
from plant.site import Endpoint, Meter
from potwatt.board import Board

PROFILES = {"sim_edge_sparkplug": shipped_profiles()["sim_edge_sparkplug"]}
DEVICE = "spBv1.0/g/{}/n/d"
METER = Meter("m", "sim_edge_sparkplug", "b", topic=DEVICE.format("DDATA"), silent_after_s=30)
T_MS = 1_795_147_200_000
POWER, IMPORT = "Power/Active", "Energy/Active Import"


class Line:
    """Edge node n with device d, the inbox and the health of its broker."""

    def __init__(self) -> None:
        self.clock, self.board, self.seq = SteppedClock(), Board(), -1
        self.inbox = Inbox("p", [METER], PROFILES, host=sparkplug_host([METER], PROFILES))
        self.health = BrokerHealth(Endpoint("b", "mqtt", "h", 1), [METER], self.clock, self.board)
        self.health.up(Session.NEW, None, None)

    def message(self, kind: str, *metrics: Metric, retained: bool = False) -> Delivery:
        self.seq = 0 if kind == "NBIRTH" else self.seq + 1
        topic = f"spBv1.0/g/{kind}/n" if kind[0] == "N" else DEVICE.format(kind)
        payload = encode(Payload(self.clock.now_ns() // 10**6, self.seq, metrics))
        return Delivery(topic, payload, retained=retained, packet_id=None, received_ns=self.clock.now_ns())

    def births(self) -> list[Delivery]:
        return [
            self.message("NBIRTH", Metric("bdSeq", 1, DataType.INT64)),
            self.message("DBIRTH", Metric(POWER, 1.0, DataType.DOUBLE, alias=1), Metric(IMPORT, 5.0, DataType.DOUBLE, alias=2)),
        ]

    def sort(self, *deliveries: Delivery) -> Sorted:
        batch = self.inbox.sort(deliveries)
        self.health.note(batch, self.clock.now_ns())
        self.health.report()
        return batch

    def power(self, kw: float) -> Delivery:
        return self.message("DDATA", Metric("", kw, DataType.DOUBLE, alias=1))

    @property
    def meter(self) -> tuple[str, str]:
        (found,) = (h for h in self.board.all() if h.part == "meter:m")
        return found.state, found.detail


@pytest.fixture
def line() -> Line:
    return Line()


def test_a_batch_makes_one_block_of_each_set_of_quantities(line: Line) -> None:
    line.sort(*line.births())
    batch = line.sort(*(line.power(float(i)) for i in range(50)))
    (block,) = batch.blocks
    assert block.value[:, 0].tolist() == [float(i) for i in range(50)]


async def test_after_a_gap_one_message_goes_aside_and_the_meter_is_incomplete(line: Line, tmp_path: Path) -> None:
    line.sort(*line.births())
    line.seq += 1
    batches = [line.sort(line.power(2.0)) for _ in range(5)]
    assert [len(batch.rejected) for batch in batches] == [1, 0, 0, 0, 0]
    quarantine = Quarantine(tmp_path, line.clock, line.board)
    await quarantine.put(batches[0].rejected)
    assert line.meter[0] == "degraded"
    assert "incomplete until the next birth" in line.meter[1]
    assert line.board.counters()["sparkplug_unread", (("meter", "m"),)] == 5.0
    for _ in range(100):  # its meter speaks, whatever it says
        await line.clock.sleep(1.0)
        line.sort(line.power(2.0))
    assert line.meter[0] == "degraded"
    line.sort(line.message("DBIRTH", Metric(POWER, 1.0, DataType.DOUBLE, alias=1)))
    assert line.meter[0] == "ok"


def test_who_sends_after_its_death_is_not_offline(line: Line) -> None:
    line.sort(*line.births())
    assert line.sort(line.message("DDEATH")).offline == {"m": True}
    assert "offline" in line.meter[1]
    assert line.sort(line.message("DDATA", Metric(POWER, 3.0, DataType.DOUBLE))).offline == {"m": False}
    assert line.meter[0] == "ok"


def test_what_a_device_kept_is_stored_and_its_clock_not_blamed(line: Line) -> None:
    line.sort(*line.births())
    an_hour_ago = line.clock.now_ns() // 10**6 - 3_600_000
    batch = line.sort(line.message("DDATA", Metric("", 3.0, DataType.DOUBLE, an_hour_ago, alias=1, is_historical=True)))
    assert not batch.blocks
    assert [block.t_ns.tolist() for block in batch.historical] == [[an_hour_ago * 10**6]]
    assert line.meter[0] == "ok"


def test_a_retained_birth_names_nothing(line: Line) -> None:
    line.sort(*line.births())
    old = line.message("DBIRTH", Metric(IMPORT, 5.0, DataType.DOUBLE, alias=1), retained=True)
    line.seq -= 1
    assert line.sort(old).stale == 1
    (block,) = line.sort(line.power(7.0)).blocks
    assert block.quantities == ("active_power",)
