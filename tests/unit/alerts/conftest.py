"""A small smelter, figures one can set, and a clock one can turn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from alerts.service import AlertService
from analytics.figures import Live, PeriodFigures
from plant.config import parse_site
from plant.errors import StoreUnavailable
from plant.frame import FrameBlock
from plant.indicators import Figure
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import Span
from potwatt.board import Board
from potwatt.live_bus import LiveBus
from storage.ledger import SqlLedger

S = 1_000_000_000
T0 = 1_766_000_000 * S  # 2025-12-17T19:33:20Z
RULEBOOK = parse_rules(shipped_rule_texts())

SITE = """
[plant]
id = "p1"
name = { en = "North smelter", zh = "北厂" }
[accounting]
green_share_target_percent = 30
[alerts]
urls_env = "POTWATT_ALERT_URLS"
language = "zh"
e1_for_s = 60
clear_for_s = 30
silent_for_s = 20
remind_after_s = 600
[[bus]]
id = "b1"
[[potline]]
id = "line-1"
name = { en = "Potline 1", zh = "一系列" }
pots = [{ valid_from = 2025-01-01T00:00:00+08:00, running = 300 }]
scale_meter = "scale"
[[endpoint]]
id = "gw"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = 502
[[endpoint]]
id = "files"
protocol = "import"
[[meter]]
id = "m1"
profile = "meter"
endpoint = "gw"
silent_after_s = 30
name = { en = "Tie 1", zh = "一号进线" }
[[meter]]
id = "scale"
profile = "scale"
endpoint = "gw"
unit = 2
[[meter]]
id = "old"
profile = "imported"
endpoint = "files"
"""


class TurnedClock:
    """Implements plant.ports.Clock by hand."""

    def __init__(self) -> None:
        self.t_ns = T0

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        self.t_ns += round(seconds * S)


class SetFigures:
    """Answers live() with the figures put into it; figures = None stands for analytics that cannot answer."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, Figure]] | None = {}

    async def live(self) -> Live:
        if self.figures is None:
            raise StoreUnavailable("series store at 127.0.0.1:8086 does not answer")
        window = PeriodFigures(Span(T0 - 86_400 * S, T0), "live", self.figures, [], {}, [], (), "")
        return Live("p1", T0, {"last_24h": window}, {})


def e1(value: float | None, low: float | None, high: float | None) -> Figure:
    """e1 of a line with its band."""
    return Figure("specific_energy_e1", value, low, high, 0.987, 0.9)


@dataclass
class Plant:
    """The service under test and everything around it."""

    ledger: SqlLedger
    clock: TurnedClock = field(default_factory=TurnedClock)
    analytics: SetFigures = field(default_factory=SetFigures)
    bus: LiveBus = field(init=False)
    board: Board = field(default_factory=Board)
    text: str = SITE
    service: AlertService = field(init=False)

    def start(self, addresses=()) -> AlertService:
        """A new service on the same ledger and an empty bus, as after a restart."""
        self.bus = LiveBus(self.clock)
        self.service = AlertService(
            site=parse_site(self.text, "site.toml"),
            rulebook=RULEBOOK,
            analytics=self.analytics,
            ledger=self.ledger,
            clock=self.clock,
            bus=self.bus,
            health=self.board,
            addresses=addresses,
        )
        return self.service

    def set_e1(self, value: float | None, low: float | None, high: float | None) -> None:
        """What the last 24 h of potline 1 show."""
        self.analytics.figures = {"line:line-1": {"specific_energy_e1": e1(value, low, high)}}

    def hear(self, meter: str = "m1") -> None:
        """A reading of a meter, now."""
        t_ns = np.array([self.clock.t_ns])
        zero = np.zeros(1, np.int32)
        self.bus.publish(
            FrameBlock("p1", "meter", ("active_power",), (meter,), zero, t_ns, np.ones((1, 1)), np.zeros((1, 1), np.int16))
        )

    async def look(self, times: int, every_s: float = 10.0, *, heard: str = "m1") -> None:
        """Look a number of times at an even pace; ``heard`` names a meter that speaks before each look ("" = none)."""
        for _ in range(times):
            if heard:
                self.hear(heard)
            await self.service.look()
            self.clock.t_ns += round(every_s * S)

    async def history(self) -> list[tuple[str, str]]:
        """(kind, key) of every event, oldest first."""
        events = await self.ledger.alert_events("p1", Span(0, T0 + 10**18))
        return [(e["kind"], e["key"]) for e in reversed(events)]


@pytest.fixture
async def plant(tmp_path):
    """A plant whose meter speaks and whose figures are not there yet."""
    clock = TurnedClock()
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db", clock)
    await ledger.setup()
    plant = Plant(ledger, clock)
    plant.start()
    yield plant
    await ledger.close()
