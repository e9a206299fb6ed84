"""What the ``data`` of a ledger entry has to say, by its kind, and what its amount may be at a plant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from plant.certificates import certificate_data, serials_fault
from plant.contract_energy import BOUGHT_KINDS, bought_data, quarters_fault
from plant.ports import LedgerEntry
from plant.register_statements import STATED_KINDS, statement_data, statement_fault
from plant.site import Site

IMPLAUSIBLE = "implausible"  # key in ``data`` of an entry that is kept and not counted


def entry_data(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data as the ledger keeps it. Raises ValueError naming what is missing or does not fit."""
    if kind == "certificate":
        return certificate_data(data)
    if kind in STATED_KINDS:
        return statement_data(kind, data)
    if kind in BOUGHT_KINDS:
        return bought_data(kind, data)
    if kind == "fuel" and not (isinstance(data.get("fuel"), str) and data["fuel"].strip()):
        raise ValueError(f"data.fuel: found {data.get('fuel')!r}; name the fuel, such as natural_gas")
    return dict(data)


def plausible_entry(site: Site, entry: LedgerEntry) -> LedgerEntry:
    """The entry, marked where the site keeps what cannot be true apart. Raises ValueError where it refuses it."""
    if entry.kind in STATED_KINDS and (wrong := statement_fault(site, entry)):
        raise ValueError(wrong)
    if entry.kind in BOUGHT_KINDS and (wrong := quarters_fault(entry.start_ns, entry.end_ns)):
        raise ValueError(wrong)
    if entry.kind == "certificate" and (wrong := serials_fault(entry)):
        raise ValueError(wrong)
    marked = marked_entry(site, entry)
    if site.process.implausible_taps == "refuse" and not counts(marked):
        raise ValueError(marked.data[IMPLAUSIBLE])
    return marked


def marked_entry(site: Site, entry: LedgerEntry) -> LedgerEntry:
    """The entry, a tap that cannot be one marked: a device cannot be asked again, so what it said is kept and not counted."""
    fault = _tap_fault(site, entry) if entry.kind == "metal_tapped" else ""
    return replace(entry, data={**entry.data, IMPLAUSIBLE: fault}) if fault else entry


def counts(entry: LedgerEntry) -> bool:
    """Whether an entry counts: one that is marked as implausible waits for a correction."""
    return not entry.data.get(IMPLAUSIBLE)


def _tap_fault(site: Site, entry: LedgerEntry) -> str:
    """Why a weighed tap cannot be one; of a span it is the sum of as many taps as the line may give."""
    ladle_kg, days = site.process.ladle_max_kg, (entry.end_ns - entry.start_ns) / 86.4e12
    line_kg = site.process.line_day_max_t * 1000
    if days == 0 and entry.amount > ladle_kg:
        return f"amount: found {entry.amount} kg in one tap; a ladle holds at most {ladle_kg} kg ([process] ladle_max_kg)"
    if days > 0 and entry.amount > max(days, 1.0) * line_kg:
        return (
            f"amount: found {entry.amount} kg in {days:.2f} d; a line gives at most {line_kg:.0f} kg a day "
            "([process] line_day_max_t)"
        )
    return ""
