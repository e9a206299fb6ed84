"""Policy ``thin``: as the spool fills, of what a meter sends within a slot of some seconds a Frame is kept only where it
brings the slot's first value of a quantity; so counters stay also where they come in Frames of their own.

Energy survives it, since counters add up by themselves: every 15-min bound keeps a reading within a minute on either
side. Kept whole are events, interval amounts, changes of state, readings that come late, and the last reading before a
counter fell back or a meter was silent: what stood on a register before an exchange is told by nothing that comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

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


Key = tuple[str, str, tuple[str, ...]]  # profile, meter, quantities: blocks of other columns are never compared
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which of a block's columns are counters and which states; one more column, neither, stands for the Frame itself."""

    counter: list[bool]
    state: list[bool]


@dataclass(slots=True)
class _Stream:
    """What is known of the Frames of one key, by column: a Frame need not have a value of each."""

    t_ns: int  # of the newest Frame seen
    kept_slot: list[int]
    seen_ns: list[int]
    value: list[float]  # the last known
    held: dict[int, _Held]  # by column the newest Frame with a value of it, left out so far

    def copy(self) -> _Stream:
        return _Stream(self.t_ns, self.kept_slot.copy(), self.seen_ns.copy(), self.value.copy(), dict(self.held))

    def let_go_of(self, block: FrameBlock) -> None:
        """Hold what came in a block without the rest of it."""
        rows = {held.row: held for held in self.held.values() if held.block is block}
        alone = {row: held.alone() for row, held in rows.items()}
        self.held = {column: alone[held.row] if held.block is block else held for column, held in self.held.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    block: FrameBlock
    row: int

    def alone(self) -> _Held:
        """The same without the rest of its block."""
        block, only = self.block, slice(self.row, self.row + 1)
        index, t_ns = block.meter_index[only].copy(), block.t_ns[only].copy()
        value, quality = block.value[only].copy(), block.quality[only].copy()
        return _Held(replace(block, meter_index=index, t_ns=t_ns, value=value, quality=quality), 0)


@dataclass(frozen=True, slots=True)
class Thinned:
    """What is kept, in order for each meter, what was left out, and what to remember once the kept is durable."""

    kept: list[FrameBlock]
    left: list[Left]
    seen: dict[Key, _Stream] | None = None  # None: everything was kept


class Thinner:
    """Remembers the last Frames of each meter; only what was ``accept``ed counts, since a full spool refuses."""

    def __init__(self) -> None:
        self._streams: dict[Key, _Stream] = {}

    def accept(self, thinned: Thinned) -> None:
        """The kept Frames were taken in."""
        if thinned.seen is None:
            self._streams = {}
        else:
            self._streams.update(thinned.seen)

    def thin(self, blocks: Sequence[FrameBlock], width_s: int) -> Thinned:
        """Keep one value of each quantity of a meter in ``width_s`` seconds, or everything where that is 0."""
        if not width_s:
            held = [block for stream in self._streams.values() for block in _in_order(stream.held.values())]
            return Thinned([*held, *blocks], [])
        seen: dict[Key, _Stream] = {}
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
        self, block: FrameBlock, columns: _Columns, width_ns: int, seen: dict[Key, _Stream]
    ) -> tuple[list[FrameBlock], Mask]:
        """Frames held back that are kept after all, and which rows of the block are; ``seen`` is brought up to date."""
        recalled: list[_Held] = []
        mask = np.ones(len(block), np.bool_)
        values = np.column_stack([block.value, np.zeros(len(block))]).tolist()
        touched: dict[Key, _Stream] = {}
        for row, (index, t_ns) in enumerate(zip(block.meter_index.tolist(), block.t_ns.tolist(), strict=True)):
            key = (block.profile, block.meters[index], block.quantities)
            stream = touched.get(key)
            if stream is None:
                stream = touched[key] = self._stream(key, len(columns.state), seen)
            if t_ns <= stream.t_ns:
                continue  # late or repeated: not part of what is being thinned
            keep, wanted = _judge(stream, values[row], t_ns, width_ns, columns)
            recalled += wanted
            mask[row] = keep
            held = _Held(block, row)
            for column, value in enumerate(values[row]):
                if isnan(value):
                    continue
                if keep:
                    stream.held.pop(column, None)
                else:
                    stream.held[column] = held
        for held in recalled:
            if held.block is block:
                mask[held.row] = True
        for stream in touched.values():
            stream.let_go_of(block)
        seen.update(touched)
        return _in_order(held for held in recalled if held.block is not block), mask

    def _stream(self, key: Key, columns: int, seen: dict[Key, _Stream]) -> _Stream:
        known = seen.get(key) or self._streams.get(key)
        if known is not None:
            return known.copy()
        return _Stream(-1, [-1] * columns, [-1] * columns, [nan] * columns, {})


def _judge(stream: _Stream, values: Sequence[float], t_ns: int, width_ns: int, columns: _Columns) -> tuple[bool, list[_Held]]:
    """Whether a Frame is kept, and the held ones that are kept because of it; the stream is brought up to date."""
    slot = t_ns // width_ns
    known = [column for column, value in enumerate(values) if not isnan(value)]
    keep = False
    recalled: list[_Held] = []
    for column in known:
        value, before = values[column], stream.value[column]
        fell = columns.counter[column] and value < before
        silent = t_ns - stream.seen_ns[column] > SILENT_SLOTS * width_ns
        changed = columns.state[column] and value != before
        keep = keep or fell or silent or changed or stream.kept_slot[column] != slot
        if (fell or silent) and (held := stream.held.get(column)) is not None:
            recalled.append(held)
            stream.held = {at: h for at, h in stream.held.items() if (h.block, h.row) != (held.block, held.row)}
        stream.seen_ns[column], stream.value[column] = t_ns, value
    if keep:
        for column in known:
            stream.kept_slot[column] = slot
    stream.t_ns = t_ns
    return keep, recalled


def _in_order(held: Iterable[_Held]) -> list[FrameBlock]:
    """Each once, oldest first, as blocks of their own."""
    blocks = {id(h.block): h.block for h in held}
    return sorted(blocks.values(), key=lambda block: int(block.t_ns[0]))


def _columns(block: FrameBlock) -> _Columns | None:
    """None for a block that is kept whole: events, amounts of an interval, quantities that are not in the table."""
    kinds = [QUANTITIES[name].kind if name in QUANTITIES else None for name in block.quantities]
    if block.event_ids or not set(kinds) <= {Kind.GAUGE, Kind.COUNTER, Kind.STATE}:
        return None
    return _Columns(
        [*(kind is Kind.COUNTER for kind in kinds), False],
        [*(kind is Kind.STATE for kind in kinds), False],
    )
