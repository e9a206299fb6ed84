"""A small smelter whose rows are made by hand: one line, its rectifiers, a casthouse; for the tests of its chapters."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from analytics_plant import HEAD, entry, meter_toml

from analytics.period_rows import Period
from analytics.table import Table
from plant import nodes
from plant.config import parse_site
from plant.ports import LedgerEntry
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, Span
from plant.site import Site

RULES = parse_rules(shipped_rule_texts())
K = 0.335573
POTS, CURRENT_KA, VOLTS, ETA, CE = 300.0, 500.0, 3.95, 0.98, 0.935
CELLS = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "rect", kind = "rectifier_group", bus = "b", potline = "a" },
  { id = "cast", kind = "feeder", bus = "b", purpose = "casthouse" },
]
[[potline]]
id = "a"
current_efficiency_ref = 0.935
pots = [POTS]
""" + "".join(
    meter_toml(name, i + 1, measures, 900)
    for i, (name, measures) in enumerate(
        {
            "tie": 'branch = "tie"',
            "rect": 'branch = "rect", class_percent = 0.2',
            "rect-dc": 'branch = "rect", side = "dc"',
            "cast": 'branch = "cast"',
        }.items()
    )
)
REFERENCE = "current_efficiency_ref = 0.935"
RUNNING = "{ valid_from = 2020-01-01T00:00:00Z, running = 300 }"


def site_of(more: str = "", pots: str = RUNNING, line: str = "") -> Site:
    head = HEAD.replace("ZONE", "Asia/Shanghai").replace('id = "p",', 'id = "p", province = "guizhou",')
    return parse_site(head + CELLS.replace("POTS", pots).replace(REFERENCE, f"{REFERENCE}\n{line}") + more, "site.toml")


SITE = site_of()
DAY = SITE.calendar.day(date(2026, 6, 1))
METAL_T = K * CURRENT_KA * 24 * POTS * CE / 1000
AC_KWH = POTS * CURRENT_KA * VOLTS / ETA * 24


def rows_of(span: Span = DAY) -> Table:
    """A day of the line of the vectors: 300 pots, 500 kA, 3.95 V, 98 %; e2 is 3 % above e1, the casthouse takes 20 MWh."""
    start_ns = span.bounds(QUARTER_NS)[:-1]
    one, slots = np.ones(len(start_ns)), 96
    energies = {
        "rectifier_energy": AC_KWH,
        "dc_energy": AC_KWH * ETA,
        "comprehensive_energy": AC_KWH * 1.03,
        "comprehensive_energy_tariff": AC_KWH * 1.025,
        "metal_produced": METAL_T,
    }
    trust = {"measured_share": one, "completeness": one}
    line: dict[str, Any] = {"current_efficiency": 100 * CE * one, **trust}
    for name, amount in energies.items():
        line |= {f"{name}{edge}": amount / slots * f * one for edge, f in (("", 1.0), ("_low", 0.998), ("_high", 1.002))}
    bought = {f"grid_import{e}": 18_300 / slots * one for e in ("", "_low", "_high")}
    columns = {
        nodes.line("a"): line,
        nodes.PLANT: line | bought,
        nodes.branch("rect"): {f"energy_import{e}": AC_KWH / slots * one for e in ("", "_low", "_high")} | trust,
        nodes.point("rect-dc"): {f"energy_import{e}": AC_KWH * ETA / slots * one for e in ("", "_low", "_high")} | trust,
        nodes.branch("cast"): {f"energy_import{e}": 20_000 / slots * one for e in ("", "_low", "_high")} | trust,
    }
    return Table(QUARTER, start_ns, QUARTER_NS, columns)


def period_of(entries: list[LedgerEntry] | None = None, site: Site = SITE, rows: Table | None = None) -> Period:
    return Period(site, RULES, DAY, "day", rows or rows_of(), "provisional", entries or [])


def of_day(kind: str, amount: float, subject: str = "plant", **data: Any) -> LedgerEntry:
    return entry(kind, subject, DAY.start_ns, round(amount), DAY.end_ns, **data)
