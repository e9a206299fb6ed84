"""The throw-away plant: its site file, and what its numbered readings look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson

from devices.catalog import shipped_profiles
from devices.codec import encode
from devices.image import fixed_words, plan_addresses
from devices.payload import message, write
from plant.errors import InputError
from plant.frame import NS_PER_MS

PLANT = "selftest"
PUBLISHED, POLLED = "sim_feeder_mqtt", "sim_rectifier_dc_meter"
NUMBER_PUBLISHED, NUMBER_POLLED = "energy_import", "dc_energy"  # the quantity that carries a reading's number
POLLED_METERS = 4
POLL_INTERVAL_S = 0.1
READINGS_A_METER_AND_S = 50
WH_PER_KWH = 1_000
_PROFILES = shipped_profiles()


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the program under test reaches its broker, its Modbus devices and, at a server, its store."""

    broker_port: int
    gateway_port: int
    api_port: int
    client_id: str
    store_url: str = ""  # "" is the embedded store
    database: str = ""
    username: str = ""
    password_env: str = ""


def published_meters(rate: float) -> list[str]:
    """As many meters as share ``rate`` readings a second without two of one meter falling into one millisecond."""
    return [f"feeder-{n:03}" for n in range(max(4, -(-round(rate) // READINGS_A_METER_AND_S)))]


def polled_meters() -> list[str]:
    """The Modbus meters, units 1, 2, ..."""
    return [f"dc-{n + 1}" for n in range(POLLED_METERS)]


def topic(meter: str) -> str:
    """Where a meter publishes."""
    return f"potwatt-selftest/{meter}"


def site_text(at: Addresses, published: list[str]) -> str:
    """The site file, in the folder of the run."""
    store = "" if not at.store_url else f'[store]\nkind = "influxdb"\nurl = "{at.store_url}"\ndatabase = "{at.database}"\n'
    if at.store_url and at.username:
        store += f'username = "{at.username}"\npassword_env = "{at.password_env}"\n'
    polled = [
        f'[[meter]]\nid = "{m}"\nprofile = "{POLLED}"\nendpoint = "gateway"\nunit = {unit}\npoll_interval_s = {POLL_INTERVAL_S}\n'
        for unit, m in enumerate(polled_meters(), start=1)
    ]
    feeders = [f'[[meter]]\nid = "{m}"\nprofile = "{PUBLISHED}"\nendpoint = "broker"\ntopic = "{topic(m)}"\n' for m in published]
    return (
        f'[plant]\nid = "{PLANT}"\nname = {{ en = "Self-test" }}\ndata_dir = "data"\n[[bus]]\nid = "bus-1"\n'
        f"[api]\nport = {at.api_port}\n[spool]\nmax_mib = 512\nsegment_mib = 4\n{store}"
        f'[[endpoint]]\nid = "gateway"\nprotocol = "modbus_tcp"\nhost = "127.0.0.1"\nport = {at.gateway_port}\ntimeout_s = 10\n'
        f'[[endpoint]]\nid = "broker"\nprotocol = "mqtt"\nhost = "127.0.0.1"\nport = {at.broker_port}\ntimeout_s = 5\n'
        f'client_id = "{at.client_id}"\n' + "".join([*polled, *feeders])
    )


def published_payload(number: int, t_ms: int) -> bytes:
    """One message: the number is its counter, so that every reading differs from every other."""
    map_ = _PROFILES[PUBLISHED].mqtt
    assert map_ is not None
    values = {"active_power": 800.0 + number % 100, "energy_import": float(number), "energy_export": 0.0}
    return orjson.dumps(write(map_, message(map_, values, t_ms * NS_PER_MS)))


def polled_words() -> dict[int, int]:
    """Registers of a polled meter whose counter stands at 0."""
    profile = _PROFILES[POLLED]
    values = {"dc_current": 350.25, "dc_voltage": 812.5, "dc_power": 284_578.125, "dc_energy": 0.0, "dc_charge": 89.5}
    row = encode(profile, np.array([[values[q] for q in profile.quantities]]))[0].tolist()
    words = {address: word for (_, address), word in fixed_words(profile).items()}
    return words | {address: word for (_, address), word in zip(plan_addresses(profile), row, strict=True)}


def counter_address() -> int:
    """First of the four registers of the polled counter, in Wh, high word first."""
    map_ = _PROFILES[POLLED].modbus
    assert map_ is not None
    return next(p.address for p in map_.points if p.name == NUMBER_POLLED)


def host_and_port(text: str) -> tuple[str, int]:
    """Raises InputError unless the text reads ``host:port``."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"found {text!r}; give host:port, as 127.0.0.1:1883")
    return host, int(port)
