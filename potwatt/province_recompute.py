"""Reports of many plants and months computed anew from their readings, a plant and a month a partition.

A plant's folder holds ``site.toml``, ``readings/2026-10.parquet`` as ``potwatt export intervals`` (or ``raw``) writes them, and
where there are documents ``ledger.csv`` as ``potwatt ledger import`` takes it. A partition sees its own month's file and, for
registers read across its bounds, the files beside it; it runs the analytics that a plant runs.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import orjson
import structlog

from analytics.report import plan
from analytics.service import Analytics
from api.schemas import figures_json
from api.times import rfc3339
from plant.errors import ConfigError, Fault, PotwattError
from plant.frame import NS_PER_MS, FrameBlock
from plant.series import Span
from potwatt.board import Board
from potwatt.ledger_csv import parse_entries
from potwatt.load import Loaded, load_site, wraps_of
from potwatt.partitions import over_partitions
from potwatt.province_inputs import Handed, parse_report
from potwatt.selftest.truth_run import SilentBus, TrialClock
from potwatt.selftest.truth_store import ArrayStore
from storage.duck import readings_of_file
from storage.ledger import SqlLedger

AFTER = timedelta(days=40)  # when the months are looked at: late readings and documents are in
BESIDE_NS = 2 * 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class PlantMonth:
    """A partition: the folder of a plant, and a month such as 2026-10: the plant's closing one or, of a year, the calendar's."""

    folder: Path
    month: str
    bounds: Literal["closing", "calendar"] = "closing"

    @property
    def name(self) -> str:
        """What it is called in faults and answers."""
        return f"{self.folder.name}/{self.month}"


def partitions_of(folder: Path, months: Sequence[str]) -> list[PlantMonth]:
    """Every plant's months, by plant. Raises ConfigError where no plant is there."""
    plants = sorted(site.parent for site in folder.glob("*/site.toml"))
    if not plants:
        raise ConfigError([Fault(str(folder), "plants", "no */site.toml", "a folder a plant with site.toml and readings/")])
    bounds: Literal["closing", "calendar"] = "calendar" if len(months) > 1 else "closing"
    return [PlantMonth(plant, month, bounds) for plant in plants for month in months]


def months_of(period: str) -> list[str]:
    """The months of a year, or the month itself."""
    return [f"{period}-{month:02}" for month in range(1, 13)] if len(period) == 4 else [period]


def recomputed(folder: Path, months: Sequence[str], workers: int) -> list[Handed | list[Fault]]:
    """Reports of months of every plant, in the order of ``partitions_of``."""
    parts = partitions_of(folder, months)
    reports = over_partitions(report_of, parts, workers)
    return [_parsed(part, raw) for part, raw in zip(parts, reports, strict=True)]


def _parsed(part: PlantMonth, raw: bytes | list[Fault]) -> Handed | list[Fault]:
    return raw if isinstance(raw, list) else parse_report(Path(part.name), raw)


def report_of(part: PlantMonth) -> bytes | list[Fault]:
    """The figures of a plant's month as JSON, or what is wrong with its files. A function of the files alone."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        loaded = _site(part.folder / "site.toml")
        with tempfile.TemporaryDirectory() as scratch:
            return asyncio.run(_report(loaded, part, Path(scratch)))
    except ConfigError as error:
        return list(error.faults)
    except PotwattError as error:
        return [Fault(part.name, "readings", str(error), "files as potwatt exports them")]


@lru_cache(maxsize=8)
def _site(path: Path) -> Loaded:
    return load_site(path)


async def _report(loaded: Loaded, part: PlantMonth, scratch: Path) -> bytes:
    site = loaded.site
    span = plan(site.calendar, "month", part.month).span
    if part.bounds == "calendar":
        span = site.calendar.month(*map(int, part.month.split("-")))
    clock = TrialClock(span.end_ns + round(AFTER.total_seconds() * 1e9))
    ledger = SqlLedger(f"sqlite:///{scratch / 'ledger.sqlite'}", clock)
    try:
        await ledger.setup()
        documents = part.folder / "ledger.csv"
        if documents.is_file():
            await ledger.add(parse_entries(documents.read_text("utf-8-sig"), str(documents), site))
        wide = Span(span.start_ns - BESIDE_NS, span.end_ns + BESIDE_NS)
        store = ArrayStore(site.id, wide)
        known: dict[str, list[str]] = {}
        for block in _blocks(site.id, part, wide):
            await store.write([block])
            known.setdefault(block.meters[0], []).append(block.quantities[0])
        analytics = Analytics(
            site=site,
            rulebook=loaded.rulebook,
            profiles_wraps=wraps_of(loaded),
            quantities_of=known,
            store=store,
            ledger=ledger,
            clock=clock,
            bus=SilentBus(),
            health=Board(),
        )
        while await analytics.step():
            pass
        found = await analytics.figures(span, "month")
    finally:
        await ledger.close()
    document = {
        "plant": site.id,
        "enterprise": site.enterprise,
        "province": site.province,
        "kind": "month",
        "period": part.month,
        "version": 0,
        "status": found.status,
        "interval_hash": found.interval_hash,
        "data_until": rfc3339(found.span.end_ns),
        "end": rfc3339(span.end_ns),
        "figures": figures_json(found.figures),
        "capacity_t_per_y": {row.potline: row.t_per_y for row in site.process.capacity},
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _blocks(plant: str, part: PlantMonth, wide: Span) -> Iterator[FrameBlock]:
    """Readings of the month and, of the files beside it, those near its bounds; a block a meter and quantity."""
    for month in _beside(part.month):
        path = part.folder / "readings" / f"{month}.parquet"
        if month == part.month or path.is_file():
            columns = readings_of_file(path)
            t_ns = np.asarray(columns["t_ms"], np.int64) * NS_PER_MS
            near = (t_ns >= wide.start_ns) & (t_ns < wide.end_ns)
            meter, quantity = columns["meter"][near], columns["quantity"][near]
            starts = np.flatnonzero(np.append(True, (meter[1:] != meter[:-1]) | (quantity[1:] != quantity[:-1])))
            value = np.ma.filled(columns["value"].astype(np.float64), np.nan)[near]
            quality = np.asarray(columns["quality"], np.int16)[near]
            for rows in np.split(np.arange(len(meter)), starts[1:]):
                if len(rows):
                    index = np.zeros(len(rows), np.int32)
                    names = (str(quantity[rows[0]]),), (str(meter[rows[0]]),)
                    yield FrameBlock(plant, "exported", *names, index, t_ns[near][rows], value[rows, None], quality[rows, None])


def _beside(month: str) -> tuple[str, str, str]:
    first = date.fromisoformat(f"{month}-01")
    after = (first + timedelta(days=32)).replace(day=1)
    return (first - timedelta(days=1)).isoformat()[:7], month, after.isoformat()[:7]
