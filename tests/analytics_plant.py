"""Analytics of a small plant over real stores and a real ledger, for the tests that need one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.service import Analytics
from plant.config import parse_site
from plant.frame import FrameBlock
from plant.ports import LastFrame, Ledger, LedgerEntry, SeriesStore
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.site import Site
from potwatt.board import Board
from storage.ledger import SqlLedger
from storage.memory import MemoryStore

NS = 1_000_000_000
HEAD = """
plant = { id = "p", name = { en = "P" }, zone = "ZONE" }
bus = [{ id = "b" }]
endpoint = [{ id = "g", protocol = "modbus_tcp", host = "127.0.0.1", port = 502 }]
"""


def meter_toml(name: str, unit: int, measures: str, poll_interval_s: float = 60) -> str:
    """A meter in the text of a site file; ``measures`` is the inside of its inner table."""
    return f"""
[[meter]]
id = "{name}"
profile = "x"
endpoint = "g"
unit = {unit}
poll_interval_s = {poll_interval_s}
measures = {{ {measures} }}
"""


class SteppedClock:
    def __init__(self, t_ns: int) -> None:
        self.t_ns = t_ns

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        self.t_ns += round(seconds * 1e9)


class _Bus:
    def __init__(self) -> None:
        self.frames: dict[str, LastFrame] = {}

    def publish(self, block: FrameBlock) -> None:
        raise AssertionError("analytics publishes no readings")

    def latest(self) -> dict[str, LastFrame]:
        return self.frames

    def announce(self, topic: str, body: dict[str, Any]) -> None:
        raise AssertionError((topic, body))

    def listen(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        raise AssertionError


class SmallPlant:
    """A plant ``p`` over a store and a ledger, with its analytics, which ``restart`` replaces as a new process would."""

    def __init__(
        self, site: Site, store: SeriesStore, ledger: Ledger, clock: SteppedClock, known: Mapping[str, Sequence[str]]
    ) -> None:
        self.site, self.store, self.ledger, self.clock, self.bus = site, store, ledger, clock, _Bus()
        self.known, self.board, self.rules = known, Board(), parse_rules(shipped_rule_texts())
        self.analytics = self.restart()

    def restart(self, store: SeriesStore | None = None, ledger: Ledger | None = None) -> Analytics:
        wraps: Mapping[tuple[str, str], float | None] = {}
        self.analytics = Analytics(
            site=self.site,
            rulebook=self.rules,
            profiles_wraps=wraps,
            quantities_of=self.known,
            store=store or self.store,
            ledger=ledger or self.ledger,
            clock=self.clock,
            bus=self.bus,
            health=self.board,
        )
        return self.analytics

    async def feed(self, meter: str, t_ns: npt.NDArray[np.int64], **columns: npt.NDArray[np.float64]) -> None:
        """Store readings of a meter at ``t_ns``, a column a quantity."""
        value = np.column_stack(list(columns.values()))
        for at in range(0, len(t_ns), 1000):
            part = slice(at, at + 1000)
            n = len(t_ns[part])
            index, zero = np.zeros(n, np.int32), np.zeros((n, value.shape[1]), np.int16)
            await self.store.write([FrameBlock("p", "x", tuple(columns), (meter,), index, t_ns[part], value[part], zero)])

    async def work(self) -> None:
        while await self.analytics.step():
            pass


def entry(kind: str, subject: str, t_ns: int, amount: int, end_ns: int | None = None, **data: Any) -> LedgerEntry:
    """A statement with a key of its own."""
    unit = "MWh" if kind == "certificate" else "kg"
    key = f"{kind} {subject} {t_ns} {data}"
    return LedgerEntry("p", kind, key, "office", subject, t_ns, end_ns or t_ns, amount, unit, "li", data=data)


@asynccontextmanager
async def small_plant(
    folder: Path,
    text: str,
    start_ns: int,
    known: Mapping[str, Sequence[str]],
    zone: str = "Asia/Shanghai",
    store: SeriesStore | None = None,
) -> AsyncIterator[SmallPlant]:
    """The plant of a site text without its head, at ``start_ns``; over memory unless a store is given."""
    clock = SteppedClock(start_ns)
    ledger = SqlLedger(f"sqlite:///{folder / 'ledger.sqlite'}", clock)
    await ledger.setup()
    yield SmallPlant(parse_site(HEAD.replace("ZONE", zone) + text, "site.toml"), store or MemoryStore("p"), ledger, clock, known)
    await ledger.close()
