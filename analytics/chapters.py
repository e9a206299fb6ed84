"""The chapters of the figures, in the order in which they build on one another."""

from __future__ import annotations

from analytics import green_chapter, solar
from analytics.chapter import Chapter, NodeFields
from analytics.limits import PeriodKind
from plant.site import Site

CHAPTERS: tuple[Chapter, ...] = (green_chapter.CHAPTER, solar.CHAPTER)


def chapters_of(kind: PeriodKind) -> list[Chapter]:
    """Those that are computed for a kind of period."""
    return [chapter for chapter in CHAPTERS if kind in chapter.kinds]


def entry_kinds() -> tuple[str, ...]:
    """Ledger kinds that chapters read."""
    return tuple(dict.fromkeys(kind for chapter in CHAPTERS for kind in chapter.entries))


def further_columns(site: Site) -> list[NodeFields]:
    """Rows that chapters read beyond those of every period."""
    return [group for chapter in CHAPTERS for group in chapter.columns(site)]
