"""Dated rules: which edition is in force, how a figure stands to a limit, what a wrong rule file says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.errors import ConfigError, IncomparableError
from plant.rulebook import EXCEEDED, MET, MISSED, UNDECIDABLE, UNKNOWN, Rule, grade, parse_rules, shipped_rule_texts, status

BOOK = parse_rules(shipped_rule_texts())
E1 = "specific_energy_e1"


def rule(**changes: object) -> Rule:
    fields: dict[str, object] = {
        "id": "r",
        "kind": "upper_limit",
        "indicator": E1,
        "boundary": "b",
        "period": "any",
        "scope": "CN",
        "value": "13000",
        "unit": "kWh/t",
        "valid_from": date(2022, 1, 1),
        "published": date(2021, 1, 1),
        "document": "a law",
        "sure": "T",
    }
    return Rule.model_validate(fields | changes)


def text(**changes: str) -> str:
    fields = {
        "id": '"r"',
        "kind": '"upper_limit"',
        "indicator": '"specific_energy_e1"',
        "boundary": '"b"',
        "period": '"any"',
        "scope": '"CN"',
        "value": '"13000"',
        "unit": '"kWh/t"',
        "valid_from": "2022-01-01",
        "published": "2021-01-01",
        "document": '"a law"',
        "sure": '"T"',
    }
    return "[[rule]]\n" + "\n".join(f"{key} = {value}" for key, value in (fields | changes).items() if value)


def test_the_benchmark_of_e1_and_its_first_day() -> None:
    found = BOOK.in_force("benchmark", date(2025, 6, 1))
    assert found is not None
    assert (found.value, found.unit, found.indicator, found.edition) == (Decimal(13000), "kWh/t", E1, "benchmark@2022-01-01")
    assert BOOK.in_force("benchmark", date(2021, 12, 31)) is None
    assert BOOK.in_force("no-such-rule", date(2025, 6, 1)) is None


def test_the_tariff_threshold_changes_value_and_indicator_with_the_year() -> None:
    editions = [BOOK.in_force("tariff-threshold", date(year, 7, 1)) for year in (2022, 2023, 2025)]
    assert [(r.value, r.indicator) for r in editions if r] == [
        (Decimal(13650), "specific_energy_e2"),
        (Decimal(13450), "specific_energy_e2_tariff"),
        (Decimal(13300), "specific_energy_e2_tariff"),
    ]
    assert [r.id for r in BOOK.for_indicator("specific_energy_e2", date(2025, 7, 1)) if r.id == "tariff-threshold"] == []


def test_an_edition_ends_the_day_before_valid_to_and_the_narrowest_scope_wins() -> None:
    book = parse_rules(
        {
            "a": text(valid_to="2023-01-01")
            + "\n"
            + text(value='"1"', scope='"qinghai"')
            + "\n"
            + text(value='"2"', valid_from="2024-01-01")
        }
    )
    assert [r and r.value for r in (book.in_force("r", date(2022, 12, 31)), book.in_force("r", date(2023, 1, 1)))] == [
        13000,
        None,
    ]
    assert [book.in_force("r", date(2024, 5, 1), s).value for s in (("qinghai", "CN"), ("yunnan", "CN"))] == [1, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        ("upper_limit", 12_990, 13_000, MET),  # the limit itself is met
        ("upper_limit", 13_000.1, 13_010, EXCEEDED),
        ("upper_limit", 12_990, 13_010, UNDECIDABLE),
        ("lower_limit", 13_000, 13_010, MET),
        ("lower_limit", 12_000, 12_999.9, MISSED),
        ("lower_limit", 12_990, 13_010, UNDECIDABLE),
    ],
)
def test_a_band_against_a_limit(kind: str, low: float, high: float, expected: str) -> None:
    assert status(rule(kind=kind), E1, "day", (low + high) / 2, low, high) == expected


def test_a_null_figure_has_an_unknown_status() -> None:
    assert status(rule(), E1, "day", None, 1.0, 2.0) == UNKNOWN


@given(st.floats(12_000, 14_000), st.floats(0, 500), st.floats(0, 500))
def test_a_wider_band_is_never_more_certain(value: float, half: float, more: float) -> None:
    narrow = status(rule(), E1, "day", value, value - half, value + half)
    wide = status(rule(), E1, "day", value, value - half - more, value + half + more)
    assert wide in (narrow, UNDECIDABLE)


def test_holding_a_limit_against_another_indicator_is_an_error() -> None:
    with pytest.raises(IncomparableError, match="r limits specific_energy_e1, it says nothing about specific_energy_e2"):
        status(rule(), "specific_energy_e2", "day", 1.0, 1.0, 1.0)
    with pytest.raises(IncomparableError):
        grade([rule(kind="grade")], "specific_energy_e2", Decimal(1))


def test_grades_of_e1() -> None:
    rules = BOOK.for_indicator(E1, date(2025, 1, 1))
    limits = {r.id: r.value for r in rules if r.kind == "grade"}
    assert grade(rules, E1, limits["e1-grade-1"]) == "1"
    assert grade(rules, E1, limits["e1-grade-1"] + Decimal("0.01")) == "2"
    assert grade(rules, E1, max(limits.values()) + 1) == "over"


@pytest.mark.parametrize(
    ("wrong", "key", "allowed"),
    [
        ({"indicator": '"energy"'}, "rule[1].indicator", "an indicator of plant.indicators"),
        ({"unit": '"kWh"'}, "rule[1].unit", "the unit of specific_energy_e1: kWh/t"),
        ({"sure": '"maybe"'}, "rule[1].sure", "Input should be"),
        ({"value": '"a lot"'}, "rule[1].value", "decimal"),
        ({"document": ""}, "rule[1].document", "Field required"),
        ({"colour": '"red"'}, "rule[1].colour", "Extra inputs"),
    ],
)
def test_a_wrong_rule_is_named(wrong: dict[str, str], key: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules({"own.toml": text(**wrong)})
    [fault] = caught.value.faults
    assert (fault.file, fault.key) == ("own.toml", key)
    assert allowed in fault.allowed


def test_faults_of_all_files_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules(
            {"a.toml": "[[rule", "b.toml": text(unit='"t"') + "\n" + text(id='"s"', indicator='"x"'), "c.toml": text(id='"t"')}
        )
    assert [(f.file, f.key) for f in caught.value.faults] == [
        ("a.toml", "TOML"),
        ("b.toml", "rule[1].unit"),
        ("b.toml", "rule[2].indicator"),
    ]


def test_the_edition_of_a_book_changes_with_any_character() -> None:
    assert parse_rules({"a": text()}).edition == parse_rules({"a": text()}).edition
    assert parse_rules({"a": text()}).edition != parse_rules({"a": text(document='"a law."')}).edition


def test_holding_a_limit_of_a_year_against_a_day_is_an_error() -> None:
    yearly = rule(period="year")
    assert status(yearly, E1, "year", 12_990, 12_980, 13_000) == MET
    with pytest.raises(IncomparableError, match="limits the year of specific_energy_e1"):
        status(yearly, E1, "day", 12_990, 12_980, 13_000)


@pytest.mark.parametrize(
    ("wrong", "key", "words"),
    [
        (text() + "\n" + text(value='"12000"'), "rule[2].id", "a.toml rule[1] is it"),
        (text(valid_to="2022-01-01"), "rule[1].valid_to", "after valid_from"),
        (text(scope='"Inner Mongolia"'), "rule[1].scope", "inner_mongolia"),
    ],
)
def test_editions_that_cannot_stand_are_faults(wrong: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules({"a.toml": wrong})
    [fault] = caught.value.faults
    assert fault.key == key
    assert words in fault.allowed


def test_an_edition_published_later_may_stand_beside_the_one_it_corrects() -> None:
    book = parse_rules({"a.toml": text(), "b.toml": text(value='"12900"', published="2021-06-01")})
    found = book.in_force("r", date(2022, 1, 1))
    assert found is not None
    assert found.value == 12_900


def test_a_draft_says_that_it_is_one() -> None:
    drafts = [r for r in BOOK.rules if "draft" in r.document.lower()]
    assert drafts
    assert all(r.placeholder for r in drafts)
