"""Chapter of the network loss: what the sources gave beyond what the metered branches took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analytics.chapter import Chapter, Chaptered, NodeFields
from analytics.estimate import Sum
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of, ratio
from analytics.sensitivity import Sensitivity
from analytics.topology import components
from plant import nodes
from plant.indicators import Figure
from plant.site import LOAD_KINDS, Branch, Site

FIELDS = ("energy_import", "energy_import_low", "energy_import_high", "measured_share", "completeness")
SUPPLIES = ("grid_import", "renewable_generation", "captive_generation", "storage_discharge")


def takers(site: Site) -> list[Branch]:
    """Branches that take energy off the network, generators by what they use themselves; a transformer between sections only
    carries it."""
    return [b for b in site.branches_of(*LOAD_KINDS, "transformer", "generator", "pv") if not b.to_bus]


def loss_figures(period: Period, _: Mapping[str, Mapping[str, Figure]]) -> Chaptered:
    """Loss of the plant's network, kWh and % of supply, null where an unmetered branch cannot be told from it."""
    site = period.site
    if not any(part.ties or part.generators for part in components(site)):
        return Chaptered()
    doubt = doubt_of_loss(site)
    supply = _total([period.sum(nodes.PLANT, name) for name in SUPPLIES])
    taken = [period.sum(nodes.branch(b.id), "energy_import") for b in takers(site) if site.points_of(b.id)]
    loss = _less(period.sum(nodes.PLANT, "load_energy"), taken)
    unknown = Sum(None, None, None, loss.measured_share, loss.estimated_slots)
    loss = unknown if doubt else Sensitivity.of(period).loss(loss)
    share = _signed_share(loss, supply)
    figures = {
        name: figure_of(period, nodes.PLANT, name, found)
        for name, found in (("network_loss", loss), ("network_loss_share", share))
    }
    return Chaptered({nodes.PLANT: {n: because(f, doubt) if doubt else f for n, f in figures.items()}})


def loss_is_bounded(site: Site) -> bool:
    """Whether every source of a part of the plant that has any is metered: else nothing says how much is lost at most."""
    return not any(part.unmetered_sources for part in components(site))


def doubt_of_loss(site: Site) -> str:
    """Why the loss of the network, and with it a share of it, is not known; empty where it is."""
    blind = [b for part in components(site) for b in part.unmetered_sources]
    if blind:
        return f"without a meter on {', '.join(blind)} what the sources gave is not known"
    unmetered = [b.id for b in takers(site) if not site.points_of(b.id)]
    return f"without a meter on {', '.join(unmetered)} its energy cannot be told from loss" if unmetered else ""


def _total(sums: Sequence[Sum]) -> Sum:
    known = [s for s in sums if s.value is not None]

    def added(edges: Sequence[float | None]) -> float | None:
        return None if not edges or any(e is None for e in edges) else sum(e for e in edges if e is not None)

    return Sum(
        added([s.value for s in known]),
        added([s.low for s in known]),
        added([s.high for s in known]),
        min((s.measured_share for s in known if s.value), default=0.0),
        max((s.estimated_slots for s in known), default=0),
    )


def _less(whole: Sum, parts: Sequence[Sum]) -> Sum:
    """What is left of a sum without its parts; every band adds."""
    if whole.value is None or any(p.value is None for p in parts):
        return Sum(None, None, None, 0.0, whole.estimated_slots)
    taken = _total(parts) if parts else Sum(0.0, 0.0, 0.0, 1.0)
    assert taken.value is not None
    low = None if whole.low is None or taken.high is None else whole.low - taken.high
    high = None if whole.high is None or taken.low is None else whole.high - taken.low
    share = min(whole.measured_share, taken.measured_share)
    return Sum(whole.value - taken.value, low, high, share, max(whole.estimated_slots, taken.estimated_slots))


def _signed_share(loss: Sum, supply: Sum) -> Sum:
    """Loss in % of supply; within the classes of the meters it may come out negative."""
    found = ratio(loss, supply, 100.0)
    if loss.value is None or not supply.value:
        return Sum(None, None, None, found.measured_share, found.estimated_slots)
    edges = [None if edge is None else 100.0 * edge / supply.value for edge in (loss.low, loss.high)]
    return Sum(100.0 * loss.value / supply.value, edges[0], edges[1], found.measured_share, found.estimated_slots)


def _columns(site: Site) -> Sequence[NodeFields]:
    return [([nodes.branch(b.id) for b in takers(site) if site.points_of(b.id)], FIELDS)]


CHAPTER = Chapter("losses", loss_figures, columns=_columns)
