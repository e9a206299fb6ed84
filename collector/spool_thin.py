"""Policy ``thin``: as the spool fills, of what a meter sends within a slot of some seconds a Frame is kept only where it
brings the slot's first value of a quantity; so counters stay also where they come in Frames of their own.

Energy survives it, since counters add up by themselves: every 15-min bound keeps a reading within a minute on either
side. Kept whole are events, interval amounts, changes of state, readings that come late, and the last reading before a
counter fell back or a meter was silent: what stood on a register before an exchange is told by nothing that comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


Key = tuple[str, str, tuple[str, ...]]  # profile, meter, quantities: blocks of other columns are never compared
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which of a block's columns are counters and which states; one more column, neither, stands for the Frame itself."""

    counter: Mask
    state: Mask


@dataclass(slots=True)
class _Stream:
    """What is known of the Frames of one key, by column: a Frame need not have a value of each."""

    t_ns: int  # of the newest Frame seen
    kept_slot: npt.NDArray[np.int64]
    seen_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]  # the last known
    held: dict[int, _Held]  # by column the newest Frame with a value of it, left out so far

    def copy(self) -> _Stream:
        return _Stream(self.t_ns, self.kept_slot.copy(), self.seen_ns.copy(), self.value.copy(), dict(self.held))


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    block: FrameBlock
    row: int

    def alone(self) -> _Held:
        """The same without the rest of its block."""
        return _Held(self.block.take(slice(self.row, self.row + 1)), 0)


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
        values = np.column_stack([block.value, np.zeros(len(block))])
        touched: dict[Key, _Stream] = {}
        for row in range(len(block)):
            key = (block.profile, block.meter_of(row), block.quantities)
            stream = touched[key] = touched.get(key) or self._stream(key, len(columns.state), seen)
            t_ns = int(block.t_ns[row])
            if t_ns <= stream.t_ns:
                continue  # late or repeated: not part of what is being thinned
            mask[row], wanted = _judge(stream, values[row], t_ns, width_ns, columns)
            recalled += wanted
            for column in np.flatnonzero(~np.isnan(values[row])).tolist():
                if mask[row]:
                    stream.held.pop(column, None)
                else:
                    stream.held[column] = _Held(block, row)
        for held in recalled:
            if held.block is block:
                mask[held.row] = True
        for stream in touched.values():
            alone = {held.row: held.alone() for held in stream.held.values() if held.block is block}
            stream.held = {at: alone[held.row] if held.block is block else held for at, held in stream.held.items()}
        seen.update(touched)
        return _in_order(held for held in recalled if held.block is not block), mask

    def _stream(self, key: Key, columns: int, seen: dict[Key, _Stream]) -> _Stream:
        known = seen.get(key) or self._streams.get(key)
        if known is not None:
            return known.copy()
        never = np.full(columns, -1, np.int64)
        return _Stream(-1, never, never.copy(), np.full(columns, np.nan), {})


def _judge(
    stream: _Stream, values: npt.NDArray[np.float64], t_ns: int, width_ns: int, columns: _Columns
) -> tuple[bool, list[_Held]]:
    """Whether a Frame is kept, and the held ones that are kept because of it; the stream is brought up to date."""
    slot = t_ns // width_ns
    known = ~np.isnan(values)
    fell = columns.counter & (values < stream.value)
    silent = known & (t_ns - stream.seen_ns > SILENT_SLOTS * width_ns)
    changed = columns.state & known & (values != stream.value)
    recalled: list[_Held] = []
    for column in np.flatnonzero(fell | silent).tolist():
        if (held := stream.held.get(column)) is not None:
            recalled.append(held)
            stream.held = {at: h for at, h in stream.held.items() if (h.block, h.row) != (held.block, held.row)}
    keep = bool(np.any(fell | silent | changed | (known & (stream.kept_slot != slot))))
    if keep:
        stream.kept_slot[known] = slot
    stream.t_ns, stream.seen_ns[known], stream.value[known] = t_ns, t_ns, values[known]
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
        np.array([*(kind is Kind.COUNTER for kind in kinds), False]),
        np.array([*(kind is Kind.STATE for kind in kinds), False]),
    )
