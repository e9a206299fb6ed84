"""Ledger entries from a CSV that a person keeps: weighed metal, ingots, metal in pots, manual readings, certificates.

Columns: kind, subject, time (or start and end), amount, unit, who, document; optional reason, key, source, supersedes,
and any further column goes into ``data`` (certificates: type, generation_month, status, quota_year).
"""

from __future__ import annotations

import csv
import io
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import cast
from zoneinfo import ZoneInfo

from api.routes_ledger import Kind, subjects
from plant.entry_data import entry_data, plausible_entry
from plant.errors import ConfigError, Fault
from plant.ports import LEDGER_KINDS, LedgerEntry
from plant.site import Site

REQUIRED = ("kind", "subject", "amount", "unit", "who", "document")
KNOWN = {*REQUIRED, "time", "start", "end", "reason", "key", "source", "supersedes"}
# unit found -> (unit of the ledger, factor)
UNITS = {
    "kg": ("kg", 1),
    "t": ("kg", 1000),
    "Wh": ("Wh", 1),
    "kWh": ("Wh", 1000),
    "MWh": ("Wh", 1_000_000),
    "MJ": ("MJ", 1),
    "GJ": ("MJ", 1000),
    "s": ("s", 1),
    "min": ("s", 60),
}
UNITS_OF_KWH = {"MWh": ("kWh", 1000), "GWh": ("kWh", 1_000_000)}


def parse_entries(text: str, file: str, site: Site) -> list[LedgerEntry]:
    """Entries of a file. Raises ConfigError naming every line at fault; nothing is taken then."""
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in REQUIRED if name not in (reader.fieldnames or [])]
    if missing:
        raise ConfigError([Fault(file, "header", f"no column {', '.join(missing)}", f"columns {', '.join(REQUIRED)} and time")])
    entries: list[LedgerEntry] = []
    faults: list[Fault] = []
    seen: dict[tuple[str, str, str], tuple[int, LedgerEntry]] = {}
    for number, row in enumerate(reader, start=2):
        try:
            entry = _entry(row, site)
            if entry.supersedes is None:
                _check_identity(entry, *seen.setdefault((entry.kind, entry.source, entry.key), (number, entry)))
            entries.append(entry)
        except ValueError as error:
            faults.append(Fault(file, f"line {number}", str(error), "mend that line; nothing of the file was taken"))
    if faults:
        raise ConfigError(faults)
    return entries


def _entry(row: dict[str, str], site: Site) -> LedgerEntry:
    if None in row or None in row.values():
        raise ValueError("more or fewer cells than the header")
    cell = {key.strip(): value.strip() for key, value in row.items()}
    kind = cell["kind"]
    if kind not in LEDGER_KINDS:
        raise ValueError(f"kind {kind!r}; allowed: {', '.join(LEDGER_KINDS)}")
    allowed = subjects(site, cast(Kind, kind))
    if cell["subject"] not in allowed:
        raise ValueError(f"subject {cell['subject']!r}; allowed for {kind}: {', '.join(allowed)}")
    if not cell["who"] or not cell["document"]:
        raise ValueError("who and document must be filled in")
    start, end = _times(cell, site.calendar.zone)
    supersedes = cell.get("supersedes", "")
    if supersedes and not cell.get("reason"):
        raise ValueError("a correction needs a reason")
    data = {k: v for k, v in cell.items() if k not in KNOWN and v}
    found = LedgerEntry(
        plant=site.id,
        kind=kind,
        key=cell.get("key") or f"{cell['document']}:{cell['subject']}:{start}",
        source=cell.get("source") or "manual",
        subject=cell["subject"],
        start_ns=start,
        end_ns=end,
        amount=_amount(kind, cell["amount"], cell["unit"]),
        unit=LEDGER_KINDS[kind],
        who=cell["who"],
        document=cell["document"],
        reason=cell.get("reason", ""),
        data=entry_data(kind, data),
        supersedes=int(supersedes) if supersedes else None,
    )
    return plausible_entry(site, found)


def _check_identity(entry: LedgerEntry, line: int, first: LedgerEntry) -> None:
    """Of two lines under one identity the second would be taken for a repeat."""
    if _statement(entry) != _statement(first):
        raise ValueError(f"key {entry.key!r} stands for something else in line {line}; give each its own in a column key")


def _statement(entry: LedgerEntry) -> tuple[str, int, int, int]:
    """What an entry states: subject, start, end, amount."""
    return entry.subject, entry.start_ns, entry.end_ns, entry.amount


def _times(cell: dict[str, str], zone: ZoneInfo) -> tuple[int, int]:
    start = _time(cell.get("start") or cell.get("time", ""), zone)
    end = _time(cell.get("end") or cell.get("start") or cell.get("time", ""), zone)
    if end < start:
        raise ValueError(f"end {cell['end']!r} before its start")
    return start, end


def _time(text: str, zone: ZoneInfo) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"time {text!r}; write 2026-11-01T08:00 (plant's zone) or with an offset") from None
    return round((found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()) * 1_000_000_000


def _amount(kind: str, text: str, unit: str) -> int:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"amount {text!r} is not a number") from None
    wanted = LEDGER_KINDS[kind]
    target, factor = (wanted, 1) if unit == wanted else (UNITS_OF_KWH if wanted == "kWh" else UNITS).get(unit, ("", 0))
    scaled = amount * factor
    if target != wanted:
        raise ValueError(f"unit {unit!r} does not fit {kind}, which is kept in {wanted}")
    if not scaled.is_finite() or scaled != int(scaled) or scaled < 0:
        raise ValueError(f"amount {text} {unit} is not a whole, non-negative number of {wanted}")
    return int(scaled)
