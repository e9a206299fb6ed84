"""The record of one polled meter: when it is introduced anew, and what its health says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from collector.modbus import ModbusDialect
from collector.polled import ASK_AGAIN_NS, ASK_SOON_NS, PolledMeter
from devices.catalog import shipped_profiles
from devices.dialogue import Introduction
from devices.plan import ReadRequest
from plant.site import Meter

DC = shipped_profiles()["sim_rectifier_dc_meter"]


def test_what_a_meter_refused_is_asked_for_again_after_minutes() -> None:
    meter = PolledMeter(Meter("m", DC.id, "e"), DC, "here", ModbusDialect())
    assert meter.is_stranger(0)
    whole = Introduction((), np.zeros(5, bool), ())
    meter.introduced(whole, 1_000)
    assert not meter.is_stranger(1_000 + 10 * ASK_AGAIN_NS)
    meter.introduced(replace(whole, absent=np.array([True] + [False] * 4), holes=(ReadRequest("input", 200, 2),)), 1_000)
    assert not meter.is_stranger(999 + ASK_AGAIN_NS)
    assert meter.is_stranger(1_000 + ASK_AGAIN_NS)


def test_what_a_meter_left_unanswered_is_asked_for_again_soon_and_then_ever_later() -> None:
    meter = PolledMeter(Meter("m", DC.id, "e"), DC, "here", ModbusDialect())
    hole = (ReadRequest("input", 200, 2),)
    unsure = Introduction((), np.array([True] + [False] * 4), hole, unanswered=hole)
    for wait_ns in (ASK_SOON_NS, 2 * ASK_SOON_NS, 4 * ASK_SOON_NS, 8 * ASK_SOON_NS, 16 * ASK_SOON_NS, ASK_AGAIN_NS, ASK_AGAIN_NS):
        meter.introduced(unsure, 1_000)
        assert not meter.is_stranger(999 + wait_ns)
        assert meter.is_stranger(1_000 + wait_ns)
    assert meter.state() == (
        "degraded",
        f"leaves unanswered input 200-201, so {DC.quantities[0]} is missing; check that the profile fits the firmware",
    )


def test_another_serial_number_than_before_is_told() -> None:
    meter = PolledMeter(Meter("m", DC.id, "e"), DC, "here", ModbusDialect())
    first = Introduction((), np.zeros(5, bool), (), description={"serial": "A1"})
    for known in (first, replace(first, description={}), first):
        meter.introduced(known, 1_000)
        assert meter.state() == ("ok", "answers")
    meter.introduced(replace(first, description={"serial": "B2"}), 1_000)
    state, detail = meter.state()
    assert state == "degraded"
    assert detail.startswith("serial number B2 answers where A1 did before; if the meter was exchanged")


def test_the_serial_number_of_the_site_is_asked_for() -> None:
    meter = PolledMeter(Meter("m", DC.id, "e", serial="A1"), DC, "here", ModbusDialect())
    assert meter.station.name.serial == "A1"
