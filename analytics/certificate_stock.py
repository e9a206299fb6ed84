"""The stock of green certificates: by type and status, what ends soon, and what the plant's own generation entitles it to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from plant.certificates import Certificate, read_certificate
from plant.ports import LedgerEntry

KWH_A_CERTIFICATE = 1000
EXPIRING_DAYS = 60


@dataclass(frozen=True, slots=True)
class Held:
    """A batch in the ledger, its certificate readable."""

    entry: LedgerEntry
    certificate: Certificate

    @property
    def ends(self) -> date | None:
        """First day on which it is valid no more: two years after its generation month began. None where that is not stated."""
        month = self.certificate.ends_month
        return date(int(month[:4]), int(month[5:]), 1) if month else None

    def status(self, today: date) -> str:
        """What it is today: one that was never used is expired from its end on, whatever the ledger says."""
        over = self.ends is not None and self.ends <= today
        return "expired" if over and self.certificate.status == "valid" else self.certificate.status


def held(entries: Iterable[LedgerEntry]) -> tuple[list[Held], list[int | None]]:
    """The batches of a ledger and the numbers of the entries that cannot be read."""
    found, unreadable = [], []
    for entry in entries:
        if entry.kind != "certificate":
            continue
        try:
            found.append(Held(entry, read_certificate(entry.data)))
        except ValueError:
            unreadable.append(entry.id)
    return found, unreadable


def stock(batches: Sequence[Held], today: date) -> dict[str, dict[str, int]]:
    """Certificates of 1 MWh by type and by what they are today."""
    found: dict[str, dict[str, int]] = {}
    for batch in batches:
        by_status = found.setdefault(batch.certificate.type, {})
        status = batch.status(today)
        by_status[status] = by_status.get(status, 0) + batch.entry.amount
    return found


def expiring(batches: Sequence[Held], today: date) -> list[dict[str, Any]]:
    """Valid batches that end within ``EXPIRING_DAYS``, the first to end first, ready for JSON."""
    found = [(b.ends, b) for b in batches if b.ends is not None and b.status(today) == "valid"]
    soon = sorted(((ends, b) for ends, b in found if (ends - today).days <= EXPIRING_DAYS), key=lambda pair: pair[0])
    return [
        {
            "entry": b.entry.id,
            "type": b.certificate.type,
            "generation_month": b.certificate.generation_month,
            "ends": ends.isoformat(),
            "days_left": (ends - today).days,
            "mwh": b.entry.amount,
            "serial_from": b.certificate.serial_from,
            "serial_to": b.certificate.serial_to,
        }
        for ends, b in soon
    ]


@dataclass(frozen=True, slots=True)
class Issued:
    """Certificates for the energy of a month: whole ones, what is below one goes to the next month. None where the month is not
    over or not measured whole."""

    month: str
    self_used_kwh: int | None
    certificates: int | None
    carried_kwh: int


def issue(self_used_kwh: Sequence[tuple[str, int | None]], carried_kwh: int = 0) -> list[Issued]:
    """Certificates by month of one generator in whole kWh, ``carried_kwh`` from before. After a month that is not known the
    remainder counts from 0. Source: 2024 No. 67; 10.5."""
    found = []
    for month, energy_kwh in self_used_kwh:
        if energy_kwh is None:
            found.append(Issued(month, None, None, 0))
            carried_kwh = 0
            continue
        count, carried_kwh = divmod(energy_kwh + carried_kwh, KWH_A_CERTIFICATE)
        found.append(Issued(month, energy_kwh, count, carried_kwh))
    return found


def self_use_by_month(batches: Sequence[Held]) -> dict[str, int]:
    """Certificates of self-used energy that stand in the ledger, by generation month."""
    found: dict[str, int] = {}
    for b in batches:
        if b.certificate.type == "self_use" and b.certificate.generation_month:
            month = b.certificate.generation_month
            found[month] = found.get(month, 0) + b.entry.amount
    return found
