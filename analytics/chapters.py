"""The chapters of the figures, in the order in which they build on one another."""

from __future__ import annotations

from analytics import (
    carbon_chapter,
    demand,
    green_chapter,
    incidents,
    losses,
    power_quality,
    process_casthouse,
    process_pots,
    solar,
    time_of_use,
)
from analytics.chapter import Chapter, NodeFields
from analytics.limits import PeriodKind
from plant.site import Site

CHAPTERS: tuple[Chapter, ...] = (
    losses.CHAPTER,
    incidents.CHAPTER,
    green_chapter.CHAPTER,
    solar.CHAPTER,
    power_quality.CHAPTER,
    process_pots.POTS,
    process_casthouse.CASTHOUSE,
    carbon_chapter.CARBON,
    time_of_use.CHAPTER,
    demand.CHAPTER,
)


def chapters_of(kind: PeriodKind) -> list[Chapter]:
    """Those that are computed for a kind of period."""
    return [chapter for chapter in CHAPTERS if kind in chapter.kinds]


def entry_kinds() -> tuple[str, ...]:
    """Ledger kinds that chapters read."""
    return tuple(dict.fromkeys(kind for chapter in CHAPTERS for kind in chapter.entries))


def further_columns(site: Site) -> list[NodeFields]:
    """Rows that chapters read beyond those of every period."""
    return [group for chapter in CHAPTERS for group in chapter.columns(site)]
