"""Settled green energy of contracts, laid over 15-min slots: what the ledger states, final before provisional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analytics.counters import F64, I64, Mask
from plant.contract_energy import ContractEnergy, read_contract_energy
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS
from plant.settings.green import Contract

FURTHEST_SLOTS = 366 * 96  # how far around the slots asked about a total may find its shape


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """Settled energy of one contract over m slots: ``energy_kwh`` float64[m], NaN where nothing is stated. ``final`` bool[m];
    ``spread`` bool[m] where a statement of a longer span was spread evenly. ``unreadable`` are entries stepped over."""

    contract: Contract
    energy_kwh: F64
    final: Mask
    spread: Mask
    unreadable: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Stated:
    """n statements in the order in which they replace one another: standing, then number. ``first`` int64[n] is the slot that
    one begins with, counted from the first slot asked about, ``slots`` int64[n] how many it is of."""

    basis: list[str]
    final: Mask
    first: I64
    slots: I64
    energy_kwh: F64


def settled_energy(contract: Contract, entries: Sequence[LedgerEntry], start_ns: I64) -> Settled:
    """Settled energy of a contract in the 15-min slots that start at ``start_ns`` int64[m], from its ``contract_energy`` entries.

    A final statement replaces a provisional one, a later one an earlier one of the same standing. A total over slots that are
    all stated already keeps their shape and scales it; one over slots without a shape is spread evenly. With ``settled_by`` it
    is the least of the statements named there, and unknown where one of them is missing. Source: 10.4, settled green energy.
    """
    m = len(start_ns)
    stated, unreadable = _read(contract, entries, int(start_ns[0]) if m else 0)
    bases = contract.settled_by or ("settled",)
    found = [_laid(_of_basis(stated, basis), m) for basis in bases]
    energy = np.min([f[0] for f in found], axis=0)  # NaN where any is
    final = np.all([f[1] for f in found], axis=0)
    spread = np.any([f[2] for f in found], axis=0)
    return Settled(contract, energy, final & np.isfinite(energy), spread & np.isfinite(energy), tuple(unreadable))


def _read(contract: Contract, entries: Sequence[LedgerEntry], origin_ns: int) -> tuple[_Stated, list[int | None]]:
    mine = [e for e in entries if e.subject == contract.id and e.kind == "contract_energy"]
    keys = [f"{e.data.get('status')}/{e.data.get('basis', 'settled')}" for e in mine]
    said = {key: _readable(entry.data) for key, entry in dict(zip(keys, mine, strict=True)).items()}  # nearly all alike
    spans = np.array([(e.start_ns, e.end_ns) for e in mine], np.int64).reshape(-1, 2)
    fits = (spans % QUARTER_NS == 0).all(axis=1) & (spans[:, 0] < spans[:, 1])
    read = [said[key] if fit else None for key, fit in zip(keys, fits.tolist(), strict=True)]
    standing = [(d.status == "final", e.id or 0, i) for i, (d, e) in enumerate(zip(read, mine, strict=True)) if d is not None]
    order = [i for _, _, i in sorted(standing)]
    data = [d for d in (read[i] for i in order) if d is not None]
    start_ns, end_ns = spans[order].T
    stated = _Stated(
        [d.basis for d in data],
        np.array([d.status == "final" for d in data], bool),
        (start_ns - origin_ns) // QUARTER_NS,
        (end_ns - start_ns) // QUARTER_NS,
        np.array([mine[i].amount for i in order], float),
    )
    return stated, [e.id for e, d in zip(mine, read, strict=True) if d is None]


def _readable(data: Mapping[str, Any]) -> ContractEnergy | None:
    try:
        return read_contract_energy(data)
    except ValueError:
        return None


def _of_basis(stated: _Stated, basis: str) -> _Stated:
    i = np.array([n for n, found in enumerate(stated.basis) if found == basis], np.int64)
    return _Stated([basis] * len(i), stated.final[i], stated.first[i], stated.slots[i], stated.energy_kwh[i])


def _laid(stated: _Stated, m: int) -> tuple[F64, Mask, Mask]:
    """Energy, whether final, whether spread, by slot; a total finds the shape of slots beyond the m in what is stated there."""
    if not len(stated.first) or not m:
        return np.full(m, np.nan), np.zeros(m, bool), np.zeros(m, bool)
    before = int(np.clip(-stated.first.min(), 0, FURTHEST_SLOTS))
    after = int(np.clip((stated.first + stated.slots).max() - m, 0, FURTHEST_SLOTS))
    n, window = before + m + after, slice(before, before + m)
    laid = np.full(n, np.nan), np.zeros(n, bool), np.zeros(n, bool)
    first = stated.first + before
    end = first + stated.slots
    single = stated.slots == 1
    # what is laid at one go: quarters of an hour, of which the last stands, or totals one after the other
    parts = (single[1:] != single[:-1]) | ~single[1:] & (first[1:] < end[:-1])
    for part in np.split(np.arange(len(first)), np.flatnonzero(parts) + 1):
        _lay(laid, window, (first[part], end[part]), stated.energy_kwh[part], stated.final[part])
    energy, final, spread = (column[window] for column in laid)
    return energy, final, spread


def _lay(laid: tuple[F64, Mask, Mask], window: slice, spans: tuple[I64, I64], total_kwh: F64, final: Mask) -> None:
    """Lay statements of spans [first, end) over slots. Those of more than one slot do not overlap."""
    energy, finals, spread = laid
    low, high = (np.clip(edge, 0, len(energy)) for edge in spans)
    count, slots = high - low, spans[1] - spans[0]
    # the slots of every statement, one after the other; where two name a slot, the last assignment stands
    at = np.repeat(low - np.cumsum(count) + count, count) + np.arange(count.sum())
    of = np.repeat(np.arange(len(low)), count)
    evenly = np.repeat(total_kwh / slots, count)
    if slots.max() == 1:
        energy[at], finals[at], spread[at] = evenly, final[of], False
        return
    known, inside = np.isfinite(energy[at]), (at >= window.start) & (at < window.stop)
    had = np.bincount(of, np.where(known, energy[at], 0.0), len(low))
    gaps, seen = np.bincount(of, ~known, len(low)), np.bincount(of, known & inside & ~spread[at], len(low))
    shaped = (gaps == 0) & (count == slots) & (had > 0)
    # a total that reaches beyond what is asked about, where the rest of its shape was not read: what is stated stays
    kept = ~shaped & (had > 0) & (seen > 0) & (seen == np.bincount(of, inside, len(low))) & (seen < slots)
    factor = np.divide(total_kwh, had, out=np.ones_like(had), where=shaped)
    spread[at] |= ~(shaped | kept)[of]
    finals[at] = np.where(kept[of], finals[at], final[of])
    energy[at] = np.where(kept[of], energy[at], np.where(shaped[of], energy[at] * factor[of], evenly))
