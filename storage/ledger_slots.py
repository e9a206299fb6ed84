"""Which 15-min slots of which nodes have to be looked at anew for an entry or a verdict."""

from __future__ import annotations

from plant import nodes
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS

SlotKey = tuple[str, str, int]  # plant, node, start of the slot
_POINT_KINDS = ("meter_reading", "meter_exchange")
_METAL_KINDS = ("metal_tapped", "metal_in_pots")


def touched_by(entry: LedgerEntry) -> list[SlotKey]:
    """Slots that an entry touches: of its point where it states a register, of its line where it states metal of the pots. Any
    other entry enters figures of periods and no row: its first slot alone calls for a look at it."""
    slots = _slots(entry.start_ns, entry.end_ns)
    if entry.kind in _POINT_KINDS:
        node = nodes.point(entry.subject)
    elif entry.kind in _METAL_KINDS and entry.subject != nodes.PLANT:
        node = nodes.line(entry.subject)
    else:
        node, slots = nodes.DOCUMENTS, slots[:1]
    return [(entry.plant, node, slot) for slot in slots]


def slots_around(start_ns: int, end_ns: int) -> range:
    """Starts of the 15-min slots that [start, end) touches, with a slot more on either side."""
    slots = _slots(start_ns, end_ns)
    return range(slots[0] - QUARTER_NS, slots[-1] + 2 * QUARTER_NS, QUARTER_NS)


def _slots(start_ns: int, end_ns: int) -> range:
    """Starts of the slots that [start, end) touches; an instant touches the one that holds it."""
    return range(start_ns - start_ns % QUARTER_NS, max(end_ns, start_ns + 1), QUARTER_NS)
