"""What must hold for the brokers of a site file: one client id for each session, and one of its own for each of a group."""

from __future__ import annotations

from collections.abc import Iterator

from plant.site_text import SiteFile

Found = tuple[str, object, str]


def broker_faults(site: SiteFile) -> Iterator[Found]:
    """Client ids that two sessions would take from each other, and settings that MQTT alone has."""
    owners: dict[tuple[str, int, str], str] = {}
    for e in site.endpoint:
        key = f"endpoint[{e.id}]"
        if e.protocol != "mqtt":
            if e.shared_group:
                yield f"{key}.shared_group", e.shared_group, f"nothing: {e.protocol} has no groups, mqtt has"
            continue
        if e.shared_group and not e.client_id:
            yield f"{key}.client_id", "", "a name of its own for each collector of the group, the same after every restart"
        if e.client_id:
            owner = owners.setdefault((e.host, e.port, e.client_id), e.id)
            if owner != e.id:
                yield f"{key}.client_id", e.client_id, f"a name of its own; {owner} has it at this broker"
