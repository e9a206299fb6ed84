"""Green direct connection: what the generators of a direct line delivered and how much of it the plant used itself."""

from __future__ import annotations

import numpy as np

from analytics.balance import Banded
from analytics.estimate import Sum, summed
from analytics.green import total_use
from analytics.period_rows import Period
from analytics.period_sums import figure_of, ratio
from analytics.plant_balance import flow_node
from plant import nodes
from plant.indicators import Figure


def direct_line(period: Period) -> dict[str, Figure]:
    """Self-use of generation and of total use; nothing where the site has no direct connection.

    Self-use is what went from the direct generators to load and into storage, so battery loss counts as used. Available
    generation is what was delivered: energy that was curtailed is not metered. Source: 2025 No. 650.
    """
    names = period.site.green.direct_connection
    if not names:
        return {}
    stores = [b.id for b in period.site.branches_of("storage")]
    used = _sum(period, names, ["load", *stores])
    made = _sum(period, names, ["load", *stores, *(b.id for b in period.site.branches_of("grid_tie"))])
    found = {
        "direct_self_use_of_available": ratio(used, made, 100.0, 100.0),
        "direct_self_use_of_use": ratio(used, total_use(period), 100.0, 100.0),
    }
    return {name: figure_of(period, nodes.PLANT, name, share) for name, share in found.items()}


def _sum(period: Period, sources: tuple[str, ...], sinks: list[str]) -> Sum:
    """Flows from some sources to some sinks, as far off as their meters."""
    rows = period.rows
    flows = [rows.column(flow_node(s, k), "flow_energy") for s in sources for k in sinks]
    energy = np.sum(flows, axis=0)
    made = rows.banded(nodes.PLANT, "renewable_generation")
    with np.errstate(invalid="ignore", divide="ignore"):
        less = np.where(made.best > 0, np.fmin(made.low / made.best, 1.0), 1.0)
        more = np.where(made.best > 0, np.fmax(made.high / made.best, 1.0), 1.0)
    return summed(
        Banded(energy, energy * less, energy * more), rows.column(nodes.PLANT, "measured_share"), rows.start_ns, "solar"
    )
