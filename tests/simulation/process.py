"""The collector as it ships, wired to the simulated world: spool, intake, MQTT source, forwarder, and a polled source."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from collector import session_memory
from collector.forward import Forwarder
from collector.forward_step import ForwardSettings
from collector.intake import Intake
from collector.mqtt import MqttSource
from collector.mqtt_link import Link, Session
from collector.quarantine import Quarantine
from collector.session_memory import Remembered
from collector.spool import Spool
from devices.maps import Profile
from devices.payload_map import PayloadMap, PayloadPoint, PayloadTime
from plant.calendar import PlantCalendar
from plant.errors import SpoolError, SpoolFull
from plant.frame import FrameBlock
from plant.ports import Health, HealthBoard
from plant.site import Endpoint, Meter, MeteringPoint, Mounting, Potline, Site, SpoolSettings

from .sim_broker import SimLink
from .sim_disk import SimDisk

if TYPE_CHECKING:
    from .evidence import Message
    from .world import World

DATA = Path("/data")
MIRROR = "mirror"
SPOOL = DATA / "spool"
QUARANTINES = (DATA / "quarantine" / "broker", DATA / "quarantine" / "store")
MIRROR_QUARANTINE = DATA / "quarantine" / MIRROR
T0_NS = 1_795_000_000_000_000_000
MIB = 2**20
HOLD_S = 1.0
POLLED_METER, EVENT_METER = "p-1", "scale"
READING = ("active_power", "energy_import")
TAP = ("pot_number", "metal_tapped")
FEEDER = Profile(
    id="feeder",
    title="Feeder meter of the simulation",
    kind="meter",
    source="this file",
    caveats=(),
    verified=False,
    golden_origin="",
    modbus=None,
    mqtt=PayloadMap(
        (PayloadPoint("active_power", "/p_w", Fraction(1, 1000)), PayloadPoint("energy_import", "/e/imp", Fraction(1))),
        PayloadTime("/ts", "unix_ms"),
    ),
    limits={},
    checks=(),
)
METERS = tuple(Meter(name, "feeder", "broker", topic=f"plant/{name}", silent_after_s=60) for name in ("f-1", "f-2"))
ENDPOINT = Endpoint("broker", "mqtt", "broker.example", 1883, timeout_s=5.0, client_id="collector", topics=("plant/#",))
SITE = Site(
    id="smelter",
    title_en="",
    title_zh="",
    enterprise="",
    province="",
    calendar=PlantCalendar(ZoneInfo("Asia/Shanghai")),
    data_dir="",
    edition="1",
    buses=(),
    bus_voltage_kv={},
    branches={},
    points={"tie": MeteringPoint("tie", "tie", "main", "ac", 0.0, (Mounting("f-1", 0),))},
    potlines={"p1": Potline("p1", "", "", (), 0.93, 0.02, scale_meter=EVENT_METER)},
    endpoints={},
    meters={},
)


class SimClock:
    """plant.ports.Clock: virtual time, and a time of day that jumps."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ns(self) -> int:
        return T0_NS + round((self._world.loop.time() + self._world.clock_offset_s) * 1e9)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SimBoard:
    """plant.ports.HealthBoard: parts and counters, said into the trace when a state changes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._states: dict[str, str] = {}

    def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
        if self._states.get(part) != state:
            self._world.trace("health", part, state, detail)
        self._states[part] = state

    def all(self) -> list[Health]:
        return []

    def count(self, name: str, labels: dict[str, str], by: float = 1.0) -> None:
        self._world.counts[name] += round(by)

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {}


class NoBus:
    """Nobody looks on."""

    def publish(self, block: FrameBlock) -> None:
        """Dropped."""


class SimSource(MqttSource):
    """The shipped source with a simulated line and disk."""

    def __init__(self, world: World, intake: Intake, quarantine: Quarantine, clock: SimClock, board: HealthBoard) -> None:
        super().__init__(
            ENDPOINT,
            METERS,
            {"feeder": FEEDER},
            plant=SITE.id,
            sink=intake,
            quarantine=quarantine,
            clock=clock,
            health=board,
            secrets={},
            state_dir=DATA / "sessions",
        )
        self._world, self._sim_clock, self._disk = world, clock, world.disk

    def _link(self) -> Link:
        return SimLink(self._world.broker, self._sim_clock.now_ns, self._world.promised)

    def _recall(self) -> None:
        self._remembered = session_memory.load(self._session_file, self._disk)

    async def _remember(self, session: Session) -> None:
        now_ns = self._sim_clock.now_ns()
        first = Remembered(ENDPOINT.client_id, now_ns)
        self._remembered = kept = first if self._remembered is None else self._remembered.after(session, now_ns)
        await self._until_written(asyncio.to_thread, session_memory.save, self._session_file, kept, self._disk)


class Process:
    """One life of the collector. ``over`` once it has ended by itself: it could not start, or was asked to stop."""

    def __init__(self, world: World) -> None:
        self._world, plan = world, world.scenario
        self._clock, self._board = SimClock(world), SimBoard(world)
        disk: SimDisk = world.disk
        size_mib = plan.spool_bytes / MIB
        pace = SpoolSettings(max_hours=plan.max_hours, commit_ms=plan.commit_ms, when_full=plan.when_full)
        settings = replace(pace, max_mib=size_mib, segment_mib=size_mib)  # type: ignore[arg-type]
        sinks = ("store", MIRROR) if plan.mirror == "required" else ("store",)
        best_effort = (MIRROR,) if plan.mirror == "best_effort" else ()
        self._opening = Spool(SPOOL, settings, self._clock, self._board, sinks, disk, best_effort)
        self.spool: Spool | None = None
        self._intake = Intake(self._opening, {"feeder": FEEDER}, NoBus(), self._board)  # type: ignore[arg-type]
        self._unreadable, self._refused = (Quarantine(q, self._clock, self._board, disk=disk) for q in QUARANTINES)
        self._tasks: list[asyncio.Task[None]] = []
        self.over = self.stopped = False

    async def run(self) -> None:
        """Open the spool, then everything at once."""
        world = self._world
        try:
            await self._opening.open()
        except (SpoolError, OSError) as error:
            world.trace("does not start:", error)
            await asyncio.sleep(1.0)  # the service manager's pause
            self.over = True
            return
        self.spool = self._opening
        source = SimSource(world, self._intake, self._unreadable, self._clock, self._board)
        settings = ForwardSettings(world.scenario.frames_max, world.scenario.gather_s)
        forwarder = Forwarder(
            self.spool,
            world.store,  # type: ignore[arg-type]
            world.ledger,  # type: ignore[arg-type]
            site=SITE,
            clock=self._clock,
            health=self._board,
            quarantine=self._refused,
            settings=settings,
        )
        loops = [source.run(), forwarder.run(), self._poll()]
        if world.scenario.mirror != "none":
            mirror = Forwarder(
                self.spool,
                world.mirror,  # type: ignore[arg-type]
                None,
                site=SITE,
                clock=self._clock,
                health=self._board,
                quarantine=Quarantine(MIRROR_QUARANTINE, self._clock, self._board, disk=world.disk),
                settings=settings,
                sink=MIRROR,
            )
            loops.append(mirror.run())
        self._tasks = [world.loop.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        """As on SIGTERM."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError, SpoolError):
                await task
        if self.spool is not None:
            spool, self.spool = self.spool, None
            await spool.close()
        self.over = self.stopped = True

    def is_idle(self) -> bool:
        """Whether everything durable has been taken by the store."""
        sinks = ("store",) if self._world.scenario.mirror == "none" else ("store", MIRROR)
        return self.spool is not None and all(self.spool.cursor(sink) == self.spool.durable for sink in sinks)

    async def _poll(self) -> None:
        """Devices that are asked: a reading counts once the intake took it. Some of them are events."""
        world = self._world
        while world.polls_left > 0:
            world.polls_left -= 1
            await self._clock.sleep(world.rng.random() * world.scenario.trouble_s / max(1, world.scenario.polls))
            event = world.rng.random() < 0.2
            rows = 1 if event else world.scenario.polled_rows
            messages = [world.evidence.new("event" if event else "reading", "poll") for _ in range(rows)]
            numbers = [m.number for m in messages]
            world.evidence.unheard.update(numbers)
            await self._taken([polled(messages)])
            world.evidence.unheard.difference_update(numbers)
            world.promised(numbers)

    async def _taken(self, blocks: list[FrameBlock]) -> None:
        while True:
            try:
                return await self._intake(blocks)
            except SpoolFull:
                await self._clock.sleep(HOLD_S)


def polled(messages: list[Message]) -> FrameBlock:
    """A block of one poll, of readings or of events."""
    from .evidence import meter_of, t_ns_of, value_of

    n, event = len(messages), messages[0].kind == "event"
    value = np.array([(1.5, value_of(m)) for m in messages], np.float64)
    ids = tuple(f"tap-{m.number}" for m in messages) if event else ()
    names = TAP if event else READING
    t_ns = np.array([t_ns_of(m.number) for m in messages], np.int64)
    meters = (meter_of(messages[0]),)
    return FrameBlock(
        SITE.id,
        "scale" if event else "polled",
        names,
        meters,
        np.zeros(n, np.int32),
        t_ns,
        value,
        np.zeros((n, 2), np.int16),
        ids,
    )
