"""What `check` says of brokers beyond the words of the site file: what cannot work, and what works but loses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from collector.inbox import amounts
from collector.mqtt_link import BrokerSettings
from collector.topic_checks import topic_faults
from devices.maps import Profile
from plant.errors import Fault, TransportError
from plant.site import Site


def broker_faults(site: Site, profiles: Mapping[str, Profile], folder: Path, file: str) -> list[Fault]:
    """Topics that are not read, streams that cannot be shared, amounts without a time, and TLS files that are none."""
    return [
        *topic_faults(site, profiles, file),
        *_shared(site, profiles, file),
        *_timeless(site, profiles, file),
        *_tls(site, folder, file),
    ]


def _timeless(site: Site, profiles: Mapping[str, Profile], file: str) -> Iterator[Fault]:
    for meter in site.meters.values():
        profile = profiles.get(meter.profile)
        if profile is None or profile.mqtt is None or profile.mqtt.carries_time:
            continue
        if adding := ", ".join(amounts(profile)):
            why = f"a profile with mqtt.time: without one, nobody knows when {adding} of a message that waited belongs"
            yield Fault(file, f"meter[{meter.id}].profile", profile.id, why)


def _shared(site: Site, profiles: Mapping[str, Profile], file: str) -> Iterator[Fault]:
    for meter in site.meters.values():
        endpoint, profile = site.endpoints[meter.endpoint], profiles.get(meter.profile)
        if not endpoint.shared_group or profile is None or profile.mqtt is None:
            continue
        key, found = f"endpoint[{endpoint.id}].shared_group", f"{endpoint.shared_group!r} with {meter.id} ({profile.id})"
        if profile.mqtt.format == "sparkplug":
            yield Fault(file, key, found, "no group: Sparkplug B has a meaning only for who reads every message")
        elif profile.mqtt.sequence and not profile.mqtt.carries_time:
            yield Fault(file, key, found, "no group: without a time, only who reads every message can tell one that comes again")


def _tls(site: Site, folder: Path, file: str) -> Iterator[Fault]:
    for endpoint in site.endpoints.values():
        if endpoint.protocol == "mqtt" and endpoint.tls:
            # the password is no part of this, so its variable need not be set
            settings = BrokerSettings(endpoint.host, endpoint.port, "", (), 1.0, tls=True).with_files(endpoint, folder)
            try:
                settings.tls_context()
            except TransportError as error:
                yield Fault(
                    file, f"endpoint[{endpoint.id}].ca_file, cert_file, key_file", str(error), "PEM files that can be read"
                )


def losses(site: Site) -> list[str]:
    """What the settings of brokers give up, a sentence each."""
    return [
        f"endpoint[{e.id}].qos = 0: messages sent while the line is broken, the broker restarts or we are away are lost"
        for e in site.endpoints.values()
        if e.protocol == "mqtt" and not e.qos
    ]
