"""Blocks and a clock for the collector's tests."""

from __future__ import annotations

import asyncio

import numpy as np

from plant.frame import FrameBlock

T0_NS = 1_795_000_000_000_000_000
MS = 1_000_000


def block(
    rows: int = 3,
    *,
    first: int = 0,
    meters: tuple[str, ...] = ("m-1",),
    profile: str = "meter",
    event_ids: tuple[str, ...] = (),
    quantities: tuple[str, ...] = ("active_power", "energy_import"),
) -> FrameBlock:
    """Rows one second apart from number ``first`` on; the last column holds the row's number, the others 100."""
    numbers = np.arange(first, first + rows)
    value = np.full((rows, len(quantities)), 100.0)
    value[:, -1] = numbers
    return FrameBlock(
        "smelter",
        profile,
        quantities,
        meters,
        (numbers % len(meters)).astype(np.int32),
        T0_NS + numbers * 1000 * MS,
        value,
        np.zeros(value.shape, np.int16),
        event_ids,
    )


def numbers(blocks: list[FrameBlock]) -> list[int]:
    """The rows' numbers, in order."""
    return [int(x) for b in blocks for x in b.value[:, -1]]


class SteppedClock:
    """A clock that stands where it is put; sleeping lets others run and moves it on."""

    def __init__(self, t_ns: int = T0_NS) -> None:
        self.t_ns = t_ns

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        self.t_ns += round(seconds * 1e9)
        await asyncio.sleep(0)
