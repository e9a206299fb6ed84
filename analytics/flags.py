"""What happened to an interval, as bits of the ``flags`` column of a derived row."""

from __future__ import annotations

from enum import IntFlag


class IntervalFlag(IntFlag):
    """Bits; 0 is an interval measured without any incident."""

    NONE = 0
    ESTIMATED = 1  # some of the energy does not follow from readings
    SPREAD = 2  # a counter difference was spread over a gap: the total over the gap is proven, its shape is not
    WRAP = 4  # the register passed its end; the difference counts
    RESET = 8  # the register fell and did not come back: a boundary, nothing was taken from the difference
    GAP = 16  # time without any usable reading
    POWER_ONLY = 32  # energy from integrated power, no counter
    SUBSTITUTED = 64  # supplied by another point than the main one
    FROZEN = 128  # the register stands still while power flows
    GLITCH = 256  # readings that fell or leapt and came back were set aside
    NEGATIVE = 512  # a difference of meters that runs against the direction of its branch
    INTERVAL_AMOUNT = 1024  # from amounts per interval (imported history)


def flag_names(flags: int) -> tuple[str, ...]:
    """Names of the bits set, lower case."""
    return tuple(flag.name.lower() for flag in IntervalFlag if flag.value and flags & flag.value and flag.name)
