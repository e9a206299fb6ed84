"""Certificates: R, the gap and its cost, issue with a carried remainder, life; by the shipped study."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from green_rows import NS, START_NS, material_of, period_of, site_of

from analytics.certificate_gap import gap_mwh, to_buy
from analytics.certificate_stock import Issued, issue
from analytics.certificate_study import STUDY
from analytics.study import Studied
from plant import nodes
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS, Span

PLANT = ['id = "tie", kind = "grid_tie"', 'id = "pv", kind = "pv"', 'id = "bat", kind = "storage"']
QUOTA_38 = "[accounting]\nquota_target_percent = 38\n"


def cert(number: int, kind: str, mwh: int, status: str = "cancelled", **data: Any) -> LedgerEntry:
    more = {"type": kind, "status": status} | ({"quota_year": 2026} if status == "cancelled" else {}) | data
    return LedgerEntry("p", "certificate", f"c{number}", "gec", "plant", 0, 0, mwh, "MWh", "li", data=more, id=number)


def at(year: int, month: int, day: int, hour: int = 0) -> int:
    return round(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * NS


def test_what_is_missing_to_the_target_is_exact() -> None:
    # 38 % of 6 700 000 MWh = 2 546 000; 180 000 + 1 500 000 + 800 000 = 2 480 000 are held: 66 000 are missing
    gap = gap_mwh(Decimal(38), 6_700_000_000, 2_480_000)
    assert gap == Decimal(66_000)
    assert to_buy(gap) == 66_000
    assert to_buy(gap_mwh(Decimal(38), 6_700_000_001, 2_480_000)) == 66_001
    assert to_buy(gap_mwh(Decimal(38), 1_000_000, 1_000)) == 0


def test_the_study_says_what_is_missing_and_what_it_costs() -> None:
    # 6 700 000 MWh: the load, and 10 000 MWh that a battery lost; 66 000 at 5.57 yuan = 367 620 yuan
    mwh = {"tie": ([6_700_000.0], [0.0]), "pv": ([0.0], [0.0]), "bat": ([10_000.0], [0.0])}
    entries = [cert(1, "self_use", 180_000), cert(2, "green_trade", 1_500_000), cert(3, "bought", 800_000)]
    period = period_of(site_of(PLANT, QUOTA_38), mwh, entries, "year")
    found = STUDY.compute(material_of(period, at(2026, 12, 1)))
    assert found.body["ratio_percent"] == pytest.approx(37.0149, abs=5e-5)
    assert found.body["total_use_kwh"] == 6_700_000_000
    figures = found.figures[nodes.PLANT]
    assert [figures[n].value for n in ("certificate_gap", "certificates_to_buy", "certificate_cost")] == [66_000, 66_000, 367_620]
    assert figures["certificate_cost"].editions == ("target: site", "certificate-price@2025-01-01/2026-01-01")
    assert figures["certificate_gap"].status == {"target": "missed"}


def test_a_rule_of_the_province_stands_under_its_own_name() -> None:
    rows = {"tie": ([1.0], [0.0]), "pv": ([0.0], [0.0]), "bat": ([0.0], [0.0])}
    site = replace(site_of(PLANT), province="inner_mongolia")
    period = period_of(site, rows, (), "year", at(2025, 6, 1))
    asked = material_of(period, at(2025, 12, 1), site.calendar.year(2025))
    gap = STUDY.compute(asked).figures[nodes.PLANT]["certificate_gap"]
    assert (gap.status, gap.editions) == (
        {"certificate-quota": "missed"},
        ("certificate-quota@2025-01-01/inner_mongolia/2025-07-01",),
    )


def test_without_a_target_nothing_is_said_of_a_gap() -> None:
    period = period_of(site_of(PLANT), {"tie": ([1.0], [0.0]), "pv": ([0.0], [0.0]), "bat": ([0.0], [0.0])}, (), "year")
    gap = STUDY.compute(material_of(period, at(2026, 12, 1))).figures[nodes.PLANT]["certificate_gap"]
    assert (gap.value, gap.low, gap.high, gap.reason) == (None, None, None, "no target for 2026 is known")


def test_the_price_may_be_a_range_of_the_site() -> None:
    price = "[[green.certificate_price]]\nvalid_from = 2026-01-01T00:00:00+08:00\nlow_yuan = '4.5'\nhigh_yuan = '6.5'\n"
    mwh = {"tie": ([1_000.0], [0.0]), "pv": ([0.0], [0.0]), "bat": ([0.0], [0.0])}
    period = period_of(site_of(PLANT, QUOTA_38 + price), mwh, (), "year")
    cost = STUDY.compute(material_of(period, at(2026, 12, 1))).figures[nodes.PLANT]["certificate_cost"]
    assert (cost.low, cost.value, cost.high) == (380 * 4.5, 380 * 5.5, 380 * 6.5)


def test_what_is_below_a_certificate_goes_to_the_next_month() -> None:
    # 1234.7 MWh: 1234 and 0.7 left; 1100.6 + 0.7 = 1101.3: 1101 and 0.3 left
    found = issue([("2026-01", 1_234_700), ("2026-02", 1_100_600), ("2026-03", None), ("2026-04", 999)])
    assert [(row.certificates, row.carried_kwh) for row in found] == [(1_234, 700), (1_101, 300), (None, 0), (0, 999)]
    assert issue([("2026-01", 300)], 700) == [Issued("2026-01", 300, 1, 0)]


def _year(entries: list[LedgerEntry], now_ns: int, gone: int | None = None) -> Studied:
    """A plant of January and February 2026 with the sun of the vector, of which 1 MWh a month charges the battery."""
    start, february, end = at(2025, 12, 31, 16), at(2026, 1, 31, 16), at(2026, 2, 28, 16)
    slots = (end - start) // QUARTER_NS
    first = (february - start) // QUARTER_NS
    sun, charge = np.zeros(slots), np.zeros(slots)
    sun[50], sun[first + 50], charge[[50, first + 50]] = 1234.7, 1100.6, 1.0
    if gone is not None:
        sun[gone] = np.nan
    load = np.where(np.isnan(sun), 2_000.0, 2_000.0 + charge - np.nan_to_num(sun))
    zero = np.zeros(slots)
    mwh = {"tie": (load, zero), "pv": (np.where(np.isnan(sun), np.nan, 0.0), sun), "bat": (charge, zero)}
    period = period_of(site_of(PLANT), mwh, entries, "year", start)  # type: ignore[arg-type]
    return STUDY.compute(material_of(period, now_ns, Span(start, at(2026, 12, 31, 16))))


def test_the_meters_say_what_may_be_issued() -> None:
    # nothing is exported, so all generation is used by the plant; the running months have nothing yet
    rows = _year([], at(2026, 3, 1)).body["issue"]["pv"]
    assert [(r["month"], r["self_used_kwh"], r["certificates"], r["carried_kwh"]) for r in rows[:3]] == [
        ("2026-01", 1_234_700, 1_234, 700),
        ("2026-02", 1_100_600, 1_101, 300),
        ("2026-03", None, None, 0),
    ]


def test_what_december_left_over_counts_for_january() -> None:
    # 1234.7 MWh in December 2025 and 1100.6 in January 2026: 1234 and 1101 certificates, 300 kWh go to February
    december, january, end = at(2025, 11, 30, 16), at(2025, 12, 31, 16), at(2026, 1, 31, 16)
    slots, first = (end - december) // QUARTER_NS, (january - december) // QUARTER_NS
    sun, zero = np.zeros(slots), np.zeros(slots)
    sun[50], sun[first + 50] = 1234.7, 1100.6
    mwh = {"tie": (2_000.0 - sun, zero), "pv": (zero, sun), "bat": (zero, zero)}
    period = period_of(site_of(PLANT, QUOTA_38), mwh, [], "year", december)  # type: ignore[arg-type]
    asked = material_of(period, at(2026, 2, 10), Span(january, at(2026, 12, 31, 16)))
    assert STUDY.wants(asked.question).span.start_ns == at(2024, 12, 31, 16)
    found = STUDY.compute(asked)
    row = found.body["issue"]["pv"][0]
    assert (row["month"], row["certificates"], row["carried_kwh"]) == ("2026-01", 1_101, 300)
    assert found.body["total_use_kwh"] == pytest.approx(2_000_000 * 31 * 96)  # of the year that was asked about alone


def test_a_month_with_a_hole_has_no_certificates_yet() -> None:
    rows = _year([], at(2026, 3, 1), gone=7).body["issue"]["pv"]
    assert rows[0]["certificates"] is None
    assert rows[1]["certificates"] == 1_100


def test_self_use_enters_once() -> None:
    own = cert(1, "self_use", 1_234, generation_month="2026-01")
    assert _year([own], at(2026, 3, 1)).body["faults"] == []
    twice = _year([own, replace(cert(2, "self_use", 1_234, generation_month="2026-01"))], at(2026, 3, 1)).body["faults"]
    assert twice == ["2026-01: 2468 certificates of self-use are entered, the meters show 1234"]


def test_certificates_end_after_two_years_and_are_told_of_sixty_days_before() -> None:
    entries = [
        cert(1, "bought", 10, "valid", generation_month="2024-03"),  # ends 2026-03-01
        cert(2, "bought", 20, "valid", generation_month="2024-04"),  # ends 2026-04-01
        cert(3, "green_trade", 40, "valid", generation_month="2024-06"),
        cert(4, "bought", 80, generation_month="2023-12"),  # ended 2025-12-01: not for 2026
        cert(5, "bought", 160, generation_month="2024-03"),  # cancelled while it was valid
        cert(6, "bought", 320, generation_month="2026-12"),
        cert(7, "bought", 640, generation_month="2027-01"),  # proves no energy that was used in 2026
    ]
    body = _year(entries, at(2026, 3, 2)).body
    assert body["stock_mwh"] == {"bought": {"expired": 10, "valid": 20, "cancelled": 1_200}, "green_trade": {"valid": 40}}
    assert [(row["entry"], row["days_left"]) for row in body["expiring"]] == [(2, 30)]
    assert body["counted_mwh"]["total"] == 480
    assert body["faults"] == [
        "entry 4: cancelled for a year in which it was valid no more; it is not counted",
        "entry 7: cancelled for a year after which it was generated; it is not counted",
    ]


def test_a_study_of_a_year_without_a_row_answers() -> None:
    period = period_of(site_of(PLANT, QUOTA_38), {"tie": ([], []), "pv": ([], []), "bat": ([], [])}, (), "year")
    found = STUDY.compute(material_of(period, START_NS)).figures[nodes.PLANT]
    assert found["certificate_gap"].value is None
