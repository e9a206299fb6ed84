"""Settled green energy of contracts, laid over 15-min slots: what the ledger states, final before provisional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analytics.counters import F64, I64, Mask
from plant.contract_energy import ContractEnergy, quarters_fault, read_contract_energy
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS
from plant.settings.green import Contract


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """Settled energy of one contract over m slots: ``energy_kwh`` float64[m], NaN where nothing is stated. ``final`` bool[m];
    ``spread`` bool[m] where a statement of a longer span was spread evenly. ``unreadable`` are entries stepped over."""

    contract: Contract
    energy_kwh: F64
    final: Mask
    spread: Mask
    unreadable: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class _Statement:
    basis: str
    final: bool
    entry: LedgerEntry


def settled_energy(contract: Contract, entries: Sequence[LedgerEntry], start_ns: I64) -> Settled:
    """Settled energy of a contract in the 15-min slots that start at ``start_ns`` int64[m], from its ``contract_energy`` entries.

    A final statement replaces a provisional one, a later one an earlier one of the same standing. With ``settled_by`` it is the
    least of the statements named there, and unknown where one of them is missing. Source: 10.4, settled green energy.
    """
    stated, unreadable = _read(contract, entries)
    bases = contract.settled_by or ("settled",)
    found = [_laid([s for s in stated if s.basis == basis], start_ns) for basis in bases]
    energy = np.min([f[0] for f in found], axis=0)  # NaN where any is
    final = np.all([f[1] for f in found], axis=0)
    spread = np.any([f[2] for f in found], axis=0)
    return Settled(contract, energy, final & np.isfinite(energy), spread & np.isfinite(energy), tuple(unreadable))


def _read(contract: Contract, entries: Sequence[LedgerEntry]) -> tuple[list[_Statement], list[int | None]]:
    stated, unreadable = [], []
    said: dict[str, ContractEnergy | None] = {}  # a year has as many entries as slots, nearly all alike
    for entry in entries:
        if entry.kind != "contract_energy" or entry.subject != contract.id:
            continue
        key = repr((entry.data.get("status"), entry.data.get("basis", "settled")))
        if key not in said:
            said[key] = _readable(entry.data)
        data = said[key]
        if data is None or quarters_fault(entry.start_ns, entry.end_ns):
            unreadable.append(entry.id)
        else:
            stated.append(_Statement(data.basis, data.status == "final", entry))
    return stated, unreadable


def _readable(data: Mapping[str, Any]) -> ContractEnergy | None:
    try:
        return read_contract_energy(data)
    except ValueError:
        return None


def _laid(stated: Sequence[_Statement], start_ns: I64) -> tuple[F64, Mask, Mask]:
    """Energy, whether final, whether spread, by slot; the last in the order of standing and number counts."""
    m = len(start_ns)
    energy, final, spread = np.full(m, np.nan), np.zeros(m, bool), np.zeros(m, bool)
    if not stated or not m:
        return energy, final, spread
    ordered = sorted(stated, key=lambda s: (s.final, s.entry.id or 0))
    first = np.array([(s.entry.start_ns - start_ns[0]) // QUARTER_NS for s in ordered], np.int64)
    slots = np.array([(s.entry.end_ns - s.entry.start_ns) // QUARTER_NS for s in ordered], np.int64)
    each = np.array([s.entry.amount for s in ordered], float) / slots
    low, high = np.clip(first, 0, m), np.clip(first + slots, 0, m)
    count = high - low
    # the slots of every statement, one after the other; where two name a slot, the last assignment stands
    at = np.repeat(low - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(count.sum())
    energy[at] = np.repeat(each, count)
    final[at] = np.repeat([s.final for s in ordered], count)
    spread[at] = np.repeat(slots > 1, count)
    return energy, final, spread
