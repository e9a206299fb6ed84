"""Alerts on the quality of the supply and on PV fields: raised by what is proven, quiet where a hole leaves it open."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from analytics_plant import SteppedClock

from alerts import texts
from alerts.engine import Condition, Notice
from alerts.rules import PV_DROP, SUPPLY
from alerts.service import AlertService
from alerts.supply import drop_watches, supply_watches
from analytics.chapter import Found
from analytics.figures import Live, PeriodFigures
from analytics.study import Studied
from plant.config import parse_site
from plant.indicators import Figure
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import Span
from potwatt.board import Board
from potwatt.live_bus import LiveBus
from storage.ledger import SqlLedger

S = 1_000_000_000
NOW = round(datetime(2026, 11, 20, 9, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * S
RULEBOOK = parse_rules(shipped_rule_texts())
SITE = parse_site(
    """
plant = { id = "p1", name = { en = "North smelter", zh = "北厂" }, zone = "Asia/Shanghai" }
bus = [{ id = "b1", voltage_kv = 220 }]
branch = [{ id = "roof", kind = "pv", bus = "b1", name = { en = "Roof", zh = "屋顶" } }]
endpoint = [{ id = "g", protocol = "modbus_tcp", host = "127.0.0.1", port = 502 }]
meter = [
  { id = "sky", profile = "x", endpoint = "g", unit = 1 },
  { id = "m", profile = "x", endpoint = "g", unit = 2, measures = { branch = "roof" } },
]
solar = [{ id = "roof", branch = "roof", weather_meter = "sky", dc_capacity_kw = 100 }]
""",
    "site.toml",
)


def _figure(indicator: str, value: float, high: float | None, **status: str) -> Figure:
    words = {name.replace("_", "-"): word for name, word in status.items()}
    return Figure(indicator, value, value, high, 0.99, 0.99, status=words)


@pytest.mark.parametrize(
    ("word", "condition"),
    [("met", Condition.CLEAR), ("exceeded", Condition.BREACHED), ("not decidable", Condition.BETWEEN)],
)
def test_the_words_of_the_limit_decide(word: str, condition: Condition) -> None:
    figure = _figure("voltage_deviation_span", 10.5, None, voltage_deviation_35kv=word)
    (watch,) = supply_watches(SITE, RULEBOOK, {"bus:b1": {"voltage_deviation_span": figure}}, NOW)
    assert watch.condition is condition and watch.limit == 10.0
    assert watch.key == "supply-outside/bus:b1/voltage_deviation_span"
    for language, name in (("en", "Voltage deviations"), ("zh", "电压正负偏差")):
        assert name in texts.title(watch, Notice("raised", NOW, NOW), language)
        assert "10.5" in texts.body(watch, Notice("raised", NOW, NOW), SITE.calendar, language)


def test_a_limit_of_another_voltage_is_not_watched_and_a_placeholder_is_named() -> None:
    low_voltage = _figure("voltage_deviation_up", 8.0, 8.0)
    assert list(supply_watches(SITE, RULEBOOK, {"bus:b1": {"voltage_deviation_up": low_voltage}}, NOW)) == []
    thd = _figure("voltage_thd", 2.5, 2.5, voltage_thd_110kv="exceeded")
    (watch,) = supply_watches(SITE, RULEBOOK, {"bus:b1": {"voltage_thd": thd}}, NOW)
    assert watch.limit == 2.0 and "placeholder" in watch.document and watch.condition is Condition.BREACHED


@pytest.mark.parametrize(("drop", "condition"), [(7.0, Condition.BREACHED), (3.0, Condition.CLEAR)])
def test_a_ratio_that_drops_is_held_against_the_points_of_its_field(drop: float, condition: Condition) -> None:
    figure = Figure("performance_ratio_drop", drop, drop - 1.0, drop + 1.0, 1.0, 1.0)
    (watch,) = drop_watches(SITE, {"branch:roof": {"performance_ratio_drop": figure}})
    assert (watch.rule, watch.condition, watch.limit, watch.title_zh) == (PV_DROP, condition, 5.0, "屋顶")
    assert [w.condition for w in drop_watches(SITE, None)] == [Condition.BETWEEN]


class _Analytics:
    """Answers with what is put into it, and remembers what it was asked."""

    def __init__(self) -> None:
        self.figures: Found = {}
        self.asked: list[tuple[str, str, str]] = []

    async def live(self) -> Live:
        window = PeriodFigures(Span(NOW - 86_400 * S, NOW), "live", self.figures, [], {}, [], (), "")
        return Live("p1", NOW, {"last_24h": window}, {})

    async def study(self, name: str, kind: str, period: str) -> Studied:
        self.asked.append((name, kind, period))
        return Studied({"branch:roof": {"performance_ratio_drop": Figure("performance_ratio_drop", 9.0, 8.0, 10.0, 1.0, 1.0)}})


async def test_the_service_asks_for_yesterday_and_keeps_an_alert_while_figures_are_away(tmp_path: Path) -> None:
    clock, analytics = SteppedClock(NOW), _Analytics()
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock)
    await ledger.setup()
    service = AlertService(
        site=SITE,
        rulebook=RULEBOOK,
        analytics=analytics,
        ledger=ledger,
        clock=clock,
        bus=LiveBus(clock),
        health=Board(),
        study=analytics.study,
    )
    exceeded = _figure("frequency_deviation", 0.4, 0.4, frequency_deviation="exceeded")
    analytics.figures = {"bus:b1": {"frequency_deviation": exceeded}}
    await service.ask_solar()
    await service.look()
    analytics.figures = {}
    clock.t_ns += 10 * S
    await service.look()
    raised = {alert["rule"] for alert in service.active() if alert["state"] == "raised"}
    assert raised >= {SUPPLY, PV_DROP}
    assert analytics.asked == [("solar", "day", "2026-11-19")]
    await ledger.close()
