"""Creating the three databases with their retention, by kind of server, or saying exactly what someone else has to run."""

from __future__ import annotations

from dataclasses import dataclass

from plant.errors import StoreError, StoreMisconfigured, StoreRejected, StoreUnavailable
from plant.series import Span
from plant.site import StoreSettings
from storage.influx_http import InfluxHttp
from storage.influxql import identifier, select, where


@dataclass(frozen=True, slots=True)
class Database:
    """One database, how long it keeps its data and how many days lie in one shard."""

    name: str
    kept_days: int
    shard_days: int


def databases(settings: StoreSettings) -> tuple[Database, Database, Database]:
    """Raw readings, 1-min figures, 15-min figures with the interval series."""
    return (
        Database(f"{settings.database}_raw", settings.raw_days, 1),
        Database(f"{settings.database}_1m", settings.minute_days, min(7, settings.minute_days)),
        Database(f"{settings.database}_15m", settings.quarter_days, min(30, settings.quarter_days)),
    )


async def set_up(http: InfluxHttp, settings: StoreSettings, plant: str) -> None:
    """Make the databases usable. Where we may not create them, they only have to be there.

    Raises StoreMisconfigured with the commands to run, StoreUnavailable.
    """
    for database in databases(settings):
        try:
            if settings.server == "influxdb-1":
                await _create_v1(http, database)
            await _probe(http, database, plant)
        except (StoreMisconfigured, StoreRejected) as refusal:
            if settings.server == "influxdb-1" and await _is_there(http, database, plant):
                continue
            command = "; ".join(commands(settings.server, database))
            raise StoreMisconfigured(f"{refusal}. Where {database.name} is missing, this creates it: {command}") from refusal


def commands(server: str, database: Database) -> list[str]:
    """What an administrator runs to create a database, by ``store.server``."""
    name, days = database.name, database.kept_days
    if server == "influxdb-2":
        return [
            f"influx bucket create --name {name} --retention {days}d",
            f"influx v1 dbrp create --db {name} --rp autogen --default --bucket-id ID_PRINTED_BY_THE_FIRST_COMMAND",
        ]
    if server == "influxdb-3":
        return [f"influxdb3 create database --retention-period {days}d {name}"]
    if server == "opengemini":
        return [f"ts-cli -execute 'CREATE DATABASE {identifier(name)} WITH DURATION {days}d REPLICATION 1'"]
    return [f"influx -execute '{_create_statement(database)}'", f"influx -execute '{_retention_statement('ALTER', database)}'"]


def _create_statement(database: Database) -> str:
    return f"CREATE DATABASE {identifier(database.name)}"


def _retention_statement(verb: str, database: Database) -> str:
    replication = " REPLICATION 1" if verb == "CREATE" else ""
    return (
        f'{verb} RETENTION POLICY "autogen" ON {identifier(database.name)} '
        f"DURATION {database.kept_days}d{replication} SHARD DURATION {database.shard_days}d DEFAULT"
    )


async def _create_v1(http: InfluxHttp, database: Database) -> None:
    await http.manage(_create_statement(database))
    try:
        await http.manage(_retention_statement("ALTER", database))
    except StoreError as error:
        # a server with retention-autocreate = false gives a new database no policy at all
        if "retention policy not found" not in str(error):
            raise
        await http.manage(_retention_statement("CREATE", database))


async def _probe(http: InfluxHttp, database: Database, plant: str) -> None:
    await http.select(database.name, select(['"version"'], "derived", where(plant, Span(0, 1_000_000))))


async def _is_there(http: InfluxHttp, database: Database, plant: str) -> bool:
    try:
        await _probe(http, database, plant)
    except StoreUnavailable:
        raise
    except StoreError:
        return False
    return True
