"""What every series store agrees on before it takes a block: which names are allowed and how a missing value looks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from plant.errors import StoreRejected
from plant.frame import FrameBlock
from plant.quality import ABSENT
from plant.quantities import QUANTITIES, Kind
from plant.series import DerivedBlock

NAME_MAX = 200
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,62}")
_OWN_FIELDS = ("plant", "node", "place", "id", "time", "start_ms", "version", "valid")


def check_names(plant: str, names: Iterable[str], what: str) -> None:
    """Refuse names that cannot be told apart again in every store: empty, too long, control characters, a closing backslash.

    Raises StoreRejected. Any other Unicode is allowed.
    """
    for name in (plant, *names):
        if not _is_name(name):
            raise StoreRejected(
                f"{what} {name!r} of plant {plant!r} cannot be a name in the store; "
                f"use 1 to {NAME_MAX} printable characters that do not end in a backslash"
            )


@lru_cache(maxsize=100_000)  # the same few names come with every block
def _is_name(name: str) -> bool:
    return 0 < len(name) <= NAME_MAX and not name.endswith("\\") and name.isprintable()


def check_block(block: FrameBlock) -> None:
    """Refuse a block whose meters or quantities have no place in a store. Raises StoreRejected."""
    check_names(block.plant, block.meters, "meter")
    unknown = [name for name in block.quantities if name not in QUANTITIES]
    if unknown:
        raise StoreRejected(f"profile {block.profile!r} delivers {', '.join(unknown)}, which plant.quantities does not list")


def check_derived(block: DerivedBlock) -> None:
    """Refuse figures whose nodes or fields have no place in a store. Raises StoreRejected."""
    check_names(block.plant, block.nodes, "node")
    for name in block.fields:
        if not _FIELD.fullmatch(name) or name in _OWN_FIELDS:
            raise StoreRejected(f"field {name!r} cannot be a field of a derived row; use lower case letters, digits and _")


def is_interval(quantity: str) -> bool:
    """True where the quantity is an amount of an interval and so belongs to the long-kept series."""
    return QUANTITIES[quantity].kind is Kind.INTERVAL


def normalised(block: FrameBlock) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int16]]:
    """Values and qualities as stored, both [n, k]: what is not finite becomes NaN and never looks good."""
    missing = ~np.isfinite(block.value)
    if not missing.any():
        return block.value, block.quality
    silent = missing & (block.quality == 0)
    return np.where(missing, np.nan, block.value), np.where(silent, np.int16(ABSENT), block.quality)


def newest_of_each(block: DerivedBlock) -> DerivedBlock:
    """The block without rows that a later or newer row of the same node and start replaces."""
    order = np.lexsort((np.arange(len(block)), block.version, block.start_ns, block.node_index))
    node, start_ns = block.node_index[order], block.start_ns[order]
    last = np.ones(len(block), bool)
    last[:-1] = (node[1:] != node[:-1]) | (start_ns[1:] != start_ns[:-1])
    if last.all():
        return block
    keep = np.sort(order[last])
    return DerivedBlock(
        block.plant,
        block.resolution,
        block.fields,
        block.nodes,
        block.node_index[keep],
        block.start_ns[keep],
        block.value[keep],
        block.version[keep],
        block.valid[keep],
    )
