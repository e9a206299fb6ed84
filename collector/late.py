"""What a block means to analysis that already ran, and to the ledger: late slots and event entries. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.quarantine import Rejected
from collector.spool_format import encode_block
from plant import nodes
from plant.entry_data import marked_entry
from plant.frame import ERA_FROM_NS, FrameBlock
from plant.ports import LEDGER_KINDS, LedgerEntry
from plant.quality import usable
from plant.series import QUARTER_NS
from plant.site import Site

ANODE_EFFECT = "anode_effect"  # its Frame is of its start, its amount how long it lasted
NS_PER_S = 1_000_000_000

# quantity of an event profile -> kind of ledger entry; both count in the same whole unit
EVENT_KINDS: Mapping[str, str] = {"metal_tapped": "metal_tapped", "anode_effect_duration": ANODE_EFFECT}


@dataclass(frozen=True, slots=True)
class Owners:
    """What the readings of each meter enter: ``nodes`` by meter, and the potline by meter of its events. ``site`` says what an
    event cannot be."""

    nodes: Mapping[str, tuple[str, ...]]
    potline_of: Mapping[str, str]
    site: Site | None = None

    @staticmethod
    def of(site: Site) -> Owners:
        """From the mountings, past ones too, and the feeds of the potlines."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for point in site.points.values():
            for mounting in point.mountings:
                found[mounting.meter][nodes.point(point.id)] = None
        for line in site.potlines.values():
            if line.feed_meter:
                found[line.feed_meter][nodes.line(line.id)] = None
        lines = site.potlines.values()
        events = {meter: line.id for line in lines for meter in (line.scale_meter, line.effect_meter) if meter}
        return Owners({meter: tuple(names) for meter, names in found.items()}, events, site)


def late_slots(
    blocks: Sequence[FrameBlock], owners: Owners, settled_until_ns: int | None, now_ns: int, *, interval_ns: int = 1
) -> dict[str, list[int]]:
    """Starts of 15-min slots, ascending, by node, that may have been analysed without these readings. Each of them
    stands for the ``interval_ns`` from its instant on.

    A slot that is over counts as analysed, whether or not the watermark says so yet: it may move while the block is
    on its way. The neighbours of a late slot are late too, since readings are interpolated to the bounds between.
    """
    limit_ns = max(now_ns - now_ns % QUARTER_NS, settled_until_ns or 0)
    slots: dict[str, set[int]] = defaultdict(set)
    for block in blocks:
        owned = np.array([meter in owners.nodes for meter in block.meters], bool)
        # what a clock that was never set has stamped names no slot
        late = (block.t_ns - block.t_ns % QUARTER_NS < limit_ns) & (block.t_ns >= ERA_FROM_NS) & owned[block.meter_index]
        if not late.any():
            continue
        for position, slot in _touched(block.meter_index[late], block.t_ns[late], interval_ns):
            around = [t for t in (slot - QUARTER_NS, slot, slot + QUARTER_NS) if t < limit_ns]
            for node in owners.nodes[block.meters[position]]:
                slots[node].update(around)
    return {node: sorted(found) for node, found in slots.items()}


def _touched(meter_index: npt.NDArray[np.int32], t_ns: npt.NDArray[np.int64], interval_ns: int) -> list[tuple[int, int]]:
    """Meter and start of each slot that [t, t + interval) of an instant reaches into, each once."""
    inside = np.append(np.arange(0, interval_ns, QUARTER_NS), interval_ns - 1)
    starts = (t_ns[:, None] + inside) // QUARTER_NS * QUARTER_NS
    pairs = np.stack([np.repeat(meter_index.astype(np.int64), len(inside)), starts.ravel()], axis=1)
    found: list[tuple[int, int]] = [(int(position), int(slot)) for position, slot in set(map(tuple, pairs.tolist()))]
    return found


def event_entries(block: FrameBlock, owners: Owners) -> tuple[list[LedgerEntry], list[Rejected]]:
    """Ledger entries of a block of events; one without a usable amount is rejected, for a person to enter by hand."""
    entries: list[LedgerEntry] = []
    rejected: list[Rejected] = []
    amounts = [(column, EVENT_KINDS[name]) for column, name in enumerate(block.quantities) if name in EVENT_KINDS]
    good = usable(block.value, block.quality)
    for row, t_ns in enumerate(block.t_ns.tolist()):
        meter = block.meter_of(row)
        for column, kind in amounts:
            if not good[row, column]:
                reason = f"event {block.event_ids[row]} has no usable {block.quantities[column]}: {block.value[row, column]}"
                rejected.append(Rejected(meter, reason, encode_block(block.take(slice(row, row + 1)))))
                continue
            entries.append(
                LedgerEntry(
                    plant=block.plant,
                    kind=kind,
                    key=block.event_ids[row],
                    source=meter,
                    subject=owners.potline_of.get(meter, nodes.PLANT),
                    start_ns=t_ns,
                    end_ns=t_ns + round(float(block.value[row, column])) * NS_PER_S if kind == ANODE_EFFECT else t_ns,
                    amount=round(float(block.value[row, column])),
                    unit=LEDGER_KINDS[kind],
                    who=meter,
                    data=_details(block.quantities, block.value[row], good[row]),
                )
            )
    return entries if owners.site is None else [marked_entry(owners.site, e) for e in entries], rejected


def _details(quantities: Sequence[str], value: npt.NDArray[np.float64], good: npt.NDArray[np.bool_]) -> dict[str, object]:
    """What else an event says: of which pot, and how far its voltage rose."""
    known = {name: float(v) for name, v, usable_ in zip(quantities, value.tolist(), good.tolist(), strict=True) if usable_}
    found: dict[str, object] = {}
    if "pot_number" in known:
        found["pot"] = int(known["pot_number"])
    if "anode_effect_peak_voltage" in known:
        found["peak_voltage_v"] = known["anode_effect_peak_voltage"]
    return found
