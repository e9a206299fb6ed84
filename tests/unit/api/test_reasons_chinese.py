"""Every reason that the analytics can give has its Chinese: the texts are read from the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from analytics.aggregate import PlantFigures, of_months
from analytics.statement_compare import BEYOND, OPEN, WITHIN
from api.render.table import limit_word, note, word
from plant.indicators import Figure
from plant.rulebook import EXCEEDED, MET, MISSED, UNDECIDABLE, UNKNOWN, parse_rules, shipped_rule_texts

ROOT = Path(__file__).parents[3]
VALUES = ("7", "50%", "2026", "verified")  # what a form may hold in its places
NAMES = ("reason", "reasons", "why", "doubt", "without", "until")  # variables whose texts become reasons


def texts(node: ast.expr) -> Iterator[ast.expr]:
    """The constant and formatted texts that an expression can give."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.Tuple | ast.List):
        for one in node.elts:
            yield from texts(one)


def reasons_in(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name == "because":
                yield from (t for argument in node.args[1:] for t in texts(argument))
            yield from (t for k in node.keywords if k.arg == "reason" for t in texts(k.value))
        elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in NAMES for t in node.targets):
            yield from texts(node.value)


def filled(node: ast.expr, value: str) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.JoinedStr)
    return "".join(str(v.value) if isinstance(v, ast.Constant) else value for v in node.values)


def test_every_reason_has_its_chinese() -> None:
    untold: dict[str, str] = {}
    seen: set[str] = set()
    for path in sorted((ROOT / "analytics").glob("*.py")):
        for node in reasons_in(ast.parse(path.read_text("utf-8"))):
            forms = [text for value in VALUES if (text := filled(node, value).strip())]
            seen |= set(forms)
            if forms and not any(map(_chinese, forms)):  # a place may hold numbers alone
                untold[forms[0]] = path.name
    assert len(seen) > 60, "the sources moved: too few reasons were found"
    assert untold == {}


def _chinese(text: str) -> bool:
    """Whether each of the reasons that a text joins is said in Chinese."""
    return all(_has_chinese(note(one, "zh")) for one in text.split("; "))


def _has_chinese(text: str) -> bool:
    return any("\u4e00" <= c <= "\u9fff" for c in text)


def test_every_limit_and_verdict_has_its_chinese() -> None:
    rules = [rule for rule in parse_rules(shipped_rule_texts()).rules if rule.kind != "factor"]
    limits = {rule.id.rpartition("-")[0] if rule.kind == "grade" else rule.id for rule in rules}
    assert len(limits) > 15
    assert [limit for limit in sorted(limits | {"target"}) if not _has_chinese(limit_word(limit, "zh"))] == []
    verdicts = {MET, EXCEEDED, MISSED, UNDECIDABLE, UNKNOWN, WITHIN, BEYOND, OPEN}
    assert [verdict for verdict in sorted(verdicts) if not _has_chinese(word(verdict, "zh"))] == []


def test_a_year_of_several_plants_says_in_chinese_which_months_are_silent() -> None:
    year = Figure("load_energy", 1.0, 0.9, 1.1, 1.0, 1.0)
    months = [PlantFigures("n", "e", "guizhou", {"load_energy": year}, {}, {}), PlantFigures("n", "e", "guizhou", {}, {}, {})]
    assert note(of_months(months).figures["load_energy"].reason, "zh") == "2 个月中有 1 个月无此数值"
