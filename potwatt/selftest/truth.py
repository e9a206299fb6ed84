"""Many trial plants, with exact meters and with faulty ones, and what they prove."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from multiprocessing import get_context
from zoneinfo import ZoneInfo

from rich.console import Console

from plant.calendar import PlantCalendar
from plant.errors import InputError
from plant.series import Span
from potwatt.selftest.truth_run import Case, run_trial
from potwatt.selftest.truth_table import Meters, Verdict, pooled_table, table, verdict
from simulators.trial import TrialSettings
from simulators.trial_faults import KINDS

FIRST_DAY = date(2026, 9, 1)
_CALENDAR = PlantCalendar(ZoneInfo("Asia/Shanghai"))


@dataclass(frozen=True, slots=True)
class TruthSettings:
    """``faults`` are ``none``, ``all`` or kinds joined by commas; plants have the seeds ``seed``, ``seed + 1``, ..."""

    plants: int
    days: int
    seed: int
    faults: str
    processes: int

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of faults. Raises InputError for one that does not exist."""
        named = KINDS if self.faults == "all" else () if self.faults == "none" else tuple(self.faults.split(","))
        unknown = [kind for kind in named if kind not in KINDS]
        if unknown:
            raise InputError(f"fault {', '.join(unknown)}: unknown; there are none, all, {', '.join(KINDS)}")
        return named

    @property
    def span(self) -> Span:
        """The days that are compared."""
        last = FIRST_DAY + timedelta(days=self.days)
        return Span(_CALENDAR.instant_ns(FIRST_DAY), _CALENDAR.instant_ns(last))


def run_truth(settings: TruthSettings, console: Console) -> bool:
    """Run the plants, print what they show, and say whether every gate holds. Raises InputError."""
    seeds = range(settings.seed, settings.seed + settings.plants)
    runs: list[tuple[str, Meters, tuple[str, ...]]] = [
        ("exact meters", Meters.EXACT, ()),
        ("meters within their class", Meters.CLASS, ()),
    ]
    runs += [(f"with faults: {', '.join(settings.kinds)}", Meters.FAULTY, settings.kinds)] if settings.kinds else []
    holds = True
    console.print(f"{settings.plants} plants of {settings.days} days, seed {settings.seed}")
    for title, meters, kinds in runs:
        class_used = 0.0 if meters is Meters.EXACT else 1.0
        asked = [TrialSettings(seed, settings.span, kinds, class_used) for seed in seeds]
        found = verdict(cases_of(asked, settings.processes), meters)
        console.print(table(found, title))
        console.print(pooled_table(found))
        _print_silent(found, console)
        for failure in found.failures:
            console.print(f"FAILED {failure}")
        holds = holds and not found.failures
    console.print("every gate holds" if holds else f"repeat it with --seed {settings.seed} --plants {settings.plants}")
    return holds


def cases_of(trials: list[TrialSettings], processes: int) -> Iterator[Case]:
    """Cases of all trials, in their order."""
    if processes == 1:
        for trial in trials:
            yield from run_trial(trial)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for cases in pool.map(run_trial, trials):
            yield from cases


def _print_silent(found: Verdict, console: Console, most: int = 12) -> None:
    for case in found.silent[:most]:
        console.print(
            f"outside its band, silently: seed {case.seed}, {case.node} {case.indicator}, {case.period} from {case.start_ns}: "
            f"{case.value:.6g} in {case.low:.6g} .. {case.high:.6g}, true {case.truth:.6g}"
        )
    if len(found.silent) > most:
        console.print(f"and {len(found.silent) - most} more")
