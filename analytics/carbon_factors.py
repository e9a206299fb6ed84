"""Factors of the carbon account out of the dated rules; what is not in force is None, and its id is named."""

from __future__ import annotations

from dataclasses import dataclass, field

from analytics.carbon import AllowanceRule, AnodeFactors, PfcMethod
from analytics.period_rows import Period
from plant.rulebook import Rule


@dataclass(slots=True)
class Factors:
    """Looks factors up for one period, and remembers which editions were used and which were not there."""

    period: Period
    editions: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def rule(self, rule_id: str) -> Rule | None:
        """The edition of a rule in force at the end of the period, the province's before the nation's."""
        found = self.period.rulebook.in_force(rule_id, self.period.day, (self.period.site.province, "CN"))
        if found is None:
            self.missing.append(rule_id)
        else:
            self.editions.append(found.edition)
        return found

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
        found = self.values("anode-sulphur", "anode-ash", "anode-gross-loss", "carbon-to-co2")
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
        return f"no rule {', '.join(self.missing)} is in force" if self.missing else ""
