"""Quarter-hour rows of a simulated smelter as a plant with perfect meters would have settled them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analytics.study import Material, Question, Study, Wants
from analytics.table import Columns, Table
from plant.config import parse_site
from plant.ports import LedgerEntry
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER_NS, Span
from plant.site import Site
from simulators.demo_site import Ports, demo_site_toml
from simulators.smelter import SmelterModel

FIRST_NS = 1_767_196_800_000_000_000  # 2026-01-01T00:00 in Guizhou
DAY_NS = 86_400_000_000_000
PV, TIES = ("pv-1", "pv-2", "pv-3"), ("tie-1", "tie-2")
GROUPS = {"line-1": ("rect-1-1", "rect-1-2", "rect-1-3"), "line-2": ("rect-2-1", "rect-2-2")}


def demo_site(more: str = "", **replaced: str) -> Site:
    """The demo's site with more text, and with parts of its own text replaced."""
    text = demo_site_toml(Ports(1502, 1503, 1504, 1505, 1506, 1507, 1883), api_port=8000) + more
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return parse_site(text, "demo site")


def smelter_rows(seed: int, days: int) -> Table:
    """True rows of the days from 2026-01-01 on; comprehensive energies are those of the rectifiers and four in a hundred."""
    model = SmelterModel(seed, FIRST_NS)
    edges = FIRST_NS + np.arange(days * 96 + 1, dtype=np.int64) * QUARTER_NS
    up, down = ({n: np.diff(c.value[:, i]) for n, i in c.names.items()} for c in model.integrals(edges))
    sun, imported, exported = sum(down[n] for n in PV), sum(up[n] for n in TIES), sum(down[n] for n in TIES)
    charge, discharge, coal = up["battery"], down["battery"], down["unit-1"]
    load = imported + sun + coal + discharge - charge - exported
    given = sun * exported / (imported + sun + coal + discharge)
    trust = {"completeness": np.ones(days * 96), "measured_share": np.ones(days * 96)}
    columns: dict[str, Columns] = {
        "plant": {
            "load_energy": load,
            "grid_import": imported,
            "grid_export": exported,
            "renewable_generation": sun,
            "renewable_export": given,
            "captive_generation": coal,
            "storage_charge": charge,
            "storage_discharge": discharge,
            "green_to_load": (sun - given) * load / (load + charge),
        }
        | trust
    }
    for number, (line, groups) in enumerate(GROUPS.items(), start=1):
        rectified = sum(up[g] for g in groups)
        columns[f"line:{line}"] = {
            "metal_produced": up[f"production-{number}"] / 1000.0,
            "rectifier_energy": rectified,
            "comprehensive_energy": 1.04 * rectified,
            "comprehensive_energy_tariff": 1.035 * rectified,
        } | trust
    for name in ("metal_produced", "rectifier_energy", "comprehensive_energy", "comprehensive_energy_tariff"):
        columns["plant"][name] = columns["line:line-1"][name] + columns["line:line-2"][name]
    return Table("15m", edges[:-1], QUARTER_NS, columns)


def asked(
    study: Study, site: Site, kind: str, span: Span, rows: Table, settled_ns: int, entries: Sequence[LedgerEntry] = ()
) -> Material:
    """What a study gets, cut as the shell cuts it."""
    question = Question(site, parse_rules(shipped_rule_texts()), kind, span, settled_ns, settled_ns)  # type: ignore[arg-type]
    wanted: Wants = study.wants(question)
    end_ns = max(min(wanted.span.end_ns, settled_ns), wanted.span.start_ns)
    first, end = np.searchsorted(rows.start_ns, [wanted.span.start_ns, end_ns])
    return Material(question, Span(wanted.span.start_ns, end_ns), rows.take(slice(int(first), int(end))), entries)
