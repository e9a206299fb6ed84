"""Green shares that rest on documents rather than on electrons: the certificate ratio R. Never added to a physical share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plant.ports import LedgerEntry

COUNTED_TYPES = ("self_use", "green_trade", "bought")
CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificates cancelled for a quota year, MWh by type."""

    self_use_mwh: int = 0
    green_trade_mwh: int = 0
    bought_mwh: int = 0

    @property
    def total_mwh(self) -> int:
        """All that count for R."""
        return self.self_use_mwh + self.green_trade_mwh + self.bought_mwh


def certificates_of_year(entries: Iterable[LedgerEntry], year: int) -> Certificates:
    """Certificates in the ledger (superseded entries left out) that are cancelled for ``year``. Source: 10.5.

    A certificate that is valid but not yet cancelled does not count; nor does one of another quota year.
    """
    amounts = dict.fromkeys(COUNTED_TYPES, 0)
    for entry in entries:
        kind = str(entry.data.get("type", ""))
        cancelled = entry.data.get("status") == CANCELLED
        if entry.kind == "certificate" and kind in amounts and cancelled and int(entry.data.get("quota_year", 0)) == year:
            amounts[kind] += entry.amount
    return Certificates(amounts["self_use"], amounts["green_trade"], amounts["bought"])


def certificate_ratio_percent(certificates: Certificates, power_use_mwh: float) -> float:
    """R in %: cancelled certificates of the total power use (battery loss included), both MWh. Source: 10.5."""
    return 100.0 * certificates.total_mwh / power_use_mwh


def certificates_to_buy(certificates: Certificates, power_use_mwh: float, target_percent: float) -> int:
    """Whole certificates (1 MWh each) missing to a target, 0 where it is reached."""
    missing = target_percent / 100.0 * power_use_mwh - certificates.total_mwh
    return max(0, -int(-round(missing, 6) // 1))
