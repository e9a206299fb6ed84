"""Changed settings restate the slots that they date, and no others; limits restate none. The law of each time is its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import HEAD, NS, SmallPlant, meter_toml, small_plant

from analytics.faraday import RULE
from analytics.row_settings import END_NS, changes, figure_settings, row_settings
from analytics.state import plain
from plant.config import parse_site
from plant.ports import LastFrame
from plant.rulebook import Rulebook, parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, DerivedBlock, Span
from plant.site import Site
from storage.memory import MemoryStore

HOUR_NS = 3600 * NS
DAY_NS = 24 * HOUR_NS
START = round(datetime(2026, 5, 31, 16, tzinfo=UTC).timestamp()) * NS  # 1 June in Shanghai
RULES = parse_rules(shipped_rule_texts())
GRAPH = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "mill", kind = "feeder", bus = "b" },
]
"""
PLAIN = GRAPH + meter_toml("tie", 1, 'branch = "tie"') + meter_toml("mill", 2, 'branch = "mill"')
BARE = '[[meter]]\nid = "{}"\nprofile = "x"\nendpoint = "g"\nunit = {}\npoll_interval_s = 60\n'
DATED = (
    GRAPH
    + meter_toml("tie", 1, 'branch = "tie"')
    + BARE.format("mill", 2)
    + BARE.format("mill-new", 3)
    + """
[[point]]
id = "mill"
branch = "mill"
mounting = [MOUNTINGS]
"""
)
FIRST = '{ meter = "mill", valid_from = 2026-01-01T00:00:00+08:00 }'
TUESDAY = '{ meter = "mill-new", valid_from = 2026-06-02T00:00:00+08:00 }'
AC = ("active_power", "energy_import", "energy_export")
KNOWN = dict.fromkeys(("tie", "mill", "mill-new"), AC)


class Counting(MemoryStore):
    """Remembers the starts of the 15-min rows that were written of each node."""

    def __init__(self) -> None:
        super().__init__("p")
        self.written: dict[str, set[int]] = {}

    async def write_derived(self, block: DerivedBlock) -> None:
        if block.resolution == QUARTER:
            for index, start_ns in zip(block.node_index.tolist(), block.start_ns.tolist(), strict=True):
                self.written.setdefault(block.nodes[index], set()).add(start_ns)
        await super().write_derived(block)

    def slots(self) -> set[int]:
        return set().union(*self.written.values())


def _site(text: str) -> Site:
    return parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + text, "site.toml")


async def _feed(plant: SmallPlant, meter: str, span: Span, power_kw: float = 1000.0) -> None:
    t_ns = np.arange(span.start_ns, span.end_ns + 1, 60 * NS, dtype=np.int64)
    hours, one = (t_ns - START) / HOUR_NS, np.ones(len(t_ns))
    await plant.feed(meter, t_ns, active_power=power_kw * one, energy_import=1e6 + power_kw * hours, energy_export=0 * one)


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[SmallPlant]:
    text = DATED.replace("MOUNTINGS", FIRST)
    async with small_plant(tmp_path, text, START, KNOWN, store=Counting()) as made:
        two_days = Span(START, START + 2 * DAY_NS)
        for meter in ("tie", "mill"):
            await _feed(made, meter, two_days)
        made.clock.t_ns = two_days.end_ns + 300 * NS
        await made.work()
        yield made


def _restarted(plant: SmallPlant, site: Site, rules: Rulebook = RULES) -> Counting:
    assert isinstance(plant.store, Counting)
    plant.site, plant.rules = site, rules
    plant.restart()
    plant.store.written.clear()
    return plant.store


async def test_a_mounting_of_last_tuesday_restates_from_then_on(plant: SmallPlant) -> None:
    tuesday = START + DAY_NS
    await _feed(plant, "mill-new", Span(tuesday, START + 2 * DAY_NS), 1200.0)
    store = _restarted(plant, _site(DATED.replace("MOUNTINGS", f"{FIRST}, {TUESDAY}")))
    await plant.work()
    # the slot before it ends between the last reading of the old meter and the exchange
    assert store.slots() == set(range(tuesday - QUARTER_NS, START + 2 * DAY_NS, QUARTER_NS))
    assert len(store.slots()) == 97
    points = (await plant.analytics.figures(Span(tuesday, START + 2 * DAY_NS))).points
    assert next(p for p in points if p.point == "mill").energy_import_kwh == pytest.approx(24 * 1200.0)


async def test_a_limit_of_a_new_edition_restates_no_row(plant: SmallPlant) -> None:
    limit = next(r for r in RULES.rules if r.kind == "upper_limit" and r.scope == "CN")
    stricter = limit.model_copy(update={"value": limit.value / 2, "valid_from": date(2026, 6, 1), "published": date(2026, 5, 1)})
    rules = Rulebook((*RULES.rules, stricter), "newer")
    store = _restarted(plant, plant.site, rules)
    await plant.work()
    assert store.written == {}
    assert [c.part for c in changes(plain(figure_settings(plant.site, RULES)), figure_settings(plant.site, rules))] == [
        f"rule {limit.id}"
    ]


async def test_a_factor_of_a_new_edition_restates_from_its_first_day(plant: SmallPlant) -> None:
    store = _restarted(plant, plant.site, _yield_from(date(2026, 6, 2), 2))
    await plant.work()
    assert store.slots() == set(range(START + DAY_NS, START + 2 * DAY_NS, QUARTER_NS))


async def test_titles_and_prices_restate_nothing(plant: SmallPlant) -> None:
    branches = {b.id: replace(b, title_en="Renamed") for b in plant.site.branches.values()}
    site = replace(plant.site, branches=branches, enterprise="other", edition="x")
    store = _restarted(plant, site)
    assert not await plant.analytics.step()
    assert store.written == {}


def test_a_ratio_put_right_for_a_while_differs_in_that_while_alone() -> None:
    wrong = _site(DATED.replace("MOUNTINGS", f"{FIRST}, {TUESDAY}"))
    right = _site(DATED.replace("MOUNTINGS", f"{FIRST.replace('}', ', ct_ratio = 2.0 }')}, {TUESDAY}"))
    [found] = changes(plain(row_settings(wrong, RULES)), row_settings(right, RULES))
    first = round(datetime(2025, 12, 31, 16, tzinfo=UTC).timestamp()) * NS
    assert (found.part, found.span) == ("point mill", Span(first, START + DAY_NS))


def test_a_part_that_is_new_or_gone_differs_from_where_it_begins() -> None:
    one, two = (row_settings(_site(text), RULES) for text in (PLAIN, DATED.replace("MOUNTINGS", FIRST)))
    assert {c.part for c in changes(plain(one), two)} >= {"point mill"}
    assert all(c.span.end_ns == END_NS for c in changes({}, one))
    assert changes(plain(one), one) == []


def _yield_from(day: date, times: int) -> Rulebook:
    rule = next(r for r in RULES.rules if r.id == RULE)
    newer = rule.model_copy(update={"value": rule.value * times, "valid_from": day, "published": day})
    return Rulebook((*RULES.rules, newer), "newer")


LINE = (
    """
potline = [{ id = "l", current_efficiency_ref = 0.93, current_efficiency_uncertainty = 0.02, pots = [
  { valid_from = 2026-01-01T00:00:00+08:00, running = 200 }] }]
branch = [{ id = "rect", kind = "rectifier_group", bus = "b", potline = "l" }]
"""
    + meter_toml("dc", 1, 'branch = "rect", side = "dc"')
    + meter_toml("ac", 2, 'branch = "rect"')
)


async def test_what_runs_over_a_change_of_law_takes_the_law_of_its_time(tmp_path: Path) -> None:
    known = {"dc": ("dc_current", "dc_power"), "ac": ("active_power",)}
    async with small_plant(tmp_path, LINE, START, known) as plant:
        plant.rules = _yield_from(date(2026, 6, 2), 2)
        plant.clock.t_ns = START
        plant.restart()  # on the day before the new edition
        values = []
        for t_ns in (START + 12 * HOUR_NS, START + 36 * HOUR_NS):
            plant.clock.t_ns = t_ns
            said = {"dc": {"dc_current": 200.0, "dc_power": 160e3}, "ac": {"active_power": 165e3}}
            plant.bus.frames = {m: LastFrame(m, t_ns, v, dict.fromkeys(v, 0), t_ns) for m, v in said.items()}
            figure = (await plant.analytics.live()).windows["now"].figure("line:l", "specific_energy_e1")
            assert figure is not None
            assert figure.value is not None
            values.append(figure.value)
        assert values[0] == pytest.approx(2 * values[1])
        assert Decimal(round(values[0])) > 10_000
