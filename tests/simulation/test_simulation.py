"""The shipped spool, source and forwarder under thousands of seeded schedules of faults; a seed is a run, exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from .sim_disk import PAGE, DiskFaults, SimDisk
from .world import Violation, World

ROOT = Path(__file__).parents[2]
CHUNKS, SEEDS = 8, 250  # torn bytes come about once in 25 seeds
SEEN = (
    "end power",
    "end kill",
    "end stop",
    "quarantined",
    "mirrored",
    "lost and told",
    "spool_write_errors",
    "spool_torn_bytes",
    "mqtt_disconnections",
)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_promise_holds_whatever_happens(chunk: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(chunk * SEEDS, (chunk + 1) * SEEDS):
        world = World(seed)
        world.run()
        counts += world.counts
    assert counts["stored"] > SEEDS
    assert not [name for name in SEEN if not counts[name]], "these faults never happened, the runs prove nothing of them"


def test_one_seed_is_one_run_in_any_process() -> None:
    program = "import sys; from tests.simulation.world import World; print([World(s).run() for s in (5, 17, 33)])"

    def hashes(hash_seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
        ).stdout

    here = f"{[World(seed).run() for seed in (5, 17, 33)]}\n"
    assert hashes("1") == hashes("2") == here
    assert len(set(here.split("', '"))) == 3


def test_a_failing_seed_says_how_to_run_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(3)
    monkeypatch.setattr(world.evidence, "check_end", lambda: 1 / 0)
    with pytest.raises(Violation, match=r"seed 3: ZeroDivisionError[\s\S]*python -m tests\.simulation --start 3 --seeds 1"):
        world.run()


# ---- the disk itself ----

FILE = Path("/data/file")


def disk(seed: int) -> SimDisk:
    return SimDisk(Random(seed), lambda _operation, _name: None)


def after_cut(seed: int, *, sync: str) -> bytes | None:
    made = disk(seed)
    file = made.open(FILE, "new")
    if "names" in sync:
        made.sync_directory(FILE.parent)
    file.write(memoryview(b"a" * 3 * PAGE))
    if "file" in sync:
        file.sync()
    made.cut_power()
    return made.files().get(FILE)


def test_what_was_synced_stays() -> None:
    assert {after_cut(seed, sync="names file") for seed in range(50)} == {b"a" * 3 * PAGE}


def test_what_was_not_synced_may_be_there_in_any_part() -> None:
    found = {after_cut(seed, sync="names") for seed in range(300)}
    assert {b"", b"a" * 3 * PAGE, b"\0" * PAGE + b"a" * 2 * PAGE} <= found
    assert None not in found


def test_a_name_that_was_not_synced_may_be_gone_with_all_behind_it() -> None:
    assert {after_cut(seed, sync="file") for seed in range(50)} == {None, b"a" * 3 * PAGE}


def test_a_rename_that_was_not_synced_leaves_the_old_or_the_new_file_whole() -> None:
    found = set()
    for seed in range(50):
        made = disk(seed)
        for name, data in (("file", b"old"), ("draft", b"new")):
            file = made.open(FILE.with_name(name), "new")
            file.write(memoryview(data))
            file.sync()
        made.sync_directory(FILE.parent)
        made.rename(FILE.with_name("draft"), FILE)
        made.cut_power()
        found.add(made.files()[FILE])
    assert found == {b"old", b"new"}


def test_a_failed_sync_is_not_mended_by_the_next() -> None:
    found = set()
    for seed in range(100):
        made = disk(seed)
        file = made.open(FILE, "new")
        made.sync_directory(FILE.parent)
        made.faults = DiskFaults(sync_fails=1.0)
        file.write(memoryview(b"a" * PAGE))
        with pytest.raises(OSError, match="Input/output error"):
            file.sync()
        made.faults = DiskFaults()
        file.sync()
        made.cut_power()
        found.add(made.files()[FILE])
    assert {b"a" * PAGE, b"\0" * PAGE} <= found
