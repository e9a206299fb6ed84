"""Every panel's query runs against a real InfluxDB that holds what the simulated plant said and what the analytics made of it;
its numbers are those of the API for the same span, with a meter silent for the last hour and one that marks values invalid."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pytest
from analytics_plant import SteppedClock
from api_sample import SampleAlerts

from analytics.service import Analytics
from api.app import create_app
from dashboards.build import PanelQuery, dashboards, queries
from dashboards.statements import DATABASE_SUFFIX, data_source_uid
from devices.catalog import shipped_profiles
from plant.config import parse_site
from plant.frame import FrameBlock
from plant.indicators import INDICATORS
from plant.quality import Quality
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import MINUTE_NS, QUARTER_NS, Span
from plant.site import Site
from potwatt.board import Board
from potwatt.live_bus import LiveBus
from simulators.plant import SimulatedPlant
from storage.influx import InfluxStore
from storage.ledger import SqlLedger

NS = 1_000_000_000
END_NS = 1_789_966_800 * NS // QUARTER_NS * QUARTER_NS  # 21 September 2026, 13 h in China: the sun shines
SPAN = Span(END_NS - 8 * QUARTER_NS, END_NS)
SILENT_FROM_NS = SPAN.start_ns + 4 * QUARTER_NS
WHOLE, GAP = Span(SPAN.start_ns, SILENT_FROM_NS), Span(SILENT_FROM_NS, SPAN.end_ns)
SILENT, INVALID = "fume-1-meter", "compressors-meter"  # meters, each the only one of its branch
RULEBOOK = parse_rules(shipped_rule_texts())
STEP_NS = {"1m": MINUTE_NS, "15m": QUARTER_NS}


@dataclass(frozen=True, slots=True)
class Filled:
    """A plant on an InfluxDB of its own and the folder of its ledger."""

    site: Site
    folder: Path

    @property
    def queries(self) -> list[PanelQuery]:
        return queries(dashboards(self.site, RULEBOOK, date(2026, 9, 21))["potwatt-energy"])


@pytest.fixture(scope="module")
def filled(influxdb: str, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Two hours of the simulated plant, worked through by the analytics."""
    folder = tmp_path_factory.mktemp("dashboard")
    smelter = SimulatedPlant(seed=4, data_dir=folder, clock=SteppedClock(END_NS))
    database = f"t{uuid4().hex[:12]}"
    store = f'[store]\nkind = "influxdb"\nurl = "{influxdb}"\ndatabase = "{database}"\nraw_days = 3000\nminute_days = 3000\n'
    made = Filled(parse_site(f"{smelter.site_toml(api_port=8000)}\n{store}", "site.toml"), folder)
    asyncio.run(_fill(made, smelter))
    return made


async def _fill(made: Filled, smelter: SimulatedPlant) -> None:
    store, ledger, analytics = await _open(made)
    await store.setup()
    for blocks in smelter.history_blocks(SPAN.start_ns, SPAN.end_ns + MINUTE_NS, step_s=20):
        await store.write([_troubled(block) for block in blocks if not block.event_ids])
    while await analytics.step():
        pass
    await store.close()
    await ledger.close()


def _troubled(block: FrameBlock) -> FrameBlock:
    """The block with a meter silent from an instant on, and another whose every fifth power is nonsense and says so."""
    if block.meters == (SILENT,):
        return block.take(block.t_ns < SILENT_FROM_NS)
    if block.meters == (INVALID,):
        column, value, quality = block.quantities.index("active_power"), block.value.copy(), block.quality.copy()
        value[::5, column], quality[::5, column] = 1e9, int(Quality.INVALID | Quality.FAILURE)
        quality[1::5, column] = int(Quality.QUESTIONABLE)
        return replace(block, value=value, quality=quality)
    return block


async def _open(made: Filled) -> tuple[InfluxStore, SqlLedger, Analytics]:
    clock, site = SteppedClock(END_NS + QUARTER_NS), made.site
    profiles = shipped_profiles()
    known = {m.id: profiles[m.profile] for m in site.meters.values()}
    store = InfluxStore(site.store, site.id, {})
    ledger = SqlLedger(f"sqlite:///{made.folder / 'ledger.sqlite'}", clock)
    await ledger.setup()
    analytics = Analytics(
        site=site,
        rulebook=RULEBOOK,
        profiles_wraps={(meter, quantity): p.wraps_at(quantity) for meter, p in known.items() for quantity in p.quantities},
        quantities_of={meter: p.quantities for meter, p in known.items()},
        store=store,
        ledger=ledger,
        clock=clock,
        bus=LiveBus(clock),
        health=Board(),
    )
    return store, ledger, analytics


@pytest.fixture
async def api(filled: Filled) -> AsyncIterator[httpx.AsyncClient]:
    """The API of the filled plant."""
    store, ledger, analytics = await _open(filled)
    clock = SteppedClock(END_NS + QUARTER_NS)
    app = create_app(
        site=filled.site,
        analytics=analytics,
        store=store,
        ledger=ledger,
        bus=LiveBus(clock),
        health=Board(),
        clock=clock,
        auth=None,
        version="0.0.test",
        rulebook=RULEBOOK,
        alerts=SampleAlerts(),
    )
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000/api/v1/plants/demo") as client:
        yield client
    await store.close()
    await ledger.close()


Shown = dict[str, dict[int, float]]  # series -> start_ns -> value, nulls left out


def grafana(site: Site, query: PanelQuery, interval: str, span: Span) -> Shown:
    """What Grafana would draw of a query, its variables put in as Grafana does."""
    resolution = next(r for r in DATABASE_SUFFIX if data_source_uid(site.id, r) == query.data_source_uid)
    time_filter = f"time >= {span.start_ns // 10**6}ms and time < {span.end_ns // 10**6}ms"
    text = query.text.replace("$timeFilter", time_filter).replace("$__interval", interval)
    asked = urllib.parse.urlencode({"db": site.store.database + DATABASE_SUFFIX[resolution], "epoch": "ms", "q": text})
    with urllib.request.urlopen(f"{site.store.url}/query?{asked}") as answer:
        (result,) = json.loads(answer.read())["results"]
    assert "error" not in result, (text, result)
    return {
        next(iter(series.get("tags", {"": ""}).values())): {
            row[0] * 10**6: row[1] for row in series["values"] if row[1] is not None
        }
        for series in result.get("series", [])
    }


def interval_of(query: PanelQuery) -> str:
    return "15m" if query.data_source_uid.endswith("15m") else "1m"


async def said(api: httpx.AsyncClient, filled: Filled, query: PanelQuery, span: Span) -> Shown:
    """What the API says of the same: by its own resources, never by the query's arithmetic."""
    one = re.match(r'SELECT (mean|sum|count)\("(\w+)"\)', query.text)
    if one and '"meter" =' in query.text:
        meters = re.findall(r'"meter" = \'([^\']+)\'', query.text)
        return {m: found for m in meters if (found := await readings(api, m, one[2], one[1], span))}
    of = re.findall(r'"node" = \'([^\']+)\'', query.text)
    indicator = one[2] if one else "green_share_physical" if of == ["plant"] else "specific_energy_e1"
    if "GROUP BY" not in query.text:
        answer = (await api.get("/kpis", params=_span(span))).json()
        return {"": {span.start_ns: answer["figures"][of[0]][f"{indicator}_{INDICATORS[indicator].suffix}"]["value"]}}
    params = {"node": of, "field": [indicator], "resolution": interval_of(query), **_span(span)}
    answer = (await api.get("/intervals", params=params)).json()
    found = {
        name: {t * 10**6: v for t, v in zip(columns["t_ms"], columns[indicator], strict=True) if v is not None}
        for name, columns in answer["nodes"].items()
    }
    return found if '"node" fill' in query.text else {"": found[of[0]]}


async def readings(api: httpx.AsyncClient, meter: str, quantity: str, function: str, span: Span) -> dict[int, float]:
    """Mean or number, minute by minute, of the readings that the API gives as valid."""
    params = {"meter": meter, "quantity": quantity, "resolution": "raw", "max_points": 5000, **_span(span)}
    answer = (await api.get("/series", params=params)).json()
    rows = zip(answer["t_ms"], answer["value"], answer["quality"], strict=True)
    valid = [(t * 10**6 // MINUTE_NS * MINUTE_NS, v) for t, v, q in rows if v is not None and not q & Quality.INVALID]
    minutes = {minute: [v for m, v in valid if m == minute] for minute, _ in valid}
    return {minute: float(np.mean(v)) if function == "mean" else len(v) for minute, v in minutes.items()}


def _span(span: Span) -> dict[str, str]:
    start, end = (np.datetime64(t, "ns").astype("datetime64[s]").item().isoformat() + "Z" for t in (span.start_ns, span.end_ns))
    return {"start": start, "end": end}


def flat(shown: Shown) -> Iterator[tuple[tuple[str, int], float]]:
    yield from (((name, t_ns), value) for name, series in sorted(shown.items()) for t_ns, value in sorted(series.items()))


@pytest.mark.parametrize("span", [WHOLE, SPAN, GAP], ids=["whole", "with a gap", "gap"])
async def test_every_panel_shows_the_numbers_of_the_api(filled: Filled, api: httpx.AsyncClient, span: Span) -> None:
    asked = filled.queries
    assert len(asked) >= 15
    for query in asked:
        shown = dict(flat(grafana(filled.site, query, interval_of(query), span)))
        expected = dict(flat(await said(api, filled, query, span)))
        assert expected, query
        if query.text.startswith("SELECT count"):
            shown = {key: value for key, value in shown.items() if value}  # a count may say 0 where the API has no reading
        if "GROUP BY" not in query.text:
            assert list(shown.values()) == pytest.approx(list(expected.values()), rel=1e-9), query
        else:
            assert shown == pytest.approx(expected, rel=1e-9), query


async def test_a_silent_meter_is_empty_and_not_its_last_value(filled: Filled, api: httpx.AsyncClient) -> None:
    by_title = {query.panel: query for query in filled.queries}
    power = next(q for title, q in by_title.items() if title.startswith("Power as the meters say it"))
    before, after = (grafana(filled.site, power, "1m", span) for span in (WHOLE, GAP))
    assert len(before[SILENT]) == WHOLE.seconds / 60
    assert not after.get(SILENT)
    assert len(after[INVALID]) == GAP.seconds / 60
    branch = next(q for title, q in by_title.items() if title.startswith("Power by branch: Loads"))
    node = f"branch:{filled.site.points[SILENT].branch}"
    assert grafana(filled.site, branch, "1m", WHOLE)[node]
    assert not grafana(filled.site, branch, "1m", GAP).get(node)


async def test_a_longer_step_shows_the_ratio_of_sums_not_the_mean_of_ratios(filled: Filled, api: httpx.AsyncClient) -> None:
    for query in filled.queries:
        if " / sum(" in query.text and "GROUP BY" in query.text:
            (longer,) = grafana(filled.site, query, "1d", SPAN).values()
            whole = replace(query, text=query.text.partition(" GROUP BY")[0])
            (expected,) = (await said(api, filled, whole, SPAN)).values()
            assert list(longer.values()) == pytest.approx(list(expected.values()), rel=1e-9)
