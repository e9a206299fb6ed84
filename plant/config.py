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
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from plant import site as s
from plant.calendar import PlantCalendar
from plant.errors import ConfigError, Fault
from plant.site_checks import cross_check
from plant.site_text import AccountingText, BranchText, MeasuresText, MirrorText, MountingText, PotlineText, SiteFile


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Files and folders that a site file names, needed before it can be checked."""

    tables: tuple[str, ...] = ()
    profiles_dir: str = ""
    rules_dir: str = ""


def neighbours(text: str) -> Neighbours:
    """What a site file names beside itself; nothing where it cannot be read at all."""
    try:
        raw = tomllib.loads(text)
        plant = raw.get("plant", {})
        tables = tuple(str(table.get("file", "")) for table in raw.get("table", []))
        return Neighbours(tables, str(plant.get("profiles_dir", "")), str(plant.get("rules_dir", "")))
    except (tomllib.TOMLDecodeError, AttributeError):
        return Neighbours()


def parse_site(
    text: str, file: str, *, tables: Mapping[str, str] | None = None, known_profiles: Mapping[str, str] | None = None
) -> s.Site:
    """Read a site file; ``tables`` holds the texts of the CSV files it names.

    Raises ConfigError with every fault found. ``known_profiles`` (name -> modbus | mqtt) lets a wrong profile be a fault here.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault(file, "TOML", str(error), "mend the syntax at that line")]) from error
    faults: list[Fault] = []
    _expand(raw, file, tables or {}, faults)
    parsed = _shape(raw, file, faults)
    if parsed is not None:
        faults += cross_check(parsed, file, known_profiles)
    if faults or parsed is None:
        raise ConfigError(faults)
    edition = hashlib.sha256((text + "".join(f"{k}{v}" for k, v in sorted((tables or {}).items()))).encode()).hexdigest()[:12]
    return _build(parsed, edition)


def _shape(raw: dict[str, Any], file: str, faults: list[Fault]) -> SiteFile | None:
    """The file as typed blocks. Faults are added, the values at fault left out, so that what the rest says of itself
    can still be checked; None where a block cannot stand without what was wrong."""
    try:
        return SiteFile.model_validate(raw)
    except ValidationError as error:
        found = error.errors()
    faults += [_fault(file, raw, e) for e in found]
    for e in found:
        _leave_out(raw, e["loc"])
    try:
        return SiteFile.model_validate(raw)
    except ValidationError:
        return None


def _leave_out(raw: Any, path: tuple[str | int, ...]) -> None:
    *parents, last = path
    here = raw
    for part in parents:
        here = here.get(part, {}) if isinstance(here, dict) else here[int(part)]
    if isinstance(here, dict):
        here.pop(last, None)
        stand_in = f"unnamed-{path[1]}" if last == "id" and len(path) == 3 else _STAND_INS.get((path[0], last))
        if stand_in is not None:
            here[str(last)] = stand_in


# what a required key of a block holds while the rest of a faulty file is checked; never leaves this module
_STAND_INS: dict[tuple[str | int, str | int], Any] = {
    ("endpoint", "protocol"): "modbus_tcp",
    ("endpoint", "port"): 1,
    ("branch", "kind"): "feeder",
    ("potline", "running"): 0,
    ("potline", "valid_from"): datetime(2000, 1, 1, tzinfo=UTC),
    ("branch", "valid_from"): datetime(2000, 1, 1, tzinfo=UTC),
}


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
_RANGE = re.compile(r"\s*([0-9]{1,6})\s*(?:-\s*([0-9]{1,6})\s*)?")
_REPEATED_MAX = 10_000


def _numbers(text: str) -> list[int]:
    """The numbers of ``"1-36"`` or ``"1-3,7"``. Raises ValueError for anything else, a range that counts down or a huge one."""
    numbers: list[int] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part)
        if found is None:
            raise ValueError(part)
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or len(numbers) + last - first >= _REPEATED_MAX:
            raise ValueError(part)
        numbers += range(first, last + 1)
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
    _add_tables(raw, file, tables, faults)
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
                allowed = f'an ascending range such as "1-36" or "1-3,7", at most {_REPEATED_MAX} numbers'
                faults.append(Fault(file, f"{section}[{block.get('id')}].n", repr(pattern), allowed))
        raw[section] = repeated


def _add_tables(raw: dict[str, Any], file: str, tables: Mapping[str, str], faults: list[Fault]) -> None:
    named = raw.pop("table", [])
    if not isinstance(named, list):
        faults.append(Fault(file, "table", repr(named), 'blocks [[table]] with a key "file"'))
        return
    for table in named:
        name = str(table.get("file", "")) if isinstance(table, dict) else ""
        if name not in tables:
            faults.append(Fault(file, "table.file", repr(name), "a readable CSV file beside the site file"))
            continue
        rows = _rows(tables[name], name, faults)
        # what else ``meter`` may be is a fault that the shape of the file names
        if isinstance(raw.setdefault("meter", []), list):
            raw["meter"].extend(rows)


def _rows(text: str, file: str, faults: list[Fault]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    # a spreadsheet puts a byte order mark before the first column's name
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        twice = _clashing(columns)
        if twice:
            faults.append(Fault(file, "line 1", ", ".join(twice), "columns of one name each, none of which holds another"))
            return rows
        for row in reader:
            if None in row or None in row.values():
                found = "a row with more or fewer cells than the header"
                faults.append(Fault(file, f"line {reader.line_num}", found, "one cell per column"))
                continue
            rows.append(_nested({key: cell.strip() for key, cell in zip(columns, row.values(), strict=True)}))
    except csv.Error as error:
        faults.append(Fault(file, f"line {reader.line_num}", str(error), "comma-separated text"))
    return rows


def _clashing(columns: list[str]) -> list[str]:
    """Column names that stand there twice, or that name a table of which another column is a key."""
    return sorted({name for i, name in enumerate(columns) for other in columns[:i] + columns[i + 1 :] if _holds(name, other)})


def _holds(name: str, other: str) -> bool:
    return other == name or other.startswith(f"{name}.")


def _nested(row: Mapping[str, str]) -> dict[str, Any]:
    """A row as tables within tables: ``a.b`` is key ``b`` of table ``a``; empty cells are left out."""
    nested: dict[str, Any] = {}
    for key, cell in row.items():
        if cell:
            target = nested
            *path, last = key.split(".")
            for part in path:
                target = target.setdefault(part, {})
            target[last] = cell
    return nested


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


def _accounting(a: AccountingText) -> s.Accounting:
    if isinstance(a.attribution, str):
        return _same(s.Accounting, a)  # type: ignore[no-any-return]
    editions = [s.AttributionEdition(_ns(e.valid_from) or 0, e.rule) for e in a.attribution if e.valid_from is not None]
    first = a.attribution[0].rule if a.attribution[0].valid_from is None else "proportional"
    return _same(s.Accounting, a, attribution=first, attribution_editions=tuple(editions))  # type: ignore[no-any-return]


def _mirror(m: MirrorText) -> s.Mirror:
    return s.Mirror(m.id, m.need, _same(s.StoreSettings, m, kind="influxdb"))


def _titles(item: Any) -> dict[str, str]:
    name = item.name
    return {"title_en": name.en if name else item.id, "title_zh": (name.zh or name.en) if name else item.id}


def _short(m: MeasuresText, meter: str) -> s.Mounting:
    return s.Mounting(meter, 0, _DIRECTION[m.direction], m.ct_ratio, m.vt_ratio, m.class_percent, m.register_step_kwh)


def _dated(m: MountingText) -> s.Mounting:
    return s.Mounting(
        m.meter,
        _ns(m.valid_from) or 0,
        _DIRECTION[m.direction],
        m.ct_ratio,
        m.vt_ratio,
        m.class_percent,
        m.register_step_kwh,
        _ns(m.valid_to),
    )


_DIRECTION = {"forward": 1, "reverse": -1}
_PURPOSE = {"rectifier_group": "rectifier"}
_SOURCE = {"grid_tie": "grid", "pv": "pv"}


def _branch(b: BranchText) -> s.Branch:
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


def _potline(p: PotlineText) -> s.Potline:
    registers = tuple(
        _same(s.PotRegister, r, valid_from_ns=_ns(r.valid_from)) for r in sorted(p.pots, key=lambda r: r.valid_from)
    )
    line: s.Potline = _same(s.Potline, p, **_titles(p), pots=registers)
    return line


def _build(f: SiteFile, edition: str) -> s.Site:
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
    for v in f.virtual:
        points[v.id] = s.MeteringPoint(v.id, v.branch, v.rank, v.side, v.rated_power_kw, ())
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
        _accounting(f.accounting),
        _same(s.StoreSettings, f.store),
        _same(s.SpoolSettings, f.spool),
        _same(s.ApiSettings, f.api),
        _same(s.AlertSettings, f.alerts),
        tuple(_mirror(m) for m in f.mirror),
        tuple(f.virtual),
        f.green,
        f.tariff,
        f.process,
        f.carbon,
        tuple(f.solar),
        tuple(f.baseline),
        f.outlook,
    )
