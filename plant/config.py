"""From the text of a site file to a Site, with every fault listed at once.

The file is TOML. Ranges spare writing blocks by hand: any ``[[branch]]`` or ``[[meter]]`` with ``n = "1-36"`` (or
``"1-3,7,9"``) is repeated, ``{n}`` in its texts replaced (``{n:02}`` pads). Tables do too: ``[[table]]`` with
``file`` names a CSV whose columns are keys of ``[[meter]]`` (``measures.branch`` reaches into the inner table).
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plant import site as s
from plant.calendar import PlantCalendar
from plant.errors import ConfigError, Fault

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Interval = Annotated[float, Field(ge=0.1, le=86_400)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Title(_Strict):
    en: str
    zh: str = ""


class _Plant(_Strict):
    id: Id
    name: _Title
    enterprise: str = ""
    province: str = ""
    zone: str = "Asia/Shanghai"
    data_dir: str = "potwatt-data"
    production_day_start: time = time(0)
    shift_starts: list[time] = [time(0), time(8), time(16)]
    closing_day: Annotated[int, Field(ge=1, le=28)] = 1
    profiles_dir: str = ""
    rules_dir: str = ""
    ledger_url: str = ""


class _Bus(_Strict):
    id: Id
    voltage_kv: Positive = 10.0


class _Allocation(_Strict):
    valid_from: datetime
    shares: dict[str, Share] = {}


class _Branch(_Strict):
    id: Id
    kind: Literal["grid_tie", "generator", "pv", "storage", "rectifier_group", "feeder", "transformer", "coupler"]
    bus: str
    to_bus: str = ""
    name: _Title | None = None
    purpose: Literal[
        "", "rectifier", "fume_treatment", "desulphurisation", "compressed_air", "auxiliary", "casthouse", "carbon_plant", "other"
    ] = ""
    potline: str = ""
    source: Literal["", "grid", "pv", "wind", "hydro", "biomass", "captive_coal", "captive_gas", "waste_heat"] = ""
    capacity_kw: Annotated[float, Field(ge=0)] = 0.0
    capacity_kwh: Annotated[float, Field(ge=0)] = 0.0
    efficiency: Annotated[float, Field(gt=0, le=1)] = 0.9
    serves: list[str] = []
    allocation: list[_Allocation] = []


class _Mounting(_Strict):
    meter: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    direction: Literal["forward", "reverse"] = "forward"
    ct_ratio: Positive = 1.0
    vt_ratio: Positive = 1.0
    class_percent: Annotated[float, Field(gt=0, le=10)] = 0.5
    register_step_kwh: Annotated[float, Field(ge=0)] = 0.0
    serial: str = ""
    first_reading_kwh: float | None = None
    last_reading_kwh: float | None = None


class _Point(_Strict):
    id: Id
    branch: str
    rank: Literal["main", "check", "derived"] = "main"
    side: Literal["ac", "dc"] = "ac"
    rated_power_kw: Annotated[float, Field(ge=0)] = 0.0
    mounting: list[_Mounting] = Field(min_length=1)


class _Measures(_Strict):
    """The short form: a metering point with one mounting, written inside the meter."""

    branch: str
    rank: Literal["main", "check", "derived"] = "main"
    side: Literal["ac", "dc"] = "ac"
    rated_power_kw: Annotated[float, Field(ge=0)] = 0.0
    direction: Literal["forward", "reverse"] = "forward"
    ct_ratio: Positive = 1.0
    vt_ratio: Positive = 1.0
    class_percent: Annotated[float, Field(gt=0, le=10)] = 0.5
    register_step_kwh: Annotated[float, Field(ge=0)] = 0.0
    serial: str = ""


class _Meter(_Strict):
    id: Id
    profile: str
    endpoint: str
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    topic: str = ""
    poll_interval_s: Interval = 1.0
    silent_after_s: Positive = 30.0
    name: _Title | None = None
    measures: _Measures | None = None


class _Endpoint(_Strict):
    id: Id
    protocol: Literal["modbus_tcp", "mqtt"]
    host: str
    port: Port
    timeout_s: Positive = 1.0
    pause_after_connect_s: Annotated[float, Field(ge=0)] = 0.0
    pause_between_s: Annotated[float, Field(ge=0)] = 0.0
    client_id: str = ""
    username: str = ""
    password_env: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    mqtt_version: Literal[4, 5] = 5
    topics: list[str] = []


class _Pots(_Strict):
    valid_from: datetime
    running: Annotated[int, Field(ge=0)]
    preheating: Annotated[int, Field(ge=0)] = 0
    starting: Annotated[int, Field(ge=0)] = 0
    stopped: Annotated[int, Field(ge=0)] = 0
    bypassed: Annotated[int, Field(ge=0)] = 0


class _Potline(_Strict):
    id: Id
    name: _Title | None = None
    pots: list[_Pots] = Field(min_length=1)
    current_efficiency_ref: Annotated[float, Field(gt=0.5, le=1)] = 0.93
    current_efficiency_uncertainty: Annotated[float, Field(ge=0, le=0.1)] = 0.02
    feed_meter: str = ""
    scale_meter: str = ""
    capacity_t_per_year: Annotated[float, Field(ge=0)] = 0.0


class _Accounting(_Strict):
    attribution: Literal["proportional", "renewable_first"] = "proportional"
    gap_max_s: Positive = 900.0
    settle_after_s: Annotated[float, Field(ge=0)] = 120.0
    close_after_days: Annotated[int, Field(ge=1)] = 10
    measured_share_min: Share = 0.5
    quota_target_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    green_share_target_percent: Annotated[float, Field(ge=0, le=100)] | None = None


class _Store(_Strict):
    kind: Literal["embedded", "influxdb", "memory"] = "embedded"
    server: Literal["influxdb-1", "influxdb-2", "influxdb-3", "opengemini"] = "influxdb-1"
    url: Annotated[str, Field(pattern=r"^https?://")] = "http://127.0.0.1:8086"
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "potwatt"
    username: str = ""
    password_env: str = ""
    token_env: str = ""
    ca_file: str = ""
    gzip: bool = False
    timeout_s: Positive = 10.0
    raw_days: Annotated[int, Field(ge=1)] = 90
    minute_days: Annotated[int, Field(ge=1)] = 400
    quarter_days: Annotated[int, Field(ge=1)] = 3660


class _Spool(_Strict):
    max_mib: Annotated[int, Field(ge=8)] = 2048
    max_hours: Positive = 168.0
    segment_mib: Annotated[int, Field(ge=1)] = 16
    commit_ms: Annotated[float, Field(ge=1, le=5000)] = 50.0
    when_full: Literal["hold"] = "hold"


class _Api(_Strict):
    host: str = "127.0.0.1"
    port: Port = 8000
    tls_cert: str = ""
    tls_key: str = ""
    keys_file: str = ""


class _Alerts(_Strict):
    urls_env: str = ""
    language: Literal["en", "zh"] = "en"
    e1_for_s: Positive = 900.0
    green_share_for_s: Positive = 900.0
    silent_for_s: Positive = 60.0


class _Table(_Strict):
    file: str


class _SiteFile(_Strict):
    plant: _Plant
    bus: list[_Bus] = Field(min_length=1)
    branch: list[_Branch] = []
    point: list[_Point] = []
    potline: list[_Potline] = []
    endpoint: list[_Endpoint] = []
    meter: list[_Meter] = []
    accounting: _Accounting = _Accounting()
    store: _Store = _Store()
    spool: _Spool = _Spool()
    api: _Api = _Api()
    alerts: _Alerts = _Alerts()


def table_files(text: str) -> list[str]:
    """Names of the CSV tables that a site file asks for; empty where the file cannot be read at all."""
    try:
        return [str(t.get("file", "")) for t in tomllib.loads(text).get("table", [])]
    except (tomllib.TOMLDecodeError, AttributeError):
        return []


def parse_site(
    text: str, file: str, *, tables: Mapping[str, str] | None = None, known_profiles: Iterable[str] | None = None
) -> s.Site:
    """Read a site file; ``tables`` holds the texts of the CSV files it names.

    Raises ConfigError with every fault found. ``known_profiles`` lets a wrong profile name be a fault here.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault(file, "TOML", str(error), "mend the syntax at that line")]) from error
    faults: list[Fault] = []
    _expand(raw, file, tables or {}, faults)
    try:
        parsed = _SiteFile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(faults + [_fault(file, raw, e) for e in error.errors()]) from None
    faults += _cross_check(parsed, file, None if known_profiles is None else set(known_profiles))
    if faults:
        raise ConfigError(faults)
    edition = hashlib.sha256((text + "".join(f"{k}{v}" for k, v in sorted((tables or {}).items()))).encode()).hexdigest()[:12]
    return _build(parsed, edition)


def _fault(file: str, raw: dict[str, Any], error: Any) -> Fault:
    key = ""
    here: Any = raw
    for part in error["loc"]:
        if isinstance(part, int):
            here = here[part] if isinstance(here, list) and part < len(here) else None
            name = here.get("id") if isinstance(here, dict) else None
            key += f"[{name or part + 1}]"
        else:
            key += f".{part}" if key else str(part)
            here = here.get(part) if isinstance(here, dict) else None
    if error["type"] == "extra_forbidden":
        return Fault(file, key, "an unknown key", "remove it or look up its spelling with `potwatt init`")
    if error["type"] == "missing":
        return Fault(file, key, "nothing", "this key is required")
    return Fault(file, key, repr(error.get("input")), error["msg"][:1].lower() + error["msg"][1:])


_N = re.compile(r"\{n(?::0?(\d+))?\}")


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _fill(value: Any, n: int) -> Any:
    if isinstance(value, dict):
        return {k: _fill(v, n) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, n) for v in value]
    if not isinstance(value, str):
        return value
    return _N.sub(lambda m: str(n).zfill(int(m[1] or 0)), value)


def _expand(raw: dict[str, Any], file: str, tables: Mapping[str, str], faults: list[Fault]) -> None:
    for table in raw.pop("table", []):
        name = str(table.get("file", "")) if isinstance(table, dict) else ""
        if name not in tables:
            faults.append(Fault(file, "table.file", repr(name), "a readable CSV file beside the site file"))
            continue
        raw.setdefault("meter", []).extend(_rows(tables[name], name, faults))
    for section in ("branch", "meter"):
        blocks = raw.get(section)
        if not isinstance(blocks, list):
            continue
        repeated: list[Any] = []
        for block in blocks:
            if not isinstance(block, dict) or "n" not in block:
                repeated.append(block)
                continue
            pattern = str(block.pop("n"))
            try:
                repeated += [_fill(block, n) for n in _numbers(pattern)]
            except ValueError:
                faults.append(Fault(file, f"{section}[{block.get('id')}].n", repr(pattern), 'a range such as "1-36" or "1-3,7"'))
        raw[section] = repeated


def _rows(text: str, file: str, faults: list[Fault]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        if None in row or None in row.values():
            faults.append(Fault(file, f"line {number}", "a row with more or fewer cells than the header", "one cell per column"))
            continue
        meter: dict[str, Any] = {}
        for key, cell in row.items():
            if cell.strip():
                target = meter
                *path, last = key.strip().split(".")
                for part in path:
                    target = target.setdefault(part, {})
                target[last] = cell.strip()
        rows.append(meter)
    return rows


def _cross_check(f: _SiteFile, file: str, profiles: set[str] | None) -> list[Fault]:
    faults: list[Fault] = []

    def say(key: str, found: object, allowed: str) -> None:
        faults.append(Fault(file, key, repr(found), allowed))

    def one_of(key: str, found: str, allowed: Iterable[str], what: str) -> None:
        names = list(allowed)
        if found not in names:
            say(key, found, f"the id of a [[{what}]]: {', '.join(names[:12]) or 'none is defined'}")

    for section in ("bus", "branch", "potline", "endpoint", "meter"):
        seen: set[str] = set()
        for item in getattr(f, section):
            if item.id in seen:
                say(f"{section}[{item.id}].id", item.id, "an id used once")
            seen.add(item.id)
    if f.plant.zone not in available_timezones():
        say("plant.zone", f.plant.zone, "an IANA zone such as Asia/Shanghai")
    if sorted(set(f.plant.shift_starts)) != f.plant.shift_starts or not f.plant.shift_starts:
        say("plant.shift_starts", [str(t) for t in f.plant.shift_starts], "ascending times of day")
    _check_graph(f, say, one_of)
    _check_meters(f, say, one_of, profiles)
    return faults


def _check_graph(f: _SiteFile, say: Any, one_of: Any) -> None:
    buses = [b.id for b in f.bus]
    lines = [p.id for p in f.potline]
    for b in f.branch:
        key = f"branch[{b.id}]"
        one_of(f"{key}.bus", b.bus, buses, "bus")
        if b.kind == "coupler":
            one_of(f"{key}.to_bus", b.to_bus, buses, "bus")
        elif b.to_bus:
            say(f"{key}.to_bus", b.to_bus, "only a coupler has to_bus")
        if b.kind == "rectifier_group":
            one_of(f"{key}.potline", b.potline, lines, "potline")
        if b.kind == "generator" and not b.source:
            say(f"{key}.source", "", f"what the generator runs on: {', '.join(s.SOURCES[1:])}")
        for name in b.serves:
            one_of(f"{key}.serves", name, lines, "potline")
        for a in b.allocation:
            for name in a.shares:
                one_of(f"{key}.allocation.shares", name, lines, "potline")
            if a.shares and abs(sum(a.shares.values()) - 1) > 1e-9:
                say(f"{key}.allocation.shares", a.shares, "shares that add up to 1")
            if a.valid_from.tzinfo is None:
                say(f"{key}.allocation.valid_from", str(a.valid_from), "a time with an offset, such as 2026-01-01T00:00:00+08:00")


def _check_meters(f: _SiteFile, say: Any, one_of: Any, profiles: set[str] | None) -> None:
    endpoints = {e.id: e for e in f.endpoint}
    branches = [b.id for b in f.branch]
    meters = [m.id for m in f.meter]
    addresses: dict[tuple[str, object], str] = {}
    points: set[str] = set()
    owners: dict[tuple[str, str, str], str] = {}
    for m in f.meter:
        key = f"meter[{m.id}]"
        one_of(f"{key}.endpoint", m.endpoint, endpoints, "endpoint")
        if profiles is not None and m.profile not in profiles:
            say(f"{key}.profile", m.profile, "a profile that `potwatt devices` lists")
        protocol = endpoints[m.endpoint].protocol if m.endpoint in endpoints else ""
        if protocol == "mqtt" and not m.topic:
            say(f"{key}.topic", "", "the topic that the meter publishes to")
        address: object = m.topic if protocol == "mqtt" else m.unit
        taken = addresses.setdefault((m.endpoint, address), m.id)
        if taken != m.id:
            say(
                f"{key}.{'topic' if protocol == 'mqtt' else 'unit'}",
                address,
                f"an address of its own; {taken} has it on {m.endpoint}",
            )
    every = [
        (f"meter[{m.id}].measures", m.id, m.measures.branch, m.measures.side, m.measures.rank) for m in f.meter if m.measures
    ]
    every += [(f"point[{p.id}]", p.id, p.branch, p.side, p.rank) for p in f.point]
    for key, name, branch, side, rank in every:
        one_of(f"{key}.branch", branch, branches, "branch")
        if name in points:
            say(key, name, "one metering point of that id")
        points.add(name)
        taken = owners.setdefault((branch, side, rank), name)
        if taken != name and rank == "main":
            say(f"{key}.rank", rank, f"one main point a branch and side; {taken} is it on {branch}")
    for p in f.point:
        for mounting in p.mounting:
            one_of(f"point[{p.id}].mounting.meter", mounting.meter, meters, "meter")
            for name in ("valid_from", "valid_to"):
                value = getattr(mounting, name)
                if value is not None and value.tzinfo is None:
                    say(f"point[{p.id}].mounting.{name}", str(value), "a time with an offset, such as 2026-01-01T00:00:00+08:00")
    for line in f.potline:
        for name in ("feed_meter", "scale_meter"):
            if getattr(line, name):
                one_of(f"potline[{line.id}].{name}", getattr(line, name), meters, "meter")
        for register in line.pots:
            if register.valid_from.tzinfo is None:
                say(f"potline[{line.id}].pots.valid_from", str(register.valid_from), "a time with an offset")


def _ns(t: datetime | None) -> int | None:
    return None if t is None else round(t.timestamp()) * 1_000_000_000


def _same(cls: type[Any], model: BaseModel, **more: Any) -> Any:
    """A dataclass from the fields that the parsed model shares with it, lists as tuples."""
    names = {f.name for f in fields(cls)}
    shared = {
        k: tuple(v) if isinstance(v, list) else v
        for k, v in ((k, getattr(model, k)) for k in type(model).model_fields if k in names)
    }
    return cls(**(shared | more))


def _titles(item: Any) -> dict[str, str]:
    name = item.name
    return {"title_en": name.en if name else item.id, "title_zh": (name.zh or name.en) if name else item.id}


def _short(m: _Measures, meter: str) -> s.Mounting:
    return s.Mounting(meter, 0, _DIRECTION[m.direction], m.ct_ratio, m.vt_ratio, m.class_percent, m.register_step_kwh, m.serial)


def _dated(m: _Mounting) -> s.Mounting:
    return s.Mounting(
        m.meter,
        _ns(m.valid_from) or 0,
        _DIRECTION[m.direction],
        m.ct_ratio,
        m.vt_ratio,
        m.class_percent,
        m.register_step_kwh,
        m.serial,
        m.first_reading_kwh,
        m.last_reading_kwh,
        _ns(m.valid_to),
    )


_DIRECTION = {"forward": 1, "reverse": -1}
_PURPOSE = {"rectifier_group": "rectifier"}
_SOURCE = {"grid_tie": "grid", "pv": "pv"}


def _branch(b: _Branch) -> s.Branch:
    keys = tuple(
        s.AllocationKey(_ns(a.valid_from) or 0, dict(a.shares)) for a in sorted(b.allocation, key=lambda a: a.valid_from)
    )
    branch: s.Branch = _same(
        s.Branch,
        b,
        **_titles(b),
        allocation=keys,
        purpose=b.purpose or _PURPOSE.get(b.kind, "other"),
        source=b.source or _SOURCE.get(b.kind, ""),
    )
    return branch


def _potline(p: _Potline) -> s.Potline:
    registers = tuple(
        _same(s.PotRegister, r, valid_from_ns=_ns(r.valid_from)) for r in sorted(p.pots, key=lambda r: r.valid_from)
    )
    line: s.Potline = _same(s.Potline, p, **_titles(p), pots=registers)
    return line


def _build(f: _SiteFile, edition: str) -> s.Site:
    points = {
        m.id: s.MeteringPoint(
            m.id, m.measures.branch, m.measures.rank, m.measures.side, m.measures.rated_power_kw, (_short(m.measures, m.id),)
        )
        for m in f.meter
        if m.measures
    }
    for p in f.point:
        mountings = sorted((_dated(m) for m in p.mounting), key=lambda m: m.valid_from_ns)
        points[p.id] = s.MeteringPoint(p.id, p.branch, p.rank, p.side, p.rated_power_kw, tuple(mountings))
    plant = f.plant
    calendar = PlantCalendar(ZoneInfo(plant.zone), plant.production_day_start, tuple(plant.shift_starts), plant.closing_day)
    return s.Site(
        plant.id,
        plant.name.en,
        plant.name.zh or plant.name.en,
        plant.enterprise,
        plant.province,
        calendar,
        plant.data_dir,
        edition,
        tuple(b.id for b in f.bus),
        {b.id: b.voltage_kv for b in f.bus},
        {b.id: _branch(b) for b in f.branch},
        points,
        {p.id: _potline(p) for p in f.potline},
        {e.id: _same(s.Endpoint, e) for e in f.endpoint},
        {m.id: _same(s.Meter, m, **_titles(m)) for m in f.meter},
        plant.profiles_dir,
        plant.rules_dir,
        plant.ledger_url,
        _same(s.Accounting, f.accounting),
        _same(s.StoreSettings, f.store),
        _same(s.SpoolSettings, f.spool),
        _same(s.ApiSettings, f.api),
        _same(s.AlertSettings, f.alerts),
    )
