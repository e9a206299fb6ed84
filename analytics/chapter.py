"""What a chapter of the figures is: a pure function that adds figures to those of any period.

A chapter needs the period's own rows and ledger entries alone. What reaches beyond the period is a study (``analytics.study``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analytics.limits import PeriodKind
from analytics.period_rows import Period
from plant.indicators import Figure
from plant.site import Site

Found = dict[str, dict[str, Figure]]  # by node (plant.nodes) and indicator
NodeFields = tuple[Sequence[str], Sequence[str]]  # nodes, and the fields of their 15-min rows
ANY: tuple[PeriodKind, ...] = ("interval", "day", "month", "year")


@dataclass(frozen=True, slots=True)
class Chaptered:
    """Figures of a chapter by node and indicator, and its tables ready for JSON (empty where it has none)."""

    figures: Found = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def _none(_: Site) -> Sequence[NodeFields]:
    return ()


@dataclass(frozen=True, slots=True)
class Chapter:
    """``compute(period, found)`` gets the figures of the chapters before it. ``entries`` are the ledger kinds that it reads
    of the span, ``columns`` the 15-min rows beyond those that every period has, ``kinds`` the periods it is computed for."""

    name: str
    compute: Callable[[Period, Mapping[str, Mapping[str, Figure]]], Chaptered]
    entries: tuple[str, ...] = ()
    columns: Callable[[Site], Sequence[NodeFields]] = _none
    kinds: tuple[PeriodKind, ...] = ANY
