"""By how much a kWh of each branch moves a figure of a period: the derivatives that its uncertainty is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.counters import F64
from analytics.estimate import Sum
from analytics.intensity import DESULPHURISATION, consumers_to_tapping, line_share
from analytics.lines import rectifiers
from analytics.period_rows import Period
from analytics.topology import components
from analytics.uncertainty import Feed, Spread, Supplies, Weights, sharpened, supplies_of
from plant import nodes
from plant.site import LOAD_KINDS, RENEWABLE_SOURCES, Branch

IMPORT, EXPORT = "energy_import", "energy_export"
FeedWeights = dict[Feed, F64 | float]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Weights of the feeds of one period, and the sums that are sharpened with them."""

    period: Period
    supplies: Supplies
    balanced: bool  # every source is metered, so that the load follows from them

    @staticmethod
    def of(period: Period) -> Sensitivity:
        """Of a period with the rows of its points."""
        balanced = all(part.has_sources for part in components(period.site))
        supplies = period.once(Supplies, lambda: supplies_of(period.site, period.rows))
        return Sensitivity(period, supplies, balanced)

    def plant(self, name: str, found: Sum) -> Spread:
        """A sum of the plant's balance with its sharp band."""
        if name in ("green_to_load", "renewable_export"):
            return sharpened(found, self.supplies, self._green(name), [self._green_as_rows(name)], self._bent(name))
        return sharpened(found, self.supplies, self._of_sum(name))

    def residual(self, bus: str, found: Sum) -> Spread:
        """Sources less metered sinks of a bus section."""
        return sharpened(found, self.supplies, self._onto(bus))

    def proven_of(self, bus: str) -> float:
        """Measured share 0..1 of what the meters of a bus section saw pass: of their difference nothing could be said."""
        return self.supplies.proven_of(self._onto(bus))

    def _onto(self, bus: str) -> Weights:
        weights: FeedWeights = {}
        for b in self.period.site.branches.values():
            into = (
                int(b.to_bus == bus) - int(b.bus == bus) if b.to_bus else int(b.bus == bus) * (1 if b.kind == "grid_tie" else -1)
            )
            if into:
                weights |= {(b.id, IMPORT): float(into), (b.id, EXPORT): float(-into)}
        return weights

    def loss(self, found: Sum) -> Sum:
        """Load of the sources' side less what the metered branches take."""
        takers = {(b.id, IMPORT): -1.0 for b in self._branches(*LOAD_KINDS, "transformer", "generator", "pv")}
        return sharpened(found, self.supplies, {**self._load(), **takers}).sum

    def line(self, name: str, lines: Sequence[str], found: Sum) -> Spread:
        """A numerator of energy per tonne of a line, or of the plant as all ``lines``."""
        groups = [b.id for line in lines for b in rectifiers(self.period.site, line)]
        if name == "rectifier_energy":
            return sharpened(found, self.supplies, {(b, IMPORT): 1.0 for b in groups})
        if name == "dc_energy":
            return sharpened(found, self.supplies, {(f"dc:{b}", IMPORT): 1.0 for b in groups})
        weights, as_rows = self._comprehensive(name, lines, groups)
        return sharpened(found, self.supplies, weights, as_rows)

    def _branches(self, *kinds: str) -> list[Branch]:
        return [b for b in self.period.site.branches_of(*kinds) if not b.to_bus]

    def _of_sum(self, name: str) -> Weights:
        ties, storages = self._branches("grid_tie"), self._branches("storage")
        generators = self._branches("generator", "pv")
        if name == "load_energy":
            return self._load()
        single: dict[str, tuple[list[Branch], str]] = {
            "grid_import": (ties, IMPORT),
            "grid_export": (ties, EXPORT),
            "renewable_generation": ([b for b in generators if b.source in RENEWABLE_SOURCES], EXPORT),
            "captive_generation": ([b for b in generators if b.source not in RENEWABLE_SOURCES], EXPORT),
            "storage_charge": (storages, IMPORT),
            "storage_discharge": (storages, EXPORT),
        }
        branches, direction = single[name]
        return {(b.id, direction): 1.0 for b in branches}

    def _load(self) -> Weights:
        if not self.balanced:
            return {(b.id, IMPORT): 1.0 for b in self._branches(*LOAD_KINDS)}
        weights: FeedWeights = {(b.id, EXPORT): 1.0 for b in self._branches("generator", "pv")}
        for b in (*self._branches("grid_tie"), *self._branches("storage")):
            sign = 1.0 if b.kind == "grid_tie" else -1.0
            weights |= {(b.id, IMPORT): sign, (b.id, EXPORT): -sign}
        return weights

    def _column(self, name: str) -> F64:
        return np.nan_to_num(self.period.rows.column(nodes.PLANT, name))

    def _total(self, feeds: Sequence[Feed]) -> F64:
        total = np.zeros(len(self.period.rows.start_ns))
        for feed in feeds:
            if feed in self.supplies.best:
                total = total + np.nan_to_num(self.supplies.best[feed])
        return total

    def _green(self, name: str) -> Weights:
        """Of the sun in the load, or in the export: the share of sun in all sources, times what the sink takes."""
        load, charge, export = (self._column(n) for n in ("load_energy", "storage_charge", "grid_export"))
        whole = np.maximum(load + charge + export, 1e-9)
        green = self._column("green_to_load") / np.maximum(load, 1e-9)
        sink = load if name == "green_to_load" else export
        given = sink / whole
        weights: FeedWeights = {}
        first = self.period.site.accounting.attribution == "renewable_first"
        if first:
            made = self._column("renewable_generation") + self._column("storage_discharge")
            spare = made > load + charge
            taken = np.where(spare, 0.0, 1.0) if name == "green_to_load" else np.where(spare & (export > 0), 1.0, 0.0)
            shift = np.where(made > load, 1.0, 0.0) if name == "green_to_load" else -taken
            for b in self._sources():
                weights[b[0]] = taken * float(b[1]) + shift
            return weights | self._sinks(-shift, name, np.where(spare & (export > 0), 1.0, 0.0))
        shift = green * (1.0 - given) if name == "green_to_load" else -green * given
        stored = self._stored_share()
        for feed, renewable in self._sources():
            storage = self.period.site.branches[feed[0]].kind == "storage"
            share = stored if storage else float(renewable)
            # what the battery holds is the mix of before: a meter of sun that is off shifts that too
            passed = 1.0 + self._through_storage() if renewable and not storage else 1.0
            weights[feed] = share * given * passed + shift
        return weights | self._sinks(-green if name == "green_to_load" else np.zeros(len(green)), name, green)

    def _sinks(self, of_load: F64, name: str, of_export: F64) -> FeedWeights:
        """Charge and export take from the load; what is exported is the export's own."""
        weights: FeedWeights = {(b.id, IMPORT): of_load for b in self._branches("storage")}
        for b in self._branches("grid_tie"):
            weights[b.id, EXPORT] = of_load if name == "green_to_load" else of_export
        return weights

    def _sources(self) -> list[tuple[Feed, bool]]:
        """Feeds that supply and whether each is renewable; storage may be either."""
        found: list[tuple[Feed, bool]] = [((b.id, IMPORT), False) for b in self._branches("grid_tie")]
        found += [((b.id, EXPORT), b.source in RENEWABLE_SOURCES) for b in self._branches("generator", "pv")]
        return found + [((b.id, EXPORT), True) for b in self._branches("storage")]

    def _stored_share(self) -> float:
        """Renewable share of what storage gave, mean over the period."""
        discharge = float(self._column("storage_discharge").sum())
        load, charge, export = (self._column(n) for n in ("load_energy", "storage_charge", "grid_export"))
        green = np.divide(self._column("green_to_load"), load, out=np.zeros(len(load)), where=load > 0)
        stored = float((green * (load + charge + export) - self._column("renewable_generation")).sum())
        return float(np.clip(stored / discharge, 0.0, 1.0)) if discharge > 0 else 0.0

    def _through_storage(self) -> float:
        """Renewable energy that came by way of storage, of all that was made."""
        made = float(self._column("renewable_generation").sum())
        return self._stored_share() * float(self._column("storage_discharge").sum()) / made if made > 0 else 0.0

    def _bent(self, name: str) -> Weights:
        """How far from 1 and 0 the derivatives of ``_green`` are: where a sink shares the sun with others, or takes none but
        what is spare, they hang on how much there is of it."""
        load, charge, export = (self._column(n) for n in ("load_energy", "storage_charge", "grid_export"))
        sink = load if name == "green_to_load" else export
        given = np.clip(sink / np.maximum(load + charge + export, 1e-9), 0.0, 1.0)
        bent = np.minimum(given, 1.0 - given)
        return {feed: bent for feed, renewable in self._sources() if renewable}

    def _green_as_rows(self, name: str) -> Weights:
        """As the rows widen it: as all renewable generation and discharge together."""
        feeds = [feed for feed, renewable in self._sources() if renewable]
        made = self._total(feeds)
        share = np.divide(self._column(name), made, out=np.zeros(len(made)), where=made > 0)
        return dict.fromkeys(feeds, share)

    def _comprehensive(self, name: str, lines: Sequence[str], groups: Sequence[str]) -> tuple[Weights, list[Weights]]:
        """(derivatives, those with which the rows widen it) of e2's numerator: own energy A and its share A / M of what the
        sources S give beyond the metered loads M, which makes A S / M; e2' leaves out desulphurisation."""
        site, rows = self.period.site, self.period.rows
        made = {line: rows.banded(nodes.line(line), "metal_produced") for line in site.potlines}
        shares: dict[str, F64] = {b: np.ones(len(rows.start_ns)) for b in groups}
        for b in consumers_to_tapping(site):
            shares[b.id] = np.sum([np.nan_to_num(line_share(b, line, rows.start_ns, made)) for line in lines], axis=0)
        loads = [b for b in self._branches("rectifier_group", "feeder", "transformer") if (b.id, IMPORT) in self.supplies.best]
        metered = np.maximum(self._total([(b.id, IMPORT) for b in loads]), 1e-9)
        own = np.sum([s * self._total([(b, IMPORT)]) for b, s in shares.items()], axis=0)
        part = own / metered
        supplied = self._column("load_energy") if self.balanced else metered
        weights: FeedWeights = {}
        taken: FeedWeights = {}
        rest: FeedWeights = {}
        for b in loads:
            share = shares.get(b.id, np.zeros(len(part)))
            left_out = share if name.endswith("_tariff") and b.purpose == DESULPHURISATION else np.zeros(len(part))
            of_loss = supplied / metered if self.balanced else np.ones(len(part))
            weights[b.id, IMPORT] = share * of_loss - (part * of_loss if self.balanced else 0.0) - left_out
            taken[b.id, IMPORT] = share - left_out
            if self.balanced:
                rest[b.id, IMPORT] = -part
        if self.balanced:
            for feed, sign in self._load().items():
                weights[feed] = part * sign
                rest[feed] = part * sign
        return weights, [taken, rest]
