"""Green shares that rest on documents rather than on electrons: the certificate ratio R. Never added to a physical share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from analytics.estimate import Sum
from analytics.period_rows import Period
from plant import nodes
from plant.certificates import read_certificate
from plant.ports import LedgerEntry

COUNTED_TYPES = ("self_use", "green_trade", "bought")
CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificates cancelled for a quota year, MWh by type, and what could not be read."""

    self_use_mwh: int = 0
    green_trade_mwh: int = 0
    bought_mwh: int = 0
    unreadable: tuple[int | None, ...] = ()  # ids of entries that were skipped
    ended: tuple[int | None, ...] = ()  # ids of entries cancelled for a year in which they were valid no more
    later: tuple[int | None, ...] = ()  # ids of entries cancelled for a year after which they were generated

    @property
    def total_mwh(self) -> int:
        """All that count for R."""
        return self.self_use_mwh + self.green_trade_mwh + self.bought_mwh


def certificates_of_year(entries: Iterable[LedgerEntry], year: int) -> Certificates:
    """Certificates in the ledger (superseded entries left out) that are cancelled for ``year``. Source: 10.5.

    A certificate that is valid but not yet cancelled does not count; nor does one of another quota year, one that ended before
    the quota year began, one generated after it, nor one whose data cannot be read, which an entry of an older version may hold.
    """
    amounts = dict.fromkeys(COUNTED_TYPES, 0)
    unreadable, ended, later = [], [], []
    for entry in (e for e in entries if e.kind == "certificate"):
        try:
            certificate = read_certificate(entry.data)
        except ValueError:
            unreadable.append(entry.id)
            continue
        if certificate.status != CANCELLED or certificate.quota_year != year:
            continue
        if certificate.ends_month and certificate.ends_month <= f"{year}-01":
            ended.append(entry.id)
        elif certificate.generation_month and certificate.generation_month > f"{year}-12":
            later.append(entry.id)
        else:
            amounts[certificate.type] += entry.amount
    return Certificates(
        amounts["self_use"], amounts["green_trade"], amounts["bought"], tuple(unreadable), tuple(ended), tuple(later)
    )


def total_use(period: Period) -> Sum:
    """Total power use of a period, kWh: load and battery loss. Source: 10.5; the denominator of R.

    Battery loss is what was charged less what was discharged, and never below 0: what the store held more or less at the end is
    not known. Where its capacity is stated the band has room for that. Over a year it is next to nothing.
    """
    load, into, out = (period.sum(nodes.PLANT, name) for name in ("load_energy", "storage_charge", "storage_discharge"))
    held = sum(b.capacity_kwh for b in period.site.branches_of("storage"))
    value, low, high = (
        None if use is None else use + max((charge or 0.0) - (discharge or 0.0) + room, 0.0)
        for use, charge, discharge, room in (
            (load.value, into.value, out.value, 0.0),
            (load.low, into.low, out.high, -min(held, into.high or 0.0)),
            (load.high, into.high, out.low, min(held, out.high or 0.0)),
        )
    )
    return Sum(value, low, high, load.measured_share, load.estimated_slots)


def ratio_of_year(period: Period, use: Sum) -> Sum | None:
    """R of the span's year to date: only for a year, since certificates are cancelled for a year."""
    if period.kind != "year" or use.value is None:
        return None
    certificates = certificates_of_year(period.entries, period.day.year)
    value, low, high = (
        None if end is None or end <= 0 else certificate_ratio_percent(certificates, end / 1000.0)
        for end in (use.value, use.high, use.low)
    )
    return Sum(value, low, high, use.measured_share, use.estimated_slots)


def certificate_ratio_percent(certificates: Certificates, power_use_mwh: float) -> float:
    """R in %: cancelled certificates of the total power use (battery loss included), both MWh. Source: 10.5."""
    return 100.0 * certificates.total_mwh / power_use_mwh
