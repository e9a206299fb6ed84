"""Periods of plants whose interval energies are given: through the shipped balance and into the shipped figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from analytics.derive import _plant_columns
from analytics.intervals import PointIntervals
from analytics.limits import PeriodKind
from analytics.period_rows import Period
from analytics.plant_balance import plant_balance
from analytics.study import Material, Question
from analytics.table import Table
from plant import nodes
from plant.config import parse_site
from plant.ports import LedgerEntry
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, Span
from plant.site import Site

NS = 1_000_000_000
START_NS = round(datetime(2026, 7, 1, 2, tzinfo=UTC).timestamp()) * NS
HEAD = """
plant = { id = "p", name = { en = "P" }, zone = "Asia/Shanghai", province = "guizhou" }
bus = [{ id = "b" }]
endpoint = [{ id = "g", protocol = "modbus_tcp", host = "127.0.0.1", port = 502 }]
"""
RULES = parse_rules(shipped_rule_texts())


def site_of(branches: Sequence[str], more: str = "") -> Site:
    """A site of branches given as the insides of inline tables, each with a meter."""
    text = HEAD + "branch = [" + ",".join(f"{{ {b}, bus = 'b' }}" for b in branches) + "]\n" + more
    for number, branch in enumerate(branches, start=1):
        name = branch.split('"')[1]
        text += f"""
[[meter]]
id = "m-{name}"
profile = "x"
endpoint = "g"
unit = {number}
poll_interval_s = 60
measures = {{ branch = "{name}" }}
"""
    return parse_site(text, "site.toml")


def _intervals(flow_kwh: np.ndarray, export_kwh: np.ndarray) -> PointIntervals:
    into, out, none = flow_kwh, export_kwh, np.zeros(len(flow_kwh))
    one = np.where(np.isfinite(into), 1.0, 0.0)
    return PointIntervals(into, into, into, out, out, out, into - out, one, one, none.astype(np.int64), none * np.nan)


def period_of(
    site: Site,
    mwh: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    entries: Sequence[LedgerEntry] = (),
    kind: PeriodKind = "interval",
    start_ns: int = START_NS,
) -> Period:
    """A period of 15-min slots from (import, export) of each branch in MWh, NaN = missing."""
    energies = {b: _intervals(np.array(i, float) * 1000, np.array(e, float) * 1000) for b, (i, e) in mwh.items()}
    m = len(next(iter(mwh.values()))[0])
    starts = start_ns + np.arange(m, dtype=np.int64) * QUARTER_NS
    found, _ = plant_balance(site, energies, energies, {}, starts, 1)
    known = np.all([np.isfinite(e.energy_import) for e in energies.values()], axis=0).astype(float)
    columns = {nodes.PLANT: _plant_columns(found, 1) | {"completeness": known, "measured_share": known}}
    columns |= {node: {"flow_energy": energy} for node, energy in found.flows.items()}
    rows = Table(QUARTER, starts, QUARTER_NS, columns)
    return Period(site, RULES, Span(start_ns, start_ns + m * QUARTER_NS), kind, rows, "provisional", entries)


def material_of(period: Period, now_ns: int, span: Span | None = None) -> Material:
    """What a study would read: the rows of a period, within the span that is asked about."""
    asked = Question(period.site, period.rulebook, period.kind, span or period.span, period.span.end_ns, now_ns)
    return Material(asked, period.span, period.rows, period.entries)


def contract_entry(
    contract: str, slot: int, slots: int, mwh: float, status: str = "final", start_ns: int = START_NS, **data: object
) -> LedgerEntry:
    """Settled energy of a contract from a slot on."""
    first_ns = start_ns + slot * QUARTER_NS
    end_ns = first_ns + slots * QUARTER_NS
    key = f"{contract} {slot} {slots} {status} {data}"
    more = {"status": status, **data}
    return LedgerEntry(
        "p", "contract_energy", key, "exchange", contract, first_ns, end_ns, round(mwh * 1000), "kWh", "li", data=more
    )
