"""One seeded run: devices, broker, collector, disk, network and store on virtual time, with the invariants checked on the way."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from plant.frame import FrameBlock

from .evidence import Evidence, Kind, payload_of, topic_of
from .process import Process
from .sim_broker import BrokerFaults, SimBroker
from .sim_disk import DiskFaults, SimDisk
from .sim_loop import Crash, SimLoop
from .sim_store import SimLedger, SimStore, StoreFaults

DRAIN_S = 1_800.0
STEPS_MAX = 400_000
End = Literal["power", "kill", "stop"]


class Violation(AssertionError):
    """A promise was broken; the text has the seed and the last things that happened."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a seed draws before it begins: each run has some kinds of faults and not others."""

    trouble_s: float
    messages: int
    polls: int
    polled_rows: int
    crashes: int
    steps_to_crash: int
    spool_bytes: int
    mirror: Literal["none", "required", "best_effort"]
    when_full: str
    max_hours: float
    commit_ms: float
    frames_max: int
    gather_s: float
    window: int
    queue_max: int
    keeps: Literal["cursor", "rows"]
    names_lines: bool
    poison: float
    unreadable: float
    disk: DiskFaults
    broker: BrokerFaults
    store: StoreFaults
    episodes: int
    clock_jumps: int

    @staticmethod
    def of(rng: Random) -> Scenario:
        """Any of them may be absent, so that one fault does not hide another."""

        def sometimes(most: float) -> float:
            return rng.random() * most if rng.random() < 0.4 else 0.0

        return Scenario(
            trouble_s=rng.choice((5.0, 20.0, 60.0)),
            messages=rng.choice((10, 30, 80)),
            polls=rng.choice((0, 5, 15)),
            polled_rows=rng.choice((1, 8)),
            crashes=rng.choice((0, 1, 2, 4)),
            steps_to_crash=rng.choice((30, 200, 1_000)),
            spool_bytes=rng.choice((4_096, 16_384, 65_536)),
            mirror=rng.choice(("none", "none", "required", "best_effort")),
            when_full=rng.choice(("hold", "hold", "hold", "drop_oldest", "drop_newest", "thin")),
            max_hours=rng.choice((168.0, 168.0, 168.0, 0.005)),
            commit_ms=rng.choice((0.0, 5.0, 50.0)),
            frames_max=rng.choice((1, 7, 1_000)),
            gather_s=rng.choice((0.0, 0.5)),
            window=rng.choice((1, 5, 50)),
            queue_max=rng.choice((20, 10_000)),
            keeps=rng.choice(("cursor", "rows")),
            names_lines=rng.random() < 0.5,
            poison=sometimes(0.2),
            unreadable=sometimes(0.2),
            disk=DiskFaults(sometimes(0.2), sometimes(0.1), sometimes(0.5), sometimes(0.1), sometimes(0.05)),
            broker=BrokerFaults(sometimes(0.5), sometimes(0.2), sometimes(0.2), rng.choice((0.001, 0.1, 1.0))),
            store=StoreFaults(
                sometimes(0.5),
                sometimes(0.3),
                sometimes(0.3),
                sometimes(0.3),
                sometimes(0.2),
                rng.choice((0.001, 0.1, 2.0)),
            ),
            episodes=rng.choice((0, 0, 1, 2)),
            clock_jumps=rng.choice((0, 0, 2)),
        )


class World:
    """``run`` plays a seed to its end and returns the hash of everything that happened; raises Violation."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, Random(seed)
        self.scenario = Scenario.of(self.rng)
        self.loop = SimLoop(self.rng, self._on_step)
        self.disk = SimDisk(self.rng, self._on_disk)
        plan = self.scenario
        self.broker = SimBroker(self.rng, self.loop, queue_max=plan.queue_max, window=plan.window)
        self.evidence = Evidence(self)
        self.store = SimStore(
            self.rng,
            self.loop,
            keeps=plan.keeps,
            names_lines=plan.names_lines,
            poison=self.evidence.is_poison,
            written=self._written,
        )
        self.mirror = SimStore(
            self.rng, self.loop, keeps="rows", names_lines=True, poison=lambda _: False, written=lambda _: None
        )
        self.ledger = SimLedger(self.rng, self.store.faults, self.evidence.mark)
        self.clock_offset_s = 0.0
        self.counts: Counter[str] = Counter()
        self._hash = hashlib.blake2b(digest_size=8)
        self._last: deque[str] = deque(maxlen=60)
        self._steps = 0
        self._to_crash: int | None = None
        self._end: End = "power"
        self._trouble = True
        self.process: Process | None = None
        self.polls_left = plan.polls

    # ---- the run ----

    def run(self) -> str:
        random.seed(self.seed)  # the shipped code draws its jitter there
        try:
            self._set_faults(self.scenario.disk, self.scenario.broker, self.scenario.store)
            self._plan_devices()
            left = self.scenario.crashes
            while self._play(self.scenario.trouble_s, crash=left > 0):
                left -= 1
            self._calm()
            self._last_restart()
            self._drain()
            self.evidence.check_end()
        except Violation:
            raise
        except Exception as error:
            raise self.violation(f"{type(error).__name__}: {error}") from error
        finally:
            self._to_crash = None
            self.loop.end_process()
        return self._hash.hexdigest()

    def _play(self, until_s: float, *, crash: bool) -> bool:
        """Run a process until it ends (True) or the time is over (False)."""
        self._start()
        self._to_crash = self.rng.randint(1, self.scenario.steps_to_crash) if crash else None
        self._end = self.rng.choice(("power", "power", "kill", "stop"))
        try:
            if not self.loop.run_until(self._process_over, until_s):
                return False
            if self.process is not None and not self.process.stopped:
                self._end = "kill"  # it could not start
        except Crash:
            pass
        self._end_process()
        return self.loop.time() < until_s

    def _process_over(self) -> bool:
        assert self.process is not None
        if self.loop.failures:
            if isinstance(self.loop.failures[0], Violation):
                raise self.loop.failures[0]
            raise self.violation(f"a task of the collector died: {self.loop.failures[0]!r}")
        return self.process.over

    def _start(self) -> None:
        self.trace("start")
        self.evidence.begin_process()
        self.process = Process(self)
        self.loop.create_task(self.process.run())

    def _end_process(self) -> None:
        self.trace("end", self._end)
        self.counts[f"end {self._end}"] += 1
        self._to_crash = None
        self.process = None
        if self.broker.link is not None:
            self.broker.link.break_line("process ended")
        self.loop.end_process()
        if self._end == "power":
            self.disk.cut_power()
        else:
            self.disk.kill_process()
        self.evidence.check_after_end()
        self.clock_offset_s += self.rng.choice((0.0, 0.0, -3_600.0, 86_400.0))

    def _calm(self) -> None:
        self.trace("calm")
        self._trouble = False
        self._set_faults(DiskFaults(), BrokerFaults(delay_s=0.001), StoreFaults(delay_s=0.001))

    def _last_restart(self) -> None:
        """What the kernel alone still knew does not count: the end is read from what a power cut leaves."""
        self._end = "power"
        self._end_process()
        self._start()

    def _drain(self) -> None:
        if not self.loop.run_until(self._drained, self.loop.time() + DRAIN_S):
            raise self.violation(f"not drained after {DRAIN_S:g} s: {self.broker.waiting} at the broker, {self._backlog()}")

    def _drained(self) -> bool:
        assert self.process is not None
        if self._process_over():
            raise self.violation("the collector does not start on a sound disk")
        return self.broker.waiting == 0 and self.polls_left == 0 and not self.evidence.unheard and self.process.is_idle()

    def _backlog(self) -> str:
        spool = self.process.spool if self.process is not None else None
        return "no spool" if spool is None else f"cursor {spool.cursor('store')}, durable {spool.durable}"

    # ---- environment ----

    def _set_faults(self, disk: DiskFaults, broker: BrokerFaults, store: StoreFaults) -> None:
        self.disk.faults, self.broker.faults = disk, broker
        self.store.faults = self.ledger.faults = store
        self.mirror.faults = replace(store)

    def _plan_devices(self) -> None:
        plan, rng = self.scenario, self.rng
        for _ in range(plan.messages):
            self.loop.call_later(rng.random() * plan.trouble_s, self._publish)
        for _ in range(plan.episodes):
            at_s = rng.random() * plan.trouble_s
            name = rng.choice(("full", "full", "down", "down", "mirror down"))
            self.loop.call_later(at_s, self._episode, name, "begins")
            self.loop.call_later(at_s + rng.random() * 30.0, self._episode, name, "ends")
        for _ in range(plan.clock_jumps):
            self.loop.call_later(rng.random() * plan.trouble_s, self._jump)

    def _publish(self) -> None:
        roll = self.rng.random()
        kind: Kind = "reading"
        if roll < self.scenario.unreadable:
            kind = "unreadable"
        elif roll < self.scenario.unreadable + self.scenario.poison:
            kind = "poison"
        message = self.evidence.new(kind, "mqtt")
        self.trace("publish", message.number, kind)
        self.broker.publish(message.number, topic_of(message), payload_of(message))

    def _episode(self, name: str, what: Literal["begins", "ends"]) -> None:
        if not self._trouble:
            return
        self.trace("episode", name, what)
        if name == "full":
            self.disk.faults.full = what == "begins"
        elif name == "down":
            self.store.faults.down = what == "begins"
        else:
            self.mirror.faults.down = what == "begins"

    def _jump(self) -> None:
        self.clock_offset_s += self.rng.choice((-7_200.0, -1.0, 1.0, 7_200.0))
        self.trace("clock", self.clock_offset_s)

    # ---- looking on ----

    def _on_step(self) -> None:
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise self.violation(f"{STEPS_MAX} steps and no end")
        self._count_down()

    def _on_disk(self, operation: str, name: str) -> None:
        self.trace("disk", operation, name)
        self.counts[f"disk {operation}"] += 1
        self.evidence.check_spool(self.process.spool if self.process is not None else None)
        self._count_down()

    def _count_down(self) -> None:
        if self._to_crash is None:
            return
        self._to_crash -= 1
        if self._to_crash > 0:
            return
        self._to_crash = None
        if self._end != "stop":
            raise Crash
        assert self.process is not None
        self.trace("asked to stop")
        self.loop.create_task(self.process.stop())

    def _written(self, blocks: Sequence[FrameBlock]) -> None:
        self.trace("stored", *(str(block.value[:, -1].tolist()) for block in blocks))
        self.evidence.check_written(blocks)

    def promised(self, numbers: Sequence[int]) -> None:
        """The collector told a source that these are safe."""
        self.trace("promised", *numbers)
        self.evidence.promise(numbers)

    def trace(self, *words: object) -> None:
        line = f"{self.loop.time():.6f} {' '.join(map(str, words))}"
        self._hash.update(line.encode())
        self._last.append(line)

    def violation(self, text: str) -> Violation:
        history = "\n  ".join(self._last)
        return Violation(
            f"seed {self.seed}: {text}\n  {history}\n{self.scenario}\n"
            f"again: python -m tests.simulation --start {self.seed} --seeds 1"
        )
