"""A plant for the API's tests: the demo's site, real stores and bus, and analytics that answer with fixed figures."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI

from analytics.explain import rule_facts
from analytics.explain_tree import Cause, CauseKind
from analytics.explanations import Explained
from analytics.figures import BranchNow, Flow, Live, PeriodFigures, PointEnergy
from analytics.report import body, plan
from analytics.study import Studied
from api.app import create_app
from api.auth import Keys
from plant import nodes, rulebook
from plant.config import parse_site
from plant.errors import InputError, PotwattError
from plant.frame import FrameBlock
from plant.indicators import INDICATORS, Figure
from plant.ports import ReportVersion
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER_NS, Span, dense_block
from plant.site import Site
from potwatt.board import Board
from potwatt.live_bus import LiveBus
from simulators.demo_site import Ports, demo_site_toml
from storage.ledger import SqlLedger
from storage.memory import MemoryStore

NOW_NS = 1_780_000_500_000_000_000  # 2026-05-28T20:35:00Z
NS = 1_000_000_000
RULES = parse_rules(shipped_rule_texts())

_PLACEHOLDER = next(rule.edition for rule in RULES.rules if rule.placeholder and rule.kind == "factor")

# branch -> power in kW, plant's sign
POWER_KW = {
    "tie-1": 61_234.0,
    "tie-2": 23_870.0,
    "coupler": -12_400.0,
    "unit-1": -131_250.0,
    "pv-1": -104_310.0,
    "pv-2": -83_225.0,
    "pv-3": -55_480.0,
    "battery": 21_600.0,
    "rect-1-1": 78_410.0,
    "rect-1-2": 78_395.0,
    "rect-1-3": 78_402.0,
    "rect-2-1": 91_220.0,
    "rect-2-2": 91_174.0,
    "fume-1": 3_420.0,
    "fume-2": 3_105.0,
    "desulphurisation": 2_350.0,
    "compressors": 4_410.0,
    "potroom-aux": 2_640.0,
    "casthouse": 2_870.0,
}


class FixedClock:
    """A clock that a test sets; waiting gives way to other tasks."""

    def __init__(self, t_ns: int = NOW_NS) -> None:
        self.t_ns = t_ns

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def demo_site() -> Site:
    return parse_site(demo_site_toml(Ports(1502, 1503, 1504, 1505, 1506, 1507, 1883), api_port=8000), "demo.toml")


Site_calendar = demo_site().calendar


def _figure(name: str, value: float | None, half_width: float = 0.0, share: float = 0.998, reason: str = "") -> Figure:
    low = high = None
    if value is not None:
        low, high = value - half_width, value + half_width
    day = FixedClock().now_ns()
    at = Site_calendar.local(day).date()
    rules = RULES.for_indicator(name, at, ("CN",))
    status = {
        r.id: rulebook.status(r, name, "interval", value, low, high) for r in rules if r.kind != "grade" and r.period == "any"
    }
    editions = tuple(r.edition for r in rules if r.id in status)
    return Figure(name, value, low, high, min(1.0, share + 0.001), share, reason, status, editions)


_STUDIES = {
    "tariff": Studied(
        {
            nodes.PLANT: {
                "specific_energy_projected": _figure("specific_energy_projected", 13_326.0, 40),
                "tariff_steps": Figure("tariff_steps", 2.0, 0.0, 4.0, 0.99, 0.98),
                "tariff_surcharge_year": Figure("tariff_surcharge_year", 64_196_765.0, 0.0, 128_400_000.0, 0.99, 0.98),
            }
        },
        {"year": 2026, "threshold_kwh_per_t": "13300", "step_kwh_per_t": "20", "adder_yuan_per_kwh": "0.01"},
    ),
    "certificates": Studied(
        {nodes.PLANT: {"certificate_gap": Figure("certificate_gap", None, 12.0, 15.0, 0.4, 0.3, "no target for 2026 is known")}},
        {"ratio_percent": 21.5, "ratio_low_percent": 9.0, "ratio_high_percent": 44.0, "expiring": [], "target": None},
    ),
    "outlook": Studied(
        {
            nodes.PLANT: {
                "green_share_physical_outlook": Figure(
                    "green_share_physical_outlook", 12.2, 11.1, 13.3, 0.3, 0.3, "", {"target": "missed"}
                )
            }
        },
        {
            "targets": [
                {
                    "node": node,
                    "indicator": "green_share_physical",
                    "limit": "target",
                    "verdict": verdict,
                    "placeholder": False,
                    "text": {"en": f"{verdict}: 10 MWh are needed", "zh": "须增加 10 MWh"},
                }
                for node, verdict in ((nodes.PLANT, "cannot be reached"), ("line:line-1", "kept"))
            ]
        },
    ),
    "suspects": Studied(
        {nodes.PLANT: {"suspect_meters": Figure("suspect_meters", 1.0, 1.0, 1.0, 1.0, 1.0)}},
        {
            "suspects": [
                {
                    "title": {"en": "Casthouse", "zh": "铸造电表"},
                    "since": "2026-05-20T08:00+08:00",
                    "check": {"en": "look at its CT wiring", "zh": "检查电流互感器接线"},
                }
            ]
        },
    ),
    "solar": Studied(
        {"branch:pv-3": {"performance_ratio_drop": Figure("performance_ratio_drop", 7.5, 6.0, 9.0, 1.0, 1.0)}},
        {
            "fields": [
                {
                    "branch": "pv-3",
                    "groups": [
                        {
                            "suspects": [
                                {
                                    "meter": "pv-3-strings",
                                    "quantity": "string_dc_current_7",
                                    "cause": "dead",
                                    "lost_kwh": 61.0,
                                    "deficit_percent": 98.0,
                                }
                            ]
                        }
                    ],
                }
            ]
        },
    ),
}


def _period(site: Site, seconds: float, scale: float, end_ns: int = NOW_NS) -> PeriodFigures:
    """Figures of a window; ``scale`` moves them a little so that windows differ."""
    span = Span(end_ns - int(seconds * NS), end_ns)
    hours = seconds / 3600
    load_kwh = 424_900.0 * hours
    plant = [
        _figure("green_share_physical", 41.6 * scale, 0.4),
        _figure("load_energy", load_kwh),
        _figure("renewable_generation", 101_000 * hours * scale),
        _figure("captive_generation", 131_250 * hours),
        _figure("grid_import", 192_000 * hours),
        _figure("storage_charge", 9_100 * hours),
        _figure("storage_discharge", 8_000 * hours),
        _figure("green_to_load", load_kwh * 0.416 * scale),
        _figure("specific_energy_e1", 13_012.4 * scale**0.01, 31),
        _figure("specific_energy_e2_tariff", 13_271.8 * scale**0.01, 33),
        _figure("pv_self_consumption", 97.3),
        Figure("direct_emissions_intensity", 1.587, 1.582, 1.592, 1.0, 1.0, "", {}, (_PLACEHOLDER,)),
        Figure("energy_cost", 45_758_960.55, 45_667_443.11, 45_850_479.08, 1.0, 1.0),
        _figure("metal_produced", 31.4 * hours, 0.4),
    ]
    names = ("specific_energy_dc", "specific_energy_e1", "specific_energy_e2", "specific_energy_e2_tariff", "current_efficiency")
    lines = {
        "line-1": [*zip(names, (12_710.0, 12_962.1, 13_301.0, 13_222.5, 93.4), (28, 29, 32, 32, 0.3), strict=True)],
        "line-2": [*zip(names, (12_890.0, 13_188.9, 13_480.0, 13_391.0, 92.8), (30, 34, 36, 36, 0.3), strict=True)],
    }
    lines["line-1"].append(("metal_produced", 18.15 * hours, 0.3))
    lines["line-2"].append(("metal_produced", 13.25 * hours, 0.3))
    figures = {nodes.PLANT: {f.indicator: f for f in plant}}
    for line, rows in lines.items():
        made = [_figure(n, v, w, 0.993 if line == "line-2" else 0.998) for n, v, w in rows]
        figures[nodes.line(line)] = {f.indicator: f for f in made}
    flows = [Flow("pv-1", "load", 88_000 * hours, 88_000.0), Flow("tie-1", "load", 61_234 * hours, 61_234.0)]
    points = [PointEnergy(p.id, p.branch, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0) for p in site.points.values()]
    return PeriodFigures(span, "live", figures, flows, dict.fromkeys(site.buses, 120.5), points, (site.edition,), "abc123")


@dataclass
class SampleAnalytics:
    """Fixed figures in the shapes of ``analytics.figures``. ``scale`` may be changed by a test to see values move."""

    site: Site
    clock: FixedClock
    scale: float = 1.0
    silent: set[str] = field(default_factory=set)
    power_kw: dict[str, float] = field(default_factory=lambda: dict(POWER_KW))
    error: PotwattError | None = None
    study_error: PotwattError | None = None

    async def study(self, name: str, kind: str, period: str) -> Studied:
        if self.study_error is not None:
            raise self.study_error
        return _STUDIES[name]

    async def explain(self, node: str, indicator: str, asked: str | Span) -> Explained:
        """The figure of the last 24 h over the limits that stand above its real tree in ``tests/explained_month.py``."""
        found = _period(self.site, 86_400, self.scale)
        figure = found.figure(node, indicator)
        if figure is None:
            raise InputError(f"no figure {indicator!r} of {node!r}")
        row = INDICATORS[indicator]
        rules = tuple(
            Cause(CauseKind.RULE, r.id, rule_facts(r)) for r in RULES.for_indicator(indicator, Site_calendar.local(NOW_NS).date())
        )
        facts = {"node": node, "title": {"en": row.en, "zh": row.zh}, "unit": row.unit, "value": figure.value, "low": figure.low}
        facts |= {"high": figure.high, "reason": figure.reason, "formula": row.formula, "boundary": row.boundary, "checked": None}
        return Explained(Cause(CauseKind.FIGURE, indicator, facts, rules), found.span, "interval", "live", "abc123", 0, ())

    async def figures(self, span: Span) -> PeriodFigures:
        return _period(self.site, span.seconds, self.scale, span.end_ns)

    async def live(self) -> Live:
        if self.error is not None:
            raise self.error
        windows = {
            "now": 1,
            "last_15min": 900,
            "last_24h": 86_400,
            "shift": 16_500,
            "production_day": 74_100,
            "day": 16_500,
            "month": 2_400_000,
        }
        shown = {n: _period(self.site, s, self.scale * (1 if n in ("now", "last_15min") else 0.62)) for n, s in windows.items()}
        branches = {
            b.id: BranchNow(
                None if b.id in self.silent else self.power_kw[b.id] * self.scale,
                None,
                None,
                95.0 if b.id in self.silent else 0.6,
                f"{b.id}-meter",
                b.id == "tie-2",
                b.kind,
                b.source,
                b.purpose,
            )
            for b in self.site.branches.values()
        }
        power = {"load": 424_900.0, "grid_import": 85_104.0, "renewable_generation": 243_015.0}
        return Live(self.site.id, self.clock.now_ns(), shown, branches, power, NOW_NS - 200 * NS)

    async def report(self, kind: str, period: str) -> ReportVersion:
        planned = plan(self.site.calendar, kind, period)
        made = _period(self.site, planned.span.seconds, 1.0, planned.span.end_ns)
        rows = [(label, _period(self.site, span.seconds, 1.0, span.end_ns)) for label, span in planned.rows]
        closed = body(self.site, planned, replace(made, status="closed"), rows, RULES)
        return ReportVersion(self.site.id, kind, period, 2, closed, made.interval_hash, "late tap of line-1", NOW_NS)


class SampleAlerts:
    """One alert that stands."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = [
            {
                "key": "e1/line-2",
                "rule": "e1",
                "subject": "line-2",
                "state": "raised",
                "since": "2026-05-28T18:05:00Z",
                "title_en": "Potline 2: e1 over the benchmark",
                "title_zh": "二电解：铝液交流电耗超过标杆",
                "text_en": "e1 is 13,189 kWh/t (13,155 to 13,223); the benchmark is 13,000 kWh/t.",
                "text_zh": "铝液交流电耗 13,189 kWh/t（13,155 至 13,223），标杆 13,000 kWh/t。",
            }
        ]

    def active(self) -> list[dict[str, Any]]:
        return self.rows

    async def acknowledge(self, key: str, who: str) -> bool:
        found = [row for row in self.rows if row["key"] == key]
        for row in found:
            row["acknowledged_by"] = who
        return bool(found)


@dataclass
class Sample:
    """The application and everything behind it."""

    app: FastAPI
    site: Site
    analytics: SampleAnalytics
    store: MemoryStore
    ledger: SqlLedger
    bus: LiveBus
    board: Board
    clock: FixedClock


async def make_sample(folder: Path, auth: Keys | None = None, clock: FixedClock | None = None) -> Sample:
    """A filled plant; close its ledger at the end."""
    site, clock = demo_site(), clock or FixedClock()
    store, ledger = MemoryStore(site.id), SqlLedger(f"sqlite:///{folder / 'ledger.db'}", clock)
    await store.setup()
    await ledger.setup()
    bus, board = LiveBus(clock), Board()
    await _fill(store, bus, site, clock.now_ns())
    board.set("spool", "ok", "empty", used_share=0.01)
    board.set("store", "ok", "memory")
    board.count("frames_total", {"endpoint": "gateway-1"}, 1234)
    analytics = SampleAnalytics(site, clock)
    app = create_app(
        site=site,
        analytics=analytics,
        store=store,
        ledger=ledger,
        bus=bus,
        health=board,
        clock=clock,
        auth=auth,
        version="0.0.test",
        rulebook=RULES,
        alerts=SampleAlerts(),
    )
    return Sample(app, site, analytics, store, ledger, bus, board, clock)


def block(site: Site, meter: str, t_ns: np.ndarray, values: dict[str, np.ndarray]) -> FrameBlock:
    """Frames of one meter."""
    return FrameBlock(
        site.id,
        site.meters[meter].profile,
        tuple(values),
        (meter,),
        np.zeros(len(t_ns), np.int32),
        t_ns.astype(np.int64),
        np.column_stack(list(values.values())),
        np.zeros((len(t_ns), len(values)), np.int16),
    )


async def _fill(store: MemoryStore, bus: LiveBus, site: Site, now_ns: int) -> None:
    """An hour of readings of each meter at 10 s (the weather station silent for ten minutes) and two days of derived figures."""
    t_ns = now_ns - now_ns % NS - np.arange(360, 0, -1, dtype=np.int64) * 10 * NS + 9 * NS
    for number, meter in enumerate(site.meters):
        power = 1_000.0 * (number + 1) + 50 * np.sin(np.arange(360) / 20)
        when = t_ns - 600 * NS if meter == "weather" else t_ns
        values = (
            {"active_power": power, "state_of_charge": np.full(360, 63.5)}
            if meter == "battery-meter"
            else {"active_power": power}
        )
        made = block(site, meter, when, values)
        await store.write([made])
        bus.publish(made)
    last = now_ns - now_ns % QUARTER_NS
    start = last - np.arange(192, 0, -1, dtype=np.int64) * QUARTER_NS
    wall = (start / NS / 3600 + 8) % 24
    sun = np.clip(np.sin((wall - 6) / 12 * math.pi), 0, None)
    load, pv = 106_000 + 900 * np.sin(np.arange(192) / 9), 78_000 * sun
    fields = (
        "load_energy",
        "renewable_generation",
        "captive_generation",
        "grid_import",
        "storage_charge",
        "storage_discharge",
        "green_share_physical",
        "green_share_physical_low",
        "green_share_physical_high",
    )
    grid = np.clip(load - pv - 32_800, 0, None)
    share = 100 * pv * 0.97 / load
    columns = [
        load,
        pv,
        np.full(192, 32_800.0),
        grid,
        5_000 * sun,
        3_000 * (1 - sun) * (wall > 18),
        share,
        share - 0.4,
        share + 0.4,
    ]
    await store.write_derived(dense_block(site.id, "15m", fields, (nodes.PLANT,), start, np.stack(columns, -1)[None], 1))
