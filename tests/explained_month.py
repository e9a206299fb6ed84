"""A smelter's month, computed once from faulty meters and a whole set of documents, with what explains its figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from analytics.chapter import Found
from analytics.explain import Grounds
from analytics.explanations import Explained
from analytics.figures import Live
from analytics.service import Analytics
from analytics.studies import STUDIES
from plant import nodes
from plant.series import Span
from potwatt.selftest.truth_run import analysed
from simulators.bought_energy import contract_energy, statements
from simulators.documents import certificates
from simulators.shop_documents import day_sheets, effect_log
from simulators.trial import Trial, TrialSettings
from storage.ledger import SqlLedger

DAY_NS = 86_400_000_000_000
START_NS = 1_793_462_400_000_000_000  # 2026-11-01 00:00 in Shanghai
DAYS = 3


class _Now:
    def now_ns(self) -> int:
        return START_NS

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@dataclass
class ExplainedMonth:
    """``grounds`` by what they are of: ``month``, ``day`` and each study; ``whole`` are explanations through the loop."""

    trial: Trial
    live: Live
    grounds: dict[str, Grounds] = field(default_factory=dict)
    studied: dict[str, Found] = field(default_factory=dict)
    whole: dict[str, Explained] = field(default_factory=dict)


@cache
def explained_month() -> ExplainedMonth:
    """Made once in a process of tests."""
    with TemporaryDirectory() as folder:
        return uvloop.run(_made(Path(folder)))


async def _made(folder: Path) -> ExplainedMonth:
    span = Span(START_NS, START_NS + DAYS * DAY_NS)
    trial = Trial(TrialSettings(3, span, ("gap", "wrap")))
    async with analysed(trial, folder) as analytics:
        await _documents(trial, folder, span)
        while await analytics.step():
            pass
        made = ExplainedMonth(trial, await analytics.live())
        made.grounds = {
            "month": await analytics.grounds("2026-11"),
            "day": await analytics.grounds("2026-11-02"),
        }
        await _studies(made, analytics)
        made.whole["e1"] = await analytics.explain(nodes.PLANT, "specific_energy_e1", "2026-11")
        return made


async def _documents(trial: Trial, folder: Path, span: Span) -> None:
    """What people of the plant write down, beside the taps and inventories that a trial has."""
    ledger, calendar, seed = SqlLedger(f"sqlite:///{folder / 'ledger.sqlite'}", _Now()), trial.site.calendar, 3
    plant, truth = trial.site.id, trial.truth
    entries = day_sheets(truth, plant, calendar, span) + effect_log(truth, plant, span)
    entries += contract_energy(seed, plant, calendar, span) + statements(truth, seed, plant, calendar, span)
    await ledger.add(entries + certificates(truth, plant, calendar, span))
    await ledger.close()


async def _studies(made: ExplainedMonth, analytics: Analytics) -> None:
    for study in STUDIES:
        period = "2026-11" if "month" in study.kinds else "2026"
        made.grounds[study.name] = await analytics.grounds(period, study)
        made.studied[study.name] = made.grounds[study.name].studied
