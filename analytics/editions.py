"""Which editions of which rules a figure rests on: those it names itself, and through its inputs those of the figures in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np

from analytics.chapter import Found
from analytics.counters import F64, I64
from plant import nodes
from plant.indicators import INDICATORS, Figure
from plant.rulebook import Rule, Rulebook
from plant.series import Span
from plant.site import Site


def editions_within(site: Site, rulebook: Rulebook, rule_id: str, first: date, last: date) -> list[Rule]:
    """Editions of a rule in force between two days, both included, oldest first: with two, a change is dated in between."""
    of_rule = [r for r in rulebook.rules if r.id == rule_id]
    changes = {edge for r in of_rule for edge in (r.valid_from, r.valid_to) if edge is not None and first < edge <= last}
    days = [first, *sorted(changes), last]
    found = [rulebook.in_force(rule_id, day, (site.province, "CN")) for day in days] if of_rule else []
    return list({rule.edition: rule for rule in found if rule is not None}.values())


def values_by_slot(site: Site, rulebook: Rulebook, rule_id: str, start_ns: I64) -> tuple[F64, tuple[str, ...]]:
    """Values of a rule as it is in force when each slot [m] starts, NaN where it is not, and the editions used."""
    if not len(start_ns):
        return np.zeros(0), ()
    days = {day for r in rulebook.rules if r.id == rule_id for day in (r.valid_from, r.valid_to) if day is not None}
    first, last = int(start_ns[0]), int(start_ns[-1])
    edges = [first, *sorted(t for t in map(site.calendar.instant_ns, days) if first < t <= last)]
    found = [rulebook.in_force(rule_id, site.calendar.local(t).date(), (site.province, "CN")) for t in edges]
    values = np.array([np.nan if rule is None else float(rule.value) for rule in found])
    used = tuple(dict.fromkeys(rule.edition for rule in found if rule is not None))
    return values[np.searchsorted(np.array(edges, np.int64), start_ns, "right") - 1], used


def with_editions(site: Site, rulebook: Rulebook, span: Span, figures: Mapping[str, Mapping[str, Figure]]) -> Found:
    """The figures with the editions of every rule in them, whole spans through. A limit that an input was held against is no
    part of the figure; a figure that names editions of its factors itself, as one with a choice of methods does, stands."""
    walk = _Walk(site, rulebook, span, figures)
    return {
        node: {name: replace(figure, editions=walk.editions(node, name)) for name, figure in by.items()}
        for node, by in figures.items()
    }


class _Walk:
    """One pass over the figures of a span; what was found of a figure or a rule is kept."""

    def __init__(self, site: Site, rulebook: Rulebook, span: Span, figures: Mapping[str, Mapping[str, Figure]]) -> None:
        self._site, self._rulebook, self._figures = site, rulebook, figures
        local, end_ns = site.calendar.local, max(span.end_ns - 1, span.start_ns)
        self._first, self._last = local(span.start_ns).date(), local(end_ns).date()
        self._rules = {rule.id for rule in rulebook.rules}
        self._factors = {rule.edition for rule in rulebook.rules if rule.kind == "factor"}
        self._of_rule: dict[str, tuple[str, ...]] = {}
        self._made_of: dict[tuple[str, str], tuple[str, ...]] = {}

    def editions(self, node: str, name: str) -> tuple[str, ...]:
        """What a figure names itself, then what it is made of."""
        return tuple(dict.fromkeys((*self._figures[node][name].editions, *self._inner(node, name))))

    def _inner(self, node: str, name: str) -> tuple[str, ...]:
        """Editions of the values that a figure is made of, without the limits that it was held against."""
        if (node, name) in self._made_of:
            return self._made_of[node, name]
        self._made_of[node, name] = ()  # a circle in the table adds nothing
        figure = self._figures.get(node, {}).get(name)
        found = [e for e in figure.editions if e in self._factors] if figure is not None else []
        own = bool(found)
        for below in INDICATORS[name].inputs:
            if below in self._rules:
                found += () if own else self._within(below)
            elif below in INDICATORS:
                there = node if below in self._figures.get(node, {}) else nodes.PLANT
                if not own or below in self._figures.get(there, {}):  # of a figure elsewhere the table knows the rules
                    found += self._inner(there, below)
        self._made_of[node, name] = tuple(dict.fromkeys(found))
        return self._made_of[node, name]

    def _within(self, rule_id: str) -> tuple[str, ...]:
        if rule_id not in self._of_rule:
            rules = editions_within(self._site, self._rulebook, rule_id, self._first, self._last)
            self._of_rule[rule_id] = tuple(rule.edition for rule in rules)
        return self._of_rule[rule_id]
