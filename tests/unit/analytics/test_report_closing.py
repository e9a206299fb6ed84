"""Months close by themselves, and what is closed gets a new version with its cause when what it rests on has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import HEAD, NS, SmallPlant, entry, meter_toml, small_plant

from plant.config import parse_site
from plant.ports import Annotation, ReportVersion
from plant.rulebook import Rulebook
from plant.series import QUARTER_NS, Span
from storage.memory import MemoryStore

HOUR_NS = 3600 * NS
DAY_NS = 24 * HOUR_NS
START = round(datetime(2026, 4, 30, 16, tzinfo=UTC).timestamp()) * NS  # 1 May in Shanghai
JUNE = START + 31 * DAY_NS
SITE = (
    'branch = [{ id = "tie", kind = "grid_tie", bus = "b" }, { id = "mill", kind = "feeder", bus = "b" }]\n'
    + meter_toml("tie", 1, 'branch = "tie", rated_power_kw = 4000', 900)
    + meter_toml("mill", 2, 'branch = "mill", rated_power_kw = 4000', 900)
)
KNOWN = dict.fromkeys(("tie", "mill"), ("interval_energy_import",))


async def _feed(plant: SmallPlant, meter: str, span: Span, amount_kwh: float = 250.0) -> None:
    t_ns = np.arange(span.start_ns, span.end_ns, QUARTER_NS, dtype=np.int64)
    await plant.feed(meter, t_ns, interval_energy_import=np.full(len(t_ns), amount_kwh))


async def _worked(plant: SmallPlant, t_ns: int) -> None:
    plant.clock.t_ns = max(plant.clock.t_ns, t_ns)
    await plant.work()


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[SmallPlant]:
    """A plant that has worked since 1 May; the mill was silent for the second half of 20 May. It is 12 June."""
    async with small_plant(tmp_path, SITE, START, KNOWN, store=MemoryStore("p")) as made:
        whole, silent = Span(START, START + 42 * DAY_NS), Span(START + 19 * DAY_NS + 12 * HOUR_NS, START + 20 * DAY_NS)
        for span in (Span(START, silent.start_ns), Span(silent.end_ns, whole.end_ns)):
            await _feed(made, "mill", span)
        await _feed(made, "tie", whole)
        await _worked(made, START + HOUR_NS)
        yield made


async def _versions(plant: SmallPlant, kind: str = "month", period: str = "2026-05") -> list[ReportVersion]:
    return await plant.ledger.reports("p", kind, period)


async def _late(plant: SmallPlant) -> None:
    """What the mill was silent about comes."""
    silent = Span(START + 19 * DAY_NS + 12 * HOUR_NS, START + 20 * DAY_NS)
    await _feed(plant, "mill", silent, 260.0)
    await plant.ledger.mark_dirty("p", "point:mill", list(range(silent.start_ns, silent.end_ns, QUARTER_NS)))


async def test_a_month_closes_by_itself_once_its_days_are_over(plant: SmallPlant) -> None:
    await _worked(plant, JUNE + 9 * DAY_NS + 23 * HOUR_NS)
    assert await _versions(plant) == []
    assert (await plant.analytics.report("month", "2026-05")).body["status"] == "provisional"
    await _worked(plant, JUNE + 10 * DAY_NS + HOUR_NS)
    [closed] = await _versions(plant)
    assert (closed.cause, closed.body["closed_by"], closed.body["status"]) == ("10 days after its end", "potwatt", "closed")
    await _worked(plant, JUNE + 11 * DAY_NS)
    assert await _versions(plant) == [closed]
    assert await _versions(plant, "month", "2026-06") == []
    assert await _versions(plant, "day", "2026-05-20") == []


async def test_history_of_before_is_closed_by_people(plant: SmallPlant) -> None:
    await plant.ledger.put_state("p", "analytics.reports", {"began_ns": JUNE + 1})
    plant.restart()
    await _worked(plant, JUNE + 12 * DAY_NS)
    assert await _versions(plant) == []


async def test_by_hand_means_by_hand(plant: SmallPlant) -> None:
    by_hand = HEAD.replace("ZONE", "Asia/Shanghai") + 'accounting = { closing = "manual" }\n' + SITE
    plant.site = parse_site(by_hand, "site.toml")
    plant.restart()
    await _worked(plant, JUNE + 11 * DAY_NS)
    assert await _versions(plant) == []
    await plant.analytics.close_period("month", "2026-05", "month end", "li")
    await _late(plant)
    await _worked(plant, JUNE + 14 * DAY_NS)
    assert len(await _versions(plant)) == 1


async def test_late_readings_of_a_closed_month_make_one_version_when_quiet(plant: SmallPlant) -> None:
    await _worked(plant, JUNE + 11 * DAY_NS)
    [first] = await _versions(plant)
    frozen = first.body["figures"]["plant"]["load_energy"]["completeness"]
    plant.clock.t_ns += 7 * HOUR_NS
    for _ in range(3):
        await _late(plant)
        await _worked(plant, plant.clock.t_ns + HOUR_NS // 2)
    assert await _versions(plant) == [first]
    for _ in range(3):
        assert (await plant.analytics.report("month", "2026-05")) == first
    await _worked(plant, plant.clock.t_ns + HOUR_NS)
    kept, second = await _versions(plant)
    assert kept == first
    assert kept.body["figures"]["plant"]["load_energy"]["completeness"] == frozen
    assert (second.version, second.body["predecessor"], second.cause) == (2, 1, "late readings of mill")
    assert second.body["causes"] == {"points": ["mill"]}
    assert second.body["closed_by"] == "potwatt"
    await _worked(plant, plant.clock.t_ns + 30 * HOUR_NS)
    assert len(await _versions(plant)) == 2


async def test_two_versions_lie_apart_unless_a_person_closes(plant: SmallPlant) -> None:
    await _worked(plant, JUNE + 11 * DAY_NS)
    await _late(plant)
    await _worked(plant, plant.clock.t_ns + 2 * HOUR_NS)
    assert len(await _versions(plant)) == 1  # quiet, but the first version is young
    await plant.analytics.close_period("month", "2026-05", "gateway was down", "li")
    assert [v.cause for v in await _versions(plant)] == ["10 days after its end", "gateway was down"]
    await _worked(plant, plant.clock.t_ns + 12 * HOUR_NS)
    assert len(await _versions(plant)) == 2


async def test_a_verdict_and_a_document_are_named_by_number(plant: SmallPlant) -> None:
    await _worked(plant, JUNE + 11 * DAY_NS)
    await plant.analytics.close_period("day", "2026-05-20", "day is over", "li")
    plant.clock.t_ns += 7 * HOUR_NS
    noon = START + 9 * DAY_NS + 12 * HOUR_NS
    [verdict] = await plant.ledger.annotate([Annotation("p", "tie", "", noon, noon + HOUR_NS, "bad", "li", "miswired")])
    await _worked(plant, plant.clock.t_ns)
    await _worked(plant, plant.clock.t_ns + 2 * HOUR_NS)
    first, second = await _versions(plant)
    assert second.body["causes"] == {"verdicts": [verdict]}
    assert second.cause == f"verdicts {verdict}"
    assert second.interval_hash != first.interval_hash
    assert len(await _versions(plant, "day", "2026-05-20")) == 1  # another day


async def test_a_document_without_effect_makes_no_version(plant: SmallPlant) -> None:
    await _worked(plant, JUNE + 11 * DAY_NS)
    await plant.ledger.add([entry("ingots", "plant", START + DAY_NS, 1000)])
    await _worked(plant, plant.clock.t_ns + HOUR_NS)
    await _worked(plant, plant.clock.t_ns + 12 * HOUR_NS)
    found = await _versions(plant)
    assert len(found) == 1


async def test_a_restated_month_restates_its_closed_year(tmp_path: Path) -> None:
    start = round(datetime(2026, 10, 31, 16, tzinfo=UTC).timestamp()) * NS
    async with small_plant(tmp_path, SITE, start, KNOWN) as plant:
        for meter in KNOWN:
            await _feed(plant, meter, Span(start, start + 75 * DAY_NS))
        await _worked(plant, start + HOUR_NS)
        await _worked(plant, start + 73 * DAY_NS)
        [year] = await _versions(plant, "year", "2026")
        assert year.cause == "10 days after its end"
        data = {"type": "bought", "generation_month": "2026-11", "status": "cancelled", "quota_year": 2026}
        [number] = await plant.ledger.add([entry("certificate", "plant", start, 500, **data)])
        await _worked(plant, start + 73 * DAY_NS + HOUR_NS)
        await _worked(plant, start + 74 * DAY_NS)
        _, second = await _versions(plant, "year", "2026")
        assert second.body["causes"] == {"entries": [number]}
        assert second.body["difference"]["plant/certificate_ratio"]["band_after"][0] > 5


async def test_a_stricter_limit_of_a_closed_month_makes_a_version_and_restates_nothing(plant: SmallPlant) -> None:
    await _worked(plant, JUNE + 11 * DAY_NS)
    [first] = await _versions(plant)
    rows = await plant.store.read_derived("15m", ["plant"], ["load_energy"], Span(START, JUNE))
    model = next(r for r in plant.rules.rules if r.kind == "upper_limit")
    limit = model.model_copy(
        update={"id": "house-load", "indicator": "load_energy", "unit": "kWh", "valid_from": date(2026, 5, 1), "scope": "CN"}
    )
    limit = limit.model_copy(update={"value": limit.value * 0 + 1, "period": "month", "voltage_kv": None})
    plant.rules = Rulebook((*plant.rules.rules, limit), "newer")
    plant.restart()
    await _worked(plant, plant.clock.t_ns + HOUR_NS)
    await _worked(plant, plant.clock.t_ns + 8 * HOUR_NS)
    kept, second = await _versions(plant)
    assert kept == first
    assert second.body["causes"] == {"settings": ["rule house-load"]}
    assert second.body["figures"]["plant"]["load_energy"]["status"]["house-load"] == "exceeded"
    again = await plant.store.read_derived("15m", ["plant"], ["load_energy"], Span(START, JUNE))
    assert np.array_equal(rows.version, again.version)


async def test_what_touches_is_remembered_over_a_restart(plant: SmallPlant) -> None:
    await _worked(plant, JUNE + 11 * DAY_NS)
    await _late(plant)
    await _worked(plant, plant.clock.t_ns)
    plant.site = replace(plant.site, edition="x")
    plant.restart()
    await _worked(plant, plant.clock.t_ns + 8 * HOUR_NS)
    assert [v.cause for v in await _versions(plant)] == ["10 days after its end", "late readings of mill"]
