"""Names of the things a derived figure can belong to."""

from __future__ import annotations

PLANT = "plant"
ISLAND = "island"  # whether the plant ran without the grid
DOCUMENTS = "documents"  # what was stated of periods: it enters no row


def line(potline: str) -> str:
    """Node of a potline."""
    return f"line:{potline}"


def point(metering_point: str) -> str:
    """Node of a metering point: its own interval energies in the plant's sign."""
    return f"point:{metering_point}"


def branch(branch_id: str) -> str:
    """Node of a branch: the energies of the one point that owned each interval."""
    return f"branch:{branch_id}"


def bus(bus_id: str) -> str:
    """Node of a bus section."""
    return f"bus:{bus_id}"


def meter(meter_id: str) -> str:
    """Node of a meter: what its gauges showed."""
    return f"meter:{meter_id}"
