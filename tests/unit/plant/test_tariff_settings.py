"""Settings of [tariff]: the template's examples hold, dates choose the row, what cannot be is a fault."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from importlib import resources

import pytest

from plant.config import parse_site
from plant.errors import ConfigError
from plant.settings.tariff import Assessment, PowerFactorRow, PowerFactorRule, TariffSettings

TEMPLATE = (resources.files("potwatt") / "site_template.toml").read_text("utf-8")


def test_the_examples_of_the_template_parse_once_their_marks_are_off() -> None:
    first = TEMPLATE.index("# [[tariff.assessment]]")
    end = TEMPLATE.index("\n\n", first)
    block = "".join(re.sub("^# ?", "", line) + "\n" for line in TEMPLATE[first:end].splitlines())
    found = parse_site(TEMPLATE[:first] + block + TEMPLATE[end:], "site.toml").tariff
    assert all(
        getattr(found, name) for name in ("assessment", "non_hydro_share", "notice", "time_of_use", "demand", "power_factor")
    )


def test_as_shipped_no_price_is_preset() -> None:
    assert parse_site(TEMPLATE, "site.toml").tariff == TariffSettings()


def test_the_latest_assessment_that_has_begun_holds() -> None:
    rows = (Assessment(valid_from=date(2027, 1, 1), unit="line"), Assessment(valid_from=date(2025, 1, 1), decimals=2))
    settings = TariffSettings(assessment=rows)
    assert settings.assessed(date(2024, 12, 31)) == Assessment()
    assert settings.assessed(date(2026, 12, 31)).decimals == 2
    assert settings.assessed(date(2027, 12, 31)).unit == "line"


def test_the_lowest_row_that_holds_is_the_adjustment() -> None:
    rows = (("0.90", "0.5"), ("0.85", "3"), ("0.89", "1"))
    rule = PowerFactorRule(
        valid_from=date(2026, 1, 1), rows=tuple(PowerFactorRow(below=Decimal(b), percent=Decimal(p)) for b, p in rows)
    )
    got = [rule.percent(Decimal(x)) for x in ("0.95", "0.90", "0.89", "0.885", "0.84")]
    assert got == [Decimal(x) for x in ("0", "0", "0.5", "1", "3")]


def test_a_row_up_to_1_holds_at_1() -> None:
    rows = (PowerFactorRow(below=Decimal(1), percent=Decimal("-0.75")), PowerFactorRow(below=Decimal("0.95"), percent=Decimal(0)))
    rule = PowerFactorRule(valid_from=date(2026, 1, 1), rows=rows)
    assert [rule.percent(Decimal(x)) for x in ("0.94", "0.95", "1.00")] == [0, Decimal("-0.75"), Decimal("-0.75")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("[[tariff.assessment]]\nvalid_from = 2026-01-01\n", "one edition a date"),
        ('[[tariff.demand]]\ntie = "tie"\nvalid_from = 2026-01-01\ncontracted_kw = 1\n', "one edition a tie and date"),
        ("[[tariff.notice]]\nyear = 2025\nnotified = 2026-03-01\n", "one row a year"),
        ("[[tariff.non_hydro_share]]\nyear = 2025\npercent = 18\n", "one row a year"),
    ],
)
def test_what_is_stated_twice_is_a_fault(row: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_site(TEMPLATE + row + row, "site.toml")
