"""Formulas of virtual points: what parses, what is refused and why, and the faults that `check` lists."""

from __future__ import annotations

import pytest

from plant.config import parse_site
from plant.errors import ConfigError
from plant.formula import parse_formula, resolved

SITE = """
plant = { id = "p", name = { en = "P" }, zone = "Asia/Shanghai" }
bus = [{ id = "b" }]
branch = [{ id = "tie", kind = "grid_tie", bus = "b" }, { id = "rest", kind = "feeder", bus = "b" }]
endpoint = [{ id = "g", protocol = "modbus_tcp", host = "127.0.0.1", port = 502 }]
meter = [{ id = "tie-1", profile = "x", endpoint = "g", unit = 1, measures = { branch = "tie" } }]
"""


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("tie-1 + tie-2 - feeder-3", {"tie-1": 1, "tie-2": 1, "feeder-3": -1}),
        ("-(a - 2*b)/4", {"a": -0.25, "b": 0.5}),
        ("0.98 * (a + a) - a", {"a": 0.96}),
        ("1e3*1st", {"1st": 1000}),
        ("(2 - 1) * a-b", {"a-b": 1}),
        ("a - a + b", {"a": 0, "b": 1}),
    ],
)
def test_a_signed_sum_is_read(text: str, terms: dict[str, float]) -> None:
    assert parse_formula(text) == pytest.approx(terms)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "ends early"),
        ("a +", "ends early"),
        ("a b", "found 'b', expected 'an operator or the end'"),
        ("a * b", "a product of two metering points"),
        ("a / b", "a division by something else"),
        ("a / 0", "a division by something else"),
        ("a + 5", "the constant 5"),
        ("3", "no metering point"),
        ("(a", r"found 'the end', expected '\)'"),
        ("a)", r"found '\)'"),
        ("__import__", "allowed are names of points"),
        ("a ** 2", r"found '\*'"),
        ("max(a)", r"found '\('"),
        ("(" * 600 + "a" + ")" * 600, "at most 1000"),
        ("(" * 400 + "a" + ")" * 400, "at 32: parentheses nested deeper than 32"),
        ("0 * a", "a cancel out"),
        ("a - a", "a cancel out"),
        ("a + b - (b + a)", "a, b cancel out"),
        ("1e308 * 10 * a", "no finite number"),
    ],
)
def test_anything_else_is_refused(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse_formula(text)


def test_formulas_over_formulas_come_down_to_meters() -> None:
    found = resolved({"rest": "both - feeder", "both": "tie-1 + tie-2", "half": "0.5 * rest"})
    assert found["half"] == {"tie-1": 0.5, "tie-2": 0.5, "feeder": -0.5}
    with pytest.raises(ValueError, match="a circle: x > y > x"):
        resolved({"x": "y", "y": "x + m"})


@pytest.mark.parametrize(
    ("virtual", "faults"),
    [
        ('{ id = "v", branch = "rest", formula = "tie-2" }', ["virtual[v].formula", "a metering point: tie-1, v"]),
        ('{ id = "v", branch = "rest", formula = "tie-1-tie-2" }', ["put spaces around a minus"]),
        ('{ id = "v", branch = "rest", formula = "v + tie-1" }', ["a circle: v > v"]),
        ('{ id = "v", branch = "moon", formula = "tie-1" }', ["virtual[v].branch", "the id of a [[branch]]: tie, rest"]),
        ('{ id = "tie-1", branch = "rest", formula = "tie-1" }', ["an id that no metering point has"]),
        ('{ id = "v", branch = "rest", formula = "tie-1 *" }', ["virtual[v].formula", "ends early"]),
        ('{ id = "v", branch = "rest", formula = "0 * tie-1" }', ["virtual[v].formula", "tie-1 cancel out"]),
        (
            '{ id = "v", branch = "rest", formula = "w - tie-1" }, { id = "w", branch = "rest", formula = "tie-1" }',
            ["virtual[v].formula", "tie-1 cancel out"],
        ),
        (
            '{ id = "v", branch = "rest", side = "dc", formula = "tie-1" }',
            ["virtual[v].side", '"ac", since tie-1 measures there'],
        ),
    ],
)
def test_faults_are_listed(virtual: str, faults: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        parse_site(SITE + f"virtual = [{virtual}]", "site.toml")
    assert all(fault in str(error.value) for fault in faults), str(error.value)


def test_a_virtual_point_is_a_point_of_its_branch() -> None:
    site = parse_site(SITE + 'virtual = [{ id = "v", branch = "rest", formula = "0.5 * tie-1" }]', "site.toml")
    assert [p.id for p in site.points_of("rest")] == ["v"] and site.points["v"].mountings == ()
