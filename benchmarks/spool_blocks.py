"""Blocks for the benchmarks of spool and forwarding: the readings of many meters with eight values each, no two alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from plant.frame import FrameBlock

QUANTITIES = (
    "active_power",
    "energy_import",
    "voltage_l1_n",
    "voltage_l2_n",
    "voltage_l3_n",
    "current_l1",
    "current_l2",
    "current_l3",
)
METERS = tuple(f"m{n:04}" for n in range(1_000))
FRAMES = len(METERS)  # of a block: one reading of every meter
VALUES = len(QUANTITIES)


def blocks(count: int, start_ms: int, step_ms: int = 100, plant: str = "bench") -> Iterator[FrameBlock]:
    """``count`` blocks of one reading of every meter, ``step_ms`` apart; decimals as meters have them."""
    dice = np.random.default_rng(7)
    level = np.array([1250.5, 0.0, 230.1, 231.2, 229.8, 1810.5, 1812.2, 1809.7])
    spread = np.array([50.0, 0.0, 2.0, 2.0, 2.0, 30.0, 30.0, 30.0])
    noise = np.round(dice.uniform(-1, 1, (16, FRAMES, VALUES)) * spread + level, 1)
    index, quality = np.arange(FRAMES, dtype=np.int32), np.zeros((FRAMES, VALUES), np.int16)
    for number in range(count):
        value = noise[number % len(noise)].copy()
        value[:, 1] = 12_345.0 + index + number * 0.5
        t_ns = np.full(FRAMES, (start_ms + number * step_ms) * 1_000_000, np.int64)
        yield FrameBlock(plant, "bench", QUANTITIES, METERS, index, t_ns, value, quality)
