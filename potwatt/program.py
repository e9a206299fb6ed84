"""One plant's program: builds what stands behind the ports, starts the roles, stops them in order."""

from __future__ import annotations

import asyncio
import gc
import shutil
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib import metadata

from alerts.notify import parse_addresses
from alerts.service import AlertService
from analytics.service import Analytics
from api.app import close_streams, create_app
from api.auth import Keys, parse_keys, refuse_unsafe_binding
from collector.broker_stats import BrokerStats
from collector.dlt645 import Dlt645Collector
from collector.forward import Forwarder
from collector.gather import Gatherer
from collector.intake import Intake
from collector.modbus import ModbusCollector
from collector.mqtt import MqttSource
from collector.mqtt_checks import broker_faults
from collector.poller import Poller
from collector.quarantine import Quarantine
from collector.spool import Spool
from collector.wire_checks import tls_faults
from plant.errors import ConfigError, Fault, SpoolFull, StoreError, StoreUnavailable
from plant.ports import HealthBoard, Ledger, SeriesStore
from plant.site import Endpoint, Meter, Site, best_effort_sinks, required_sinks
from potwatt.backup import refuse_half_restored
from potwatt.board import Board
from potwatt.claims import ClaimedEndpoint
from potwatt.clock import SystemClock
from potwatt.copies import Copies, clear_unfinished
from potwatt.history import HistoryImporter
from potwatt.live_bus import LiveBus
from potwatt.load import Loaded
from potwatt.mirrors import MirrorForwarder
from potwatt.roles import ROLES
from potwatt.server import bind, make_server
from potwatt.store_tail import follow_store
from potwatt.supervise import end, keep_running
from potwatt.verify import SpoolVerifier
from storage.embedded import EmbeddedStore
from storage.influx import InfluxStore
from storage.ledger import SqlLedger
from storage.memory import MemoryStore

STORE_RETRY_S = 5.0


def check_roles(loaded: Loaded, roles: tuple[str, ...]) -> None:
    """Raises ConfigError where the site cannot be run so: roles apart without InfluxDB, an unsafe address of the API,
    TLS files that are none."""
    if roles != ROLES and loaded.site.store.kind != "influxdb":
        allowed = 'kind = "influxdb": only a server lets roles run apart; `potwatt run` runs them together'
        raise ConfigError([Fault(loaded.name, "store.kind", repr(loaded.site.store.kind), allowed)])
    if "collect" in roles:
        faults = broker_faults(loaded.site, loaded.profiles, loaded.folder, loaded.name)
        faults += tls_faults(loaded.site, loaded.folder, loaded.name)
        if faults:
            raise ConfigError(faults)
    if "serve" in roles:
        refuse_unsafe_binding(loaded.site.api, have_keys=bool(_keys(loaded)), file=loaded.name)
        _check_tls(loaded)


def _check_tls(loaded: Loaded) -> None:
    api = loaded.site.api
    if not api.tls_cert and not api.tls_key:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(loaded.folder / api.tls_cert, loaded.folder / api.tls_key)
    except OSError as error:  # an unreadable file, or one that holds no certificate or key
        found = f"{api.tls_cert!r} and {api.tls_key!r} ({error.strerror or error})"
        allowed = "a certificate and the private key that belongs to it, as PEM files"
        raise ConfigError([Fault(loaded.name, "api.tls_cert, api.tls_key", found, allowed)]) from error


def _keys(loaded: Loaded) -> Keys | None:
    name = loaded.site.api.keys_file
    if not name:
        return None
    path = loaded.folder / name
    if not path.is_file():
        raise ConfigError([Fault(loaded.name, "api.keys_file", repr(name), "a file made with `potwatt keys add`")])
    return parse_keys(path.read_text("utf-8"), str(path))


def build_store(loaded: Loaded, secrets: Mapping[str, str], clock: SystemClock, health: HealthBoard | None = None) -> SeriesStore:
    """The series store that the site names."""
    settings, plant = loaded.site.store, loaded.site.id
    if settings.kind == "influxdb":
        return InfluxStore(settings, plant, secrets)
    if settings.kind == "memory":
        return MemoryStore(plant)
    return EmbeddedStore(loaded.data_dir / "series.duckdb", plant, settings, clock, health)


def build_ledger(loaded: Loaded, clock: SystemClock) -> SqlLedger:
    """The ledger: PostgreSQL where the site gives an address, else SQLite beside the data."""
    return SqlLedger(loaded.site.ledger_url or f"sqlite:///{loaded.data_dir / 'ledger.sqlite'}", clock)


def build_analytics(
    loaded: Loaded, *, store: SeriesStore, ledger: Ledger, clock: SystemClock, bus: LiveBus, health: Board
) -> Analytics:
    """The analytics of a site over a store and a ledger."""
    profiles, site = loaded.profiles, loaded.site
    known = {m.id: profiles[m.profile] for m in site.meters.values() if m.profile in profiles}
    return Analytics(
        site=site,
        rulebook=loaded.rulebook,
        profiles_wraps={(meter, quantity): p.wraps_at(quantity) for meter, p in known.items() for quantity in p.quantities},
        quantities_of={meter: p.quantities for meter, p in known.items()},
        store=store,
        ledger=ledger,
        clock=clock,
        bus=bus,
        health=health,
    )


class Program:
    """Everything of one plant in one process. ``await start()``, then ``await run()`` until cancelled, then ``await stop()``."""

    def __init__(self, loaded: Loaded, secrets: Mapping[str, str], roles: tuple[str, ...] = ROLES) -> None:
        check_roles(loaded, roles)
        self.loaded, self.roles = loaded, roles
        self.clock, self.health = SystemClock(), Board()
        self.bus = LiveBus(self.clock)
        loaded.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store = build_store(loaded, secrets, self.clock, self.health)
        self.ledger = build_ledger(loaded, self.clock)
        self.analytics = build_analytics(
            loaded, store=self.store, ledger=self.ledger, clock=self.clock, bus=self.bus, health=self.health
        )
        self._secrets = secrets
        self.spool: Spool | None = None
        self.intake: Intake | None = None
        self._socket: socket.socket | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._claims = {e.id: ClaimedEndpoint(e, self.clock, self.health) for e in self.site.endpoints.values()}
        self._mirrors: list[MirrorForwarder] = []

    @property
    def site(self) -> Site:
        """The site."""
        return self.loaded.site

    def greeting(self) -> str:
        """What to tell the user once everything is started."""
        api = self.site.api
        scheme = "https" if api.tls_cert else "http"
        if "serve" in self.roles:
            return f"{self.site.title_en}: {scheme}://{api.host}:{api.port}/"
        return f"{self.site.title_en}: {', '.join(self.roles)} running"

    async def start(self) -> None:
        """Open what must be open before anything is read: the address, the ledger, the spool. The store may be down; where the
        disk is full or a ledger's server is away, this waits."""
        refuse_half_restored(self.loaded.data_dir)
        if "serve" in self.roles:
            self._socket = bind(self.site.api)
        await self._once_possible("ledger", self.ledger.setup)
        if self.site.store.kind != "influxdb":
            await self._once_possible("store", self.store.setup)  # a file that another process holds is for the user to mend, now
        if "collect" in self.roles:
            await self._once_possible("spool", self._open_spool)
            assert self.spool is not None
            self.intake = Intake(self.spool, self.loaded.profiles, self.bus, self.health)
            await asyncio.gather(*(claimed.take() for claimed in self._claims.values()))
        if "serve" in self.roles:  # by now nobody else holds the files: what lies half made there is a dead process's
            await asyncio.to_thread(clear_unfinished, self.loaded.data_dir)
        loops = self._loops()
        gc.collect()
        gc.freeze()  # what is built now stays for good; to look through it again and again would hold up the polls
        for name, role in loops.items():
            self._tasks.append(asyncio.create_task(keep_running(name, role, self.health), name=name))

    async def _open_spool(self) -> None:
        spool = Spool(
            self.loaded.data_dir / "spool",
            self.site.spool,
            self.clock,
            self.health,
            required_sinks(self.site),
            best_effort=best_effort_sinks(self.site),
        )
        await spool.open(await self.store.cursor())  # a server, which may be down now, keeps none
        self.spool = spool

    async def _once_possible(self, part: str, opening: Callable[[], Awaitable[None]]) -> None:
        """What does not pass by itself is raised; for the rest whoever starts the program anew would wait just so."""
        while True:
            try:
                await opening()
                return self.health.set(part, "ok", "open")
            except (StoreUnavailable, SpoolFull) as error:
                free_kib = shutil.disk_usage(self.loaded.data_dir).free >> 10
                self.health.set(part, "down", f"{error}; the start waits for it ({free_kib} KiB are free in data_dir)")
            await self.clock.sleep(STORE_RETRY_S)

    def _loops(self) -> dict[str, Callable[[], Awaitable[None]]]:
        loops: dict[str, Callable[[], Awaitable[None]]] = {}
        if self.site.store.kind == "influxdb":
            loops["store-setup"] = self._set_up_store
        if "collect" in self.roles:
            loops |= self._collectors()
        else:
            loops["follow-store"] = self._follow
        if "analyse" in self.roles:
            loops["analyse"] = self.analytics.run
        alerts = self._alerts() if "alert" in self.roles else None
        if alerts is not None:
            loops["alert"] = alerts.run
        if "serve" in self.roles:
            loops["serve"] = self._server(alerts)
        return loops

    async def _set_up_store(self) -> None:
        """A server may be down at the start: readings go to the spool until it is there."""
        while True:
            try:
                await self.store.setup()
            except StoreError as error:
                self.health.set("store", "down", str(error))
                await self.clock.sleep(STORE_RETRY_S)
            else:
                self.health.set("store", "ok", "databases are there")
                return

    async def _follow(self) -> None:
        await follow_store(self.site, self.loaded.profiles, self.store, self.bus, self.clock, self.health)

    def _collectors(self) -> dict[str, Callable[[], Awaitable[None]]]:
        assert self.spool is not None
        assert self.intake is not None
        refused = Quarantine(self.loaded.data_dir / "quarantine" / "store", self.clock, self.health)
        forwarder = Forwarder(
            self.spool, self.store, self.ledger, site=self.site, clock=self.clock, health=self.health, quarantine=refused
        )
        gatherer = Gatherer(self.site.id, sink=self.intake, clock=self.clock, health=self.health)
        loops: dict[str, Callable[[], Awaitable[None]]] = {"forward": forwarder.run, "gather": gatherer.run}
        for mirror in self.site.mirrors:
            forwarding = MirrorForwarder(mirror, self.loaded, self._secrets, self.spool, self.clock, self.health)
            self._mirrors.append(forwarding)
            loops[mirror.sink] = forwarding.run
        for endpoint in self.site.endpoints.values():
            meters = [m for m in self.site.meters.values() if m.endpoint == endpoint.id]
            if meters and endpoint.protocol != "import":
                source = self._source(endpoint, meters, gatherer).run
                loops[f"endpoint:{endpoint.id}"] = partial(self._claims[endpoint.id].run, source)
                if endpoint.protocol == "mqtt":
                    loops[f"queues:{endpoint.id}"] = self._broker_stats(endpoint).run
        return loops

    def _source(self, endpoint: Endpoint, meters: list[Meter], gatherer: Gatherer) -> Poller | MqttSource:
        assert self.intake is not None
        plant, profiles, clock, health = self.site.id, self.loaded.profiles, self.clock, self.health
        if endpoint.protocol.startswith("modbus"):
            folder = self.loaded.folder
            return ModbusCollector(endpoint, meters, profiles, gatherer=gatherer, clock=clock, health=health, folder=folder)
        if endpoint.protocol.startswith("dlt645"):
            return Dlt645Collector(endpoint, meters, profiles, gatherer=gatherer, clock=clock, health=health)
        unreadable = Quarantine(self.loaded.data_dir / "quarantine" / endpoint.id, clock, health)
        return MqttSource(
            endpoint,
            meters,
            profiles,
            plant=plant,
            sink=self.intake,
            quarantine=unreadable,
            clock=clock,
            health=health,
            secrets=self._secrets,
            state_dir=self.loaded.data_dir / "sessions",
            folder=self.loaded.folder,
            tell_gone=self.bus.withdraw,
        )

    def _broker_stats(self, endpoint: Endpoint) -> BrokerStats:
        return BrokerStats(
            endpoint,
            self.site.id,
            clock=self.clock,
            health=self.health,
            secrets=self._secrets,
            state_dir=self.loaded.data_dir / "sessions",
            folder=self.loaded.folder,
        )

    def _alerts(self) -> AlertService:
        variable = self.site.alerts.urls_env
        addresses = parse_addresses(self._secrets[variable], variable) if variable else ()
        return AlertService(
            site=self.site,
            rulebook=self.loaded.rulebook,
            analytics=self.analytics,
            ledger=self.ledger,
            clock=self.clock,
            bus=self.bus,
            health=self.health,
            addresses=addresses,
            study=self.analytics.study,
        )

    def _server(self, alerts: AlertService | None) -> Callable[[], Awaitable[None]]:
        app = create_app(
            site=self.site,
            analytics=self.analytics,
            store=self.store,
            ledger=self.ledger,
            bus=self.bus,
            health=self.health,
            clock=self.clock,
            auth=_keys(self.loaded),
            version=metadata.version("potwatt"),
            rulebook=self.loaded.rulebook,
            alerts=alerts,
            copies=Copies(self.loaded, self.store, self.clock),
            importer=HistoryImporter(self.site, self.store, self.ledger, self.clock),
            verifier=SpoolVerifier(self.loaded.data_dir / "spool", self.store) if self.spool is not None else None,
        )
        server = make_server(app, self.site.api, self.loaded.folder)

        async def serve() -> None:
            assert self._socket is not None
            serving = asyncio.create_task(server.serve(sockets=[self._socket]))
            try:
                await asyncio.shield(serving)
            except asyncio.CancelledError:
                # asked, not cancelled: the server ends its answers and its lifespan in order
                close_streams(app)
                server.should_exit = True
                await serving
                raise

        return serve

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """Sources first, then what they write to; nothing acknowledged is left outside the spool."""
        gc.unfreeze()  # or libraries complain at the exit about what was never let go
        await end(self._tasks)
        if self.spool is not None:
            await self.spool.close()
        for mirror in self._mirrors:
            await mirror.close()
        await self.store.close()
        await self.ledger.close()
        for claimed in self._claims.values():
            claimed.release()
        if self._socket is not None:
            self._socket.close()


async def run_until_signal(program: Program, on_ready: Callable[[], None]) -> None:
    """Start a program, run it until SIGINT or SIGTERM, stop it in order."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    try:
        stopping = asyncio.create_task(stop.wait())
        starting = asyncio.create_task(program.start())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():  # it waits for room or a server
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        starting.result()
        on_ready()
        running = asyncio.create_task(program.run())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if running.done():
            running.result()  # raises what ended it
    finally:
        await program.stop()
