"""The tiered price of electricity in exact numbers: steps over the threshold, the green discount, the late factor.

Source: domain rules of NDRC price 2021 No. 1239. What its wording leaves open comes as ``Assessment``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil, floor

from plant.rulebook import Rule, Rulebook
from plant.settings.tariff import Assessment

RULES = ("tariff-threshold", "tariff-step", "tariff-adder", "tariff-discount-above", "tariff-discount-per-point")
INCENTIVE = "non-hydro-incentive"


@dataclass(frozen=True, slots=True)
class TieredPrice:
    """The tiered price of a year: ``indicator`` is the one that the threshold names (kWh/t), ``adder`` yuan/kWh a step.

    ``incentive_percent`` is the province's non-hydro incentive weight of the year before, None where no rule has it.
    """

    indicator: str
    threshold: Decimal
    step: Decimal
    adder: Decimal
    discount_above_percent: Decimal
    discount_per_point_percent: Decimal
    incentive_percent: Decimal | None
    editions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Discount:
    """Percentage points that lower the addition: ``points`` as far as is proven, between ``least`` and ``most``."""

    points: Decimal
    least: Decimal
    most: Decimal
    reason: str = ""


def tiered_price(rulebook: Rulebook, year: int, scope: Sequence[str]) -> TieredPrice | None:
    """The price in force on a year, narrowest of ``scope`` first; None where one of its rules has no edition.

    The incentive weight is that of the province alone, as it was in the year before.
    """
    at = date(year, 12, 31)
    found = [rulebook.in_force(name, at, scope) for name in RULES]
    rules: list[Rule] = [rule for rule in found if rule is not None]
    if len(rules) < len(RULES):
        return None
    incentive = rulebook.in_force(INCENTIVE, date(year - 1, 12, 31), [where for where in scope if where != "CN"])
    editions = tuple(rule.edition for rule in (*rules, *([incentive] if incentive else [])))
    threshold, step, per_step, above, per_point = (rule.value for rule in rules)
    weight = None if incentive is None else incentive.value
    return TieredPrice(rules[0].indicator, threshold, step, per_step, above, per_point, weight, editions)


def specific_energy(energy_kwh: int, metal_kg: int) -> Fraction:
    """kWh/t, exact. Raises ZeroDivisionError without metal."""
    return Fraction(energy_kwh * 1000, metal_kg)


def rounded(specific: Fraction, decimals: int | None) -> Fraction:
    """kWh/t rounded half up to ``decimals`` as the assessment says; as it is for None."""
    if decimals is None:
        return specific
    scale = 10**decimals
    return Fraction(floor(specific * scale + Fraction(1, 2)), scale)


def steps(specific: Fraction, price: TieredPrice, decimals: int | None = None) -> int:
    """Started steps above the threshold; a threshold that is met costs nothing."""
    above = rounded(specific, decimals) - Fraction(price.threshold)
    return max(ceil(above / Fraction(price.step)), 0)


def edge_below(count: int, price: TieredPrice) -> Fraction:
    """The highest kWh/t that has one step less than ``count``."""
    return Fraction(price.threshold) + (count - 1) * Fraction(price.step)


def discount(
    price: TieredPrice, how: Assessment, share: Decimal | None, low: Decimal | None = None, high: Decimal | None = None
) -> Discount:
    """Points that a non-hydro ``share`` in % with its band takes off the addition; without an edge the share itself is it.

    A share that is not known, or no incentive weight to hold it against, proves no discount.
    """
    least, most = (points_of(price, how, share if edge is None else edge) for edge in (low, high))
    if share is None:
        return Discount(Decimal(0), Decimal(0), most, "the non-hydro share of the year is not known, no discount is counted")
    if price.incentive_percent is None and most > 0:
        reason = "no rule non-hydro-incentive for the year before, no discount is counted"
        return Discount(Decimal(0), Decimal(0), most, reason)
    return Discount(points_of(price, how, share), least, most)


def points_of(price: TieredPrice, how: Assessment, share_percent: Decimal | None) -> Decimal:
    """Points of a share: only of one above the limit and not below the incentive weight, where that is known."""
    limit = price.discount_above_percent
    if share_percent is None or share_percent <= limit or share_percent < (price.incentive_percent or 0):
        return Decimal(0)
    counted = share_percent if how.discount_from == "all" else share_percent - limit
    points = (Decimal(floor(counted)) if how.discount_points == "whole" else counted) * price.discount_per_point_percent
    return min(points, Decimal(100))


def adder(count: int, price: TieredPrice, points: Decimal = Decimal(0)) -> Decimal:
    """yuan/kWh of ``count`` steps, lowered by ``points`` %."""
    return count * price.adder * (1 - points / 100)


@dataclass(frozen=True, slots=True)
class Late:
    """Factor on a surcharge for paying late, and the editions of the rules that it comes from: none while it is in time."""

    factor: Decimal = Decimal(1)
    editions: tuple[str, ...] = ()
    reason: str = ""


def overdue(rulebook: Rulebook, notified: date, looked: date, scope: Sequence[str]) -> Late:
    """What raises a surcharge that was notified and, ``looked`` at, is not paid; nothing before the days of grace are over."""
    days, factor = (rulebook.in_force(name, notified, scope) for name in ("tariff-late-after", "tariff-late-factor"))
    if days is None or factor is None or (looked - notified).days < days.value:
        return Late()
    reason = f"overdue: notified {notified}, not paid within {days.value} days, times {factor.value}"
    return Late(factor.value, (days.edition, factor.edition), reason)


def yuan(amount: Decimal) -> Decimal:
    """Money to the fen."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
