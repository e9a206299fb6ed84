"""An endpoint that another process reads is waited for: no second connection, and health says who has it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from collector.claim import holder, names_of
from plant.site import Endpoint
from potwatt.board import Board
from potwatt.claims import ClaimedEndpoint
from potwatt.clock import SystemClock

GATEWAY = Endpoint("gw", "modbus_tcp", "127.0.0.1", 40_000 + os.getpid() % 20_000)
NAME = f"127.0.0.1:{GATEWAY.port}"


class EndsTheHolder(SystemClock):
    """Its first sleep ends the process that holds the endpoint."""

    def __init__(self, holding: subprocess.Popen[str], board: Board) -> None:
        self._holding, self._board = holding, board
        self.told: list[str] = []

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.told += [f"{h.state}: {h.detail}" for h in self._board.all() if h.part == "endpoint:gw"]
        self._holding.kill()
        self._holding.wait()


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    code = f"from collector.claim import claim; import time; c = claim([{NAME!r}]); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


async def test_a_source_starts_when_the_other_process_has_ended(other: subprocess.Popen[str]) -> None:
    board = Board()
    clock = EndsTheHolder(other, board)
    claimed = ClaimedEndpoint(GATEWAY, clock, board)
    seen: list[int] = []

    async def source() -> None:
        found = holder(NAME)
        assert found is not None
        seen.append(found.pid)

    await claimed.run(source)
    assert seen == [os.getpid()], "it runs once it has the claim itself"
    assert len(clock.told) == 1
    assert f"down: held by process {other.pid}" in clock.told[0]
    claimed.release()
    assert holder(NAME) is None


async def test_two_endpoints_of_one_program_in_one_place_are_told_and_not_waited_for() -> None:
    board = Board()
    first, second = (ClaimedEndpoint(GATEWAY, SystemClock(), board) for _ in range(2))
    assert await first.take()
    assert await second.take()
    first.release()
    second.release()
    assert "another endpoint of this site" in next(h.detail for h in board.all() if h.part == "claim:gw")


async def test_an_address_within_an_ipv6_one_is_the_same_place() -> None:
    mapped = Endpoint("gw", "modbus_tcp", "::ffff:127.0.0.1", GATEWAY.port)
    assert set(await names_of(mapped)) == set(await names_of(GATEWAY))
