"""Policy ``thin``: as the spool fills, of what a meter sends within a slot of some seconds only the first is kept.

Energy survives it, since counters add up by themselves: every 15-min bound keeps a reading within a minute on either
side. Kept whole are events, interval amounts, changes of state, readings that come late, and the last reading before a
counter fell back or a meter was silent: what stood on a register before an exchange is told by nothing that comes later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.frame import FrameBlock
from plant.quantities import QUANTITIES, Kind

# from this share of the bound on, a meter keeps one Frame in so many seconds; all divide a minute
SLOTS_S = ((0.9, 60), (0.8, 30), (0.7, 10), (0.6, 5), (0.5, 2))
SILENT_SLOTS = 2  # a pause of so many slots is a silence, whose last reading counts
NS_PER_S = 1_000_000_000


def slot_s(fill_share: float) -> int:
    """Width of the slots at a share of the spool's bound; 0 where everything is kept."""
    return next((seconds for share, seconds in SLOTS_S if fill_share >= share), 0)


@dataclass(frozen=True, slots=True)
class Left:
    """What was left out: Frames at most (the last ones of each meter may still be kept) and their span (UTC ns)."""

    frames: int
    first_t_ns: int
    last_t_ns: int


@dataclass(slots=True)
class _Meter:
    t_ns: int  # of the newest Frame seen
    slot: int
    counters: tuple[float, ...]
    states: tuple[float, ...]
    held: FrameBlock | None = None  # the newest Frame, left out so far


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where counters and states stand among a block's quantities."""

    counters: list[int]
    states: list[int]


@dataclass(frozen=True, slots=True)
class Thinned:
    """What is kept, in order for each meter, what was left out, and what to remember once the kept is durable."""

    kept: list[FrameBlock]
    left: list[Left]
    seen: dict[tuple[str, str], _Meter] | None = None  # None: everything was kept


class Thinner:
    """Remembers the last Frame of each meter; only what was ``accept``ed counts, since a full spool refuses."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, str], _Meter] = {}

    def accept(self, thinned: Thinned) -> None:
        """The kept Frames were taken in."""
        if thinned.seen is None:
            self._meters = {}
        else:
            self._meters.update(thinned.seen)

    def thin(self, blocks: Sequence[FrameBlock], width_s: int) -> Thinned:
        """Keep one Frame of each meter in ``width_s`` seconds, or everything where that is 0."""
        if not width_s:
            held = [meter.held for meter in self._meters.values() if meter.held is not None]
            return Thinned([*held, *blocks], [])
        seen: dict[tuple[str, str], _Meter] = {}
        found = Thinned([], [], seen)
        for block in blocks:
            columns = _columns(block)
            if columns is None:
                found.kept.append(block)
                continue
            before, mask = self._mask(block, columns, width_s * NS_PER_S, seen)
            found.kept.extend(before)
            if mask.any():
                found.kept.append(block if mask.all() else block.take(mask))
            if not mask.all():
                out = block.t_ns[~mask]
                found.left.append(Left(len(out), int(out.min()), int(out.max())))
        return found

    def _mask(
        self, block: FrameBlock, columns: _Columns, width_ns: int, seen: dict[tuple[str, str], _Meter]
    ) -> tuple[list[FrameBlock], npt.NDArray[np.bool_]]:
        """Frames held back that are kept after all, and which rows of the block are; ``seen`` is brought up to date."""
        before: list[FrameBlock] = []
        mask = np.ones(len(block), np.bool_)
        held_here: dict[tuple[str, str], int] = {}
        for row in range(len(block)):
            key = (block.profile, block.meter_of(row))
            t_ns = int(block.t_ns[row])
            counters = tuple(float(block.value[row, at]) for at in columns.counters)
            states = tuple(float(block.value[row, at]) for at in columns.states)
            meter = seen.get(key) or self._meters.get(key)
            if meter is not None and t_ns <= meter.t_ns:
                continue  # late or repeated: not part of what is being thinned
            slot = t_ns // width_ns
            if meter is None:
                seen[key] = _Meter(t_ns, slot, counters, states)
                continue
            fell = any(new < old for new, old in zip(counters, meter.counters, strict=False))
            silent = t_ns - meter.t_ns > SILENT_SLOTS * width_ns
            if fell or silent:
                if key in held_here:
                    mask[held_here[key]] = True
                elif meter.held is not None:
                    before.append(meter.held)
            keep = fell or silent or slot != meter.slot or _differ(states, meter.states)
            held_here.pop(key, None)
            if not keep:
                mask[row] = False
                held_here[key] = row
            # a counter that is missing now is compared by its last known value
            known = tuple(old if np.isnan(new) else new for new, old in zip(counters, meter.counters, strict=False))
            seen[key] = _Meter(t_ns, slot, known or counters, states)
        for key, row in held_here.items():
            seen[key].held = block.take(slice(row, row + 1))
        return before, mask


def _columns(block: FrameBlock) -> _Columns | None:
    """None for a block that is kept whole: events, amounts of an interval, quantities that are not in the table."""
    kinds = [QUANTITIES[name].kind if name in QUANTITIES else None for name in block.quantities]
    if block.event_ids or not set(kinds) <= {Kind.GAUGE, Kind.COUNTER, Kind.STATE}:
        return None
    return _Columns(
        [at for at, kind in enumerate(kinds) if kind is Kind.COUNTER],
        [at for at, kind in enumerate(kinds) if kind is Kind.STATE],
    )


def _differ(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return len(a) != len(b) or any(x != y and not (np.isnan(x) and np.isnan(y)) for x, y in zip(a, b, strict=True))
