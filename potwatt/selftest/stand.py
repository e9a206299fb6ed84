"""The throw-away plant, put up in a folder: broker, links that can be cut, meters, publisher, and the program before them."""

from __future__ import annotations

import asyncio
import os
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from plant.errors import InputError
from potwatt.load import Loaded, load_site
from potwatt.selftest.devices import CountingMeters
from potwatt.selftest.link import Link
from potwatt.selftest.plant import Addresses, host_and_port, published_meters, site_text
from potwatt.selftest.publisher import Publisher
from potwatt.selftest.writer import Writer
from simulators.broker import MosquittoBroker, mosquitto_path

PASSWORD_VARIABLE = "POTWATT_SELFTEST_PASSWORD"  # noqa: S105  (the name of a variable)
_ANSWER_S, _CONNECT_S = 5.0, 1.0


@dataclass(frozen=True, slots=True)
class OutageSettings:
    """``store`` is "embedded" or the URL of an InfluxDB 1.x; ``broker`` is "" or host:port of one to use."""

    rate: float = 2_000.0
    seconds: float = 60.0
    store: str = "embedded"
    broker: str = ""
    seed: int = 0
    username: str = ""


@dataclass(frozen=True, slots=True)
class Stand:
    """What a run has in its hands. ``store_link`` is None with the embedded store."""

    settings: OutageSettings
    loaded: Loaded
    folder: Path
    devices: CountingMeters
    publisher: Publisher
    writer: Writer
    broker_link: Link
    store_link: Link | None

    @property
    def series_file(self) -> Path:
        """The embedded store's file."""
        return self.loaded.data_dir / "series.duckdb"

    @property
    def api(self) -> str:
        """Address of the program's API for this plant."""
        return f"http://127.0.0.1:{self.loaded.site.api.port}"


@asynccontextmanager
async def stand(settings: OutageSettings, folder: Path) -> AsyncIterator[Stand]:
    """Everything up but the program; everything gone at the end. Raises PotwattError where a part cannot be started."""
    await asyncio.to_thread(_look, settings)
    broker_port, broker_link_port, store_link_port, gateway_port, api_port = _free_ports(5)
    run_id = f"{settings.seed:06d}-{os.getpid()}"
    async with AsyncExitStack() as stack:
        host, port = host_and_port(settings.broker) if settings.broker else ("127.0.0.1", broker_port)
        if not settings.broker:
            broker = _keeping_broker(port, folder / "broker")
            await broker.start()
            stack.push_async_callback(broker.stop)
        broker_link = await _link(stack, broker_link_port, host, port)
        store_link = None
        database = f"potwatt_selftest_{run_id}".replace("-", "_")
        if settings.store != "embedded":
            found = _store_address(settings.store)
            store_link = await _link(stack, store_link_port, *found)
            stack.callback(_drop_databases, settings, database)
        devices = CountingMeters(gateway_port)
        await devices.start()
        stack.push_async_callback(devices.stop)
        at = Addresses(
            broker_link_port,
            gateway_port,
            api_port,
            f"potwatt-selftest-{run_id}",
            store_url=f"http://127.0.0.1:{store_link_port}" if store_link else "",
            database=database,
            username=settings.username,
            password_env=PASSWORD_VARIABLE,
        )
        meters = published_meters(settings.rate)
        site = folder / "site.toml"
        site.write_text(site_text(at, meters), "utf-8")
        writer = Writer(site, folder / "potwatt.log")
        stack.push_async_callback(writer.discard)
        publisher = Publisher(broker_link_port, meters, settings.rate, f"potwatt-selftest-meters-{run_id}")
        yield Stand(settings, load_site(site), folder, devices, publisher, writer, broker_link, store_link)


async def _link(stack: AsyncExitStack, listen_port: int, host: str, port: int) -> Link:
    link = Link(listen_port, host, port)
    await link.start()
    stack.push_async_callback(link.stop)
    return link


def _look(settings: OutageSettings) -> None:
    """Raises InputError where nobody answers at an address that was given: a whole run would wait for it."""
    given = [("--broker", host_and_port(settings.broker))] if settings.broker else []
    if settings.store != "embedded":
        given.append(("--store", _store_address(settings.store)))
    for option, (host, port) in given:
        try:
            socket.create_connection((host, port), timeout=_CONNECT_S).close()
        except OSError as error:
            raise InputError(f"{option}: nobody answers at {host}:{port} ({error}); start that server or correct it") from error


def _keeping_broker(port: int, folder: Path) -> MosquittoBroker:
    """Raises InputError without Mosquitto: the embedded broker of the demo drops what it queued for a client that was cut off."""
    path = mosquitto_path()
    if path is None:
        raise InputError(
            "mosquitto is not installed, and the test needs a broker that keeps sessions; install it, or give --broker"
        )
    return MosquittoBroker(path, port, folder)


def _store_address(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise InputError(f"--store: found {url!r}; give embedded, or an address as http://127.0.0.1:8086 (TLS is not cut into)")
    return parts.hostname, parts.port or 8086


def _drop_databases(settings: OutageSettings, database: str) -> None:
    """Leave nothing on the user's server; where that is refused the databases are named by the run's site file."""
    for name in (f"{database}_raw", f"{database}_1m", f"{database}_15m"):
        fields = {"q": f'DROP DATABASE "{name}"'}
        if settings.username:
            fields |= {"u": settings.username, "p": os.environ.get(PASSWORD_VARIABLE, "")}
        request = urllib.request.Request(f"{settings.store.rstrip('/')}/query", urllib.parse.urlencode(fields).encode())  # noqa: S310
        with suppress(OSError):
            urllib.request.urlopen(request, timeout=_ANSWER_S).close()  # noqa: S310  (http alone, checked above)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
