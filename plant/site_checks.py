"""What must hold between the blocks of a site file: references, addresses, shares. Every fault is reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from math import inf
from zoneinfo import available_timezones

from plant import site as s
from plant.broker_checks import broker_faults
from plant.endpoint_checks import endpoint_faults
from plant.errors import Fault
from plant.settings.virtual import VirtualPoint
from plant.site_text import BranchText, MeasuresText, MountingText, PointText, SiteFile

BROADCAST = "999999999999"  # DL/T 645
WITH_OFFSET = "a time with an offset, such as 2026-01-01T00:00:00+08:00"
Found = tuple[str, object, str]


def cross_check(site: SiteFile, file: str, profiles: Mapping[str, str] | None) -> list[Fault]:
    """Every fault between blocks; ``profiles`` None leaves profile names unchecked."""
    checks = (
        _ids(site),
        _calendar(site),
        _store(site),
        *(_branch(site, b) for b in site.branch),
        _fed(site),
        _rectifiers(site),
        endpoint_faults(site),
        broker_faults(site),
        _meters(site, profiles),
        _points(site),
        _mountings(site),
        _potlines(site),
        _attribution(site),
        *(table.faults(site) for table in (site.green, site.tariff, site.process, site.carbon, site.outlook)),
        *(table.faults(site) for table in (*site.virtual, *site.solar, *site.baseline)),
    )
    return [Fault(file, key, repr(found), allowed) for check in checks for key, found, allowed in check]


def _reference(key: str, found: str, allowed: Iterable[str], block: str) -> Iterator[Found]:
    names = list(allowed)
    if found not in names:
        yield key, found, f"the id of a [[{block}]]: {', '.join(names[:12]) or 'none is defined'}"


def _offset(key: str, found: datetime | None) -> Iterator[Found]:
    if found is not None and found.tzinfo is None:
        yield key, str(found), WITH_OFFSET


def _ids(site: SiteFile) -> Iterator[Found]:
    for block in ("bus", "branch", "potline", "endpoint", "meter", "mirror", "virtual", "solar", "baseline"):
        seen: set[str] = set()
        for item in getattr(site, block):
            if item.id in seen:
                yield f"{block}[{item.id}].id", item.id, "an id used once"
            seen.add(item.id)


def _calendar(site: SiteFile) -> Iterator[Found]:
    plant = site.plant
    if plant.zone not in available_timezones():
        yield "plant.zone", plant.zone, "an IANA zone such as Asia/Shanghai"
    if not plant.shift_starts or sorted(set(plant.shift_starts)) != plant.shift_starts:
        yield "plant.shift_starts", [str(t) for t in plant.shift_starts], "ascending times of day"
    times = [("plant.production_day_start", plant.production_day_start), *(("plant.shift_starts", t) for t in plant.shift_starts)]
    for key, t in times:
        if t.minute % 15 or t.second or t.microsecond:
            yield key, str(t), "a multiple of 15 minutes: figures are summed from such intervals"


def _store(site: SiteFile) -> Iterator[Found]:
    # quoted in every error and in health, so neither it nor this fault may hold a secret
    if "@" in site.store.url:
        yield "store.url", "an address with a user in it", "the address alone; store.username and store.password_env say who asks"
    for m in site.mirror:
        if "@" in m.url:
            yield (
                f"mirror[{m.id}].url",
                "an address with a user in it",
                "the address alone; username and password_env say who asks",
            )
        if site.store.kind == "influxdb" and (m.url, m.database) == (site.store.url, site.store.database):
            yield f"mirror[{m.id}].url", m.url, "another server or database than the store's"


def _branch(site: SiteFile, b: BranchText) -> Iterator[Found]:
    key = f"branch[{b.id}]"
    buses = [bus.id for bus in site.bus]
    lines = [line.id for line in site.potline]
    yield from _reference(f"{key}.bus", b.bus, buses, "bus")
    if b.kind == "coupler" or (b.kind == "transformer" and b.to_bus):
        yield from _reference(f"{key}.to_bus", b.to_bus, buses, "bus")
    elif b.to_bus:
        yield f"{key}.to_bus", b.to_bus, "nothing: only a coupler, or a transformer that feeds another section, has to_bus"
    if b.kind == "rectifier_group":
        yield from _reference(f"{key}.potline", b.potline, lines, "potline")
    if b.kind == "generator" and not b.source:
        yield f"{key}.source", "", f"what the generator runs on: {', '.join(s.SOURCES[1:])}"
    for name in b.serves:
        yield from _reference(f"{key}.serves", name, lines, "potline")
    for allocation in b.allocation:
        yield from _offset(f"{key}.allocation.valid_from", allocation.valid_from)
        for name in allocation.shares:
            yield from _reference(f"{key}.allocation.shares", name, lines, "potline")
        if allocation.shares and abs(sum(allocation.shares.values()) - 1) > 1e-9:
            yield f"{key}.allocation.shares", allocation.shares, "shares that add up to 1"


def _fed(site: SiteFile) -> Iterator[Found]:
    """A section that nothing feeds takes energy that is counted on another section too, as the load of what feeds it."""
    sources = {b.bus for b in site.branch if b.kind in (*s.SOURCE_KINDS, "storage")}
    linked = {bus for b in site.branch if b.to_bus for bus in (b.bus, b.to_bus)}
    if sources:
        for bus in dict.fromkeys(b.bus for b in site.branch if b.kind in (*s.LOAD_KINDS, "transformer")):
            if bus not in sources | linked:
                yield f"bus[{bus}]", bus, "a section with a source, or to_bus on the transformer or coupler that feeds it"


def _rectifiers(site: SiteFile) -> Iterator[Found]:
    """The groups of a line run in parallel: a line that is metered on a side is known only by all of them."""
    places: list[MeasuresText | PointText | VirtualPoint] = [
        *(m.measures for m in site.meter if m.measures),
        *site.point,
        *site.virtual,
    ]
    metered = {(place.branch, place.side) for place in places}
    for line in site.potline:
        groups = [b.id for b in site.branch if b.kind == "rectifier_group" and b.potline == line.id]
        for side in ("ac", "dc"):
            without = [name for name in groups if (name, side) not in metered]
            if len(without) < len(groups):
                for name in without:
                    yield f"branch[{name}]", name, f"a metering point on its {side} side, as other groups of {line.id} have one"


def _meters(site: SiteFile, profiles: Mapping[str, str] | None) -> Iterator[Found]:
    endpoints = {e.id: e for e in site.endpoint}
    addresses: dict[tuple[str, object], str] = {}
    for m in site.meter:
        key = f"meter[{m.id}]"
        yield from _reference(f"{key}.endpoint", m.endpoint, endpoints, "endpoint")
        protocol = endpoints[m.endpoint].protocol if m.endpoint in endpoints else ""
        if protocol == "import":
            if m.profile != s.IMPORTED:
                yield f"{key}.profile", m.profile, f'"{s.IMPORTED}", since {m.endpoint} brings history from files alone'
            continue
        if profiles is not None and m.profile not in profiles:
            yield f"{key}.profile", m.profile, "a profile that `potwatt devices` lists"
        elif profiles is not None and protocol and profiles[m.profile] != protocol.partition("_")[0]:
            yield (
                f"{key}.profile",
                m.profile,
                f"a {protocol} profile: this one speaks {profiles[m.profile]}, {m.endpoint} does not",
            )
        by_topic = protocol == "mqtt"
        if by_topic and not m.topic:
            yield f"{key}.topic", "", "the topic that the meter publishes to"
        if by_topic and set(m.topic) & set("+#"):
            yield (
                f"{key}.topic",
                m.topic,
                "one topic without wildcards (endpoint.topics may have them)",
            )
        by_digits = protocol.startswith("dlt645")
        if by_digits and m.address in ("", BROADCAST):
            yield f"{key}.address", m.address, f"the twelve digits on the meter's plate, not {BROADCAST}, which means all meters"
        name = "topic" if by_topic else "address" if by_digits else "unit"
        address: object = getattr(m, name)
        owner = addresses.setdefault((m.endpoint, address), m.id)
        if owner != m.id:
            yield f"{key}.{name}", address, f"an address of its own; {owner} has it on {m.endpoint}"


def _points(site: SiteFile) -> Iterator[Found]:
    branches = [b.id for b in site.branch]
    every: list[tuple[str, str, MeasuresText | PointText]] = [
        (f"meter[{m.id}].measures", m.id, m.measures) for m in site.meter if m.measures
    ]
    every += [(f"point[{p.id}]", p.id, p) for p in site.point]
    names: set[str] = set()
    mains: dict[tuple[str, str], str] = {}
    for key, name, where in every:
        yield from _reference(f"{key}.branch", where.branch, branches, "branch")
        if name in names:
            yield key, name, "one metering point of that id"
        names.add(name)
        if where.rank == "main":
            owner = mains.setdefault((where.branch, where.side), name)
            if owner != name:
                yield f"{key}.rank", "main", f"one main point a branch and side; {owner} is it on {where.branch}"


def _mountings(site: SiteFile) -> Iterator[Found]:
    """Dates in order, one meter on a point at a time, and one point (a side) that a meter supplies at a time."""
    meters = [m.id for m in site.meter]
    periods = [_Mounted(f"meter[{m.id}].measures", m.id, m.measures.side) for m in site.meter if m.measures]
    for p in site.point:
        key = f"point[{p.id}].mounting"
        for mounting in p.mounting:
            yield from _reference(f"{key}.meter", mounting.meter, meters, "meter")
            yield from _offset(f"{key}.valid_from", mounting.valid_from)
            yield from _offset(f"{key}.valid_to", mounting.valid_to)
        of = [_Mounted(key, m.meter, p.side, m.valid_from, m.valid_to) for m in p.mounting if _has_offsets(m)]
        of.sort(key=lambda m: m.start_s)
        yield from _one_at_a_time(of)
        # without an end of its own a mounting lasts until the next one
        periods += [replace(a, end=b.start) if a.end is None else a for a, b in pairwise(of)] + of[-1:]
    periods.sort(key=lambda m: (m.meter, m.side, m.start_s))
    for a, b in pairwise(periods):
        if (a.meter, a.side) == (b.meter, b.side) and a.key != b.key and b.start_s < a.end_s:
            yield b.key, b.meter, f"a meter that is free from {b.start or 'the beginning'} on; {a.key} has it"


@dataclass(frozen=True, slots=True)
class _Mounted:
    """A meter on a point from ``start`` to ``end``, None where nothing bounds it, as in the short form ``measures``."""

    key: str
    meter: str
    side: str
    start: datetime | None = None
    end: datetime | None = None

    @property
    def start_s(self) -> float:
        return -inf if self.start is None else self.start.timestamp()

    @property
    def end_s(self) -> float:
        return inf if self.end is None else self.end.timestamp()


def _one_at_a_time(of: list[_Mounted]) -> Iterator[Found]:
    """Faults within the mountings of one point, which come by their start."""
    for m in of:
        if m.end_s <= m.start_s:
            yield f"{m.key}.valid_to", str(m.end), f"a time after valid_from, {m.start}"
    for a, b in pairwise(of):
        if a.start_s == b.start_s or (a.end is not None and b.start_s < a.end_s):
            yield f"{b.key}.valid_from", str(b.start or "the beginning"), f"a time at which {a.meter} is not on the point"


def _has_offsets(m: MountingText) -> bool:
    return all(t is None or t.tzinfo is not None for t in (m.valid_from, m.valid_to))


def _attribution(site: SiteFile) -> Iterator[Found]:
    editions = site.accounting.attribution
    dated = [] if isinstance(editions, str) else [e.valid_from for e in editions]
    for number, instant in enumerate(dated):
        if instant is None and number:
            yield f"accounting.attribution[{number + 1}].valid_from", None, WITH_OFFSET
        yield from _offset(f"accounting.attribution[{number + 1}].valid_from", instant)
    known = [t.timestamp() for t in dated if t is not None]
    if known != sorted(set(known)):
        yield "accounting.attribution", [str(t) for t in dated], "ascending instants of valid_from"


def _potlines(site: SiteFile) -> Iterator[Found]:
    meters = [m.id for m in site.meter]
    for line in site.potline:
        for name in ("feed_meter", "scale_meter", "effect_meter"):
            if getattr(line, name):
                yield from _reference(f"potline[{line.id}].{name}", getattr(line, name), meters, "meter")
        if line.pot_meter and line.pot_meter.replace("{pot}", "1") not in meters:
            yield (
                f"potline[{line.id}].pot_meter",
                line.pot_meter,
                "ids of [[meter]]s with {pot} in the place of the pot's number, from 1",
            )
        for register in line.pots:
            yield from _offset(f"potline[{line.id}].pots.valid_from", register.valid_from)
