"""Collectors, spool, forwarder and embedded store in one process, to be killed:

``kill_collector.py DIRECTORY BROKER_PORT GATEWAY_PORT [drain]``. Appends each polled instant to ``polls`` once it is
durable. With ``drain`` it ends by itself when nothing has come for a while and the spool is empty.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from kill_site import PLANT, PROFILES, site

from collector.forward import Forwarder
from collector.forward_step import ForwardSettings
from collector.gather import Gatherer
from collector.intake import Intake
from collector.modbus import ModbusCollector
from collector.mqtt import MqttSource
from collector.quarantine import Quarantine
from collector.spool import Spool
from plant.errors import StoreError
from plant.frame import FrameBlock
from plant.site import SpoolSettings, StoreSettings
from potwatt.board import Board
from potwatt.clock import SystemClock
from potwatt.live_bus import LiveBus
from storage.embedded import EmbeddedStore
from storage.ledger import SqlLedger

QUIET_S, LOOK_S = 2.0, 0.2


class CountedIntake:
    """Writes down which polls are durable, in a file that outlives the process."""

    def __init__(self, intake: Intake, file: Path) -> None:
        self._intake, self._file = intake, os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def __call__(self, blocks: list[FrameBlock]) -> None:
        await self._intake(blocks)
        lines = [f"{b.meter_of(row)} {b.t_ns[row]}\n" for b in blocks for row in range(len(b))]
        os.write(self._file, "".join(lines).encode())


async def store_opened(store: EmbeddedStore) -> None:
    """The store may be held by somebody else; sources and spool do not wait for it."""
    while True:
        try:
            return await store.setup()
        except StoreError:
            await asyncio.sleep(LOOK_S)


async def main(directory: Path, broker_port: int, gateway_port: int, drain: bool) -> None:
    clock, board, bus = SystemClock(), Board(), LiveBus()
    plan = site(broker_port, gateway_port)
    ledger = SqlLedger(f"sqlite:///{directory}/ledger.sqlite", clock)
    await ledger.setup()
    store = EmbeddedStore(directory / "store.duckdb", PLANT, StoreSettings())
    spool = Spool(directory / "spool", SpoolSettings(max_mib=64, segment_mib=1), clock, board)
    await spool.open()
    intake = Intake(spool, PROFILES, bus, board)
    quarantine = Quarantine(directory / "quarantine", clock, board)
    meters = list(plan.meters.values())
    gatherer = Gatherer(PLANT, sink=CountedIntake(intake, directory / "polls"), clock=clock, health=board)
    modbus = ModbusCollector(
        plan.endpoints["gateway"],
        [m for m in meters if m.endpoint == "gateway"],
        PROFILES,
        gatherer=gatherer,
        clock=clock,
        health=board,
    )
    mqtt = MqttSource(
        plan.endpoints["broker"],
        [m for m in meters if m.endpoint == "broker"],
        PROFILES,
        plant=PLANT,
        sink=intake,
        quarantine=quarantine,
        clock=clock,
        health=board,
        secrets={},
        state_dir=directory / "sessions",
    )
    forwarder = Forwarder(
        spool,
        store,
        ledger,
        site=plan,
        clock=clock,
        health=board,
        quarantine=quarantine,
        settings=ForwardSettings(frames_max=2_000, gather_s=0.1),
    )

    async def forward() -> None:
        await store_opened(store)
        await forwarder.run()

    sources = [asyncio.create_task(source.run()) for source in (gatherer, modbus, mqtt)]
    forwarding = asyncio.create_task(forward())
    if not drain:
        await asyncio.gather(*sources, forwarding)
    await drained(spool, board, sources)
    forwarding.cancel()
    await asyncio.gather(*sources, forwarding, return_exceptions=True)
    await spool.close()
    await store.close()
    await ledger.close()


async def drained(spool: Spool, board: Board, sources: list[asyncio.Task[None]]) -> None:
    """Return when no message has come for a while; then the sources end, and the spool empties."""
    seen, quiet_s = -1.0, 0.0
    while quiet_s < QUIET_S:
        await asyncio.sleep(LOOK_S)
        now = sum(value for (name, _), value in board.counters().items() if name == "mqtt_readings")
        seen, quiet_s = now, quiet_s + LOOK_S if now == seen and now else 0.0
    for task in sources:
        task.cancel()
    await asyncio.wait(sources)
    while (await spool.backlog()).bytes:  # noqa: ASYNC110 - the forwarder empties it
        await asyncio.sleep(LOOK_S)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "drain" in sys.argv))
