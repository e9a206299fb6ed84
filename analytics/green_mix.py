"""What the shares need to know of origins: the grid's own carbon-free part, and what of the green supply is not hydro."""

from __future__ import annotations

import numpy as np

from analytics.counters import F64
from analytics.editions import values_by_slot
from analytics.green_matching import coarser
from analytics.green_supply import ENDS, Kwh, Supply
from analytics.period_rows import Period
from analytics.plant_balance import flow_node
from plant.site import RENEWABLE_SOURCES

GRID_CFE = "grid-cfe-fraction"


def grid_cfe(period: Period) -> tuple[F64, tuple[str, ...]]:
    """Carbon-free share 0..1 of grid energy per slot [m], NaN where none is known, and the editions used: the site's own dated
    rows, before the first of them the rule ``grid-cfe-fraction`` in force as each slot starts."""
    start_ns, rows = period.rows.start_ns, period.site.green.grid_cfe
    percent, editions = values_by_slot(period.site, period.rulebook, GRID_CFE, start_ns)
    share = percent / 100
    if not rows:
        return share, editions
    since = np.array([round(row.valid_from.timestamp()) * 1_000_000_000 for row in rows], np.int64)
    at = np.searchsorted(since, start_ns, "right") - 1
    own = np.array([row.percent for row in rows])[np.maximum(at, 0)] / 100
    used = sorted({rows[i].valid_from.date().isoformat() for i in at.tolist() if i >= 0})
    _, before = values_by_slot(period.site, period.rulebook, GRID_CFE, start_ns[at < 0])
    return np.where(at >= 0, own, share), (*before, *(f"{GRID_CFE}@{day}" for day in used))


def unmatched_cfe(supply: Supply, share: F64) -> Kwh:
    """Carbon-free part of the grid energy to load that no contract matched; an unknown ``share`` [m] is between 0 and 1."""
    by_end = {}
    for end in ENDS:
        edge = supply.edges[end]
        g = np.where(np.isfinite(share), share, {"best": np.nan, "low": 0.0, "high": 1.0}[end])
        grid = coarser(edge.grid, supply.first)
        with np.errstate(invalid="ignore"):  # what nothing bounds less what nothing bounds is unknown
            rest = np.maximum(grid - np.sum([np.zeros(len(grid)), *edge.matched.values()], axis=0), 0.0)
            free = coarser(edge.grid * g, supply.first) / np.where(grid > 0, grid, 1.0)
            by_end[end] = np.where(rest > 0, rest * free, 0.0)
    return supply.total(by_end, supply.stated & np.isfinite(share))


def non_hydro_onsite(supply: Supply) -> Kwh:
    """On-site renewable energy to load without hydro. Discharge of renewable origin counts where no other renewable source than
    those of the setting stands on the site, else it may be either."""
    period = supply.period
    counted = period.site.green.non_hydro_sources
    sources = [b for b in period.site.branches.values() if b.source in RENEWABLE_SOURCES]
    if all(b.source in counted for b in sources):
        return supply.onsite
    flows = [period.rows.column(flow_node(b.id, "load"), "flow_energy") for b in sources if b.source in counted]
    stores = [f"{b.id}/renewable" for b in period.site.branches_of("storage")]
    mixed = [period.rows.column(flow_node(s, "load"), "flow_energy") for s in stores]
    none = np.zeros(len(supply.known))
    sure, more = np.sum([none, *flows], axis=0), np.sum([none, *mixed], axis=0)
    scale = 1.0 if not supply.onsite.value else supply.onsite.low / supply.onsite.value
    whole = float(np.nansum(sure))
    return Kwh(whole if supply.known.all() else None, whole * scale, min(whole + float(np.nansum(more)), supply.onsite.high))
