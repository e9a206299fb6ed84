"""The site graph as the balance sees it: groups of connected bus sections, their sources and their sinks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from plant.site import Branch, Site


@dataclass(frozen=True, slots=True)
class Component:
    """Bus sections that couplers and transformers connect, with the metered branches on them by role, in file order.

    What connects is no load: it carries what the loads behind it take.

    ``unmetered_sources`` are ties, generators and storage without an AC metering point: with one of them the load cannot
    follow from the sources.
    """

    buses: tuple[str, ...]
    ties: tuple[Branch, ...]
    generators: tuple[Branch, ...]
    storages: tuple[Branch, ...]
    loads: tuple[Branch, ...]
    unmetered_sources: tuple[str, ...]

    @property
    def has_sources(self) -> bool:
        """Whether every source is metered, so that the load follows from them; else it is the sum of metered loads."""
        return bool(self.ties or self.generators) and not self.unmetered_sources


def divided(site: Site, open_couplers: Collection[str]) -> tuple[Component, ...]:
    """Components with some couplers open. One that would cut a section off from every source cannot have been open while the
    section took energy, so then all of them count as closed."""
    found = components(site, open_couplers)
    return found if all(part.has_sources for part in found) else components(site)


def components(site: Site, open_branches: Collection[str] = ()) -> tuple[Component, ...]:
    """Components of the bus sections that closed couplers, and transformers between sections, connect."""
    parent = {bus: bus for bus in site.buses}

    def root(bus: str) -> str:
        while parent[bus] != bus:
            bus = parent[bus]
        return bus

    for link in site.branches.values():
        if link.to_bus and link.id not in open_branches:
            parent[root(link.bus)] = root(link.to_bus)
    found = []
    for name in dict.fromkeys(root(b) for b in site.buses):
        buses = tuple(b for b in site.buses if root(b) == name)

        def on(*kinds: str, buses: tuple[str, ...] = buses) -> tuple[Branch, ...]:
            kept = [b for b in site.branches_of(*kinds) if b.bus in buses and not b.to_bus]
            return tuple(b for b in kept if site.points_of(b.id))

        sources = [b for b in site.branches_of("grid_tie", "generator", "pv", "storage") if b.bus in buses]
        unmetered = tuple(b.id for b in sources if not site.points_of(b.id))
        loads = on("rectifier_group", "feeder", "transformer")
        found.append(Component(buses, on("grid_tie"), on("generator", "pv"), on("storage"), loads, unmetered))
    return tuple(found)
