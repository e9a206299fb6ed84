"""FrameBlock: n readings of meters of one profile, as columns. The unit that decoding, spool and stores share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FRAMES_MAX = 1_000
NS_PER_MS = 1_000_000
# A clock that was never set counts from 1970 or 2000; an instant before 2001 or after 2100 is none of a live meter.
ERA_FROM_NS = 978_307_200 * 10**9
ERA_UNTIL_NS = 4_102_444_800 * 10**9


@dataclass(frozen=True, slots=True, eq=False)
class FrameBlock:
    """n Frames of one profile; a Frame is one meter at one instant with all its k quantities.

    Values are as the meter says them, in the canonical unit of ``plant.quantities``: mounting (direction,
    CT and VT ratio) is applied on reading, so that a corrected mounting restates history and the raw
    reading stays immutable. Shapes: ``meter_index`` int32[n] into ``meters``; ``t_ns`` int64[n], UTC, whole
    milliseconds; ``value`` float64[n, k], NaN where missing; ``quality`` int16[n, k]. ``event_ids`` is empty,
    or n texts for a profile of kind event (then the block goes to the ledger).
    """

    plant: str
    profile: str
    quantities: tuple[str, ...]
    meters: tuple[str, ...]
    meter_index: npt.NDArray[np.int32]
    t_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.int16]
    event_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, k = len(self.t_ns), len(self.quantities)
        assert self.meter_index.shape == (n,) and self.meter_index.dtype == np.int32
        assert self.t_ns.dtype == np.int64 and not np.any(self.t_ns % NS_PER_MS)
        assert self.value.shape == self.quality.shape == (n, k), (self.value.shape, n, k)
        assert self.value.dtype == np.float64 and self.quality.dtype == np.int16
        assert len(self.event_ids) in (0, n)

    def __len__(self) -> int:
        return len(self.t_ns)

    def meter_of(self, row: int) -> str:
        """Name of the meter of Frame ``row``."""
        return self.meters[int(self.meter_index[row])]

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> FrameBlock:
        """The Frames at ``rows`` (indices, mask or slice), as a block of their own."""
        picked = np.arange(len(self))[rows]
        return FrameBlock(
            self.plant,
            self.profile,
            self.quantities,
            self.meters,
            self.meter_index[picked],
            self.t_ns[picked],
            self.value[picked],
            self.quality[picked],
            tuple(self.event_ids[i] for i in picked) if self.event_ids else (),
        )


def floor_ms(t_ns: int) -> int:
    """An instant cut to whole milliseconds, the precision of every store."""
    return t_ns - t_ns % NS_PER_MS


def concatenate(blocks: list[FrameBlock]) -> FrameBlock:
    """One block out of several of the same plant, profile and quantities.

    Raises ``ValueError`` when they differ, since their columns would not mean the same.
    """
    first = blocks[0]
    if any((b.plant, b.profile, b.quantities) != (first.plant, first.profile, first.quantities) for b in blocks):
        raise ValueError("blocks of different plants, profiles or quantities cannot be joined")
    meters = tuple(dict.fromkeys(name for b in blocks for name in b.meters))
    position = {name: i for i, name in enumerate(meters)}
    index = [np.array([position[m] for m in b.meters], np.int32)[b.meter_index] for b in blocks]
    return FrameBlock(
        first.plant,
        first.profile,
        first.quantities,
        meters,
        np.concatenate(index),
        np.concatenate([b.t_ns for b in blocks]),
        np.concatenate([b.value for b in blocks]),
        np.concatenate([b.quality for b in blocks]),
        tuple(e for b in blocks for e in b.event_ids),
    )
