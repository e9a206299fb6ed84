"""What `check` says of polled endpoints beyond the words of the site file: TLS files that are none, and serial lines that
cannot keep up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from collector.wire import SERIAL_PROTOCOLS, character_s, tls_context
from devices.dlt645 import Dlt645Map
from devices.maps import BIT_TABLES, ModbusMap, Profile
from devices.plan import guards, plan_reads
from plant.errors import Fault, TransportError
from plant.site import Endpoint, Site

_MODBUS_FRAMES = 8 + 5 + 7  # characters of a request, of an answer without its data, and of the silence around both
_DLT645_FRAMES = 4 + 16 + 16  # wake-up and request, answer without its data


def tls_faults(site: Site, folder: Path, file: str) -> Iterator[Fault]:
    """Endpoints of Modbus/TCP Security whose files cannot be read or do not belong together."""
    for endpoint in site.endpoints.values():
        if endpoint.protocol == "modbus_tls":
            try:
                tls_context(endpoint, folder)
            except TransportError as error:
                key = f"endpoint[{endpoint.id}].ca_file, cert_file, key_file"
                yield Fault(file, key, str(error), "PEM files that can be read, the key being that of the certificate")


def slow_lines(site: Site, profiles: Mapping[str, Profile]) -> Iterator[str]:
    """Serial lines whose meters ask for more characters than its rate can carry, even if they answer at once."""
    for endpoint in site.endpoints.values():
        if endpoint.protocol not in SERIAL_PROTOCOLS:
            continue
        meters = [m for m in site.meters.values() if m.endpoint == endpoint.id]
        share = sum(poll_s(endpoint, profiles[m.profile]) / m.poll_interval_s for m in meters)
        if share > 1:
            yield (
                f"endpoint {endpoint.id}: at {endpoint.baud_rate} baud its {len(meters)} meters keep the line busy for "
                f"{100 * share:.0f} % of the time, so polls will be missed; lengthen poll_interval_s, raise the baud rate "
                f"or split the line"
            )


def poll_s(endpoint: Endpoint, profile: Profile) -> float:
    """The least time that a reading keeps a serial line busy."""
    if profile.dlt645 is not None:
        asked, characters = _dlt645(profile.dlt645)
    elif profile.modbus is not None:
        asked, characters = _modbus(profile.modbus)
    else:
        return 0.0
    return characters * character_s(endpoint) + asked * endpoint.pause_between_s


def _modbus(map_: ModbusMap) -> tuple[int, int]:
    plan = plan_reads(map_)
    requests = [*plan, *guards(map_, plan)]
    data = sum((r.count + 7) // 8 if r.table in BIT_TABLES else 2 * r.count for r in requests)
    return len(requests), len(requests) * _MODBUS_FRAMES + data


def _dlt645(map_: Dlt645Map) -> tuple[int, int]:
    data = sum(max((p.at + 1) * p.size for p in map_.points if p.di == di) for di in map_.requests)
    return len(map_.requests), len(map_.requests) * _DLT645_FRAMES + data
