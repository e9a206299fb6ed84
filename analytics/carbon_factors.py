"""Factors of the carbon account out of the dated rules; what is not in force is None, and its id is named."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from analytics.carbon import AllowanceRule, AnodeFactors, PfcMethod
from analytics.counters import F64
from analytics.period_rows import Period
from plant.rulebook import NATION, Rule
from plant.series import Span

ANODES = ("anode-sulphur", "anode-ash", "anode-gross-loss", "carbon-to-co2")
ANODE_DEFAULT = "anode-net-consumption"


@dataclass(slots=True)
class Factors:
    """Looks factors up for one period, and remembers which editions were used and which were not there."""

    period: Period
    editions: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    national: list[str] = field(default_factory=list)  # that provinces have and this one has not

    def rule(self, rule_id: str) -> Rule | None:
        """The edition of a rule in force at the end of the period, the province's before the nation's."""
        found = self.period.rulebook.in_force(rule_id, self.period.day, (self.period.site.province, NATION))
        if found is None:
            self.missing.append(rule_id)
            return None
        self.editions.append(found.edition)
        by_province = any(r.id == rule_id and r.scope != NATION for r in self.period.rulebook.rules)
        if self.period.site.province and found.scope == NATION and by_province:
            self.national.append(rule_id)
        return found

    def by_slot(self, rule_id: str, weight: F64) -> tuple[float, float, float] | None:
        """(mean, least, most) of a rule as it is in force slot by slot, weighted by ``weight`` [m]."""
        parts = parts_by_edition(self.period, (rule_id,))
        at = np.cumsum([0, *(len(part.rows.start_ns) for part in parts)])
        found: list[tuple[float, float]] = []
        for part, first, end in zip(parts, at[:-1], at[1:], strict=True):
            factors = Factors(part, self.editions, self.missing, self.national)
            value = factors.value(rule_id)
            if value is None:
                return None
            found.append((value, float(np.nansum(weight[first:end]))))
        values, weights = np.array(found).T
        mean = values.mean() if weights.sum() == 0 else (values * weights).sum() / weights.sum()
        return float(mean), float(values.min()), float(values.max())

    def value(self, rule_id: str) -> float | None:
        """Its value."""
        found = self.rule(rule_id)
        return None if found is None else float(found.value)

    def values(self, *rule_ids: str) -> tuple[float, ...] | None:
        """Several values, None where one is not there."""
        found = [self.value(rule_id) for rule_id in rule_ids]
        known = tuple(x for x in found if x is not None)
        return known if len(known) == len(found) else None

    def anodes(self) -> AnodeFactors | None:
        """Factors of the anode formula."""
        found = self.values(*ANODES)
        if found is None:
            return None
        sulphur, ash, loss, co2 = found
        return AnodeFactors(sulphur / 100, ash / 100, loss / 100, co2)

    def pfc(self) -> PfcMethod | None:
        """The method set of the site; a set that tells cells apart has a slope and a ratio for each technology."""
        carbon = self.period.site.carbon
        name, cell = f"pfc-{carbon.pfc_method}", carbon.cell_technology
        known = {r.id for r in self.period.rulebook.rules}
        apart = f"-{cell}" if f"{name}-slope-{cell}" in known else ""
        found = self.values(f"{name}-slope{apart}", f"{name}-ratio{apart}", f"{name}-gwp-cf4", f"{name}-gwp-c2f6")
        return None if found is None else PfcMethod(carbon.pfc_method, *found)

    def pfc_default(self) -> tuple[float, float] | None:
        """CF4 and C2F6 in kg a tonne where anode effects are not recorded, where the set has such values."""
        name = f"pfc-{self.period.site.carbon.pfc_method}"
        found = self.values(f"{name}-default-cf4", f"{name}-default-c2f6")
        return None if found is None else (found[0], found[1])

    def allowances(self) -> AllowanceRule | None:
        """Rule of alpha."""
        found = self.values("ets-alpha-slope", "ets-alpha-cap", "ets-deviation-cap")
        return None if found is None else AllowanceRule(found[0], found[1], found[2] / 100)

    @property
    def reason(self) -> str:
        """What was not there."""
        return f"no rule {', '.join(dict.fromkeys(self.missing))} is in force" if self.missing else ""

    @property
    def stand_in(self) -> str:
        """Where the nation's factor stands for that of a province that has none of the time."""
        names = ", ".join(dict.fromkeys(self.national))
        return f"no {names} of {self.period.site.province} is in force, the nation's stands in" if names else ""


def parts_by_edition(period: Period, rule_ids: Collection[str]) -> list[Period]:
    """The period cut where an edition of any of the rules begins or ends; each part is read by the rules of its own time."""
    days = {day for r in period.rulebook.rules if r.id in rule_ids for day in (r.valid_from, r.valid_to) if day is not None}
    turns = sorted(t for t in map(period.site.calendar.instant_ns, days) if period.span.start_ns < t < period.span.end_ns)
    if not turns:
        return [period]
    edges = [period.span.start_ns, *turns, period.span.end_ns]
    return [period.part(Span(a, b), period.kind) for a, b in pairwise(edges)]


def pfc_rules(period: Period) -> list[str]:
    """Rules of the site's method set."""
    prefix = f"pfc-{period.site.carbon.pfc_method}-"
    return list({r.id for r in period.rulebook.rules if r.id.startswith(prefix)})
