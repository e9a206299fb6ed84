"""A span to be summed up: its rows, what the ledger says of it, and the sums of its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

import numpy as np

from analytics.balance import Banded
from analytics.clear_sky import dark_slots
from analytics.counters import Mask
from analytics.estimate import Profile, Sum, filled, summed
from analytics.figures import PeriodStatus
from analytics.limits import PeriodKind
from analytics.metal import Fits
from analytics.table import Table
from analytics.topology import components
from plant import nodes
from plant.ports import LedgerEntry
from plant.rulebook import Rulebook
from plant.series import Span
from plant.site import Site

Found = TypeVar("Found")
SOLAR = ("renewable_generation", "green_to_load", "renewable_export")
SOURCES = ("grid_import", "renewable_generation", "captive_generation", "storage_discharge")
SINKS = ("storage_charge", "grid_export")


@dataclass(frozen=True, slots=True)
class Period:
    """A span to be summed up: its rows, the ledger entries that touch it, and how it is to be read."""

    site: Site
    rulebook: Rulebook
    span: Span
    kind: PeriodKind
    rows: Table
    status: PeriodStatus
    entries: Sequence[LedgerEntry] = field(default_factory=tuple)
    efficiency: Mapping[str, Fits] = field(default_factory=dict)
    beside: Sequence[LedgerEntry] = field(default_factory=tuple)  # of the days around it: that a record of events goes on
    _found: dict[type, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def day(self) -> date:
        """The plant's date at the end of the span: the rules of that day are held against the figures."""
        return self.site.calendar.local(max(self.span.end_ns - 1, self.span.start_ns)).date()

    def once(self, kind: type[Found], compute: Callable[[], Found]) -> Found:
        """What several figures of the period rest on, computed when the first of them asks for it."""
        if kind not in self._found:
            self._found[kind] = compute()
        found: Found = self._found[kind]
        return found

    def part(self, span: Span, kind: PeriodKind) -> Period:
        """A span inside this one, cut at 15-min bounds."""
        first, end = np.searchsorted(self.rows.start_ns, [span.start_ns, span.end_ns])
        inside = [e for e in self.entries if span.start_ns <= e.end_ns and e.start_ns < span.end_ns]
        rows = self.rows.take(slice(int(first), int(end)))
        kept = {id(e) for e in inside}
        beside = [*self.beside, *(e for e in self.entries if e.kind == "anode_effect" and id(e) not in kept)]
        return Period(self.site, self.rulebook, span, kind, rows, self.status, inside, self.efficiency, beside)

    def sum(self, node: str, name: str) -> Sum:
        """Sum of a column of a node over the span."""
        share = self.rows.column(node, "measured_share")
        estimate = self._load_of_sources() if (node, name) == (nodes.PLANT, "load_energy") else None
        amount, profile = self._amount(node, name), _profile(name)
        return summed(amount, share, self.rows.start_ns, profile, estimate, self._dark(amount, profile))

    def _amount(self, node: str, name: str) -> Banded:
        amount = self.rows.banded(node, name)
        bounded = np.isfinite(amount.low).any() or np.isfinite(amount.high).any()
        return amount if bounded else Banded(amount.best, amount.best, amount.best)

    def _load_of_sources(self) -> Banded | None:
        """The load as sources - charge - export with their missing slots estimated, so that the estimates balance like what
        was measured; None where the load of a part of the plant does not follow from its sources."""
        if not all(part.has_sources for part in components(self.site)):
            return None
        load = Banded.zero(len(self.rows.start_ns))
        for name in SOURCES:
            load = load + self._filled(name)
        for name in SINKS:
            load = load - self._filled(name)
        return load

    def _filled(self, name: str) -> Banded:
        amount, profile = self._amount(nodes.PLANT, name), _profile(name)
        return filled(amount, self.rows.start_ns, profile, self._dark(amount, profile))

    def _dark(self, amount: Banded, profile: Profile) -> Mask | None:
        """Slots without sun, where that is asked and the site says where it lies."""
        place, start_ns = self.site.outlook, self.rows.start_ns
        if profile != "solar" or place.latitude_deg is None or place.longitude_deg is None or np.isfinite(amount.best).all():
            return None
        return dark_slots(start_ns, place.latitude_deg, place.longitude_deg)

    def completeness(self, node: str) -> float:
        """Mean of the slots' completeness, a slot without a row counting 0."""
        column = self.rows.column(node, "completeness")
        return float(np.nan_to_num(column).mean()) if len(column) else 0.0


def _profile(name: str) -> Profile:
    return "solar" if name in SOLAR else "load"
