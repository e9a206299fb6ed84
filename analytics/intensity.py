"""Energy per tonne: e1, e2, e2' and DC, for lines and plant, as ratios of sums.

Boundaries (working definition until the clauses of GB 21346-2022 are at hand): e1 = AC energy of the rectifier units on
the network side; e2 = e1's energy + consumers up to tapping + a share of the line loss; e2' = e2 without desulphurisation.
All are per tonne of metal produced (Faraday, reconciled), never of metal tapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.balance import Banded, total
from analytics.counters import F64, I64
from plant.site import TO_TAPPING, AllocationKey, Branch, Site

DESULPHURISATION = "desulphurisation"


@dataclass(frozen=True, slots=True, eq=False)
class LineEnergy:
    """What one potline (or the plant) used over m intervals, kWh, and the metal it made, t; arrays float64[m].

    ``auxiliary`` is its share of the consumers to tapping, desulphurisation included; ``loss`` its share of line loss.
    """

    rectifier: Banded
    dc_energy: Banded
    auxiliary: Banded
    desulphurisation: Banded
    loss: Banded
    metal: Banded

    def __add__(self, other: LineEnergy) -> LineEnergy:
        return LineEnergy(
            self.rectifier + other.rectifier,
            self.dc_energy + other.dc_energy,
            self.auxiliary + other.auxiliary,
            self.desulphurisation + other.desulphurisation,
            self.loss + other.loss,
            self.metal + other.metal,
        )

    def numerators(self) -> dict[str, Banded]:
        """Energy that each indicator divides by the metal produced, by name in ``plant.indicators``."""
        comprehensive = self.rectifier + self.auxiliary + self.loss
        return {
            "specific_energy_dc": self.dc_energy,
            "specific_energy_e1": self.rectifier,
            "specific_energy_e2": comprehensive,
            "specific_energy_e2_tariff": self.rectifier + _less(self.auxiliary, self.desulphurisation) + self.loss,
        }


def _less(whole: Banded, part: Banded) -> Banded:
    """A whole without one of its parts: bands of the part cancel with its own share of the whole."""
    return Banded(whole.best - part.best, whole.low - part.low, whole.high - part.high)


def per_tonne(energy_kwh: Banded, metal_t: Banded) -> Banded:
    """kWh/t, NaN where no metal was made. Meters of energy and of metal err independently: their shares add as squares."""
    with np.errstate(invalid="ignore", divide="ignore"):
        best = energy_kwh.best / metal_t.best
        less = np.hypot(1 - energy_kwh.low / energy_kwh.best, 1 - metal_t.best / metal_t.high)
        more = np.hypot(energy_kwh.high / energy_kwh.best - 1, metal_t.best / metal_t.low - 1)
        low, high = best * np.maximum(1 - less, 0.0), best * (1 + more)
    made = metal_t.best > 0
    return Banded(*(np.where(made & np.isfinite(x), x, np.nan) for x in (best, low, high)))


def allocate(
    site: Site,
    start_ns: I64,
    consumers: Mapping[str, Banded],
    rectifier: Mapping[str, Banded],
    dc_energy: Mapping[str, Banded],
    metal: Mapping[str, Banded],
    loss: Banded,
    metered: F64,
) -> dict[str, LineEnergy]:
    """Energy of every potline over the intervals starting at ``start_ns`` int64[m].

    ``consumers`` are the metered branches to tapping by id; ``rectifier``, ``dc_energy`` and ``metal`` are by line;
    ``loss`` is what sources delivered beyond all metered branches, ``metered`` [m] the energy of those branches: the
    loss is shared by energy. A shared consumer is split by its dated key, by default by metal produced.
    """
    m = len(start_ns)
    found = {}
    for line in site.potlines:
        shares = {b: line_share(site.branches[b], line, start_ns, metal) for b in consumers}
        auxiliary = total([scaled(consumers[b], shares[b]) for b in consumers], m)
        only = [scaled(consumers[b], shares[b]) for b in consumers if site.branches[b].purpose == DESULPHURISATION]
        with np.errstate(invalid="ignore", divide="ignore"):
            of_metered = np.where(metered > 0, (rectifier[line].best + auxiliary.best) / metered, 0.0)
        found[line] = LineEnergy(
            rectifier[line], dc_energy[line], auxiliary, total(only, m), scaled(loss, of_metered), metal[line]
        )
    return found


def consumers_to_tapping(site: Site) -> list[Branch]:
    """Branches whose energy belongs to e2."""
    return [b for b in site.branches.values() if b.purpose in TO_TAPPING and b.kind in ("feeder", "transformer") and not b.to_bus]


def scaled(energy: Banded, share: F64) -> Banded:
    """A share of an energy, best and band alike."""
    return Banded(energy.best * share, energy.low * share, energy.high * share)


def line_share(branch: Branch, line: str, start_ns: I64, metal: Mapping[str, Banded]) -> F64:
    """Share of a consumer that belongs to a line, float64[m]: dated key, else by the metal of the lines it serves."""
    served = branch.serves or tuple(metal)
    if line not in served:
        share = np.zeros(len(start_ns))
    elif len(served) == 1:
        share = np.ones(len(start_ns))
    else:
        made = np.sum([metal[name].best for name in served], axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(made > 0, metal[line].best / made, np.where(made == 0, 1.0 / len(served), np.nan))
    return _keyed(branch.allocation, line, start_ns, share)


def _keyed(keys: Sequence[AllocationKey], line: str, start_ns: I64, by_metal: F64) -> F64:
    share = by_metal.copy()
    for i, key in enumerate(keys):
        until = keys[i + 1].valid_from_ns if i + 1 < len(keys) else 2**62
        inside = (start_ns >= key.valid_from_ns) & (start_ns < until)
        share[inside] = key.shares.get(line, 0.0) if key.shares else by_metal[inside]
    return share
