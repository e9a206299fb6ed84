"""The Faraday rule by interval: each takes the edition in force on its own day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analytics.counters import F64, I64
from analytics.derive import PlantModel
from plant.errors import ConfigError, Fault
from plant.rulebook import Rulebook
from plant.site import Site

RULE = "faraday-yield"


def lawful(model: PlantModel, rulebook: Rulebook, start_ns: I64) -> PlantModel:
    """The model for intervals that start at ``start_ns`` [m], each under the edition in force as it starts."""
    return replace(model, yield_kg_per_kah=faraday_yields(model.site, rulebook, start_ns))


def faraday_yields(site: Site, rulebook: Rulebook, start_ns: I64) -> F64:
    """The rule ``faraday-yield`` in force as each interval [m] starts, kg/kAh. Raises ConfigError where there is none."""
    if not len(start_ns):
        return np.zeros(0)
    days = {day for r in rulebook.rules if r.id == RULE for day in (r.valid_from, r.valid_to) if day is not None}
    first, last = int(start_ns[0]), int(start_ns[-1])
    turns = sorted(t for t in (site.calendar.instant_ns(day) for day in days) if first < t <= last)
    edges = np.array([first, *turns], np.int64)
    values = np.array([_in_force(site, rulebook, int(t)) for t in edges])
    found: F64 = values[np.searchsorted(edges, start_ns, "right") - 1]
    return found


def _in_force(site: Site, rulebook: Rulebook, t_ns: int) -> float:
    rule = rulebook.in_force(RULE, site.calendar.local(t_ns).date(), (site.province, "CN"))
    if rule is None:
        raise ConfigError([Fault("rules", RULE, "no edition in force", "a rule of that id, unit kg/kAh")])
    return float(rule.value)
