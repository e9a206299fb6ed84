"""What the figures at the foot of the table rest on in the plant: which branches, meters and settings, by the site's graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analytics.gauges import supply_meters
from analytics.intensity import consumers_to_tapping
from analytics.lines import rectifiers
from analytics.process_casthouse import casthouses
from analytics.topology import components
from plant import nodes
from plant.site import RENEWABLE_SOURCES, Branch, Site

_BRANCH, _BUS, _LINE = nodes.branch(""), nodes.bus(""), nodes.line("")


@dataclass(frozen=True, slots=True)
class Roots:
    """Metered ``branches`` with the side that is read, ``meters`` read for gauges, and ``settings`` as paths below the site;
    ``efficiency`` names the lines whose current efficiency is in it."""

    branches: tuple[tuple[Branch, str], ...] = ()
    meters: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    efficiency: tuple[str, ...] = ()


def roots_of(site: Site, indicator: str, node: str) -> Roots:
    """What an indicator of a node rests on beside its inputs; empty where the inputs are all of it."""
    if node.startswith(_BRANCH):
        return _of_branch(site, indicator, node.removeprefix(_BRANCH))
    if node.startswith(_BUS) and indicator != "residual":
        return Roots(meters=tuple(m.meter for m in supply_meters(site, node.removeprefix(_BUS))))
    found = _TABLE.get(indicator)
    return Roots() if found is None else found(site, node)


def _of_branch(site: Site, indicator: str, branch: str) -> Roots:
    """A branch stands for itself, on both sides, with the weather beside a PV field."""
    one = site.branches[branch]
    field = next((f for f in site.solar if f.branch == branch), None)
    sides = ("ac", "dc") if indicator == "rectifier_group_efficiency" else ("ac",)
    if field is None:
        return Roots(tuple((one, side) for side in sides))
    of_sun = indicator in ("solar_irradiation", "solar_availability", "solar_expected", "solar_lost")
    inverters = tuple(i.meter for i in field.inverters) if indicator in ("solar_availability", "solar_lost") else ()
    strings = tuple(s.meter for s in field.strings) if indicator == "solar_lost" else ()
    meters = tuple(dict.fromkeys((field.weather_meter, *inverters, *strings))) if of_sun else ()
    return Roots(() if indicator == "solar_irradiation" else ((one, "ac"),), meters, ("solar",) if of_sun else ())


def _lines(site: Site, node: str) -> list[str]:
    return [node.removeprefix(_LINE)] if node.startswith(_LINE) else list(site.potlines)


def _kinds(*kinds: str) -> Callable[[Site, str], Roots]:
    return lambda site, _: Roots(tuple((b, "ac") for b in site.branches_of(*kinds)))


def _generators(site: Site, *, renewable: bool) -> tuple[tuple[Branch, str], ...]:
    found = [b for b in site.branches_of("pv", "generator") if (b.kind == "pv" or b.source in RENEWABLE_SOURCES) is renewable]
    return tuple((b, "ac") for b in found)


def _groups(side: str, *settings: str) -> Callable[[Site, str], Roots]:
    return lambda site, node: Roots(tuple((b, side) for line in _lines(site, node) for b in rectifiers(site, line)), (), settings)


def _metal(site: Site, node: str) -> Roots:
    lines = _lines(site, node)
    feeds = tuple(m for m in (site.potlines[line].feed_meter for line in lines) if m)
    registers = tuple(f"potlines.{line}.pots" for line in lines)
    return Roots(_groups("dc")(site, node).branches, feeds, registers, tuple(lines))


def _load(site: Site, _: str) -> Roots:
    """What its sources give, less what leaves: those are inputs. Of a part of the plant without sources, its metered loads."""
    loads = [b for part in components(site) if not part.has_sources for b in part.loads]
    return Roots(tuple((b, "ac") for b in loads))


def _comprehensive(site: Site, _: str) -> Roots:
    shared = tuple(f"branches.{b.id}.allocation" for b in consumers_to_tapping(site) if b.allocation)
    return Roots(tuple((b, "ac") for b in consumers_to_tapping(site)), (), shared)


def _feeds(site: Site, node: str) -> Roots:
    lines = _lines(site, node)
    meters = tuple(m for m in (site.potlines[line].feed_meter for line in lines) if m)
    return Roots((), meters, tuple(f"potlines.{line}.pots" for line in lines))


def _residual(site: Site, node: str) -> Roots:
    bus = node.removeprefix(_BUS)
    return Roots(tuple((b, "ac") for b in site.branches.values() if bus in (b.bus, b.to_bus) and site.points_of(b.id)))


def _fields(site: Site, _: str) -> Roots:
    """PV fields of the plant with their weather."""
    branches = tuple((site.branches[f.branch], "ac") for f in site.solar)
    return Roots(branches, tuple(dict.fromkeys(f.weather_meter for f in site.solar)), ("solar",))


def _sinks(site: Site, _: str) -> Roots:
    return Roots(tuple((b, "ac") for part in components(site) for b in part.loads if site.points_of(b.id)))


def _supply(site: Site, _: str) -> Roots:
    return Roots(meters=tuple(dict.fromkeys(m.meter for bus in site.buses for m in supply_meters(site, bus))))


def _start_up(site: Site, node: str) -> Roots:
    dc = _groups("dc")(site, node)
    volts = ("process.preheat_voltage_v", "process.starting_voltage_v", "process.bypass_voltage_v")
    return Roots(dc.branches, (), (*(f"potlines.{line}.pots" for line in _lines(site, node)), *volts))


_ATTRIBUTION = ("accounting.attribution", "accounting.attribution_editions")
_TABLE: Mapping[str, Callable[[Site, str], Roots]] = {
    "grid_import": _kinds("grid_tie"),
    "grid_export": _kinds("grid_tie"),
    "storage_charge": _kinds("storage"),
    "storage_discharge": _kinds("storage"),
    "renewable_generation": lambda site, _: Roots(_generators(site, renewable=True)),
    "captive_generation": lambda site, _: Roots(_generators(site, renewable=False)),
    "load_energy": _load,
    "green_to_load": lambda *_: Roots(settings=_ATTRIBUTION),
    "grid_to_load": lambda *_: Roots(settings=_ATTRIBUTION),
    "rectifier_energy": _groups("ac"),
    "dc_energy": _groups("dc"),
    "metal_produced": _metal,
    "current_efficiency": _metal,
    "pot_voltage": _metal,
    "specific_energy_e2": _comprehensive,
    "specific_energy_e2_tariff": _comprehensive,
    "casthouse_energy": lambda site, _: Roots(tuple((b, "ac") for b in casthouses(site))),
    "pot_voltage_controllers": _feeds,
    "pots_running": _feeds,
    "anode_effect_minutes": _feeds,
    "anode_effect_frequency": _feeds,
    "start_up_energy": _start_up,
    "rectifier_group_efficiency": lambda site, node: Roots(
        (*_groups("ac")(site, node).branches, *_groups("dc")(site, node).branches)
    ),
    "residual": _residual,
    "network_loss": _sinks,
    "solar_generation": _fields,
    "solar_irradiation": _fields,
    "solar_availability": _fields,
    "solar_expected": _fields,
    "solar_lost": _fields,
    "frequency_deviation": _supply,
    "frequency_deviation_islanded": _supply,
    "islanded_time": lambda site, node: Roots(_kinds("grid_tie")(site, node).branches, _supply(site, node).meters),
    "islandings": lambda site, node: Roots(_kinds("grid_tie")(site, node).branches, _supply(site, node).meters),
}
