"""``potwatt selftest outage``: the real program in front of a throw-away plant, killed and cut off at random instants."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from plant.frame import NS_PER_MS
from plant.series import Series, Span
from potwatt.clock import SystemClock
from potwatt.load import secrets_of
from potwatt.program import build_store
from potwatt.selftest.faults import Faults
from potwatt.selftest.plant import NUMBER_POLLED, NUMBER_PUBLISHED, WH_PER_KWH, polled_meters
from potwatt.selftest.stand import OutageSettings, Stand, stand
from potwatt.selftest.tally import Count, Stored, count_polled, count_published
from potwatt.selftest.watch import Delay, all_stored, is_subscribed
from potwatt.selftest.writer import WriterFailed

LOOK_S, DRAIN_S, READY_S = 0.2, 180.0, 60.0
PROVES = (
    "Every reading that the broker took over, or that a meter answered before the last instants of a killed program, is looked "
    "for in the store: each has to be there once, with its own time stamp. It proves the path on this machine, disk and store; "
    "a power cut, which a kill is not, it does not."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of a run. ``drained``: the store caught up within ``DRAIN_S`` of the last fault. ``lacking``: kinds of fault
    that did not happen."""

    published: Count
    polled: Count
    longest_delay_s: float
    kills: int
    outages: Mapping[str, int]
    repeated: int
    drained: bool
    lacking: Sequence[str] = ()

    @property
    def kept(self) -> bool:
        """Whether the promise was kept, whatever happened."""
        return self.published.holds and self.polled.holds and self.drained

    @property
    def holds(self) -> bool:
        """Whether the promise was kept and every kind of fault put it to the test."""
        return self.kept and not self.lacking


async def run_outage(settings: OutageSettings, console: Console) -> Outcome | None:
    """Run, print the table, leave nothing behind unless something is wrong. None where it was interrupted.

    Raises PotwattError where a part could not be started or the program under test ended by itself.
    """
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    folder = Path(tempfile.mkdtemp(prefix="potwatt-selftest-"))
    console.print(f"{PROVES}\nSeed {settings.seed}: --seed {settings.seed} repeats the choice of faults.\n", soft_wrap=True)
    outcome: Outcome | None = None
    try:
        async with stand(settings, folder) as at:
            outcome = await _unless_stopped(_run(at, console), stop)
    finally:
        if stop.is_set() or (outcome is not None and outcome.holds) or not (folder / "potwatt.log").exists():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"The site, its data and the program's words are kept in {folder}", soft_wrap=True)
    if outcome is None:
        console.print("Interrupted: everything is stopped and removed, nothing was proven.")
    else:
        show(outcome, console)
    return outcome


async def _unless_stopped(run: Coroutine[Any, Any, Outcome], stop: asyncio.Event) -> Outcome | None:
    work, waiting = asyncio.create_task(run), asyncio.create_task(stop.wait())
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if stop.is_set():
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return None
    return work.result()


async def _run(at: Stand, console: Console) -> Outcome:
    faults = Faults(at, at.settings.seed)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console) as progress:
        line = progress.add_task("faults", total=at.settings.seconds, told="")
        return await measure(
            at, faults, _disturb(at, faults, progress, line), lambda: progress.update(line, description="catching up")
        )


async def measure(at: Stand, faults: Faults, disturbing: Coroutine[Any, Any, None], on_mended: Callable[[], object]) -> Outcome:
    """Meters and program up, then ``disturbing`` to its end, then everything whole until the store has caught up; the count.

    Raises PotwattError where the program does not come up, ends by itself, or not when asked.
    """
    publisher = at.publisher
    delay, enough = Delay(publisher.meters[0]), asyncio.Event()
    at.writer.start()
    try:
        if not await _until(lambda: is_subscribed(at.api), READY_S, at):
            raise WriterFailed(f"the program has no session at the broker after {READY_S:.0f} s; see {at.writer.log}")
    except BaseException:
        disturbing.close()
        raise
    tasks = [asyncio.create_task(t) for t in (publisher.make(enough), publisher.deliver(), _watch(at, delay))]
    try:
        await disturbing
        enough.set()
        await faults.mend()
        on_mended()
        drained = await _until(lambda: publisher.all_acknowledged and all_stored(at), DRAIN_S, at)
        await _look(at, delay)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await at.writer.stop()
    stored = await _stored(at)
    published = {m: stored[m, NUMBER_PUBLISHED] for m in publisher.meters}
    polled = {m: stored[m, NUMBER_POLLED] for m in polled_meters()}
    return Outcome(
        count_published([(s.meter, s.t_ms) for s in publisher.sent], publisher.acknowledged, _rows(published, 1)),
        count_polled(at.devices.answered, _rows(polled, WH_PER_KWH), at.writer.ends_s, time.time() - time.monotonic()),
        delay.longest_s,
        at.writer.kills,
        faults.outages,
        publisher.repeated,
        drained,
        faults.lacking,
    )


async def _disturb(at: Stand, faults: Faults, progress: Progress, line: TaskID) -> None:
    """Faults for the seconds asked for. Raises WriterFailed where the program ended by itself."""
    breaking = asyncio.create_task(faults.run())
    begun_s = time.monotonic()
    try:
        while (past_s := time.monotonic() - begun_s) < at.settings.seconds and not breaking.done():
            told = f"{len(at.publisher.sent)} sent, {at.writer.kills} kills, {sum(faults.outages.values())} outages"
            progress.update(line, completed=past_s, told=told)
            await asyncio.sleep(LOOK_S)
    finally:
        breaking.cancel()
        found = await asyncio.gather(breaking, return_exceptions=True)
    if isinstance(found[0], BaseExceptionGroup):
        raise next((e for e in found[0].exceptions if isinstance(e, WriterFailed)), found[0])


async def _watch(at: Stand, delay: Delay) -> None:
    while True:
        await _look(at, delay)
        await asyncio.sleep(LOOK_S)


async def _look(at: Stand, delay: Delay) -> None:
    with suppress(OSError):  # killed, or on its way up
        await asyncio.to_thread(delay.look, at.api, at.publisher)


async def _until(done: Callable[[], bool], limit_s: float, at: Stand) -> bool:
    give_up_s = time.monotonic() + limit_s
    while time.monotonic() < give_up_s:
        if await asyncio.to_thread(done):
            return True
        at.writer.expect_alive()
        await asyncio.sleep(LOOK_S)
    return False


async def _stored(at: Stand) -> dict[tuple[str, str], Series]:
    store = build_store(at.loaded, secrets_of(at.loaded.site), SystemClock())
    pairs = [(m, NUMBER_PUBLISHED) for m in at.publisher.meters] + [(m, NUMBER_POLLED) for m in polled_meters()]
    try:
        await store.setup()
        first_ns = min((s.t_ms for s in at.publisher.sent), default=0) * NS_PER_MS
        # readings are of this run alone; an hour on either side shows any with a time of its own making
        return await store.read_many(pairs, Span(first_ns - 3_600 * 10**9, time.time_ns() + 3_600 * 10**9))
    finally:
        await store.close()


def _rows(series: Mapping[str, Series], a_unit: int) -> dict[str, Stored]:
    return {
        meter: Stored(list(zip(np.rint(s.value * a_unit).astype(int).tolist(), (s.t_ns // NS_PER_MS).tolist(), strict=True)))
        for meter, s in series.items()
    }


def show(outcome: Outcome, console: Console) -> None:
    """The table and the verdict."""
    table = Table("", "MQTT", "Modbus")
    rows = ("sent", "acknowledged", "stored", "duplicates", "missing")
    for name in rows:
        table.add_row(name, *(str(getattr(c, name)) for c in (outcome.published, outcome.polled)))
    table.add_row("under way at a kill", "-", str(outcome.polled.killed))
    table.add_row("under way at the end", "-", str(outcome.polled.unfinished - outcome.polled.killed))
    table.add_row("sent again by the meters", str(outcome.repeated), "-")
    console.print(table)
    outages = ", ".join(f"{n} x {kind}" for kind, n in sorted(outcome.outages.items())) or "none"
    told = f"kills {outcome.kills}; outages: {outages}; longest delay from send to store {outcome.longest_delay_s:.1f} s"
    console.print(told, soft_wrap=True)
    for example in (*outcome.published.examples, *outcome.polled.examples):
        console.print(f"- {example}", markup=False)
    if not outcome.drained:
        console.print(f"The store did not catch up within {DRAIN_S:.0f} s of the last fault.")
    console.print(_verdict(outcome), style="bold", soft_wrap=True)


def _verdict(outcome: Outcome) -> str:
    if not outcome.kept:
        return "FAILED."
    if outcome.lacking:
        return f"PROVES NOTHING: nothing went wrong, but there was no {', no '.join(outcome.lacking)}; give it more --seconds."
    return "PASSED: nothing is missing, nothing is there twice."
