"""What a study gets of a simulated smelter whose rows are known without error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analytics.limits import PeriodKind
from analytics.studies import joined_rows
from analytics.study import Material, Question, Study, Wants
from analytics.table import Table
from plant.config import parse_site
from plant.ports import LedgerEntry
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import Span
from plant.site import Site
from potwatt.selftest.outlook_days import FIRST_NS, smelter_rows
from simulators.demo_site import Ports, demo_site_toml

__all__ = ["DAY_NS", "FIRST_NS", "asked", "demo_site", "smelter_rows"]
DAY_NS = 86_400_000_000_000


def demo_site(more: str = "", **replaced: str) -> Site:
    """The demo's site with more text, and with parts of its own text replaced."""
    text = demo_site_toml(Ports(1502, 1503, 1504, 1505, 1506, 1507, 1883), api_port=8000) + more
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return parse_site(text, "demo site")


def asked(
    study: Study, site: Site, kind: PeriodKind, span: Span, rows: Table, settled_ns: int, entries: Sequence[LedgerEntry] = ()
) -> Material:
    """What a study gets, cut as the shell cuts it."""
    question = Question(site, parse_rules(shipped_rule_texts()), kind, span, settled_ns, settled_ns)
    wanted: Wants = study.wants(question)
    end_ns = max(min(wanted.span.end_ns, settled_ns), wanted.span.start_ns)
    first, end = np.searchsorted(rows.start_ns, [wanted.span.start_ns, end_ns])
    if wanted.parts:
        edges = [np.searchsorted(rows.start_ns, [part.start_ns, min(part.end_ns, end_ns)]) for part in wanted.parts]
        cut = joined_rows([rows.take(slice(int(a), max(int(b), int(a)))) for a, b in edges])
    else:
        cut = rows.take(slice(int(first), int(end)))
    return Material(question, Span(wanted.span.start_ns, end_ns), cut, entries)
