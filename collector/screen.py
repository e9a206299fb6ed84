"""From a decoded block to a screened one: quality bits from the message and its profile alone. Pure, on whole arrays.

Nothing here knows when the message arrived, so screening the same reading again gives the same bytes. How far a
device's clock is off the receipt is an alarm and a count (``clock_offsets_s``), never a stored quality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from devices.maps import Check, Limits, Profile
from plant.frame import ERA_FROM_NS, ERA_UNTIL_NS, FrameBlock
from plant.quality import ABSENT, Quality, usable
from plant.quantities import possible_limits

_OUT = int(Quality.INVALID | Quality.OUT_OF_RANGE)
_OVERFLOW = int(Quality.INVALID | Quality.OVERFLOW)
_UNSET = int(Quality.INVALID | Quality.CLOCK)
_INCONSISTENT = int(Quality.QUESTIONABLE | Quality.INCONSISTENT)


@dataclass(frozen=True, slots=True, eq=False)
class ScreenRules:
    """A profile's limits and checks as columns: ``low``, ``high`` float64[k] in canonical units (infinite where there
    is none). What hangs on the mounting, such as a rated power, is not among them: it is applied on reading."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    checks: tuple[Check, ...] = ()

    @staticmethod
    def of(profile: Profile) -> ScreenRules:
        """Rules of a profile, columns in its order of quantities."""
        return ScreenRules(*_columns(profile.quantities, profile.limits), profile.checks)

    def of_columns(self, names: tuple[str, ...], wanted: tuple[str, ...]) -> ScreenRules:
        """Rules of a block that holds some of the quantities ``names`` alone; a check that lacks one of its own is left out."""
        at = [names.index(name) for name in wanted]
        checks = tuple(c for c in self.checks if {*c.of, c.equals} <= {*wanted})
        return ScreenRules(self.low[at], self.high[at], checks)

    @staticmethod
    def of_quantities(quantities: tuple[str, ...]) -> ScreenRules:
        """What is possible at all and no checks, for blocks without a profile (imported history)."""
        return ScreenRules(*_columns(quantities, {}))


def _columns(
    quantities: tuple[str, ...], limits: Mapping[str, Limits]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lowest and highest by column: the profile's limits, or else what the quantity can be at all."""
    pairs = [(limits[name].low, limits[name].high) if name in limits else possible_limits(name) for name in quantities]
    return np.array([low for low, _ in pairs], np.float64), np.array([high for _, high in pairs], np.float64)


def screen(block: FrameBlock, rules: ScreenRules) -> FrameBlock:
    """The block with its quality raised where the profile's limits, its checks or the instant itself say so.

    A value that is no number becomes NaN with a reason. Raises ``ValueError`` where block and rules have different columns.
    """
    if len(rules.low) != len(block.quantities):
        raise ValueError(
            f"profile {block.profile}: {len(block.quantities)} quantities in the block, {len(rules.low)} in the rules"
        )
    quality = block.quality.copy()
    finite = np.isfinite(block.value)
    quality[np.isinf(block.value)] |= _OVERFLOW
    quality[np.isnan(block.value) & ((quality & int(Quality.INVALID)) == 0)] |= int(ABSENT)
    value = block.value if finite.all() else np.where(finite, block.value, np.nan)
    quality[(value < rules.low) | (value > rules.high)] |= _OUT
    for check in rules.checks:
        _check(check, block.quantities, value, quality)
    quality[(block.t_ns < ERA_FROM_NS) | (block.t_ns >= ERA_UNTIL_NS)] |= _UNSET
    return replace(block, value=value, quality=quality)


def _check(check: Check, quantities: tuple[str, ...], value: npt.NDArray[np.float64], quality: npt.NDArray[np.int16]) -> None:
    """Raise the quality of all quantities of a check where they disagree; Frames that lack one of them are left alone."""
    columns = [quantities.index(name) for name in (*check.of, check.equals)]
    parts, result = value[:, columns[:-1]], value[:, columns[-1]]
    judged = usable(value[:, columns], quality[:, columns]).all(axis=1)
    expected = parts.prod(axis=1) if check.kind == "product" else parts.sum(axis=1)
    wrong = judged & (np.abs(expected - result) > np.maximum(check.within * np.abs(result), check.floor))
    quality[np.ix_(wrong, columns)] |= _INCONSISTENT


def clock_offsets_s(block: FrameBlock, received_ns: int) -> dict[str, float]:
    """By meter, the newest instant of the block minus its receipt: + means a clock ahead. Unset clocks are left out."""
    newest = np.full(len(block.meters), np.iinfo(np.int64).min)
    plausible = (block.t_ns >= ERA_FROM_NS) & (block.t_ns < ERA_UNTIL_NS)
    if plausible.all():
        np.maximum.at(newest, block.meter_index, block.t_ns)
    else:
        np.maximum.at(newest, block.meter_index[plausible], block.t_ns[plausible])
    known = newest >= ERA_FROM_NS
    if known.all():
        return dict(zip(block.meters, ((newest - received_ns) / 1e9).tolist(), strict=True))
    return {block.meters[at]: (int(newest[at]) - received_ns) / 1e9 for at in np.flatnonzero(known)}
