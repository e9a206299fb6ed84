"""Quality of one value, after IEC 61850-7-3: validity, reasons, source.

Stored as one small integer beside the value; 0 is good and measured, and is not written to a store.
"""

from __future__ import annotations

from enum import IntFlag

import numpy as np
import numpy.typing as npt


class Quality(IntFlag):
    """Bits of a quality word (fits int16)."""

    GOOD = 0
    QUESTIONABLE = 1
    INVALID = 2
    MISSING = 4  # no value was delivered (sentinel, refused register, absent field)
    OUT_OF_RANGE = 8  # beyond the profile's limits
    OVERFLOW = 16
    FAILURE = 32  # the device reports its own failure
    OLD_DATA = 64  # device clock behind the receipt by more than the profile allows
    INCONSISTENT = 128  # a check between quantities of one Frame failed
    CLOCK = 256  # device clock ahead of receipt or never set
    ESTIMATED = 4096
    SUBSTITUTED = 8192


ABSENT = Quality.INVALID | Quality.MISSING
VALIDITY = Quality.QUESTIONABLE | Quality.INVALID


def usable(value: npt.NDArray[np.float64], quality: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """Mask of values that may enter a calculation: finite and not invalid. Same shape as the input."""
    mask: npt.NDArray[np.bool_] = np.isfinite(value) & ((quality & int(Quality.INVALID)) == 0)
    return mask
