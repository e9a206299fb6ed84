"""The alert on the projected year of the tiered price: when it is raised, what it says, whom it asks."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from analytics_plant import SteppedClock

from alerts import texts
from alerts.engine import Condition, Notice
from alerts.rules import TARIFF, Inactive, Watch, watches
from alerts.service import AlertService
from analytics.chapter import Found
from analytics.study import Studied
from plant.config import parse_site
from plant.errors import StoreUnavailable
from plant.indicators import Figure
from plant.rulebook import parse_rules, shipped_rule_texts
from potwatt.board import Board
from potwatt.live_bus import LiveBus
from storage.ledger import SqlLedger

S = 1_000_000_000
NOW = round(datetime(2026, 11, 20, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * S
RULEBOOK = parse_rules(shipped_rule_texts())
TEXT = """
plant = { id = "p1", name = { en = "North smelter", zh = "北厂" }, zone = "Asia/Shanghai" }
bus = [{ id = "b1" }]
[[potline]]
id = "line-1"
name = { en = "Potline 1", zh = "一系列" }
current_efficiency_ref = 0.93
pots = [{ valid_from = 2025-01-01T00:00:00+08:00, running = 300 }]
"""
BY_LINE = '[[tariff.assessment]]\nunit = "line"\n'


def year(value: float, low: float, high: float, node: str = "plant") -> Found:
    return {
        node: {
            "specific_energy_projected": Figure("specific_energy_projected", value, low, high, 0.99, 0.98),
            "tariff_surcharge_year": Figure("tariff_surcharge_year", 5e7, 4e7, 6e7, 0.99, 0.98),
        }
    }


def looked(tariff: Found | None, text: str = TEXT, now_ns: int = NOW) -> list[Watch | Inactive]:
    found, inactive = watches(parse_site(text, "site.toml"), RULEBOOK, {}, {}, now_ns, tariff=tariff)
    both: list[Watch | Inactive] = [*found, *inactive]
    return [x for x in both if x.rule == TARIFF]


@pytest.mark.parametrize(
    ("tariff", "condition"),
    [
        (None, Condition.BETWEEN),
        ({}, Condition.UNKNOWN),
        (year(13385, 13361, 13409), Condition.BREACHED),
        (year(13310, 13290, 13330), Condition.BETWEEN),
        (year(13300, 13280, 13320), Condition.CLEAR),
    ],
)
def test_only_a_year_proven_over_the_threshold_raises(tariff: Found | None, condition: Condition) -> None:
    (watch,) = looked(tariff)
    assert isinstance(watch, Watch)
    assert (watch.key, watch.limit, watch.condition) == ("tariff-over-threshold/plant", 13300.0, condition)
    assert "tariff-threshold@2025-01-01" in watch.document


def test_each_assessed_line_is_watched() -> None:
    (watch,) = looked(year(13385, 13361, 13409, "line:line-1"), TEXT + BY_LINE)
    assert isinstance(watch, Watch)
    assert (watch.subject, watch.title_zh, watch.condition) == ("line:line-1", "一系列", Condition.BREACHED)


def test_before_there_was_a_threshold_nothing_is_watched_and_a_plant_without_cells_has_none() -> None:
    (inactive,) = looked(None, now_ns=0)
    assert isinstance(inactive, Inactive)
    assert looked(None, TEXT.partition("[[potline]]")[0]) == []


def test_it_says_the_yuan_in_both_languages() -> None:
    (watch,) = looked(year(13385, 13361, 13409))
    assert isinstance(watch, Watch)
    notice = Notice("raised", NOW, NOW)
    calendar = parse_site(TEXT, "site.toml").calendar
    english, chinese = (texts.body(watch, notice, calendar, language) for language in ("en", "zh"))
    assert "surcharge of the year, yuan: 50,000,000 (40,000,000 - 60,000,000)" in english
    assert "band: 13361 kWh/t to 13409 kWh/t" in english
    assert "全年阶梯电费(元): 50,000,000" in chinese
    assert "阶梯电价门槛" in texts.title(watch, notice, "zh")


class _Quiet:
    async def live(self) -> object:
        raise StoreUnavailable("store", "not asked here")


async def test_the_loop_asks_for_the_running_year_and_keeps_the_answer_through_an_outage(tmp_path: Path) -> None:
    clock, asked = SteppedClock(NOW), []
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db", clock)
    await ledger.setup()

    async def study(*question: str) -> Studied:
        asked.append(question)
        if len(asked) > 1:
            raise StoreUnavailable("store", "gone")
        return Studied(year(13385, 13361, 13409))

    service = AlertService(
        site=parse_site(TEXT, "site.toml"),
        rulebook=RULEBOOK,
        analytics=_Quiet(),  # type: ignore[arg-type]
        ledger=ledger,
        clock=clock,
        bus=LiveBus(),
        health=Board(),
        study=study,
    )
    for _ in range(2):
        await service.ask_tariff()
        await service.look()
    assert asked == [("tariff", "year", "2026")] * 2
    assert [alert["key"] for alert in service.active() if alert["state"] == "raised"] == ["tariff-over-threshold/plant"]
    await ledger.close()
