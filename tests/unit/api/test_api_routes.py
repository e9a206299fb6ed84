import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from api_sample import NOW_NS, POWER_KW, Sample, block, make_sample

from api.app import close_streams
from api.schemas import figure_name
from plant.errors import StoreUnavailable
from plant.indicators import INDICATORS
from plant.quality import Quality
from plant.series import Span

ROOT = "/api/v1/plants/demo"


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(ROOT + path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_plants_lead_to_the_graph_without_addresses_or_secrets(client: httpx.AsyncClient, sample: Sample) -> None:
    href = (await client.get("/api/v1/plants")).json()["plants"][0]["href"]
    answer = await client.get(href)
    plant = answer.json()
    assert {b["id"] for b in plant["branches"]} == set(sample.site.branches)
    assert {m["id"] for m in plant["meters"]} == set(sample.site.meters)
    assert "127.0.0.1" not in answer.text


async def test_each_limit_stands_at_the_indicator_it_names(client: httpx.AsyncClient) -> None:
    limits = (await client.get(ROOT)).json()["limits"]
    assert {row["id"]: row["value"] for row in limits["specific_energy_e1"]}["benchmark"] == 13_000
    assert [row["value"] for row in limits["specific_energy_e2_tariff"] if row["id"] == "tariff-threshold"] == [13_300]
    assert "tariff-threshold" not in {row["id"] for row in limits["specific_energy_e1"]}


async def test_live_has_power_figures_with_their_trust_and_meters(client: httpx.AsyncClient, sample: Sample) -> None:
    live = await get(client, "/live")
    assert {name: b["active_power_kw"] for name, b in live["branches"].items()} == POWER_KW
    figure = live["periods"]["now"]["figures"]["plant"]["green_share_physical_percent"]
    assert (figure["value"], figure["unit"], figure["completeness"], figure["measured_share"]) == (41.6, "%", 0.999, 0.998)
    assert (
        live["periods"]["last_24h"]["figures"]["line:line-2"]["specific_energy_e1_kwh_per_t"]["status"]["benchmark"] == "exceeded"
    )
    assert live["meters"]["weather"] == {"state": "silent", "age_s": 601.0}
    assert live["meters"]["tie-1-main"]["state"] == "ok"
    assert live["storage"]["battery"]["state_of_charge_percent"] == 63.5
    assert [a["key"] for a in live["alerts"]] == ["e1/line-2"]


async def test_a_silent_meter_has_no_charge_and_a_silent_branch_no_power(client: httpx.AsyncClient, sample: Sample) -> None:
    sample.analytics.silent.add("fume-1")
    sample.clock.t_ns += 120 * 10**9
    live = await get(client, "/live")
    assert live["storage"]["battery"]["state_of_charge_percent"] is None
    assert live["branches"]["fume-1"]["active_power_kw"] is None
    assert live["meters"]["tie-1-main"]["state"] == "silent"


async def test_a_charge_of_long_ago_is_none_though_its_meter_speaks(client: httpx.AsyncClient, sample: Sample) -> None:
    sample.clock.t_ns += 1_800 * 10**9
    power = {"active_power": np.array([5.0])}
    sample.bus.publish(block(sample.site, "battery-meter", np.array([sample.clock.t_ns]), power))
    live = await get(client, "/live")
    assert live["meters"]["battery-meter"]["state"] == "ok"
    assert live["storage"]["battery"]["state_of_charge_percent"] is None


async def test_a_meter_whose_clock_is_ahead_falls_silent_by_ours(client: httpx.AsyncClient, sample: Sample) -> None:
    ahead = np.array([sample.clock.t_ns + 3_600 * 10**9])
    sample.bus.publish(block(sample.site, "battery-meter", ahead, {"state_of_charge": np.array([70.0])}))
    live = await get(client, "/live")
    assert live["meters"]["battery-meter"] == {"state": "ok", "age_s": 0.0}
    assert live["newest_reading_ms"] == NOW_NS // 10**6
    sample.clock.t_ns += 1_800 * 10**9
    live = await get(client, "/live")
    assert live["meters"]["battery-meter"] == {"state": "silent", "age_s": 1_800.0}
    assert live["storage"]["battery"]["state_of_charge_percent"] is None
    assert live["newest_reading_ms"] == NOW_NS // 10**6


async def test_a_meter_of_events_speaks_when_its_collector_says_so(client: httpx.AsyncClient, sample: Sample) -> None:
    del sample.bus.latest()["scale-1"]
    assert (await get(client, "/live"))["meters"]["scale-1"] == {"state": "never", "age_s": None}
    sample.board.set("meter:scale-1", "ok", "last message 40 s ago")
    sample.clock.t_ns += 10**9
    assert (await get(client, "/live"))["meters"]["scale-1"] == {"state": "ok", "age_s": None}


async def test_live_is_built_once_a_second(client: httpx.AsyncClient, sample: Sample) -> None:
    first = await get(client, "/live")
    sample.analytics.scale = 0.5
    assert await get(client, "/live") == first
    sample.clock.t_ns += 10**9
    later = await get(client, "/live")
    assert later["branches"]["unit-1"]["active_power_kw"] == POWER_KW["unit-1"] / 2


async def test_kpis_of_a_running_period_and_of_a_span(client: httpx.AsyncClient) -> None:
    running = await get(client, "/kpis", span="month")
    assert running["name"] == "month"
    assert len(running["points"]) > 10
    assert running["editions"]
    spanned = await get(client, "/kpis", start="2026-05-01T00:00:00+08:00", end="2026-05-02T00:00:00+08:00")
    assert (spanned["start"], spanned["end"]) == ("2026-04-30T16:00:00.000Z", "2026-05-01T16:00:00.000Z")
    assert spanned["figures"]["plant"]["load_energy_kwh"]["value"] == pytest.approx(424_900 * 24)


@pytest.mark.parametrize("field", ["load_energy_low", "specific_energy_e1_high", "energy_import_low", "flags", "dc_charge"])
async def test_every_field_of_derived_rows_can_be_asked_for(client: httpx.AsyncClient, field: str) -> None:
    assert (await get(client, "/series", node="plant", field=field))["field"] == field


def test_every_indicator_has_a_name_of_its_own_outside() -> None:
    assert len({figure_name(name) for name in INDICATORS}) == len(INDICATORS)


async def test_a_series_is_what_the_store_holds(client: httpx.AsyncClient, sample: Sample) -> None:
    body = await get(client, "/series", meter="tie-1-main", quantity="active_power", start="-2h")
    held = await sample.store.read("tie-1-main", "active_power", Span(NOW_NS - 7200 * 10**9, NOW_NS))
    assert body["unit"] == "kW"
    assert body["value"] == held.value.tolist()
    assert body["t_ms"] == (held.t_ns // 10**6).tolist()


async def test_a_long_series_comes_thinned_with_its_extremes(client: httpx.AsyncClient, sample: Sample) -> None:
    body = await get(client, "/series", meter="tie-1-main", quantity="active_power", start="-2h", max_points=10)
    held = await sample.store.read("tie-1-main", "active_power", Span(NOW_NS - 7200 * 10**9, NOW_NS))
    assert len(body["t_ms"]) == 10
    assert max(v for v in body["max"] if v is not None) == held.value.max()
    assert min(v for v in body["min"] if v is not None) == held.value.min()
    assert sum(body["count"]) == len(held)
    assert None in body["mean"]  # the first of the two hours has no reading: a gap, not a line


async def test_thinned_readings_leave_invalid_ones_out_and_say_how_many(client: httpx.AsyncClient, sample: Sample) -> None:
    t_ns = NOW_NS - np.arange(100, 0, -1, dtype=np.int64) * 10**9
    made = block(sample.site, "tie-1-main", t_ns, {"frequency": np.where(np.arange(100) % 10 == 3, 9_999.0, 50.0)})
    made.quality[3::10] = int(Quality.INVALID | Quality.OUT_OF_RANGE)
    await sample.store.write([made])
    query = {"meter": "tie-1-main", "quantity": "frequency", "start": "-2m", "max_points": 12}
    body = await get(client, "/series", **query)
    assert {v for v in body["max"] if v is not None} == {50.0}
    assert (sum(body["count"]), body["invalid_left_out"]) == (90, 10)


async def test_a_flow_is_a_node(client: httpx.AsyncClient) -> None:
    body = await get(client, "/series", node="flow:pv-1>load", field="flow_energy")
    assert body["value"] == []
    assert (await get(client, "/intervals", node="flow:battery/renewable>tie-1", field="flow_energy"))["nodes"]


async def test_intervals_come_as_columns(client: httpx.AsyncClient) -> None:
    query = {"node": ["plant"], "field": ["load_energy", "green_share_physical", "residual"], "start": "-24h"}
    body = await get(client, "/intervals", **query)
    columns = body["nodes"]["plant"]
    assert len(columns["t_ms"]) == len(columns["load_energy"]) == 95
    assert np.all(np.diff(columns["t_ms"]) == 900_000)
    assert all(v is None for v in columns["residual"])


@pytest.mark.parametrize(
    ("path", "status", "allowed"),
    [
        ("/api/v1/plants/other/live", 404, "demo"),
        (f"{ROOT}/series?meter=tie-9&quantity=active_power", 404, "tie-1-main"),
        (f"{ROOT}/series?meter=tie-1-main&quantity=power", 422, "active_power"),
        (f"{ROOT}/series?node=line:nine&field=load_energy", 404, "line:line-1"),
        (f"{ROOT}/series?node=flow:pv-9>load&field=flow_energy", 404, "flow:<source>"),
        (f"{ROOT}/series?node=plant&field=load_energy&resolution=raw", 422, "1m or 15m"),
        (f"{ROOT}/series?node=plant&field=nosuchfield", 422, "load_energy[_low|_high]"),
        (f"{ROOT}/intervals?node=plant&field=load_energy&field=flags_low", 422, "flags, "),
        (f"{ROOT}/series?meter=tie-1-main&quantity=active_power&resolution=1m", 422, "raw"),
        (f"{ROOT}/kpis?start=9999-01-01T00:00:00Z&end=9999-01-02T00:00:00Z", 422, "1970 to 2199"),
        (f"{ROOT}/alerts?start=1500-01-01T00:00:00Z&end=1500-01-02T00:00:00Z", 422, "1970 to 2199"),
        (f"{ROOT}/reports/year/２０２６", 422, "yyyy"),
        (f"{ROOT}/series?meter=tie-1-main&field=load_energy", 422, "quantity"),
        (f"{ROOT}/series?meter=tie-1-main&quantity=active_power&start=-40d", 422, "32 days"),
        (f"{ROOT}/series?meter=tie-1-main&quantity=active_power&max_points=0", 422, "max_points"),
        (f"{ROOT}/intervals?node=plant&field=load_energy&start=-9999d", 422, "3700 days"),
        (f"{ROOT}/intervals?field=a", 422, "node"),
        (f"{ROOT}/kpis?span=week", 422, "last_24h"),
        (f"{ROOT}/kpis?span=last_24h&start=-2h", 422, "not both"),
        (f"{ROOT}/kpis?start=yesterday", 422, "RFC 3339"),
        (f"{ROOT}/ledger/gossip", 422, "metal_tapped"),
        (f"{ROOT}/reports/day/2026-13-01", 422, "yyyy-mm-dd"),
        (f"{ROOT}/reports/week/1", 404, "openapi"),
        ("/web/secret.js", 404, "app.js"),
    ],
)
async def test_a_wrong_name_is_answered_with_what_is_allowed(
    client: httpx.AsyncClient, path: str, status: int, allowed: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert allowed in answer.json()["detail"]


async def test_too_many_cells_are_refused_before_the_store_is_asked(client: httpx.AsyncClient, sample: Sample) -> None:
    nodes = [f"point:{p}" for p in sample.site.points]
    answer = await client.get(
        f"{ROOT}/intervals", params={"node": nodes, "field": ["flags", "active_power"], "start": "-90d", "resolution": "1m"}
    )
    assert (answer.status_code, answer.json()["title"]) == (422, "Too much at once")


async def test_a_store_that_does_not_answer_is_a_503_that_asks_to_come_back(
    client: httpx.AsyncClient, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: object) -> None:
        raise StoreUnavailable("influxdb at 127.0.0.1:8086 does not answer")

    monkeypatch.setattr(sample.store, "read_derived", unavailable)
    answer = await client.get(f"{ROOT}/series", params={"node": "plant", "field": "load_energy"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "does not answer" in answer.json()["detail"]


async def test_alerts_that_stand_and_their_history(client: httpx.AsyncClient, sample: Sample) -> None:
    await sample.ledger.add_alert_event("demo", {"kind": "raised", "key": "e1/line-2", "t_ns": NOW_NS - 10**9})
    body = await get(client, "/alerts")
    assert [a["key"] for a in body["active"]] == ["e1/line-2"]
    assert [e["kind"] for e in body["history"]] == ["raised"]


async def test_a_raised_alert_is_acknowledged_under_the_callers_name(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{ROOT}/alerts/e1/line-2/acknowledge", json={})
    assert (answer.status_code, answer.json()["by"]) == (200, "local")
    assert [a["acknowledged_by"] for a in (await get(client, "/alerts"))["active"]] == ["local"]
    unknown = await client.post(f"{ROOT}/alerts/e1/line-9/acknowledge", json={})
    assert unknown.status_code == 404
    assert "e1/line-2" in unknown.json()["detail"]


@pytest.mark.parametrize(
    ("part", "state", "status"),
    [
        ("meter:tie-1-main", "down", 200),
        ("store", "degraded", 200),
        ("spool", "down", 503),
        ("store", "unknown", 503),
        ("role:forward", "down", 503),
        ("role:analyse", "down", 503),
        ("role:analyse", "ok", 200),
    ],
)
async def test_ready_until_a_part_that_keeps_data_does_not(
    client: httpx.AsyncClient, sample: Sample, part: str, state: str, status: int
) -> None:
    assert (await client.get("/readyz")).status_code == 200
    sample.board.set(part, state, "as the test wants it")
    answer = await client.get("/readyz")
    assert answer.status_code == status
    assert [p["part"] for p in answer.json()["parts"]] == ([part] if status == 503 else [])


async def test_live_says_why_a_meter_is_not_well(client: httpx.AsyncClient, sample: Sample) -> None:
    sample.board.set("meter:tie-1-main", "down", "no answer within 1 s; check power, wiring and unit number")
    meters = (await get(client, "/live"))["meters"]
    assert meters["tie-1-main"]["detail"].startswith("no answer within 1 s")
    assert all("detail" not in meter for name, meter in meters.items() if name != "tie-1-main")


async def test_not_ready_while_the_store_has_not_been_heard_of(tmp_path: Path) -> None:
    sample = await make_sample(tmp_path)
    sample.board._parts.clear()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sample.app), base_url="http://127.0.0.1") as http:
        answer = await http.get("/readyz")
    await sample.ledger.close()
    assert (answer.status_code, answer.json()["not_heard_of"]) == (503, ["store"])


async def test_not_ready_while_the_ledger_does_not_answer(
    client: httpx.AsyncClient, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: object) -> None:
        raise StoreUnavailable("ledger is locked")

    monkeypatch.setattr(sample.ledger, "get_state", unavailable)
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert [(p["part"], p["detail"]) for p in answer.json()["parts"]] == [("ledger", "ledger is locked")]


async def test_metrics_are_open_metrics(client: httpx.AsyncClient, sample: Sample) -> None:
    sample.board.count("potwatt_role_restarts", {"role": "forward"})
    sample.board.count("odd-name", {"text": 'a"b\\c\nd'}, 2)
    sample.board.set("spool", "degraded", "", used_share=math.inf)
    answer = await client.get("/metrics")
    lines = answer.text.split("\n")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert lines[-2:] == ["# EOF", ""]
    assert 'potwatt_frames_total{endpoint="gateway-1"} 1234.0' in lines
    assert 'potwatt_role_restarts_total{role="forward"} 1.0' in lines
    assert 'potwatt_odd_name_total{text="a\\"b\\\\c\\nd"} 2.0' in lines
    assert 'potwatt_part_state{part="spool",potwatt_part_state="degraded"} 1' in lines
    assert 'potwatt_part_used_share{part="spool"} +Inf' in lines
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))


async def test_openapi_describes_every_route_and_no_page_needs_a_cdn(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {f"/api/v1/plants/{{plant}}/{p}" for p in ("live", "series", "intervals", "kpis", "alerts", "events")} <= set(paths)
    for path in ("/docs", "/redoc"):
        assert (await client.get(path)).status_code == 404


async def test_no_new_listener_once_streams_are_closed(client: httpx.AsyncClient, sample: Sample) -> None:
    close_streams(sample.app)
    answer = await client.get(f"{ROOT}/events")
    assert answer.status_code == 503
