"""Dated rules: limits, grades, factors. Each names the one indicator it applies to; comparing it with another fails."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plant.errors import ConfigError, Fault, IncomparableError
from plant.indicators import INDICATORS
from plant.provinces import PROVINCES

NATION = "CN"
MET, EXCEEDED, MISSED, UNDECIDABLE, UNKNOWN = "met", "exceeded", "missed", "not decidable", "unknown"


class Rule(BaseModel):
    """One edition of a rule: a value with unit and scope, from when, after which document, how sure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    kind: Literal["upper_limit", "lower_limit", "grade", "factor"]
    indicator: str
    boundary: str
    period: Literal["any", "interval", "day", "month", "year"]
    scope: str
    value: Decimal
    unit: str
    valid_from: date
    valid_to: date | None = None
    published: date
    document: Annotated[str, Field(min_length=3)]
    sure: Literal["T", "T?", "S", "B", "D"]
    placeholder: bool = False
    standing: Literal["", "assessed", "monitored"] = ""  # of a quota: whether missing it has consequences
    applies: Literal["everywhere", "named"] = "everywhere"  # named: to sites alone that name it in [green] limits
    voltage_kv: tuple[Decimal, Decimal] | None = None  # nominal voltages that it is about, both ends included; None = all

    def holds_for(self, period: str) -> bool:
        """Whether figures of this kind of period (interval, day, month, year) may be held against it."""
        return self.period in ("any", period)

    def holds_at(self, voltage_kv: float | None) -> bool:
        """Whether it is about a nominal voltage; a rule of some voltages is about nothing that has none."""
        if self.voltage_kv is None:
            return True
        low, high = self.voltage_kv
        return voltage_kv is not None and low <= Decimal(repr(voltage_kv)) <= high

    @property
    def edition(self) -> str:
        """Name of this edition, as a report pins it: with its scope where that is not the nation, and with the day on which it
        was published where that came after it held, as another publication may have said otherwise before."""
        scope = "" if self.scope == NATION else f"/{self.scope}"
        late = f"/{self.published.isoformat()}" if self.published > self.valid_from else ""
        return f"{self.id}@{self.valid_from.isoformat()}{scope}{late}"


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All editions of all rules; ``edition`` is a hash over them."""

    rules: tuple[Rule, ...]
    edition: str

    def in_force(self, rule_id: str, at: date, scope: Sequence[str] = ("CN",)) -> Rule | None:
        """The edition in force on a day, the narrowest scope first in ``scope`` winning; None where there is none."""
        for where in scope:
            found = [
                r
                for r in self.rules
                if r.id == rule_id and r.scope == where and r.valid_from <= at and (r.valid_to is None or at < r.valid_to)
            ]
            if found:
                return max(found, key=lambda r: (r.valid_from, r.published))
        return None

    def for_indicator(
        self,
        indicator: str,
        at: date,
        scope: Sequence[str] = ("CN",),
        voltage_kv: float | None = None,
        named: Collection[str] = (),
    ) -> list[Rule]:
        """Every limit and grade in force on a day that names the indicator, one edition each, in the order of the files;
        of those for some nominal voltages the ones for ``voltage_kv``, of those for sites that name them the ``named``."""
        ids = dict.fromkeys(r.id for r in self.rules if r.indicator == indicator and r.kind != "factor")
        found = [self.in_force(rule_id, at, scope) for rule_id in ids]
        held = [r for r in found if r is not None and r.indicator == indicator and r.holds_at(voltage_kv)]
        return [r for r in held if r.applies == "everywhere" or r.id in named]


def status(rule: Rule, indicator: str, period: str, value: float | None, low: float | None, high: float | None) -> str:
    """How a figure with its band [low, high] stands to a limit: met, exceeded (upper), missed (lower), not decidable.

    ``period`` is what the figure is of: interval, day, month or year.
    A limit itself is met (13 000 against 13 000). A band that straddles the limit is not decidable.
    Raises IncomparableError when the rule names another indicator or period.
    """
    if rule.indicator != indicator:
        raise IncomparableError(f"{rule.id} limits {rule.indicator}, it says nothing about {indicator}")
    if not rule.holds_for(period):
        raise IncomparableError(f"{rule.id} limits the {rule.period} of {indicator}, it says nothing about a figure of: {period}")
    if value is None or low is None or high is None:
        return UNKNOWN
    limit = float(rule.value)
    if rule.kind == "lower_limit":
        return MET if low >= limit else MISSED if high < limit else UNDECIDABLE
    return MET if high <= limit else EXCEEDED if low > limit else UNDECIDABLE


def grade(rules: Sequence[Rule], indicator: str, value: Decimal) -> str:
    """The first grade (``1``, ``2``, ``3``) whose limit the value does not pass, else ``over``."""
    if any(r.indicator != indicator for r in rules):
        raise IncomparableError(f"grades of {[r.indicator for r in rules]} do not apply to {indicator}")
    for rule in sorted((r for r in rules if r.kind == "grade"), key=lambda r: r.value):
        if value <= rule.value:
            return rule.id.rpartition("-")[2]
    return "over"


def parse_rules(texts: Mapping[str, str]) -> Rulebook:
    """Rules from the texts of rule files by name. Raises ConfigError with every fault."""
    rules: list[Rule] = []
    faults: list[Fault] = []
    places: dict[tuple[str, str, date, date], str] = {}
    for file, text in texts.items():
        try:
            rows = tomllib.loads(text).get("rule", [])
        except tomllib.TOMLDecodeError as error:
            faults.append(Fault(file, "TOML", str(error), "mend the syntax at that line"))
            continue
        for number, row in enumerate(rows, start=1):
            try:
                rule = Rule.model_validate(row)
            except ValidationError as error:
                faults += [
                    Fault(file, f"rule[{number}].{'.'.join(map(str, e['loc']))}", repr(e["input"]), e["msg"])
                    for e in error.errors()
                ]
                continue
            faults += [Fault(file, f"rule[{number}].{key}", found, allowed) for key, found, allowed in _faults(rule)]
            first = places.setdefault((rule.id, rule.scope, rule.valid_from, rule.published), f"{file} rule[{number}]")
            if first != f"{file} rule[{number}]":
                allowed = f"one edition of an id, scope, date and publication; {first} is it"
                faults.append(Fault(file, f"rule[{number}].id", repr(rule.edition), allowed))
            rules.append(rule)
    if faults:
        raise ConfigError(faults)
    digest = hashlib.sha256("".join(f"{k}{v}" for k, v in sorted(texts.items())).encode()).hexdigest()[:12]
    return Rulebook(tuple(rules), digest)


def _faults(rule: Rule) -> Iterator[tuple[str, str, str]]:
    """Key, what was found and what is allowed of what a rule says that cannot be."""
    known = INDICATORS.get(rule.indicator)
    if known is None:
        yield "indicator", repr(rule.indicator), "an indicator of plant.indicators"
    elif rule.kind != "factor" and known.unit != rule.unit:
        yield "unit", repr(rule.unit), f"the unit of {rule.indicator}: {known.unit}"
    if rule.scope not in ("CN", *PROVINCES):
        yield "scope", repr(rule.scope), f"CN or a province: {', '.join(PROVINCES)}"
    if rule.valid_to is not None and rule.valid_to <= rule.valid_from:
        yield "valid_to", str(rule.valid_to), f"a day after valid_from, {rule.valid_from}"


def shipped_rule_texts() -> dict[str, str]:
    """The rule files of the package by name; a site's own ``rules_dir`` adds to them."""
    folder = resources.files("plant") / "rules"
    return {f.name: f.read_text("utf-8") for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".toml")}
