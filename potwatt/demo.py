"""``potwatt demo``: a simulated smelter on real protocols, and the whole program in front of it.

Live data start first. History fills in beside them through the same intake, spool, store and analytics; how far it came
is kept in the ledger, so that a demo that was stopped goes on, and the smelter has run meanwhile.
"""

from __future__ import annotations

import asyncio
import fcntl
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from plant.errors import InputError, SpoolFull
from plant.frame import FrameBlock
from plant.ports import LedgerEntry
from plant.series import MINUTE_NS, QUARTER_NS, Span
from plant.site import ApiSettings
from potwatt.clock import SystemClock
from potwatt.load import load_text
from potwatt.program import Program
from potwatt.server import bind
from simulators.bought_energy import contract_energy, statements
from simulators.documents import certificates, inventories
from simulators.plant import SimulatedPlant
from simulators.shop_documents import day_sheets, effect_log

DAY_NS = 86_400_000_000_000
STATE = "demo_history"


async def run_demo(*, port: int, data_dir: Path, days: int, seed: int, console: Console) -> None:
    """Run until SIGINT or SIGTERM. Raises ConfigError when the port is taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    bind(ApiSettings(port=port)).close()  # a taken port is said before a smelter is started for nothing
    clock = SystemClock()
    data_dir = _folder(data_dir)
    held = hold_folder(data_dir)
    smelter = SimulatedPlant(seed=seed, data_dir=data_dir / "smelter", clock=clock)
    await smelter.start()
    try:
        site = load_text(_site_file(smelter, port, data_dir), "demo site", data_dir)
        program = Program(site, {})
        try:
            await program.start()
            console.print(f"\n  {program.greeting()}\n  Ctrl-C stops; the data stay in {data_dir}\n", soft_wrap=True)
            await _until_stopped(program, History(program, smelter, days, console), stop)
        finally:
            await program.stop()
    finally:
        await smelter.stop()
        held.close()
    console.print("Stopped.")


async def _until_stopped(program: Program, history: History, stop: asyncio.Event) -> None:
    """Run until the signal. Raises what ended the program or the history, if either fails."""
    running = asyncio.create_task(program.run())
    filling = asyncio.create_task(history.fill())
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, filling, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if filling.done():
            filling.result()
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        for task in (filling, running, waiting):
            task.cancel()
        await asyncio.gather(filling, running, waiting, return_exceptions=True)


def _site_file(smelter: SimulatedPlant, port: int, folder: Path) -> str:
    """The demo's site file, kept beside its data so that every other command can be tried on it."""
    text = smelter.site_toml(api_port=port, data_dir="plant")
    (folder / "site.toml").write_text(text, "utf-8")
    return text


def hold_folder(folder: Path) -> TextIO:
    """Keep a second demo out of a folder. Raises InputError where one runs; closing the file lets go."""
    held = (folder / "lock").open("w", encoding="ascii")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise InputError(f"{folder}: another demo runs on this folder; stop it, or give --data another one") from error
    return held


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


@dataclass(slots=True)
class History:
    """Fills the days before the first start, oldest first, and shows how far reading, storing and computing came."""

    program: Program
    smelter: SimulatedPlant
    days: int
    console: Console

    async def fill(self) -> None:
        """Return when all history is settled; pick up where an earlier run stopped."""
        program, plant = self.program, self.program.site.id
        state = await program.ledger.get_state(plant, STATE)
        if state is None:
            # live readings begin now: history ends with the minute before, so nothing is read twice and no gap is left
            end_ns = program.clock.now_ns() // MINUTE_NS * MINUTE_NS
            state = {"done_ns": end_ns - self.days * DAY_NS, "start_ns": end_ns - self.days * DAY_NS, "end_ns": end_ns}
            await program.ledger.put_state(plant, STATE, state)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=False) as bar:
            reading = bar.add_task("history: reading  ", total=state["end_ns"] - state["start_ns"])
            computing = bar.add_task("history: computing", total=state["end_ns"] - state["start_ns"])

            def show(task: TaskID, name: str, at_ns: int) -> None:
                done = at_ns - state["start_ns"]
                bar.update(task, completed=done)
                percent = round(100 * done / max(1, state["end_ns"] - state["start_ns"]), 1)
                program.bus.announce("progress", {"what": name, "percent": percent})

            await program.ledger.add(self._documents(Span(state["start_ns"], program.clock.now_ns())))
            await self._read(state, lambda at_ns: show(reading, "reading", at_ns))
            await self._settle(state, lambda at_ns: show(computing, "computing", at_ns))

    async def _read(self, state: dict[str, int], show: Callable[[int], None]) -> None:
        program, intake = self.program, self.program.intake
        assert intake is not None
        show(state["done_ns"])
        while state["done_ns"] < state["end_ns"]:
            end_ns = min(state["done_ns"] + DAY_NS, state["end_ns"])
            for blocks in await asyncio.to_thread(self._day, state["done_ns"], end_ns):
                while True:
                    try:
                        await intake(blocks)
                        break
                    except SpoolFull:
                        await program.clock.sleep(0.2)
            state["done_ns"] = end_ns
            await program.ledger.put_state(program.site.id, STATE, state)
            show(end_ns)

    def _day(self, start_ns: int, end_ns: int) -> list[list[FrameBlock]]:
        return list(self.smelter.history_blocks(start_ns, end_ns))

    def _documents(self, span: Span) -> list[LedgerEntry]:
        """What people wrote down until now; what an earlier run added is there already and counts once."""
        site, smelter = self.program.site, self.smelter
        counted = inventories(smelter.truth, smelter.model.seed, site.id, site.calendar, span)
        sheets = day_sheets(smelter.truth, site.id, site.calendar, span) + effect_log(smelter.truth, site.id, span)
        sheets += contract_energy(smelter.model.seed, site.id, site.calendar, span)
        sheets += statements(smelter.truth, smelter.model.seed, site.id, site.calendar, span)
        return counted + sheets + certificates(smelter.truth, site.id, site.calendar, span)

    async def _settle(self, state: dict[str, int], show: Callable[[int], None]) -> None:
        """Wait for the analytics; its oldest dirty slot says how far it is. The slot that history ends in is live."""
        whole_ns = state["end_ns"] // QUARTER_NS * QUARTER_NS
        while True:
            dirty = await self.program.ledger.dirty(self.program.site.id, 1)
            if not dirty or dirty[0].slot_ns >= whole_ns:
                show(state["end_ns"])
                return
            show(max(dirty[0].slot_ns, state["start_ns"]))
            await self.program.clock.sleep(0.5)
