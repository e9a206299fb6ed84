"""What certificates are missing to the target of a quota year, and what they would cost. Exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal

from plant.rulebook import Rulebook
from plant.site import Site

QUOTA, PRICE = "certificate-quota", "certificate-price"


@dataclass(frozen=True, slots=True)
class Target:
    """Share of the total power use that certificates have to cover, from the site's own settings or a rule."""

    percent: Decimal
    origin: str  # "site" or the edition of the rule
    standing: str  # assessed | monitored | ""
    placeholder: bool


@dataclass(frozen=True, slots=True)
class Price:
    """Yuan a certificate, at least and at most."""

    low_yuan: Decimal
    high_yuan: Decimal
    origin: str

    @property
    def middle_yuan(self) -> Decimal:
        """Halfway between."""
        return (self.low_yuan + self.high_yuan) / 2


def target_of(site: Site, rulebook: Rulebook, at: date) -> Target | None:
    """The target of a quota year that ends on ``at``: what the site states, else its province's rule."""
    own, rule = site.accounting.quota_target_percent, rulebook.in_force(QUOTA, at, (site.province,))
    if own is not None:
        return Target(Decimal(repr(own)), "site", rule.standing if rule else "", placeholder=False)
    return None if rule is None else Target(rule.value, rule.edition, rule.standing, rule.placeholder)


def price_of(site: Site, rulebook: Rulebook, at: date, at_ns: int) -> Price | None:
    """The price in force: the site's own range, else the rule ``certificate-price``."""
    own = [p for p in site.green.certificate_price if p.valid_from.timestamp() * 1e9 <= at_ns]
    if own:
        return Price(own[-1].low_yuan, own[-1].high_yuan, "site")
    rule = rulebook.in_force(PRICE, at, (site.province, "CN"))
    return None if rule is None else Price(rule.value, rule.value, rule.edition)


def gap_mwh(percent: Decimal, use_kwh: int, certificates_mwh: int) -> Decimal:
    """Certificates missing to a target, MWh; below 0 there are more than needed. Source: 10.5."""
    return percent * use_kwh / 100_000 - certificates_mwh


def to_buy(gap: Decimal) -> int:
    """Whole certificates that close a gap."""
    return max(int(gap.to_integral_value(ROUND_CEILING)), 0)
