"""Green shares that rest on documents rather than on electrons: the certificate ratio R. Never added to a physical share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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

    @property
    def total_mwh(self) -> int:
        """All that count for R."""
        return self.self_use_mwh + self.green_trade_mwh + self.bought_mwh


def certificates_of_year(entries: Iterable[LedgerEntry], year: int) -> Certificates:
    """Certificates in the ledger (superseded entries left out) that are cancelled for ``year``. Source: 10.5.

    A certificate that is valid but not yet cancelled does not count; nor does one of another quota year, nor one whose data
    cannot be read, which an entry of an older version may hold.
    """
    amounts = dict.fromkeys(COUNTED_TYPES, 0)
    unreadable = []
    for entry in (e for e in entries if e.kind == "certificate"):
        try:
            certificate = read_certificate(entry.data)
        except ValueError:
            unreadable.append(entry.id)
            continue
        if certificate.status == CANCELLED and certificate.quota_year == year:
            amounts[certificate.type] += entry.amount
    return Certificates(amounts["self_use"], amounts["green_trade"], amounts["bought"], tuple(unreadable))


def certificate_ratio_percent(certificates: Certificates, power_use_mwh: float) -> float:
    """R in %: cancelled certificates of the total power use (battery loss included), both MWh. Source: 10.5."""
    return 100.0 * certificates.total_mwh / power_use_mwh
