"""The balance of the whole plant: every group of connected bus sections, as the couplers stood in each 15-min slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analytics.attribution import Rule
from analytics.balance import Balance, Banded, Energies, balance, sink_names, source_names, total
from analytics.counters import F64, I64
from analytics.storage_origin import Pool
from analytics.topology import Component, divided
from plant.site import Site

SUMMED = {  # field of the plant's rows -> attribute of Balance
    "load_energy": "load",
    "grid_import": "grid_import",
    "grid_export": "grid_export",
    "renewable_generation": "renewable_generation",
    "captive_generation": "captive_generation",
    "storage_charge": "storage_charge",
    "storage_discharge": "storage_discharge",
    "green_to_load": "green_to_load",
    "renewable_export": "renewable_export",
}


@dataclass(frozen=True, slots=True, eq=False)
class PlantBalance:
    """Sums over the components by field of the plant's rows, and flows by node, over m intervals, kWh [m]."""

    sums: dict[str, Banded]
    flows: dict[str, F64]


@dataclass(frozen=True, slots=True)
class _Run:
    """Intervals [first, end) in which the couplers stood alike and one rule attributed."""

    first: int
    end: int
    parts: tuple[Component, ...]
    rule: Rule


def plant_balance(
    site: Site, fine: Energies, coarse: Energies, pools: Mapping[str, Pool], start_ns: I64, group: int
) -> tuple[PlantBalance, list[dict[str, Pool]]]:
    """Balance of a plant from owned energies of its branches: ``fine`` ones over m intervals that start at ``start_ns``
    int64[m], and ``coarse`` ones for each ``group`` of them.

    Returns it with the storage pools after each coarse interval, on from ``pools``.
    """
    m = len(start_ns)
    sums: dict[str, list[Banded]] = {name: [] for name in SUMMED}
    flows = {node: np.zeros(m) for node in flow_nodes(divided(site, ()))}
    trace: list[dict[str, Pool]] = []
    for run in _runs(site, coarse, start_ns[::group], group):
        inside = {b: i.rows(slice(run.first, run.end)) for b, i in fine.items()}
        before = {**pools, **(trace[-1] if trace else {})}
        found = [balance(part, inside, before, run.rule, run.end - run.first, group, site.green.storage) for part in run.parts]
        for name, attribute in SUMMED.items():
            sums[name].append(total([getattr(b, attribute) for b, _ in found], run.end - run.first))
        for b, _ in found:
            _put_flows(flows, b, run)
        trace += [{k: pool for after in slot for k, pool in after.items()} for slot in zip(*(t for _, t in found), strict=True)]
    return PlantBalance({name: _joined(parts) for name, parts in sums.items()}, flows), trace


def _runs(site: Site, coarse: Energies, start_ns: I64, group: int) -> list[_Run]:
    """Runs of the slots that start at ``start_ns``. A coupler whose meter showed no energy at all in a slot was open; an
    unmetered or silent one counts as closed."""
    couplers = [b.id for b in site.branches_of("coupler") if b.id in coarse]
    still = np.array([(coarse[c].energy_import == 0) & (coarse[c].energy_export == 0) for c in couplers])
    m = len(start_ns)
    still = still.reshape(len(couplers), m)
    editions = site.accounting.attribution_editions
    edition = np.searchsorted(np.array([e.valid_from_ns for e in editions], np.int64), start_ns, "right")
    changes = np.flatnonzero((still[:, 1:] != still[:, :-1]).any(axis=0) | (edition[1:] != edition[:-1])) + 1
    bounds = [0, *changes.tolist(), m]
    runs = []
    for first, end in pairwise(bounds):
        opened = [c for i, c in enumerate(couplers) if end > first and still[i, first]]
        said = site.accounting.rule_at(int(start_ns[first]) if end > first else 0)
        rule: Rule = "renewable_first" if said == "renewable_first" else "proportional"
        runs.append(_Run(first * group, end * group, divided(site, opened), rule))
    return runs


def _put_flows(flows: dict[str, F64], found: Balance, run: _Run) -> None:
    for s, source in enumerate(found.sources):
        for k, sink in enumerate(found.sinks):
            flows[flow_node(source, sink)][run.first : run.end] += found.flows[s, k]


def _joined(parts: list[Banded]) -> Banded:
    best, low, high = (np.concatenate([getattr(p, edge) for p in parts]) for edge in ("best", "low", "high"))
    return Banded(best, low, high)


def flow_nodes(parts: tuple[Component, ...]) -> list[str]:
    """Nodes of every flow that can occur within components; with a coupler open, fewer of them carry anything."""
    return list(dict.fromkeys(flow_node(s, k) for part in parts for s in source_names(part)[0] for k in sink_names(part)))


def flow_node(source: str, sink: str) -> str:
    """Node of a flow between a source and a sink."""
    return f"flow:{source}>{sink}"
