"""Every panel's query runs against a real InfluxDB, and its numbers are those of the store for the same span."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from datetime import date
from uuid import uuid4

import numpy as np
import pytest

from dashboards.build import dashboards, queries
from dashboards.statements import DATABASE_SUFFIX, data_source_uid
from plant import nodes
from plant.config import parse_site
from plant.frame import FrameBlock
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import MINUTE, MINUTE_NS, QUARTER, QUARTER_NS, DerivedBlock, Span, dense_block
from simulators.demo_site import Ports, demo_site_toml
from storage.influx import InfluxStore

NS = 1_000_000_000
END_NS = 1_790_000_100 * NS // QUARTER_NS * QUARTER_NS
SPAN = Span(END_NS - 6 * QUARTER_NS, END_NS)
RULEBOOK = parse_rules(shipped_rule_texts())
SILENT_AFTER_NS = SPAN.start_ns + 3 * QUARTER_NS


def demo_site(url: str):
    """The demo's plant on an InfluxDB of its own, retention long enough for the fixed span of the test."""
    text = demo_site_toml(Ports(*range(5020, 5020 + len(Ports.names()))), api_port=8000)
    database = f"t{uuid4().hex[:12]}"
    store = f'[store]\nkind = "influxdb"\nurl = "{url}"\ndatabase = "{database}"\nraw_days = 3000\nminute_days = 3000\n'
    return parse_site(f"{text}\n{store}", "site.toml")


def minutes(site) -> DerivedBlock:
    """A mean power and a completeness of every branch and point, minute by minute."""
    starts = np.arange(SPAN.start_ns, SPAN.end_ns, MINUTE_NS)
    of = (*(nodes.branch(b) for b in site.branches), *(nodes.point(p) for p in site.points))
    rng = np.random.default_rng(2)
    value = np.stack([rng.normal(50_000, 9_000, (len(of), len(starts))), rng.uniform(0.9, 1, (len(of), len(starts)))], axis=2)
    return dense_block(site.id, MINUTE, ("active_power", "completeness"), of, starts, value, 1)


def quarters(site) -> list[DerivedBlock]:
    """Energies and shares that fit together, as the analytics write them; one slot of the plant and of each line is null."""
    starts = np.arange(SPAN.start_ns, SPAN.end_ns, QUARTER_NS)
    rng = np.random.default_rng(3)
    load, green = rng.uniform(90e3, 110e3, len(starts)), rng.uniform(20e3, 40e3, len(starts))
    plant = {"load_energy": load, "green_to_load": green, "green_share_physical": 100 * green / load}
    for name in ("renewable_generation", "storage_charge", "storage_discharge", "grid_export"):
        plant[name] = rng.uniform(0, 30e3, len(starts))
    metal, rectifier = rng.uniform(6, 7, len(starts)), rng.uniform(80e3, 90e3, len(starts))
    line = {"metal_produced": metal, "rectifier_energy": rectifier, "specific_energy_e1": rectifier / metal}
    for figures, name, width in ((plant, "green_share_physical", 0.5), (line, "specific_energy_e1", 60.0)):
        figures |= {f"{name}_low": figures[name] - width, f"{name}_high": figures[name] + width}
    plant["green_to_load"][2] = plant["green_share_physical"][2] = np.nan
    line["metal_produced"][2] = line["specific_energy_e1"][2] = np.nan
    return [
        block(site, (nodes.PLANT,), plant, starts),
        block(site, tuple(nodes.line(p) for p in site.potlines), line, starts),
    ]


def block(site, of, figures, starts) -> DerivedBlock:
    cube = np.repeat(np.stack(list(figures.values()), axis=1)[None], len(of), axis=0)
    return dense_block(site.id, QUARTER, tuple(figures), of, starts, cube, 1)


def readings(site, meter: str, quantity: str, until_ns: int) -> FrameBlock:
    t_ns = np.arange(SPAN.start_ns, until_ns, 10 * NS)
    value = np.random.default_rng(5).normal(1_000, 50, (len(t_ns), 1))
    zero = np.zeros(len(t_ns), np.int32)
    return FrameBlock(site.id, "p", (quantity,), (meter,), zero, t_ns, value, np.zeros(value.shape, np.int16))


@pytest.fixture
async def filled(influxdb):
    """(site, store) with two meters that speak, one of which falls silent half-way."""
    site = demo_site(influxdb)
    store = InfluxStore(site.store, site.id, {})
    await store.setup()
    await store.write_derived(minutes(site))
    for rows in quarters(site):
        await store.write_derived(rows)
    speaking, silent = ac_meters(site)[:2]
    await store.write([readings(site, speaking, "active_power", SPAN.end_ns)])
    await store.write([readings(site, silent, "active_power", SILENT_AFTER_NS)])
    await store.write([readings(site, dc_meters(site)[0], "dc_current", SPAN.end_ns)])
    yield site, store
    await store.close()


def ac_meters(site) -> list[str]:
    return [m.meter for p in site.points.values() if p.side == "ac" for m in p.mountings]


def dc_meters(site) -> list[str]:
    return [m.meter for p in site.points.values() if p.side == "dc" for m in p.mountings]


def ask(site, query, interval: str, span: Span = SPAN) -> dict[str, dict[int, float | None]]:
    """What Grafana would get: {tag value: {start_ns: value}} of a panel's query, its variables put in as Grafana does."""
    resolution = next(r for r in DATABASE_SUFFIX if data_source_uid(site.id, r) == query.data_source_uid)
    time_filter = f"time >= {span.start_ns // 10**6}ms and time < {span.end_ns // 10**6}ms"
    text = query.text.replace("$timeFilter", time_filter).replace("$__interval", interval)
    asked = urllib.parse.urlencode({"db": site.store.database + DATABASE_SUFFIX[resolution], "epoch": "ms", "q": text})
    with urllib.request.urlopen(f"{site.store.url}/query?{asked}") as answer:
        (result,) = json.loads(answer.read())["results"]
    assert "error" not in result, (text, result)
    return {
        next(iter(series.get("tags", {"": ""}).values())): {row[0] * 10**6: row[1] for row in series["values"]}
        for series in result.get("series", [])
    }


def by_panel(site, start: str):
    dashboard = dashboards(site, RULEBOOK, date(2026, 9, 1))["potwatt-energy"]
    found = [query for query in queries(dashboard) if query.panel.startswith(start)]
    assert found, start
    return found


async def test_every_query_of_every_panel_gives_numbers(filled):
    site, _ = filled
    dashboard = dashboards(site, RULEBOOK, date(2026, 9, 1))["potwatt-energy"]
    assert len(queries(dashboard)) >= 15
    for query in queries(dashboard):
        values = [v for series in ask(site, query, "15m").values() for v in series.values() if v is not None]
        assert values, query
        assert np.isfinite(values).all(), query


async def test_power_by_branch_equals_the_store(filled):
    site, store = filled
    shown = {tag: s for query in by_panel(site, "Power by branch") for tag, s in ask(site, query, "1m").items()}
    stored = await store.read_derived(MINUTE, [nodes.branch(b) for b in site.branches], ["active_power"], SPAN)
    assert set(shown) == {nodes.branch(b) for b in site.branches}
    for node, series in shown.items():
        t_ns, value = stored.column(node, "active_power")
        assert list(series) == t_ns.tolist()
        assert list(series.values()) == pytest.approx(value.tolist(), rel=1e-12)


@pytest.mark.parametrize(
    ("panel", "node", "indicator"),
    [("Green share", nodes.PLANT, "green_share_physical"), ("AC energy per tonne", "line", "specific_energy_e1")],
)
async def test_shares_and_energy_per_tonne_equal_the_store_and_a_null_stays_empty(filled, panel, node, indicator):
    site, store = filled
    node = nodes.line(next(iter(site.potlines))) if node == "line" else node
    ratio, low, high = [q for q in by_panel(site, panel) if "GROUP BY" in q.text][:3]
    fields = [indicator, f"{indicator}_low", f"{indicator}_high"]
    stored = await store.read_derived(QUARTER, [node], fields, SPAN)
    for query, field in zip((ratio, low, high), fields, strict=True):
        (series,) = ask(site, query, "15m").values()
        t_ns, value = stored.column(node, field)
        shown = np.array([np.nan if series.get(t) is None else series[t] for t in t_ns.tolist()])
        assert shown == pytest.approx(value, rel=1e-12, nan_ok=True)
    (series,) = ask(site, ratio, "15m").values()
    assert series[SPAN.start_ns + 2 * QUARTER_NS] is None


async def test_a_longer_step_shows_the_ratio_of_sums_not_the_mean_of_ratios(filled):
    site, store = filled
    node = nodes.line(next(iter(site.potlines)))
    ratio = next(q for q in by_panel(site, "AC energy per tonne") if "GROUP BY" in q.text)
    whole = next(q for q in by_panel(site, "e1 ") if "GROUP BY" not in q.text)
    stored = await store.read_derived(QUARTER, [node], ["rectifier_energy", "metal_produced"], SPAN)
    energy, metal = (stored.column(node, f)[1] for f in ("rectifier_energy", "metal_produced"))
    both = np.isfinite(energy) & np.isfinite(metal)
    expected = energy[both].sum() / metal[both].sum()
    (shown,) = ask(site, whole, "15m").values()
    assert list(shown.values()) == pytest.approx([expected], rel=1e-12)
    (longer,) = ask(site, ratio, "1d").values()
    assert [v for v in longer.values() if v is not None] == pytest.approx([expected], rel=1e-12)


async def test_a_silent_meter_is_empty_and_not_its_last_value(filled):
    site, store = filled
    speaking, silent = ac_meters(site)[:2]
    (power,) = by_panel(site, "Power as the meters say it")
    counts = by_panel(site, "Silent meters")[0]
    series = ask(site, power, "1m")
    before = [v for t, v in series[silent].items() if t < SILENT_AFTER_NS]
    after = [v for t, v in series[silent].items() if t >= SILENT_AFTER_NS]
    assert None not in before
    assert after
    assert set(after) == {None}
    assert None not in series[speaking].values()
    stored = await store.read(silent, "active_power", Span(SPAN.start_ns, SPAN.start_ns + MINUTE_NS))
    assert before[0] == pytest.approx(stored.value.mean(), rel=1e-12)
    received = ask(site, counts, "1m")
    assert {v for t, v in received[silent].items() if t >= SILENT_AFTER_NS} <= {None, 0}
    assert {v for t, v in received[speaking].items()} == {6}
    late = Span(SILENT_AFTER_NS, SPAN.end_ns)
    assert silent not in ask(site, power, "1m", late)


async def test_a_figure_that_became_null_is_empty(filled):
    site, store = filled
    node = nodes.line(next(iter(site.potlines)))
    figures = {name: np.array([np.nan]) for name in ("metal_produced", "rectifier_energy", "specific_energy_e1")}
    rows = block(site, (node,), figures, np.array([SPAN.start_ns]))
    await store.write_derived(DerivedBlock(**{n: getattr(rows, n) for n in rows.__slots__} | {"version": rows.version + 1}))
    ratio = next(q for q in by_panel(site, "AC energy per tonne") if "GROUP BY" in q.text)
    (series,) = ask(site, ratio, "15m").values()
    assert series.get(SPAN.start_ns) is None
    assert series[SPAN.start_ns + QUARTER_NS] is not None
