"""What the simulated devices publish is read back by the collector, in every format."""

from __future__ import annotations

import pytest

from collector.payloads.formats import decoder_of, sparkplug_host
from devices.catalog import shipped_profiles
from devices.payload import message
from plant.site import Meter
from simulators.mqtt_publisher import payloads
from simulators.sparkplug_node import EdgeNode, Sent

SHIPPED = {p.id: p for p in shipped_profiles().values() if p.mqtt is not None}
EDGE = SHIPPED["sim_edge_sparkplug"]
T_MS = 1_795_000_000_123
ROW = (-812.0, 1234567.75, 0.0)


@pytest.mark.parametrize("name", [name for name, p in SHIPPED.items() if p.mqtt and p.mqtt.format != "sparkplug"])
def test_payloads_of_every_profile_come_back(name: str) -> None:
    profile, map_ = SHIPPED[name], SHIPPED[name].mqtt
    assert map_ is not None
    values = {point.name: float(next(iter(point.states.values()), 3 + i)) for i, point in enumerate(map_.points)}
    said = message(map_, values, T_MS * 10**6, event_id="e-1" if profile.event else "", sequence=9)
    decoder = decoder_of(profile)
    got: dict[str, float] = {}
    for suffix, payload in payloads(map_, said):
        for block in decoder.blocks("p", decoder.decode("m", payload, T_MS * 10**6, suffix)):
            got |= dict(zip(block.quantities, block.value[0].tolist(), strict=True))
            assert block.t_ns.tolist() == [T_MS * 10**6]
    assert got == pytest.approx(values, rel=1e-12)


def test_an_edge_node_s_life() -> None:
    assert EDGE.mqtt is not None
    node = EdgeNode("smelter", "bus-1", {"m-1": EDGE.mqtt, "m-2": EDGE.mqtt})
    meters = [Meter(m, EDGE.id, "b", topic=f"spBv1.0/smelter/DDATA/bus-1/{m}") for m in ("m-1", "m-2")]
    host = sparkplug_host(meters, SHIPPED)
    assert host is not None
    rows: list[tuple[str, tuple[float, ...]]] = []

    def take(*sent: Sent) -> list[str]:
        offline: list[str] = []
        for one in sent:
            taken = host.take(one.topic, one.payload, 0)
            assert not taken.aside
            offline += taken.offline
            rows.extend((r.meter, tuple(r.raw)) for r in taken.readings.get(EDGE.id, ()))  # type: ignore[arg-type]
        return offline

    will = node.connect()
    take(*node.births(T_MS, {"m-1": ROW, "m-2": ROW}))
    take(*(node.data("m-2", T_MS + i, (float(i), 1.5, 2.5)) for i in range(1, 300)))
    assert len(rows) == 2 + 299 and rows[-1] == ("m-2", (299.0, 1.5, 2.5)) and rows[0] == ("m-1", ROW)
    assert take(node.death("m-1")) == ["m-1"]
    assert sorted(take(will)) == ["m-1", "m-2"]
